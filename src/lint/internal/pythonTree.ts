/**
 * A Python syntax tree as plain values. Every look at a tree-sitter node crosses into WebAssembly; the analysis looks
 * at each node many times, so the tree is copied once and then only read. Names, types and positions stay as the
 * grammar gives them; unnamed nodes (operators, brackets) are left out, the text has them.
 */
import type { Tree } from "@vscode/tree-sitter-wasm"
import type { Comment } from "../Language.ts"
import type { Span } from "../Site.ts"

/** A named node. `index` is its place in the order of the text, `last` that of its last descendant. */
export interface PyNode {
  readonly index: number
  readonly kind: string
  readonly field: string
  readonly start: number
  readonly end: number
  readonly parent: PyNode | undefined
  readonly children: ReadonlyArray<PyNode>
  readonly last: number
}

/** All nodes of a file in the order of the text, what is not code, and the ranges the grammar could not read. */
export interface PyTree {
  readonly text: string
  readonly nodes: ReadonlyArray<PyNode>
  readonly comments: ReadonlyArray<Comment>
  readonly unparsed: ReadonlyArray<Span>
}

interface Building extends PyNode {
  readonly children: Array<PyNode>
  last: number
}

/** Their parts are read from the text. */
const leaves = new Set(["string_content", "comment", "dotted_name", "relative_import", "format_specifier", "type"])

/** Copies a tree. Without recursion, as nesting can be deeper than the stack. */
export const readTree = (tree: Tree, text: string): PyTree => {
  const types = tree.language.types
  const fields = tree.language.fields
  const nodes: Array<Building> = []
  const comments: Array<Comment> = []
  const unparsed: Array<Span> = []
  const hasError = tree.rootNode.hasError
  const cursor = tree.walk()
  let parent: Building | undefined
  const visit = (): Building | undefined => {
    if (!cursor.nodeIsNamed) return undefined
    const kind = types[cursor.nodeTypeId] ?? "ERROR"
    const start = cursor.startIndex
    const end = cursor.endIndex
    const field = fields[cursor.currentFieldId] ?? ""
    const node: Building = { index: nodes.length, kind, field, start, end, parent, children: [], last: nodes.length }
    nodes.push(node)
    if (kind === "comment") {
      comments.push({ span: { start, end }, text: text.slice(start, end).replace(/^#+/, "").trim() })
    } else {
      parent?.children.push(node)
    }
    if (hasError && (kind === "ERROR" || (start === end && cursor.nodeIsMissing))) {
      const before = unparsed.at(-1)
      if (before === undefined || before.end <= start) unparsed.push({ start, end })
    }
    return node
  }
  for (;;) {
    const node = visit()
    if (node !== undefined && !leaves.has(node.kind) && cursor.gotoFirstChild()) {
      parent = node
      continue
    }
    while (!cursor.gotoNextSibling()) {
      if (parent === undefined || !cursor.gotoParent()) {
        cursor.delete()
        return { text, nodes, comments, unparsed }
      }
      parent.last = nodes.length - 1
      parent = parent.parent as Building | undefined
    }
  }
}

/** The source of a node. */
export const textOf = (tree: PyTree, node: PyNode | undefined): string =>
  node === undefined ? "" : tree.text.slice(node.start, node.end)

/** The child in a field. */
export const field = (node: PyNode | undefined, name: string): PyNode | undefined => {
  if (node === undefined) return undefined
  for (const child of node.children) if (child.field === name) return child
  return undefined
}

/** The nearest node around a node that has one of the types. */
export const around = (node: PyNode | undefined, ...kinds: ReadonlyArray<string>): PyNode | undefined => {
  let at = node?.parent
  while (at !== undefined && !kinds.includes(at.kind)) at = at.parent
  return at
}

/** True if `inner` is `outer` or inside it. */
export const contains = (outer: PyNode, inner: PyNode): boolean =>
  inner.index >= outer.index && inner.index <= outer.last

/** The statement around a node, up to a compound statement where the node stands in its head. */
export const statementOf = (node: PyNode): PyNode => {
  let at = node
  while (at.parent !== undefined && at.parent.kind !== "block" && at.parent.kind !== "module") {
    if (at.parent.kind === "ERROR" || at.parent.kind === "interpolation") break
    at = at.parent
  }
  return at
}

/** The suite that a node stands in: a block, or the file. */
export const blockOf = (node: PyNode): PyNode | undefined => around(node, "block", "module")

/** Arguments of a call by position, without comments, splats and keywords. */
export const positional = (call: PyNode): ReadonlyArray<PyNode> => {
  const list = field(call, "arguments")
  if (list === undefined) return []
  // f(x for x in y): the generator stands where the list would.
  if (list.kind === "generator_expression") return [list]
  return list.children.filter((child) => child.kind !== "keyword_argument" && child.kind !== "dictionary_splat")
}

/** Arguments of a call by keyword. */
export const keyword = (tree: PyTree, call: PyNode, name: string): PyNode | undefined => {
  for (const child of field(call, "arguments")?.children ?? []) {
    if (child.kind === "keyword_argument" && textOf(tree, field(child, "name")) === name) return field(child, "value")
  }
  return undefined
}

/** The last name of what is called: `dumps` in `a.b.dumps(x)`. */
export const calleeName = (tree: PyTree, call: PyNode): string => {
  const callee = field(call, "function")
  if (callee?.kind === "identifier") return textOf(tree, callee)
  return callee?.kind === "attribute" ? textOf(tree, field(callee, "attribute")) : ""
}

/** What a method is called on: `a.b` in `a.b.dumps(x)`. */
export const receiver = (call: PyNode): PyNode | undefined => {
  const callee = field(call, "function")
  return callee?.kind === "attribute" ? field(callee, "object") : undefined
}

const escapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", "0": "\0", "\n": "" }

/** Text of a string between its quotes, without escapes. */
export const contentOf = (tree: PyTree, string: PyNode, content: PyNode): string => {
  const prefix = textOf(tree, string.children[0]).toLowerCase()
  const raw = textOf(tree, content)
  const braces = prefix.includes("f") ? raw.replaceAll("{{", "{").replaceAll("}}", "}") : raw
  if (prefix.includes("r") || !braces.includes("\\")) return braces
  return braces.replaceAll(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(\r?[\s\S]))/g,
    (_, byte: string | undefined, unit: string | undefined, other: string | undefined) => {
      const hex = byte ?? unit
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
      return other === undefined ? "" : escapes[other] ?? other
    }
  )
}

/** The value of a string without interpolation, also of adjacent strings. */
export const stringValue = (tree: PyTree, node: PyNode | undefined): string | undefined => {
  if (node === undefined) return undefined
  if (node.kind === "parenthesized_expression") return stringValue(tree, node.children[0])
  const strings = node.kind === "concatenated_string" ? node.children : [node]
  let value = ""
  for (const string of strings) {
    if (string.kind !== "string") return undefined
    for (const part of string.children) {
      if (part.kind === "interpolation") return undefined
      if (part.kind === "string_content") value += contentOf(tree, string, part)
    }
  }
  return value
}
