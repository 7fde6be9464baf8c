/**
 * `auditlog outbox --database URL`.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as OpenDatabase from "../openDatabase.ts"

/**
 * Says what waits in an outbox.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make("outbox", {
  database: OpenDatabase.flag,
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print one JSON object"),
    Flag.withDefault(false)
  ),
  schema: Flag.ChoiceWithValue("schema", [["pg", "pg"], ["sqlite", "sqlite"]]).pipe(
    Flag.withMetavar("pg|sqlite"),
    Flag.withDescription("Print the SQL that makes the tables, and nothing else"),
    Flag.optional
  )
}, (args) => Effect.flatMap(Effect.promise(() => import("../outboxStatus.ts")), ({ run }) => run(args))).pipe(
  Command.withShortDescription("Say what waits in a database's outbox, and for how long"),
  Command.withDescription(
    "Say how many rows wait in the table audit_outbox, how long the oldest has waited, and which rows were set aside since " +
      "they can never be records. Exits with 0, with 1 if rows were set aside, and with 2 if it cannot look."
  ),
  Command.withExamples([
    { command: "auditlog outbox --database shop.db", description: "Look at the outbox of a SQLite database" },
    { command: "auditlog outbox --schema pg | psql shop", description: "Make the tables" }
  ])
)
