/** The names of a script: its functions, who calls them, and every place that gives a variable a value. */
import { closest, field, functionOf, type Node, nodesOf, type Script, textOf, wordsOf } from "./shellTree.ts"

/** A place that gives a variable a value. `source` is absent where the value comes from elsewhere, as in `read`. */
export interface Binding {
  readonly name: string
  readonly node: Node
  readonly value: Node | undefined
  readonly kind: "assign" | "append" | "read" | "printf" | "loop"
  readonly scope: Node | undefined
  readonly isLocal: boolean
}

export interface Names {
  readonly functions: ReadonlyMap<string, ReadonlyArray<Node>>
  readonly calls: ReadonlyMap<string, ReadonlyArray<Node>>
  readonly bindings: ReadonlyMap<string, ReadonlyArray<Binding>>
}

export const commandName = (script: Script, command: Node): string => {
  const first = wordsOf(command)[0]
  return first === undefined ? "" : textOf(script, first).replaceAll(/["'\\]/g, "")
}

const push = <A>(map: Map<string, Array<A>>, key: string, value: A): void => {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}

const isVariable = /^[A-Za-z_]\w*$/

export const readNames = (script: Script): Names => {
  const functions = new Map<string, Array<Node>>()
  const calls = new Map<string, Array<Node>>()
  const bindings = new Map<string, Array<Binding>>()
  for (const node of nodesOf(script, "function_definition")) {
    const name = field(node, "name")
    if (name !== undefined) push(functions, textOf(script, name), node)
  }
  const bind = (name: string, node: Node, kind: Binding["kind"], value: Node | undefined): void => {
    const declaration = closest(
      node.parent,
      (at) => at.type === "declaration_command" || at.type === "function_definition"
    )
    push(bindings, name, {
      name,
      node,
      kind,
      value,
      scope: functionOf(node),
      isLocal: declaration?.type === "declaration_command" &&
        /^(?:local|typeset|declare)\b/.test(textOf(script, declaration))
    })
  }
  for (const node of nodesOf(script, "variable_assignment")) {
    const target = field(node, "name")
    if (target === undefined) continue
    const name = target.type === "subscript" ? field(target, "name") : target
    if (name === undefined) continue
    const isAppend = node.children.some((child) => child.type === "+=") || target.type === "subscript"
    bind(textOf(script, name), node, isAppend ? "append" : "assign", field(node, "value"))
  }
  for (const node of nodesOf(script, "for_statement")) {
    const name = field(node, "variable")
    if (name !== undefined) bind(textOf(script, name), node, "loop", field(node, "value"))
  }
  for (const command of nodesOf(script, "command")) {
    const name = commandName(script, command)
    if (functions.has(name)) push(calls, name, command)
    if (name !== "read" && name !== "printf" && name !== "mapfile" && name !== "readarray") continue
    const words = wordsOf(command).slice(1)
    if (name === "printf") {
      const at = words.findIndex((word) => textOf(script, word) === "-v")
      const target = words[at + 1]
      if (at === 0 && target !== undefined) bind(textOf(script, target), command, "printf", undefined)
      continue
    }
    for (const word of words) {
      const text = textOf(script, word)
      if (isVariable.test(text)) bind(text, command, "read", undefined)
    }
  }
  for (const list of bindings.values()) list.sort((a, b) => a.node.start - b.node.start)
  return { functions, calls, bindings }
}

const branches = new Set([
  "if_statement",
  "elif_clause",
  "else_clause",
  "case_item",
  "while_statement",
  "for_statement",
  "c_style_for_statement",
  "list"
])

/** Whether a binding is made on every way to `at`: no branch stands around it that does not stand around `at`. */
const isCertain = (binding: Binding, at: Node): boolean => {
  const branch = closest(binding.node.parent, (node) => branches.has(node.type))
  return branch === undefined || branch.start <= at.start && branch.end >= at.end && branch.type !== "if_statement"
}

/**
 * The bindings of a variable that may give it its value at a place, the likeliest first: those of the function before
 * the place, up to the first that is certain; else those outside of functions; else those in other functions.
 */
export const bindingsAt = (names: Names, name: string, at: Node): ReadonlyArray<Binding> => {
  const all = names.bindings.get(name)
  if (all === undefined) return []
  const scope = functionOf(at)
  const own: Array<Binding> = []
  if (scope !== undefined || all.some((binding) => binding.scope === undefined)) {
    for (let index = all.length - 1; index >= 0; index--) {
      const binding = all[index]
      if (binding === undefined || binding.scope !== scope || binding.node.start >= at.start) continue
      if (binding.node.end > at.start && binding.kind !== "loop") continue
      own.push(binding)
      if (binding.kind !== "append" && isCertain(binding, at)) return own
    }
  }
  if (own.some((binding) => binding.isLocal) || own.length > 0 && scope === undefined) return own
  const outer = scope === undefined ? [] : all.filter((binding) => binding.scope === undefined).toReversed()
  const elsewhere = all.filter((binding) => binding.scope !== scope && binding.scope !== undefined && !binding.isLocal)
  return [...own, ...outer, ...elsewhere]
}
