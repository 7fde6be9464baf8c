/**
 * What the file appender tells the world: metrics, and messages through Effect's logger.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Observer } from "./logObserver.ts"
import * as Metrics from "./metrics.ts"

/** Reports under the logger and the metrics of a context; `onSealed` is called after each rotation. */
export const makeObserver = (path: string, context: Context.Context<never>, onSealed: () => void): Observer => {
  const log = (effect: Effect.Effect<void>): void => {
    Effect.runForkWith(context)(Effect.annotateLogs(effect, { "auditlog.path": path }))
  }
  const doubted = new Set<string>()
  return {
    stored: (groups, records, bytes) => {
      Metrics.appends.updateUnsafe(records, context)
      Metrics.bytes.updateUnsafe(bytes, context)
      Metrics.batchRecords.updateUnsafe(records, context)
      const now = performance.now()
      for (const { entry } of groups) Metrics.appendSeconds.updateUnsafe((now - entry.since) / 1000, context)
    },
    flushed: () => Metrics.fsyncs.updateUnsafe(1, context),
    healed: (offset, whole) => {
      Metrics.healed.updateUnsafe(1, context)
      log(
        whole
          ? Effect.logWarning(
            `audit log: a whole record before byte ${offset} had no newline, so it was set apart and does not count: ` +
              `its write lost the last byte, or a program, such as an editor, has taken the newline away from an ` +
              `acknowledged record. "auditlog cat --salvage" shows it`
          )
          : Effect.logInfo(
            `a torn line before byte ${offset} was set apart by a resync line; nothing acknowledged is lost`
          )
      )
    },
    truncated: (fromBytes, toBytes) => {
      Metrics.truncations.updateUnsafe(1, context)
      log(Effect.logError(
        `the log was cut from outside, from ${fromBytes} to ${toBytes} bytes: records are lost. ` +
          `If this is logrotate, use "create" instead of "copytruncate"`
      ))
    },
    removed: (bytes) => {
      Metrics.truncations.updateUnsafe(1, context)
      log(Effect.logError(
        `the log was removed from outside, with ${bytes} bytes of records, which are lost unless there is a copy; ` +
          `appends go on in a new file. A log is rotated by renaming it`
      ))
    },
    doubted: (key) => {
      if (doubted.has(key)) return
      doubted.add(key)
      log(Effect.logWarning(
        `audit log: a record under the key ${
          JSON.stringify(key)
        } has not the HMAC that the given secret makes: it was ` +
          `altered, or this is not the secret that the log is written with. Records of two secrets under one id cannot ` +
          `be verified together`
      ))
    },
    sealed: (segment) => {
      Metrics.rotations.updateUnsafe(1, context)
      log(Effect.logInfo(`the log was sealed as ${segment}`))
      onSealed()
    },
    warned: (problem) => log(Effect.logWarning(`audit log: ${problem}`)),
    poisoned: (reason) => log(Effect.logError(`the audit log stops: ${reason.message}`))
  }
}
