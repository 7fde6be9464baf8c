/**
 * Calls of the configured functions in Python, trusted by the module they are imported from.
 */
import type { AnalysisOptions, Primitive } from "../Language.ts"
import type { Names } from "./pythonNames.ts"
import { calleeName, field, type PyNode, textOf } from "./pythonTree.ts"

/** A call and the name of the function as it is configured. */
export interface PrimitiveCall {
  readonly call: PyNode
  readonly name: string
}

/** `..lib.audit.append` names the end of the module's full path. */
const sameImport = (imported: string, configured: string): boolean => {
  const path = imported.replace(/^\.+/, "")
  return path === configured || (path !== imported && configured.endsWith(`.${path}`))
}

const configuredName = ({ module, name }: Primitive): string => module === undefined ? name : `${module}.${name}`

/** What the whole file can call a primitive, if it imports it or its module. */
export const importedAs = (names: Names, primitive: Primitive): string | undefined => {
  for (const [local, imported] of names.imports) {
    if (!names.moduleImports.has(local)) continue
    if (sameImport(imported, configuredName(primitive))) return local
    if (imported !== local && primitive.module !== undefined && sameImport(imported, primitive.module)) {
      return `${local}.${primitive.name}`
    }
  }
  return undefined
}

/** Calls of primitives and helpers in a file. */
export const primitiveCalls = (names: Names, options: AnalysisOptions): ReadonlyArray<PrimitiveCall> => {
  const { tree } = names
  const primitives = options.primitives.filter(({ language }) => language === "python")
  if (primitives.length === 0 && options.helpers.length === 0) return []
  const stars = [...names.imports].flatMap(([local, imported]) => local.startsWith("*") ? [imported] : [])
  const found: Array<PrimitiveCall> = []
  for (const calls of names.calls.values()) {
    for (const call of calls) {
      const callee = field(call, "function")
      const full = names.fullName(callee)
      if (full.length > 200) continue
      const primitive = primitives.find((candidate) => {
        if (
          names.imports.has(textOf(tree, callee).replace(/\..*$/s, "")) && sameImport(full, configuredName(candidate))
        ) return true
        return callee?.kind === "identifier" && full === candidate.name && !names.functions.has(full) &&
          stars.some((module) => sameImport(module, candidate.module ?? ""))
      })
      if (primitive !== undefined) {
        found.push({ call, name: primitive.name })
        continue
      }
      const helper = options.helpers.find((name) =>
        textOf(tree, callee) === name || full === name || full.endsWith(`.${name}`) && callee?.kind === "identifier" ||
        (calleeName(tree, call) === name && /^(self|cls)\.\w+$/.test(textOf(tree, callee)))
      )
      if (helper !== undefined) found.push({ call, name: helper })
    }
  }
  return found
}
