/**
 * The port of a front-end: source text of one language in, append sites out. A language is added by adding a file under
 * `languages/` and naming it in the list of the linter.
 *
 * @since 0.1.0
 */
import type { Tree } from "@vscode/tree-sitter-wasm"
import type { Site, Span } from "./Site.ts"

/**
 * A function that appends a record whole, and is to be called instead of appending by hand.
 *
 * **Details**
 *
 * It is trusted by where it comes from, not by its name: `module` is the module that a file must import it from (Python
 * `lib.audit`, JavaScript `effect-auditlog` or a path, compared without extension and leading `./`, `../`). In shell,
 * `module` is absent and `name` is the command (`auditlog append`).
 *
 * @category models
 * @since 0.1.0
 */
export interface Primitive {
  readonly language: "python" | "shell" | "javascript"
  readonly name: string
  readonly module?: string | undefined
}

/**
 * What a front-end is told. `primitives`: those of its language. `helpers`: names of the user's functions that append a
 * record through one of them, or by hand and on purpose; calls of these are sites as well.
 *
 * @category models
 * @since 0.1.0
 */
export interface AnalysisOptions {
  readonly primitives: ReadonlyArray<Primitive>
  readonly helpers: ReadonlyArray<string>
}

/**
 * Code of another language inside the text: `text` has the length of its range, whatever is not code of that language
 * (shell expansions, escapes) replaced by filler, so that positions only have to be moved by `start`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Embedded {
  readonly language: "python" | "javascript" | "shell"
  readonly start: number
  readonly text: string
}

/**
 * A comment, for suppressions: its range, and its text without the marks of the language.
 *
 * @category models
 * @since 0.1.0
 */
export interface Comment {
  readonly span: Span
  readonly text: string
}

/**
 * What a front-end found. `unparsed`: ranges that the grammar could not read; what is around them is analysed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Analysis {
  readonly sites: ReadonlyArray<Site>
  readonly comments: ReadonlyArray<Comment>
  readonly embedded: ReadonlyArray<Embedded>
  readonly unparsed: ReadonlyArray<Span>
}

/**
 * A front-end.
 *
 * **Details**
 *
 * `extensions` are without the dot, `interpreters` the names in a `#!` line. `mayAppend` is a cheap look at the text: if
 * false, the file has no site, no embedded code that could have one, and is not parsed. `grammar` names the file in the
 * package of grammars. `analyse` is pure and must return for any tree, also one full of errors.
 *
 * @category models
 * @since 0.1.0
 */
export interface Language {
  readonly name: string
  readonly extensions: ReadonlyArray<string>
  readonly interpreters: ReadonlyArray<string>
  readonly mayAppend: (text: string) => boolean
  readonly grammar: (extension: string) => string
  readonly analyse: (tree: Tree, text: string, options: AnalysisOptions) => Analysis
}
