/**
 * The grammars of tree-sitter, each loaded when the first file needs it: 5 to 10 ms, and some MB of memory.
 *
 * @since 0.1.0
 */
import type * as TreeSitter from "@vscode/tree-sitter-wasm"
import * as Fs from "node:fs"
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"

/** A tree, or why there is none. Whoever gets the tree deletes it: it is not on the heap of JavaScript. */
export type Parsed = { readonly tree: TreeSitter.Tree } | {
  readonly failure: "timeLimit" | "failed"
  readonly detail: string
}

type Runtime = typeof TreeSitter

const folder = (): URL => new URL("./", import.meta.resolve("@vscode/tree-sitter-wasm"))

let runtime: Promise<Runtime> | undefined

const loadRuntime = async (): Promise<Runtime> => {
  // the package is a UMD module whose names Node cannot see from an import
  const loaded = createRequire(import.meta.url)("@vscode/tree-sitter-wasm") as Runtime
  await loaded.Parser.init({ locateFile: (file) => fileURLToPath(new URL(file, folder())) })
  return loaded
}

const parsers = new Map<string, Promise<TreeSitter.Parser>>()

const loadParser = async (grammar: string): Promise<TreeSitter.Parser> => {
  runtime ??= loadRuntime()
  const { Language, Parser } = await runtime
  const parser = new Parser()
  parser.setLanguage(await Language.load(Fs.readFileSync(new URL(`${grammar.replace(/\.wasm$/, "")}.wasm`, folder()))))
  return parser
}

/**
 * Parses a text with a grammar, given by the name of its file in the package. Never throws for a text, whatever is in it.
 * `timeLimitMillis` is what the whole file may take, of which `timeLeftMillis` is left.
 */
export const parse = async (
  grammar: string,
  text: string,
  timeLeftMillis: number,
  timeLimitMillis: number
): Promise<Parsed> => {
  let loading = parsers.get(grammar)
  if (loading === undefined) {
    loading = loadParser(grammar)
    parsers.set(grammar, loading)
  }
  const parser = await loading
  const end = performance.now() + timeLeftMillis
  try {
    const tree = parser.parse(text, undefined, { progressCallback: () => performance.now() > end })
    if (tree !== null) return { tree }
    // else the next text would be taken for the rest of this one
    parser.reset()
    return { failure: "timeLimit", detail: `takes more than ${timeLimitMillis} ms to parse` }
  } catch (cause) {
    parsers.delete(grammar)
    return { failure: "failed", detail: `the parser failed: ${cause instanceof Error ? cause.message : String(cause)}` }
  }
}
