/**
 * Keeps runs of the lint in an audit log: a record for the run and one for each finding, in one transaction.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as AuditLog from "../AuditLog.ts"
import * as FileAppender from "../FileAppender.ts"
import { Finding, type Report, Summary } from "../lint/Diagnostic.ts"
import * as AppenderOptions from "./appenderOptions.ts"
import * as Output from "./output.ts"

const { findings, sites, staleBaseline: _, ...counts } = Summary.fields

/** The parts of a finding that say what and where. Its code stays in the repository: a record has to fit a page. */
const { file, fingerprint, line, message, rule, severity } = Finding.fields

const Event = Schema.TaggedUnion({
  LintRun: {
    version: Schema.String,
    directory: Schema.String,
    paths: Schema.Array(Schema.String),
    passed: counts.passed,
    complete: counts.complete,
    filesScanned: counts.filesScanned,
    filesSkipped: Schema.Int,
    linesUnparsed: Schema.Int,
    staleBaseline: Schema.Int,
    sites,
    findings,
    suppressed: counts.suppressed
  },
  LintFinding: { rule, severity, file, line, message, fingerprint, suppressed: Schema.Boolean }
})

class LintLog extends AuditLog.Service<LintLog>()("auditlog/LintLog", { schema: Event }) {}

/**
 * A run to keep.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run {
  readonly log: string
  readonly version: string
  readonly directory: string
  readonly paths: ReadonlyArray<string>
  readonly report: Report
}

/**
 * Appends the run: all of its records, or none.
 *
 * @category recording
 * @since 0.1.0
 */
export const record = Effect.fnUntraced(function*({ directory, log, paths, report, version }: Run) {
  const options = yield* AppenderOptions.make({
    file: log,
    sync: undefined,
    sizePolicy: undefined,
    limitBytes: undefined
  })
  const { summary } = report
  const events = [
    Event.cases.LintRun.make({
      version,
      directory,
      paths,
      passed: summary.passed,
      complete: summary.complete,
      filesScanned: summary.filesScanned,
      filesSkipped: summary.skipped.length,
      linesUnparsed: summary.unparsed.length,
      staleBaseline: summary.staleBaseline.length,
      sites: summary.sites,
      findings: summary.findings,
      suppressed: summary.suppressed
    }),
    ...report.findings.map((finding) =>
      Event.cases.LintFinding.make({
        rule: finding.rule,
        severity: finding.severity,
        file: finding.file,
        line: finding.line,
        message: finding.message,
        fingerprint: finding.fingerprint,
        suppressed: finding.suppressed !== undefined
      })
    )
  ]
  yield* LintLog.use((lintLog) => lintLog.appendAll(events)).pipe(
    Effect.provide(LintLog.layer.pipe(Layer.provide(FileAppender.layer(options)))),
    Effect.mapError((error) => Output.failure(`auditlog: ${Output.printable(`${log}: ${error.message}`)}`))
  )
})
