/**
 * Takes committed rows from an outbox to the log: each of them once, in the order of their numbers, through the death of
 * this process at any point, lost connections, commits whose outcome is unknown, and a second relay.
 *
 * It reads the lowest rows, appends them as transactions of the log, and deletes each batch when it is durable, while the
 * next one is appended. What a relay that died had appended and not deleted is found in the log before anything is
 * appended again. docs/sql.md tells why it holds.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as FileSystem from "effect/FileSystem"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"
import { resolve } from "node:path"
import type { AuditError } from "./AuditError.ts"
import * as FileAppender from "./FileAppender.ts"
import { explain } from "./internal/errorChain.ts"
import * as OutboxBell from "./internal/outboxBell.ts"
import * as OutboxDrain from "./internal/outboxDrain.ts"
import * as OutboxMetrics from "./internal/outboxMetrics.ts"
import type { OutboxError } from "./OutboxError.ts"
import type { ReadError } from "./ReadError.ts"

/**
 * The options of a relay: those of the log's file, and its own.
 *
 * **Details**
 *
 * The log is always flushed before rows are deleted, so there is no `sync`. `poll` is how long the relay waits before it
 * looks again when nothing wakes it, by default 1 second; transactions of the same process wake it at once.
 * `notifications` is a stream whose elements wake it too, such as `pg.listen("audit_outbox")` of `@effect/sql-pg`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Omit<FileAppender.Options, "sync"> {
  readonly poll?: Duration.Input | undefined
  readonly notifications?: Stream.Stream<unknown, unknown> | undefined
}

/**
 * What ends a relay.
 *
 * @category errors
 * @since 0.1.0
 */
export type RelayError = OutboxError | AuditError | SqlError | ReadError

const pollDefault = Duration.seconds(1)

/** After a batch that was not full: many small transactions share the next one, and a flush of the log. */
const lingerMillis = 5

/** The first pause after a failure, and the longest. */
const retryMillisFirst = 100
const retryMillisMax = 30_000

/** How often the backlog is counted. */
const metricsMillis = 5000

/** Opens the log and takes over the outbox: what stands in both before the first batch. */
const open = (
  options: Options,
  distrust: boolean
): Effect.Effect<OutboxDrain.Drain, RelayError, SqlClient | FileSystem.FileSystem | Scope.Scope> =>
  Effect.gen(function*() {
    const { notifications: _, poll: __, ...file } = options
    const path = resolve(options.path)
    return yield* OutboxDrain.open({
      sql: yield* SqlClient,
      relay: SecureRandom.ulidUnsafe(),
      path,
      keys: options.key === undefined ? undefined : [options.key],
      appender: FileAppender.make({ ...file, path, sync: "always" }),
      distrust
    })
  })

/**
 * Drains what is committed now, and returns how many records that were; rows that are set aside do not count. Fails with
 * the first failure; it can be called again.
 *
 * @category running
 * @since 0.1.0
 */
export const drain = (options: Options): Effect.Effect<number, RelayError, SqlClient | FileSystem.FileSystem> =>
  Effect.scoped(Effect.gen(function*() {
    const drain = yield* open(options, false)
    let drained = 0
    for (;;) {
      const { dead, rows } = yield* drain.step
      if (rows === 0) return drained
      drained += rows - dead
    }
  }))

/** What wakes a waiting relay, until the scope closes. */
const wakes = Effect.fnUntraced(function*({ notifications, poll }: Options) {
  const latch = yield* Latch.make(false)
  yield* Effect.acquireRelease(
    Effect.sync(() => OutboxBell.listen(() => latch.openUnsafe())),
    (stop) => Effect.sync(stop)
  )
  if (notifications !== undefined) {
    yield* Stream.runForEach(notifications, () => latch.open).pipe(
      Effect.ignoreCause,
      Effect.andThen(Effect.sleep(poll ?? pollDefault)),
      Effect.forever,
      Effect.forkScoped
    )
  }
  return latch
})

/** Drains for ever, until something fails. */
const session = (
  options: Options,
  latch: Latch.Latch,
  distrust: boolean,
  works: () => void
): Effect.Effect<never, RelayError, SqlClient | FileSystem.FileSystem> =>
  Effect.scoped(Effect.gen(function*() {
    const drain = yield* open(options, distrust)
    yield* Effect.logInfo(`audit outbox: draining to ${options.path}`)
    const sql = yield* SqlClient
    let measured = Number.NEGATIVE_INFINITY
    for (;;) {
      yield* latch.close
      const { full, rows } = yield* drain.step
      works()
      const now = yield* Clock.currentTimeMillis
      if (now - measured >= metricsMillis) {
        measured = now
        // a count that fails is no reason to stop draining
        yield* Effect.ignore(OutboxMetrics.update(sql))
      }
      if (full) continue
      if (rows > 0) yield* Effect.sleep(lingerMillis)
      else yield* Effect.race(Effect.sleep(options.poll ?? pollDefault), latch.await)
    }
  }))

/** What no later attempt changes: a person has to. */
const isFinal = (cause: Cause.Cause<RelayError>): boolean => {
  const error = Cause.findErrorOption(cause)
  if (error._tag === "None") return false
  return (error.value._tag === "OutboxError" && error.value.kind === "schema") ||
    (error.value._tag === "AuditError" && error.value.reason._tag === "UnsafeTarget")
}

const isBusy = (cause: Cause.Cause<RelayError>): boolean => {
  const error = Cause.findErrorOption(cause)
  return error._tag === "Some" && error.value._tag === "OutboxError" && error.value.kind === "busy"
}

/**
 * Runs a relay for ever.
 *
 * **Details**
 *
 * After any failure of the database or of the log it waits, longer each time up to 30 seconds, and begins anew: with a new
 * connection, a newly opened log, and the search for what stands in the log already. While another relay has the outbox
 * it stands by. It fails only before it has drained for the first time, if the tables are missing or the log's file is
 * one that must not hold a log.
 *
 * **Gotchas**
 *
 * On PostgreSQL it keeps one connection of the client for itself, and its lock needs a session: connect it directly, or
 * through a pooler in session mode.
 *
 * @category running
 * @since 0.1.0
 */
export const run = (options: Options): Effect.Effect<never, RelayError, SqlClient | FileSystem.FileSystem> =>
  Effect.scoped(Effect.gen(function*() {
    const latch = yield* wakes(options)
    let hasWorked = false
    let failures = 0
    let standsBy = false
    let distrust = false
    for (;;) {
      // A fiber of its own: a driver may end a statement with an interruption or a defect when its connection is lost, and
      // only what interrupts this fiber is meant for the relay.
      const fiber: Fiber.Fiber<never, RelayError> = yield* Effect.forkChild(session(options, latch, distrust, () => {
        hasWorked = true
        failures = 0
        standsBy = false
        distrust = false
      }))
      const exit: Exit.Exit<never, RelayError> = yield* Fiber.await(fiber)
      if (Exit.isSuccess(exit)) return exit.value
      const { cause } = exit
      if (isBusy(cause)) {
        if (!standsBy) yield* Effect.logInfo(`audit outbox: standing by: ${String(Cause.squash(cause))}`)
        standsBy = true
        yield* Effect.sleep(options.poll ?? pollDefault)
        continue
      }
      if (!hasWorked && isFinal(cause)) return yield* Effect.failCause(cause)
      distrust = distrust || OutboxDrain.isUnflushed(cause)
      const most = Math.min(retryMillisMax, retryMillisFirst * 2 ** failures)
      const pause = Math.round(most * (0.5 + 0.5 * Math.random()))
      failures++
      yield* OutboxMetrics.retried
      const error = Cause.squash(cause)
      const problem = explain(String(error), error instanceof Error ? error.cause : undefined)
      yield* Effect.logWarning(
        `audit outbox: ${problem}; trying again in ${Duration.format(Duration.millis(pause))}`
      )
      yield* Effect.sleep(pause)
    }
  }))

/** Between two starts of a relay that cannot work as it is configured. */
const restart = Duration.seconds(30)

/**
 * Runs a relay in the background for as long as the layer lives. What {@link run} fails with is logged, and tried again
 * every 30 seconds.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<never, never, SqlClient | FileSystem.FileSystem> =>
  Layer.effectDiscard(
    run(options).pipe(
      Effect.tapError((error) => Effect.logError(`audit outbox: no relay runs: ${error.message}`)),
      Effect.retry(Schedule.spaced(restart)),
      Effect.forkScoped
    )
  )
