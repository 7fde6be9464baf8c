/**
 * One life of a relay: takes the outbox over, finds what the one before it has left in the log, and drains batch by batch
 * until something fails. Whatever fails, the next life begins from what the database and the log say, and nothing else.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as FileSystem from "effect/FileSystem"
import * as Metric from "effect/Metric"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Appender } from "../Appender.ts"
import type { AuditError } from "../AuditError.ts"
import * as Codec from "../Codec.ts"
import type * as HashChain from "../HashChain.ts"
import type { OutboxError } from "../OutboxError.ts"
import type { ReadError } from "../ReadError.ts"
import * as Metrics from "./metrics.ts"
import * as Recovery from "./outboxRecovery.ts"
import * as OutboxRows from "./outboxRows.ts"
import * as OutboxSession from "./outboxSession.ts"

/**
 * Rows of one batch. More of them take longer to find again after a crash, and gain little. A reference, so that tests can
 * make many batches of few rows.
 */
export const BatchRows = Context.Reference<number>("effect-auditlog/internal/outboxDrain/BatchRows", {
  defaultValue: () => 500
})

/** Bytes of records that are read from the database at once, about: bounds the memory that long records take. */
const readBytesMax = 8 * 1024 * 1024

/** While more rows wait than are read at once, a batch is so many times as large: each costs two flushes, here and there. */
const backlogFactor = 2

/**
 * Batches that are read from the database at once. Each reading steps over what was deleted since the last vacuum, 3 ms
 * for 100 000 rows, so there should be few; and it holds up a deletion, so none should take longer than an append.
 */
const readBatches = 8

export interface DrainOptions {
  readonly sql: SqlClient
  readonly relay: string
  readonly path: string
  readonly keys: ReadonlyArray<HashChain.Key> | undefined
  readonly appender: Effect.Effect<Appender["Service"], AuditError, Scope.Scope>
  /**
   * A flush of the log has failed: what stands there unconfirmed may be in the kernel's memory only, and a second flush
   * would not tell. It is appended again, and readers drop the repeat.
   */
  readonly distrust: boolean
}

type Failure = SqlError | OutboxError

export interface Drain {
  /**
   * Drains one batch; of its rows so many are dead. `full` says that more rows may wait; then the database may still be deleting the batch when this
   * returns, and what becomes of that is told by the next call.
   */
  readonly step: Effect.Effect<
    { readonly rows: number; readonly dead: number; readonly full: boolean },
    AuditError | Failure | ReadError,
    FileSystem.FileSystem
  >
}

/** Whether a life ended because the log could not be flushed. */
export const isUnflushed = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some((reason) => {
    const error = Cause.isFailReason(reason) ? reason.error : undefined
    return typeof error === "object" && error !== null && "reason" in error &&
      (error.reason as { readonly _tag?: unknown })._tag === "DurabilityUnknown"
  })

export const open = Effect.fnUntraced(function*(options: DrainOptions) {
  const { keys, path } = options
  const scope = yield* Effect.scope
  const rows = yield* BatchRows
  const session = yield* OutboxSession.open(options.sql, options.relay)
  const appender = yield* options.appender
  const { limits } = appender
  const logEnd = yield* Recovery.makeEnd(path)

  /** Rows that stand in the log and may not have been deleted; and up to where all rows are deleted. */
  const found = new Map<string, string>()
  let cursor = session.cursor
  const [lowest] = yield* session.fetch({ rows: 1, recordBytes: 0, batchBytes: 1 })
  // a row that was appended and not deleted still waits, so if none does there is nothing to be found
  if (cursor !== undefined && lowest !== undefined && !options.distrust) {
    const before = yield* Recovery.find({ path, outbox: session.outbox, cursor, lowest: lowest.id, keys })
    if (yield* Recovery.flush(before.files)) before.rows.forEach((content, row) => found.set(row, content))
    else cursor = undefined
  }
  if (cursor === undefined || options.distrust) {
    cursor = yield* logEnd
    yield* session.settle([], cursor)
  }
  const confirmed = { cursor }

  const bury = Effect.fnUntraced(function*(row: OutboxSession.WaitingRow, reason: string) {
    yield* session.bury(row.id, reason, new Date(yield* Clock.currentTimeMillis).toISOString())
    yield* Metric.update(Metrics.outboxDead, 1)
    yield* Effect.logError(`audit outbox: row ${row.id} can never be a record and is set aside: ${reason}`)
  })

  /**
   * Nothing waits, so nothing before the end has to be found again: while others write, the cursor stays near it, and does
   * not stay behind in a segment that is compressed or removed.
   */
  const advance = Effect.gen(function*() {
    const next = yield* logEnd
    if (!Recovery.isFar(confirmed.cursor, next)) return
    yield* session.settle([], next)
    confirmed.cursor = next
  })

  /** Rows that were read and not appended yet, and whether more may wait behind them. */
  let queue: ReadonlyArray<OutboxSession.WaitingRow> = []
  let more = false
  /** What the database does meanwhile: it deletes the batch before, and may read ahead. */
  let pending: Fiber.Fiber<void, Failure> | undefined

  const read = Effect.fnUntraced(function*(count: number, skip: number) {
    const options = { rows: count, skip, recordBytes: limits.recordBytesMax, batchBytes: readBytesMax }
    const found = yield* session.fetch(options)
    const bytes = found.reduce((sum, row) => sum + (row.record === null ? 0 : row.bytes), 0)
    return { found, full: found.length === count || bytes >= readBytesMax }
  })

  /**
   * Reads on behind the rows of the queue, beginning with the last of them. If it comes first, then none with a lower
   * number has been committed meanwhile; otherwise what was read is dropped, since that one may have to go before it.
   */
  const readAhead = Effect.fnUntraced(function*(before: ReadonlyArray<OutboxSession.WaitingRow>) {
    const { found, full } = yield* read(rows * readBatches + 1, before.length - 1)
    if (found.length < 2 || found[0]?.id !== before.at(-1)?.id) return
    queue = [...queue, ...found.slice(1)]
    more = full
  })

  const settled = Effect.suspend(() => {
    const fiber = pending
    pending = undefined
    return fiber === undefined ? Effect.void : Fiber.join(fiber)
  })

  interface Batch {
    readonly records: ReadonlyArray<Codec.Encoded>
    readonly ids: ReadonlyArray<string>
    /** Rows that can never be records, and why. */
    readonly dead: ReadonlyArray<readonly [OutboxSession.WaitingRow, string]>
  }

  const size = (): number => more ? rows * backlogFactor : rows

  /** From a row of the queue on, as many records as one transaction of the log can carry. */
  const take = (from: number): Batch => {
    const records: Array<Codec.Encoded> = []
    const ids: Array<string> = []
    const dead: Array<readonly [OutboxSession.WaitingRow, string]> = []
    let bytes = 0
    for (let i = from; i < queue.length && i < from + size(); i++) {
      const row = queue[i]!
      const record = OutboxRows.toRecord(row, session.outbox, limits)
      if (Result.isFailure(record)) {
        dead.push([row, record.failure])
        continue
      }
      const { fieldsBytes, source } = record.success
      bytes += Codec.lineBytesMax(fieldsBytes, limits.key, source)
      const isOver = bytes > limits.transactionBytesMax || records.length >= limits.transactionRecordsMax
      if (records.length > 0 && isOver) break
      records.push(record.success)
      ids.push(row.id)
    }
    return { records, ids, dead }
  }

  /** The batch after the one that is being appended. */
  let following: Batch | undefined

  /** Appends, and makes the next batch while the log is being flushed. */
  const append = Effect.fnUntraced(function*(records: ReadonlyArray<Codec.Encoded>, next: number) {
    const appending = yield* Effect.forkIn(appender.append(records), scope, { startImmediately: true })
    yield* Effect.yieldNow
    if (queue.length >= next + size()) following = take(next)
    yield* Fiber.join(appending)
  })

  const step: Drain["step"] = Effect.gen(function*() {
    if (queue.length === 0) yield* settled
    if (queue.length === 0) {
      const { found, full } = yield* read(rows * readBatches, 0)
      queue = found
      more = full
    }
    if (queue.length === 0) {
      found.clear()
      yield* advance
      return { rows: 0, dead: 0, full: false }
    }
    const { dead, ids, records } = following ?? take(0)
    following = undefined
    const count = ids.length + dead.length
    if (dead.length > 0) yield* settled
    for (const [row, reason] of dead) yield* bury(row, reason)
    if (records.length > 0) {
      const fresh = found.size === 0
        ? records
        : records.filter((record, i) => found.get(ids[i]!) !== Recovery.contentOf(record.at, record.fields))
      // a deletion that is under way comes to its end first: what it deletes would be taken for lost after a failed flush
      if (fresh.length > 0) yield* Effect.tapError(append(fresh, count), () => Effect.exit(settled))
      // while rows stand in the log that are not in this batch, the next life has to find them too
      if (found.size > 0) { for (const id of ids) found.delete(id) }
      const next = found.size === 0 ? yield* logEnd : confirmed.cursor
      yield* settled
      queue = queue.slice(count)
      const rest = queue
      const isLow = more && rest.length > 0 && rest.length <= rows * readBatches / 2
      const statements = Effect.andThen(
        session.settle(ids, next),
        isLow ? readAhead(rest) : Effect.void
      )
      pending = yield* Effect.forkIn(statements, scope, { startImmediately: true })
      confirmed.cursor = next
      yield* Metric.update(Metrics.outboxDrained, ids.length)
    } else queue = queue.slice(count)
    const full = queue.length > 0 || more
    if (!full) {
      yield* settled
      // all that waits has been seen: what else was found has been deleted before
      found.clear()
    }
    return { rows: count, dead: dead.length, full }
  })
  const drain: Drain = { step }
  return drain
})
