/**
 * Python calls that open a file for appending, or for reading and writing (which may then seek to the end).
 */
import { parameterName } from "./pythonCalls.ts"
import type { Names } from "./pythonNames.ts"
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

/**
 * A call that opens a file. `descriptor`: the result is a number, not a file object. `plain`: the built-in `open` or
 * that of a path, with nothing between the program and the file.
 */
export interface Opened {
  readonly call: PyNode
  readonly target: PyNode | undefined
  readonly mode: "append" | "update"
  readonly growth: "append" | "seek"
  readonly label: string
  readonly descriptor: boolean
  readonly plain: boolean
  readonly jsonLines: boolean
}

/** Modules whose `open` makes something else than a file of bytes or text. */
const otherFiles =
  /(^|\.)(tarfile|zipfile|shelve|dbm(\.\w+)?|h5py|zarr|wave|sunau|aifc|image|webbrowser|rasterio|netcdf4|lmdb|xarray|fiona|pysam|tables|pywt|urllib\.request|subprocess)$/i

const modePattern = /^[rwxabtU+]{1,4}$/

const isAppend = (mode: string): boolean => modePattern.test(mode) && mode.includes("a")

const isUpdate = (mode: string): boolean => modePattern.test(mode) && /^[rbt]*r[bt]*\+[bt]*$/.test(mode)

/** String values that an expression can have, as far as names, conditions, defaults and calls in the file tell. */
export const stringsOf = (names: Names, node: PyNode | undefined, depth = 0): ReadonlyArray<string> => {
  if (node === undefined || depth > 6) return []
  const next = (inner: PyNode | undefined): ReadonlyArray<string> => stringsOf(names, inner, depth + 1)
  const value = stringValue(names.tree, node)
  if (value !== undefined) return [value]
  switch (node.kind) {
    case "parenthesized_expression":
      return next(node.children[0])
    case "conditional_expression":
      return [...next(node.children[0]), ...next(node.children[2])]
    case "boolean_operator":
      return [...next(field(node, "left")), ...next(field(node, "right"))]
    case "identifier":
    case "attribute":
      return names.reaching(node).slice(-4).flatMap((binding) => {
        if (binding.kind === "value") return next(binding.value)
        const definition = binding.kind === "parameter" ? names.scope(binding.node) : undefined
        if (definition?.kind !== "function_definition") return []
        const name = parameterName(names.tree, binding.node)
        const given = depth > 3 ?
          [] :
          names.callers(definition).slice(0, 20).flatMap((call) =>
            stringsOf(names, names.argument(call, definition, name), depth + 3)
          )
        return [...next(binding.value), ...given]
      })
    default:
      return []
  }
}

/** The ends of the paths that an expression can name: the last literal of a join, a template or a division. */
export const pathEnds = (names: Names, node: PyNode | undefined, depth = 0): ReadonlyArray<string> => {
  if (node === undefined || depth > 8) return []
  const { tree } = names
  const next = (inner: PyNode | undefined): ReadonlyArray<string> => pathEnds(names, inner, depth + 1)
  switch (node.kind) {
    case "string": {
      const last = node.children.findLast(({ kind }) => kind === "string_content" || kind === "interpolation")
      if (last?.kind === "string_content") return [contentOf(tree, node, last)]
      return next(last === undefined ? undefined : field(last, "expression") ?? last.children[0])
    }
    case "concatenated_string":
      return next(node.children.at(-1))
    case "parenthesized_expression":
    case "await":
      return next(node.children[0])
    case "binary_operator":
      return next(field(node, "right"))
    case "conditional_expression":
      return [...next(node.children[0]), ...next(node.children[2])]
    case "boolean_operator":
      return [...next(field(node, "left")), ...next(field(node, "right"))]
    case "call": {
      const name = calleeName(tree, node)
      const args = positional(node)
      const object = receiver(node)
      if (
        /^(join|joinpath|Path|PurePath|str|fspath|abspath|realpath|expanduser|with_suffix|with_name|getenv|get|expandvars|File|ensure_parent)$/
          .test(name)
      ) {
        return args.length > 0 ? next(args.at(-1)) : next(object)
      }
      if (/^(resolve|absolute|as_posix|format|expanduser)$/.test(name)) return next(object)
      return names.called(node).flatMap((definition) => names.results(definition)).slice(0, 4).flatMap(next)
    }
    case "identifier":
    case "attribute":
      return names.reaching(node).slice(-4).flatMap((binding) => {
        if (binding.kind === "value") return next(binding.value)
        const definition = binding.kind === "parameter" ? names.scope(binding.node) : undefined
        if (definition?.kind !== "function_definition") return []
        const name = parameterName(tree, binding.node)
        const given = depth > 4 ?
          [] :
          names.callers(definition).slice(0, 12).flatMap((call) =>
            pathEnds(names, names.argument(call, definition, name), depth + 4)
          )
        return [...next(binding.value), ...given]
      })
    default:
      return []
  }
}

/** True if an expression surely names a file of records. */
export const isJsonLinesPath = (names: Names, node: PyNode | undefined): boolean => {
  const ends = pathEnds(names, node)
  if (ends.length > 0) return ends.every((end) => /\.(jsonl|ndjson|jsonlines|jl)(\.(gz|bz2|xz|zst))?$/i.test(end))
  return /jsonl|ndjson/i.test(textOf(names.tree, node))
}

/** The call of os.open that made a descriptor. */
const descriptorOf = (names: Names, node: PyNode | undefined): PyNode | undefined => {
  if (node === undefined) return undefined
  if (node.kind === "call") return names.fullName(field(node, "function")) === "os.open" ? node : undefined
  const values = names.reaching(node).map(({ value }) => value)
  const call = values.length === 1 ? values[0] : undefined
  return call?.kind === "call" && names.fullName(field(call, "function")) === "os.open" ? call : undefined
}

/** The source of an expression and of the names in it, one step back. */
const flagsText = (names: Names, node: PyNode | undefined): string => {
  if (node === undefined) return ""
  const source = textOf(names.tree, node)
  if (node.kind !== "identifier" && node.kind !== "attribute") return source
  return names.reaching(node).map(({ value }) => textOf(names.tree, value)).join(" ")
}

/** What a call opens, if it opens something for appending or updating. */
export const openedBy = (names: Names, call: PyNode): Opened | undefined => {
  const { tree } = names
  const args = positional(call)
  const callee = names.fullName(field(call, "function"))
  const object = receiver(call)
  const module = object === undefined ? callee.replace(/\.?[^.]*$/, "") : names.fullName(object)
  if (callee.length > 300 || otherFiles.test(module)) return undefined
  // A stream in a file that is opened elsewhere.
  if (keyword(tree, call, "fileobj") !== undefined) return undefined
  if (callee === "os.open" || /(^|\.)os\.open$/.test(callee)) {
    const flags = flagsText(names, args[1] ?? keyword(tree, call, "flags"))
    if (!/\bO_APPEND\b/.test(flags)) return undefined
    const target = args[0] ?? keyword(tree, call, "path")
    return { ...fixed, call, target, label: "os.open(…, O_APPEND)", descriptor: true, plain: false }
  }
  const isFunction = object === undefined ||
    /(^|\.)(io|codecs|gzip|bz2|lzma|aiofiles|os|jsonlines|anyio|builtins|smart_open|fsspec)$/.test(module)
  const named = keyword(tree, call, "mode")
  const modes = (node: PyNode | undefined): ReadonlyArray<string> =>
    stringsOf(names, node).filter((mode) => modePattern.test(mode))
  const second = modes(named ?? args[1])
  const first = isFunction || named !== undefined || calleeName(tree, call) !== "open" ? [] : modes(args[0])
  const ownPath = object !== undefined && !isFunction &&
    (first.length > 0 || (named !== undefined && args.length === 0))
  const found = ownPath && first.length > 0 ? first : second
  const mode = found.some(isAppend) ? "append" : found.some(isUpdate) ? "update" : undefined
  if (mode === undefined) return undefined
  const target = ownPath
    ? object
    : args[0] ?? keyword(tree, call, "file") ?? keyword(tree, call, "filename") ?? keyword(tree, call, "path")
  const shown = found.find(mode === "append" ? isAppend : isUpdate) ?? "a"
  const prefix = ownPath ? "Path.open(" : `${textOf(tree, field(call, "function")).slice(0, 40)}(…, `
  const opened: Opened = {
    ...fixed,
    call,
    target,
    mode,
    label: `${prefix}"${shown}")`,
    plain: ownPath || callee === "open" || callee === "io.open" || callee === "builtins.open",
    jsonLines: /(^|\.)jsonlines$/.test(module) || callee.startsWith("jsonlines.")
  }
  if (!callee.endsWith("fdopen") && descriptorOf(names, args[0]) === undefined) return opened
  // Python's "a" on a descriptor seeks to the end once; only the flag of os.open appends.
  const descriptor = descriptorOf(names, args[0])
  if (descriptor === undefined) return { ...opened, plain: false }
  if (/\bO_APPEND\b/.test(flagsText(names, positional(descriptor)[1]))) return undefined
  return { ...opened, plain: false, growth: "seek", target: positional(descriptor)[0] }
}

const fixed = { mode: "append", growth: "append", descriptor: false, plain: true, jsonLines: false } as const
