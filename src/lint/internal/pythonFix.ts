/**
 * The safe rewrite of a Python site to the configured primitive: only where one statement opens the file, writes one
 * record and closes it, and nothing else depends on the handle.
 */
import type { AnalysisOptions } from "../Language.ts"
import type { Fix, NoFix, Site } from "../Site.ts"
import type { Life } from "./pythonLife.ts"
import type { Names } from "./pythonNames.ts"
import type { Opened } from "./pythonOpen.ts"
import { importedAs } from "./pythonPrimitive.ts"
import { calleeName, contains, field, positional, type PyNode, receiver, stringValue, textOf } from "./pythonTree.ts"
import type { Uses } from "./pythonUses.ts"

const no = (reason: string): NoFix => ({ _tag: "NoFix", reason })

/** The rewrite, or why there is none. */
export const fixOf = (
  names: Names,
  uses: Uses,
  options: AnalysisOptions,
  opened: Opened,
  life: Life,
  site: Pick<Site, "payload" | "life" | "growth" | "transaction">
): Fix | NoFix => {
  const { tree } = names
  const primitive = options.primitives.find(({ language, module }) => language === "python" && module !== undefined)
  if (primitive?.module === undefined) return no("no primitive is configured for Python")
  if (site.payload !== "record" && site.payload !== "multiLineRecord") return no("the record is not to be seen here")
  if (site.transaction !== undefined) return no("the append belongs to a transaction")
  if (site.growth !== "append") return no("the file is opened for more than appending")
  if (site.life === "loop") return no("the handle is written in a loop")
  if (site.life === "stored") return no("the handle is kept")
  if (site.life === "passed") return no("the handle is passed on")
  if (!opened.plain || opened.descriptor || opened.jsonLines) return no(`${opened.label} may do more than append`)
  if (opened.call.parent?.kind === "await" || isAsync(tree.text, opened.call)) return no("the code is asynchronous")
  const target = opened.target
  if (target === undefined) return no("the path is not to be seen here")
  const reason = openReason(names, opened)
  if (reason !== undefined) return no(reason)
  const [first, second] = life.writes
  if (first === undefined) return no("the write is not to be seen here")
  if (life.writes.length > 2 || (second !== undefined && second.shape.kind !== "blank")) {
    return no("several writes share the handle")
  }
  const statement = wholeStatement(names, uses, opened.call, life)
  if (typeof statement === "string") return no(statement)
  if (tree.nodes.slice(statement.index, statement.last + 1).some(({ kind }) => kind === "comment")) {
    return no("a comment stands inside the statement")
  }
  const value = recordOf(names, first.node)
  if (typeof value === "string") return no(value)
  if (value.kind === "generator_expression" || contains(value, opened.call)) {
    return no("the value is not to be seen here")
  }
  const known = importedAs(names, primitive)
  const isTaken = known === undefined && !names.imports.has(primitive.name) &&
    uses.places(primitive.name).length > 0
  if (isTaken) return no(`the name ${primitive.name} stands for something else in this file`)
  const call = `${known ?? primitive.name}(${textOf(tree, target)}, ${textOf(tree, value)})`
  const edits = [{ span: { start: statement.start, end: statement.end }, text: call }]
  if (known !== undefined) return { _tag: "Fix", edits }
  const { before, at } = importPlace(names)
  if (at > statement.start) return no("the file has no place for the import above the statement")
  const line = `from ${primitive.module} import ${primitive.name}`
  const ending = tree.text.includes("\r\n") ? "\r\n" : "\n"
  const text = before ? `${ending}${line}` : `${line}${ending}`
  return { _tag: "Fix", edits: [{ span: { start: at, end: at }, text }, ...edits] }
}

const isAsync = (text: string, node: PyNode): boolean => {
  for (let at = node.parent; at !== undefined && at.kind !== "block"; at = at.parent) {
    if (at.kind === "with_statement") return text.startsWith("async", at.start)
  }
  return false
}

/** Arguments of open that the primitive would not keep. */
const openReason = (names: Names, { call, label }: Opened): string | undefined => {
  const { tree } = names
  const inMode = label.startsWith("Path.open") ? 1 : 2
  if (positional(call).length > inMode) return "open has further arguments"
  for (const child of field(call, "arguments")?.children ?? []) {
    if (child.kind === "dictionary_splat" || child.kind === "list_splat") return "open has further arguments"
    if (child.kind !== "keyword_argument") continue
    const name = textOf(tree, field(child, "name"))
    const value = stringValue(tree, field(child, "value"))
    if (name === "mode" || name === "file" || name === "buffering") continue
    if (name === "encoding" && value !== undefined && /^(utf-?8|ascii)$/i.test(value)) continue
    if (name === "newline" && (value === "\n" || value === "")) continue
    return `open has the argument ${name}`
  }
  const mode = positional(call)[inMode - 1] ?? field(field(call, "arguments"), "value")
  return mode !== undefined && mode.kind === "identifier" ? "the mode of open is a variable" : undefined
}

/** The statement to replace: a `with` with one item that only writes, or `open(…).write(…)`. */
const wholeStatement = (names: Names, uses: Uses, call: PyNode, life: Life): PyNode | string => {
  const { tree } = names
  const write = life.writes[0]?.node
  if (call.parent?.kind === "attribute") {
    return write?.parent?.kind === "expression_statement" ? write.parent : "the result of the write is used"
  }
  const pattern = call.parent
  const item = pattern?.kind === "as_pattern" ? pattern.parent : undefined
  const clause = item?.kind === "with_item" ? item.parent : undefined
  const statement = clause?.kind === "with_clause" ? clause.parent : undefined
  if (pattern === undefined || statement?.kind !== "with_statement") {
    return "the handle is not opened by a with statement of its own"
  }
  if (clause?.children.length !== 1) return "the with statement opens something else as well"
  const body = field(statement, "body")
  const alias = textOf(tree, field(pattern, "alias"))
  if (body === undefined || !/^\w+$/.test(alias)) return "the handle has no name of its own"
  for (const child of body.children) {
    const expression = child.kind === "expression_statement" ? child.children[0] : undefined
    const isWrite = expression !== undefined && life.writes.some(({ node }) => node === expression)
    const source = textOf(tree, expression)
    const isFlush = new RegExp(`^(${alias}\\.flush\\(\\)|os\\.f(data)?sync\\(${alias}(\\.fileno\\(\\))?\\))$`).test(
      source
    )
    if (!isWrite && !isFlush) return "the with statement does more than write one record"
  }
  const isLater = uses.of(pattern, field(pattern, "alias")?.children[0] ?? pattern).some((use) =>
    use.index > statement.last
  )
  if (isLater) return "the handle is used later"
  return statement
}

/** The value that is encoded, where the primitive encodes it the same. */
const recordOf = (names: Names, write: PyNode): PyNode | string => {
  const { tree } = names
  const name = calleeName(tree, write)
  if (name === "dump") return encodedBy(names, write)
  if (
    name === "print" &&
    field(write, "arguments")?.children.some((child) => /^(sep|end)$/.test(textOf(tree, field(child, "name")))) === true
  ) {
    return "print has further arguments"
  }
  if (name !== "print" && name !== "write") return "the record is not written by write or print"
  const args = positional(write)
  if (args.length !== 1) return "the record is not one argument"
  let at = args[0]
  for (;;) {
    if (at === undefined) return "the record is not to be seen here"
    if (at.kind === "parenthesized_expression") at = at.children[0]
    else if (at.kind === "call" && calleeName(tree, at) === "encode" && receiver(at) !== undefined) {
      if (/json/i.test(textOf(tree, receiver(at))) && receiver(at)?.kind === "identifier") break
      if (!/^\((["'](utf-?8|ascii)["'])?\)$/i.test(textOf(tree, field(at, "arguments")))) {
        return "the line is encoded in another way"
      }
      at = receiver(at)
    } else if (
      at.kind === "binary_operator" && /^b?["']\n["']$|^b?["']\\n["']$/.test(textOf(tree, field(at, "right")))
    ) {
      at = field(at, "left")
    } else if (at.kind === "string") {
      const [, hole, rest] = at.children
      const literal = rest?.kind === "string_content" ? textOf(tree, rest) : ""
      if (hole?.kind !== "interpolation" || (literal !== "\\n" && literal !== "") || at.children.length > 4) break
      if (hole.children.length !== 1) break
      at = hole.children[0]
    } else break
  }
  if (at.kind === "identifier") return "the line is built earlier"
  return at.kind === "call" ? encodedBy(names, at) : "the line is not the result of json.dumps"
}

const encodedBy = (names: Names, call: PyNode): PyNode | string => {
  const { tree } = names
  const full = names.fullName(field(call, "function"))
  if (!/^json\.dumps?$/.test(full)) {
    return `the line is encoded by ${textOf(tree, field(call, "function"))}, not by the json module`
  }
  for (const child of field(call, "arguments")?.children ?? []) {
    if (child.kind === "dictionary_splat" || child.kind === "list_splat") {
      return "the options of json.dumps are not to be seen here"
    }
    const name = child.kind === "keyword_argument" ? textOf(tree, field(child, "name")) : ""
    // Both change the spelling of a record, not its value.
    if (name !== "" && !/^(ensure_ascii|separators|indent|obj|fp)$/.test(name)) {
      return `json.dumps has the option ${name}, which the primitive does not have`
    }
    if (name === "indent" || name === "obj" || name === "fp") return `json.dumps has the option ${name}`
  }
  return positional(call)[0] ?? "json.dumps has no value"
}

/** After the last import at the top; else after the docstring; else the first line that is not a comment. */
const importPlace = (names: Names): { readonly before: boolean; readonly at: number } => {
  const { nodes, text } = names.tree
  const module = nodes[0]
  let last: PyNode | undefined
  for (const child of module?.children ?? []) {
    if (/^(function_definition|class_definition|decorated_definition)$/.test(child.kind)) break
    if (/^(import_statement|import_from_statement|future_import_statement)$/.test(child.kind)) last = child
    else if (last === undefined && child === module?.children[0] && child.children[0]?.kind === "string") last = child
  }
  if (last !== undefined) return { before: true, at: endOfStatement(text, last.end) }
  let at = 0
  for (const line of text.split("\n")) {
    if (!/^\s*(#.*)?$/.test(line)) break
    if (line.trim() === "") break
    at += line.length + 1
  }
  return { before: false, at: Math.min(at, text.length) }
}

/** The end of the line, with the comment and what follows a semicolon. */
const endOfStatement = (text: string, end: number): number => {
  const newline = text.indexOf("\n", end)
  const line = newline === -1 ? text.length : newline
  return text[line - 1] === "\r" ? line - 1 : line
}
