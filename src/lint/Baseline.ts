/**
 * The findings that a project lives with for now: `auditlog.baseline.json`. An entry is known by rule, path and code,
 * and not by line, so that it survives edits elsewhere; one for which there is no finding any more is stale, and fails.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Crypto from "node:crypto"
import type { StaleEntry } from "./Diagnostic.ts"
import { LintError } from "./LintError.ts"

/**
 * The name of the file, where the configuration gives no other.
 *
 * @category constants
 * @since 0.1.0
 */
export const fileName = "auditlog.baseline.json"

/** A snippet is there for people; its hash is of the whole. */
const snippetLengthMax = 160

/**
 * A finding that is known. `count`: how often the same code stands in the file.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Entry = Schema.Struct({
  rule: Schema.NonEmptyString,
  path: Schema.NonEmptyString,
  snippet: Schema.String,
  fingerprint: Schema.NonEmptyString,
  count: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
})

/**
 * The type of {@link Entry}.
 *
 * @category schemas
 * @since 0.1.0
 */
export type Entry = typeof Entry.Type

/**
 * The content of the file.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Baseline = Schema.Struct({
  version: Schema.Literal(1),
  entries: Schema.Array(Entry)
})

/**
 * What the baseline needs to know of a finding. `path` is relative to the project's root.
 *
 * @category models
 * @since 0.1.0
 */
export interface Known {
  readonly rule: string
  readonly path: string
  readonly code: string
}

const normalised = (code: string): string => code.replaceAll(/\s+/g, " ").trim()

/**
 * What identifies a finding across edits.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fingerprint = ({ code, path, rule }: Known): string =>
  Crypto.hash("sha256", `${rule}\0${path}\0${normalised(code)}`, "hex").slice(0, 32)

/**
 * The entries for findings, in an order that makes small diffs.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (findings: ReadonlyArray<Known>): ReadonlyArray<Entry> => {
  const entries = new Map<string, Entry>()
  for (const finding of findings) {
    const key = fingerprint(finding)
    const before = entries.get(key)
    entries.set(key, {
      rule: finding.rule,
      path: finding.path,
      snippet: normalised(finding.code).slice(0, snippetLengthMax),
      fingerprint: key,
      count: (before?.count ?? 0) + 1
    })
  }
  const order = (entry: Entry): string => `${entry.path}\0${entry.rule}\0${entry.fingerprint}`
  return [...entries.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1))
}

/**
 * A baseline in use: `take` says whether a finding is known, as often as its entry counts; `stale` are the entries that
 * nothing took, of the files that the run looked at.
 *
 * @category models
 * @since 0.1.0
 */
export interface Matcher {
  readonly take: (fingerprint: string) => boolean
  readonly stale: (isInScope: (path: string) => boolean) => ReadonlyArray<StaleEntry>
}

/**
 * Matches findings against entries.
 *
 * @category constructors
 * @since 0.1.0
 */
export const matcher = (entries: ReadonlyArray<Entry>): Matcher => {
  const left = new Map(entries.map((entry) => [entry.fingerprint, entry.count]))
  return {
    take: (key) => {
      const count = left.get(key) ?? 0
      if (count > 0) left.set(key, count - 1)
      return count > 0
    },
    stale: (isInScope) =>
      entries.flatMap(({ fingerprint, path, rule, snippet }) => {
        const missing = left.get(fingerprint) ?? 0
        return missing > 0 && isInScope(path) ? [{ rule, path, snippet, missing }] : []
      })
  }
}

/**
 * The text of the file.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = (entries: ReadonlyArray<Entry>): string => `${JSON.stringify({ version: 1, entries }, null, 2)}\n`

/**
 * Reads a baseline; `undefined` if there is none.
 *
 * @category loading
 * @since 0.1.0
 */
export const load = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const text = yield* fs.readFileString(file).pipe(
    Effect.catch((error) =>
      error.reason._tag === "NotFound"
        ? Effect.undefined
        : Effect.fail(new LintError({ problems: [`${file}: the baseline cannot be read (${error.reason._tag})`] }))
    )
  )
  if (text === undefined) return undefined
  const decoded = Schema.decodeUnknownResult(Schema.fromJsonString(Baseline))(text)
  if (Result.isSuccess(decoded)) return decoded.success.entries
  const problem = decoded.failure.message.replaceAll(/\n\s*/g, " ")
  return yield* new LintError({
    problems: [`${file}: is no baseline: ${problem}. --update-baseline writes a new one; the old one has to be removed`]
  })
})
