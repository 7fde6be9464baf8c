/**
 * One file's text in, its append sites out, with those of the code inside its strings and heredocs at their true places.
 *
 * @since 0.1.0
 */
import type { Analysis, AnalysisOptions, Comment, Language, Primitive } from "../Language.ts"
import { languageNamed } from "../Languages.ts"
import type { Site, Span } from "../Site.ts"
import * as Grammars from "./grammars.ts"

/** What is in a file. `failures` are parts of it, or the whole, that could not be looked at. */
export interface FileAnalysis {
  readonly sites: ReadonlyArray<Site>
  readonly comments: ReadonlyArray<Comment>
  readonly unparsed: ReadonlyArray<Span>
  readonly failures: ReadonlyArray<{ readonly reason: "timeLimit" | "failed"; readonly detail: string }>
}

/** What an analysis is told. */
export interface Options {
  readonly primitives: ReadonlyArray<Primitive>
  readonly helpers: ReadonlyArray<string>
  readonly timeLimitMillis: number
}

/** Shell in Python in shell: what is deeper is quoted beyond reading. */
const depthMax = 3

/** Suppressions are to be seen also where nothing appends any more. */
const suppressionMark = /(?:auditlog|vault-atomic)-lint:/

/** Whether a text has to be parsed at all: a look takes 1.2 ms a megabyte, parsing 200 ms. */
export const isWorthParsing = (language: Language, text: string, options: Options): boolean =>
  language.mayAppend(text) || suppressionMark.test(text) || namesPrimitive(language, text, options)

/** Where nothing is appended by hand any more, the calls of primitives still belong to the inventory. */
const namesPrimitive = (language: Language, text: string, options: Options): boolean => {
  // shell may hold calls of the others in its strings
  const { primitives } = language.name === "shell" ? options : optionsFor(language, options)
  return primitives.some((primitive) => text.includes(certainName(primitive))) ||
    options.helpers.some((name) => text.includes(name))
}

/** Of `audit.append_record` and of `auditlog append`, what stands in code however it is called. */
const certainName = ({ language, name }: Primitive): string =>
  (language === "shell" ? name.split(/\s/)[0] : name.split(".").at(-1)) ?? name

/** Analyses a text. Never throws: what goes wrong in a front-end is a failure of the file. */
export const analyse = async (
  language: Language,
  extension: string,
  text: string,
  options: Options
): Promise<FileAnalysis> => {
  const sites: Array<Site> = []
  const comments: Array<Comment> = []
  const unparsed: Array<Span> = []
  const failures: Array<FileAnalysis["failures"][number]> = []
  const end = performance.now() + options.timeLimitMillis
  const whole = text

  const visit = async (
    language: Language,
    extension: string,
    text: string,
    start: number,
    around: ReadonlyArray<string>
  ): Promise<void> => {
    const found = await analyseOne(language, extension, text, options, end - performance.now())
    if ("reason" in found) {
      failures.push(found)
      return
    }
    for (const site of found.sites) {
      sites.push(around.length === 0 ? site : movedSite(withTarget(site, text, whole, start), start, around[0]))
    }
    for (const { span, text } of found.comments) comments.push({ span: moved(span, start), text })
    for (const span of found.unparsed) unparsed.push(moved(span, start))
    if (around.length >= depthMax) return
    for (const embedded of found.embedded) {
      const inner = languageNamed(embedded.language)
      if (inner === undefined || !isWorthParsing(inner, embedded.text, options)) continue
      const extension = inner.extensions[0] ?? ""
      await visit(inner, extension, embedded.text, start + embedded.start, [language.name, ...around])
    }
  }
  await visit(language, extension, text, 0, [])
  return { sites: sites.sort((a, b) => a.span.start - b.span.start), comments, unparsed, failures }
}

const analyseOne = async (
  language: Language,
  extension: string,
  text: string,
  options: Options,
  timeLimitMillis: number
): Promise<Analysis | FileAnalysis["failures"][number]> => {
  const parsed = await Grammars.parse(language.grammar(extension), text, timeLimitMillis, options.timeLimitMillis)
  if ("failure" in parsed) return { reason: parsed.failure, detail: parsed.detail }
  try {
    return language.analyse(parsed.tree, text, optionsFor(language, options))
  } catch (cause) {
    // a front-end is total by contract; a defect in one must not cost the results of all other files
    const what = cause instanceof Error ? cause.message : String(cause)
    return { reason: "failed", detail: `the analysis of ${language.name} failed: ${what}` }
  } finally {
    parsed.tree.delete()
  }
}

const optionsFor = (language: Language, { helpers, primitives }: Options): AnalysisOptions => {
  const family = language.name === "typescript" ? "javascript" : language.name
  return { helpers, primitives: primitives.filter((primitive) => primitive.language === family) }
}

const moved = ({ end, start }: Span, by: number): Span => ({ start: start + by, end: end + by })

/** The target as it stands in the file, where the code that was analysed has filler for what the outer language puts in. */
const withTarget = (site: Site, code: string, whole: string, start: number): Site => {
  const at = code.indexOf(site.target, site.statement.start)
  return at < 0 ? site : { ...site, target: whole.slice(start + at, start + at + site.target.length) }
}

const movedSite = (site: Site, by: number, embeddedIn: string | undefined): Site =>
  embeddedIn === undefined ? site : {
    ...site,
    embeddedIn,
    span: moved(site.span, by),
    statement: moved(site.statement, by),
    transaction: site.transaction === undefined
      ? undefined
      : { ...site.transaction, span: moved(site.transaction.span, by) },
    // its text was seen with filler for what the outer language puts in, and would need that language's quoting
    fix: site.fix._tag === "NoFix"
      ? site.fix
      : { _tag: "NoFix", reason: `the code stands inside a string or heredoc of ${embeddedIn}` }
  }
