/**
 * What an append takes from the fiber that calls it (time, trace) and gives back to it (spans, warnings, counts).
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import type * as AuditError from "../AuditError.ts"
import * as Codec from "../Codec.ts"
import * as SizePolicy from "../SizePolicy.ts"
import * as Metrics from "./metrics.ts"

const countError = (error: AuditError.AuditError): Effect.Effect<void> =>
  Metric.update(Metrics.errors(error.reason._tag), 1)

/**
 * Counts the failures of an append. A transaction whose record an outbox did not take is refused, whatever kept the append
 * from its end: a failure, a defect, or an interruption.
 */
export const watching = (
  refuse: ((cause: Cause.Cause<AuditError.AuditError>) => Effect.Effect<void>) | undefined
) =>
<B>(append: Effect.Effect<B, AuditError.AuditError>): Effect.Effect<B, AuditError.AuditError> => {
  return refuse === undefined
    ? Effect.tapError(append, countError)
    : Effect.onExitPrimitive(append, (exit) => {
      if (Exit.isSuccess(exit)) return undefined
      const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
      return error === undefined ? refuse(exit.cause) : Effect.andThen(countError(error), refuse(exit.cause))
    })
}

export const warnOversize = Effect.fnUntraced(
  function*(records: ReadonlyArray<Codec.Encoded>, limits: SizePolicy.Limits) {
    for (const record of records) {
      if (!SizePolicy.isOversize(limits, record)) continue
      const sizeBytes = Codec.lineBytesMax(record.fieldsBytes, limits.key, record.source)
      const { limitBytes } = limits.sizePolicy
      const which = record.tag === undefined ? "audit record" : `audit record ${JSON.stringify(record.tag)}`
      yield* Metric.update(Metrics.oversize, 1)
      yield* Effect.logWarning(
        `${which} is ${sizeBytes} bytes; the limit is ${limitBytes}. It is written; ` +
          `pipes and shell tools may split a line of this length`
      ).pipe(Effect.annotateLogs({
        "auditlog.size_bytes": sizeBytes,
        "auditlog.limit_bytes": limitBytes,
        ...(record.tag === undefined ? {} : { "auditlog.tag": record.tag })
      }))
    }
  }
)

// toISOString costs 0.5 µs, several times that where the caches are cold, and a second has many records.
let stampedMillis = Number.NaN
let stamped = ""
let second = Number.NaN
let toSecond = ""

/** 9999-12-31T23:59:59.999Z: later years have more than four digits, and RFC 3339 has no form for them. */
const millisMax = 253_402_300_799_999

export const timestamp = (fiber: Fiber.Fiber<unknown, unknown>): string => {
  // a clock that is out of range is wrong by thousands of years; the record counts more than its time
  const millis = Math.min(Math.max(fiber.getRef(Clock.Clock).currentTimeMillisUnsafe(), 0), millisMax)
  if (millis !== stampedMillis) {
    const seconds = Math.floor(millis / 1000)
    if (seconds !== second) {
      toSecond = new Date(seconds * 1000).toISOString().slice(0, -"000Z".length)
      second = seconds
    }
    const thousandths = Math.trunc(millis) - seconds * 1000
    stamped = toSecond + (thousandths > 99 ? "" : thousandths > 9 ? "0" : "00") + thousandths + "Z"
    stampedMillis = millis
  }
  return stamped
}

const traceId = /^[0-9a-f]{32}$/
const spanId = /^[0-9a-f]{16}$/

export const trace = (fiber: Fiber.Fiber<unknown, unknown>): string | undefined => {
  const span = fiber.cache.span
  if (span === undefined || !traceId.test(span.traceId) || !spanId.test(span.spanId)) return undefined
  return `${span.traceId}-${span.spanId}`
}

// A span costs 6.5 µs, several times that where the caches are cold: worth it only where the program traces, that is where
// a span is current and goes further than Effect's default tracer, which keeps it to itself. A stack trace for it would
// cost 16 µs more, and would show this file.
export const traced = <B, E>(
  name: string,
  fiber: Fiber.Fiber<unknown, unknown>,
  records: number,
  effect: Effect.Effect<B, E>
): Effect.Effect<B, E> =>
  fiber.cache.span === undefined || (fiber.cache.tracer ?? Tracer.nativeTracer) === Tracer.nativeTracer
    ? effect
    : Effect.withSpan(effect, name, { attributes: { "auditlog.records": records }, captureStackTrace: false })
