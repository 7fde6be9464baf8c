/**
 * Follows what is written to the place where it is encoded: through variables, templates, lists, helpers of the file.
 */
import { isJsonObject, makeEncoders, sameText, wraps } from "./javascriptEncoder.ts"
import type { Binding, Scope } from "./javascriptScope.ts"
import { eachOf, earlierContent, either, json, opaque, prose } from "./javascriptShape.ts"
import {
  argumentsOf,
  bare,
  calleeName,
  childrenOf,
  field,
  functionAround,
  lastName,
  type Node,
  nodesOf,
  receiverOf,
  stringValue,
  textOf,
  unescape
} from "./javascriptTree.ts"

/** Steps (variables, calls, nested expressions) that a payload is followed; more than code for people needs. */
const stepsMax = 40
/** Expressions that one payload is made of at most: names that lead to each other would multiply without it. */
const visitsMax = 2000

export interface Payloads {
  /** The shape of an expression; `parameters` gives shapes to the parameters of a helper. */
  readonly shapeOf: (expression: Node, parameters?: ReadonlyMap<Binding, string>) => string
}

const sameElements = new Set([
  "filter",
  "slice",
  "reverse",
  "sort",
  "flat",
  "toSorted",
  "toReversed",
  "values",
  "splice"
])
const reads = /^(?:readFile|readFileSync|readTextFile|readTextFileSync|readFileString)$/
const newlineName = /^(?:EOL|eol|os\.EOL|NEWLINE|newline|newLine|NL|LF|lineEnd\w*|LINE_?(?:FEED|END|BREAK)\w*)$/

export const makePayloads = (scope: Scope): Payloads => {
  const { source } = scope
  const { encoded, isEncoder } = makeEncoders(scope)
  let visits = 0

  type Parameters = ReadonlyMap<Binding, string>

  const shape = (expression: Node, parameters: Parameters, depth: number): string => {
    if (depth > stepsMax || ++visits > visitsMax) return opaque
    const node = bare(expression)
    const next = (child: Node | undefined): string => child === undefined ? opaque : shape(child, parameters, depth + 1)
    switch (node.type) {
      case "string":
        return stringValue(source, node)
      case "number":
      case "true":
      case "false":
      case "regex":
        return prose
      case "null":
      case "undefined":
        return ""
      case "template_string":
        return templateShape(node, next)
      case "binary_expression":
        return binaryShape(node, parameters, depth)
      case "ternary_expression":
        return either([next(field(node, "consequence")), next(field(node, "alternative"))])
      case "sequence_expression":
        return next(childrenOf(node).at(-1))
      case "assignment_expression":
        return next(field(node, "right"))
      case "identifier":
      case "shorthand_property_identifier":
        return nameShape(node, parameters, depth)
      case "member_expression":
        return memberShape(node, parameters, depth)
      case "call_expression":
        return callShape(node, parameters, depth)
      case "new_expression":
        return wraps.test(calleeName(source, node)) ? next(argumentsOf(node)[0]) : opaque
      case "array":
        return childrenOf(node).map(next).join("")
      default:
        return opaque
    }
  }

  const templateShape = (node: Node, next: (child: Node | undefined) => string): string =>
    childrenOf(node).map((child) =>
      child.type === "template_substitution"
        ? next(childrenOf(child)[0])
        : child.type === "escape_sequence"
        ? unescape(textOf(source, child))
        : textOf(source, child)
    ).join("")

  /** A sum is a list; taking it apart by recursion would end at some thousand terms. */
  const binaryShape = (node: Node, parameters: Parameters, depth: number): string => {
    const terms: Array<Node> = []
    let at: Node | undefined = node
    while (at?.type === "binary_expression") {
      const left: Node | undefined = field(at, "left")
      const right = field(at, "right")
      if (left === undefined || right === undefined) return opaque
      const operator = source.text.slice(left.end, right.start).replaceAll(/\/\*.*?\*\/|\/\/[^\n]*/g, "").trim()
      if (operator === "||" || operator === "??") {
        if (at !== node) break
        return either([shape(left, parameters, depth + 1), shape(right, parameters, depth + 1)])
      }
      if (operator === "&&" && at === node) return shape(right, parameters, depth + 1)
      if (operator !== "+") return prose
      terms.push(right)
      at = bare(left)
    }
    if (at !== undefined) terms.push(at)
    return terms.toReversed().map((term) => shape(term, parameters, depth + 1)).join("")
  }

  const nameShape = (node: Node, parameters: Parameters, depth: number): string => {
    const name = textOf(source, node)
    if (name === "undefined") return ""
    const binding = scope.resolve(node)
    if (binding === undefined || binding.kind === "import") return newlineName.test(name) ? "\n" : opaque
    const given = parameters.get(binding)
    if (given !== undefined) return given
    if (binding.kind === "parameter") {
      return elementOfCallback(binding, parameters, depth) ?? (newlineName.test(name) ? "\n" : opaque)
    }
    if (binding.kind !== "variable") return opaque
    if (binding.property !== undefined) return newlineName.test(name) ? "\n" : opaque
    const loop = binding.scope.type === "for_in_statement" ? field(binding.scope, "right") : undefined
    if (loop !== undefined) return elements(loop, parameters, depth + 1)
    // What is used before a later assignment cannot be told apart from what is used after it; all values count.
    const assigned = scope.assignmentsOf(binding)
    const initial = binding.init === undefined ? [] : [shape(binding.init, parameters, depth + 1)]
    return assembled(
      initial,
      assigned.filter(({ value }) => !isWithinUse(value, node)),
      (value) => shape(value, parameters, depth + 1)
    )
  }

  /** `line = clean(line)`: following it would lead back to the same name. */
  const isWithinUse = (value: Node, use: Node): boolean => use.start >= value.start && use.end <= value.end

  const assembled = (
    initial: ReadonlyArray<string>,
    assigned: ReadonlyArray<{ readonly operator: string; readonly value: Node }>,
    follow: (value: Node) => string
  ): string => {
    const plain = assigned.filter(({ operator }) => operator !== "+=").map(({ value }) => follow(value))
    const added = assigned.filter(({ operator }) => operator === "+=").map(({ value }) => follow(value))
    const start = either([...initial, ...plain])
    return added.length === 0 && initial.length + plain.length === 0 ? opaque : start + added.join("")
  }

  /** `x` in `xs.map((x) => …)` where the list is known. */
  const elementOfCallback = (binding: Binding, parameters: Parameters, depth: number): string | undefined => {
    const call = binding.scope.parent?.type === "arguments" ? binding.scope.parent.parent : undefined
    if (call === undefined || binding.index !== 0 || binding.property !== undefined) return undefined
    const list = receiverOf(call)
    return list !== undefined && /^(?:map|forEach|filter|flatMap)$/.test(calleeName(source, call)) &&
        bare(list).type !== "call_expression"
      ? elements(list, parameters, depth + 1)
      : undefined
  }

  const memberShape = (node: Node, parameters: Parameters, depth: number): string => {
    if (newlineName.test(textOf(source, node)) || newlineName.test(lastName(source, node))) return "\n"
    const object = field(node, "object")
    if (object?.type !== "this") return opaque
    const name = lastName(source, node)
    const values = scope.propertyValues(name).filter(({ value }) => !isWithinUse(value, node))
    return assembled([], values, (value) => shape(value, parameters, depth + 1))
  }

  const callShape = (call: Node, parameters: Parameters, depth: number): string => {
    const next = (child: Node | undefined): string => child === undefined ? opaque : shape(child, parameters, depth + 1)
    const callee = field(call, "function")
    const name = calleeName(source, call)
    const given = argumentsOf(call)
    const receiver = receiverOf(call)
    const owner = receiver === undefined ? "" : lastName(source, receiver)
    if (callee === undefined) return opaque
    if (isJsonObject(scope, callee)) return encoded(given)
    const local = scope.functionOf(callee)
    if (local !== undefined) {
      const returned = returnShape(local, given, parameters, depth)
      if (returned !== opaque) return returned
    }
    if (reads.test(name)) return earlierContent
    if (name === "text" && receiver?.type === "call_expression" && textOf(source, receiver).startsWith("Bun.file(")) {
      return earlierContent
    }
    if (name === "join" && receiver !== undefined && !/^(?:path|posix|win32)$/.test(owner)) {
      const separator = given[0] === undefined ? "," : next(given[0])
      return joined(receiver, separator, parameters, depth + 1)
    }
    if (name === "concat" && receiver !== undefined) {
      return owner === "Buffer"
        ? given[0]?.type === "array"
          ? next(given[0])
          : given[0] === undefined
          ? opaque
          : elements(given[0], parameters, depth + 1)
        : next(receiver) + given.map(next).join("")
    }
    if (name === "repeat") return prose
    if (name === "reduce" && given[0] !== undefined) return summed(given[0], parameters, depth)
    if (sameText.has(name) && receiver !== undefined) return next(receiver)
    if (isEncoder(callee)) return encoded(given)
    if (wraps.test(name)) return next(given[0])
    if (/^(?:inspect|format|gzipSync|deflateSync)$/.test(name)) return prose
    return opaque
  }

  const returnShape = (local: Node, given: ReadonlyArray<Node>, outer: Parameters, depth: number): string => {
    const parameters = new Map(outer)
    for (const binding of parametersOf(local)) {
      const argument = binding.index === undefined || binding.property !== undefined ? undefined : given[binding.index]
      parameters.set(
        binding,
        argument === undefined ?
          binding.init === undefined ? opaque : shape(binding.init, outer, depth + 1)
          : shape(argument, outer, depth + 1)
      )
    }
    return either(returnedBy(local).map((value) => shape(value, parameters, depth + 1)))
  }

  /** `entries.reduce((text, entry) => text + JSON.stringify(entry) + "\\n", "")`: the text that one element adds. */
  const summed = (callback: Node, parameters: Parameters, depth: number): string => {
    const local = scope.functionOf(callback)
    if (local === undefined) return opaque
    const [sum] = parametersOf(local)
    const inside = sum === undefined ? parameters : new Map([...parameters, [sum, ""]])
    return either(returnedBy(local).map((value) => shape(value, inside, depth + 1)))
  }

  const returnedBy = (local: Node): ReadonlyArray<Node> => {
    const body = field(local, "body")
    if (body === undefined) return []
    if (body.type !== "statement_block") return [body]
    return nodesOf(source, "return_statement").flatMap((node) => {
      const [value] = childrenOf(node)
      return value !== undefined && node.start >= body.start && node.end <= body.end &&
          functionAround(source, node) === local
        ? [value]
        : []
    })
  }

  const parametersOf = (local: Node): ReadonlyArray<Binding> => {
    const single = field(local, "parameter")
    const list = single === undefined ? childrenOf(field(local, "parameters")) : [single]
    return list.flatMap((parameter) => {
      const name = field(parameter, "pattern") ?? field(parameter, "left") ?? parameter
      const binding = name.type === "identifier" ? scope.resolve(name) : undefined
      return binding?.kind === "parameter" && binding.scope === local ? [binding] : []
    })
  }

  const joined = (list: Node, separator: string, parameters: Parameters, depth: number): string => {
    const node = bare(list)
    if (node.type === "array" && !childrenOf(node).some((child) => child.type === "spread_element")) {
      return childrenOf(node).map((child) => shape(child, parameters, depth + 1)).join(separator)
    }
    const element = elements(node, parameters, depth + 1)
    return element === "" ? opaque : element + separator + element
  }

  /** The shape of one element of a list. */
  const elements = (expression: Node, parameters: Parameters, depth: number): string => {
    if (depth > stepsMax || ++visits > visitsMax) return opaque
    const node = bare(expression)
    const all = (values: ReadonlyArray<Node>): string => eachOf(values.map((value) => element(value)))
    const element = (value: Node): string => {
      const inner = value.type === "spread_element" ? childrenOf(value)[0] : undefined
      return inner === undefined ? shape(value, parameters, depth + 1) : elements(inner, parameters, depth + 1)
    }
    if (node.type === "array") return all(childrenOf(node))
    if (node.type === "ternary_expression") {
      return eachOf([field(node, "consequence"), field(node, "alternative")]
        .flatMap((branch) => branch === undefined ? [] : [elements(branch, parameters, depth + 1)]))
    }
    if (node.type === "identifier" || node.type === "member_expression") return listShape(node, parameters, depth, all)
    if (node.type !== "call_expression") return opaque
    const name = calleeName(source, node)
    const receiver = receiverOf(node)
    const given = argumentsOf(node)
    if (name === "map" || name === "flatMap" || name === "from" && given.length === 2) {
      return mapped(given[name === "from" ? 1 : 0], parameters, depth)
    }
    if (name === "split" && receiver !== undefined) {
      return shape(receiver, parameters, depth + 1) === earlierContent ? earlierContent : opaque
    }
    if (name === "concat" && receiver !== undefined) {
      return eachOf([receiver, ...given].map((part) => elements(part, parameters, depth + 1)))
    }
    if (sameElements.has(name) && receiver !== undefined) return elements(receiver, parameters, depth + 1)
    if (name === "from" && given[0] !== undefined) return elements(given[0], parameters, depth + 1)
    const callee = field(node, "function")
    const local = callee === undefined ? undefined : scope.functionOf(callee)
    return local === undefined
      ? opaque
      : eachOf(returnedBy(local).map((value) => elements(value, parameters, depth + 1)))
  }

  const mapped = (callback: Node | undefined, parameters: Parameters, depth: number): string => {
    if (callback === undefined) return opaque
    const node = bare(callback)
    const local = scope.functionOf(node)
    if (local !== undefined) return either(returnedBy(local).map((value) => shape(value, parameters, depth + 1)))
    return isEncoder(node) ? json : opaque
  }

  /** The elements of a list in a variable or a property: those it starts with, and those pushed later. */
  const listShape = (
    node: Node,
    parameters: Parameters,
    depth: number,
    all: (values: ReadonlyArray<Node>) => string
  ): string => {
    const binding = node.type === "identifier" ? scope.resolve(node) : undefined
    if (node.type === "identifier" && binding === undefined) return opaque
    const given = binding === undefined ? undefined : parameters.get(binding)
    if (given !== undefined) return given
    const uses = binding === undefined ? scope.membersNamed(lastName(source, node)) : scope.usesOf(binding)
    const pushed = uses.flatMap((use) => {
      const member = use.parent
      const call = member?.type === "member_expression" && member.children[0] === use ? member.parent : undefined
      return call?.type === "call_expression" && /^(?:push|unshift)$/.test(calleeName(source, call))
        ? argumentsOf(call)
        : []
    })
    const values = binding === undefined
      ? scope.propertyValues(lastName(source, node)).map(({ value }) => value)
      : [
        ...(binding.init === undefined || binding.property !== undefined ? [] : [binding.init]),
        ...scope.assignmentsOf(binding).map(({ value }) => value)
      ]
    const starts = values
      .filter((value) => !isWithinUse(value, node))
      .map((value) => elements(value, parameters, depth + 1))
    return eachOf([...starts, all(pushed)]) || opaque
  }

  return {
    shapeOf: (expression, parameters = new Map()) => {
      visits = 0
      return shape(expression, parameters, 0)
    }
  }
}
