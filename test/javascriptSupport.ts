/**
 * Runs the JavaScript front-end on a text.
 */
import * as Parsers from "@vscode/tree-sitter-wasm"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import type { Analysis, Language, Primitive } from "../src/lint/Language.ts"
import { javascript, typescript } from "../src/lint/languages/javascript.ts"

const grammars = path.dirname(createRequire(import.meta.url).resolve("@vscode/tree-sitter-wasm"))
const parsers = new Map<string, Parsers.Parser>()

export const loadParsers = async (): Promise<void> => {
  await Parsers.Parser.init()
  for (const name of ["javascript", "typescript", "tsx"]) {
    const file = `tree-sitter-${name}.wasm`
    const parser = new Parsers.Parser()
    parser.setLanguage(await Parsers.Language.load(fs.readFileSync(path.join(grammars, file))))
    parsers.set(file, parser)
  }
}

export interface Options {
  /** `ts` unless told. */
  readonly extension?: string
  readonly primitives?: ReadonlyArray<Primitive>
  readonly helpers?: ReadonlyArray<string>
}

export const analyse = (text: string, { extension = "ts", helpers = [], primitives = [] }: Options = {}): Analysis => {
  const language: Language = javascript.extensions.includes(extension) ? javascript : typescript
  const tree = parsers.get(language.grammar(extension))?.parse(text)
  if (tree === null || tree === undefined) throw new Error(`no parser for .${extension}`)
  try {
    return language.analyse(tree, text, { primitives, helpers })
  } finally {
    tree.delete()
  }
}
