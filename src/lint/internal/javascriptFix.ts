/**
 * Replaces a call that appends one encoded record by a call of a configured primitive, or says why it does not.
 */
import type { Primitive } from "../Language.ts"
import type { Fix, NoFix } from "../Site.ts"
import { isModule } from "./javascriptPrimitive.ts"
import type { Scope } from "./javascriptScope.ts"
import {
  argumentsOf,
  bare,
  calleeName,
  childrenOf,
  field,
  type Node,
  nodesOf,
  type Source,
  stringValue,
  textOf
} from "./javascriptTree.ts"

export const noFix = (reason: string): NoFix => ({ _tag: "NoFix", reason })

const newline = /^["'`]\\n["'`]$/

/** `x` of `JSON.stringify(x) + "\n"` or `${JSON.stringify(x)}\n`; nothing else is known to keep its bytes. */
const recordOf = (source: Source, data: Node): Node | undefined => {
  const node = bare(data)
  const children = childrenOf(node)
  const encoder = node.type === "binary_expression" && newline.test(textOf(source, field(node, "right") ?? node))
    ? field(node, "left")
    : node.type === "template_string" && children.length === 2 && children[0]?.type === "template_substitution" &&
        textOf(source, node).endsWith("}\\n`")
    ? childrenOf(children[0])[0]
    : undefined
  if (
    encoder?.type !== "call_expression" || textOf(source, field(encoder, "function") ?? encoder) !== "JSON.stringify"
  ) {
    return undefined
  }
  const given = argumentsOf(encoder)
  return given.length === 1 && given[0]?.type !== "spread_element" ? given[0] : undefined
}

export const fixAppend = (
  scope: Scope,
  primitives: ReadonlyArray<Primitive>,
  call: Node,
  data: Node
): Fix | NoFix => {
  const { source } = scope
  const candidates = primitives.filter((one) =>
    one.language === "javascript" && one.module !== undefined && !one.name.includes(".")
  )
  if (candidates.length === 0) {
    return noFix("no JavaScript primitive is configured; append through an AuditLog service of effect-auditlog")
  }
  const name = calleeName(source, call)
  const isSync = name.endsWith("Sync")
  const outer = call.parent?.type === "await_expression" ? call.parent : call
  if (outer.parent?.type !== "expression_statement" || !isSync && outer === call) {
    return noFix(
      isSync
        ? "the call is part of a larger expression; call the primitive in a statement of its own"
        : "the append is not awaited where it stands; await a primitive that appends"
    )
  }
  const record = recordOf(source, data)
  const given = argumentsOf(call)
  const [path, , options] = given
  if (record === undefined || path === undefined) {
    return noFix(
      "the record is not JSON.stringify(x) and a newline in this call; pass the record itself to the primitive"
    )
  }
  if (given.length > 3 || options !== undefined && !/^["'`]utf-?8["'`]$/i.test(textOf(source, options))) {
    return noFix("the call has options or a callback that the primitive may not keep")
  }
  const primitive = candidates.find((one) => one.name.endsWith("Sync") === isSync)
  if (primitive === undefined) {
    return noFix(
      isSync
        ? "no configured JavaScript primitive is synchronous (its name ends in Sync)"
        : "the configured JavaScript primitives are synchronous, the call is not"
    )
  }
  const imported = importedName(scope, primitive)
  const edit = {
    span: { start: call.start, end: call.end },
    text: `${imported ?? primitive.name}(${textOf(source, path)}, ${textOf(source, record)})`
  }
  if (imported !== undefined) return { _tag: "Fix", edits: [edit] }
  const module = primitive.module ?? ""
  if (/^\.|^\/|\.[cm]?[jt]sx?$/.test(module)) {
    return noFix(`the file does not import ${primitive.name} from ${module}; add the import`)
  }
  if (nodesOf(source, "identifier").some((node) => textOf(source, node) === primitive.name)) {
    return noFix(`the file uses the name ${primitive.name} for something else`)
  }
  const imports = nodesOf(source, "import_statement").filter((node) => node.parent === source.root)
  const last = imports.at(-1)
  if (last === undefined) {
    return noFix(`the file has no import statements; import ${primitive.name} from ${module} first`)
  }
  const quote = textOf(source, field(last, "source") ?? last).startsWith("'") ? "'" : "\""
  const semicolon = source.text[last.end - 1] === ";" ? ";" : ""
  const line = `\nimport { ${primitive.name} } from ${quote}${module}${quote}${semicolon}`
  return { _tag: "Fix", edits: [{ span: { start: last.end, end: last.end }, text: line }, edit] }
}

/** The name under which the file already imports the primitive. */
const importedName = (scope: Scope, primitive: Primitive): string | undefined => {
  const { source } = scope
  for (const statement of nodesOf(source, "import_statement")) {
    const from = field(statement, "source")
    if (from === undefined || !isModule(stringValue(source, from), primitive.module ?? "")) continue
    for (const specifier of nodesOf(source, "import_specifier")) {
      const name = field(specifier, "name")
      if (specifier.start < statement.start || specifier.end > statement.end || name === undefined) continue
      if (textOf(source, name) === primitive.name) return textOf(source, field(specifier, "alias") ?? name)
    }
  }
  return undefined
}
