/**
 * Annotations of a workflow run on GitHub: a line for each finding, shown at its place in the pull request.
 *
 * @since 0.1.0
 */
import type { Finding } from "../Diagnostic.ts"
import type { Reporter } from "../Reporter.ts"

const commands: { readonly [severity in Finding["severity"]]: string } = {
  error: "error",
  warning: "warning",
  review: "notice"
}

const data = (text: string): string => text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A")

const property = (text: string): string => data(text).replaceAll(":", "%3A").replaceAll(",", "%2C")

/**
 * Prints annotations.
 *
 * @category reporters
 * @since 0.1.0
 */
export const report: Reporter = ({ report }, style) => {
  const { printable } = style
  return [
    ...report.findings.filter(({ suppressed }) => suppressed === undefined).map((finding) => {
      // a range of columns is only shown within one line
      const columns = finding.line === finding.endLine ? `,col=${finding.column},endColumn=${finding.endColumn}` : ""
      return `::${commands[finding.severity]} file=${property(printable(finding.file))},line=${finding.line},` +
        `endLine=${finding.endLine}${columns},title=${property(finding.rule)}::` +
        data(`${printable(finding.message)}; ${printable(finding.advice)}`)
    }),
    ...report.summary.staleBaseline.map(({ path, rule, snippet }) =>
      `::error title=stale baseline::${data(printable(`${path}: ${rule} is no longer found: ${snippet}`))}`
    )
  ].map((line) => `${line}\n`).join("")
}
