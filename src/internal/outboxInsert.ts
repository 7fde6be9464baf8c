/**
 * The insert of a staged record: in the transaction that the fiber is in, never after it, and with as little beside the
 * statement as can be, since a transaction pays for all of it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as AuditError from "../AuditError.ts"
import type { Buffered } from "../AuditRecord.ts"
import type * as OutboxSchema from "../OutboxSchema.ts"
import { sqliteDriver, transactionEnded } from "./endedTransaction.ts"
import * as OutboxBell from "./outboxBell.ts"

/** The connection of a transaction, and the depth of savepoints. */
type Level = SqlClient.TransactionConnection.Service

/** What stands for the path of a log in messages. */
const target = "the table audit_outbox"

export const unavailable = (error: SqlError, what: string, committed: AuditError.Committed): AuditError.AuditError =>
  AuditError.make(
    new AuditError.Unavailable({
      path: target,
      problem: `${what} (${error.reason._tag}: ${error.message})`,
      committed,
      isRetryable: error.isRetryable,
      cause: error
    })
  )

// Between the check that the transaction is open and the insert no other fiber may run: it could end the transaction,
// and on SQLite begin one of its own on the same connection.
export const together = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, Scheduler.PreventSchedulerYield, true)

/** More operations of a fiber than any driver takes from the call to the sending of a statement. */
const operationsToSend = 256

/** Whether the fiber, by Effect's own scheduler, runs on long enough without {@link together} and a context of its own. */
const runsOn = ({ cache, currentOpCount }: Fiber.Fiber<unknown, unknown>): boolean =>
  cache.preventYield || (
    cache.scheduler.shouldYield === Scheduler.MixedScheduler.prototype.shouldYield &&
    currentOpCount + operationsToSend < cache.maxOpsBeforeYield
  )

const ringing = Effect.sync(OutboxBell.ring)

/**
 * Wakes the relays of this process after the commit. Where there is none, Effect has nothing to run then, and need not
 * build a context for it. A relay that starts in between looks at the table by itself.
 */
export const wake = (): Effect.Effect<void> => OutboxBell.isHeard() ? ringing : Effect.void

/**
 * The connection of a transaction as a lease, where the driver refuses statements by itself once the transaction has
 * ended, and says so: `@effect/sql-pg` does (`PgConnection.pin`), and the SQLite client of this library. A savepoint shares
 * it with its transaction. Of other clients, also of one that keeps a connection of these, nothing is known, and Effect's
 * own record of the transaction is asked.
 */
interface Lease {
  readonly released: boolean
}

/** How the leases of a client are found. */
export type LeaseOf = (level: Level) => Lease | undefined

const isLease = (value: unknown): value is Lease =>
  typeof value === "object" && value !== null && "released" in value && typeof value.released === "boolean"

export const leasesOf = (sql: SqlClient.SqlClient): LeaseOf => {
  const lease: (connection: Level[0]) => unknown = "~@effect/sql-pg/PgClient" in sql
    ? (connection) => (connection as { readonly connection?: unknown }).connection
    : sql.driver === sqliteDriver
    ? (connection) => connection
    : () => undefined
  return ([connection, depth]) => {
    const found = depth === 0 ? lease(connection) : undefined
    return isLease(found) ? found : undefined
  }
}

const refusals = new Set(["Pinned connection was released", transactionEnded])

/** Whether the driver has refused a statement before it was sent, since its transaction has ended. */
export const isRefused = (error: SqlError): boolean => {
  for (let cause: unknown = error.reason.cause; cause instanceof Error; cause = cause.cause) {
    if (refusals.has(cause.message)) return true
  }
  return false
}

/** Whether a statement broke off with its connection, and may have come after the end of the transaction. */
const isUnknown = (error: SqlError, lease: Lease | undefined): boolean =>
  lease?.released === true && error.reason._tag === "ConnectionError"

const staged = (
  execution: Effect.Effect<unknown, SqlError>,
  receipts: ReadonlyArray<Buffered>,
  lease: Lease | undefined,
  isOpen: () => boolean
): Effect.Effect<ReadonlyArray<Buffered>, AuditError.AuditError> =>
  // few nodes of Effect: they are a good part of what the client does for a statement
  Effect.matchCauseEffect(execution, {
    onSuccess: () => Exit.succeed(receipts),
    onFailure: (cause) =>
      isOpen()
        ? Effect.mapError(Effect.failCause(cause), (error) =>
          isRefused(error)
            ? AuditError.make(new AuditError.TransactionClosed())
            : unavailable(error, "staging failed", isUnknown(error, lease) ? "unknown" : "no"))
        : Effect.fail(AuditError.make(new AuditError.TransactionClosed()))
  })

const always = (): boolean => true

export const insert = (
  sql: SqlClient.SqlClient,
  leaseOf: LeaseOf,
  fiber: Fiber.Fiber<unknown, unknown>,
  level: Level,
  { text, values }: ReturnType<typeof OutboxSchema.insertStatement>,
  receipts: ReadonlyArray<Buffered>
): Effect.Effect<ReadonlyArray<Buffered>, AuditError.AuditError> => {
  const lease = leaseOf(level)
  // with nobody to wake, the lease says all that `afterCommit` is asked for, without a copy of the context
  if (lease?.released === false && !OutboxBell.isHeard()) {
    return staged(level[0].execute(text, values, undefined), receipts, lease, always)
  }
  let isOpen = false
  // dies if the transaction of this fiber has ended
  const execution = Effect.flatMap(sql.afterCommit(wake()), () => {
    isOpen = true
    return level[0].execute(text, values, undefined)
  })
  const effect = staged(execution, receipts, lease, () => isOpen)
  return runsOn(fiber) ? effect : together(effect)
}
