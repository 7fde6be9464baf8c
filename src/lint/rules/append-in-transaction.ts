/**
 * The rule `append-in-transaction`.
 *
 * @since 0.1.0
 */
import { isJsonl, type Rule } from "../Rule.ts"

/** The evidence is the user's text: one line of it is enough. */
const evidenceLengthMax = 60

/**
 * Finds JSONL appends between BEGIN and COMMIT or ROLLBACK.
 *
 * @category rules
 * @since 0.1.0
 */
export const rule: Rule = {
  name: "append-in-transaction",
  severity: "review",
  summary: "The record stays in the file when the database rolls back: the log then tells what never happened.",
  isFixable: false,
  documentation: {
    what:
      "An append of JSONL, or a handle for it, that stands between the BEGIN and the COMMIT or ROLLBACK of an SQL " +
      "transaction. It needs evidence of SQL: the text of such a statement, `.commit()`, `.rollback()`, " +
      "`transaction.atomic`, `withTransaction`, `db.transaction`.",
    why:
      "A file does not roll back. Turning the handle into single appends makes it worse: each record is then durable " +
      "before the database has decided. It happened when a fleet of scripts was moved to one primitive by a rule that " +
      "did not look for the transaction.",
    example: "```python\ndb.execute(\"BEGIN\")\nfor row in rows:\n    db.execute(insert, row)\n    " +
      "log.write(json.dumps(row) + \"\\n\")\ndb.execute(\"COMMIT\")\n```",
    instead:
      "Buffer the records, and append them after the COMMIT; or make the commands one transaction of the log:\n\n" +
      "```sh\nauditlog exec audit.jsonl -- python import.py\n```\n\n" +
      "In TypeScript `audit.transaction(effect)` lands the records of an effect only when it succeeds: put it around " +
      "the database's transaction.",
    allow: "The record says that something was tried, and is meant to stay when it failed."
  },
  check: (site) =>
    isJsonl(site) && site.transaction !== undefined
      ? {
        message: `a record is appended inside an SQL transaction (${evidence(site.transaction.text)}): ${site.call}`,
        advice: "buffer the records and append them after COMMIT, in one `transaction` of the log (in shell: " +
          "`auditlog exec`); a single append here outlives a rollback"
      }
      : undefined
}

const evidence = (text: string): string => {
  const line = text.replaceAll(/\s+/g, " ").trim()
  return line.length > evidenceLengthMax ? `${line.slice(0, evidenceLengthMax)}…` : line
}
