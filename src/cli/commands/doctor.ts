/**
 * `auditlog doctor DIR`.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"

/**
 * Finds out whether a log is safe in a directory.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make("doctor", {
  directory: Argument.String("dir").pipe(
    Argument.withDescription("The directory in which the log is, or will be"),
    Argument.filter((directory) => directory !== "", () => "a directory")
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print the findings as JSON"),
    Flag.withDefault(false)
  )
}, (args) => Effect.flatMap(Effect.promise(() => import("../checkDirectory.ts")), ({ run }) => run(args))).pipe(
  Command.withShortDescription("Find out whether a log is safe in a directory"),
  Command.withDescription(
    "Probe the file system of a directory for what a log depends on: that appends of several processes stay whole, that " +
      "what is written can be read back and flushed, that a rename is seen, and more. It writes a few megabytes into a " +
      "directory of its own and removes them. Exits with 0 if everything holds, with 1 if something does not, and with " +
      "2 if the directory cannot be probed."
  ),
  Command.withExamples([
    { command: "auditlog doctor /var/log/app", description: "Ask before the log is there" },
    {
      command: "auditlog doctor . --json | jq '.findings[] | select(.status != \"holds\")'",
      description: "In a script"
    }
  ])
)
