/**
 * The pipeline: files → front-end → embedded code → rules → suppressions → baseline → report.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as NodePath from "node:path"
import * as Baseline from "./Baseline.ts"
import * as Config from "./Config.ts"
import type { Finding, Report, SiteEntry, Skipped, Unparsed } from "./Diagnostic.ts"
import * as Analysis from "./internal/analysis.ts"
import * as AtomicFile from "./internal/atomicFile.ts"
import * as IgnoreFiles from "./internal/ignoreFiles.ts"
import { judge, type Judgement, type Verdict } from "./internal/judge.ts"
import * as ReadSource from "./internal/readSource.ts"
import * as SourceFiles from "./internal/sourceFiles.ts"
import { summarize } from "./internal/summary.ts"
import { TextLines } from "./internal/textLines.ts"
import type { Primitive } from "./Language.ts"
import { LintError } from "./LintError.ts"
import type { Span } from "./Site.ts"

/**
 * Larger files are skipped: they are rarely written by people, and parsing a megabyte takes 0.2 s.
 *
 * @category constants
 * @since 0.1.0
 */
export const fileBytesMaxDefault = 2 * 1024 * 1024

/** What one file may take; a usual one takes milliseconds. */
const fileTimeLimitMillis = 5000

/** Between two looks at whether the run was interrupted. */
const filesPerTurn = 64

/** Calls of this library's own command are right wherever they stand; its functions are known by their module. */
const ownPrimitives: ReadonlyArray<Primitive> = [{ language: "shell", name: "auditlog append" }]

/**
 * What to lint.
 *
 * **Details**
 *
 * - `directory`: what paths are relative to, in the options and in the report.
 * - `paths`: files and directories; the working directory, if there are none.
 * - `configFile`, `baselineFile`: instead of those that are found.
 * - `gitignore`: whether what .gitignore names is left out; it is by default.
 * - `stdin`: a text instead of files, and the name it is to go by.
 * - `updateBaseline`: write the findings of this run into the baseline.
 * - `onFile`: is told how many files are done, of how many.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly directory: string
  readonly paths: ReadonlyArray<string>
  readonly configFile?: string | undefined
  readonly baselineFile?: string | undefined
  readonly gitignore?: boolean | undefined
  readonly stdin?: { readonly name: string; readonly bytes: Uint8Array } | undefined
  readonly updateBaseline?: boolean | undefined
  readonly fileTimeLimitMillis?: number | undefined
  readonly onFile?: ((done: number, total: number) => void) | undefined
}

/**
 * A file in which something was found. `findings` are those of the report, beside the verdicts they were made of.
 *
 * @category models
 * @since 0.1.0
 */
export interface LintedFile {
  readonly path: string
  readonly name: string
  readonly source: ReadSource.Source
  readonly lines: TextLines
  readonly judgement: Judgement
  readonly findings: ReadonlyArray<{ readonly finding: Finding; readonly verdict: Verdict }>
  /** Analyses another text in place of this one. */
  readonly judgeText: (text: string) => Promise<Judgement & { readonly unparsed: number }>
}

/**
 * What a run gives: the report, and what reporters and `--fix` need besides.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run {
  readonly report: Report
  readonly files: ReadonlyArray<LintedFile>
  readonly config: Config.Config
  readonly baselineFile: string
}

/** What became of one file. */
type Looked =
  | { readonly _tag: "Skipped"; readonly skipped: ReadSource.NoSource }
  | { readonly _tag: "Empty" }
  | {
    readonly _tag: "Analysed"
    readonly source: ReadSource.Source
    readonly lines: TextLines
    readonly analysis: Analysis.FileAnalysis
  }

const look = async (
  { extension, language, path }: SourceFiles.SourceFile,
  source: ReadSource.Source | ReadSource.NoSource,
  options: Analysis.Options
): Promise<Looked> => {
  if ("reason" in source) return { _tag: "Skipped", skipped: source }
  if (!Analysis.isWorthParsing(language, source.text, options)) return { _tag: "Empty" }
  if (ReadSource.isMinified(source.text, language)) {
    return {
      _tag: "Skipped",
      skipped: { reason: "minified", detail: `${NodePath.basename(path)} has very long lines` }
    }
  }
  const analysis = await Analysis.analyse(language, extension, source.text, options)
  return { _tag: "Analysed", source, lines: new TextLines(source.text), analysis }
}

/**
 * Lints.
 *
 * @category linting
 * @since 0.1.0
 */
export const lint = Effect.fnUntraced(function*(options: Options) {
  const resolve = (path: string): string => NodePath.resolve(options.directory, path)
  const nameOf = (path: string): string =>
    (NodePath.relative(options.directory, path) || ".").replaceAll(NodePath.sep, "/")
  const stdin = options.stdin
  const paths = (stdin === undefined ? (options.paths.length === 0 ? ["."] : options.paths) : [stdin.name]).map(resolve)
  const config = yield* Config.load({
    directory: commonDirectory(paths),
    file: options.configFile === undefined ? undefined : resolve(options.configFile)
  })
  const { content, root } = config
  const baselineFile = options.baselineFile === undefined
    ? NodePath.resolve(root, content.baseline ?? Baseline.fileName)
    : resolve(options.baselineFile)
  const entries = options.updateBaseline === true ? undefined : yield* Baseline.load(baselineFile)
  const found = stdin === undefined
    ? SourceFiles.find({
      paths,
      root,
      include: content.include === undefined ? undefined : IgnoreFiles.patterns(content.include),
      exclude: content.exclude === undefined ? undefined : IgnoreFiles.patterns(content.exclude),
      gitignore: options.gitignore ?? true
    })
    : yield* fromStdin(paths[0] ?? "", stdin)
  if (found.files.length === 0 && found.skipped.length === 0) {
    return yield* new LintError({ problems: [nothingFound(paths.map(nameOf), found)] })
  }

  const analysisOptions: Analysis.Options = {
    primitives: [...ownPrimitives, ...(content.primitives ?? [])],
    helpers: content.helpers ?? [],
    timeLimitMillis: options.fileTimeLimitMillis ?? fileTimeLimitMillis
  }
  const severities = content.severities ?? {}
  const matcher = Baseline.matcher(entries ?? [])
  const known: Array<Baseline.Known> = []
  const files: Array<LintedFile> = []
  const skipped: Array<Skipped> = found.skipped.map((skip) => ({ ...skip, file: nameOf(skip.file) }))
  const unparsed: Array<Unparsed> = []
  const sites: Array<SiteEntry> = []
  let filesScanned = 0

  const takeFile = async (file: SourceFiles.SourceFile): Promise<void> => {
    const name = nameOf(file.path)
    const source = stdin === undefined
      ? ReadSource.read(file.path, content.fileBytesMax ?? fileBytesMaxDefault)
      : ReadSource.decode(Buffer.from(stdin.bytes))
    const looked = await look(file, source, analysisOptions)
    if (looked._tag === "Skipped") {
      skipped.push({ file: name, ...looked.skipped })
      return
    }
    filesScanned++
    if (looked._tag === "Empty") return
    const { analysis, lines } = looked
    for (const failure of analysis.failures) skipped.push({ file: name, ...failure })
    unparsed.push(...linesUnparsed(name, lines, analysis.unparsed))
    const judgement = judge(analysis, lines, severities)
    const pathInProject = NodePath.relative(root, file.path).replaceAll(NodePath.sep, "/")
    const baselined = new Set<Verdict>()
    const findings = judgement.verdicts.map((verdict) => {
      const code = lines.text.slice(verdict.span.start, verdict.span.end)
      const identity = { rule: verdict.rule.name, path: pathInProject, code }
      const fingerprint = Baseline.fingerprint(identity)
      // what a comment allows needs no entry; a fault in a comment is put right there
      const canBeKnown = verdict.allowed === undefined && verdict.site !== undefined
      if (canBeKnown) known.push(identity)
      if (canBeKnown && (options.updateBaseline === true || matcher.take(fingerprint))) baselined.add(verdict)
      return { verdict, finding: findingOf(name, lines, verdict, fingerprint, baselined.has(verdict)) }
    })
    for (const { class: siteClass, site, verdict } of judgement.sites) {
      sites.push({
        file: name,
        line: lines.lineAt(site.span.start),
        endLine: lines.lineAt(Math.max(site.span.start, site.span.end - 1)),
        language: site.language,
        ...(site.embeddedIn === undefined ? {} : { embeddedIn: site.embeddedIn }),
        class: siteClass,
        call: site.call,
        target: site.target,
        writesPerRecord: site.writesPerRecord,
        ...(verdict === undefined ? {} : { rule: verdict.rule.name }),
        ...(verdict !== undefined && baselined.has(verdict) ? { baseline: true } : {})
      })
    }
    if (judgement.sites.length === 0 && findings.length === 0) return
    const judgeText = async (text: string): ReturnType<LintedFile["judgeText"]> => {
      const again = await Analysis.analyse(file.language, file.extension, text, analysisOptions)
      return {
        ...judge(again, new TextLines(text), severities),
        unparsed: again.unparsed.length + again.failures.length
      }
    }
    files.push({ path: file.path, name, source: looked.source, lines, judgement, findings, judgeText })
  }

  for (let at = 0; at < found.files.length; at += filesPerTurn) {
    const turn = found.files.slice(at, at + filesPerTurn)
    yield* Effect.promise(async () => {
      for (const file of turn) await takeFile(file)
    })
    options.onFile?.(Math.min(at + filesPerTurn, found.files.length), found.files.length)
  }

  if (options.updateBaseline === true) yield* updateBaseline(baselineFile, known, root, paths)
  const isInScope = (entry: string): boolean => isBelow(NodePath.resolve(root, entry), paths)
  const report = summarize({
    findings: files.flatMap(({ findings }) => findings.map(({ finding }) => finding)),
    sites,
    skipped,
    unparsed,
    staleBaseline: matcher.stale(isInScope),
    filesScanned,
    ignored: found.ignored,
    excluded: found.excluded,
    otherFiles: found.otherFiles,
    failOn: content.failOn ?? "review"
  })
  return { report, files, config, baselineFile } satisfies Run
})

/** A run over part of the project changes only the entries of that part. */
const updateBaseline = Effect.fnUntraced(function*(
  file: string,
  known: ReadonlyArray<Baseline.Known>,
  root: string,
  paths: ReadonlyArray<string>
) {
  const before = yield* Baseline.load(file)
  const others = (before ?? []).filter((entry) => !isBelow(NodePath.resolve(root, entry.path), paths))
  const entries = [...others, ...Baseline.make(known)]
  yield* AtomicFile.write(file, Baseline.encode(entries))
})

const fromStdin = Effect.fnUntraced(function*(
  path: string,
  { bytes, name }: NonNullable<Options["stdin"]>
) {
  const firstLine = (): string | undefined => Buffer.from(bytes).toString("utf8").split("\n", 1)[0]
  const found = SourceFiles.languageOf(path, firstLine, true)
  if (found === undefined) {
    return yield* new LintError({
      problems: [`${name}: is in none of the languages: neither by its extension, nor by a #! line`]
    })
  }
  return {
    files: [{ path, ...found }],
    skipped: [],
    ignored: 0,
    excluded: 0,
    otherFiles: 0
  } satisfies SourceFiles.Found
})

const isBelow = (path: string, directories: ReadonlyArray<string>): boolean =>
  directories.some((directory) =>
    path === directory || path.startsWith(directory.endsWith(NodePath.sep) ? directory : directory + NodePath.sep)
  )

/** The deepest directory that has all paths. */
const commonDirectory = (paths: ReadonlyArray<string>): string =>
  paths.map(SourceFiles.directoryOf).reduce((common, path) => {
    let at = common
    while (!isBelow(path, [at])) at = NodePath.dirname(at)
    return at
  })

const nothingFound = (names: ReadonlyArray<string>, { excluded, ignored, otherFiles }: SourceFiles.Found): string =>
  `no file to lint in ${
    names.join(", ")
  }: ${otherFiles} in no language of the lint, ${ignored} ignored by .gitignore ` +
  `(--no-gitignore takes them), ${excluded} excluded`

/** A front-end may name an error and others inside of it: each line counts once. */
const linesUnparsed = (file: string, lines: TextLines, spans: ReadonlyArray<Span>): ReadonlyArray<Unparsed> => {
  const merged: Array<{ file: string; line: number; endLine: number }> = []
  for (const { end, start } of [...spans].sort((a, b) => a.start - b.start)) {
    const line = lines.lineAt(start)
    const endLine = lines.lineAt(Math.max(start, end - 1))
    const last = merged.at(-1)
    if (last !== undefined && line <= last.endLine) last.endLine = Math.max(last.endLine, endLine)
    else merged.push({ file, line, endLine })
  }
  return merged
}

/** A snippet is for people and for a diff of two reports. */
const snippetLengthMax = 400

const findingOf = (
  file: string,
  lines: TextLines,
  verdict: Verdict,
  fingerprint: string,
  isBaselined: boolean
): Finding => {
  const start = lines.positionAt(verdict.span.start)
  const end = lines.positionAt(Math.max(verdict.span.start, verdict.span.end))
  const cannotFix = whyNotFixed(verdict)
  return {
    rule: verdict.rule.name,
    severity: verdict.severity,
    file,
    line: start.line,
    column: start.column,
    endLine: end.line,
    endColumn: end.column,
    message: verdict.message,
    advice: verdict.advice,
    snippet: lines.text.slice(verdict.span.start, Math.min(verdict.span.end, verdict.span.start + snippetLengthMax)),
    fingerprint,
    ...(cannotFix === undefined ? {} : { cannotFix }),
    ...(verdict.allowed !== undefined
      ? { suppressed: { by: "comment", reason: verdict.allowed } }
      : isBaselined
      ? { suppressed: { by: "baseline", reason: "known: it is in the baseline" } }
      : {})
  }
}

const whyNotFixed = ({ rule, site }: Verdict): string | undefined =>
  site === undefined || !rule.isFixable
    ? "a person has to decide"
    : site.fix._tag === "NoFix"
    ? site.fix.reason
    : undefined
