/**
 * `auditlog cat FILE`.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Output from "../output.ts"

/**
 * Prints the records of a log.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make("cat", {
  file: Argument.String("file").pipe(Argument.withDescription("The log")),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print the lines as they stand in the file: the default if stdout is no terminal"),
    Flag.withDefault(false)
  ),
  pretty: Flag.Boolean("pretty").pipe(
    Flag.withDescription("Print aligned lines for people: the default on a terminal"),
    Flag.withDefault(false)
  ),
  all: Flag.Boolean("all").pipe(
    Flag.withDescription("List every damaged line, not only the first 100"),
    Flag.withDefault(false)
  )
}, ({ all, file, json, pretty }) =>
  json && pretty
    ? Effect.fail(Output.failure("auditlog: --json and --pretty exclude each other"))
    : Effect.flatMap(Effect.promise(() => import("../catLog.ts")), ({ run }) =>
      run({ file, format: json ? "json" : pretty ? "pretty" : undefined, all }))).pipe(
    Command.withShortDescription("Print the records of a log"),
    Command.withDescription(
      "Print the records of a log, and the JSON objects that other programs appended to it. Transactions are shown " +
        "whole or not at all. Damage is reported on standard error. Exits with 0, with 1 if a line is damaged and not " +
        "healed, and with 2 if the file cannot be read."
    ),
    Command.withExamples([
      { command: "auditlog cat audit.jsonl", description: "Read a log on a terminal" },
      {
        command: "auditlog cat audit.jsonl | jq 'select(.actor == \"ada\")'",
        description: "Ask it a question"
      },
      { command: "auditlog cat audit.jsonl > /dev/null", description: "See only what is wrong with it" }
    ])
  )
