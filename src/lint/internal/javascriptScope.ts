/**
 * What a name stands for: where it is declared, what is assigned to it, and where it is used.
 */
import {
  ancestor,
  argumentsOf,
  bare,
  calleeName,
  childrenOf,
  field,
  functionTypes,
  isFunction,
  lastName,
  type Node,
  nodesOf,
  type Source,
  stringValue,
  textOf
} from "./javascriptTree.ts"

/**
 * A declared name.
 *
 * - `import`: `module`, and the exported name (`*` for the whole module).
 * - `variable`: `init`, and the property of it that a pattern takes (`{ a: b } = init` has the property `a`).
 * - `parameter`: its function and position; `property` where a pattern takes it from an options object.
 * - `function`: the function itself.
 */
export interface Binding {
  readonly kind: "import" | "variable" | "parameter" | "function" | "class"
  readonly name: string
  readonly node: Node
  readonly scope: Node
  readonly module?: string | undefined
  readonly init?: Node | undefined
  readonly property?: string | undefined
  readonly index?: number | undefined
}

export interface Scope {
  readonly source: Source
  readonly resolve: (identifier: Node) => Binding | undefined
  /** Uses of a name, without its declaration. */
  readonly usesOf: (binding: Binding) => ReadonlyArray<Node>
  /** The right-hand sides assigned to a variable after its declaration, with their operators (`=`, `+=`). */
  readonly assignmentsOf: (binding: Binding) => ReadonlyArray<Assignment>
  /** Member expressions with a property of this name: `this.name`, `a.name`. */
  readonly membersNamed: (name: string) => ReadonlyArray<Node>
  /** What is assigned to a property of this name anywhere in the file, and the values of fields of this name. */
  readonly propertyValues: (name: string) => ReadonlyArray<Assignment>
  /** The function that an expression names: a declared one, a variable's, a method's. */
  readonly functionOf: (callee: Node) => Node | undefined
  /** Calls of a function of this file. */
  readonly callsOf: (declared: Node) => ReadonlyArray<Node>
  /** The module that an expression is (a part of), as in `fs`, `fs.promises`, `require("fs")`, `await import("fs")`. */
  readonly moduleOf: (expression: Node) => string | undefined
}

interface Assignment {
  readonly operator: string
  readonly value: Node
  readonly target: Node
}

/** Names that patterns are looked through for at most; deeper ones are of no use here. */
const patternDepthMax = 6

export const makeScope = (source: Source): Scope => {
  const declared = new Map<Node, Map<string, Binding>>()
  const declare = (binding: Binding): void => {
    let names = declared.get(binding.scope)
    if (names === undefined) declared.set(binding.scope, names = new Map())
    if (!names.has(binding.name)) names.set(binding.name, binding)
  }
  const scopeAround = (node: Node): Node => node.scope ?? source.root

  const declarePattern = (
    pattern: Node,
    make: (name: Node, property: string | undefined) => void,
    taken?: string,
    depth = 0
  ): void => {
    if (depth > patternDepthMax) return
    const inner = (node: Node | undefined, name = taken): void => {
      if (node !== undefined) declarePattern(node, make, name, depth + 1)
    }
    switch (pattern.type) {
      case "identifier":
      case "shorthand_property_identifier_pattern":
        return make(pattern, pattern.type === "identifier" ? taken : textOf(source, pattern))
      case "required_parameter":
      case "optional_parameter":
        return inner(field(pattern, "pattern"))
      case "assignment_pattern":
      case "object_assignment_pattern":
        return inner(field(pattern, "left"))
      case "pair_pattern": {
        const key = field(pattern, "key")
        return inner(field(pattern, "value"), key === undefined ? taken : textOf(source, key))
      }
      case "array_pattern":
      case "object_pattern":
      case "rest_pattern":
        return childrenOf(pattern).forEach((child) => inner(child))
      default:
        return undefined
    }
  }

  for (const node of nodesOf(source, "import_statement")) {
    const from = field(node, "source") ?? field(childrenOf(node)[0], "source")
    const clause = childrenOf(node)[0]
    if (from === undefined || clause === undefined) continue
    const module = stringValue(source, from)
    const add = (name: Node | undefined, property: string): void => {
      if (name === undefined) return
      declare({ kind: "import", name: textOf(source, name), node: name, scope: source.root, module, property })
    }
    for (const child of clause.type === "import_require_clause" ? [clause] : childrenOf(clause)) {
      if (child.type === "identifier") add(child, "*")
      else if (child.type === "namespace_import" || child.type === "import_require_clause") {
        add(childrenOf(child)[0], "*")
      }
      for (const specifier of child.type === "named_imports" ? childrenOf(child) : []) {
        const name = field(specifier, "name")
        if (name !== undefined) add(field(specifier, "alias") ?? name, textOf(source, name))
      }
    }
  }
  for (const node of nodesOf(source, "variable_declarator")) {
    const name = field(node, "name")
    if (name === undefined) continue
    const init = field(node, "value")
    const scope = node.parent?.type === "variable_declaration"
      ? ancestor(node, isFunction) ?? source.root
      : scopeAround(node)
    declarePattern(
      name,
      (id, property) => declare({ kind: "variable", name: textOf(source, id), node: id, scope, init, property })
    )
  }
  for (const node of nodesOf(source, "for_in_statement")) {
    const left = field(node, "left")
    if (left === undefined) continue
    declarePattern(
      left,
      (id, property) => declare({ kind: "variable", name: textOf(source, id), node: id, scope: node, property })
    )
  }
  for (const node of nodesOf(source, "function_declaration", "generator_function_declaration", "class_declaration")) {
    const name = field(node, "name")
    if (name === undefined) continue
    const kind = node.type === "class_declaration" ? "class" : "function"
    declare({ kind, name: textOf(source, name), node, scope: scopeAround(node) })
  }
  for (const node of nodesOf(source, ...functionTypes)) {
    const single = field(node, "parameter")
    const parameters = single === undefined ? childrenOf(field(node, "parameters")) : [single]
    parameters.filter((parameter) => textOf(source, parameter).slice(0, 5) !== "this:").forEach((parameter, index) =>
      declarePattern(parameter, (id, property) =>
        declare({
          kind: "parameter",
          name: textOf(source, id),
          node: id,
          scope: node,
          index,
          property,
          init: field(parameter, "value") ?? field(parameter, "right")
        }))
    )
  }

  const resolve = (identifier: Node): Binding | undefined => {
    const name = textOf(source, identifier)
    for (let at = identifier.scope; at !== undefined; at = at.scope) {
      const found = declared.get(at)?.get(name)
      if (found !== undefined) return found
    }
    return undefined
  }

  const group = (nodes: ReadonlyArray<Node>, key: (node: Node) => string): Map<string, Array<Node>> => {
    const groups = new Map<string, Array<Node>>()
    for (const node of nodes) {
      const name = key(node)
      const same = groups.get(name)
      if (same === undefined) groups.set(name, [node])
      else same.push(node)
    }
    return groups
  }
  const lazy = <A>(make: () => A): () => A => {
    let made: A | undefined
    return () => made ??= make()
  }
  const identifiers = lazy(() =>
    group(nodesOf(source, "identifier", "shorthand_property_identifier"), (node) => textOf(source, node))
  )
  const members = lazy(() => group(nodesOf(source, "member_expression"), (node) => lastName(source, node)))
  const assignments = lazy(() =>
    group(
      nodesOf(source, "assignment_expression", "augmented_assignment_expression"),
      (node) => lastName(source, field(node, "left") ?? node)
    )
  )
  const methods = lazy(() =>
    group(
      nodesOf(source, "method_definition", "public_field_definition", "field_definition", "pair"),
      (node) => {
        const name = field(node, "name") ?? field(node, "property") ?? field(node, "key")
        return name === undefined ? "" : textOf(source, name)
      }
    )
  )

  const assignmentOf = (node: Node): Assignment | undefined => {
    const target = field(node, "left")
    const value = field(node, "right")
    if (target === undefined || value === undefined) return undefined
    const operator = node.type === "assignment_expression" ? "=" : textOf(source, field(node, "operator") ?? node)
    const between = source.text.slice(target.end, value.start).trim()
    return { operator: node.type === "assignment_expression" ? operator : between, value, target }
  }

  const usesOf = (binding: Binding): ReadonlyArray<Node> =>
    (identifiers().get(binding.name) ?? []).filter((node) => node !== binding.node && resolve(node) === binding)

  const assignmentsOf = (binding: Binding): ReadonlyArray<Assignment> =>
    (assignments().get(binding.name) ?? []).flatMap((node) => {
      const assignment = assignmentOf(node)
      return assignment?.target.type === "identifier" && resolve(assignment.target) === binding ? [assignment] : []
    })

  const propertyValues = (name: string): ReadonlyArray<Assignment> => [
    ...(methods().get(name) ?? []).flatMap((node) => {
      const value = field(node, "value")
      return value === undefined ? [] : [{ operator: "=", value, target: node }]
    }),
    ...(assignments().get(name) ?? []).flatMap((node) => {
      const assignment = assignmentOf(node)
      return assignment?.target.type === "member_expression" ? [assignment] : []
    })
  ]

  const functionOf = (expression: Node): Node | undefined => {
    const callee = bare(expression)
    if (isFunction(callee)) return callee
    if (callee.type === "identifier") {
      const binding = resolve(callee)
      if (binding?.kind === "function") return binding.node
      return binding?.kind === "variable" && binding.property === undefined ? functionIn(binding.init) : undefined
    }
    if (callee.type !== "member_expression") return undefined
    const object = field(callee, "object")
    // `Log.format = function (entry) {…}`
    const assigned = (assignments().get(lastName(source, callee)) ?? [])
      .flatMap((node) => assignmentOf(node) ?? [])
      .find(({ target }) => target.type === "member_expression" && textOf(source, target) === textOf(source, callee))
    if (assigned !== undefined) return functionIn(assigned.value)
    // `this.write` is a method of this file; `other.write` only where the object is one of this file, too.
    if (object === undefined || (object.type !== "this" && !isLocalObject(object))) return undefined
    for (const node of methods().get(lastName(source, callee)) ?? []) {
      const found = node.type === "method_definition" ? node : functionIn(field(node, "value"))
      if (found !== undefined) return found
    }
    return undefined
  }

  /** A function expression, also as the argument of a wrapper: `Effect.fn("name")(function*() {…})`, `once(() => …)`. */
  const functionIn = (value: Node | undefined): Node | undefined => {
    if (value === undefined) return undefined
    const node = bare(value)
    if (isFunction(node)) return node
    return node.type === "call_expression" ? argumentsOf(node).map(bare).find(isFunction) : undefined
  }

  const isLocalObject = (object: Node): boolean => {
    const node = bare(object)
    if (node.type !== "identifier") return false
    const binding = resolve(node)
    if (binding?.kind === "class") return true
    if (binding?.kind !== "variable" || binding.init === undefined || binding.property !== undefined) return false
    const init = bare(binding.init)
    if (init.type === "object") return true
    const constructor = init.type === "new_expression" ? field(init, "constructor") : undefined
    return constructor?.type === "identifier" && resolve(constructor)?.kind === "class"
  }

  const nameOfFunction = (node: Node): string => {
    const own = field(node, "name")
    if (own !== undefined) return textOf(source, own)
    // Through a wrapper such as `Effect.fn("name")(function*() {…})`.
    const holder = ancestor(
      node,
      (at) => !["arguments", "call_expression", "parenthesized_expression"].includes(at.type)
    )
    const name = field(holder, "name") ?? field(holder, "key") ?? field(holder, "property") ?? field(holder, "left")
    return name === undefined ? "" : name.type === "member_expression" ? lastName(source, name) : textOf(source, name)
  }

  const callsByName = lazy(() => group(nodesOf(source, "call_expression"), (node) => calleeName(source, node)))

  const callsOf = (declared: Node): ReadonlyArray<Node> => {
    const name = nameOfFunction(declared)
    if (name === "") return []
    return (callsByName().get(name) ?? []).filter((call) => {
      const callee = field(call, "function")
      return callee !== undefined && functionOf(callee) === declared
    })
  }

  const moduleOf = (expression: Node, depth = 0): string | undefined => {
    const node = bare(expression)
    if (depth > 4) return undefined
    if (node.type === "identifier") {
      const binding = resolve(node)
      if (binding?.kind === "import") return binding.module
      return binding?.kind === "variable" && binding.init !== undefined ? moduleOf(binding.init, depth + 1) : undefined
    }
    if (node.type === "member_expression") {
      const object = field(node, "object")
      return object === undefined ? undefined : moduleOf(object, depth + 1)
    }
    if (node.type === "call_expression") {
      const callee = field(node, "function")
      const [specifier] = argumentsOf(node)
      if (callee === undefined || specifier?.type !== "string") return undefined
      return callee.type === "import" || textOf(source, callee) === "require"
        ? stringValue(source, specifier)
        : undefined
    }
    return undefined
  }

  return {
    source,
    resolve,
    usesOf,
    assignmentsOf,
    membersNamed: (name) => members().get(name) ?? [],
    propertyValues,
    functionOf,
    callsOf,
    moduleOf
  }
}
