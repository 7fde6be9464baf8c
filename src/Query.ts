/**
 * Conditions in text, and the predicate over entries that they make: what `--where` understands. Pure.
 *
 * `actor=ada`, `role!=admin`, `amount>=100`, `tag~^Role`: a path, an operator, a value. Several conditions, separated by
 * space, all have to hold.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Conditions from "./internal/conditions.ts"
import type * as LogEntry from "./LogEntry.ts"

/**
 * A query that cannot be understood: `problem` at the character `offset` of `text`, which is this `part` of it.
 *
 * @category errors
 * @since 0.1.0
 */
export class QueryError extends Schema.TaggedError<QueryError>("effect-auditlog/QueryError")("QueryError", {
  part: Schema.Literals(["where", "since", "until", "writer", "transaction"]),
  text: Schema.String,
  offset: Schema.Natural,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.part} ${JSON.stringify(this.text)}, character ${this.offset + 1}: ${this.problem}`
  }
}

/**
 * What is asked of a log. All of it has to hold.
 *
 * **Details**
 *
 * `where`: conditions. `since` and `until`: times in RFC 3339, or how long ago, such as `2 hours`; an entry at `since` is
 * in, one at `until` is not. `writer` and `transaction`: an id, or its end.
 *
 * In a condition the path leads into the record's fields: `user.id`, with quotes where a key has other characters than
 * letters, digits, `_`, `-` and `$`. `tag` is short for `_tag`, and `_audit.seq` and the like lead into the stamp. The
 * operators are `=`, `!=`, `<`, `<=`, `>`, `>=`, `~` and `!~` (regular expression). A value ends at a space; in double
 * quotes (`\"` and `\\` are escapes) or single ones it may have any. Two numbers compare as numbers, everything else as
 * text. A condition on an array holds if it does for one of its elements. `!=` and `!~` are the opposites of `=` and `~`,
 * so they hold for a record without that field.
 *
 * @category models
 * @since 0.1.0
 */
export interface Query {
  readonly where?: ReadonlyArray<string> | undefined
  readonly since?: string | undefined
  readonly until?: string | undefined
  readonly writer?: string | undefined
  readonly transaction?: string | undefined
}

/**
 * Whether an entry is asked for. Given to `LogReader.read` as `matching`, it makes reading faster the rarer its answers
 * are.
 *
 * @category models
 * @since 0.1.0
 */
export type Predicate = LogEntry.Predicate

/**
 * Makes the predicate of a query; `now` is the time, in milliseconds since 1970, that a duration counts back from.
 *
 * **Gotchas**
 *
 * A foreign line has no time, no writer and no transaction: a query for one of these never finds it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (query: Query, now: number): Result.Result<Predicate, QueryError> => {
  const tests: Array<(entry: Entry) => boolean> = []
  const values: Array<Conditions.ValueTraits> = []
  const stampTraits: { -readonly [K in "since" | "until" | "writer" | "transaction"]?: string } = {}
  for (const text of query.where ?? []) {
    const conditions = Conditions.parse(text)
    if (Result.isFailure(conditions)) return Result.fail(new QueryError({ part: "where", text, ...conditions.failure }))
    for (const condition of conditions.success) {
      const { holds, traits: found } = condition
      tests.push((entry) => holds(entry._tag === "Foreign" ? entry.value : entry.fields, stampOf(entry)))
      if (found !== undefined) values.push(found)
    }
  }
  for (const part of ["since", "until"] as const) {
    const text = query[part]
    if (text === undefined) continue
    const time = timeOf(text, now)
    if (Result.isFailure(time)) return Result.fail(new QueryError({ part, text, ...time.failure }))
    stampTraits[part] = time.success
    tests.push((entry) => {
      const at = stampOf(entry)?.at
      return at !== undefined && (part === "since" ? at >= time.success : at < time.success)
    })
  }
  for (const part of ["writer", "transaction"] as const) {
    const text = query[part]
    if (text === undefined) continue
    const fault = idFault(text)
    if (fault !== undefined) return Result.fail(new QueryError({ part, text, ...fault }))
    const end = text.toUpperCase()
    stampTraits[part] = end
    tests.push((entry) => {
      const stamp = stampOf(entry)
      const id = part === "writer" ? stamp?.writer : stamp?.tx?.id
      return id !== undefined && id.endsWith(end)
    })
  }
  const traits = { ...stampTraits, ...rarest(values) }
  const predicate = (entry: Entry): boolean => tests.every((test) => test(entry))
  return Result.succeed(Object.assign(predicate, Object.keys(traits).length > 0 ? { traits } : {}))
}

/**
 * Whether an entry is a record or a foreign line that is not asked for. Everything else is about the log itself, which
 * no query hides.
 *
 * @category predicates
 * @since 0.1.0
 */
export const hides = (predicate: Predicate, entry: LogEntry.LogEntry): boolean =>
  (entry._tag === "Record" || entry._tag === "Foreign" || entry._tag === "Salvaged") && !predicate(entry)

/** The trait that the fewest lines should have: the longest text, else a number. */
const rarest = (values: ReadonlyArray<Conditions.ValueTraits>): Conditions.ValueTraits =>
  values.toSorted((a, b) => (b.text?.length ?? 0) - (a.text?.length ?? 0))[0] ?? {}

type Entry = LogEntry.AuditRecord | LogEntry.Foreign | LogEntry.Salvaged

const stampOf = (entry: Entry): LogEntry.AuditRecord["stamp"] | undefined =>
  entry._tag === "Foreign" ? undefined : entry.stamp

const idFault = (text: string): Conditions.Fault | undefined => {
  const offset = text.search(/[^0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]/)
  if (offset >= 0) return { offset, problem: "an id has digits and letters only, without I, L, O and U" }
  if (text.length > 26) return { offset: 26, problem: "an id has 26 characters" }
  return text === "" ? { offset: 0, problem: "an id, or its end, should stand here" } : undefined
}

const unitMillis: { readonly [unit: string]: number } = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000
}

const duration =
  /^\s*(\d+(?:\.\d+)?)\s*(?:(ms|milliseconds?|millis)|(s|sec|seconds?)|(m|min|minutes?)|(h|hours?)|(d|days?)|(w|weeks?))(?:\s+ago)?\s*$/i

const rfc3339 = /^\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:\d\d))?$/

/** The time a text means, as stamps have it: they compare as text. */
const timeOf = (text: string, now: number): Result.Result<string, Conditions.Fault> => {
  const fail = (problem: string, offset = 0) => Result.fail({ offset, problem })
  const ago = duration.exec(text)
  if (ago !== null) {
    const unit = Object.keys(unitMillis)[ago.slice(2).findIndex((found) => found !== undefined)]!
    return stampTime(now - Number(ago[1]) * unitMillis[unit]!) ?? fail("it is too long ago")
  }
  const trimmed = text.trim()
  if (!rfc3339.test(trimmed)) {
    const zoneless = rfc3339.test(`${trimmed}Z`)
    return zoneless
      ? fail(`a time needs its zone: Z, or an offset such as +02:00`, text.trimEnd().length)
      : fail(`expected a time such as 2026-11-23T09:00:00Z, a date, or how long ago, such as "2 hours"`)
  }
  const time = dayExists(trimmed) ? stampTime(Date.parse(trimmed.toUpperCase().replace(" ", "T"))) : undefined
  return time ?? fail("there is no such time")
}

const stampTime = (millis: number): Result.Result<string> | undefined => {
  const time = new Date(millis)
  const year = time.getUTCFullYear()
  return year >= 0 && year <= 9999 ? Result.succeed(time.toISOString()) : undefined
}

/** `Date.parse` takes the 30th of February for the 2nd of March. */
const dayExists = (text: string): boolean => {
  const [year, month, day] = text.slice(0, 10).split("-").map(Number) as [number, number, number]
  return new Date(Date.UTC(year, month - 1, day)).getUTCDate() === day
}
