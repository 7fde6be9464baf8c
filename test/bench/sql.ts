/**
 * What an audit row costs a transaction on PostgreSQL, with 16 connections that do nothing else, and how fast a relay
 * drains. The three kinds of transaction take turns, so that what else the machine does hits them alike.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { OutboxRelay, OutboxSchema, SqlOutbox } from "../../src/index.ts"
import { Postgres, whyNoPostgres } from "../servers/postgres.ts"
import { openPostgres, openSqlite, order } from "../sqlClient.ts"
import { Audit, granted } from "../support.ts"

const connections = 16
const rounds = 5
const roundMillis = 1500
const backlog = 50_000

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

const transactions = Effect.fnUntraced(function*(sql: SqlClient.SqlClient) {
  const log = yield* Effect.map(
    Audit.layerOutbox.pipe(
      Layer.provide(SqlOutbox.layer()),
      Layer.provide(Layer.succeed(SqlClient.SqlClient, sql)),
      Layer.build
    ),
    Context.get(Audit)
  )
  let orders = 0
  const perSecond = Effect.fnUntraced(function*(rows: number) {
    const end = performance.now() + roundMillis
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
      while (performance.now() < end) {
        yield* sql.withTransaction(one)
        done++
      }
    })
    yield* Effect.all(Array.from({ length: connections }, () => loop), { concurrency: connections, discard: true })
    return (done * 1000) / roundMillis
  })
  const kinds = [0, 1, 10]
  const found = kinds.map((): Array<number> => [])
  yield* perSecond(1)
  for (let round = 0; round < rounds; round++) {
    for (const [i, rows] of kinds.entries()) found[i]!.push(yield* perSecond(rows))
  }
  const base = median(found[0]!)
  for (const [i, rows] of kinds.entries()) {
    const rate = median(found[i]!)
    const cost = rows === 0 ? "" : `, ${Math.round(100 * (1 - rate / base))} % less`
    console.log(`  an order with ${String(rows).padStart(2)} audit rows: ${Math.round(rate)} transactions/s${cost}`)
  }
})

const drain = Effect.fnUntraced(function*(name: OutboxSchema.Dialect, sql: SqlClient.SqlClient, path: string) {
  const record = { _tag: "OrderPaid", actor: "ada", order: "2041", cents: 129_900, currency: "EUR" }
  const rates: Array<number> = []
  yield* sql`DELETE FROM audit_outbox`
  for (let round = 0; round < rounds; round++) {
    for (let staged = 0; staged < backlog; staged += 5000) {
      const { text, values } = OutboxSchema.outboxStatement(name, Array.from({ length: 5000 }, () => record))
      yield* sql.unsafe(text, values)
    }
    const start = performance.now()
    const rows = yield* OutboxRelay.drain({ path: `${path}.${round}` })
    rates.push((rows * 1000) / (performance.now() - start))
  }
  console.log(`  drained from ${name}: ${Math.round(median(rates))} rows/s, at best ${Math.round(Math.max(...rates))}`)
})

export const sql = async (): Promise<void> => {
  const why = whyNoPostgres()
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-bench-"))
  const server = why === undefined ? await Postgres.make({ settings: { fsync: "on" } }) : undefined
  console.log(`sql: ${why === undefined ? `PostgreSQL, ${connections} connections` : `no PostgreSQL (${why})`}`)
  try {
    await Effect.gen(function*() {
      for (const name of ["pg", "sqlite"] as const) {
        if (name === "pg" && server === undefined) continue
        const client = name === "pg" && server !== undefined
          ? yield* openPostgres(server.url(), { maxConnections: connections })
          : yield* openSqlite(Path.join(directory, "bench.db"))
        yield* Effect.gen(function*() {
          yield* OutboxSchema.migration
          yield* client`CREATE TABLE orders (id text PRIMARY KEY)`
          if (name === "pg") yield* transactions(client)
          yield* drain(name, client, Path.join(directory, `${name}.jsonl`))
        }).pipe(Effect.provideService(SqlClient.SqlClient, client))
      }
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer), Effect.runPromise)
  } finally {
    await server?.stop()
    Fs.rmSync(directory, { recursive: true, force: true })
  }
}
