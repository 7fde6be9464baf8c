/**
 * `auditlog append FILE`.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as FileAppender from "../../FileAppender.ts"
import * as Environment from "../../internal/environment.ts"

/** As people type them in a shell; the longer forms of `Duration` ("5 seconds") are understood too. */
const units: { readonly [unit: string]: number } = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 }

const parseInterval = (text: string): FileAppender.SyncPolicy | undefined => {
  const short = /^(?<count>\d+(?:\.\d+)?) ?(?<unit>ms|s|m|min|h)$/.exec(text)?.groups
  return short === undefined
    ? Environment.parseSync(text)
    : { every: Duration.millis(Number(short["count"]) * units[short["unit"]!]!) }
}

const parseSync = (text: string): FileAppender.SyncPolicy => {
  const sync = parseInterval(text)
  const millis = typeof sync === "object" ? Duration.toMillis(sync.every) : 1
  // under a millisecond it would flush without a pause, and setTimeout takes no more than 24 days
  if (sync === undefined || millis < 1 || millis > 86_400_000) {
    throw new Error(`"always", "never", or an interval between 1ms and 24h such as "1s"`)
  }
  return sync
}

const parseLimit = (text: string): number => {
  const bytes = Environment.parseSize(text)
  if (bytes === undefined || bytes === 0) throw new Error(Environment.expectedSize)
  return bytes
}

const problem = (error: unknown): string => error instanceof Error ? error.message : String(error)

/**
 * Appends JSON objects to a log.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make(
  "append",
  {
    file: Argument.String("file").pipe(
      Argument.withDescription("The log; it is created if it does not exist, also when there are no records"),
      Argument.filter((file) => file !== "", () => "a file name")
    ),
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
    sync: Flag.String("sync").pipe(
      Flag.withMetavar("always|never|1s"),
      Flag.withDescription("When to flush to the device: before each acknowledgement, never, or in an interval"),
      Flag.mapTryCatch(parseSync, problem),
      Flag.optional
    ),
    sizePolicy: Flag.ChoiceWithValue(
      "size-policy",
      [["warn", "Warn"], ["reject", "Reject"], ["allow", "Allow"]] as const
    )
      .pipe(
        Flag.withMetavar("warn|reject|allow"),
        Flag.withDescription("What to do with a record whose line is over the limit"),
        Flag.optional
      ),
    limit: Flag.String("limit").pipe(
      Flag.withMetavar("bytes"),
      Flag.withDescription("The limit of the size policy, such as 4096 (the default) or \"8 KiB\""),
      Flag.mapTryCatch(parseLimit, problem),
      Flag.optional
    )
  },
  ({ limit, sizePolicy, sync, ...rest }) =>
    Effect.flatMap(Effect.promise(() => import("../appendRecords.ts")), ({ run }) =>
      run({
        ...rest,
        sync: Option.getOrUndefined(sync),
        sizePolicy: Option.getOrUndefined(sizePolicy),
        limitBytes: Option.getOrUndefined(limit)
      }))
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
