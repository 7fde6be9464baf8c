/**
 * Removes sealed segments that every required destination has.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { Appender } from "../Appender.ts"
import type * as AuditError from "../AuditError.ts"
import * as Codec from "../Codec.ts"
import type { FilePort } from "./filePort.ts"
import * as ResumePoint from "./resumePoint.ts"
import type { SegmentRemoved } from "./retention.ts"
import * as Retention from "./retention.ts"
import type { Pump } from "./shipPump.ts"
import * as SourceSegments from "./sourceSegments.ts"

/** Whether one destination, which stands there, has a segment to its end: also what a late write may have added. */
const hasPassed = (
  port: FilePort,
  live: string,
  listed: ReadonlyArray<SourceSegments.Listed>,
  resume: string | undefined
): (path: string) => boolean => {
  const places = resume === undefined ? [] : ResumePoint.parse(resume) ?? []
  const current = places.at(-1)
  const at = listed.findLastIndex((segment) =>
    segment.inode === current?.inode && SourceSegments.name(port, live, segment) === current.name
  )
  return (path) => {
    const i = listed.findIndex((segment) => segment.path === path)
    const segment = listed[i]
    if (segment === undefined || i >= at) return false
    const earlier = places.find(({ inode }) => inode === segment.inode)
    return earlier === undefined || earlier.offset >= segment.bytes
  }
}

interface Options {
  readonly port: FilePort
  readonly live: string
  readonly clock: Clock.Clock
  readonly limits: { readonly ageMillis: number; readonly bytes: number }
  readonly appender: Effect.Effect<Appender["Service"], AuditError.AuditError, Scope.Scope>
  readonly required: ReadonlyArray<Pump>
}

const apply = Effect.fnUntraced(function*(options: Options) {
  const { clock, live, port, required } = options
  const appender = yield* options.appender
  const nowMillis = () => clock.currentTimeMillisUnsafe()
  const listed = SourceSegments.list(port, live)
  const passed = required.map(({ head }) => hasPassed(port, live, listed, head?.resume))
  const problems: Array<string> = []
  yield* Retention.apply({
    port,
    live,
    limits: options.limits,
    nowMillis,
    mayRemove: (path) => passed.length > 0 && passed.every((has) => has(path)),
    append: (record) =>
      Effect.tap(
        append(record, nowMillis(), appender),
        () => {
          const count = record.records === 1 ? "1 record" : `${record.records} records`
          return tell(live, `removing ${record.segment}, which every destination has (${count})`)
        }
      ),
    warned: (problem) => problems.push(problem)
  })
  for (const problem of problems) yield* warn(live, problem)
})

const warn = (live: string, problem: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning(`audit log: ${problem}`), { "auditlog.path": live })

const tell = (live: string, what: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logInfo(`audit log: ${what}`), { "auditlog.path": live })

const checkMillis = 60_000

/** Removes what every required destination has and nobody is to keep. */
export const prune = (options: Options): Effect.Effect<void> =>
  Effect.scoped(apply(options)).pipe(
    Effect.catch((error) => warn(options.live, `shipped segments stay: ${error.message}`))
  )

/** Looks once a minute, for ever. */
export const keep = (required: ReadonlyArray<Pump>, pruned: Effect.Effect<void>): Effect.Effect<never> => {
  // before that nothing could be removed, or not enough is known
  const caughtUp = Effect.forEach(required, (pump) => Effect.ignore(pump.caughtUp), { concurrency: "unbounded" })
  return caughtUp.pipe(
    Effect.andThen(pruned),
    Effect.andThen(Effect.sleep(checkMillis)),
    Effect.forever
  )
}

/** Appends a record of the library's own. */
const append = (
  record: SegmentRemoved,
  nowMillis: number,
  appender: Appender["Service"]
): Effect.Effect<unknown, AuditError.AuditError> => {
  const encoded = Codec.encode(record, { at: new Date(nowMillis).toISOString(), value: record })
  return Result.isFailure(encoded) ? Effect.die(encoded.failure) : appender.append([encoded.success])
}
