/**
 * The rule `multi-line-record`.
 *
 * @since 0.1.0
 */
import { isJsonl, type Rule } from "../Rule.ts"

/**
 * Finds JSON of several lines that is appended to a file of records.
 *
 * @category rules
 * @since 0.1.0
 */
export const rule: Rule = {
  name: "multi-line-record",
  severity: "error",
  summary: "A reader of lines cannot parse any of them; one torn record makes the rest of the file ambiguous.",
  isFixable: false,
  documentation: {
    what: "Pretty-printed JSON that is appended to a file of records: `json.dumps(x, indent=2)`, " +
      "`JSON.stringify(x, null, 2)`, `jq` without `-c`.",
    why: "The newline is what separates records, and the only place where a reader can start again after damage. " +
      "A record over several lines has none: `tail -n 1`, `wc -l`, `grep` and every reader of JSONL read pieces. " +
      "Nor does it stay together, as it is usually several writes: what tears is more than one write a record, `jq` " +
      "above 4096 B for one.",
    example: "```sh\njq -n --arg actor \"$USER\" '{actor: $actor}' >> audit.jsonl\n```",
    instead: "```sh\njq -cn --arg actor \"$USER\" '{actor: $actor}' | auditlog append audit.jsonl\n```",
    allow: "The file is read by people only, or by a parser of concatenated JSON such as `jq` itself."
  },
  check: (site) =>
    isJsonl(site) && site.payload === "multiLineRecord"
      ? {
        message: `a record of several lines goes into a file of one record a line: ${site.call}`,
        advice: "write each record on one line (`jq -c`, `json.dumps` without `indent`), with the primitive"
      }
      : undefined
}
