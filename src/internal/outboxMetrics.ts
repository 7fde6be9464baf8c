/**
 * How much waits in an outbox, for its metrics and for `auditlog outbox`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Metrics from "./metrics.ts"

export interface Backlog {
  /** Rows that wait, counted up to {@link countMax}. */
  readonly waiting: number
  /** When the one that waits longest was staged. */
  readonly oldest: string | undefined
  readonly dead: number
}

/** Counting reads the rows: a long backlog must not be made longer by it. */
export const countMax = 100_000

export const backlog = (sql: SqlClient): Effect.Effect<Backlog, SqlError> =>
  sql.unsafe<{ waiting: number; oldest: string | null; dead: number }>(
    `SELECT CAST((SELECT count(*) FROM (SELECT 1 FROM audit_outbox LIMIT ${countMax}) AS counted) AS integer) AS waiting, ` +
      `(SELECT at FROM audit_outbox ORDER BY id LIMIT 1) AS oldest, ` +
      `CAST((SELECT count(*) FROM audit_outbox_dead) AS integer) AS dead`
  ).pipe(
    Effect.map(([row]) => ({ waiting: row?.waiting ?? 0, oldest: row?.oldest ?? undefined, dead: row?.dead ?? 0 }))
  )

/** Seconds since a row was staged; 0 if its time is none. */
export const ageSeconds = (at: string | undefined, nowMillis: number): number => {
  const age = at === undefined ? 0 : (nowMillis - Date.parse(at)) / 1000
  return Number.isFinite(age) ? Math.max(0, age) : 0
}

export const update = (sql: SqlClient): Effect.Effect<void, SqlError> =>
  Effect.gen(function*() {
    const { oldest, waiting } = yield* backlog(sql)
    yield* Metric.update(Metrics.outboxBacklog, waiting)
    yield* Metric.update(Metrics.outboxOldest, ageSeconds(oldest, yield* Clock.currentTimeMillis))
  })

export const retried: Effect.Effect<void> = Metric.update(Metrics.outboxRetries, 1)
