/**
 * The rule `suppression-without-reason`.
 *
 * @since 0.1.0
 */
import type { Rule } from "../Rule.ts"

/**
 * Finds suppressions that do not say why, or not what.
 *
 * @category rules
 * @since 0.1.0
 */
export const rule: Rule = {
  name: "suppression-without-reason",
  severity: "error",
  summary: "Nobody can tell later whether the reason still holds; without one nothing is allowed.",
  isFixable: false,
  documentation: {
    what: "A suppression without a reason, or without the name of a rule. It does not suppress anything.",
    why: "A site that may stay and a site that was overlooked look the same without a reason. In the fleet that this " +
      "lint was made for, sites that may stay had no way to say why, and were converted by mistake.",
    example: "```python\n# auditlog-lint: allow split-append\njson.dump(record, f)\n```",
    instead: "```python\n# auditlog-lint: allow split-append — one writer, and the file is rebuilt every night\n" +
      "json.dump(record, f)\n```",
    allow: "Never: write the reason."
  }
}
