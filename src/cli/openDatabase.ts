/**
 * The database that a command was given: a URL of PostgreSQL, or a file of SQLite.
 *
 * @since 0.1.0
 */
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { explain } from "../internal/errorChain.ts"
import * as SqliteClient from "../SqliteClient.ts"
import * as Output from "./output.ts"
import type { Database } from "./postgresClient.ts"

/**
 * Which database.
 *
 * @category flags
 * @since 0.1.0
 */
export const flag = Flag.String("database").pipe(
  Flag.withMetavar("URL"),
  Flag.withDescription(
    "postgres://… or the file of a SQLite database; AUDITLOG_DATABASE by default, which other users cannot see in the " +
      "list of processes"
  ),
  Flag.optional
)

/**
 * Opens the database that the flag or the environment names.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = (database: Option.Option<string>): Effect.Effect<Database, Output.Failure> =>
  Effect.gen(function*() {
    const url = Option.getOrElse(database, () => process.env["AUDITLOG_DATABASE"] ?? "")
    if (url === "") {
      return yield* Output.failure("auditlog: which database? Give --database URL, or set AUDITLOG_DATABASE")
    }
    if (/^postgres(?:ql)?:/.test(url)) {
      const { make } = yield* Effect.promise(() => import("./postgresClient.ts"))
      return make(url)
    }
    const [scheme] = /^[a-z][a-z0-9+]+:/i.exec(url) ?? []
    if (scheme !== undefined && scheme !== "sqlite:") {
      return yield* Output.failure(
        `auditlog: ${Output.printable(scheme)} is no database that has an outbox; give postgres://… or a SQLite file`
      )
    }
    const filename = url.replace(/^sqlite:(?:\/\/)?/, "")
    return { layer: SqliteClient.layer({ filename, create: false }), notifications: undefined }
  })

/**
 * What a failure of the database says, on one line and without the URL.
 *
 * @category messages
 * @since 0.1.0
 */
export const describe = (
  error: { readonly _tag: string; readonly message: string; readonly cause?: unknown }
): string => Output.printable(explain(error.message, error.cause))
