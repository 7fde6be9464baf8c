/**
 * The rule `unsynced-append`.
 *
 * @since 0.1.0
 */
import { isJsonl, primitiveFor, type Rule } from "../Rule.ts"

/**
 * Finds whole-line JSONL appends that bypass the primitive.
 *
 * @category rules
 * @since 0.1.0
 */
export const rule: Rule = {
  name: "unsynced-append",
  severity: "warning",
  summary: "The program goes on as if the record were on disk; nobody notices when it is cut, glued or missing.",
  isFixable: true,
  documentation: {
    what: "A record of JSONL that is appended as a whole line, but by hand: without fsync, without reading back what " +
      "was written, without a hash that shows a loss. An append by hand that does call fsync is reported with the " +
      "severity `review`.",
    why: "Small whole lines do tear. SIGKILL cut 200-byte records at a page boundary in 1.7 to 2.7 % of kills during " +
      "back-to-back writing, and a full disk cuts anywhere; the next good record is then glued to the fragment, and a " +
      "naive reader loses both. Node's write reports full success after a short write whose rest landed behind other " +
      "writers' records: with every third write shortened, 18 % of acknowledged records were unreadable. Two spliced " +
      "records can even be valid JSON, so that parsing is no proof. Without fsync a power cut takes everything that " +
      "the kernel had not yet written.",
    example: "```sh\njq -cn --arg actor \"$USER\" '{actor: $actor}' >> audit.jsonl\n```",
    instead: "```sh\njq -cn --arg actor \"$USER\" '{actor: $actor}' | auditlog append audit.jsonl\n```\n\n" +
      "It costs one fsync a record or batch; reading back costs 2.7 µs.",
    allow: "The file is no record of what happened: a training set, an export that can be made again, a debug trace."
  },
  check: (site) =>
    !isJsonl(site)
      ? undefined
      : site.synced
      ? {
        message: `a record is appended by hand: ${site.call}, flushed, but neither read back nor chained`,
        advice: `append it with ${primitiveFor(site)}, which also proves that the line is whole`,
        severity: "review"
      }
      : {
        message: `a record is appended by hand and not flushed: ${site.call}`,
        advice: `append it with ${primitiveFor(site)}`
      }
}
