/**
 * Finds appends in shell scripts, and the Python, JavaScript and shell code that stands in their strings and heredocs.
 *
 * @since 0.1.0
 */
import type { Tree } from "@vscode/tree-sitter-wasm"
import { findEmbedded } from "../internal/shellEmbedding.ts"
import { readNames } from "../internal/shellNames.ts"
import { Evaluation } from "../internal/shellOutput.ts"
import { findMigrated } from "../internal/shellPrimitive.ts"
import { findSites } from "../internal/shellSites.ts"
import { nodesOf, readScript, textOf } from "../internal/shellTree.ts"
import type { Analysis, AnalysisOptions, Language } from "../Language.ts"

/** Words without which neither a script nor code inside it appends anything. */
const appends = />>|\btee\b[^\n|;]*\s-|append|auditlog|vault-atomic-lint/i

/** Words without which code of another language inside a script appends nothing. */
const embeds = /<<|\s-\w*[ce]\b|\beval\b/
const opens = /open\s*\(|writeFile|WriteStream|to_json/

/** A file that is written again with a line more. */
const copies = /[{(]\s*cat\s/
const moves = /\bmv\s/

const mayAppend = (text: string): boolean =>
  appends.test(text) || copies.test(text) && moves.test(text) || embeds.test(text) && opens.test(text)

const analyse = (tree: Tree, text: string, options: AnalysisOptions): Analysis => {
  const script = readScript(tree, text)
  const names = readNames(script)
  const migrated = findMigrated(script, names, options)
  const evaluation = new Evaluation(script, names)
  const sites = findSites(evaluation, options)
  return {
    sites: [...migrated, ...sites].sort((a, b) => a.span.start - b.span.start),
    comments: nodesOf(script, "comment").map((node) => ({
      span: { start: node.start, end: node.end },
      text: textOf(script, node).replace(/^#+/, "").trim()
    })),
    embedded: findEmbedded(evaluation),
    unparsed: script.unparsed
  }
}

/**
 * Shell scripts: bash, and what it shares with sh, zsh, dash and ksh.
 *
 * @category languages
 * @since 0.1.0
 */
export const shell: Language = {
  name: "shell",
  extensions: ["sh", "bash", "zsh", "bats", "ksh", "dash", "ash"],
  interpreters: ["sh", "bash", "zsh", "dash", "ksh", "ash", "bats"],
  mayAppend,
  grammar: () => "tree-sitter-bash.wasm",
  analyse
}
