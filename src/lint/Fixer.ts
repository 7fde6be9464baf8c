/**
 * `--fix` and `--diff`: rewrites what can be rewritten without a doubt, one statement at a time, and says why not
 * otherwise. Nothing else in a file changes by a byte, and what was rewritten is linted again before it counts.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as AtomicFile from "./internal/atomicFile.ts"
import type { Verdict } from "./internal/judge.ts"
import * as LineDiff from "./internal/lineDiff.ts"
import * as ReadSource from "./internal/readSource.ts"
import type { LintedFile } from "./Linter.ts"
import type { Fix } from "./Site.ts"

type Edit = Fix["edits"][number]

/**
 * A finding that stays, and why.
 *
 * @category models
 * @since 0.1.0
 */
export interface Refusal {
  readonly file: string
  readonly line: number
  readonly rule: string
  readonly reason: string
}

/**
 * What would become of a file. `edits` are in order; there are none if nothing can be rewritten.
 *
 * @category models
 * @since 0.1.0
 */
export interface Plan {
  readonly file: LintedFile
  readonly edits: ReadonlyArray<Edit>
  readonly fixed: number
  readonly refusals: ReadonlyArray<Refusal>
}

/**
 * Plans the rewriting of a file.
 *
 * @category planning
 * @since 0.1.0
 */
export const plan = (file: LintedFile): Effect.Effect<Plan> =>
  Effect.promise(async () => {
    const refuse = (verdict: Verdict, reason: string): Refusal => ({
      file: file.name,
      line: file.lines.lineAt(verdict.span.start),
      rule: verdict.rule.name,
      reason
    })
    const open = file.judgement.verdicts.filter(({ allowed, site }) => allowed === undefined && site !== undefined)
    const refusals: Array<Refusal> = []
    const chosen: Array<{ readonly verdict: Verdict; readonly edits: ReadonlyArray<Edit> }> = []
    for (const verdict of open) {
      const fix = verdict.site?.fix
      if (!verdict.rule.isFixable) refusals.push(refuse(verdict, "a person has to decide"))
      else if (fix?._tag !== "Fix") refusals.push(refuse(verdict, fix?.reason ?? "there is no statement to rewrite"))
      else if (!file.source.isExact) refusals.push(refuse(verdict, "the file is not valid UTF-8"))
      else if (chosen.some((other) => overlap(other.edits, fix.edits))) {
        refusals.push(refuse(verdict, "it shares code with another one; fix again"))
      } else chosen.push({ verdict, edits: fix.edits })
    }
    const edits = merged(chosen.flatMap((one) => one.edits))
    if (chosen.length === 0) return { file, edits, fixed: 0, refusals }
    const again = await file.judgeText(LineDiff.apply(file.lines.text, edits))
    const before = await file.judgeText(file.lines.text)
    const isClean = again.unparsed <= before.unparsed &&
      again.verdicts.length <= file.judgement.verdicts.length - chosen.length
    if (isClean) return { file, edits, fixed: chosen.length, refusals }
    const reason = "the rewritten file would not be clean"
    return {
      file,
      edits: [],
      fixed: 0,
      refusals: [...refusals, ...chosen.map(({ verdict }) => refuse(verdict, reason))]
    }
  })

const isSame = (a: Edit, b: Edit): boolean =>
  a.span.start === b.span.start && a.span.end === b.span.end && a.text === b.text

/** Two sites that need the same import have the same edit: it is made once. */
const overlap = (some: ReadonlyArray<Edit>, others: ReadonlyArray<Edit>): boolean =>
  some.some((a) =>
    others.some((b) =>
      !isSame(a, b) && a.span.start < Math.max(b.span.end, b.span.start + 1) &&
      b.span.start < Math.max(a.span.end, a.span.start + 1)
    )
  )

const merged = (edits: ReadonlyArray<Edit>): ReadonlyArray<Edit> =>
  [...edits]
    .sort((a, b) => a.span.start - b.span.start || a.span.end - b.span.end)
    .filter((edit, index, all) => {
      const before = all[index - 1]
      return before === undefined || !isSame(edit, before)
    })

/**
 * The diff of a plan.
 *
 * @category planning
 * @since 0.1.0
 */
export const diff = ({ edits, file }: Plan): string => LineDiff.unified(file.name, file.lines.text, edits)

/**
 * Carries a plan out.
 *
 * @category writing
 * @since 0.1.0
 */
export const write = ({ edits, file }: Plan) =>
  edits.length === 0
    ? Effect.void
    : AtomicFile.write(file.path, ReadSource.encode(LineDiff.apply(file.lines.text, edits), file.source))
