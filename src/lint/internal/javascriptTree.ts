/**
 * The syntax tree of a JavaScript or TypeScript file as plain objects, and the questions all parts of the front-end ask.
 * Types are left out, because they say nothing about what is written.
 */
import type { Tree } from "@vscode/tree-sitter-wasm"
import type { Span } from "../Site.ts"
import { copyTree, type SyntaxTree } from "./syntaxTree.ts"

/** A named node. `field` is the name under which the parent holds it, `scope` the node around it that declares names. */
export interface Node extends Span {
  readonly type: string
  readonly field: string | undefined
  readonly parent: Node | undefined
  readonly scope: Node | undefined
  readonly children: Array<Node>
}

/** The tree of a file. */
export type Source = SyntaxTree<Node>

/** Nodes that hold types only. */
const typeNodes = new Set([
  "interface_declaration",
  "type_alias_declaration",
  "type_annotation",
  "type_arguments",
  "type_parameters",
  "ambient_declaration"
])

/** The types of functions. */
export const functionTypes: ReadonlyArray<string> = [
  "function_declaration",
  "function_expression",
  "generator_function",
  "generator_function_declaration",
  "arrow_function",
  "method_definition"
]

const functions = new Set(functionTypes)

export const isFunction = (node: Node): boolean => functions.has(node.type)

const blocks = new Set([
  "program",
  "statement_block",
  "for_statement",
  "for_in_statement",
  "catch_clause",
  "switch_body"
])

/** Whether names can be declared in a node. */
const isScope = (node: Node): boolean => blocks.has(node.type) || functions.has(node.type)

export const readTree = (tree: Tree, text: string): Source => {
  const root: Node = {
    type: "program",
    field: undefined,
    parent: undefined,
    scope: undefined,
    children: [],
    start: 0,
    end: text.length
  }
  const { byType, unparsed } = copyTree<Node>(tree, text, {
    root,
    make: (parts) => ({ ...parts, scope: isScope(parts.parent) ? parts.parent : parts.parent.scope, children: [] }),
    operators: new Set(),
    leaves: typeNodes
  })
  return { text, root, byType: new Map([...byType, ["program", [root]]]), unparsed }
}

export const textOf = (source: Source, node: Span): string => source.text.slice(node.start, node.end)

export const nodesOf = (source: Source, ...types: ReadonlyArray<string>): ReadonlyArray<Node> =>
  types.length === 1
    ? source.byType.get(types[0] ?? "") ?? []
    : types.flatMap((type) => source.byType.get(type) ?? [])

export const field = (node: Node | undefined, name: string): Node | undefined =>
  node?.children.find((child) => child.field === name)

const isComment = (node: Node): boolean => node.type === "comment" || node.type === "html_comment"

/** The children without comments. */
export const childrenOf = (node: Node | undefined): ReadonlyArray<Node> =>
  node === undefined
    ? []
    : node.children.some(isComment)
    ? node.children.filter((child) => !isComment(child))
    : node.children

/** The arguments of a call; none for a tagged template. */
export const argumentsOf = (call: Node): ReadonlyArray<Node> => {
  const list = field(call, "arguments")
  return list?.type === "arguments" ? childrenOf(list) : []
}

const transparent = new Set([
  "parenthesized_expression",
  "await_expression",
  "as_expression",
  "satisfies_expression",
  "non_null_expression"
])

/** The expression inside brackets, `await`, `as T`, `!`, `yield*`, and the last one of `(0, f)`. */
export const bare = (node: Node): Node => {
  let inner = node
  for (;;) {
    const [first, second] = childrenOf(inner)
    if (inner.type === "type_assertion" && second !== undefined) inner = second
    else if (inner.type === "sequence_expression" && first !== undefined) inner = childrenOf(inner).at(-1) ?? first
    else if ((transparent.has(inner.type) || inner.type === "yield_expression") && first !== undefined) inner = first
    else return inner
  }
}

/** What stands around an expression, past brackets, `await` and casts. */
export const outside = (node: Node): Node => {
  let outer = node
  while (
    outer.parent !== undefined &&
    (transparent.has(outer.parent.type) || outer.parent.type === "yield_expression" ||
      outer.parent.type === "type_assertion")
  ) {
    outer = outer.parent
  }
  return outer
}

export const ancestor = (node: Node, accept: (node: Node) => boolean): Node | undefined => {
  let at = node.parent
  while (at !== undefined && !accept(at)) at = at.parent
  return at
}

/** The function around a node, or the file. */
export const functionAround = (source: Source, node: Node): Node => ancestor(node, isFunction) ?? source.root

const isStatement = (node: Node): boolean =>
  node.type.endsWith("_statement") || node.type.endsWith("_declaration") || node.type === "public_field_definition" ||
  node.type === "field_definition"

/** The statement around a node. */
export const statementAround = (node: Node): Node => {
  const found = isStatement(node) ? node : ancestor(node, isStatement) ?? node
  return found.parent?.type === "export_statement" ? found.parent : found
}

export const isWithin = (inner: Span, outer: Span): boolean => inner.start >= outer.start && inner.end <= outer.end

const loops = new Set(["for_statement", "for_in_statement", "while_statement", "do_statement"])
const repeating = /^(?:forEach|map|flatMap|reduce|on|addListener|subscribe|setInterval)$/

/** Whether `node` runs repeatedly where `outer` runs once: in a loop, or a callback of `forEach`, `on("line", …)`. */
export const isRepeated = (source: Source, node: Node, outer: Node): boolean =>
  ancestor(node, (at) => {
    if (isWithin(outer, at)) return false
    if (loops.has(at.type)) return true
    const call = isFunction(at) && at.parent?.type === "arguments" ? at.parent.parent : undefined
    return call !== undefined && repeating.test(calleeName(source, call))
  }) !== undefined

/** The last name of what is called: `appendFile` in `fs.promises.appendFile(…)`; empty where there is none. */
export const calleeName = (source: Source, call: Node): string => {
  const callee = field(call, "function") ?? field(call, "constructor")
  return callee === undefined ? "" : lastName(source, callee)
}

export const lastName = (source: Source, expression: Node): string => {
  const node = bare(expression)
  if (node.type === "identifier") return textOf(source, node)
  if (node.type === "member_expression") {
    const property = field(node, "property")
    return property === undefined ? "" : textOf(source, property)
  }
  if (node.type === "subscript_expression") {
    const index = field(node, "index")
    return index?.type === "string" ? stringValue(source, index) : ""
  }
  return ""
}

/** The object of `object.name(…)`. */
export const receiverOf = (call: Node): Node | undefined => {
  const callee = field(call, "function")
  const object = callee === undefined ? undefined : field(bare(callee), "object")
  return object === undefined ? undefined : bare(object)
}

const escapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", f: "\f", v: "\v", "0": "\0" }

/** The text that an escape sequence stands for. */
export const unescape = (sequence: string): string => {
  const body = sequence.slice(1)
  const code = /^(?:x([0-9a-f]{2})|u([0-9a-f]{4})|u\{([0-9a-f]{1,6})\})$/i.exec(body)
  const hex = code?.[1] ?? code?.[2] ?? code?.[3]
  if (hex !== undefined) {
    const point = Number.parseInt(hex, 16)
    return point <= 0x10_ff_ff ? String.fromCodePoint(point) : ""
  }
  return body === "\n" || body === "\r\n" ? "" : escapes[body] ?? body
}

/** The value of a string literal. */
export const stringValue = (source: Source, node: Node): string =>
  node.children
    .map((child) => child.type === "escape_sequence" ? unescape(textOf(source, child)) : textOf(source, child))
    .join("")

/** The value of a property of an object literal. */
export const property = (source: Source, object: Node | undefined, name: string): Node | undefined => {
  if (object?.type !== "object") return undefined
  for (const child of childrenOf(object)) {
    if (child.type === "shorthand_property_identifier" && textOf(source, child) === name) return child
    if (child.type !== "pair") continue
    const key = field(child, "key")
    if (key === undefined) continue
    const keyName = key.type === "string" ? stringValue(source, key) : textOf(source, key)
    if (keyName === name) return field(child, "value")
  }
  return undefined
}
