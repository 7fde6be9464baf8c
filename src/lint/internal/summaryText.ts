/**
 * The end of a report, in words: sites by class, and what was looked at and what was not.
 *
 * @since 0.1.0
 */
import { type Report, siteClasses, type SkipReason } from "../Diagnostic.ts"

const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? "" : "s"}`

const reasons: { readonly [reason in SkipReason]: string } = {
  binary: "binary",
  tooLarge: "too large",
  minified: "minified",
  unreadable: "unreadable",
  link: "a link that is not followed",
  timeLimit: "took too long",
  failed: "failed"
}

/** Lines that are listed; the JSON has them all. */
const listedMax = 20

/** The lines of the summary. */
export const countsText = ({ summary }: Report): ReadonlyArray<string> => {
  const sites = siteClasses.map((name) => `${summary.sites[name]} ${name}`).join(", ")
  const leftOut = [
    `${summary.ignored} ignored by .gitignore`,
    `${summary.excluded} excluded`,
    `${summary.otherFiles} in other languages`
  ]
  const skipped = summary.skipped.map(({ detail, file, reason }) => `skipped: ${file}: ${reasons[reason]}: ${detail}`)
  const unparsed = summary.unparsed.map(({ endLine, file, line }) =>
    `unparsed: ${file}:${line}${endLine === line ? "" : `-${endLine}`}`
  )
  return [
    `sites: ${sites}`,
    `files: ${summary.filesScanned} scanned, ${summary.skipped.length} skipped; ${leftOut.join(", ")}`,
    ...limited(skipped),
    ...limited(unparsed),
    ...summary.staleBaseline.map(({ missing, path, rule, snippet }) =>
      `stale baseline entry: ${path}: ${rule}${missing > 1 ? ` (${missing} times)` : ""}: ${snippet}`
    ),
    ...(summary.staleBaseline.length === 0 ? [] : ["--update-baseline removes what is stale"])
  ]
}

const limited = (lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.length <= listedMax
    ? lines
    : [...lines.slice(0, listedMax), `and ${lines.length - listedMax} more; --format json lists them`]

/** The verdict in one line. */
export const verdictText = ({ summary }: Report): string => {
  const { error, review, warning } = summary.findings
  const found = error + review + warning === 0
    ? "no findings"
    : [count(error, "error"), count(warning, "warning"), `${review} to review`].join(", ")
  const { baseline, comment } = summary.suppressed
  const known = [
    ...(comment > 0 ? [`${comment} allowed by comments`] : []),
    ...(baseline > 0 ? [`${baseline} known in the baseline`] : [])
  ]
  return [found, ...known].join("; ")
}
