/**
 * Counts what a run found, and decides whether it passed.
 *
 * @since 0.1.0
 */
import {
  type Finding,
  type Report,
  type SiteEntry,
  type StaleEntry,
  type Summary,
  versionCurrent
} from "../Diagnostic.ts"
import type { Severity } from "../Rule.ts"

/** What a run found. */
export interface Parts extends Pick<Summary, "ignored" | "excluded" | "otherFiles" | "filesScanned"> {
  readonly findings: ReadonlyArray<Finding>
  readonly sites: ReadonlyArray<SiteEntry>
  readonly skipped: Summary["skipped"]
  readonly unparsed: Summary["unparsed"]
  readonly staleBaseline: ReadonlyArray<StaleEntry>
  readonly failOn: Severity
}

/** Worst first. */
const severities: ReadonlyArray<Severity> = ["error", "warning", "review"]

const incomplete = new Set(["unreadable", "timeLimit", "failed"])

/** The report. */
export const summarize = ({ failOn, ...parts }: Parts): Report => {
  const open = parts.findings.filter(({ suppressed }) => suppressed === undefined)
  const counted = severities.slice(0, severities.indexOf(failOn) + 1)
  const count = (severity: Severity): number => open.filter((finding) => finding.severity === severity).length
  const ofClass = (name: SiteEntry["class"]): number => parts.sites.filter((site) => site.class === name).length
  const suppressedBy = (by: "comment" | "baseline"): number =>
    parts.findings.filter(({ suppressed }) => suppressed?.by === by).length
  return {
    version: versionCurrent,
    summary: {
      passed: parts.staleBaseline.length === 0 && counted.every((severity) => count(severity) === 0),
      complete: !parts.skipped.some(({ reason }) => incomplete.has(reason)),
      filesScanned: parts.filesScanned,
      ignored: parts.ignored,
      excluded: parts.excluded,
      otherFiles: parts.otherFiles,
      skipped: parts.skipped,
      unparsed: parts.unparsed,
      sites: {
        violation: ofClass("violation"),
        review: ofClass("review"),
        suppressed: ofClass("suppressed"),
        migrated: ofClass("migrated"),
        "not-jsonl": ofClass("not-jsonl")
      },
      findings: { error: count("error"), warning: count("warning"), review: count("review") },
      suppressed: { comment: suppressedBy("comment"), baseline: suppressedBy("baseline") },
      staleBaseline: parts.staleBaseline
    },
    findings: parts.findings,
    sites: parts.sites
  }
}
