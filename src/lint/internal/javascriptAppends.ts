/**
 * Which calls append to a file, or open one for appending.
 *
 * Names and arguments decide, not where `fs` comes from: file systems are injected, promisified, wrapped and mocked, and
 * what counts is a path, data, and a flag that says "append".
 */
import type { Scope } from "./javascriptScope.ts"
import {
  ancestor,
  argumentsOf,
  bare,
  calleeName,
  childrenOf,
  field,
  isFunction,
  lastName,
  type Node,
  nodesOf,
  property,
  receiverOf,
  stringValue,
  textOf
} from "./javascriptTree.ts"

/**
 * - `append`: a call that opens, writes and closes.
 * - `helper`: a call of a function of another module whose name says that it appends; only its data can prove it.
 * - `write`: a call that replaces the file; grows it if the data holds what the file held before.
 * - `open`: a call that opens for appending.
 * - `sink`: data comes from a stream or a logger.
 */
export interface Append {
  readonly kind: "append" | "helper" | "write" | "open" | "sink"
  readonly node: Node
  readonly call: string
  readonly target: Node | undefined
  readonly data: Node | undefined
  /** The call encodes the data itself, as one line of JSON. */
  readonly encodes?: boolean
  readonly synced: boolean
}

const appendFlag = /^(?:a|as|sa|ax|xa)\+?$/
const writes = /^(?:writeFile|writeFileSync|writeFileString|writeTextFile|writeTextFileSync|outputFile|outputFileSync)$/
const opens = /^(?:open|openSync|openFile|openAsBlob)$/
const streams = /^(?:createWriteStream|WriteStream)$/
/** Objects whose `open` and `append` have nothing to do with files. */
const notFiles =
  /^(?:window|globalThis|document|indexedDB|caches|db|xhr|request|headers?|form\w*|params|search\w*|url\w*|archive\w*|zip\w*|tar\w*|body|el|element|\$\w*)$/i

export const findAppends = (scope: Scope): ReadonlyArray<Append> => {
  const { source } = scope

  /** The value of a flag, where the code shows one that appends. */
  const isAppendFlag = (expression: Node | undefined, depth = 0): boolean => {
    if (expression === undefined || depth > 3) return false
    const node = bare(expression)
    if (node.type === "string") return appendFlag.test(stringValue(source, node))
    if (node.type === "ternary_expression") {
      return isAppendFlag(field(node, "consequence"), depth + 1) || isAppendFlag(field(node, "alternative"), depth + 1)
    }
    if (node.type === "binary_expression" || node.type === "member_expression") {
      return /\bO_APPEND\b/.test(textOf(source, node)) ||
        node.type === "binary_expression" && childrenOf(node).some((child) => isAppendFlag(child, depth + 1))
    }
    if (node.type !== "identifier") return false
    if (textOf(source, node) === "O_APPEND") return true
    const binding = scope.resolve(node)
    return binding !== undefined && binding.property === undefined && binding.kind !== "import" &&
      isAppendFlag(binding.init, depth + 1)
  }

  const objectOf = (expression: Node | undefined, depth = 0): Node | undefined => {
    if (expression === undefined || depth > 2) return undefined
    const node = bare(expression)
    if (node.type === "object") return node
    if (node.type !== "identifier") return undefined
    const binding = scope.resolve(node)
    return binding?.kind === "variable" && binding.property === undefined
      ? objectOf(binding.init, depth + 1)
      : undefined
  }

  const optionOf = (options: Node | undefined, name: string): Node | undefined =>
    property(source, objectOf(options), name)

  const hasAppendOption = (options: Node | undefined): boolean => {
    const append = optionOf(options, "append")
    return isAppendFlag(optionOf(options, "flag")) || isAppendFlag(optionOf(options, "flags")) ||
      append !== undefined && textOf(source, append) !== "false" && textOf(source, append) !== "undefined"
  }

  /** What a callee is called where it is declared: `af` of `import { appendFile as af }` is `appendFile`. */
  const nameOf = (call: Node): string => {
    const name = calleeName(source, call)
    const callee = field(call, "function") ?? field(call, "constructor")
    const node = callee === undefined ? undefined : bare(callee)
    if (node?.type !== "identifier") return name
    const binding = scope.resolve(node)
    if (binding?.kind === "import") return binding.property === "*" ? name : binding.property ?? name
    if (binding?.kind !== "variable" && binding?.kind !== "parameter") return name
    if (binding.property !== undefined) return binding.property
    const init = binding.init === undefined ? undefined : bare(binding.init)
    if (init?.type === "member_expression") return lastName(source, init)
    // `const append = promisify(fs.appendFile)`, `fs.appendFile.bind(fs)`
    if (init?.type !== "call_expression" || !/^(?:promisify|pify|fromCallback|bind)$/.test(calleeName(source, init))) {
      return name
    }
    const wrapped = calleeName(source, init) === "bind" ? receiverOf(init) : argumentsOf(init)[0]
    return wrapped === undefined ? name : lastName(source, wrapped)
  }

  const asWritten = (call: Node): string => {
    const callee = field(call, "function") ?? field(call, "constructor")
    const text = callee === undefined ? "" : textOf(source, callee).replaceAll(/\s+/g, "")
    return text.length > 60 ? calleeName(source, call) : text
  }

  const isFileSystem = (call: Node): boolean => {
    const receiver = receiverOf(call)
    if (receiver === undefined) return true
    const module = scope.moduleOf(receiver)
    return module !== undefined || /fs|file|deno|bun|disk|storage|io|deps|node|promises/i.test(textOf(source, receiver))
  }

  const synced = (options: Node | undefined): boolean => {
    const flush = optionOf(options, "flush")
    return flush !== undefined && textOf(source, flush) === "true"
  }

  const appendOf = (call: Node): Append | undefined => {
    const name = nameOf(call)
    const given = argumentsOf(call)
    const [first, second, third] = given
    const receiver = receiverOf(call)
    const owner = receiver === undefined ? "" : lastName(source, receiver)
    const make = (
      kind: Append["kind"],
      target: Node | undefined,
      data: Node | undefined,
      detail = "",
      options?: Node
    ): Append => ({
      kind,
      node: call,
      call: asWritten(call) + detail,
      target,
      data,
      synced: synced(options)
    })
    if (first === undefined) {
      return name === "writer" && receiver?.type === "call_expression" &&
          textOf(source, receiver).startsWith("Bun.file(")
        ? make("open", argumentsOf(receiver)[0], undefined)
        : undefined
    }
    if (name === "appendFile" || name === "appendFileSync") {
      return second === undefined || objectOf(second) !== undefined
        ? undefined
        : make("append", first, second, "", third)
    }
    if (writes.test(name) || name === "write" && owner === "Bun") {
      if (second === undefined) return undefined
      return hasAppendOption(third)
        ? { ...make("append", first, second, "(…, append)", third), encodes: /^jsonfile$/i.test(owner) }
        : make("write", first, second)
    }
    if (
      /^(?:write|output)Json(?:Sync)?$/i.test(name) && hasAppendOption(third) && optionOf(third, "spaces") === undefined
    ) {
      return { ...make("append", first, second, "(…, append)", third), encodes: true }
    }
    if (streams.test(name)) {
      return hasAppendOption(second) ? make("open", first, undefined, "(…, { flags: \"a\" })") : undefined
    }
    if (opens.test(name) && !notFiles.test(owner)) {
      if (isAppendFlag(second)) return make("open", first, undefined, "(…, \"a\")")
      return hasAppendOption(second) && isFileSystem(call) ? make("open", first, undefined, "(…, append)") : undefined
    }
    if (name === "sink" && hasAppendOption(second)) return make("sink", first, undefined, "(…, { flag: \"a\" })")
    if (name === "toFile" && owner === "Logger") {
      return second === undefined || objectOf(second) !== undefined
        ? make("sink", first, undefined)
        : make("sink", second, first)
    }
    if (/append/i.test(name) && second !== undefined && !notFiles.test(owner) && !isFunction(bare(second))) {
      const callee = field(call, "function")
      // A helper of this file is judged by what it does.
      if (callee === undefined || scope.functionOf(callee) !== undefined) return undefined
      return make("helper", first, second)
    }
    return undefined
  }

  return nodesOf(source, "call_expression", "new_expression")
    .flatMap((call) => {
      const found = appendOf(call)
      return found === undefined || isMock(call) ? [] : [found]
    })

  /** `expect(fs.appendFile(…))` runs; `vi.mock`, `when(fs.appendFile(…))` describe. */
  function isMock(call: Node): boolean {
    const outer = ancestor(
      call,
      (at) => at.type === "call_expression" || isFunction(at) || at.type.endsWith("_statement")
    )
    return outer?.type === "call_expression" && /^(?:when|verify)$/.test(calleeName(source, outer))
  }
}
