/**
 * Finds appends in JavaScript and TypeScript: the file functions of Node, Deno, Bun and Effect, and functions that look
 * like them.
 *
 * @since 0.1.0
 */
import type { Tree } from "@vscode/tree-sitter-wasm"
import { makeScope } from "../internal/javascriptScope.ts"
import { findSites } from "../internal/javascriptSites.ts"
import { type Node, nodesOf, readTree, type Source, textOf } from "../internal/javascriptTree.ts"
import type { Analysis, AnalysisOptions, Comment, Language } from "../Language.ts"

/** Words without which a file neither appends nor says anything to this program. */
const appends = /appendFile|O_APPEND|\.writer\(|Logger\.toFile|\.sink\(|effect-auditlog|auditlog-lint|vault-atomic-lint/
const appendFlag = /["'`](?:a|as|sa|ax|xa)\+?["'`]/
const opens = /\bopen(?:Sync|File)?\s*[(<]|[wW]riteStream|writeFile|flags?["']?\s*:/
const appendOption = /\bappend["']?\s*[:,}]/
const writes = /write(?:Text)?File|Bun\.write|\.open(?:Sync)?\(/
const helper = /append\w*\s*\(/i
const lineHelper = /append\w*(?:line|jsonl|ndjson|row|record)\w*\s*\(/i
const encodes = /stringify|json/i
const recordLine = /(?:stringify\w*|json\w*)\([^;]{0,400}?(?:\\n|EOL)/i
const reads = /read(?:Text)?File|Bun\.file/

const mayAppend = (text: string): boolean =>
  appends.test(text) ||
  appendFlag.test(text) && opens.test(text) ||
  writes.test(text) && (appendOption.test(text) || reads.test(text) && recordLine.test(text)) ||
  helper.test(text) && encodes.test(text) && (recordLine.test(text) || lineHelper.test(text))

const commentOf = (source: Source, node: Node): Comment => ({
  span: { start: node.start, end: node.end },
  text: textOf(source, node)
    .replace(/^(?:\/\/+|\/\*+|<!--|-->)/, "")
    .replace(/\*\/$/, "")
    .replaceAll(/^\s*\*(?=\s|$)/gm, "")
    .trim()
})

const analyse = (tree: Tree, text: string, options: AnalysisOptions): Analysis => {
  const source = readTree(tree, text)
  return {
    sites: findSites(makeScope(source), options),
    comments: nodesOf(source, "comment", "html_comment").map((node) => commentOf(source, node)),
    embedded: [],
    unparsed: source.unparsed
  }
}

/**
 * JavaScript, also with JSX.
 *
 * @category languages
 * @since 0.1.0
 */
export const javascript: Language = {
  name: "javascript",
  extensions: ["js", "mjs", "cjs", "jsx"],
  interpreters: ["node", "nodejs"],
  mayAppend,
  grammar: () => "tree-sitter-javascript.wasm",
  analyse
}

/**
 * TypeScript, also with JSX.
 *
 * @category languages
 * @since 0.1.0
 */
export const typescript: Language = {
  name: "typescript",
  extensions: ["ts", "mts", "cts", "tsx"],
  interpreters: ["bun", "deno", "tsx", "ts-node"],
  mayAppend,
  grammar: (extension) => extension === "tsx" ? "tree-sitter-tsx.wasm" : "tree-sitter-typescript.wasm",
  analyse
}
