/**
 * Relays as the tests run them, and what they leave in the log.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Metric } from "effect"
import { SqlClient } from "effect/sql"
import * as Fs from "node:fs"
import { OutboxRelay, OutboxSchema } from "../src/index.ts"
import { FilePort } from "../src/internal/filePort.ts"
import type { Sql } from "./sqlClient.ts"
import { plainLines } from "./support.ts"

/** Stages records outside of Effect's transactions, as other programs do. */
export const stage = (sql: Sql, records: ReadonlyArray<object>) => {
  const { text, values } = OutboxSchema.outboxStatement(OutboxSchema.dialectOf(sql), records)
  return Effect.asVoid(sql.unsafe(text, values))
}

export const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
export const numbered = (from: number, to: number) => numbers(from, to).map((n) => ({ n }))

export const provide = (sql: Sql) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(Effect.provideService(SqlClient.SqlClient, sql), Effect.provide(NodeFileSystem.layer))

export const drain = (sql: Sql, path: string, options: Partial<OutboxRelay.Options> = {}) =>
  OutboxRelay.drain({ path, ...options }).pipe(provide(sql))

export const run = (sql: Sql, path: string, options: Partial<OutboxRelay.Options> = {}) =>
  OutboxRelay.run({ path, poll: "50 millis", ...options }).pipe(provide(sql))

/** Runs with a file port of which some calls are replaced. */
export const withPort = (replaced: Partial<FilePort>) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(FilePort, (port) => Effect.provideService(effect, FilePort, Object.assign({}, port, replaced)))

/** What stands in the file, line by line, read without any code of the library. */
export const lines = (path: string) =>
  Fs.existsSync(path) ? plainLines(Fs.readFileSync(path, "utf8")).map(({ record }) => record["n"]) : []

/** Waits for a condition, and says what was there instead if it does not come. */
export const until = <A>(what: string, look: Effect.Effect<A, unknown>, holds: (value: A) => boolean) =>
  Effect.gen(function*() {
    const deadline = performance.now() + 15_000
    for (;;) {
      const value = yield* look
      if (holds(value)) return
      if (performance.now() > deadline) {
        throw new Error(`${what} did not happen in 15 s; last: ${JSON.stringify(value)}`)
      }
      yield* Effect.sleep(10)
    }
  })

export const drained = (path: string, count: number) =>
  until(`${count} lines`, Effect.sync(() => lines(path)), (found) => found.length >= count)

/** Makes every change of the outbox fail as on a full disk; gives what ends that. */
export const fillDisk = Effect.fnUntraced(function*(sql: Sql) {
  if (OutboxSchema.dialectOf(sql) === "sqlite") {
    for (const change of ["INSERT", "DELETE"]) {
      yield* sql.unsafe(
        `CREATE TRIGGER full_${change} BEFORE ${change} ON audit_outbox ` +
          `BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`
      )
    }
    return Effect.andThen(sql.unsafe("DROP TRIGGER full_INSERT"), sql.unsafe("DROP TRIGGER full_DELETE"))
  }
  yield* sql.unsafe(
    "CREATE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS " +
      "$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
  )
  yield* sql.unsafe(
    "CREATE TRIGGER full_disk BEFORE INSERT OR DELETE ON audit_outbox FOR EACH ROW EXECUTE FUNCTION disk_is_full()"
  )
  return sql.unsafe("DROP TRIGGER full_disk ON audit_outbox")
})

/** The value of a metric, by its name; `undefined` if it has none yet. */
export const metric = (name: string) =>
  Effect.map(Metric.snapshot, (all) => {
    const found = all.find(({ id }) => id === name)?.state as { count?: number; value?: number } | undefined
    return found?.count ?? found?.value
  })

/** Makes every deletion of rows fail, as a database does that goes away after the append. */
export const refuseDeletes = (sql: Sql) =>
  OutboxSchema.dialectOf(sql) === "sqlite"
    ? sql.unsafe("CREATE TRIGGER no_deletes BEFORE DELETE ON audit_outbox BEGIN SELECT RAISE(ABORT, 'no'); END")
    : Effect.andThen(
      sql.unsafe("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$"),
      sql.unsafe("CREATE TRIGGER no_deletes BEFORE DELETE ON audit_outbox EXECUTE FUNCTION no()")
    )

export const admitDeletes = (sql: Sql) =>
  sql.unsafe(
    OutboxSchema.dialectOf(sql) === "sqlite" ? "DROP TRIGGER no_deletes" : "DROP TRIGGER no_deletes ON audit_outbox"
  )
