/**
 * `auditlog lint [PATH…]`.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"

const optionalFile = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(description),
    Flag.filter((value) => value !== "", () => "a file name"),
    Flag.optional
  )

const on = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

/**
 * Finds code that appends records by hand.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make("lint", {
  paths: Argument.String("path").pipe(
    Argument.withDescription("Files and directories; the working directory, if there are none"),
    Argument.atLeast(0)
  ),
  format: Flag.Literals("format", ["pretty", "json", "sarif", "github", "markdown"]).pipe(
    Flag.withDescription("How the report is printed"),
    Flag.withDefault("pretty")
  ),
  json: on("json", "Short for --format json"),
  listSites: on("list-sites", "List every place that appends to a file, also those that are right"),
  explain: Flag.String("explain").pipe(
    Flag.withMetavar("rule"),
    Flag.withDescription("Print the documentation of a rule"),
    Flag.optional
  ),
  fix: on("fix", "Rewrite what can be rewritten safely, and report the rest"),
  diff: on("diff", "Print what --fix would change, and change nothing"),
  config: optionalFile("config", "file", "The configuration, instead of the nearest auditlog.config.json"),
  baseline: optionalFile("baseline", "file", "The findings that are known, instead of auditlog.baseline.json"),
  updateBaseline: on("update-baseline", "Write what is found into the baseline"),
  stdinFilename: optionalFile("stdin-filename", "name", "Lint standard input, as the file of this name"),
  noGitignore: on("no-gitignore", "Also lint what .gitignore names"),
  report: optionalFile("report", "file", "Also write the report as JSON to a file, at once or not at all"),
  record: optionalFile("record", "log", "Also append the run and its findings to an audit log, in one transaction")
}, (args) => Effect.flatMap(Effect.promise(() => import("../lintCode.ts")), ({ run }) => run(args))).pipe(
  Command.withShortDescription("Find code that appends records by hand"),
  Command.withDescription(
    "Find code in Python, shell, JavaScript and TypeScript, also inside of shell scripts, that appends lines of JSON to a " +
      "file by hand. Exits with 0 if there is nothing to report; with 1 if there are findings that neither a comment nor " +
      "the baseline knows, or stale entries of the baseline; with 2 if there is no file to lint, one could not be read, " +
      "or the configuration is wrong."
  ),
  Command.withExamples([
    { command: "auditlog lint", description: "Lint the working directory" },
    { command: "auditlog lint --explain split-append", description: "Why it matters, and what to do" },
    { command: "auditlog lint --format markdown --list-sites > inventory.md", description: "An inventory" },
    { command: "auditlog lint src --diff", description: "See what --fix would do" },
    {
      command: "auditlog lint --report lint.json --record lint-runs.jsonl",
      description: "In a nightly job"
    }
  ])
)
