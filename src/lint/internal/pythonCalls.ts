/**
 * Calls in a Python file of functions of the same file, and which argument becomes which parameter.
 */
import { calleeName, field, positional, type PyNode, type PyTree, textOf } from "./pythonTree.ts"

/** Calls and functions of a file. */
export interface Calls {
  /** Functions of this file that a call may call. */
  readonly called: (call: PyNode) => ReadonlyArray<PyNode>
  /** Calls in this file of a function of this file. */
  readonly callers: (definition: PyNode) => ReadonlyArray<PyNode>
  /** Parameters of a function; without the first if it is called on an object. */
  readonly parameters: (definition: PyNode, isBound: boolean) => ReadonlyArray<PyNode>
  /** The argument of a call that becomes the parameter of a function. */
  readonly argument: (call: PyNode, definition: PyNode, parameter: string) => PyNode | undefined
  /** The parameter of a function that an argument of a call becomes. */
  readonly parameter: (call: PyNode, definition: PyNode, argument: PyNode) => PyNode | undefined
}

/** Method names of so many classes that the name alone does not say which function is meant. */
const commonMethods = new Set([
  "write",
  "append",
  "log",
  "info",
  "debug",
  "warning",
  "error",
  "put",
  "get",
  "send",
  "open",
  "close",
  "add",
  "emit",
  "print",
  "run",
  "record",
  "save",
  "update",
  "read",
  "dump",
  "dumps",
  "encode",
  "flush"
])

/** The name that a parameter declares. */
export const parameterName = (tree: PyTree, node: PyNode): string =>
  node.kind === "identifier"
    ? textOf(tree, node)
    : textOf(tree, field(node, "name") ?? node.children.find((child) => child.kind === "identifier"))

/** Functions of one name in a file, and calls of one name, that are looked at; the first tell enough. */
const definitionsMax = 8
const callersMax = 64

/** Relates calls to functions. */
export const makeCalls = (
  tree: PyTree,
  functions: ReadonlyMap<string, ReadonlyArray<PyNode>>,
  calls: ReadonlyMap<string, ReadonlyArray<PyNode>>
): Calls => {
  const callersByName = new Map<string, ReadonlyArray<PyNode>>()

  const isOwn = (call: PyNode): boolean => {
    const callee = field(call, "function")
    if (callee?.kind !== "attribute") return true
    const object = textOf(tree, field(callee, "object"))
    return /^(self|cls|super\(\))$/.test(object) || !commonMethods.has(textOf(tree, field(callee, "attribute")))
  }

  const called = (call: PyNode): ReadonlyArray<PyNode> =>
    isOwn(call) ? (functions.get(calleeName(tree, call)) ?? []).slice(0, definitionsMax) : []

  const callers = (definition: PyNode): ReadonlyArray<PyNode> => {
    const name = textOf(tree, field(definition, "name"))
    let found = callersByName.get(name)
    if (found === undefined) {
      found = (calls.get(name) ?? []).slice(0, callersMax).filter(isOwn)
      callersByName.set(name, found)
    }
    return found
  }

  const parameters = (definition: PyNode, isBound: boolean): ReadonlyArray<PyNode> => {
    const list = field(definition, "parameters")?.children ?? []
    const first = list[0] === undefined ? "" : textOf(tree, list[0])
    return isBound && /^(self|cls)\b/.test(first) ? list.slice(1) : list
  }

  const parameterList = (call: PyNode, definition: PyNode): ReadonlyArray<PyNode> =>
    parameters(definition, field(call, "function")?.kind === "attribute")

  const keywordOf = (argument: PyNode): string | undefined =>
    argument.kind === "keyword_argument" ? textOf(tree, field(argument, "name")) : undefined

  return {
    called,
    callers,
    parameters,
    argument: (call, definition, parameter) => {
      for (const argument of field(call, "arguments")?.children ?? []) {
        if (keywordOf(argument) === parameter) return field(argument, "value")
      }
      const index = parameterList(call, definition).findIndex((node) => parameterName(tree, node) === parameter)
      return index === -1 ? undefined : positional(call)[index]
    },
    parameter: (call, definition, argument) => {
      const list = parameterList(call, definition)
      const name = argument.parent === undefined ? undefined : keywordOf(argument.parent)
      if (name !== undefined) return list.find((node) => parameterName(tree, node) === name)
      return list[positional(call).indexOf(argument)]
    }
  }
}
