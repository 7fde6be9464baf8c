/**
 * The rules, in the order in which they are asked: the first that finds a fault at a site decides what is said of it.
 * What has to be done differently comes before what merely has to be done.
 *
 * @since 0.1.0
 */
import type { Rule } from "./Rule.ts"
import { rule as appendInTransaction } from "./rules/append-in-transaction.ts"
import { rule as appendWithoutOAppend } from "./rules/append-without-o-append.ts"
import { rule as heldAppendHandle } from "./rules/held-append-handle.ts"
import { rule as multiLineRecord } from "./rules/multi-line-record.ts"
import { rule as splitAppend } from "./rules/split-append.ts"
import { rule as suppressionWithoutReason } from "./rules/suppression-without-reason.ts"
import { rule as unsyncedAppend } from "./rules/unsynced-append.ts"
import { rule as unusedSuppression } from "./rules/unused-suppression.ts"

/**
 * The rules about suppressions: the judge applies them itself.
 *
 * @category rules
 * @since 0.1.0
 */
export { suppressionWithoutReason, unusedSuppression }

/**
 * All rules.
 *
 * @category rules
 * @since 0.1.0
 */
export const all: ReadonlyArray<Rule> = [
  appendInTransaction,
  appendWithoutOAppend,
  multiLineRecord,
  splitAppend,
  heldAppendHandle,
  unsyncedAppend,
  unusedSuppression,
  suppressionWithoutReason
]

/**
 * The names of all rules.
 *
 * @category rules
 * @since 0.1.0
 */
export const names: ReadonlyArray<string> = all.map(({ name }) => name)

/**
 * A rule by its name.
 *
 * @category rules
 * @since 0.1.0
 */
export const byName = (name: string): Rule | undefined => all.find((rule) => rule.name === name)

/**
 * The documentation of a rule as Markdown, under a heading of the given depth.
 *
 * @category documentation
 * @since 0.1.0
 */
export const toMarkdown = (rule: Rule, depth = 1): string => {
  const { allow, example, instead, what, why } = rule.documentation
  return [
    `${"#".repeat(depth)} ${rule.name}`,
    `Severity: ${rule.severity}.${rule.isFixable ? " `--fix` rewrites single statements." : ""} ${rule.summary}`,
    `**What.** ${what}`,
    `**Why.** ${why}`,
    "Reported:",
    example,
    "Instead:",
    instead,
    `**When to allow.** ${allow}`
  ].join("\n\n") + "\n"
}
