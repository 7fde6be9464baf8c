/**
 * An appender that answers when destinations have what was appended.
 *
 * The local append comes first, so that the record is durable here whatever the network does. Then a look at the log that
 * begins after it must be shipped whole: no position, no hash has to be compared, and it is true across rotations, retries
 * and the writes of other processes.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { Appender } from "../Appender.ts"
import * as AuditError from "../AuditError.ts"
import type { Written } from "../AuditRecord.ts"
import * as Metrics from "./shipMetrics.ts"
import type { Pump } from "./shipPump.ts"

export interface Options {
  readonly path: string
  readonly required: ReadonlyArray<Pump>
  readonly timeoutMillis: number
  readonly onTimeout: "fail" | "degrade"
  readonly waitsForRoom: boolean
}

interface Missing {
  readonly pump: Pump
  readonly problem: string
}

export const acknowledging = (inner: Appender["Service"], options: Options): Appender["Service"] => {
  const { onTimeout, path, required, timeoutMillis, waitsForRoom } = options
  const chunkBytesMax = Math.min(...required.map((pump) => pump.destination.capabilities.chunkBytesMax))
  const { limits } = inner

  const wait = (pump: Pump): Effect.Effect<Missing | undefined> =>
    Effect.suspend(() => {
      if (onTimeout === "degrade" && pump.isDegraded) {
        return Effect.succeed<Missing>({ pump, problem: "it has not caught up yet" })
      }
      return pump.caughtUp.pipe(
        Effect.as(undefined),
        Effect.timeoutOrElse({
          duration: timeoutMillis,
          orElse: () =>
            Effect.sync((): Missing => ({
              pump,
              problem: `no acknowledgement within ${timeoutMillis} ms${pump.problem === "" ? "" : `; ${pump.problem}`}`
            }))
        }),
        Effect.catchTag("Stopped", ({ problem }) => Effect.succeed<Missing>({ pump, problem }))
      )
    })

  const waitAll: Effect.Effect<ReadonlyArray<Missing>> = Effect.map(
    Effect.forEach(required, wait, { concurrency: "unbounded" }),
    (found) => found.filter((missing) => missing !== undefined)
  )

  const fail = (missing: ReadonlyArray<Missing>): Effect.Effect<never, AuditError.AuditError> =>
    Effect.fail(AuditError.make(
      new AuditError.NotReplicated({
        path,
        destinations: missing.map(({ pump }) => pump.destination.name),
        problem: missing.map(({ problem }) => problem).join("; ")
      })
    ))

  const degrade = Effect.fnUntraced(function*(missing: ReadonlyArray<Missing>) {
    for (const { problem, pump } of missing) {
      const { name } = pump.destination
      yield* Metric.update(Metrics.degraded(name), 1)
      if (pump.isDegraded) continue
      pump.degrade()
      yield* Effect.logError(`audit log: appends no longer wait for ${name}, until it has caught up: ${problem}`).pipe(
        Effect.annotateLogs({ "auditlog.path": path })
      )
    }
  })

  const answer = (
    written: ReadonlyArray<Written>,
    missing: ReadonlyArray<Missing>
  ): Effect.Effect<ReadonlyArray<Written>, AuditError.AuditError> => {
    if (missing.length === 0) {
      return Effect.succeed(written.map((receipt) => ({ ...receipt, durability: "replicated" as const })))
    }
    return onTimeout === "fail" ? fail(missing) : Effect.as(degrade(missing), written)
  }

  const append: Appender["Service"]["append"] = (records) =>
    records.length === 0 ? inner.append(records) : Effect.flatMap(
      inner.append(records),
      (written) => Effect.flatMap(waitAll, (missing) => answer(written, missing))
    )

  const room = Effect.forEach(required, (pump) => pump.room.await, { discard: true })
  return {
    limits: {
      ...limits,
      recordBytesMax: Math.min(limits.recordBytesMax, chunkBytesMax),
      transactionBytesMax: Math.min(limits.transactionBytesMax, chunkBytesMax)
    },
    append: waitsForRoom ? (records) => Effect.andThen(room, append(records)) : append
  }
}
