/**
 * What `auditlog lint` does: lints, fixes, prints, keeps the report, and decides the exit code.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Fs from "node:fs"
import * as NodePath from "node:path"
import { isatty } from "node:tty"
import * as V8 from "node:v8"
import type { Report } from "../lint/Diagnostic.ts"
import * as Fixer from "../lint/Fixer.ts"
import * as AtomicFile from "../lint/internal/atomicFile.ts"
import * as Linter from "../lint/Linter.ts"
import type { Reporter } from "../lint/Reporter.ts"
import * as Rules from "../lint/Rules.ts"
import * as Output from "./output.ts"
import * as ProgressLine from "./progressLine.ts"

/**
 * The arguments of `auditlog lint`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments {
  readonly paths: ReadonlyArray<string>
  readonly format: "pretty" | "json" | "sarif" | "github" | "markdown"
  readonly json: boolean
  readonly listSites: boolean
  readonly explain: Option.Option<string>
  readonly fix: boolean
  readonly diff: boolean
  readonly config: Option.Option<string>
  readonly baseline: Option.Option<string>
  readonly updateBaseline: boolean
  readonly stdinFilename: Option.Option<string>
  readonly noGitignore: boolean
  readonly report: Option.Option<string>
  readonly record: Option.Option<string>
}

/** One file a format, loaded when it is asked for. */
const reporters: { readonly [format in Arguments["format"]]: () => Promise<{ readonly report: Reporter }> } = {
  pretty: () => import("../lint/reporters/pretty.ts"),
  json: () => import("../lint/reporters/json.ts"),
  sarif: () => import("../lint/reporters/sarif.ts"),
  github: () => import("../lint/reporters/github.ts"),
  markdown: () => import("../lint/reporters/markdown.ts")
}

/**
 * Lints and prints the report. Fails with exit code 1 if there are findings, with 2 if it could not lint everything.
 *
 * @category running
 * @since 0.1.0
 */
export const run = (args: Arguments) =>
  Effect.catchTags(Option.isSome(args.explain) ? explain(args.explain.value) : lint(args), {
    LintError: ({ problems }) =>
      Effect.fail(Output.failure(...problems.map((problem) => `auditlog: ${Output.printable(problem)}`))),
    StdoutClosed: () => Effect.void
  })

const explain = Effect.fnUntraced(function*(name: string) {
  const rule = Rules.byName(name)
  if (rule === undefined) {
    return yield* Output.failure(
      `auditlog: ${Output.printable(name)} is no rule; the rules are: ${Rules.names.join(", ")}`
    )
  }
  return yield* Output.stdout(Rules.toMarkdown(rule))
})

const lint = Effect.fnUntraced(function*(args: Arguments) {
  yield* checkArguments(args)
  // The parsers are WebAssembly, and optimizing them gains little in so short a life. Without it the peak is 179 MB
  // instead of 666 on 7000 files, at the same CPU time, and on a repository of 117 the CPU time is 0.48 s instead of
  // 0.88. Flags of the whole process, and so for the command only; V8 takes them before the first module is compiled.
  for (const flag of ["--no-wasm-dynamic-tiering", "--no-wasm-tier-up"]) V8.setFlagsFromString(flag)
  const stdin = Option.isNone(args.stdinFilename)
    ? undefined
    : { name: args.stdinFilename.value, bytes: yield* readStdin }
  const directory = process.cwd()
  const options: Linter.Options = {
    directory,
    paths: args.paths,
    configFile: Option.getOrUndefined(args.config),
    baselineFile: Option.getOrUndefined(args.baseline),
    gitignore: !args.noGitignore,
    updateBaseline: args.updateBaseline,
    stdin
  }
  const lintOnce = Effect.scoped(Effect.gen(function*() {
    const show = yield* ProgressLine.make
    return yield* Linter.lint({
      ...options,
      onFile: (done, total) => show(() => `lint: ${done} of ${total} files`)
    })
  }))
  const first = yield* lintOnce
  if (args.diff) yield* printDiff(first)
  const linted = args.fix ? yield* fix(first, lintOnce) : first
  const { report } = linted
  const version = packageVersion()
  if (!args.diff) {
    const { report: reporter } = yield* Effect.promise(reporters[args.json ? "json" : args.format])
    const color = args.format === "pretty" && isatty(1) && (process.env["NO_COLOR"] ?? "") === ""
    yield* Output.stdout(
      reporter(linted, { color, listSites: args.listSites, printable: Output.printable, version })
    )
  }
  if (args.updateBaseline) yield* Output.stderr([`auditlog: wrote ${Output.printable(linted.baselineFile)}`])
  if (Option.isSome(args.report)) {
    yield* AtomicFile.write(NodePath.resolve(directory, args.report.value), `${JSON.stringify(report, null, 2)}\n`)
  }
  if (Option.isSome(args.record)) {
    const { record } = yield* Effect.promise(() => import("./lintRecord.ts"))
    yield* record({ log: args.record.value, version, directory, paths: args.paths, report })
  }
  yield* outcome(report)
})

const outcome = ({ summary }: Report): Effect.Effect<void, Output.Failure> =>
  !summary.passed
    ? Effect.fail(new Output.Failure({ exitCode: 1, lines: [] }))
    : summary.filesScanned === 0
    ? Effect.fail(Output.failure("auditlog: no file was linted: see what was skipped"))
    : !summary.complete
    ? Effect.fail(Output.failure("auditlog: the lint is not complete: see what was skipped"))
    : Effect.void

const checkArguments = (args: Arguments): Effect.Effect<void, Output.Failure> => {
  const isStdin = Option.isSome(args.stdinFilename)
  const problem = args.paths.includes("")
    ? "a path is empty"
    : isStdin && args.paths.length > 0
    ? "--stdin-filename takes the place of paths"
    : isStdin && args.fix
    ? "--fix has no file to write with --stdin-filename; --diff prints the change"
    : args.fix && args.diff
    ? "--fix and --diff exclude each other"
    : args.updateBaseline && (args.fix || args.diff)
    ? "--update-baseline goes alone: fix first"
    : args.diff && (args.json || args.format !== "pretty")
    ? "--diff prints a diff and no report; --report writes one"
    : args.json && args.format !== "pretty" && args.format !== "json"
    ? `--json and --format ${args.format} exclude each other`
    : undefined
  return problem === undefined ? Effect.void : Effect.fail(Output.failure(`auditlog: ${problem}`))
}

const readStdin = Effect.callback<Uint8Array, Output.Failure>((resume) => {
  const chunks: Array<Buffer> = []
  process.stdin.on("data", (chunk: Buffer) => chunks.push(chunk))
  process.stdin.on("end", () => resume(Effect.succeed(Buffer.concat(chunks))))
  process.stdin.on(
    "error",
    ({ message }) =>
      resume(Effect.fail(Output.failure(`auditlog: cannot read standard input (${Output.printable(message)})`)))
  )
})

const refusalLines = (plans: ReadonlyArray<Fixer.Plan>): ReadonlyArray<string> =>
  plans.flatMap(({ refusals }) => refusals).map(({ file, line, reason, rule }) =>
    Output.printable(`auditlog: not fixed: ${file}:${line} ${rule}: ${reason}`)
  )

const printDiff = Effect.fnUntraced(function*({ files }: Linter.Run) {
  const plans = yield* Effect.forEach(files, Fixer.plan)
  yield* Output.stdout(plans.map(Fixer.diff).join(""))
  yield* Output.stderr(refusalLines(plans))
})

const fix = <E, R>({ files }: Linter.Run, again: Effect.Effect<Linter.Run, E, R>) =>
  Effect.gen(function*() {
    const plans = yield* Effect.forEach(files, Fixer.plan)
    yield* Effect.forEach(plans, Fixer.write)
    const changed = plans.filter(({ edits }) => edits.length > 0)
    const sites = changed.reduce((sum, { fixed }) => sum + fixed, 0)
    yield* Output.stderr([
      ...refusalLines(plans),
      `auditlog: fixed ${sites} site${sites === 1 ? "" : "s"} in ${changed.length} file${
        changed.length === 1 ? "" : "s"
      }`
    ])
    return yield* again
  })

/** From the package itself, two levels up in `src` and in `dist`. */
const packageVersion = (): string => {
  const text = Fs.readFileSync(new URL("../../package.json", import.meta.url), "utf8")
  return (JSON.parse(text) as { readonly version: string }).version
}
