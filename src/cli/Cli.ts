/**
 * The command `auditlog`: its subcommands, and what usage errors, warnings and exit codes look like in all of them.
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Fs from "node:fs"
import * as Append from "./commands/append.ts"
import * as Cat from "./commands/cat.ts"
import * as Doctor from "./commands/doctor.ts"
import * as Exec from "./commands/exec.ts"
import * as Fetch from "./commands/fetch.ts"
import * as Lint from "./commands/lint.ts"
import * as Outbox from "./commands/outbox.ts"
import * as Relay from "./commands/relay.ts"
import * as Repair from "./commands/repair.ts"
import * as Ship from "./commands/ship.ts"
import * as Status from "./commands/status.ts"
import * as Tail from "./commands/tail.ts"
import * as Verify from "./commands/verify.ts"
import * as Output from "./output.ts"

/** From the package itself, two levels up in `src` and in `dist`. */
const version = (): string => {
  const text = Fs.readFileSync(new URL("../../package.json", import.meta.url), "utf8")
  return (JSON.parse(text) as { readonly version: string }).version
}

const root = Command.make("auditlog").pipe(
  Command.withDescription(
    "An append-only audit log in one file: each record is a line of JSON, whole and flushed to the device before it is " +
      "acknowledged, and chained to the one before it by a hash."
  ),
  Command.withExamples([
    { command: `auditlog append audit.jsonl --json '{"actor":"ada"}'`, description: "Append a record" },
    { command: "auditlog cat audit.jsonl", description: "Read the log" },
    { command: "auditlog append --help", description: "All about one command" }
  ]),
  Command.withSubcommands([
    Append.command,
    Exec.command,
    Cat.command,
    Tail.command,
    Verify.command,
    Repair.command,
    Doctor.command,
    Relay.command,
    Outbox.command,
    Ship.command,
    Fetch.command,
    Status.command,
    Lint.command
  ])
)

/** Help that was asked for is data; anything about a wrong call is for people, and short. */
const presenter: CliOutput.Presenter = {
  present: (event) => {
    if (event._tag === "Version") return Effect.ignore(Output.stdout(`${event.name} ${event.version}\n`))
    if (event._tag === "Help" && event.reason === "Requested") return CliOutput.defaultPresenter.present(event)
    const path = event.commandPath.join(" ")
    const problems = event._tag === "Help" ? ["which command?"] : event.errors.map((error) => error.message)
    return Output.stderr([
      ...problems.map((problem) => `auditlog: ${problem.split("\n").map(Output.printable).join("\n")}`),
      `Usage: ${event.helpDoc.usage}`,
      `Try: ${path} --help`
    ])
  }
}

const environment = Layer.mergeAll(
  NodeServices.layer,
  CliOutput.layerPresenter(presenter),
  // no wizard: an audit log is written by programs
  CliConfig.layer({
    builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel]
  }),
  Logger.layer([Output.logger()])
)

/**
 * A word such as `-dash`. It would be taken for `-d -a -s -h`: help, and the exit code 0, which a script takes for the
 * verdict on a file of that name.
 */
const helpInDisguise = (args: ReadonlyArray<string>): string | undefined => {
  const end = args.indexOf("--")
  return args.slice(0, end < 0 ? undefined : end).find((word, i) =>
    /^-[A-Za-z][^=]*h/.test(word) && !args[i - 1]?.startsWith("--")
  )
}

/** `tail -n5`, `tail -fn5` and `tail -5` are what people type. */
const asTail = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const end = args.indexOf("--")
  return args[0] === "tail"
    ? args.flatMap((word, i) => {
      const [, flags, lines] = /^-(f?n|)(\d+)$/.exec(word) ?? []
      return lines === undefined || args[i - 1]?.startsWith("--") || args[i - 1] === "-n" || (end >= 0 && i > end)
        ? [word]
        : [`-${flags === "" ? "n" : flags}`, lines]
    })
    : args
}

/**
 * Runs the command line with arguments. Fails with what says the exit code.
 *
 * **Details**
 *
 * 0: good. 1: findings or damage. 2: wrong usage, or it could not run. 130: interrupted.
 *
 * @category running
 * @since 0.1.0
 */
export const run = (args: ReadonlyArray<string>) =>
  Effect.suspend(() => {
    const word = helpInDisguise(args)
    return word === undefined
      ? Command.runWith(root, { version: version() })(asTail(args))
      : Effect.fail(Output.failure(
        `auditlog: Unrecognized flag: ${Output.printable(word)}; a file of that name is ./${Output.printable(word)}`
      ))
  }).pipe(
    Effect.catchTag("ShowHelp", () => Effect.fail(Output.failure())),
    Output.failWithoutDirectory,
    Effect.tapError((error) =>
      error._tag === "Failure" && error.lines.length > 0 ? Output.stderr(error.lines) : Effect.void
    ),
    Effect.provide(environment)
  )

/**
 * Runs the command line with the arguments of the process, and ends the process with its exit code, see {@link run}.
 *
 * @category running
 * @since 0.1.0
 */
export const main = (): void => NodeRuntime.runMain(run(process.argv.slice(2)))
