/**
 * Clients of the databases that the tests use. Imports little, since children that are killed all the time start with it.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as SqliteClient from "../src/SqliteClient.ts"

export type Sql = SqlClient.SqlClient

const clientOf = (layer: Layer.Layer<SqlClient.SqlClient, SqlError>) =>
  Effect.map(Layer.build(Layer.fresh(layer)), Context.get(SqlClient.SqlClient))

export const openSqlite = (filename: string) => clientOf(SqliteClient.layer({ filename }))

export const openPostgres = (url: string, options: PgClient.PgPoolConfig = {}) =>
  clientOf(PgClient.layer({ url: Redacted.make(url), ...options }))

/** A client of the database at a URL. */
export const openDatabase = (url: string) =>
  url.startsWith("postgres:") ? openPostgres(url, { maxConnections: 4 }) : openSqlite(url)

/** Inserts an order, the business row of the tests. */
export const order = (sql: Sql, id: string) => Effect.asVoid(sql`INSERT INTO orders ${sql.insert({ id })}`)
