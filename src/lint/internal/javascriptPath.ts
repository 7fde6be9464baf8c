/**
 * Which file is written: the value of a path where the code shows it, and whether it is a file of records.
 */
import type { Scope } from "./javascriptScope.ts"
import {
  argumentsOf,
  bare,
  calleeName,
  childrenOf,
  field,
  functionAround,
  isFunction,
  lastName,
  type Node,
  nodesOf,
  stringValue,
  textOf
} from "./javascriptTree.ts"

/**
 * - `text`: the source of the path.
 * - `value`: the path itself, where it is literal.
 * - `isRecords`: its name ends in .jsonl or .ndjson, or it is called that.
 */
export interface Target {
  readonly text: string
  readonly value: string | undefined
  readonly isRecords: boolean
}

/** Names that a path is followed through. */
const stepsMax = 6
/** Pieces of a path that are looked at; a path has few. */
const piecesMax = 200

const recordsFile = /\.(?:jsonl|ndjson|jsonlines)\b/i
const recordsName = /jsonl|ndjson|json_?lines/i

export const targetOf = (scope: Scope, expression: Node | undefined): Target => {
  if (expression === undefined) return { text: "", value: undefined, isRecords: false }
  const text = textOf(scope.source, expression)
  const pieces: Array<string> = []
  collect(scope, expression, pieces, 0)
  return {
    text,
    value: literalPath(scope, expression, 0),
    isRecords: pieces.some((piece) => recordsFile.test(piece)) || recordsName.test(text)
  }
}

/** The literal pieces that a path is made of, also of the variables and helpers in it. */
const collect = (scope: Scope, expression: Node, pieces: Array<string>, depth: number): void => {
  if (depth > stepsMax || pieces.length > piecesMax) return
  const { source } = scope
  const node = bare(expression)
  const follow = (next: Node | undefined): void => {
    if (next !== undefined) collect(scope, next, pieces, depth + 1)
  }
  switch (node.type) {
    case "string":
      pieces.push(stringValue(source, node))
      return
    case "template_string":
      for (const child of childrenOf(node)) {
        if (child.type === "string_fragment") pieces.push(textOf(source, child))
        else follow(childrenOf(child)[0])
      }
      return
    case "identifier": {
      const binding = scope.resolve(node)
      pieces.push("")
      if (binding === undefined || binding.kind === "import") {
        if (recordsName.test(textOf(source, node))) pieces.push(".jsonl")
        return
      }
      if (binding.property !== undefined) return
      follow(binding.init)
      for (const { value } of scope.assignmentsOf(binding)) follow(value)
      return
    }
    case "member_expression": {
      pieces.push("")
      const name = lastName(source, node)
      const object = field(node, "object")
      if (object?.type === "this" || object?.type === "identifier" && scope.resolve(object)?.kind !== "import") {
        for (const { value } of scope.propertyValues(name)) if (depth < 3) follow(value)
      }
      return
    }
    case "call_expression": {
      for (const argument of argumentsOf(node)) follow(argument)
      const callee = field(node, "function")
      const local = callee === undefined ? undefined : scope.functionOf(callee)
      if (local === undefined) {
        if (recordsName.test(calleeName(source, node))) pieces.push(".jsonl")
        return
      }
      const body = field(local, "body")
      if (body !== undefined && body.type !== "statement_block") return follow(body)
      for (const statement of nodesOf(source, "return_statement")) {
        if (
          statement.start >= local.start && statement.end <= local.end && functionAround(source, statement) === local
        ) {
          follow(childrenOf(statement)[0])
        }
      }
      return
    }
    case "new_expression":
      for (const argument of argumentsOf(node)) follow(argument)
      return
    case "binary_expression":
    case "ternary_expression":
    case "array":
      for (const child of childrenOf(node)) follow(child)
      return
    default:
      return
  }
}

const recordsWriter =
  /(?:write|append|add|put|log|emit|push|save|store)\w*(?:jsonl|ndjson|json_?line)|(?:jsonl|ndjson|json_?lines?)\w*(?:writer|log|store|sink|append|file|audit|port|output)/i

/** Whether a function or class around a node writes files of records by its name: `class JsonlWriter`, `appendNdjson`. */
export const isNamedAfterRecords = (scope: Scope, node: Node): boolean => {
  for (let at = node.parent; at !== undefined; at = at.parent) {
    const isNamed = isFunction(at) || at.type === "class_declaration" || at.type === "variable_declarator"
    const name = isNamed ? field(at, "name") : undefined
    if (name !== undefined && recordsWriter.test(textOf(scope.source, name))) return true
  }
  return false
}

const literalPath = (scope: Scope, expression: Node, depth: number): string | undefined => {
  const { source } = scope
  const node = bare(expression)
  if (node.type === "string") return stringValue(source, node)
  if (node.type === "template_string") {
    return node.children.some((child) => child.type === "template_substitution") ? undefined : stringValue(source, node)
  }
  if (node.type === "identifier" && depth < 2) {
    const binding = scope.resolve(node)
    if (binding?.kind !== "variable" || binding.property !== undefined || binding.init === undefined) return undefined
    return scope.assignmentsOf(binding).length === 0 ? literalPath(scope, binding.init, depth + 1) : undefined
  }
  if (node.type === "call_expression" && /^(?:join|resolve)$/.test(calleeName(source, node))) {
    const parts = argumentsOf(node).map((argument) => literalPath(scope, argument, depth))
    return parts.length > 0 && parts.every((part) => part !== undefined) ? parts.join("/") : undefined
  }
  return undefined
}
