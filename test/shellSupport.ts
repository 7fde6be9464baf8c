/**
 * Runs the shell front-end on a text.
 */
import * as Parsers from "@vscode/tree-sitter-wasm"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import type { Analysis, AnalysisOptions } from "../src/lint/Language.ts"
import { shell } from "../src/lint/languages/shell.ts"
import type { Site } from "../src/lint/Site.ts"

const grammars = path.dirname(createRequire(import.meta.url).resolve("@vscode/tree-sitter-wasm"))
const parsers = new Map<string, Parsers.Parser>()

export const loadParsers = async (): Promise<void> => {
  await Parsers.Parser.init()
  for (const name of ["bash", "python", "javascript"]) {
    const parser = new Parsers.Parser()
    parser.setLanguage(await Parsers.Language.load(fs.readFileSync(path.join(grammars, `tree-sitter-${name}.wasm`))))
    parsers.set(name, parser)
  }
}

/** The primitive of the package, as the defaults of the linter name it. */
const withPrimitive: AnalysisOptions = {
  primitives: [{ language: "shell", name: "auditlog append" }],
  helpers: []
}

export const analyse = (text: string, options: AnalysisOptions = withPrimitive): Analysis => {
  const tree = parsers.get("bash")?.parse(text)
  if (tree === null || tree === undefined) throw new Error("no parser for bash")
  try {
    return shell.analyse(tree, text, options)
  } finally {
    tree.delete()
  }
}

/** Whether the grammar of an embedded language reads a text without an error. */
export const parses = (language: string, text: string): boolean => {
  const tree = parsers.get(language === "shell" ? "bash" : language)?.parse(text)
  if (tree === null || tree === undefined) throw new Error(`no parser for ${language}`)
  const isGood = !tree.rootNode.hasError
  tree.delete()
  return isGood
}

const isReported = (site: Site): boolean =>
  site.migrated === undefined && (site.payload === "record" || site.payload === "multiLineRecord")

export const reported = (text: string, options?: AnalysisOptions): ReadonlyArray<Site> =>
  analyse(text, options).sites.filter(isReported)

export const only = (text: string, options?: AnalysisOptions): Site => {
  const sites = reported(text, options)
  const [site] = sites
  if (sites.length !== 1 || site === undefined) throw new Error(`${sites.length} sites in ${text}`)
  return site
}

/** The text after the fix of its only site, or why there is none. */
export const fixed = (text: string, options?: AnalysisOptions): string => {
  const { fix } = only(text, options)
  if (fix._tag === "NoFix") return fix.reason
  return [...fix.edits]
    .sort((a, b) => b.span.start - a.span.start)
    .reduce((code, edit) => code.slice(0, edit.span.start) + edit.text + code.slice(edit.span.end), text)
}
