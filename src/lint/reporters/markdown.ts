/**
 * The inventory as a Markdown table: every script that appends records, its sites, and whether something is left to do.
 *
 * @since 0.1.0
 */
import type { SiteClass, SiteEntry } from "../Diagnostic.ts"
import { countsText } from "../internal/summaryText.ts"
import type { Reporter } from "../Reporter.ts"

const cell = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("|", "\\|").replaceAll(/[`<>]/g, "\\$&")

/** Lines of one class, such as `12, 40`. */
const linesOf = (sites: ReadonlyArray<SiteEntry>, name: SiteClass): string | undefined => {
  const lines = sites.filter((site) => site.class === name).map(({ baseline, line }) => `${line}${baseline ? "*" : ""}`)
  return lines.length === 0 ? undefined : `${lines.length} ${name} (${lines.join(", ")})`
}

const shown: ReadonlyArray<SiteClass> = ["violation", "review", "suppressed", "migrated"]

const statusOf = (sites: ReadonlyArray<SiteEntry>): string =>
  sites.some((site) => site.class === "violation")
    ? "to migrate"
    : sites.some((site) => site.class === "review")
    ? "to review"
    : sites.some((site) => site.class === "suppressed")
    ? "allowed"
    : "migrated"

/**
 * Prints the inventory.
 *
 * @category reporters
 * @since 0.1.0
 */
export const report: Reporter = ({ report }, { listSites, printable }) => {
  const files = new Map<string, Array<SiteEntry>>()
  for (const site of report.sites) {
    if (site.class === "not-jsonl" && !listSites) continue
    const sites = files.get(site.file)
    if (sites === undefined) files.set(site.file, [site])
    else sites.push(site)
  }
  const rows = [...files].sort(([a], [b]) => (a < b ? -1 : 1)).map(([file, sites]) => {
    const classes = [...shown, "not-jsonl" as const].flatMap((name) => linesOf(sites, name) ?? [])
    const status = sites.every((site) => site.class === "not-jsonl") ? "no records" : statusOf(sites)
    return `| ${cell(printable(file))} | ${classes.join("; ")} | ${status} |`
  })
  const known = report.sites.some(({ baseline }) => baseline === true) ? ["", "\\* known: in the baseline"] : []
  const table = rows.length === 0
    ? ["No script appends records."]
    : ["| script | sites (lines) | status |", "| --- | --- | --- |"]
  return [...table, ...rows, ...known, "", ...countsText(report).map((line) => `- ${cell(printable(line))}`)]
    .map((line) => `${line}\n`).join("")
}
