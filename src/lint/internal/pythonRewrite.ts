/**
 * Python that adds a record by reading the whole file and writing it again. Only the plain form is found: the old text
 * (or its lines) and an encoded record go back to the path they were read from. Programs that change or drop records
 * have to rewrite, and are none of this.
 */
import type { Names } from "./pythonNames.ts"
import type { Shapes } from "./pythonPayload.ts"
import { around, calleeName, field, positional, type PyNode, receiver, stringValue, textOf } from "./pythonTree.ts"

/** A call that writes the old text and a new record. */
export interface Rewrite {
  readonly call: PyNode
  readonly target: PyNode | undefined
  readonly label: string
}

/** Finds the places of a file that add a record by rewriting. */
export const findRewrites = (names: Names, shapes: Shapes): ReadonlyArray<Rewrite> => {
  const { tree } = names

  const isJson = (node: PyNode | undefined): boolean => /^(line|multi)$/.test(shapes.of(node).kind)

  /** Paths that an expression was read from: `p` in `p.read_text()`, also with `open(p)` around a handle. */
  const readFrom = (node: PyNode | undefined, depth = 0): string | undefined => {
    if (node === undefined || depth > 5) return undefined
    switch (node.kind) {
      case "call": {
        const name = calleeName(tree, node)
        const object = receiver(node)
        if (name === "read_text" || name === "read_bytes") return textOf(tree, object)
        if (name === "read" || name === "readlines") return openedPath(object)
        if (/^(splitlines|rstrip|strip|split|decode)$/.test(name)) return readFrom(object, depth + 1)
        return name === "list" ? openedPath(positional(node)[0]) : undefined
      }
      case "conditional_expression":
        return readFrom(node.children[0], depth + 1) ?? readFrom(node.children[2], depth + 1)
      case "parenthesized_expression":
        return readFrom(node.children[0], depth + 1)
      case "identifier":
        for (const binding of names.reaching(node)) {
          const found = binding.kind === "value" ? readFrom(binding.value, depth + 1) : undefined
          if (found !== undefined) return found
        }
        return undefined
      default:
        return undefined
    }
  }

  const openedPath = (handle: PyNode | undefined): string | undefined => {
    if (handle === undefined) return undefined
    const call = handle.kind === "call"
      ? handle
      : names.reaching(handle).findLast(({ value }) => value?.kind === "call")?.value
    if (call === undefined || calleeName(tree, call) !== "open") return undefined
    const object = receiver(call)
    const path = object !== undefined && !/^(io|codecs|gzip|bz2|lzma)$/.test(textOf(tree, object))
      ? object
      : positional(call)[0]
    return textOf(tree, path)
  }

  /** Old lines with a record added by `append`, and nothing taken out. */
  const grownList = (list: PyNode | undefined): string | undefined => {
    if (list?.kind !== "identifier") return undefined
    const bindings = names.reaching(list)
    const all = names.bindings(list).filter(({ node }) => names.scope(node) === names.scope(list))
    const values = all.filter(({ kind }) => kind === "value")
    if (values.length !== 1 || all.some(({ kind }) => kind === "each" || kind === "other")) return undefined
    const path = readFrom(values[0]?.value)
    const added = [...bindings, ...all].some((binding) => binding.kind === "element" && isJson(binding.value))
    return path !== undefined && added ? path : undefined
  }

  /** The path whose old text is in what is written, if a record is added to it. */
  const grownFrom = (payload: PyNode | undefined): string | undefined => {
    if (payload === undefined) return undefined
    const parts: Array<PyNode> = []
    const split = (node: PyNode): void => {
      const left = field(node, "left")
      const right = field(node, "right")
      if (node.kind === "parenthesized_expression" && node.children[0] !== undefined) split(node.children[0])
      else if (node.kind === "binary_operator" && left !== undefined && right !== undefined && parts.length < 20) {
        split(left)
        split(right)
      } else if (node.kind === "string") {
        for (const child of node.children) {
          const expression = child.kind === "interpolation" ? field(child, "expression") : undefined
          if (expression !== undefined) parts.push(expression)
        }
      } else parts.push(node)
    }
    split(payload)
    const first = parts[0]
    if (first === undefined) return undefined
    if (first.kind === "call" && calleeName(tree, first) === "join") return grownList(positional(first)[0])
    const path = readFrom(first)
    if (path !== undefined && parts.slice(1).some(isJson)) return path
    // text += json.dumps(record) + "\n"
    const extended = first.kind === "identifier" && parts.length === 1 &&
      names.reaching(first).some((binding) => binding.kind === "extend" && isJson(binding.value))
    return extended ? path : undefined
  }

  const found: Array<Rewrite> = []
  const add = (call: PyNode, target: PyNode | undefined, from: string | undefined, label: string): void => {
    if (target !== undefined && from !== undefined && from === textOf(tree, target)) found.push({ call, target, label })
  }
  for (const name of ["write_text", "write_bytes"]) {
    for (const call of names.calls.get(name) ?? []) {
      add(call, receiver(call), grownFrom(positional(call)[0]), `Path.${name}`)
    }
  }
  for (const name of ["write", "writelines"]) {
    for (const call of names.calls.get(name) ?? []) {
      const handle = receiver(call)
      const open = handle?.kind === "identifier" ? names.reaching(handle)[0]?.value : handle
      if (open?.kind !== "call" || calleeName(tree, open) !== "open" || around(call, "lambda") !== undefined) continue
      const object = receiver(open)
      const args = positional(open)
      const mode = stringValue(tree, object === undefined ? args[1] : args[0]) ?? ""
      if (!/^w[bt]?$/.test(mode)) continue
      const payload = positional(call)[0]
      const from = name === "write" ? grownFrom(payload) : grownList(payload)
      add(call, object ?? args[0], from, `open(…, "${mode}")`)
    }
  }
  return found
}
