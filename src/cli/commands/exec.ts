/**
 * `auditlog exec FILE -- CMD …`.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import * as LogFlags from "../logFlags.ts"
import * as Output from "../output.ts"

/** Without the two dashes a flag of the command would be taken for one of `exec`, and a forgotten FILE be its name. */
const requireDashes = Effect.fnUntraced(function*(command: ReadonlyArray<string>) {
  const args = yield* (yield* Stdio.Stdio).args
  const dashes = args.indexOf("--")
  return yield* dashes >= 0 && args.length - dashes - 1 === command.length
    ? Effect.void
    : Effect.fail(Output.failure(
      "auditlog: the log comes before two dashes, the command after them",
      "Usage: auditlog exec [flags] FILE -- CMD …",
      "Try: auditlog exec --help"
    ))
})

/**
 * Runs a command whose appends are one transaction.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make(
  "exec",
  {
    file: LogFlags.file("The log; it is created if it does not exist"),
    command: Argument.String("command").pipe(
      Argument.withDescription("The command and its arguments, after two dashes"),
      Argument.atLeast(1)
    ),
    ...LogFlags.flags
  },
  ({ command, file, ...flags }) =>
    Effect.andThen(
      requireDashes(command),
      Effect.flatMap(
        Effect.promise(() => import("../execLog.ts")),
        ({ run }) => run({ file, command, ...LogFlags.toArguments(flags) })
      )
    )
).pipe(
  Command.withShortDescription("Run a command whose appends are one transaction"),
  Command.withDescription(
    "Run a command. What \"auditlog append FILE\" appends inside it, also in scripts and programs that it starts, is " +
      "one transaction: it is in the log when the command has exited with 0, and none of it is otherwise. Inside, an " +
      "append succeeds when its records are buffered. The exit code is that of the command (128 + n if signal n ended " +
      "it, 127 if it was not found, 126 if it could not be started), or 2 if its records could not be appended. SIGINT, " +
      "SIGTERM and SIGHUP are passed on to it. Appends to another log are not part of the transaction. An exec inside " +
      "it on the same log is a part of it that disappears if its own command fails."
  ),
  Command.withExamples([
    {
      command: "auditlog exec audit.jsonl -- ./migrate.sh",
      description: "All that the script appends, or nothing if it fails"
    },
    {
      command:
        `auditlog exec audit.jsonl -- bash -euc 'useradd ada && echo "{\\"user\\":\\"ada\\"}" | auditlog append audit.jsonl'`,
      description: "A record of something that has happened"
    }
  ])
)
