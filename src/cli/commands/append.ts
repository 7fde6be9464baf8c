/**
 * `auditlog append FILE`.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as LogFlags from "../logFlags.ts"

/**
 * Appends JSON objects to a log.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make(
  "append",
  {
    file: LogFlags.file("The log; it is created if it does not exist, also when there are no records"),
    json: Flag.String("json").pipe(
      Flag.withMetavar("object"),
      Flag.withDescription("A record given here instead of on standard input; may be repeated"),
      Flag.atLeast(0)
    ),
    transaction: Flag.Boolean("transaction").pipe(
      Flag.withDescription("Append all records at once, or none if one of them is refused"),
      Flag.withDefault(false)
    ),
    receipts: Flag.Boolean("receipts").pipe(
      Flag.withDescription("Print a line of JSON for each record that is in the log"),
      Flag.withDefault(false)
    ),
    ...LogFlags.flags
  },
  ({ file, json, receipts, transaction, ...flags }) =>
    Effect.flatMap(
      Effect.promise(() => import("../appendRecords.ts")),
      ({ run }) => run({ file, json, transaction, receipts, ...LogFlags.toArguments(flags) })
    )
).pipe(
  Command.withShortDescription("Append JSON objects to a log"),
  Command.withDescription(
    "Append JSON objects, one a line, from standard input to a log. Exits with 0 only when all of them are in the " +
      "file and flushed to the device. A line that is no record ends it with 2: the lines before it are in the log, " +
      "what follows is not processed; with --transaction nothing is appended. Numbers keep their digits. " +
      "The variables AUDITLOG_SYNC, AUDITLOG_SIZE_POLICY, AUDITLOG_SIZE_LIMIT, AUDITLOG_KEY_ID, AUDITLOG_KEY and the " +
      "others of FileAppender.config give the defaults."
  ),
  Command.withExamples([
    {
      command: `auditlog append audit.jsonl --json '{"_tag":"RoleGranted","actor":"ada","role":"admin"}'`,
      description: "One record"
    },
    {
      command: "jq -c '.events[]' export.json | auditlog append audit.jsonl --transaction",
      description: "All records of a file, or none"
    },
    {
      command: "my-service | auditlog append audit.jsonl --receipts --size-policy reject",
      description: "Records as they are produced, each acknowledged when it is durable"
    }
  ])
)
