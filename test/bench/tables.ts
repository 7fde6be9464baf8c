/**
 * Tables as text, which are Markdown too.
 */
import type { Column, Report, Summary } from "./harness.ts"
import { type Outcome, outcomes } from "./targets.ts"

/** The cells padded to the width of their column, numbers to the right. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = head.map((_, i) => Math.max(3, ...[head, ...rows].map((row) => (row[i] ?? "").length)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, i) => i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)).join(" | ")} |`
  const rule = `| ${widths.map((width, i) => i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`).join(" | ")} |`
  return [line(head), rule, ...rows.map(line)].join("\n")
}

/** A number with its thousands set apart. */
export const number = (value: number, digits: number): string =>
  value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })

const cell = (summary: Summary | undefined, { digits }: Column): string =>
  summary === undefined || !Number.isFinite(summary.median) ? "–" : number(summary.median, digits)

const spread = (summary: Summary | undefined, { digits }: Column): string =>
  summary === undefined ? "–" : `${number(summary.min, digits)} … ${number(summary.max, digits)}`

/** The medians of a bench, and the least and greatest value of its first column. */
export const reportTable = ({ columns, rows }: Report): string => {
  const [first, ...rest] = columns
  return table(
    ["", ...columns.slice(0, 1).map(({ label }) => label), "min … max", ...rest.map(({ label }) => label)],
    rows.map(({ name, values }) => [
      name,
      ...(first === undefined ? [] : [cell(values[first.key], first), spread(values[first.key], first)]),
      ...rest.map((column) => cell(values[column.key], column))
    ])
  )
}

const amount = (value: number, { unit }: Outcome["target"]): string =>
  unit === "×" ? `${value.toFixed(2)} ×` : `${number(value, unit === "ms" ? 1 : 0)} ${unit}`

const verdict = ({ isMet, measured, target }: Outcome): string => {
  if (isMet || measured === undefined) return "met"
  const bound = target.atLeast ?? target.atMost ?? 0
  return bound === 0 ? "missed" : `missed by ${Math.round(Math.abs(measured / bound - 1) * 100)} %`
}

/** The targets whose sides were run: the aim, what was measured, and whether that is enough. */
export const targetTable = (reports: ReadonlyArray<Report>): string =>
  table(
    ["", "target", "measured", ""],
    outcomes(reports).filter(({ measured }) => measured !== undefined).map((outcome) => {
      const { atLeast, atMost = 0, what } = outcome.target
      return [
        what,
        atLeast === undefined ? `≤ ${amount(atMost, outcome.target)}` : `≥ ${amount(atLeast, outcome.target)}`,
        outcome.measured === undefined ? "–" : amount(outcome.measured, outcome.target),
        verdict(outcome)
      ]
    })
  )
