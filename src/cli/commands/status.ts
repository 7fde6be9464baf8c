/**
 * `auditlog status FILE`.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"

/**
 * Says how the shipping of a log stands.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make("status", {
  file: Argument.String("file").pipe(
    Argument.withDescription("The log"),
    Argument.filter((file) => file !== "", () => "a file name")
  ),
  to: Flag.String("to").pipe(
    Flag.withMetavar("url"),
    Flag.withDescription("A destination to ask what it has; may be repeated"),
    Flag.atLeast(0)
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print one line of JSON"),
    Flag.withDefault(false)
  )
}, (args) => Effect.flatMap(Effect.promise(() => import("../shipStatus.ts")), ({ run }) => Effect.scoped(run(args))))
  .pipe(
    Command.withShortDescription("Say how the shipping of a log stands"),
    Command.withDescription(
      "Say which source a log is, whether a shipper runs on this machine, and what each destination has of it. Exits with 1 " +
        "if the log is not what was shipped of it, with 2 if a destination cannot be asked."
    ),
    Command.withExamples([
      { command: "auditlog status audit.jsonl --to env:AUDIT_DB", description: "How far is the copy?" },
      {
        command: "auditlog status --json audit.jsonl --to env:AUDIT_DB | jq .destinations",
        description: "For a monitor"
      }
    ])
  )
