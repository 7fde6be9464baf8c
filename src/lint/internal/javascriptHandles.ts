/**
 * What happens to an open file: who holds it, what is written through it, and whether it is synced.
 *
 * A handle is followed through variables, properties, helpers of the file that take or return it, and callbacks.
 */
import type { HandleLife } from "../Site.ts"
import type { Binding, Scope } from "./javascriptScope.ts"
import {
  ancestor,
  argumentsOf,
  bare,
  calleeName,
  childrenOf,
  field,
  functionAround,
  isFunction,
  isRepeated,
  isWithin,
  lastName,
  type Node,
  outside,
  receiverOf,
  textOf
} from "./javascriptTree.ts"

/** A write through a handle; `data` is absent where it comes from elsewhere, as in a pipe. */
export interface Write {
  readonly node: Node
  readonly data: Node | undefined
}

export interface Handle {
  readonly writes: ReadonlyArray<Write>
  readonly life: HandleLife
  readonly synced: boolean
  /** Nothing is written through it here: another process, a logging framework, or nobody gets it. */
  readonly isForeign: boolean
}

/** Names that one handle may go by; code for people has two or three. */
const namesMax = 24

const writers =
  /^(?:write|writeSync|end|writeFile|writeFileSync|appendFile|appendFileSync|writeAll|writeAllSync|writev|writevSync|writeLine|writeln|writeString|print)$/
const syncs = /^(?:sync|datasync|fsync|fsyncSync|fdatasync|fdatasyncSync|syncSync|syncData|syncDataSync)$/
const foreign =
  /^(?:spawn|spawnSync|fork|exec|execa|execFile|execFileSync|pino|multistream|createLogger|Console|morgan|closeSync|close|StreamTransport|addStream|dup2|unlink\w*)$/

export const followHandle = (scope: Scope, opener: Node): Handle => {
  const { source } = scope
  const writes: Array<Write> = []
  const names = new Set<Binding | string>()
  const seen = new Set<Node>()
  let life: "once" | "stored" | "passed" = "once"
  let synced = false
  let passedToForeign = false
  let passedToOther = false

  const hold = (next: "stored" | "passed"): void => {
    if (life !== "stored") life = next
  }

  const named = (name: Node | undefined): void => {
    if (name === undefined) return
    if (
      name.type === "member_expression" || name.type === "property_identifier" ||
      name.type === "private_property_identifier"
    ) {
      hold("stored")
      followProperty(name.type === "member_expression" ? lastName(source, name) : textOf(source, name))
      return
    }
    if (name.type === "subscript_expression") {
      hold("stored")
      const object = field(name, "object")
      if (object !== undefined) followStore(object)
      return
    }
    const binding = name.type === "identifier" ? scope.resolve(name) : undefined
    if (binding !== undefined) followBinding(binding)
  }

  const followBinding = (binding: Binding): void => {
    if (names.has(binding) || names.size > namesMax) return
    names.add(binding)
    if (binding.kind === "variable" && binding.scope.type === "program" && isInFunction(opener)) hold("stored")
    for (const use of scope.usesOf(binding)) followUse(use)
  }

  const isInFunction = (node: Node): boolean => functionAround(source, node) !== source.root

  const followProperty = (name: string): void => {
    if (name === "" || names.has(name) || names.size > namesMax) return
    names.add(name)
    for (const use of scope.membersNamed(name)) followUse(use)
  }

  /** `handles.set(key, handle)`: what comes out of `handles.get(…)` and `handles[…]` is a handle. */
  const followStore = (store: Node): void => {
    hold("stored")
    const node = bare(store)
    const binding = node.type === "identifier" ? scope.resolve(node) : undefined
    const uses = binding === undefined ? scope.membersNamed(lastName(source, node)) : scope.usesOf(binding)
    for (const use of uses) {
      const member = use.parent
      if (member === undefined || member.children[0] !== use) continue
      if (member.type === "subscript_expression") followUse(member)
      if (
        member.type === "member_expression" && lastName(source, member) === "get" &&
        member.parent?.type === "call_expression"
      ) {
        followUse(member.parent)
      }
    }
  }

  const parameterBinding = (callback: Node | undefined, index: number): void => {
    if (callback === undefined || !isFunction(callback)) return
    const single = field(callback, "parameter")
    const parameter = single === undefined
      ? childrenOf(field(callback, "parameters"))[index]
      : index === 0
      ? single
      : undefined
    if (parameter === undefined) return
    const name = field(parameter, "pattern") ?? field(parameter, "left") ?? parameter
    // `constructor(private readonly out: WriteStream)` is a property as well.
    if (parameter.children.some((child) => child.type === "accessibility_modifier")) {
      hold("stored")
      followProperty(textOf(source, name))
    }
    named(name)
  }

  /** The constructor of a class of this file. */
  const constructorOf = (call: Node): Node | undefined => {
    const name = field(call, "constructor")
    const binding = name?.type === "identifier" ? scope.resolve(name) : undefined
    return binding?.kind === "class"
      ? childrenOf(field(binding.node, "body")).find((member) =>
        member.type === "method_definition" && textOf(source, field(member, "name") ?? member) === "constructor"
      )
      : undefined
  }

  /** Looks at what stands around an expression that is the handle. */
  const followUse = (use: Node): void => {
    const node = outside(use)
    const parent = node.parent
    if (seen.has(node) || parent === undefined) return
    seen.add(node)
    switch (parent.type) {
      case "variable_declarator":
        if (field(parent, "value") === node) named(field(parent, "name"))
        return
      case "assignment_expression":
      case "augmented_assignment_expression":
        if (field(parent, "right") !== node) return
        named(field(parent, "left"))
        return followUse(parent)
      case "public_field_definition":
      case "field_definition":
        return named(field(parent, "name") ?? field(parent, "property"))
      case "pair": {
        const key = field(parent, "key")
        if (key !== undefined && textOf(source, key) !== "stdio") named(key)
        return followContainer(parent)
      }
      case "object":
        if (node.type === "shorthand_property_identifier") followProperty(textOf(source, node))
        return followContainer(parent)
      case "array":
        return followContainer(parent)
      case "binary_expression":
      case "ternary_expression":
        return field(parent, "condition") === node || /[=<>]/.test(operatorOf(parent)) ? undefined : followUse(parent)
      case "return_statement":
        return followReturn(functionAround(source, parent))
      case "arrow_function":
        return field(parent, "body") === node ? followReturn(parent) : undefined
      case "member_expression":
      case "subscript_expression":
        if (parent.children[0] === node) followMember(parent)
        return
      case "arguments":
        return parent.parent === undefined ? undefined : followArgument(parent.parent, node)
      default:
    }
  }

  const operatorOf = (node: Node): string => {
    const [left, right] = [field(node, "left"), field(node, "right")]
    return left === undefined || right === undefined ? "" : source.text.slice(left.end, right.start)
  }

  /** A handle inside an object or list: it goes where that goes. */
  const followContainer = (container: Node): void => {
    const call = ancestor(
      container,
      (at) => at.type === "arguments" || at.type.endsWith("_statement") || isFunction(at)
    )
    if (call?.type === "arguments" && call.parent !== undefined) {
      if (
        foreign.test(calleeName(source, call.parent)) || /\bstdio\b/.test(textOf(source, container.parent ?? container))
      ) {
        passedToForeign = true
      } else passedToOther = true
    }
    hold("passed")
  }

  const followReturn = (local: Node): void => {
    hold("passed")
    const call = local.parent?.type === "arguments" ? local.parent.parent : undefined
    // `Effect.gen(function*() { return handle })` and `acquireRelease(…)`: the call stands for the handle.
    if (call !== undefined) {
      followUse(call)
      return
    }
    for (const one of scope.callsOf(local)) followUse(one)
  }

  const followMember = (member: Node): void => {
    const name = lastName(source, member)
    const call = member.parent?.type === "call_expression" && field(member.parent, "function") === member
      ? member.parent
      : undefined
    if (call === undefined) {
      if (name === "fd" || name === "writable") followUse(member)
      return
    }
    if (syncs.test(name)) synced = true
    else if (writers.test(name)) {
      const [data] = argumentsOf(call)
      if (data !== undefined && !isFunction(bare(data))) writes.push({ node: call, data })
    } else if (name === "pipe" || name === "then" || name === "andThen") {
      for (const argument of argumentsOf(call)) followCallback(argument)
      if (name === "pipe") followUse(call)
    } else if (
      name === "getWriter" || name === "createWriteStream" || name === "on" || name === "once" ||
      name === "setDefaultEncoding"
    ) {
      followUse(call)
    } else if (name === "close" || name === "destroy") passedToForeign = true
  }

  /** `Effect.flatMap((file) => …)` and `(file) => …` get the handle. */
  const followCallback = (argument: Node): void => {
    const node = bare(argument)
    if (isFunction(node)) parameterBinding(node, 0)
    else if (node.type === "call_expression") argumentsOf(node).map(bare).forEach((one) => parameterBinding(one, 0))
  }

  const followArgument = (call: Node, node: Node): void => {
    const name = calleeName(source, call)
    const given = argumentsOf(call)
    const index = given.indexOf(node)
    if (writers.test(name) && index === 0) {
      writes.push({ node: call, data: given[1] })
      return
    }
    if (syncs.test(name)) {
      synced = true
      return
    }
    if (foreign.test(name)) {
      passedToForeign = true
      return
    }
    const receiver = receiverOf(call)
    if (/^(?:set|push|add)$/.test(name) && receiver !== undefined) return followStore(receiver)
    const callee = field(call, "function")
    const local = callee === undefined ? constructorOf(call) : scope.functionOf(callee)
    if (local !== undefined && index >= 0) {
      hold("passed")
      parameterBinding(local, index)
      return
    }
    const callbacks = given.filter((argument) => argument !== node).map(bare).filter(isFunction)
    if (callbacks.length > 0) {
      for (const callback of callbacks) parameterBinding(callback, 0)
      return followUse(call)
    }
    if (/^(?:fchmod|fstat|ftruncate|fchown|futimes|flock|isTTY)/.test(name)) return
    if (name === "pipe" || name === "pipeline" || name === "pipeTo") writes.push({ node: call, data: undefined })
    else if (/^(?:acquireRelease|scoped|promise|tryPromise|from|toWeb|once|finished)$/.test(name)) {
      return followUse(call)
    } else passedToOther = true
    hold("passed")
  }

  followUse(opener)
  // `fs.open(path, "a", (error, fd) => …)`
  const callback = argumentsOf(opener).map(bare).findLast(isFunction)
  if (callback !== undefined) parameterBinding(callback, 1)

  const looped = writes.some(({ node }) => isRepeated(source, node, opener))
  return {
    writes: writes.filter(({ node }, index) => writes.findIndex((other) => other.node === node) === index)
      .sort((a, b) =>
        Number(isWithin(b.node, a.node)) - Number(isWithin(a.node, b.node)) || a.node.start - b.node.start
      ),
    life: life === "once" && looped ? "loop" : life,
    synced,
    isForeign: writes.length === 0 && (passedToForeign || !passedToOther && life === "once")
  }
}
