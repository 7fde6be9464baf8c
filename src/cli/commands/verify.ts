/**
 * `auditlog verify FILE…`.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"

/** As in `Verifier`, which is loaded only when it is needed. */
const workersMax = 16

const parseWorkers = (text: string): number | "auto" => {
  if (text === "auto") return "auto"
  if (!/^\d{1,2}$/.test(text) || Number(text) > workersMax) {
    throw new Error(`"auto", or a number from 0 to ${workersMax}`)
  }
  return Number(text)
}

/**
 * Says whether logs are what their writers wrote.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make("verify", {
  files: Argument.String("file").pipe(
    Argument.withDescription("The log; its rotated segments are verified with it"),
    Argument.filter((file) => file !== "", () => "a file name"),
    Argument.atLeast(1)
  ),
  only: Flag.Boolean("only").pipe(
    Flag.withDescription("Verify this file alone, not the other segments of its log"),
    Flag.withDefault(false)
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print the report as JSON, one line for each FILE"),
    Flag.withDefault(false)
  ),
  all: Flag.Boolean("all").pipe(
    Flag.withDescription("List every finding, not only the first 100 of each kind"),
    Flag.withDefault(false)
  ),
  workers: Flag.String("workers").pipe(
    Flag.withMetavar("auto|N"),
    Flag.withDescription("Threads that hash beside the one that reads: auto is 2 for a log of 64 MiB or more"),
    Flag.mapTryCatch(parseWorkers, (error) => error instanceof Error ? error.message : String(error)),
    Flag.withDefault("auto" as const)
  )
}, (args) => Effect.flatMap(Effect.promise(() => import("../verifyLog.ts")), ({ run }) => run(args))).pipe(
  Command.withShortDescription("Say whether a log is what its writers wrote"),
  Command.withDescription(
    "Read a log with all of its segments, check every hash and every chain, and say what is wrong, where, and what to do. " +
      "What crashes and full disks leave is told from what a hand has done. Exits with 0 only if the log is sound, with " +
      "1 if it has faults, and with 2 if it cannot be verified. AUDITLOG_KEY_ID and AUDITLOG_KEY check lines with an " +
      "HMAC; then lines without one are faults."
  ),
  Command.withExamples([
    { command: "auditlog verify audit.jsonl", description: "Verify a log" },
    { command: "auditlog verify --json audit.jsonl | jq .missing", description: "See which records are missing" },
    { command: "auditlog verify --only audit.jsonl.3", description: "Verify one file of a log" }
  ])
)
