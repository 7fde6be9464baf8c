/**
 * SARIF 2.1.0, for code scanning. What is allowed stays in it, with its justification.
 *
 * @since 0.1.0
 */
import type { Finding } from "../Diagnostic.ts"
import type { Reporter } from "../Reporter.ts"
import type { Severity } from "../Rule.ts"
import * as Rules from "../Rules.ts"

const levels: { readonly [severity in Severity]: "error" | "warning" | "note" } = {
  error: "error",
  warning: "warning",
  review: "note"
}

/**
 * Prints SARIF.
 *
 * @category reporters
 * @since 0.1.0
 */
export const report: Reporter = ({ report }, { version }) => {
  const notes = [
    ...report.summary.skipped.map(({ detail, file, reason }) => ({
      level: reason === "unreadable" || reason === "timeLimit" || reason === "failed" ? "error" : "note",
      message: { text: `not analysed: ${detail}` },
      locations: [{ physicalLocation: { artifactLocation: { uri: uriOf(file) } } }]
    })),
    ...report.summary.unparsed.map(({ endLine, file, line }) => ({
      level: "note",
      message: { text: "could not be parsed; what is around it was analysed" },
      locations: [{
        physicalLocation: { artifactLocation: { uri: uriOf(file) }, region: { startLine: line, endLine } }
      }]
    })),
    ...report.summary.staleBaseline.map(({ path, rule, snippet }) => ({
      level: "error",
      message: { text: `stale baseline entry: ${path}: ${rule}: ${snippet}` }
    }))
  ]
  const log = {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [{
      tool: {
        driver: {
          name: "auditlog-lint",
          semanticVersion: version,
          rules: Rules.all.map((rule) => ({
            id: rule.name,
            shortDescription: { text: rule.summary },
            fullDescription: { text: rule.documentation.what },
            help: { text: rule.documentation.why, markdown: Rules.toMarkdown(rule) },
            defaultConfiguration: { level: levels[rule.severity] }
          }))
        }
      },
      columnKind: "utf16CodeUnits",
      invocations: [{ executionSuccessful: report.summary.complete, toolExecutionNotifications: notes }],
      results: report.findings.map(resultOf)
    }]
  }
  return `${JSON.stringify(log, null, 2)}\n`
}

const uriOf = (file: string): string => file.split("/").map(encodeURIComponent).join("/")

const resultOf = (finding: Finding) => ({
  ruleId: finding.rule,
  ruleIndex: Rules.names.indexOf(finding.rule),
  level: levels[finding.severity],
  kind: "fail",
  message: { text: `${finding.message}; ${finding.advice}` },
  locations: [{
    physicalLocation: {
      artifactLocation: { uri: uriOf(finding.file) },
      region: {
        startLine: finding.line,
        startColumn: finding.column,
        endLine: finding.endLine,
        endColumn: finding.endColumn,
        snippet: { text: finding.snippet }
      }
    }
  }],
  partialFingerprints: { "auditlogLint/v1": finding.fingerprint },
  ...(finding.suppressed === undefined ? {} : {
    suppressions: [{
      kind: finding.suppressed.by === "comment" ? "inSource" : "external",
      status: "accepted",
      justification: finding.suppressed.reason
    }]
  })
})
