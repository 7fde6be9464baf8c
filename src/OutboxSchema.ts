/**
 * The tables of the transactional outbox, and the statement that puts records into it, as plain SQL for PostgreSQL and
 * SQLite: for migrations of any tool, and for programs that stage records without `effect/sql`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as AuditError from "./AuditError.ts"
import * as Codec from "./Codec.ts"
import * as SizePolicy from "./SizePolicy.ts"

/**
 * The databases that have an outbox.
 *
 * @category models
 * @since 0.1.0
 */
export type Dialect = "pg" | "sqlite"

/**
 * The version of the tables, which stands in `audit_outbox_state`. A relay refuses tables of another version.
 *
 * @category constants
 * @since 0.1.0
 */
export const version = 1

/**
 * The channel that staging announces rows on, where that is asked for (PostgreSQL).
 *
 * @category constants
 * @since 0.1.0
 */
export const channel = "audit_outbox"

// A long transaction elsewhere keeps deleted rows in the table: the sooner they are removed after it, the better.
const pgTables = `
CREATE TABLE IF NOT EXISTS audit_outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at text NOT NULL DEFAULT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
  trace text,
  record text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE IF NOT EXISTS audit_outbox_dead (
  entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id bigint NOT NULL,
  at text NOT NULL,
  trace text,
  record text NOT NULL,
  reason text NOT NULL,
  since text NOT NULL
);

CREATE TABLE IF NOT EXISTS audit_outbox_refusal (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  reason text NOT NULL,
  never bigint NOT NULL DEFAULT -1,
  CONSTRAINT audit_record_was_not_staged FOREIGN KEY (never) REFERENCES audit_outbox_refusal (id)
    DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE IF NOT EXISTS audit_outbox_state (
  version integer PRIMARY KEY,
  outbox text NOT NULL,
  relay text,
  cursor text
);

INSERT INTO audit_outbox_state (version, outbox)
  SELECT ${version}, replace(gen_random_uuid()::text, '-', '')
  WHERE NOT EXISTS (SELECT 1 FROM audit_outbox_state);
`

const sqliteTables = `
CREATE TABLE IF NOT EXISTS audit_outbox (
  id integer PRIMARY KEY AUTOINCREMENT,
  at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  trace text,
  record text NOT NULL
);

CREATE TABLE IF NOT EXISTS audit_outbox_dead (
  entry integer PRIMARY KEY AUTOINCREMENT,
  id integer NOT NULL,
  at text NOT NULL,
  trace text,
  record text NOT NULL,
  reason text NOT NULL,
  since text NOT NULL
);

CREATE TABLE IF NOT EXISTS audit_outbox_refusal (
  id integer PRIMARY KEY AUTOINCREMENT,
  reason text NOT NULL,
  never integer NOT NULL DEFAULT -1,
  CONSTRAINT audit_record_was_not_staged FOREIGN KEY (never) REFERENCES audit_outbox_refusal (id)
    DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE IF NOT EXISTS audit_outbox_state (
  version integer PRIMARY KEY,
  outbox text NOT NULL,
  relay text,
  cursor text
);

INSERT INTO audit_outbox_state (version, outbox)
  SELECT ${version}, lower(hex(randomblob(16)))
  WHERE NOT EXISTS (SELECT 1 FROM audit_outbox_state);
`

/**
 * The SQL that makes the tables, statement by statement. It can run again: what is there stays.
 *
 * **Details**
 *
 * `audit_outbox` holds the rows that wait. `audit_outbox_dead` holds those that can never be records, each with the
 * reason. `audit_outbox_refusal` is empty outside of transactions: a failed staging leaves a row there whose foreign key
 * fails the COMMIT. `audit_outbox_state` has one row: the version, the identity of this outbox, and how far its relay has
 * come.
 *
 * @category schema
 * @since 0.1.0
 */
export const statements = (dialect: Dialect): ReadonlyArray<string> =>
  text(dialect).split(";\n").map((statement) => statement.trim()).filter((statement) => statement !== "")

/**
 * {@link statements} as one text, to be pasted into a migration.
 *
 * @category schema
 * @since 0.1.0
 */
export const text = (dialect: Dialect): string => (dialect === "pg" ? pgTables : sqliteTables).trimStart()

/**
 * The dialect of a client; dies for databases that have no outbox.
 *
 * @category schema
 * @since 0.1.0
 */
export const dialectOf = (sql: SqlClient.SqlClient): Dialect =>
  sql.onDialectOrElse({
    pg: (): Dialect => "pg",
    sqlite: (): Dialect => "sqlite",
    orElse: (): Dialect => {
      throw new Error("the audit outbox runs on PostgreSQL and on SQLite; this client is of another database")
    }
  })

/**
 * Makes the tables through the client in the context: a migration for `effect/sql/Migrator`, or to be run at the start of
 * a program.
 *
 * @category schema
 * @since 0.1.0
 */
export const migration: Effect.Effect<void, SqlError, SqlClient.SqlClient> = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* Effect.forEach(statements(dialectOf(sql)), (statement) => sql.unsafe(statement), { discard: true })
}).pipe(Effect.withSpan("OutboxSchema.migration"))

/**
 * What {@link outboxStatement} takes besides the records.
 *
 * **Details**
 *
 * `at` is the time of the records, by default the time of the database. `limits` are those of the log that the relay
 * writes, by default those of a log with default options. `notify` announces the rows to a relay that listens (only
 * PostgreSQL).
 *
 * @category models
 * @since 0.1.0
 */
export interface StatementOptions {
  readonly at?: Date | undefined
  readonly limits?: Partial<SizePolicy.Limits> | undefined
  readonly notify?: boolean | undefined
}

/**
 * One row of `audit_outbox` as it is inserted; `at` is the database's time where it is absent.
 *
 * @category models
 * @since 0.1.0
 */
export interface Row {
  readonly at: string | undefined
  readonly trace: string | undefined
  readonly record: string
}

/**
 * Rows that one statement may insert: PostgreSQL takes 65 535 parameters and SQLite 32 766.
 *
 * @category constants
 * @since 0.1.0
 */
export const statementRowsMax = 10_000

/**
 * The statement that inserts rows, in their order.
 *
 * @category staging
 * @since 0.1.0
 */
export const insertStatement = (
  dialect: Dialect,
  rows: ReadonlyArray<Row>,
  notify: boolean
): { readonly text: string; readonly values: ReadonlyArray<string | null> } => {
  // one row with its time is what a typed log stages most often
  if (rows.length === 1 && rows[0]?.at !== undefined) {
    const [{ at, record, trace }] = rows as [Row]
    return {
      text: notify ? insertText(dialect, 1, true, true) : timedText[dialect],
      values: [at ?? null, trace ?? null, record]
    }
  }
  const timed = rows.some(({ at }) => at !== undefined)
  const values = rows.flatMap(({ at, record, trace }) => [...(timed ? [at ?? null] : []), trace ?? null, record])
  return { text: insertText(dialect, rows.length, timed, notify), values }
}

const texts = new Map<string, string>()

/** One text for each number of rows, so that the database prepares it once. */
const insertText = (dialect: Dialect, rows: number, timed: boolean, notify: boolean): string => {
  const key = `${dialect}:${rows}:${timed}:${notify}`
  const known = texts.get(key)
  if (known !== undefined) return known
  const columns = timed ? 3 : 2
  const place = (i: number): string => dialect === "pg" ? `$${i}` : "?"
  const tuples = Array.from(
    { length: rows },
    (_, row) => `(${Array.from({ length: columns }, (_, column) => place(row * columns + column + 1)).join(", ")})`
  )
  const text = `INSERT INTO audit_outbox (${timed ? "at, " : ""}trace, record) VALUES ${tuples.join(", ")}` +
    (notify && dialect === "pg" ? ` RETURNING pg_notify('${channel}', '')::text` : "")
  if (rows <= 16) texts.set(key, text)
  return text
}

const timedText = { pg: insertText("pg", 1, true, false), sqlite: insertText("sqlite", 1, true, false) }

/**
 * The statement and its parameters that put records into the outbox: to be run inside the transaction that they belong
 * to, by any driver (`pg`, drizzle, kysely, `better-sqlite3`, …).
 *
 * **Details**
 *
 * Placeholders are `$1` for PostgreSQL and `?` for SQLite. Throws an `AuditError` for a value that is no record or is too
 * large, before anything is sent; in the callback of a transaction that rolls it back, as it should.
 *
 * @category staging
 * @since 0.1.0
 */
export const outboxStatement = (
  dialect: Dialect,
  records: Iterable<object>,
  options: StatementOptions = {}
): { readonly text: string; readonly values: ReadonlyArray<string | null> } => {
  const limits: SizePolicy.Limits = { ...SizePolicy.limitsDefault, ...options.limits }
  const at = options.at?.toISOString()
  const rows = Array.from(records, (record): Row => {
    const encoded = Codec.encode(record, { at: at ?? "", value: record, source: "" })
    if (Result.isFailure(encoded)) throw AuditError.make(encoded.failure)
    const admitted = SizePolicy.admit(limits, encoded.success)
    if (Result.isFailure(admitted)) throw AuditError.make(admitted.failure)
    return { at, trace: undefined, record: `{${encoded.success.fields}}` }
  })
  if (rows.length === 0 || rows.length > statementRowsMax) {
    throw new RangeError(`a statement stages 1 to ${statementRowsMax} records, not ${rows.length}`)
  }
  return insertStatement(dialect, rows, options.notify ?? false)
}
