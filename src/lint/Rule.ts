/**
 * What a rule is: it looks at the facts of one append site and says what is wrong there, or nothing. A rule knows no
 * language and no file; its documentation lives beside its check, and is what `--explain` and docs/lint.md show.
 *
 * @since 0.1.0
 */
import type { Site } from "./Site.ts"

/**
 * How bad a fault is. `error`: records are lost or unreadable. `warning`: they may be. `review`: only a person can say.
 *
 * @category models
 * @since 0.1.0
 */
export type Severity = "error" | "warning" | "review"

/**
 * What a rule found at a site. `severity` is given where it differs from the rule's own.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fault {
  readonly message: string
  readonly advice: string
  readonly severity?: Severity | undefined
}

/**
 * The documentation of a rule, in Markdown.
 *
 * **Details**
 *
 * - `what`: what it reports. `why`: what goes wrong, with what was measured.
 * - `example`: code that is reported; `instead`: what to write.
 * - `allow`: when it is right to leave the code as it is, with a suppression.
 *
 * @category models
 * @since 0.1.0
 */
export interface Documentation {
  readonly what: string
  readonly why: string
  readonly example: string
  readonly instead: string
  readonly allow: string
}

/**
 * A rule. Its name is the fault, so that `allow split-append` reads right.
 *
 * **Details**
 *
 * `summary` says in one line why it matters. `check` is absent where the fault is not in a site but in a suppression.
 * `isFixable` says whether rewriting the statement is all that is needed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rule {
  readonly name: string
  readonly severity: Severity
  readonly summary: string
  readonly isFixable: boolean
  readonly documentation: Documentation
  readonly check?: ((site: Site) => Fault | undefined) | undefined
}

/**
 * Whether the payload of a site is JSON for a file of records: nothing else is any rule's business.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isJsonl = (site: Site): boolean =>
  site.migrated === undefined && (site.payload === "record" || site.payload === "multiLineRecord")

/**
 * What is to be called instead of appending by hand, in the words of a language.
 *
 * @category advice
 * @since 0.1.0
 */
export const primitiveFor = (site: Site): string =>
  site.language === "shell"
    ? "`auditlog append FILE`"
    : site.language === "javascript" || site.language === "typescript" || site.language === "tsx"
    ? "`AuditLog` of effect-auditlog"
    : "the primitive that auditlog.config.json names, or `auditlog append`"
