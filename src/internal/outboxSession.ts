/**
 * The database side of a relay: the lock that makes it the only one, the rows that wait, and their end.
 *
 * PostgreSQL: an advisory lock on a connection of its own, which the server releases when that connection ends; rows are
 * deleted on the same connection, so that a relay without the lock cannot delete. SQLite: an exclusive transaction on a
 * file beside the database, whose lock the kernel releases when the process ends. On both, the state row names the relay
 * that came last, and only this one can delete: for locks that were lost unseen (a deleted file, a connection pooler).
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { DatabaseSync } from "node:sqlite"
import { OutboxError } from "../OutboxError.ts"
import * as OutboxSchema from "../OutboxSchema.ts"

/** A row that waits. `record` is absent if it is longer than what was asked for. */
export interface WaitingRow {
  readonly id: string
  readonly at: string
  readonly trace: string | null
  readonly record: string | null
  readonly bytes: number
}

interface FetchLimits {
  readonly rows: number
  /** So many of the lowest are left out. */
  readonly skip?: number | undefined
  readonly recordBytes: number
  readonly batchBytes: number
}

type Failure = SqlError | OutboxError

export interface OutboxSession {
  /** The identity of the outbox. */
  readonly outbox: string
  /** How far the log had come when rows were last deleted. */
  readonly cursor: string | undefined
  /** The rows that are committed and have the lowest numbers. */
  readonly fetch: (limits: FetchLimits) => Effect.Effect<ReadonlyArray<WaitingRow>, Failure>
  /** Deletes rows and keeps the cursor, both or nothing; fails if another relay has taken over. */
  readonly settle: (ids: ReadonlyArray<string>, cursor: string) => Effect.Effect<void, Failure>
  /** Sets a row aside that can never be a record. */
  readonly bury: (id: string, reason: string, since: string) => Effect.Effect<void, Failure>
}

/** How long the database may take for one answer: far more than it should, and less than an operator's patience. */
const answerTimeout = Duration.seconds(30)

const answered = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | OutboxError, R> =>
  Effect.timeoutOrElse(effect, {
    duration: answerTimeout,
    orElse: () =>
      Effect.fail(
        new OutboxError({
          kind: "timeout",
          problem: `the database has not answered for ${Duration.toSeconds(answerTimeout)} s`
        })
      )
  })

const superseded = new OutboxError({
  kind: "superseded",
  problem: "another relay has taken it over; this one deletes nothing more"
})

const busy = (where: string): OutboxError => new OutboxError({ kind: "busy", problem: `another relay holds ${where}` })

/** Both databases understand it: the window keeps a batch of long records within its bytes. */
const fetchText = (dialect: OutboxSchema.Dialect): string => {
  const [rows, recordBytes, batchBytes, skip] = dialect === "pg" ? ["$1", "$2", "$3", "$4"] : ["?1", "?2", "?3", "?4"]
  const cast = dialect === "pg" ? "::integer" : ""
  const fits = `octet_length(record) <= ${recordBytes}${cast}`
  const carried = `CASE WHEN ${fits} THEN octet_length(record) ELSE 0 END`
  return `SELECT CAST(id AS text) AS id, at, trace, CASE WHEN ${fits} THEN record END AS record, bytes FROM (` +
    `SELECT id, at, trace, record, octet_length(record) AS bytes, ` +
    // as ROWS: the default frame, RANGE, looks for equal numbers, and takes half as long again
    `SUM(${carried}) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - ${carried} AS ahead ` +
    `FROM (SELECT id, at, trace, record FROM audit_outbox ORDER BY id LIMIT ${rows}${cast} OFFSET ${skip}${cast}) ` +
    `AS lowest) AS sized WHERE ahead < ${batchBytes}${cast} ORDER BY sized.id`
}

/** The first and the last of numbers that follow each other without a gap; `undefined` if they do not. */
const rangeOf = (ids: ReadonlyArray<string>): readonly [string, string] | undefined => {
  const [first, last] = [ids[0], ids.at(-1)]
  if (first === undefined || last === undefined || BigInt(last) - BigInt(first) !== BigInt(ids.length - 1)) {
    return undefined
  }
  return [first, last]
}

const stateOf = Effect.fnUntraced(function*(rows: ReadonlyArray<object>) {
  const [row] = rows as ReadonlyArray<{
    readonly version: number
    readonly outbox: string
    readonly cursor: string | null
  }>
  if (row === undefined || row.version !== OutboxSchema.version) {
    const found = row === undefined ? "audit_outbox_state is empty" : `its tables have version ${row.version}`
    return yield* new OutboxError({
      kind: "schema",
      problem: `${found}, and this relay needs version ${OutboxSchema.version}`
    })
  }
  return { outbox: row.outbox, cursor: row.cursor ?? undefined }
})

const missing = new OutboxError({
  kind: "schema",
  problem: "the table audit_outbox is not there; run the migration of OutboxSchema, or name the right database"
})

// ---------------------------------------------------------------------------------------------------------------------
// PostgreSQL
// ---------------------------------------------------------------------------------------------------------------------

/** The class of the advisory lock: "audi". */
const lockClass = 0x61756469

/**
 * The backend of a relay whose machine is gone must not hold the lock until TCP gives up after hours: the server looks
 * whether it is there. These settings change no result, so they may stay on a connection that goes back to a pool.
 */
const presence = [
  ["tcp_keepalives_idle", "10"],
  ["tcp_keepalives_interval", "5"],
  ["tcp_keepalives_count", "3"],
  ["tcp_user_timeout", "25000"],
  ["client_connection_check_interval", "5000"]
] as const

const presenceText = `SELECT set_config(name, wanted, false) FROM pg_settings JOIN (VALUES ${
  presence.map(([name, value]) => `('${name}', '${value}')`).join(", ")
}) AS presence (setting_name, wanted) ON name = setting_name`

const lockKey = `hashtext('audit_outbox'::regclass::oid::text)`

const openPostgres = (
  sql: SqlClient,
  relay: string
): Effect.Effect<OutboxSession, Failure, Scope.Scope> =>
  Effect.gen(function*() {
    const connection = yield* answered(sql.reserve)
    const run = <Row extends object>(
      text: string,
      values: ReadonlyArray<unknown> = []
    ): Effect.Effect<ReadonlyArray<Row>, Failure> => answered(connection.execute(text, values, undefined))

    const [there] = yield* run<{ there: boolean }>(
      "SELECT to_regclass('audit_outbox') IS NOT NULL AND to_regclass('audit_outbox_state') IS NOT NULL AS there"
    )
    if (there?.there !== true) return yield* missing
    yield* run(presenceText)
    yield* Effect.acquireRelease(
      Effect.gen(function*() {
        const [lock] = yield* run<{ locked: boolean }>(
          `SELECT pg_try_advisory_lock(${lockClass}, ${lockKey}) AS locked`
        )
        yield* lock?.locked === true ? Effect.void : Effect.fail(busy("its advisory lock"))
      }),
      // the connection goes back to the pool alive; one that is dead has lost the lock already
      () => Effect.ignoreCause(run(`SELECT pg_advisory_unlock(${lockClass}, ${lockKey})`))
    )
    const state = yield* Effect.flatMap(
      run("UPDATE audit_outbox_state SET relay = $1::text RETURNING version, outbox, cursor", [relay]),
      stateOf
    )
    const fetch = fetchText("pg")
    const settleText = (rows: string): string =>
      `WITH fence AS (UPDATE audit_outbox_state SET cursor = $1::text WHERE relay = $2::text RETURNING version), ` +
      `gone AS (DELETE FROM audit_outbox WHERE ${rows} AND EXISTS (SELECT 1 FROM fence) RETURNING id) ` +
      `SELECT count(*)::integer AS fenced FROM fence`
    // where no number is missing between two ends, none can be committed later: half the price of a list
    const settleRange = settleText("id BETWEEN $3::text::bigint AND $4::text::bigint")
    const settleList = settleText("id = ANY ($3::text::bigint[])")
    return {
      ...state,
      fetch: ({ batchBytes, recordBytes, rows, skip = 0 }) =>
        run<WaitingRow>(fetch, [rows, recordBytes, batchBytes, skip]),
      settle: (ids, cursor) => {
        const range = rangeOf(ids)
        return Effect.flatMap(
          range === undefined
            ? run<{ fenced: number }>(settleList, [cursor, relay, `{${ids.join(",")}}`])
            : run<{ fenced: number }>(settleRange, [cursor, relay, ...range]),
          ([row]) => row?.fenced === 1 ? Effect.void : Effect.fail(superseded)
        )
      },
      bury: (id, reason, since) =>
        Effect.asVoid(run(
          `WITH gone AS (DELETE FROM audit_outbox WHERE id = $1::text::bigint RETURNING id, at, trace, record) ` +
            `INSERT INTO audit_outbox_dead (id, at, trace, record, reason, since) ` +
            `SELECT id, at, trace, record, $2::text, $3::text FROM gone`,
          [id, reason, since]
        ))
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// SQLite
// ---------------------------------------------------------------------------------------------------------------------

/** What is added to the name of the database for the file that is locked. */
const lockSuffix = "-audit-relay"

const lockFile = (path: string): Effect.Effect<void, OutboxError, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.suspend(() => {
      const { DatabaseSync } = process.getBuiltinModule("node:sqlite")
      let database: DatabaseSync | undefined
      try {
        database = new DatabaseSync(path, { timeout: 0 })
        database.exec("BEGIN EXCLUSIVE")
        return Effect.succeed(database)
      } catch (cause) {
        database?.close()
        const code = typeof cause === "object" && cause !== null && "errcode" in cause ? cause.errcode : undefined
        if (code === 5) return Effect.fail(busy(`the lock of ${path}`))
        return Effect.fail(
          new OutboxError({ kind: "schema", problem: `the lock file ${path} cannot be made: ${String(cause)}` })
        )
      }
    }),
    (database) => Effect.sync(() => database.close())
  ))

const openSqlite = (
  sql: SqlClient,
  relay: string
): Effect.Effect<OutboxSession, Failure, Scope.Scope> =>
  Effect.gen(function*() {
    const run = <Row extends object>(text: string, values: ReadonlyArray<unknown> = []) =>
      answered(sql.unsafe<Row>(text, values))
    const tables = yield* run("SELECT 1 FROM sqlite_master WHERE name IN ('audit_outbox', 'audit_outbox_state')")
    if (tables.length < 2) return yield* missing
    const databases = yield* run<{ name: string; file: string | null }>("PRAGMA database_list")
    const file = databases.find(({ name }) => name === "main")?.file ?? ""
    if (file !== "") yield* lockFile(`${file}${lockSuffix}`)
    const state = yield* Effect.flatMap(
      run("UPDATE audit_outbox_state SET relay = ? RETURNING version, outbox, cursor", [relay]),
      stateOf
    )
    const fetch = fetchText("sqlite")
    return {
      ...state,
      fetch: ({ batchBytes, recordBytes, rows, skip = 0 }) =>
        run<WaitingRow>(fetch, [rows, recordBytes, batchBytes, skip]),
      settle: (ids, cursor) =>
        answered(sql.withTransaction(Effect.gen(function*() {
          const fence = yield* sql.unsafe(
            "UPDATE audit_outbox_state SET cursor = ? WHERE relay = ? RETURNING version",
            [cursor, relay]
          )
          yield* fence.length === 1 ? Effect.void : Effect.fail(superseded)
          yield* sql.unsafe("DELETE FROM audit_outbox WHERE id IN (SELECT value FROM json_each(?))", [
            `[${ids.join(",")}]`
          ])
        }))),
      bury: (id, reason, since) =>
        answered(sql.withTransaction(Effect.gen(function*() {
          yield* sql.unsafe(
            "INSERT INTO audit_outbox_dead (id, at, trace, record, reason, since) " +
              "SELECT id, at, trace, record, ?2, ?3 FROM audit_outbox WHERE id = CAST(?1 AS integer)",
            [id, reason, since]
          )
          yield* sql.unsafe("DELETE FROM audit_outbox WHERE id = CAST(? AS integer)", [id])
        })))
    }
  })

/** Takes the outbox over until the scope closes; fails with `busy` while another relay has it. */
export const open = (sql: SqlClient, relay: string): Effect.Effect<OutboxSession, Failure, Scope.Scope> =>
  OutboxSchema.dialectOf(sql) === "pg" ? openPostgres(sql, relay) : openSqlite(sql, relay)
