/**
 * `auditlog repair FILE`.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"

/**
 * Moves the damage of a log into its quarantine.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make("repair", {
  file: Argument.String("file").pipe(
    Argument.withDescription("The log; its sealed segments are repaired with it"),
    Argument.filter((file) => file !== "", () => "a file name")
  ),
  dryRun: Flag.Boolean("dry-run").pipe(
    Flag.withDescription("Say what would be moved, and change nothing"),
    Flag.withDefault(false)
  ),
  only: Flag.Boolean("only").pipe(
    Flag.withDescription("Repair this file alone, not the other segments of its log"),
    Flag.withDefault(false)
  ),
  force: Flag.Boolean("force").pipe(
    Flag.withDescription(
      "Repair although other processes have the file open for writing, or may have, and although it looks like no log"
    ),
    Flag.withDefault(false)
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print the report as JSON"),
    Flag.withDefault(false)
  ),
  all: Flag.Boolean("all").pipe(
    Flag.withDescription("List every range that is moved, not only the first 100 of a file"),
    Flag.withDefault(false)
  )
}, (args) => Effect.flatMap(Effect.promise(() => import("../repairLog.ts")), ({ run }) => run(args))).pipe(
  Command.withShortDescription("Move the damage of a log aside"),
  Command.withDescription(
    "Move damaged bytes out of a log, and lose none of them: they go to FILE.quarantine, with their offsets and hashes, " +
      "and a clean copy takes the place of the file. Whole records stay byte for byte. A repair that is killed is " +
      "continued by the next one, and a second one changes nothing. Refuses while another process has the file open " +
      "for writing. Exits with 0 if there is nothing (more) to do; with 1 if it was refused, could not be finished, or " +
      "--dry-run finds damage; with 2 if the file cannot be repaired at all. AUDITLOG_KEY_ID and AUDITLOG_KEY check " +
      "lines with an HMAC."
  ),
  Command.withExamples([
    { command: "auditlog repair audit.jsonl --dry-run", description: "See what is damaged" },
    { command: "auditlog repair audit.jsonl", description: "Move it aside" },
    { command: "auditlog cat audit.jsonl.quarantine --json", description: "See what was moved" }
  ])
)
