/**
 * The report for people: for each finding the code with the site underlined, why it matters, what to do, and how to
 * allow it.
 *
 * @since 0.1.0
 */
import type { Finding } from "../Diagnostic.ts"
import { countsText, verdictText } from "../internal/summaryText.ts"
import type { TextLines } from "../internal/textLines.ts"
import type { LintedFile } from "../Linter.ts"
import type { Reporter, Style } from "../Reporter.ts"
import type { Severity } from "../Rule.ts"
import * as Rules from "../Rules.ts"

/** A line of code is shown as far as a wide terminal goes, around the site. */
const frameColumnsMax = 160

const codes = { bold: 1, red: 31, yellow: 33, blue: 34, dim: 2 } as const

type Paint = (color: keyof typeof codes, text: string) => string

const painter = ({ color }: Style): Paint => (name, text) => color ? `\u001b[${codes[name]}m${text}\u001b[0m` : text

const severityColors: { readonly [severity in Severity]: keyof typeof codes } = {
  error: "red",
  warning: "yellow",
  review: "blue"
}

/** Comments start so in the language of a site. */
const commentMark = (language: string): string => (language === "python" || language === "shell" ? "#" : "//")

/**
 * Prints the report for people.
 *
 * @category reporters
 * @since 0.1.0
 */
export const report: Reporter = (run, style) => {
  const paint = painter(style)
  const { printable } = style
  const files = run.files.flatMap((file) => {
    const open = file.findings.filter(({ finding }) => finding.suppressed === undefined)
    if (open.length === 0) return []
    return [[
      paint("bold", printable(file.name)),
      ...open.flatMap(({ finding, verdict }) =>
        findingLines(finding, verdict.site?.language ?? "python", file, style, paint)
      ),
      ""
    ]]
  })
  const sites = !style.listSites ? [] : [
    ...run.report.sites.map((site) =>
      `${printable(site.file)}:${site.line}: ${site.class}${site.rule === undefined ? "" : ` ${site.rule}`}: ` +
      `${site.language}${site.embeddedIn === undefined ? "" : ` in ${site.embeddedIn}`}: ` +
      `${printable(site.call)} ${paint("dim", printable(site.target))}`
    ),
    ""
  ]
  return [
    ...files.flat(),
    ...sites,
    paint("bold", verdictText(run.report)),
    ...countsText(run.report).map(printable)
  ].map((line) => `${line}\n`).join("")
}

const findingLines = (
  finding: Finding,
  language: string,
  file: LintedFile,
  style: Style,
  paint: Paint
): ReadonlyArray<string> => {
  const { printable } = style
  const why = Rules.byName(finding.rule)?.summary ?? ""
  const mark = commentMark(language)
  return [
    `  ${finding.line}:${finding.column} ${paint(severityColors[finding.severity], finding.severity)} ` +
    `${paint("bold", finding.rule)} ${printable(finding.message)}`,
    ...frame(finding, file.lines, style, paint),
    `    why:   ${why}`,
    `    do:    ${printable(finding.advice)}`,
    ...(finding.rule.includes("suppression")
      ? []
      : [`    allow: ${mark} auditlog-lint: allow ${finding.rule} — REASON`])
  ]
}

const frame = (finding: Finding, lines: TextLines, { printable }: Style, paint: Paint): ReadonlyArray<string> => {
  const text = lines.textOf(finding.line)
  const end = finding.endLine === finding.line ? finding.endColumn - 1 : text.trimEnd().length
  // a long line is shown from near the site on
  const cut = finding.column - 1 > frameColumnsMax / 2 ? finding.column - 1 - frameColumnsMax / 4 : 0
  const part = (from: number, to: number): string => printable(text.slice(from, to).replaceAll("\t", "  "))
  const before = part(cut, finding.column - 1)
  const site = part(finding.column - 1, Math.min(end, cut + frameColumnsMax))
  const after = part(end, cut + frameColumnsMax)
  const number = String(finding.line)
  const underline = "^".repeat(Math.max(1, displayWidth(site)))
  const more = finding.endLine > finding.line ? ` … to line ${finding.endLine}` : ""
  return [
    `    ${paint("dim", `${number} |`)} ${before}${site}${after}`,
    `    ${paint("dim", `${" ".repeat(number.length)} |`)} ${" ".repeat(displayWidth(before))}${
      paint("red", underline)
    }${more}`
  ]
}

/** Wide characters of East Asia and emoji take two columns. */
const displayWidth = (text: string): number => {
  let width = 0
  for (const character of text) {
    if (/\p{Mn}/u.test(character)) continue
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u
          .test(character)
        ? 2
        : 1
  }
  return width
}
