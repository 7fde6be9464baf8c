/**
 * The rule `unused-suppression`.
 *
 * @since 0.1.0
 */
import type { Rule } from "../Rule.ts"

/**
 * Finds suppressions that allow nothing.
 *
 * @category rules
 * @since 0.1.0
 */
export const rule: Rule = {
  name: "unused-suppression",
  severity: "error",
  summary: "It would silence the next fault on that line, with a reason that was given for another.",
  isFixable: false,
  documentation: {
    what: "A suppression beside which there is no finding of its rule, or that names a rule which does not exist.",
    why: "Code moves and comments stay. An inventory that was kept by hand said \"0 outstanding\" while six sites " +
      "remained; a suppression without a finding is the same statement without anybody to check it.",
    example: "```python\n# auditlog-lint: allow split-append — one writer only\nlogging.info(\"done\")\n```",
    instead: "Remove the comment, or correct the name of its rule.",
    allow: "Never: it is not a fault of code but of the comment. It can be switched off in the configuration."
  }
}
