/**
 * The syntax tree of a shell script as plain objects, and the questions all parts of the front-end ask of it.
 * Of the unnamed nodes only the few operators that carry meaning are in it.
 */
import type { Tree } from "@vscode/tree-sitter-wasm"
import type { Span } from "../Site.ts"
import { copyTree, type SyntaxTree } from "./syntaxTree.ts"

/** A node of the script. `field` is the name under which the parent holds it. */
export interface Node extends Span {
  readonly type: string
  readonly field: string | undefined
  readonly parent: Node | undefined
  readonly children: Array<Node>
}

/** A script. */
export type Script = SyntaxTree<Node>

/** Operators of redirections, assignments and expansions: the only unnamed nodes that are kept. */
const operators = new Set([">>", "&>>", ">", ">|", "&>", ">&", "<", "<<", "<<-", "+=", "||", "&&"])

export const readScript = (tree: Tree, text: string): Script => {
  const root: Node = { type: "program", field: undefined, parent: undefined, children: [], start: 0, end: text.length }
  return copyTree<Node>(tree, text, {
    root,
    make: (parts) => ({ ...parts, children: [] }),
    operators,
    leaves: new Set()
  })
}

/** All nodes of the given types, in the order of the text. */
export const nodesOf = (script: Script, ...types: ReadonlyArray<string>): ReadonlyArray<Node> => {
  const lists = types.map((type) => script.byType.get(type) ?? [])
  return lists.length === 1 ? lists[0] ?? [] : lists.flat().sort((a, b) => a.start - b.start)
}

export const textOf = (script: Script, span: Span): string => script.text.slice(span.start, span.end)

export const field = (node: Node, name: string): Node | undefined => node.children.find((child) => child.field === name)

/** The nearest node around `node`, or itself, for which `is` holds. */
export const closest = (node: Node | undefined, is: (node: Node) => boolean): Node | undefined => {
  let at = node
  while (at !== undefined && !is(at)) at = at.parent
  return at
}

export const isInside = (inner: Span, outer: Span): boolean => inner.start >= outer.start && inner.end <= outer.end

/** The function that a node stands in, if any. */
export const functionOf = (node: Node): Node | undefined =>
  closest(node.parent, (at) => at.type === "function_definition")

/** The words of a command: its name, then its arguments. */
export const wordsOf = (command: Node): ReadonlyArray<Node> => {
  const words: Array<Node> = []
  for (const child of command.children) {
    if (child.type === "command_name") words.push(child.children[0] ?? child)
    else if (child.field === "argument") words.push(child)
  }
  return words
}

/** The commands of a pipeline in order; the one that stands in the line of a heredoc after the first one included. */
export const stagesOf = (node: Node): ReadonlyArray<Node> => {
  if (node.type === "pipeline") return node.children.filter((child) => child.type !== "comment").flatMap(stagesOf)
  const heredoc = node.type === "redirected_statement"
    ? node.children.find((c) => c.type === "heredoc_redirect")
    : undefined
  const rest = heredoc?.children.find((child) => child.type === "pipeline")
  const body = rest === undefined ? undefined : field(node, "body")
  const before = body?.type === "pipeline" ? stagesOf(body).slice(0, -1) : []
  return rest === undefined ? [node] : [...before, node, ...stagesOf(rest)]
}

/** What a redirection of a statement does to which file, heredoc lines included. */
export interface Redirect {
  readonly node: Node
  readonly operator: string
  readonly descriptor: string | undefined
  readonly destination: Node | undefined
}

/** The redirections to and from files of a statement, in order. */
export const redirectsOf = (script: Script, statement: Node): ReadonlyArray<Redirect> => {
  const found: Array<Redirect> = []
  const visit = (node: Node): void => {
    for (const child of node.children) {
      if (child.type === "file_redirect") {
        const descriptor = child.children.find((c) => c.type === "file_descriptor")
        found.push({
          node: child,
          operator: child.children.find((c) => operators.has(c.type))?.type ?? "",
          descriptor: descriptor === undefined ? undefined : textOf(script, descriptor),
          destination: field(child, "destination")
        })
      } else if (child.type === "heredoc_redirect") visit(child)
    }
  }
  visit(statement)
  return found
}

/** The heredocs of a statement with their bodies. */
export const heredocsOf = (statement: Node): ReadonlyArray<Node> =>
  statement.children.filter((child) => child.type === "heredoc_redirect")
