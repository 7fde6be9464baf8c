/**
 * `auditlog relay --database URL FILE`.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { parseDuration } from "../flagValues.ts"
import * as LogFlags from "../logFlags.ts"
import * as OpenDatabase from "../openDatabase.ts"

/**
 * Takes rows from an outbox to a log.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make("relay", {
  file: LogFlags.file("The log; it is created if it does not exist"),
  database: OpenDatabase.flag,
  poll: Flag.String("poll").pipe(
    Flag.withMetavar("1s"),
    Flag.withDescription("How long to wait before looking again, such as 500ms; 1s by default"),
    Flag.mapTryCatch(parseDuration, () => "a duration between 1ms and 24h such as \"1s\""),
    Flag.optional
  ),
  listen: Flag.Boolean("listen").pipe(
    Flag.withDescription("Let PostgreSQL announce rows, where programs stage them with notify"),
    Flag.withDefault(false)
  ),
  once: Flag.Boolean("once").pipe(
    Flag.withDescription("Take what waits now, and exit"),
    Flag.withDefault(false)
  )
}, (args) => Effect.flatMap(Effect.promise(() => import("../relayLog.ts")), ({ run }) => run(args))).pipe(
  Command.withShortDescription("Take the rows of a database's outbox to a log"),
  Command.withDescription(
    "Take committed rows from the table audit_outbox of PostgreSQL or SQLite to a log: each once and in order, whatever is " +
      "killed or lost meanwhile. Runs until it is told to stop. When the database or the log is away it tries again, with " +
      "pauses of up to 30 seconds. Only one relay drains an outbox; a second one stands by and takes over. Rows that can " +
      "never be records are set aside; see \"auditlog outbox\". The environment configures the log as for \"append\"."
  ),
  Command.withExamples([
    { command: "AUDITLOG_DATABASE=postgres://app@db/shop auditlog relay audit.jsonl", description: "Run a relay" },
    { command: "auditlog relay --once --database shop.db audit.jsonl", description: "Take what waits now" }
  ])
)
