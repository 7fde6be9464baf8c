/**
 * What an audit row costs a transaction on PostgreSQL, with 16 connections that do nothing else, and how fast a relay
 * drains. The kinds of transaction take turns, so that what else the machine does hits them alike. Two of them are by
 * hand: plain `pg`, prepared statements, and as audit row a line of text in a table that has nothing but that.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as Path from "node:path"
import { Pool } from "pg"
import { OutboxRelay, OutboxSchema, SqlOutbox } from "../../src/index.ts"
import { Postgres, whyNoPostgres } from "../servers/postgres.ts"
import { openPostgres, openSqlite, order } from "../sqlClient.ts"
import { Audit, granted } from "../support.ts"
import { type Bench, interleave, type Row, type Settings, type Side } from "./harness.ts"

const connections = 16
const roundMillis = 500
/** For one round of the relay: the machine's speed changes within seconds, and the cost of a row is a small difference. */
const transactionRounds = 4
const backlog = 50_000

/** Rows of the table that the targets name. */
export const rows = {
  plain: "transactions, no audit row",
  one: "transactions, 1 audit row",
  ten: "transactions, 10 audit rows",
  handPlain: "by hand with pg, no audit row",
  handOne: "by hand with pg, 1 row in a bare table",
  drained: "rows drained from PostgreSQL"
} as const

const transactions = (sql: SqlClient.SqlClient): ReadonlyArray<Side> => {
  const log = Audit.layerOutbox.pipe(
    Layer.provide(SqlOutbox.layer()),
    Layer.provide(Layer.succeed(SqlClient.SqlClient, sql)),
    Layer.build,
    Effect.map(Context.get(Audit)),
    Effect.scoped,
    Effect.runSync
  )
  let orders = 0
  const perSecond = Effect.fnUntraced(function*(rows: number) {
    const start = performance.now()
    let done = 0
    const one = Effect.suspend(() => order(sql, String(orders++))).pipe(
      Effect.andThen(
        rows === 0
          ? Effect.void
          : rows === 1
          ? log.append(granted("admin"))
          : log.appendAll(Array.from({ length: rows }, () => granted("admin")))
      )
    )
    const loop = Effect.gen(function*() {
      while (performance.now() < start + roundMillis) {
        yield* sql.withTransaction(one)
        done++
      }
    })
    yield* Effect.all(Array.from({ length: connections }, () => loop), { concurrency: connections, discard: true })
    return { rate: (done * 1000) / (performance.now() - start) }
  })
  const side = (name: string, rows: number): Side => ({ name, run: () => Effect.runPromise(perSecond(rows)) })
  return [side(rows.plain, 0), side(rows.one, 1), side(rows.ten, 10)]
}

/** Transactions as a program writes them that wants no more than a line of text in a table. */
const byHand = (pool: Pool): ReadonlyArray<Side> => {
  let orders = 0
  const perSecond = async (staged: boolean) => {
    const start = performance.now()
    let done = 0
    const loop = async () => {
      while (performance.now() < start + roundMillis) {
        const client = await pool.connect()
        await client.query({ name: "begin", text: "BEGIN" })
        const order = { name: "order", text: "INSERT INTO orders (id) VALUES ($1)", values: [`hand ${orders++}`] }
        await client.query(order)
        if (staged) {
          const values = [JSON.stringify(granted("admin"))]
          await client.query({ name: "audit", text: "INSERT INTO bare_audit (record) VALUES ($1)", values })
        }
        await client.query({ name: "commit", text: "COMMIT" })
        client.release()
        done++
      }
    }
    await Promise.all(Array.from({ length: connections }, loop))
    return { rate: (done * 1000) / (performance.now() - start) }
  }
  return [
    { name: rows.handPlain, run: () => perSecond(false) },
    { name: rows.handOne, run: () => perSecond(true) }
  ]
}

const drain = (
  name: string,
  dialect: OutboxSchema.Dialect,
  client: SqlClient.SqlClient,
  { directory }: Settings
): Side => {
  const record = { _tag: "OrderPaid", actor: "ada", order: "2041", cents: 129_900, currency: "EUR" }
  let round = 0
  return {
    name,
    run: () =>
      Effect.gen(function*() {
        yield* client`DELETE FROM audit_outbox`
        for (let staged = 0; staged < backlog; staged += 5000) {
          const { text, values } = OutboxSchema.outboxStatement(dialect, Array.from({ length: 5000 }, () => record))
          yield* client.unsafe(text, values)
        }
        const start = performance.now()
        const drained = yield* OutboxRelay.drain({ path: Path.join(directory, `outbox-${dialect}-${round++}.jsonl`) })
        return { rate: (drained * 1000) / (performance.now() - start) }
      }).pipe(
        Effect.provideService(SqlClient.SqlClient, client),
        Effect.provide(NodeFileSystem.layer),
        Effect.runPromise
      )
  }
}

/** What is missing of the transactions of one row in those of another. */
const cost = (measured: ReadonlyArray<Row>, without: string, withRow: string): string => {
  const rate = (row: string) => measured.find(({ name }) => name === row)?.values["rate"]?.median ?? Number.NaN
  return `${Math.round(100 * (1 - rate(withRow) / rate(without)))} %`
}

const prepare = (client: SqlClient.SqlClient) =>
  Effect.andThen(OutboxSchema.migration, client`CREATE TABLE orders (id text PRIMARY KEY)`).pipe(
    Effect.provideService(SqlClient.SqlClient, client)
  )

export const sql: Bench = {
  name: "sql",
  title: "Audit rows in SQL transactions",
  columns: [{ key: "rate", label: "a second", digits: 0 }],
  run: (settings) =>
    Effect.gen(function*() {
      const why = whyNoPostgres()
      const rounds = settings.rounds ?? (settings.quick ? 1 : 5)
      const transacting: Array<Side> = []
      const draining: Array<Side> = []
      if (why === undefined) {
        const server = yield* Effect.acquireRelease(
          Effect.promise(() => Postgres.make({ settings: { fsync: "on" } })),
          (server) => Effect.promise(() => server.stop())
        )
        const client = yield* openPostgres(server.url(), { maxConnections: connections })
        yield* prepare(client)
        yield* client`CREATE TABLE bare_audit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, record text NOT NULL)`
        const pool = yield* Effect.acquireRelease(
          Effect.sync(() => new Pool({ connectionString: server.url(), max: connections })),
          (pool) => Effect.promise(() => pool.end())
        )
        transacting.push(...transactions(client), ...byHand(pool))
        draining.push(drain(rows.drained, "pg", client, settings))
      }
      const sqlite = yield* openSqlite(Path.join(settings.directory, "bench.db"))
      yield* prepare(sqlite)
      draining.push(drain("rows drained from SQLite", "sqlite", sqlite, settings))
      // one after the other: what a relay deletes is cleared away by the server while the next side runs
      const measure = (rounds: number) => async () => [
        ...await interleave(transacting, rounds * transactionRounds),
        ...await interleave(draining, rounds)
      ]
      // compiled code and filled caches: the first round of a process measures neither
      if (!settings.quick) yield* Effect.promise(measure(1))
      const measured = yield* Effect.promise(measure(rounds))
      return {
        rows: measured,
        rounds,
        findings: why === undefined
          ? [
            `PostgreSQL with fsync, ${connections} connections that do nothing but insert an order and its audit rows, ` +
            `for ${roundMillis / 1000} s in each of ${rounds * transactionRounds} rounds.`,
            `One audit row costs ${
              cost(measured, rows.plain, rows.one)
            } of the transactions; by hand, of those by hand, ` +
            `${cost(measured, rows.handPlain, rows.handOne)}.`
          ]
          : [`Without PostgreSQL: ${why}.`]
      }
    }).pipe(Effect.scoped, Effect.runPromise)
}
