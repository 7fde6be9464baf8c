/**
 * What names stand for in a Python file: assignments, loop variables, parameters, list elements, imports, functions and
 * their calls. Enough to follow a value one step back, without types.
 */
import { type Calls, makeCalls, parameterName } from "./pythonCalls.ts"
import { blockOf, calleeName, contains, field, positional, type PyNode, type PyTree, textOf } from "./pythonTree.ts"

/**
 * A place that gives a name a value. `value` is the source: of the value itself, or for `each` of what is iterated, for
 * `element` of what is added to a list or queue, for `elements` of a list added to one; `written` is a call that writes
 * into the object. `extend` adds to what was there.
 */
export interface Binding {
  readonly kind: "value" | "extend" | "each" | "parameter" | "element" | "elements" | "written" | "other"
  readonly node: PyNode
  readonly value: PyNode | undefined
}

/** The names of a file. */
export interface Names extends Calls {
  readonly tree: PyTree
  /** Bindings of a name or attribute as seen from `at`, in the order of the text. */
  readonly bindings: (at: PyNode) => ReadonlyArray<Binding>
  /** Those of them that can reach `at`. */
  readonly reaching: (at: PyNode) => ReadonlyArray<Binding>
  /** The function that a node is in. */
  readonly scope: (at: PyNode) => PyNode | undefined
  readonly functions: ReadonlyMap<string, ReadonlyArray<PyNode>>
  /** Calls by the last name of what is called. */
  readonly calls: ReadonlyMap<string, ReadonlyArray<PyNode>>
  /** From local names to what they were imported as: `dumps` to `json.dumps`; names with a star to a module. */
  readonly imports: ReadonlyMap<string, string>
  /** Local names that the whole file can use. */
  readonly moduleImports: ReadonlySet<string>
  /** The source of a name with its first part as it was imported. */
  readonly fullName: (node: PyNode | undefined) => string
  /** Values that a function returns or yields. */
  readonly results: (definition: PyNode) => ReadonlyArray<PyNode>
}

const comprehensions = new Set([
  "list_comprehension",
  "set_comprehension",
  "generator_expression",
  "dictionary_comprehension"
])

const adders = new Set(["append", "appendleft", "put", "put_nowait", "add", "insert"])

const push = <A>(map: Map<string, Array<A>>, key: string, value: A): void => {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}

/** Reads the names of a file. */
export const readNames = (tree: PyTree): Names => {
  const { nodes } = tree
  /** By node: the index of the function it is in, -1 for the file. */
  const scopes = new Int32Array(nodes.length).fill(-1)
  const byName = new Map<string, Array<Binding>>()
  const functions = new Map<string, Array<PyNode>>()
  const calls = new Map<string, Array<PyNode>>()
  const imports = new Map<string, string>()
  const moduleImports = new Set<string>()
  const globals = new Set<string>()
  const results = new Map<string, Array<PyNode>>()
  /** What is added to objects. It belongs to the scope that names the object, which is known once all is read. */
  const grown = new Set<string>()
  const added: Array<readonly [PyNode, Binding]> = []

  const scopeIndex = (node: PyNode): number => scopes[node.index] ?? -1

  const key = (target: PyNode, scope: number): string | undefined => {
    if (target.kind === "attribute") return `.${textOf(tree, field(target, "attribute"))}`
    if (target.kind === "subscript") {
      const base = field(target, "value")
      return base === undefined || base.kind === "subscript" ? undefined : key(base, scope)
    }
    if (target.kind !== "identifier") return undefined
    const name = textOf(tree, target)
    return globals.has(`${scope}:${name}`) ? `-1:${name}` : `${scope}:${name}`
  }

  const bind = (target: PyNode | undefined, binding: Binding): void => {
    if (target === undefined) return
    const name = key(target, scopeIndex(target))
    if (name !== undefined) {
      const isMember = target.kind === "subscript" && binding.kind === "value"
      if (isMember || /^(element|elements|written)$/.test(binding.kind)) {
        added.push([target, isMember ? { ...binding, kind: "element" } : binding])
        return
      }
      push(byName, name, binding)
      // A name of a class body is read as an attribute.
      if (target.kind === "identifier" && blockOf(target)?.parent?.kind === "class_definition") {
        push(byName, `.${textOf(tree, target)}`, binding)
      }
      return
    }
    const targets = patterns.has(target.kind) ? target.children : []
    const values = binding.value !== undefined && patterns.has(binding.value.kind) ? binding.value.children : []
    targets.forEach((child, index) => {
      const paired = binding.kind === "value" && values.length === targets.length
      // for index, item in enumerate(items)
      const item = binding.kind === "each" && index === targets.length - 1 && binding.value?.kind === "call" &&
        calleeName(tree, binding.value) === "enumerate"
      if (paired) bind(child, { ...binding, value: values[index] })
      else if (item && binding.value !== undefined) bind(child, { ...binding, value: positional(binding.value)[0] })
      else bind(child, { ...binding, kind: "other", value: undefined })
    })
  }

  const readCall = (node: PyNode): void => {
    const name = calleeName(tree, node)
    if (name === "") return
    push(calls, name, node)
    const callee = field(node, "function")
    const object = callee?.kind === "attribute" ? field(callee, "object") : undefined
    if (object === undefined) return
    const args = positional(node)
    if (adders.has(name)) bind(object, { kind: "element", node, value: args.at(-1) })
    else if (name === "extend") bind(object, { kind: "elements", node, value: args[0] })
    else if (name === "write") bind(object, { kind: "written", node, value: args[0] })
  }

  const readImport = (node: PyNode): void => {
    const from = textOf(tree, field(node, "module_name"))
    for (const child of node.children) {
      if (child.kind === "wildcard_import") imports.set(`*${imports.size}`, from)
      if (child.field !== "name") continue
      const aliased = child.kind === "aliased_import"
      const name = textOf(tree, aliased ? field(child, "name") : child)
      const local = aliased ? textOf(tree, field(child, "alias")) : from === "" ? name.split(".")[0] ?? name : name
      if (node.parent?.kind === "module") moduleImports.add(local)
      if (from !== "") imports.set(local, `${from}${from.endsWith(".") ? "" : "."}${name}`)
      else imports.set(local, aliased ? name : local)
    }
  }

  for (const node of nodes) {
    const { parent } = node
    if (parent === undefined) continue
    const inside = (parent.kind === "function_definition" || parent.kind === "lambda") &&
      (node.field === "body" || node.field === "parameters")
    scopes[node.index] = inside ? parent.index : scopeIndex(parent)
    if (node.kind === "global_statement") {
      for (const child of node.children) globals.add(`${scopeIndex(parent)}:${textOf(tree, child)}`)
    }
  }

  for (const node of nodes) {
    const scope = scopeIndex(node)
    switch (node.kind) {
      case "assignment": {
        let value = field(node, "right")
        while (value?.kind === "assignment") value = field(value, "right")
        if (value !== undefined) bind(field(node, "left"), { kind: "value", node, value })
        break
      }
      case "augmented_assignment":
        bind(field(node, "left"), { kind: "extend", node, value: field(node, "right") })
        break
      case "named_expression":
        bind(field(node, "name"), { kind: "value", node, value: field(node, "value") })
        break
      case "for_statement":
        bind(field(node, "left"), { kind: "each", node, value: field(node, "right") })
        break
      case "as_pattern":
        bind(field(node, "alias")?.children[0], { kind: "value", node, value: node.children[0] })
        break
      case "parameters":
      case "lambda_parameters":
        for (const child of node.children) {
          const name = parameterName(tree, child)
          push(byName, `${scope}:${name}`, { kind: "parameter", node: child, value: field(child, "value") })
        }
        break
      case "function_definition":
        push(functions, textOf(tree, field(node, "name")), node)
        break
      case "return_statement":
      case "yield": {
        const value = node.children[0]
        if (value !== undefined) push(results, String(scope), value)
        break
      }
      case "call":
        readCall(node)
        break
      case "import_statement":
      case "import_from_statement":
        readImport(node)
        break
    }
  }

  for (const [target, binding] of added) {
    let base: PyNode | undefined = target
    while (base?.kind === "subscript") base = field(base, "value")
    if (base === undefined) continue
    let scope = scopeIndex(base)
    if (base.kind === "identifier") {
      const name = textOf(tree, base)
      while (scope !== -1 && !byName.has(`${scope}:${name}`)) scope = scopeIndex(nodes[scope] ?? base)
    }
    const name = key(base, scope)
    if (name === undefined) continue
    push(byName, name, binding)
    grown.add(name)
  }
  for (const name of grown) byName.get(name)?.sort((a, b) => a.node.index - b.node.index)

  const scopeNode = (at: PyNode): PyNode | undefined => nodes[scopeIndex(at)]

  const comprehended = (at: PyNode, name: string): Binding | undefined => {
    for (let node = at.parent; node !== undefined && !node.kind.endsWith("_statement"); node = node.parent) {
      if (!comprehensions.has(node.kind)) continue
      for (const clause of node.children) {
        if (clause.kind !== "for_in_clause") continue
        const left = field(clause, "left")
        if (textOf(tree, left) === name) return { kind: "each", node: clause, value: field(clause, "right") }
        if (left !== undefined && left.children.some((child) => textOf(tree, child) === name)) {
          return { kind: "other", node: clause, value: undefined }
        }
      }
    }
    return undefined
  }

  const bindings = (at: PyNode): ReadonlyArray<Binding> => {
    if (at.kind === "attribute") return byName.get(`.${textOf(tree, field(at, "attribute"))}`) ?? []
    if (at.kind !== "identifier") return []
    const name = textOf(tree, at)
    const inner = comprehended(at, name)
    if (inner !== undefined) return [inner]
    for (let scope = scopeIndex(at);; scope = scopeIndex(nodes[scope] ?? at)) {
      const found = byName.get(globals.has(`${scope}:${name}`) ? `-1:${name}` : `${scope}:${name}`)
      if (found !== undefined) return found
      if (scope === -1) return []
    }
  }

  /** The function that all bindings of a list are in, or -2 if there are several. */
  const listScopes = new Map<ReadonlyArray<Binding>, number>()
  const listScope = (list: ReadonlyArray<Binding>): number => {
    const known = listScopes.get(list)
    if (known !== undefined) return known
    const first = list[0] === undefined ? -1 : scopeIndex(list[0].node)
    const found = list.every(({ node }) => scopeIndex(node) === first) ? first : -2
    listScopes.set(list, found)
    return found
  }

  const allOf = (list: ReadonlyArray<Binding>, at: PyNode): ReadonlyArray<Binding> =>
    list.slice(-bindingsMax).filter(({ node }) => !isInside(node, at))

  const findReaching = (at: PyNode): ReadonlyArray<Binding> => {
    const all = bindings(at)
    // Seen from an inner function, or through an object, all of them may have run.
    if (at.kind !== "identifier" || all.length < 2 || listScope(all) !== scopeIndex(at)) return allOf(all, at)
    const reached: Array<Binding> = []
    for (let index = firstFrom(all, at) - 1; index >= 0 && reached.length < bindingsMax; index--) {
      const binding = all[index]
      if (binding === undefined || isInside(binding.node, at)) continue
      reached.push(binding)
      if (isWhole(binding, at)) break
    }
    return reached.length > 0 ? reached.toReversed() : allOf(all, at)
  }

  const known = new Map<number, ReadonlyArray<Binding>>()
  const reaching = (at: PyNode): ReadonlyArray<Binding> => {
    let found = known.get(at.index)
    if (found === undefined) {
      found = findReaching(at)
      known.set(at.index, found)
    }
    return found
  }

  const fullName = (node: PyNode | undefined): string => {
    const name = textOf(tree, node)
    const dot = name.indexOf(".")
    const head = dot === -1 ? name : name.slice(0, dot)
    const imported = imports.get(head)
    return imported === undefined ? name : imported + name.slice(head.length)
  }

  return {
    tree,
    bindings,
    reaching,
    scope: scopeNode,
    functions,
    calls,
    imports,
    moduleImports,
    fullName,
    results: (definition) => results.get(String(definition.index)) ?? [],
    ...makeCalls(tree, functions, calls)
  }
}

const patterns = new Set(["pattern_list", "tuple_pattern", "list_pattern", "expression_list", "tuple", "list"])

/** Bindings of one name that are looked at; more of them are the work of a program. */
const bindingsMax = 64

/** The first binding that does not stand before a place. */
const firstFrom = (list: ReadonlyArray<Binding>, at: PyNode): number => {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((list[middle]?.node.index ?? Infinity) < at.index) low = middle + 1
    else high = middle
  }
  return low
}

/** True if a binding replaces what was before it whenever the place is reached. */
const isWhole = ({ kind, node }: Binding, at: PyNode): boolean => {
  if (kind === "parameter") return true
  if (kind !== "value" && kind !== "each" && kind !== "other") return false
  const block = kind === "each" ? node : blockOf(node)
  return block !== undefined && contains(block, at)
}

const isInside = (binding: PyNode, at: PyNode): boolean =>
  contains(binding, at) && binding.kind !== "for_statement" && binding.kind !== "for_in_clause"
