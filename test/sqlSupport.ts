/**
 * The databases that the tests of the outbox run on: SQLite everywhere, PostgreSQL where its server can be had.
 */
import { it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, type Scope } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import * as Path from "node:path"
import { afterAll, beforeAll } from "vitest"
import { OutboxSchema, SqlOutbox } from "../src/index.ts"
import { Postgres, type PostgresOptions, whyNoPostgres } from "./servers/postgres.ts"
import { openPostgres, openSqlite, order, type Sql } from "./sqlClient.ts"
import { Audit, granted, temporaryDirectory } from "./support.ts"

/** A database of one test, empty but for the outbox's tables and a business table `orders (id text)`. */
export interface Database {
  readonly sql: Sql
  /** A URL that the command takes. */
  readonly url: string
  /** Another client of the same database. */
  readonly another: Effect.Effect<Sql, SqlError.SqlError, Scope.Scope>
  /** The server that it is on. */
  readonly server?: Postgres
}

export interface Kind {
  readonly name: OutboxSchema.Dialect
  readonly make: Effect.Effect<Database, SqlError.SqlError, Scope.Scope>
}

const migrate = (sql: Sql) =>
  Effect.gen(function*() {
    yield* Effect.provideService(OutboxSchema.migration, SqlClient.SqlClient, sql)
    yield* sql`CREATE TABLE orders (id text PRIMARY KEY)`
  })

const sqlite: Kind = {
  name: "sqlite",
  make: Effect.gen(function*() {
    const url = Path.join(yield* temporaryDirectory, "business.db")
    const sql = yield* openSqlite(url)
    yield* migrate(sql)
    return { sql, url, another: openSqlite(url) }
  })
}

/** The server of this test file; to be called once, at its top. `undefined` where there is none. */
const postgresServer = (options?: PostgresOptions): { readonly server: () => Postgres } | undefined => {
  const why = whyNoPostgres()
  if (why !== undefined) {
    console.warn(`skipped: everything on PostgreSQL (${why})`)
    return undefined
  }
  let server: Postgres | undefined
  beforeAll(async () => {
    server = await Postgres.make(options)
  })
  afterAll(() => server?.stop())
  return {
    server: () => {
      if (server === undefined) throw new Error("the server has not been started")
      return server
    }
  }
}

let databases = 0

/** The kinds of database there are here; to be called once, at the top of a test file. */
export const kinds = (options?: PostgresOptions): ReadonlyArray<Kind> => {
  const postgres = postgresServer(options)
  if (postgres === undefined) return [sqlite]
  const make = Effect.gen(function*() {
    const server = postgres.server()
    const url = server.database(`test${databases++}`)
    const sql = yield* openPostgres(url, { maxConnections: 4 })
    yield* migrate(sql)
    return { sql, url, server, another: openPostgres(url, { maxConnections: 4 }) }
  })
  return [sqlite, { name: "pg", make }]
}

/** What a database holds: the ids of its orders, and the records that are staged, in their order. */
export const contents = Effect.fnUntraced(function*(sql: Sql) {
  const orders = yield* sql<{ id: string }>`SELECT id FROM orders ORDER BY id`
  const staged = yield* sql<{ record: string }>`SELECT record FROM audit_outbox ORDER BY id`
  const refusals = yield* sql`SELECT id FROM audit_outbox_refusal`
  return {
    orders: orders.map(({ id }) => id),
    staged: staged.map(({ record }): unknown => JSON.parse(record).role ?? JSON.parse(record).n),
    refusals: refusals.length
  }
})

/** What a database holds in which nothing has happened. */
export const nothing = { orders: [], staged: [], refusals: 0 }

/** The typed log on the outbox of a client. */
export const auditOn = (sql: Sql, options?: SqlOutbox.Options) =>
  Layer.fresh(Audit.layerOutbox).pipe(
    Layer.provide(SqlOutbox.layer(options)),
    Layer.provide(Layer.succeed(SqlClient.SqlClient, sql)),
    Layer.build,
    Effect.map((context) => Effect.provideContext(Audit, context)),
    Effect.flatten
  )

/** A test on a kind of database: with a typed log on its outbox, and an order and its record that belong together. */
export const outboxTest = (kind: Kind) =>
(
  name: string,
  body: (
    test: Database & {
      readonly log: Effect.Success<ReturnType<typeof auditOn>>
      readonly pay: (id: string) => Effect.Effect<void, unknown>
    }
  ) => Effect.Effect<void, unknown, Scope.Scope>
): void => {
  it.live(name, () =>
    Effect.gen(function*() {
      const database = yield* kind.make
      const log = yield* auditOn(database.sql)
      const pay = (id: string) => Effect.andThen(order(database.sql, id), log.append(granted(id))).pipe(Effect.asVoid)
      yield* body({ ...database, log, pay })
    }))
}

/** Why an effect failed: the tag of the reason of an error that has one, or the error itself. */
export const reasonOf = (exit: Exit.Exit<unknown, unknown>): unknown => {
  if (Exit.isSuccess(exit)) return "success"
  const error = Cause.squash(exit.cause)
  return typeof error === "object" && error !== null && "reason" in error
    ? (error.reason as { readonly _tag: string })._tag
    : error
}
