/**
 * `auditlog tail FILE`.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Output from "../output.ts"
import * as ReadFlags from "../readFlags.ts"

/**
 * Prints the last records of a log, and those to come.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make("tail", {
  file: ReadFlags.file,
  follow: Flag.Boolean("follow").pipe(
    Flag.withAlias("f"),
    Flag.withDescription("Go on with what is appended from now on, across rotations, until it is interrupted"),
    Flag.withDefault(false)
  ),
  lines: Flag.Int("lines").pipe(
    Flag.withAlias("n"),
    Flag.withMetavar("number"),
    Flag.withDescription("How many records: the last 10 by default"),
    Flag.filter((lines) => lines >= 0, () => "a number of records, 0 or more"),
    Flag.withDefault(10)
  ),
  ...ReadFlags.queryFlags,
  ...ReadFlags.outputFlags
}, (args) =>
  Effect.gen(function*() {
    const { all, file, follow, lines, only } = args
    if (follow && only) return yield* Output.failure("auditlog: --follow and --only exclude each other")
    const format = yield* ReadFlags.format(args)
    const predicate = yield* ReadFlags.predicate(args)
    const { run } = yield* Effect.promise(() => import("../tailLog.ts"))
    return yield* run({ file, format, all, only, predicate, lines, follow })
  })).pipe(
    Command.withShortDescription("Print the last records of a log, and those to come"),
    Command.withDescription(
      "Print the last records of a log, over all of its segments, and with -f those that are appended from now on, " +
        "across rotations: each once, transactions whole or not at all. Exits with 0, with 1 if there is damage among " +
        "what is shown, with 2 if the log cannot be read, and with 130 when it is interrupted."
    ),
    Command.withExamples([
      { command: "auditlog tail audit.jsonl", description: "The last ten records" },
      { command: "auditlog tail -f -n 0 audit.jsonl --where actor=ada", description: "What ada does from now on" },
      { command: "auditlog tail -f audit.jsonl | jq -c .", description: "Hand each record on as it comes" }
    ])
  )
