/**
 * The rule `held-append-handle`.
 *
 * @since 0.1.0
 */
import { isJsonl, primitiveFor, type Rule } from "../Rule.ts"
import { type HandleLife, type Site } from "../Site.ts"

const lives: { readonly [life in Exclude<HandleLife, "once">]: string } = {
  loop: "is written in a loop",
  stored: "is kept",
  passed: "is passed on"
}

/**
 * Finds append handles that outlive one record.
 *
 * @category rules
 * @since 0.1.0
 */
export const rule: Rule = {
  name: "held-append-handle",
  severity: "review",
  summary: "What is still in the handle's buffer dies with the process, and may end in the middle of a record.",
  isFixable: false,
  documentation: {
    what:
      "An append handle that is written in a loop, kept in an object or a module, or passed on to other code, and " +
      "gets records of JSONL.",
    why:
      "A buffered handle collects records and writes them when 8 KiB are full, wherever that is in a record: a kill " +
      "loses the buffer, and leaves a cut record at its edge. In 1.7 to 2.7 % of kills during back-to-back writing a " +
      "200-byte record was cut, and the next one was glued to it. A handle that is kept also goes on writing to a file " +
      "that was rotated away, and its writes cannot be taken back with the transaction around them.",
    example: "```python\nwith open(path, \"a\") as f:\n    for event in events:\n        " +
      "f.write(json.dumps(event) + \"\\n\")\n```",
    instead: "Append the records as one transaction, all of them or none:\n\n" +
      "```sh\nproduce-events | auditlog append audit.jsonl --transaction\n```\n\n" +
      "In TypeScript: `audit.appendAll(records)`, or a log that is kept open by a layer.",
    allow: "The loop is a bulk export whose file is made anew when it fails, or the handle is flushed after each " +
      "record and followed through rotations."
  },
  check: (site) =>
    isJsonl(site) && site.life !== "once" ? { message: messageOf(site), advice: adviceOf(site) } : undefined
}

const messageOf = (site: Site): string =>
  `an append handle ${site.life === "once" ? "is used" : lives[site.life]} and gets records: ${site.call}`

const adviceOf = (site: Site): string =>
  `collect the records and append them together, or keep one log open: ${primitiveFor(site)}; then say in a ` +
  "suppression why a handle may stay"
