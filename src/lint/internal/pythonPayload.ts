/**
 * What a Python expression is once it is written: JSON on one line, JSON over several lines, other text, white space,
 * or not to be seen from here. Follows names, list elements, joins, templates and functions of the same file to the
 * encoder.
 */
import { parameterName } from "./pythonCalls.ts"
import { encoded } from "./pythonEncoder.ts"
import type { Binding, Names } from "./pythonNames.ts"
import { isJson, literalShape, oneOf, type Part, sequence, type Shape, text, unknown } from "./pythonShape.ts"
import {
  calleeName,
  contentOf,
  field,
  keyword,
  positional,
  type PyNode,
  receiver,
  stringValue,
  textOf
} from "./pythonTree.ts"

/** Gives the shape of an expression. */
export interface Shapes {
  readonly of: (node: PyNode | undefined) => Shape
  /** The shape of the elements of a list, generator or other iterable. */
  readonly elements: (node: PyNode | undefined) => Shape
}

/** Steps from an expression to its sources; more would mean a file made to be slow. */
const stepsMax = 250

/** Steps in depth, of which every call of a function of the file takes some. */
const depthMax = 24

/** Methods and functions whose result says the same as their object or argument. */
const keepers = new Set([
  "encode",
  "decode",
  "strip",
  "rstrip",
  "lstrip",
  "replace",
  "translate",
  "expandtabs",
  "join_lines"
])
const wrappers =
  /^(str|bytes|bytearray|memoryview|cast|to_bytes|to_text|ensure_(str|bytes|text)|smart_str|force_(str|bytes))$|redact|sanit|scrub|mask|truncate|compact|newline/i
const iterators = /^(sorted|list|tuple|set|iter|reversed|tqdm|filter|islice|unique|deque|frozenset)$/
const getters = new Set(["get", "get_nowait", "pop", "popleft"])
const plainText =
  /^(repr|pformat|format_exc|format_exception|isoformat|strftime|dedent|ctime|asctime|to_csv|to_string|to_yaml|to_markdown|tabulate|safe_dump|dumps|hexdigest)$/

/** Shapes of the expressions of a file. */
export const makeShapes = (names: Names): Shapes => {
  const { tree } = names
  let steps = 0
  const known = new Map<number, Shape>()

  /** The shape of what `bindings` put together. */
  const fromBindings = (bindings: ReadonlyArray<Binding>, depth: number): Shape => {
    const shapes = bindings.map((binding): Shape => {
      switch (binding.kind) {
        case "value":
        case "extend":
          return shape(binding.value, depth)
        case "each":
          return elements(binding.value, depth)
        case "parameter":
          return fromCallers(binding, depth)
        default:
          return unknown
      }
    })
    const grows = bindings.some(({ kind }) => kind === "extend")
    // Text in front of what is added stays in front of it.
    if (grows && shapes.some(({ kind }) => kind === "text")) return { kind: "text", newline: true }
    return oneOf(shapes)
  }

  const fromCallers = (binding: Binding, depth: number): Shape => {
    const definition = names.scope(binding.node)
    if (definition?.kind !== "function_definition") return unknown
    const name = parameterName(tree, binding.node)
    const shapes = names.callers(definition).slice(0, 40).flatMap((call) => {
      const value = names.argument(call, definition, name)
      return value === undefined ? [] : [shape(value, depth + 6)]
    })
    if (binding.value !== undefined) shapes.push(shape(binding.value, depth + 6))
    if (shapes.length === 0) return unknown
    // A function that is also given plain text is a text log.
    return shapes.some(({ kind }) => kind === "text") && shapes.some(isJson) ? text : oneOf(shapes)
  }

  const fromResults = (definitions: ReadonlyArray<PyNode>, depth: number): Shape =>
    oneOf(definitions.flatMap((definition) => names.results(definition)).map((value) => shape(value, depth + 6)))

  const template = (node: PyNode, depth: number): ReadonlyArray<Part> =>
    node.children.map((part): Part => {
      if (part.kind === "string_content") return contentOf(tree, node, part)
      if (part.kind !== "interpolation") return ""
      const value = shape(field(part, "expression") ?? part.children[0], depth + 1)
      // {x!r} and {x:>8} change what is written.
      return part.children.some(({ kind }) => kind === "type_conversion" || kind === "format_specifier") &&
          !isJson(value)
        ? text
        : value
    })

  /** `"%s\n" % value` and `"{}\n".format(value)`. */
  const formatted = (format: string, holes: RegExp, values: ReadonlyArray<PyNode>, depth: number): Shape => {
    const literals = format.split(holes)
    const parts: Array<Part> = []
    literals.forEach((literal, index) => {
      if (index > 0) parts.push(values.length === 0 ? unknown : shape(values[index - 1] ?? values[0], depth + 1))
      parts.push(literal.replaceAll("{{", "{").replaceAll("}}", "}").replaceAll("%%", "%"))
    })
    return sequence(parts)
  }

  const concatenated = (node: PyNode, depth: number): ReadonlyArray<Part> => {
    const parts: Array<Part> = []
    // Without recursion on the left: a + b + c + … can be long.
    let at: PyNode | undefined = node
    const rights: Array<PyNode> = []
    while (at !== undefined) {
      if (at.kind === "parenthesized_expression" && at.children.length === 1) at = at.children[0]
      else if (at.kind === "binary_operator" && operator(at) === "+") {
        const right = field(at, "right")
        if (right !== undefined) rights.push(right)
        at = field(at, "left")
      } else break
    }
    for (const part of [at, ...rights.toReversed()]) {
      if (part === undefined) continue
      if (part.kind === "string") parts.push(...template(part, depth))
      else if (part.kind === "concatenated_string") {
        part.children.forEach((child) => parts.push(...template(child, depth)))
      } else if (part.kind === "binary_operator" && operator(part) === "+") parts.push(shape(part, depth + 1))
      else if (/\b(linesep|newline|nl|eol|sep|separator|terminator|delimiter|LF)$/i.test(textOf(tree, part))) {
        const value = shape(part, depth + 1)
        parts.push(value.kind === "unknown" ? { kind: "blank", newline: true } : value)
      } else parts.push(shape(part, depth + 1))
    }
    return parts
  }

  const operator = (node: PyNode): string => {
    const left = field(node, "left")
    const right = field(node, "right")
    return left === undefined || right === undefined
      ? ""
      : tree.text.slice(left.end, right.start).trim().replace(/\\\s*$/, "").trim()
  }

  const fromCall = (node: PyNode, depth: number): Shape => {
    const name = calleeName(tree, node)
    const object = receiver(node)
    const args = positional(node)
    const direct = encoded(names, node)
    if (direct?.certain === true) return direct.shape
    const own = fromResults(names.called(node), depth)
    if (own.kind === "line" || own.kind === "multi" || own.kind === "text") return own
    if (direct !== undefined) return direct.shape
    if (object !== undefined) {
      if (name === "join") return joined(stringValue(tree, object), object, args[0], depth)
      if (name === "format") {
        const format = stringValue(tree, object)
        if (format !== undefined) {
          const values = (field(node, "arguments")?.children ?? []).map((value) => field(value, "value") ?? value)
          return formatted(format, /(?<!\{)\{[^{}]*\}(?!\})/, values, depth)
        }
      }
      if (name === "getvalue" || name === "get_string") {
        const shapes = names.bindings(object).flatMap((binding) =>
          binding.kind === "written" ? [shape(binding.value, depth + 1)] : []
        )
        return shapes.some(({ kind }) => kind === "text") ? text : oneOf(shapes)
      }
      if (getters.has(name)) {
        const added = names.bindings(object).filter(({ kind }) => kind === "element")
        if (added.length > 0) return oneOf(added.map((binding) => shape(binding.value, depth + 1)))
      }
      if (keepers.has(name)) {
        const inner = shape(object, depth + 1)
        if (name === "strip" || name === "rstrip") return inner.kind === "blank" ? inner : { ...inner, newline: false }
        // Line breaks are taken out.
        return name === "replace" && inner.kind === "multi" ? { ...inner, kind: "line" } : inner
      }
    }
    if (wrappers.test(name) && args[0] !== undefined) {
      const inner = shape(name === "cast" ? args[1] : args[0], depth + 1)
      return name === "str" && inner.kind === "unknown" ? text : inner
    }
    return plainText.test(name) ? text : own.kind === "blank" ? own : unknown
  }

  const joined = (separator: string | undefined, object: PyNode, list: PyNode | undefined, depth: number): Shape => {
    const element = elements(list, depth + 1)
    const between = separator === undefined ? shape(object, depth + 1) : literalShape(separator)
    if (separator === "" || between.kind === "blank") return { kind: element.kind, newline: element.newline }
    return sequence([element, between, element])
  }

  const elements = (node: PyNode | undefined, depth: number): Shape => {
    if (node === undefined || depth > depthMax || ++steps > stepsMax) return unknown
    switch (node.kind) {
      case "list":
      case "tuple":
      case "set":
      case "expression_list":
        return node.children.length === 0 ?
          { kind: "blank", newline: false } :
          oneOf(
            node.children.slice(0, 50).map((child) =>
              child.kind === "list_splat" ? elements(child.children[0], depth + 1) : shape(child, depth + 1)
            )
          )
      case "list_comprehension":
      case "set_comprehension":
      case "generator_expression":
        return shape(field(node, "body"), depth + 1)
      case "parenthesized_expression":
      case "await":
        return elements(node.children[0], depth + 1)
      case "subscript":
        return elements(field(node, "value"), depth + 1)
      case "conditional_expression":
        return oneOf([elements(node.children[0], depth + 1), elements(node.children[2], depth + 1)])
      case "boolean_operator":
      case "binary_operator":
        return oneOf([elements(field(node, "left"), depth + 1), elements(field(node, "right"), depth + 1)])
      case "identifier":
      case "attribute":
        return oneOf(
          names.bindings(node).slice(0, 40).map((binding) => {
            if (binding.value === node) return unknown
            if (binding.kind === "element") return shape(binding.value, depth + 1)
            if (binding.kind === "value" || binding.kind === "extend" || binding.kind === "elements") {
              return elements(binding.value, depth + 1)
            }
            const definition = binding.kind === "parameter" ? names.scope(binding.node) : undefined
            if (definition?.kind !== "function_definition") return unknown
            const name = parameterName(tree, binding.node)
            return oneOf(
              names.callers(definition).slice(0, 40).map((call) =>
                elements(names.argument(call, definition, name), depth + 6)
              )
            )
          })
        )
      case "call": {
        const name = calleeName(tree, node)
        const args = positional(node)
        if (name === "map" && args[0] !== undefined) {
          if (args[0].kind === "lambda") return shape(field(args[0], "body"), depth + 1)
          const direct = encoded(names, args[0])
          if (direct !== undefined) return direct.shape
          return fromResults(names.functions.get(textOf(tree, args[0]).replace(/^.*\./, "")) ?? [], depth)
        }
        if (iterators.test(name)) return elements(name === "filter" ? args[1] : args[0], depth + 1)
        if (name === "splitlines" || name === "split") {
          const whole = shape(receiver(node), depth + 1)
          return whole.kind === "unknown"
            ? unknown
            : { ...whole, newline: name === "splitlines" && keyword(tree, node, "keepends") !== undefined }
        }
        return oneOf(
          names.called(node).flatMap((definition) => names.results(definition)).map((value) =>
            value.parent?.kind === "yield" ? shape(value, depth + 6) : elements(value, depth + 6)
          )
        )
      }
      default:
        return unknown
    }
  }

  const shape = (node: PyNode | undefined, depth: number): Shape => {
    if (node === undefined || depth > depthMax || ++steps > stepsMax) return unknown
    switch (node.kind) {
      case "string":
        return sequence(template(node, depth))
      case "concatenated_string":
        return sequence(node.children.flatMap((child) => template(child, depth)))
      case "parenthesized_expression":
      case "await":
        return shape(node.children[0], depth + 1)
      case "named_expression":
        return shape(field(node, "value"), depth + 1)
      case "conditional_expression":
        return oneOf([shape(node.children[0], depth + 1), shape(node.children[2], depth + 1)])
      case "boolean_operator":
        return oneOf([shape(field(node, "left"), depth + 1), shape(field(node, "right"), depth + 1)])
      case "binary_operator": {
        const sign = operator(node)
        if (sign === "+") return sequence(concatenated(node, depth))
        const format = stringValue(tree, field(node, "left"))
        const right = field(node, "right")
        if (sign !== "%" || format === undefined || right === undefined) {
          return sign === "*"
            ? shape(field(node, "left"), depth + 1)
            : unknown
        }
        const values = right.kind === "tuple" ? right.children : [right]
        return formatted(format, /%(?:\([^)]*\))?[-+ #0]*\d*(?:\.\d+)?[sdrifxXeEgGc]/, values, depth)
      }
      case "identifier":
      case "attribute": {
        if (/(^|\.)linesep$/.test(textOf(tree, node))) return { kind: "blank", newline: true }
        return fromBindings(names.reaching(node).slice(-12), depth + 1)
      }
      case "subscript": {
        // A slice of a line is not a line.
        const part = node.children.some(({ kind }) => kind === "slice")
        const base = field(node, "value")
        if (part) return isJson(shape(base, depth + 1)) ? text : unknown
        const element = elements(base, depth + 1)
        return isJson(element) ? element : unknown
      }
      case "call":
        return fromCall(node, depth)
      case "integer":
      case "float":
        return text
      default:
        return unknown
    }
  }

  /** Starts the count of steps anew for each question, and answers it once. */
  const ask = (node: PyNode | undefined, question: typeof shape, salt: number): Shape => {
    if (node === undefined) return unknown
    const key = node.index * 2 + salt
    const answer = known.get(key)
    if (answer !== undefined) return answer
    steps = 0
    const found = question(node, 0)
    known.set(key, found)
    return found
  }

  return { of: (node) => ask(node, shape, 0), elements: (node) => ask(node, elements, 1) }
}
