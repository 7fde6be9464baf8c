/**
 * The client of a PostgreSQL database, apart from the rest: loaded only where a command is given such a database.
 *
 * @since 0.1.0
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"
import * as OutboxSchema from "../OutboxSchema.ts"

/**
 * A client, and what announces rows, where the database can.
 *
 * @category models
 * @since 0.1.0
 */
export interface Database {
  readonly layer: Layer.Layer<SqlClient, SqlError>
  readonly notifications: Stream.Stream<unknown, unknown> | undefined
}

/** One for the relay's lock and its batches, one that listens, one that counts. */
const connectionsMax = 3

/**
 * The database at a URL.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (url: string): Database => {
  const layer = PgClient.layer({
    url: Redacted.make(url),
    maxConnections: connectionsMax,
    applicationName: "auditlog",
    // a server whose machine is gone says nothing
    keepAlive: "10 seconds"
  })
  return {
    layer: Layer.effect(SqlClient, PgClient.PgClient).pipe(Layer.provideMerge(layer)),
    notifications: Stream.unwrap(
      Effect.map(PgClient.PgClient.use((client) => client.listen(OutboxSchema.channel)), Stream.fromQueue)
    ).pipe(Stream.provide(layer))
  }
}
