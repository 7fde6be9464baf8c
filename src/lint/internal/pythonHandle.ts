/**
 * The life of a Python file handle: what is written through it, where it is kept, and to whom it is passed on.
 */
import { encoded, isOtherFormat } from "./pythonEncoder.ts"
import type { Life, Write } from "./pythonLife.ts"
import type { Names } from "./pythonNames.ts"
import type { Opened } from "./pythonOpen.ts"
import type { Shapes } from "./pythonPayload.ts"
import type { Shape } from "./pythonShape.ts"
import {
  around,
  calleeName,
  contains,
  field,
  keyword,
  positional,
  type PyNode,
  stringValue,
  textOf
} from "./pythonTree.ts"
import { placeName, type Uses } from "./pythonUses.ts"

const wrappers =
  /^(closing|aclosing|TextIOWrapper|BufferedWriter|BufferedRandom|enter_context|enter_async_context|push|cast|fdopen|GzipFile|open|wrap_file|nullcontext|codecs\.getwriter\(.*\))$/
const neutral =
  /lock|^(fstat|isatty|fileno|close|fchmod|hasattr|isinstance|getattr|bool|id|register|len|chmod|utime|ftruncate|lseek|stat|posix_fadvise|str|repr|append)$/i
const loops = new Set([
  "for_statement",
  "while_statement",
  "list_comprehension",
  "generator_expression",
  "set_comprehension",
  "dictionary_comprehension"
])
/** Places that are looked at for one handle, and for all of a file: far above what people write. */
const usesMax = 1_000
const usesOfFileMax = 50_000

const text: Shape = { kind: "text", newline: true }
const record: Shape = { kind: "line", newline: true }
const unknownShape: Shape = { kind: "unknown", newline: false }

/** Follows handles of a file. */
export const makeLives = (names: Names, uses: Uses, shapes: Shapes): (opened: Opened) => Life => {
  const { tree } = names
  let stepsOfFile = 0
  return (opened) => {
    const writes: Array<Write> = []
    const seen = new Set<PyNode>()
    let stored = false
    let passed = false
    let synced = false
    let seeksEnd = false
    let empties = false
    let steps = 0
    let jsonLines = opened.jsonLines

    const inLoop = (node: PyNode): boolean => {
      for (let at = node.parent; at !== undefined; at = at.parent) {
        if (loops.has(at.kind)) return !contains(at, opened.call)
        if (at.kind === "function_definition") return false
      }
      return false
    }

    const write = (node: PyNode, payload: PyNode | undefined, shape: Shape, calls: number, loop: boolean): void => {
      if (!seen.has(node)) writes.push({ node, payload, shape, calls, loop: loop || inLoop(node) })
      seen.add(node)
    }

    /** Uses of what is bound at `binding` under the name of `target`. */
    const followName = (binding: PyNode, target: PyNode, loop: boolean, depth: number): void => {
      if (depth > 5) return
      if (target.kind === "subscript") {
        const base = field(target, "value")
        if (base !== undefined) followMembers(binding, base, loop, depth)
        return
      }
      for (const place of uses.of(binding, target)) {
        if (contains(binding, place) && binding.kind !== "as_pattern") continue
        if (target.kind === "identifier" && names.scope(target) === undefined && names.scope(place) !== undefined) {
          stored = true
        }
        use(place, loop, depth + 1)
      }
    }

    /** Uses of the members of a container. */
    const followMembers = (binding: PyNode, base: PyNode, loop: boolean, depth: number): void => {
      for (const place of uses.places(placeName(tree, base))) {
        const { parent } = place
        if (contains(binding, place)) continue
        if (parent?.kind === "subscript" && place.field === "value") use(parent, loop, depth + 1)
        const isGetter = parent?.kind === "attribute" && parent.parent?.kind === "call" &&
          /^(get|pop|setdefault)$/.test(textOf(tree, field(parent, "attribute")))
        if (isGetter && parent.parent !== undefined) use(parent.parent, loop, depth + 1)
      }
    }

    const followTarget = (
      binding: PyNode,
      target: PyNode | undefined,
      value: PyNode,
      loop: boolean,
      depth: number
    ): void => {
      if (target === undefined) return
      if (target.kind === "attribute" || target.kind === "subscript") stored = true
      if (target.kind === "pattern_list" && value.parent?.kind === "expression_list") {
        followTarget(binding, target.children[value.parent.children.indexOf(value)], value, loop, depth)
      } else if (target.kind === "identifier" || target.kind === "attribute" || target.kind === "subscript") {
        followName(binding, target, loop, depth)
      }
    }

    /** A function returns the handle: its calls are the handle. */
    const followResult = (node: PyNode, loop: boolean, depth: number): void => {
      passed = true
      const definition = names.scope(node)
      if (definition?.kind !== "function_definition" || depth > 3) return
      const decorators = definition.parent?.kind === "decorated_definition"
        ? definition.parent.children.filter(({ kind }) => kind === "decorator").map((child) => textOf(tree, child))
          .join(" ")
        : ""
      if (/property/.test(decorators)) {
        for (const place of uses.places(`.${textOf(tree, field(definition, "name"))}`)) use(place, loop, depth + 2)
      }
      for (const call of names.callers(definition)) use(call, loop, depth + 2)
    }

    const method = (call: PyNode, name: string, loop: boolean, depth: number): void => {
      const args = positional(call)
      switch (name) {
        case "write":
          if (jsonLines) write(call, args[0], record, 2, loop)
          else if (args[0] !== undefined) write(call, args[0], shapes.of(args[0]), 1, loop)
          return
        case "writelines":
          return write(call, args[0], shapes.elements(args[0]), 1, true)
        case "write_all":
          return write(call, args[0], jsonLines ? record : unknownShape, 2, true)
        case "writerow":
        case "writerows":
        case "writeheader":
          return write(call, args[0], text, 1, loop)
        case "fileno":
        case "__enter__":
          return use(call, loop, depth + 1)
        case "seek":
          if (
            /,\s*2\s*$|SEEK_END/.test(
              (field(call, "arguments") === undefined ? "" : textOf(tree, field(call, "arguments"))).slice(1, -1)
            )
          ) {
            seeksEnd = true
          }
          return
        case "truncate":
          if (args[0] === undefined || textOf(tree, args[0]) === "0") empties = true
          return
        case "flush":
        case "close":
          return
        default:
      }
    }

    const printed = (call: PyNode, loop: boolean): void => {
      const args = positional(call)
      const end = keyword(tree, call, "end")
      const ending = end === undefined ? "\n" : stringValue(tree, end) ?? ""
      if (args.length === 0) return write(call, undefined, { kind: "blank", newline: ending.includes("\n") }, 1, loop)
      const parts = args.map((arg) => shapes.of(arg))
      const first = parts[0] ?? unknownShape
      const shape = parts.length > 1 && parts.some(({ kind }) => kind !== "blank") ? text : first
      // print writes the text and its end apart.
      write(
        call,
        args[0],
        { kind: shape.kind, newline: shape.newline || ending.includes("\n") },
        ending === "" ? 1 : 2,
        loop
      )
    }

    /** The write method is given away: `asyncio.to_thread(f.write, line)`, `put = f.write`. */
    const passedWrite = (method: PyNode, loop: boolean): void => {
      const up = method.parent
      const call = up?.kind === "argument_list" ? up.parent : undefined
      if (call?.kind === "call") {
        const args = positional(call)
        const payload = args[args.indexOf(method) + 1]
        if (payload !== undefined) return write(call, payload, shapes.of(payload), 1, loop)
      }
      const left = up?.kind === "assignment" ? field(up, "left") : undefined
      if (up === undefined || left === undefined) {
        passed = true
        return
      }
      for (const place of uses.of(up, left)) {
        const [payload] = place.parent?.kind === "call" && place.field === "function" ? positional(place.parent) : []
        if (place.parent !== undefined && payload !== undefined) {
          write(place.parent, payload, shapes.of(payload), 1, loop)
        }
      }
    }

    /** A function of the file is given with the handle: `submit(work, f)`, `Process(target=work, args=(f,))`. */
    const deferred = (call: PyNode, at: PyNode, loop: boolean, depth: number): boolean => {
      const target = keyword(tree, call, "target")
      const args = at.parent?.kind === "tuple" || at.parent?.kind === "list" ? at.parent.children : positional(call)
      const index = target === undefined
        ? args.findIndex((arg) => arg.index < at.index && (names.functions.has(functionName(arg))))
        : -1
      const work = target ?? args[index]
      const place = args.indexOf(at) - index - 1
      if (work === undefined || place < 0 || depth > 3) return false
      for (const definition of (names.functions.get(functionName(work)) ?? []).slice(0, 4)) {
        const list = names.parameters(definition, work.kind === "attribute")
        const target = list[place]
        passed = true
        if (target !== undefined) followParameter(target, loop || inLoop(call), depth)
      }
      return names.functions.has(functionName(work))
    }

    const functionName = (node: PyNode): string =>
      node.kind === "identifier" || node.kind === "attribute" ? textOf(tree, node).replace(/^.*\./s, "") : ""

    const followParameter = (parameter: PyNode, loop: boolean, depth: number): void => {
      const target = parameter.kind === "identifier" ? parameter : field(parameter, "name") ?? parameter.children[0]
      if (target !== undefined) followName(parameter, target, loop, depth + 2)
    }

    /** The handle is an argument of a call. */
    const argument = (call: PyNode, at: PyNode, loop: boolean, depth: number): void => {
      const name = calleeName(tree, call)
      const full = names.fullName(field(call, "function"))
      const args = positional(call)
      const role = at.parent?.kind === "keyword_argument" ? textOf(tree, field(at.parent, "name")) : ""
      if (/f(data)?sync/i.test(name)) {
        synced = true
        return
      }
      if (name === "print" && role === "file") return printed(call, loop)
      if (role === "stdout" || role === "stderr" || /StreamHandler|redirect_std|copyfileobj/.test(name)) {
        return write(call, undefined, name === "copyfileobj" ? unknownShape : text, 1, loop)
      }
      if (/(^|\.)os\.write$/.test(full) && args[0] === at) return write(call, args[1], shapes.of(args[1]), 1, loop)
      if (/^(writev|pwrite)$/.test(name)) return write(call, args[1], shapes.elements(args[1]), 1, loop)
      if (/(^|\.)jsonlines\.\w+$/.test(full) || /^jsonlines\b/i.test(full)) {
        jsonLines = true
        return use(call, loop, depth + 1)
      }
      if (deferred(call, at, loop, depth)) return
      const definitions = names.called(call).filter((definition) => names.parameter(call, definition, at) !== undefined)
      if (definitions.length > 0) {
        passed = true
        for (const definition of definitions) {
          const parameter = names.parameter(call, definition, at)
          if (parameter === undefined || depth > 3) continue
          followParameter(parameter, loop || inLoop(call), depth)
        }
        return
      }
      if (
        isOtherFormat(full) || /csv|excel|parquet|yaml|pickle|savetxt|^save$|^savez/i.test(name) ||
        /(^|\.)csv\./.test(full)
      ) {
        return write(call, undefined, text, 1, loop)
      }
      if (name === "dump" || name === "iterdump") {
        const shape = encoded(names, call)?.shape ?? record
        return write(call, args[0], { ...shape, newline: false }, 1, loop)
      }
      if (name === "to_json" || /ndjson|jsonl|json_?lines?/i.test(name)) {
        passed = true
        return write(call, undefined, record, 1, true)
      }
      if (neutral.test(name)) {
        return
      }
      passed = true
      if (/^(write|dump|append|emit|log|save)_?(to_)?json/i.test(name)) write(call, undefined, record, 1, loop)
    }

    const isWrapper = (call: PyNode): boolean =>
      wrappers.test(calleeName(tree, call) || textOf(tree, field(call, "function")).slice(0, 40)) &&
      names.called(call).length === 0

    /** A place where an expression is the handle. */
    const use = (node: PyNode, loop: boolean, depth: number): void => {
      if (depth > 8 || ++steps > usesMax || ++stepsOfFile > usesOfFileMax) return
      let at = node
      for (let up = at.parent; up !== undefined; up = at.parent) {
        const list = up.kind === "keyword_argument" ? up.parent : up
        const call = list?.kind === "argument_list" ? list.parent : undefined
        if (call?.kind === "call" && isWrapper(call)) {
          at = call
          up = call
        } else if (up.kind === "parenthesized_expression" || up.kind === "await" || up.kind === "boolean_operator") {
          at = up
        } else if (up.kind === "conditional_expression" && up.children[1] !== at) at = up
        else break
      }
      const parent = at.parent
      if (parent === undefined) return
      switch (parent.kind) {
        case "as_pattern":
          return parent.children[0] === at
            ? followTarget(parent, field(parent, "alias")?.children[0], at, loop, depth)
            : undefined
        case "assignment": {
          if (at.field !== "right") return
          for (let outer: PyNode | undefined = parent; outer?.kind === "assignment"; outer = outer.parent) {
            followTarget(outer, field(outer, "left"), at, loop, depth)
          }
          return
        }
        case "named_expression":
          return at.field === "value" ? followTarget(parent, field(parent, "name"), at, loop, depth) : undefined
        case "expression_list": {
          const assignment = parent.parent
          if (assignment?.kind === "assignment") {
            return followTarget(assignment, field(assignment, "left"), at, loop, depth)
          }
          return followResult(at, loop, depth)
        }
        case "return_statement":
        case "yield":
          return followResult(at, loop, depth)
        case "attribute": {
          const name = textOf(tree, field(parent, "attribute"))
          const call = parent.parent
          if (call?.kind === "call" && parent.field === "function") return method(call, name, loop, depth)
          if (name === "buffer" || name === "raw") return use(parent, loop, depth + 1)
          if (name === "write") passedWrite(parent, loop)
          return
        }
        case "argument_list":
          return parent.parent?.kind === "call" ? argument(parent.parent, at, loop, depth) : undefined
        case "keyword_argument": {
          const call = parent.parent?.parent
          return call?.kind === "call" ? argument(call, at, loop, depth) : undefined
        }
        case "pair":
        case "list":
        case "tuple":
        case "dictionary_comprehension":
        case "list_comprehension": {
          const call = parent.parent?.kind === "keyword_argument" ? parent.parent.parent?.parent : undefined
          if (call?.kind === "call" && deferred(call, at, loop, depth)) return
          stored = true
          const assignment = around(at, "assignment", "block", "module")
          const left = assignment?.kind === "assignment" ? field(assignment, "left") : undefined
          if (assignment === undefined || left === undefined) return
          followMembers(assignment, left, loop, depth)
          return
        }
        case "chevron": {
          const values = parent.parent?.children.filter((child) => child !== parent) ?? []
          const shape = values.length === 1 ? shapes.of(values[0]) : text
          return write(parent.parent ?? parent, values[0], { ...shape, newline: true }, 2, loop)
        }
        case "expression_statement":
        case "with_item":
          return
        default:
      }
    }

    use(opened.call, false, 0)
    writes.sort((a, b) => a.node.index - b.node.index)
    return { writes, stored, passed, synced, seeksEnd, empties }
  }
}
