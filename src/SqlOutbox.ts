/**
 * Audit records that exist if and only if a SQL transaction committed: they are staged in a table by the transaction
 * itself, and a relay (`OutboxRelay`) takes them to the log.
 *
 * Nothing is buffered in memory: commit, rollback and savepoints are the database's job. A record that could not be staged
 * keeps its transaction from committing, also where the program makes nothing of the failure.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as SqlClient from "effect/sql/SqlClient"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import * as AuditError from "./AuditError.ts"
import type { Buffered } from "./AuditRecord.ts"
import * as Codec from "./Codec.ts"
import * as AppendContext from "./internal/appendContext.ts"
import * as OutboxInsert from "./internal/outboxInsert.ts"
import { Outbox } from "./Outbox.ts"
import * as OutboxSchema from "./OutboxSchema.ts"
import * as SizePolicy from "./SizePolicy.ts"

/**
 * The options of an outbox.
 *
 * **Details**
 *
 * `limits` are those of the log that the relay writes, by default those of a log with default options: what cannot be
 * appended there is refused when it is staged. `notify` announces staged rows with `pg_notify`, inside the transaction,
 * to a relay in another process that listens; it costs PostgreSQL a lock on each commit, so the default is not to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly limits?: Partial<SizePolicy.Limits> | undefined
  readonly notify?: boolean | undefined
}

/** What {@link audited} has to look at before it commits. */
interface Guard {
  /** The first staging that failed inside. */
  problem: string | undefined
  /** A refusal could not be written to the table, so only this says that there was one. */
  unwritten: boolean
}

const CurrentGuard = Context.Reference<Guard | undefined>("effect-auditlog/SqlOutbox/Guard", {
  defaultValue: () => undefined
})

/** The transaction that is open in the fiber. */
const levelOf = (sql: SqlClient.SqlClient, fiber: Fiber.Fiber<unknown, unknown>) =>
  Context.getOrUndefined(fiber.context, sql.transactionService)

/** Why a record was not staged. */
const problemOf = (cause: Cause.Cause<AuditError.AuditError>): string => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error !== undefined) return error.message
  return Cause.hasDies(cause) ? `an append died: ${String(Cause.squash(cause))}` : "an append was interrupted"
}

/** Leaves a row that makes the COMMIT fail, unless a savepoint takes it back. */
const refuse = (sql: SqlClient.SqlClient, cause: Cause.Cause<AuditError.AuditError>): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const level = levelOf(sql, fiber)
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    if (level === undefined || error?.reason._tag === "TransactionClosed") return Effect.void
    const problem = problemOf(cause)
    const guard = fiber.getRef(CurrentGuard)
    if (guard !== undefined) guard.problem ??= problem
    const isPg = OutboxSchema.dialectOf(sql) === "pg"
    const text = `INSERT INTO audit_outbox_refusal (reason) VALUES (${isPg ? "$1" : "?"})`
    const refusal = level[0].execute(text, [problem], undefined)
    return OutboxInsert.together(Effect.andThen(sql.afterCommit(OutboxInsert.wake()), refusal)).pipe(
      Effect.catchCause(() =>
        Effect.sync(() => {
          // PostgreSQL refuses everything in a transaction in which a statement has failed, its COMMIT too
          if (guard !== undefined && !isPg) guard.unwritten = true
        })
      ),
      Effect.asVoid
    )
  })

/**
 * Makes an outbox on the client in the context.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (options?: Options) => Effect.Effect<Outbox["Service"], never, SqlClient.SqlClient> = Effect
  .fnUntraced(function*(options = {}) {
    const sql = yield* SqlClient.SqlClient
    const dialect = OutboxSchema.dialectOf(sql)
    const limits: SizePolicy.Limits = { ...SizePolicy.limitsDefault, ...options.limits }
    const notify = options.notify ?? false
    const leaseOf = OutboxInsert.leasesOf(sql)
    const append: Outbox["Service"]["append"] = (records) =>
      Effect.withFiber<ReadonlyArray<Buffered>, AuditError.AuditError>((fiber) => {
        const level = levelOf(sql, fiber)
        if (level === undefined) return Effect.fail(AuditError.make(new AuditError.NoTransaction()))
        if (records.length === 0) return Effect.succeed([])
        const receipts = records.map((record) => buffered(limits, record))
        const rows = records.map(toRow)
        const statement = (some: ReadonlyArray<OutboxSchema.Row>) => OutboxSchema.insertStatement(dialect, some, notify)
        if (rows.length <= OutboxSchema.statementRowsMax) {
          return OutboxInsert.insert(sql, leaseOf, fiber, level, statement(rows), receipts)
        }
        const parts = Array.from(
          { length: Math.ceil(rows.length / OutboxSchema.statementRowsMax) },
          (_, i) => rows.slice(i * OutboxSchema.statementRowsMax, (i + 1) * OutboxSchema.statementRowsMax)
        )
        return Effect.as(
          Effect.forEach(
            parts,
            (part) => Effect.suspend(() => OutboxInsert.insert(sql, leaseOf, fiber, level, statement(part), [])),
            {
              discard: true
            }
          ),
          receipts
        )
      })
    return Outbox.of({
      limits,
      append,
      refuse: (cause) => refuse(sql, cause),
      transaction: (effect) =>
        Effect.suspend(() => {
          let ended = false
          const body = Effect.mapError(effect, (error) => new Failed(error)).pipe(
            Effect.tap(() =>
              Effect.sync(() => {
                ended = true
              })
            )
          )
          return Effect.mapError(
            auditedOn(sql, body),
            (error) =>
              error instanceof Failed
                ? error.error
                : !isSqlError(error)
                ? error
                : !ended && OutboxInsert.isRefused(error)
                ? AuditError.make(new AuditError.TransactionClosed())
                : OutboxInsert.unavailable(
                  error,
                  ended ? "the COMMIT failed" : "the transaction did not begin",
                  outcome(error, ended)
                )
          )
        })
    })
  })

/** Keeps the errors of an effect apart from those of its transaction. */
class Failed<E> {
  readonly error: E
  constructor(error: E) {
    this.error = error
  }
}

/** What the database itself says of a transaction that it had given up before. */
const rolledBack = /rolled back an aborted transaction|no transaction is active/

/** A COMMIT whose answer did not come may have been carried out. */
const outcome = (error: SqlError, ended: boolean): AuditError.Committed =>
  ended && !rolledBack.test(error.message) && !OutboxInsert.isRefused(error) &&
    (error.reason._tag === "ConnectionError" || error.reason._tag === "UnknownError")
    ? "unknown"
    : "no"

const toRow = ({ at, fields, trace }: Codec.Encoded): OutboxSchema.Row => ({ at, trace, record: `{${fields}}` })

const buffered = ({ key, sizePolicy }: SizePolicy.Limits, { fieldsBytes }: Codec.Encoded): Buffered => {
  const bytes = Codec.lineBytesMax(fieldsBytes, key, "")
  return {
    writer: undefined,
    seq: undefined,
    bytes,
    hash: undefined,
    durability: "buffered",
    oversize: bytes > sizePolicy.limitBytes
  }
}

/**
 * The outbox as a service, on the client that is provided.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Outbox, never, SqlClient.SqlClient> =>
  Layer.effect(Outbox, make(options))

/**
 * Stages JSON objects as they are, in the transaction that is open in the calling fiber: for programs that have no typed
 * log.
 *
 * **Details**
 *
 * Fails with `NoTransaction` if none of the outbox's client is open, and with `InvalidRecord` or `RecordTooLarge` for what
 * could never be appended. After a failure the transaction cannot commit; a savepoint can be rolled back.
 *
 * @category staging
 * @since 0.1.0
 */
export const stage = (records: Iterable<object>): Effect.Effect<void, AuditError.AuditError, Outbox> =>
  Outbox.use((outbox) =>
    Effect.withFiber<void, AuditError.AuditError>((fiber) => {
      const encoded: Array<Codec.Encoded> = []
      for (const record of records) {
        const one = Codec.encode(record, {
          at: AppendContext.timestamp(fiber),
          trace: AppendContext.trace(fiber),
          value: record,
          source: ""
        })
        if (Result.isFailure(one)) return Exit.fail(AuditError.make(one.failure))
        const admitted = SizePolicy.admit(outbox.limits, one.success)
        if (Result.isFailure(admitted)) return Exit.fail(AuditError.make(admitted.failure))
        encoded.push(one.success)
      }
      return Effect.asVoid(outbox.append(encoded))
    }).pipe(Effect.onError((cause) => outbox.refuse(cause)))
  )

const auditedOn = <A, E, R>(
  sql: SqlClient.SqlClient,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | AuditError.AuditError | SqlError, R> =>
  Effect.withFiber((fiber) => {
    const guard: Guard = fiber.getRef(CurrentGuard) ?? { problem: undefined, unwritten: false }
    const check = Effect.suspend((): Effect.Effect<void, AuditError.AuditError> => {
      const { problem } = guard
      if (problem === undefined) return Effect.void
      const refused = Effect.fail(AuditError.make(new AuditError.NotStaged({ problem })))
      return sql`SELECT reason FROM audit_outbox_refusal LIMIT 1`.pipe(
        Effect.catch(() => refused),
        // a savepoint that was rolled back has taken the refusal with it
        Effect.flatMap((rows) => rows.length > 0 || guard.unwritten ? refused : Effect.void)
      )
    })
    return sql.withTransaction(Effect.tap(effect, () => check)).pipe(Effect.provideService(CurrentGuard, guard))
  })

/**
 * Runs an effect in a transaction of the client, or in a savepoint of the one that is open, and looks before the end
 * whether every staging inside succeeded.
 *
 * **Details**
 *
 * As `sql.withTransaction`, with a better answer to a program that swallows the failure of an append: `NotStaged`, where
 * the plain one fails with the violation of the constraint `audit_record_was_not_staged`. It costs nothing as long as
 * nothing fails.
 *
 * @category transactions
 * @since 0.1.0
 */
export const audited = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | AuditError.AuditError | SqlError, R | SqlClient.SqlClient> =>
  SqlClient.SqlClient.use((sql) => auditedOn(sql, effect))
