/**
 * Comments that allow a fault: `auditlog-lint: allow RULE — REASON`, and the older `vault-atomic-lint: ok — REASON`
 * for any rule.
 *
 * @since 0.1.0
 */
import type { Comment } from "../Language.ts"
import type { Site, Span } from "../Site.ts"
import type { TextLines } from "./textLines.ts"

/** A suppression. `rules` is empty in the older form, which allows any. */
export interface Suppression {
  readonly span: Span
  readonly rules: ReadonlyArray<string>
  readonly reason: string
  /** Whether it names what it allows. */
  readonly isComplete: boolean
  /** The lines on which a site is allowed by it. */
  readonly lines: ReadonlySet<number>
}

// the mark may be an em or en dash, one or more hyphens, or a colon; rule names have hyphens without blanks around
const form =
  /^\s*(?:\*\s*)?(?:auditlog-lint:\s*allow\b(?<rules>[^—–:]*?)|vault-atomic-lint:\s*ok\b)(?<rest>\s*(?:[—–:]|--?(?=\s|$)).*|\s*)$/su

/** The suppressions among the comments of a file. */
export const find = (comments: ReadonlyArray<Comment>, lines: TextLines): ReadonlyArray<Suppression> =>
  comments.flatMap((comment) => {
    if (!comment.text.includes("-lint:")) return []
    const groups = form.exec(comment.text.replace(/\s+-{1,2}\s+/, " — "))?.groups
    if (groups === undefined) return []
    const names = groups["rules"]
    const rules = (names ?? "").split(/[\s,]+/).filter((name) => name !== "")
    return [{
      span: comment.span,
      rules,
      reason: (groups["rest"] ?? "").replace(/^[\s—–:-]+/u, "").trim(),
      isComplete: names === undefined || rules.length > 0,
      lines: linesOf(comment.span, comments, lines)
    }]
  })

/**
 * Its own lines, and, where it stands alone, the line below. Further comments alone on their lines may come between: the
 * reason goes on, or another suppression follows.
 */
const linesOf = (span: Span, comments: ReadonlyArray<Comment>, lines: TextLines): ReadonlySet<number> => {
  const first = lines.lineAt(span.start)
  const last = lines.lineAt(Math.max(span.start, span.end - 1))
  const own = new Set<number>()
  for (let line = first; line <= last; line++) own.add(line)
  if (!standsAlone(span, lines)) return own
  let below = last + 1
  for (;;) {
    const at = lines.startOf(below)
    const next = comments.find((comment) =>
      comment.span.start >= at && lines.lineAt(comment.span.start) === below && standsAlone(comment.span, lines)
    )
    if (next === undefined || below > lines.count) break
    below = lines.lineAt(Math.max(next.span.start, next.span.end - 1)) + 1
  }
  return own.add(below)
}

const standsAlone = (span: Span, lines: TextLines): boolean => {
  const start = lines.startOf(lines.lineAt(span.start))
  return lines.text.slice(start, span.start).trim() === ""
}

/** Whether a suppression stands at a site: on its first or last line, or that of its statement, or above. */
export const standsAt = (suppression: Suppression, site: Site, lines: TextLines): boolean =>
  [site.span.start, site.statement.start, Math.max(site.span.start, site.span.end - 1)]
    .some((offset) => suppression.lines.has(lines.lineAt(offset)))

/** Whether a suppression allows a rule. */
export const allows = ({ isComplete, reason, rules }: Suppression, rule: string): boolean =>
  isComplete && reason !== "" && (rules.length === 0 || rules.includes(rule))
