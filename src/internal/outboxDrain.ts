/**
 * One life of a relay: takes the outbox over, finds what the one before it has left in the log, and drains batch by batch
 * until something fails. Whatever fails, the next life begins from what the database and the log say, and nothing else.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
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
import type * as SizePolicy from "../SizePolicy.ts"
import * as Metrics from "./metrics.ts"
import * as Recovery from "./outboxRecovery.ts"
import * as OutboxRows from "./outboxRows.ts"
import * as OutboxSession from "./outboxSession.ts"

/** Bytes of records that are read from the database at once, about: bounds the memory of a batch of long records. */
const batchBytesMax = 8 * 1024 * 1024

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

export interface Drain {
  /** Drains one batch. `full` says that more rows may wait. */
  readonly step: (
    options: { readonly rows: number }
  ) => Effect.Effect<
    { readonly rows: number; readonly full: boolean },
    AuditError | OutboxError | SqlError | ReadError,
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

/** As many rows from the first on as one transaction of the log can carry. */
const fitting = (
  records: ReadonlyArray<Codec.Encoded>,
  limits: SizePolicy.Limits
): ReadonlyArray<Codec.Encoded> => {
  let bytes = 0
  for (let i = 0; i < records.length; i++) {
    const { fieldsBytes, source } = records[i]!
    bytes += Codec.lineBytesMax(fieldsBytes, limits.key, source)
    if (i > 0 && (bytes > limits.transactionBytesMax || i >= limits.transactionRecordsMax)) return records.slice(0, i)
  }
  return records
}

const rowOf = ({ source = "" }: Codec.Encoded): string => source.slice(source.lastIndexOf(":") + 1)

export const open = Effect.fnUntraced(function*(options: DrainOptions) {
  const { keys, path } = options
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

  const step: Drain["step"] = Effect.fnUntraced(function*({ rows }) {
    const waiting = yield* session.fetch({ rows, recordBytes: limits.recordBytesMax, batchBytes: batchBytesMax })
    const records: Array<Codec.Encoded> = []
    let buried = 0
    for (const row of waiting) {
      const record = OutboxRows.toRecord(row, session.outbox, limits)
      if (Result.isSuccess(record)) records.push(record.success)
      else {
        yield* bury(row, record.failure)
        buried++
      }
    }
    const batch = fitting(records, limits)
    if (batch.length > 0) {
      const fresh = found.size === 0
        ? batch
        : batch.filter((record) => found.get(rowOf(record)) !== Recovery.contentOf(record.at, record.fields))
      if (fresh.length > 0) yield* appender.append(fresh)
      const ids = batch.map(rowOf)
      // while rows stand in the log that are not in this batch, the next life has to find them too
      for (const id of ids) found.delete(id)
      const next = found.size === 0 ? yield* logEnd : confirmed.cursor
      yield* session.settle(ids, next)
      confirmed.cursor = next
      yield* Metric.update(Metrics.outboxDrained, batch.length)
    }
    const bytes = waiting.reduce((sum, row) => sum + (row.record === null ? 0 : row.bytes), 0)
    const full = waiting.length === rows || bytes >= batchBytesMax || batch.length < records.length || buried > 0
    // all that waits has been seen: what else was found has been deleted before
    if (!full) found.clear()
    if (waiting.length === 0) yield* advance
    return { rows: batch.length + buried, full }
  })
  const drain: Drain = { step }
  return drain
})
