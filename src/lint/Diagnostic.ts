/**
 * What a run of the lint says, as values: findings, the inventory of sites, and what was not looked at. Reporters print
 * it, `--report` keeps it, and its JSON Schema is shipped as `schema/lint-report.schema.json`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The version of the report's form.
 *
 * @category constants
 * @since 0.1.0
 */
export const versionCurrent = 1

const Line = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * Why a finding does not count: a comment in the code allows it, or the baseline knows it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Suppressed = Schema.Struct({
  by: Schema.Literals(["comment", "baseline"]),
  reason: Schema.String
})

/**
 * One fault at one place. Lines and columns start at 1, columns count UTF-16 code units, and the end is exclusive.
 *
 * **Details**
 *
 * `file` is relative to the working directory of the run, with `/`. `fingerprint` depends on the rule, the path in the
 * project and the code, and on no line number.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Finding = Schema.Struct({
  rule: Schema.String,
  severity: Schema.Literals(["error", "warning", "review"]),
  file: Schema.String,
  line: Line,
  column: Line,
  endLine: Line,
  endColumn: Line,
  message: Schema.String,
  advice: Schema.String,
  snippet: Schema.String,
  fingerprint: Schema.String,
  /** Why `--fix` left it as it is. */
  cannotFix: Schema.optionalKey(Schema.String),
  suppressed: Schema.optionalKey(Suppressed)
})

/**
 * The type of {@link Finding}.
 *
 * @category schemas
 * @since 0.1.0
 */
export type Finding = typeof Finding.Type

/**
 * What became of a site. `violation`: a finding of severity error or warning, also when the baseline knows it. `review`:
 * one that a person has to judge. `migrated`: a call of a primitive. `suppressed`: allowed by a comment, with a reason.
 * `not-jsonl`: appends something else than records.
 *
 * @category schemas
 * @since 0.1.0
 */
export const SiteClass = Schema.Literals(["violation", "review", "migrated", "suppressed", "not-jsonl"])

/**
 * The type of {@link SiteClass}.
 *
 * @category schemas
 * @since 0.1.0
 */
export type SiteClass = typeof SiteClass.Type

/**
 * The classes, worst first.
 *
 * @category constants
 * @since 0.1.0
 */
export const siteClasses: ReadonlyArray<SiteClass> = ["violation", "review", "suppressed", "migrated", "not-jsonl"]

/**
 * One place that appends to a file, or calls a primitive that does.
 *
 * @category schemas
 * @since 0.1.0
 */
export const SiteEntry = Schema.Struct({
  file: Schema.String,
  line: Line,
  endLine: Line,
  language: Schema.String,
  embeddedIn: Schema.optionalKey(Schema.String),
  class: SiteClass,
  call: Schema.String,
  target: Schema.String,
  writesPerRecord: Count,
  rule: Schema.optionalKey(Schema.String),
  baseline: Schema.optionalKey(Schema.Boolean)
})

/**
 * The type of {@link SiteEntry}.
 *
 * @category schemas
 * @since 0.1.0
 */
export type SiteEntry = typeof SiteEntry.Type

/**
 * Why a file was not looked at, or not to its end. `unreadable`, `timeLimit` and `failed` make the run incomplete.
 *
 * @category schemas
 * @since 0.1.0
 */
export const SkipReason = Schema.Literals([
  "binary",
  "tooLarge",
  "minified",
  "unreadable",
  "link",
  "timeLimit",
  "failed"
])

/**
 * The type of {@link SkipReason}.
 *
 * @category schemas
 * @since 0.1.0
 */
export type SkipReason = typeof SkipReason.Type

/**
 * A file that was not looked at.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Skipped = Schema.Struct({ file: Schema.String, reason: SkipReason, detail: Schema.String })

/**
 * The type of {@link Skipped}.
 *
 * @category schemas
 * @since 0.1.0
 */
export type Skipped = typeof Skipped.Type

/**
 * Lines that a grammar could not read. What stands around them was analysed.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Unparsed = Schema.Struct({ file: Schema.String, line: Line, endLine: Line })

/**
 * The type of {@link Unparsed}.
 *
 * @category schemas
 * @since 0.1.0
 */
export type Unparsed = typeof Unparsed.Type

/**
 * An entry of the baseline for which there is no finding any more.
 *
 * @category schemas
 * @since 0.1.0
 */
export const StaleEntry = Schema.Struct({
  rule: Schema.String,
  path: Schema.String,
  snippet: Schema.String,
  missing: Line
})

/**
 * The type of {@link StaleEntry}.
 *
 * @category schemas
 * @since 0.1.0
 */
export type StaleEntry = typeof StaleEntry.Type

/**
 * Figures of a run, and everything that was not looked at.
 *
 * **Details**
 *
 * `passed`: no finding counts, no entry of the baseline is stale. `complete`: no file was unreadable, and none took too
 * long. `ignored`: files and whole directories that .gitignore names; `excluded`: those that the configuration leaves
 * out; `otherFiles`: those that are in none of the languages.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Summary = Schema.Struct({
  passed: Schema.Boolean,
  complete: Schema.Boolean,
  filesScanned: Count,
  ignored: Count,
  excluded: Count,
  otherFiles: Count,
  skipped: Schema.Array(Skipped),
  unparsed: Schema.Array(Unparsed),
  sites: Schema.Struct({
    violation: Count,
    review: Count,
    suppressed: Count,
    migrated: Count,
    "not-jsonl": Count
  }),
  findings: Schema.Struct({ error: Count, warning: Count, review: Count }),
  suppressed: Schema.Struct({ comment: Count, baseline: Count }),
  staleBaseline: Schema.Array(StaleEntry)
})

/**
 * The type of {@link Summary}.
 *
 * @category schemas
 * @since 0.1.0
 */
export type Summary = typeof Summary.Type

/**
 * All that a run says.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Report = Schema.Struct({
  version: Schema.Literal(versionCurrent),
  summary: Summary,
  findings: Schema.Array(Finding),
  sites: Schema.Array(SiteEntry)
}).annotate({ title: "Report of auditlog lint" })

/**
 * The type of {@link Report}.
 *
 * @category schemas
 * @since 0.1.0
 */
export type Report = typeof Report.Type
