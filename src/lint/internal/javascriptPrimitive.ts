/**
 * Calls of functions that append a record whole, trusted by the module they are imported from.
 */
import type { AnalysisOptions, Primitive } from "../Language.ts"
import type { Binding, Scope } from "./javascriptScope.ts"
import {
  argumentsOf,
  bare,
  calleeName,
  childrenOf,
  field,
  lastName,
  type Node,
  nodesOf,
  receiverOf,
  textOf
} from "./javascriptTree.ts"

/** A call that needs no finding. */
export interface MigratedCall {
  readonly node: Node
  readonly name: string
}

const ownModule = /^effect-auditlog(?:\/|$)/
const ownAppends = /^(?:append|appendAll)$/

/** A module name without extension, `./` and `../`. */
const plainModule = (module: string): string =>
  module.replace(/^node:/, "").replace(/^(?:\.{1,2}\/)+/, "").replace(/\.[cm]?[jt]sx?$/, "").replace(/\/index$/, "")

export const isModule = (imported: string, configured: string): boolean => {
  const [from, to] = [plainModule(imported), plainModule(configured)]
  // The configuration names a path from the root of the project, an import one from its own file.
  return from === to || imported.startsWith(".") && to.endsWith(`/${from}`)
}

export const findMigrated = (scope: Scope, options: AnalysisOptions): ReadonlyArray<MigratedCall> => {
  const { source } = scope
  const primitives = options.primitives.filter((primitive) => primitive.language === "javascript")

  const importOf = (name: Node): Binding | undefined => {
    const binding = scope.resolve(name)
    if (binding?.kind === "import") return binding
    const module = binding?.kind === "variable" && binding.init !== undefined ? scope.moduleOf(binding.init) : undefined
    return module === undefined || binding === undefined
      ? undefined
      : { ...binding, module, property: binding.property ?? "*" }
  }

  /** The names on the way from an imported one to what is called: `["Audit", "append"]`, and its module. */
  const importedPath = (
    expression: Node,
    depth = 0
  ): { readonly module: string; readonly path: ReadonlyArray<string> } | undefined => {
    const node = bare(expression)
    if (depth > 6) return undefined
    if (node.type === "identifier") {
      const binding = importOf(node)
      if (binding?.module !== undefined) {
        return { module: binding.module, path: binding.property === "*" ? [] : [binding.property ?? binding.name] }
      }
      const variable = scope.resolve(node)
      // `const audit = yield* Audit`, `const { append } = audit`
      if (variable?.kind === "variable" && variable.init !== undefined) {
        const from = importedPath(variable.init, depth + 1)
        return from === undefined || variable.property === undefined
          ? from
          : { module: from.module, path: [...from.path, variable.property] }
      }
      if (variable?.kind === "class") {
        return ownService(variable.node)
          ? { module: "effect-auditlog", path: [] }
          : undefined
      }
      return undefined
    }
    if (node.type === "member_expression") {
      const object = field(node, "object")
      const from = object === undefined ? undefined : importedPath(object, depth + 1)
      return from === undefined ? undefined : { module: from.module, path: [...from.path, lastName(source, node)] }
    }
    return undefined
  }

  /** `class Audit extends AuditLog.Service<Audit>()("…", …) {}` with `AuditLog` of this package. */
  const ownService = (node: Node): boolean => {
    const heritage = childrenOf(node).find((child) => child.type === "class_heritage")
    return heritage !== undefined &&
      nodesOf(source, "identifier").some((name) =>
        name.start >= heritage.start && name.end <= heritage.end && ownModule.test(importOf(name)?.module ?? "")
      )
  }

  const fits = (primitive: Primitive, module: string, path: ReadonlyArray<string>): boolean =>
    primitive.module !== undefined && isModule(module, primitive.module) &&
    (path.join(".") === primitive.name || path[0] === "default" && path.slice(1).join(".") === primitive.name)

  const migratedName = (call: Node): string | undefined => {
    const name = calleeName(source, call)
    const callee = field(call, "function")
    if (callee === undefined || name === "") return undefined
    if (options.helpers.includes(name) || options.helpers.includes(textOf(source, callee))) return name
    const from = importedPath(callee)
    if (from !== undefined) {
      const primitive = primitives.find((one) => fits(one, from.module, from.path))
      if (primitive !== undefined) return primitive.name
      if (ownModule.test(from.module) && ownAppends.test(name)) return `effect-auditlog ${name}`
    }
    // `Audit.use((audit) => audit.append(…))`: the parameter of a callback that the service calls.
    const receiver = receiverOf(call)
    const holder = receiver?.type === "identifier" ? scope.resolve(receiver) : undefined
    const user = holder?.kind === "parameter" && holder.scope.parent?.type === "arguments"
      ? holder.scope.parent.parent
      : undefined
    const service = user === undefined ? undefined : receiverOf(user)
    const given = service === undefined ? undefined : importedPath(service)
    return given !== undefined && ownModule.test(given.module) && ownAppends.test(name)
      ? `effect-auditlog ${name}`
      : undefined
  }

  if (primitives.length + options.helpers.length === 0 && !source.text.includes("effect-auditlog")) return []
  return nodesOf(source, "call_expression").flatMap((node) => {
    const name = migratedName(node)
    return name === undefined || argumentsOf(node).length === 0 ? [] : [{ node, name }]
  })
}
