/**
 * Facts in, verdicts out: the rules, then the suppressions of the file.
 *
 * @since 0.1.0
 */
import type { ConfigFile } from "../Config.ts"
import type { SiteClass } from "../Diagnostic.ts"
import type { Fault, Rule, Severity } from "../Rule.ts"
import * as Rules from "../Rules.ts"
import type { Site, Span } from "../Site.ts"
import type { FileAnalysis } from "./analysis.ts"
import * as Suppressions from "./suppressions.ts"
import type { TextLines } from "./textLines.ts"

/** A fault at a place of a file. */
export interface Verdict {
  readonly rule: Rule
  readonly severity: Severity
  readonly span: Span
  readonly message: string
  readonly advice: string
  readonly site: Site | undefined
  /** The reason of the comment that allows it. */
  readonly allowed: string | undefined
}

/** A site and what became of it. */
interface JudgedSite {
  readonly site: Site
  readonly verdict: Verdict | undefined
  readonly class: SiteClass
}

/** The verdicts on a file. */
export interface Judgement {
  readonly verdicts: ReadonlyArray<Verdict>
  readonly sites: ReadonlyArray<JudgedSite>
}

type Severities = NonNullable<ConfigFile["severities"]>

/** Judges a file. */
export const judge = (analysis: FileAnalysis, lines: TextLines, severities: Severities): Judgement => {
  const suppressions = Suppressions.find(analysis.comments, lines)
  const used = new Set<Suppressions.Suppression>()
  const sites = analysis.sites.map((site): JudgedSite => {
    const verdict = verdictOn(site, severities)
    if (verdict === undefined) {
      return { site, verdict, class: site.migrated === undefined ? "not-jsonl" : "migrated" }
    }
    const allowing = suppressions.filter((suppression) =>
      Suppressions.allows(suppression, verdict.rule.name) && Suppressions.standsAt(suppression, site, lines)
    )
    for (const suppression of allowing) used.add(suppression)
    const allowed = allowing[0]?.reason
    if (allowed !== undefined) return { site, verdict: { ...verdict, allowed }, class: "suppressed" }
    return { site, verdict, class: verdict.severity === "review" ? "review" : "violation" }
  })
  const faults = suppressions.flatMap((suppression) =>
    used.has(suppression) ? [] : faultsOf(suppression, sites, lines, severities)
  )
  const verdicts = [...sites.flatMap(({ verdict }) => (verdict === undefined ? [] : [verdict])), ...faults]
  return { sites, verdicts: verdicts.sort((a, b) => a.span.start - b.span.start) }
}

const severityOf = (rule: Rule, fault: Fault, severities: Severities): Severity | "off" =>
  severities[rule.name] ?? fault.severity ?? rule.severity

const verdictOn = (site: Site, severities: Severities): Verdict | undefined => {
  for (const rule of Rules.all) {
    const fault = rule.check?.(site)
    if (fault === undefined) continue
    const severity = severityOf(rule, fault, severities)
    if (severity === "off") continue
    return { rule, severity, span: site.span, message: fault.message, advice: fault.advice, site, allowed: undefined }
  }
  return undefined
}

/** What is wrong with a suppression that allowed nothing. */
const faultsOf = (
  suppression: Suppressions.Suppression,
  sites: ReadonlyArray<JudgedSite>,
  lines: TextLines,
  severities: Severities
): ReadonlyArray<Verdict> => {
  const make = (rule: Rule, fault: Fault): ReadonlyArray<Verdict> => {
    const severity = severityOf(rule, fault, severities)
    return severity === "off"
      ? []
      : [{ rule, severity, span: suppression.span, site: undefined, allowed: undefined, ...withoutSeverity(fault) }]
  }
  const form = "`auditlog-lint: allow RULE — REASON`"
  if (!suppression.isComplete) {
    return make(Rules.suppressionWithoutReason, {
      message: "a suppression names no rule, and allows nothing",
      advice: `write ${form}`
    })
  }
  if (suppression.reason === "") {
    return make(Rules.suppressionWithoutReason, {
      message: "a suppression gives no reason, and allows nothing",
      advice: `write ${form}`
    })
  }
  const unknown = suppression.rules.find((name) => !Rules.names.includes(name))
  if (unknown !== undefined) {
    return make(Rules.unusedSuppression, {
      message: `a suppression allows ${unknown}, which is no rule`,
      advice: `the rules are: ${Rules.names.join(", ")}`
    })
  }
  const beside = sites.find(({ site, verdict }) =>
    verdict !== undefined && Suppressions.standsAt(suppression, site, lines)
  )?.verdict
  if (beside !== undefined) {
    return make(Rules.unusedSuppression, {
      message: `a suppression allows ${suppression.rules.join(", ")}, but what is found here is ${beside.rule.name}`,
      advice: "correct the code, or the name of the rule and the reason"
    })
  }
  const around = sites.findLast(({ site, verdict }) =>
    verdict !== undefined && site.statement.start <= suppression.span.start &&
    suppression.span.end <= site.statement.end
  )
  return make(Rules.unusedSuppression, {
    message: "a suppression stands where there is nothing to allow",
    advice: around === undefined ? "remove it" : `move it to line ${lines.lineAt(around.site.span.start)}, or above it`
  })
}

const withoutSeverity = ({ advice, message }: Fault): Pick<Fault, "advice" | "message"> => ({ advice, message })
