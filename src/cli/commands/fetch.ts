/**
 * `auditlog fetch URL`.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/**
 * Reads a log back from a destination.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make("fetch", {
  url: Argument.String("url").pipe(
    Argument.withDescription("The destination: postgres://…, nats://…/STREAM, or env:NAME"),
    Argument.filter((url) => url !== "", () => "a URL")
  ),
  source: Flag.String("source").pipe(
    Flag.withMetavar("id"),
    Flag.withDescription("Which log, by its source, with or without a generation; needed where there are several"),
    Flag.optional
  ),
  output: Flag.String("output").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("file"),
    Flag.withDescription("Write a new file instead of stdout"),
    Flag.optional
  ),
  list: Flag.Boolean("list").pipe(
    Flag.withDescription("List the sources, one line of JSON each, and fetch nothing"),
    Flag.withDefault(false)
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print the report as a line of JSON: on stdout with --output, else on stderr, beside the log"),
    Flag.withDefault(false)
  )
}, (args) =>
  Effect.flatMap(Effect.promise(() => import("../fetchLog.ts")), ({ run }) =>
    Effect.scoped(run({
      ...args,
      source: Option.getOrUndefined(args.source),
      output: Option.getOrUndefined(args.output)
    })))).pipe(
    Command.withShortDescription("Read a log back from a destination, verified"),
    Command.withDescription(
      "Read a log back from a destination as the lines it was made of, byte for byte. It is verified before any of it is " +
        "printed, and the report is on stderr. Exits with 0 only if it is sound, with 1 if it has faults or a hole, and " +
        "with 2 if it cannot be read. AUDITLOG_KEY_ID and AUDITLOG_KEY check lines with an HMAC."
    ),
    Command.withExamples([
      { command: "auditlog fetch env:AUDIT_DB --list", description: "What is there" },
      { command: "auditlog fetch env:AUDIT_DB -o copy.jsonl --json | jq .sound", description: "In a script" },
      { command: "auditlog fetch env:AUDIT_DB --source 0197… -o copy.jsonl", description: "A copy for an auditor" }
    ])
  )
