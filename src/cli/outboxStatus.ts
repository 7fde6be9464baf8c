/**
 * What `auditlog outbox` does: says what waits in an outbox, for how long, and what could never become a record.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import * as OutboxMetrics from "../internal/outboxMetrics.ts"
import * as OutboxSchema from "../OutboxSchema.ts"
import * as OpenDatabase from "./openDatabase.ts"
import * as Output from "./output.ts"

/**
 * The arguments of `auditlog outbox`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments {
  readonly database: Option.Option<string>
  readonly json: boolean
  readonly schema: Option.Option<OutboxSchema.Dialect>
}

/** Rows that were set aside and are shown: the rest is a query away. */
const deadShownMax = 20

interface DeadRow {
  readonly id: string
  readonly reason: string
  readonly since: string
}

/** A time for people: seconds, minutes, hours or days. */
const duration = (seconds: number): string =>
  seconds < 120
    ? `${seconds.toFixed(1)} s`
    : seconds < 7200
    ? `${Math.round(seconds / 60)} min`
    : seconds < 172_800
    ? `${Math.round(seconds / 3600)} h`
    : `${Math.round(seconds / 86_400)} days`

const report = Effect.gen(function*() {
  const sql = yield* SqlClient
  const [state] = yield* sql<{ readonly version: number }>`SELECT version FROM audit_outbox_state`
  if (state?.version !== OutboxSchema.version) {
    const found = state === undefined ? "audit_outbox_state is empty" : `its tables have version ${state.version}`
    return yield* Output.failure(
      `auditlog: ${found}, and this command knows version ${OutboxSchema.version}; use the auditlog of the program that ` +
        `made them`
    )
  }
  const backlog = yield* OutboxMetrics.backlog(sql)
  const rows = yield* sql.unsafe<DeadRow>(
    `SELECT CAST(id AS text) AS id, reason, since FROM audit_outbox_dead ORDER BY entry DESC LIMIT ${deadShownMax}`
  )
  const now = yield* Clock.currentTimeMillis
  return { ...backlog, oldestSeconds: OutboxMetrics.ageSeconds(backlog.oldest, now), rows }
})

const render = ({ dead, oldestSeconds, rows, waiting }: Effect.Success<typeof report>): string => {
  const count = waiting >= OutboxMetrics.countMax
    ? `${waiting} rows or more`
    : `${waiting} ${waiting === 1 ? "row" : "rows"}`
  return [
    waiting === 0
      ? "nothing waits"
      : `${count} ${waiting === 1 ? "waits" : "wait"}, the oldest for ${duration(oldestSeconds)}`,
    ...(dead === 0 ? [] : [`${dead} set aside, which can never be records:`]),
    ...rows.map(({ id, reason, since }) => Output.printable(`  row ${id}, ${since}: ${reason}`)),
    ...(dead > rows.length ? [`  and ${dead - rows.length} more in audit_outbox_dead`] : [])
  ].map((line) => `${line}\n`).join("")
}

/**
 * Prints what waits, or with `schema` the SQL that makes the tables. Fails with exit code 1 if rows were set aside.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*({ database, json, schema }: Arguments) {
  const print = (text: string) => Effect.catchTag(Output.stdout(text), "StdoutClosed", () => Effect.void)
  if (Option.isSome(schema)) return yield* print(OutboxSchema.text(schema.value))
  const { layer } = yield* OpenDatabase.open(database)
  const found = yield* report.pipe(
    Effect.provide(layer),
    Effect.catch((error) =>
      Effect.fail(error._tag === "Failure" ? error : Output.failure(`auditlog: ${OpenDatabase.describe(error)}`))
    )
  )
  const { rows, ...counts } = found
  yield* print(json ? `${JSON.stringify({ ...counts, deadRows: rows })}\n` : render(found))
  return yield* found.dead === 0 ? Effect.void : new Output.Failure({ exitCode: 1, lines: [] })
})
