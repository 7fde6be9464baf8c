/**
 * `auditlog cat FILE`.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as ReadFlags from "../readFlags.ts"

/**
 * Prints the records of a log.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make("cat", {
  file: ReadFlags.file,
  ...ReadFlags.queryFlags,
  ...ReadFlags.outputFlags,
  salvage: Flag.Boolean("salvage").pipe(
    Flag.withDescription(
      "Print, instead of the records, those that stand inside damaged lines: for forensics, they never count"
    ),
    Flag.withDefault(false)
  ),
  thorough: Flag.Boolean("thorough").pipe(
    Flag.withDescription("Check every line, also those that cannot match a condition, and report all damage"),
    Flag.withDefault(false)
  )
}, (args) =>
  Effect.gen(function*() {
    const { all, file, only, salvage, thorough } = args
    const format = yield* ReadFlags.format(args)
    const predicate = yield* ReadFlags.predicate(args)
    const { run } = yield* Effect.promise(() => import("../catLog.ts"))
    return yield* run({ file, format, all, only, predicate, salvaged: salvage, thorough })
  })).pipe(
    Command.withShortDescription("Print the records of a log"),
    Command.withDescription(
      "Print the records of a log, its rotated segments first, and the JSON objects that other programs appended to it. " +
        "Transactions are shown whole or not at all. Damage is reported on standard error; with a condition, that of the lines " +
        "which could match (--thorough: of all). Exits with 0, with 1 if there " +
        "is damage that is not healed, and with 2 if the log cannot be read."
    ),
    Command.withExamples([
      { command: "auditlog cat audit.jsonl", description: "Read a log on a terminal" },
      {
        command: "auditlog cat audit.jsonl --since '2 hours' --where 'tag~^Role actor=ada'",
        description: "Ask it a question"
      },
      { command: "auditlog cat audit.jsonl | jq -r .actor | sort | uniq -c", description: "Count" },
      { command: "auditlog cat audit.jsonl > /dev/null", description: "See only what is wrong with it" }
    ])
  )
