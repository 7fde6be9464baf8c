/**
 * Judges what is written: by its shape, by the callers of a helper, and by all writes through one handle.
 */
import type { Payload } from "../Site.ts"
import { sameText, wraps } from "./javascriptEncoder.ts"
import type { Write } from "./javascriptHandles.ts"
import type { Payloads } from "./javascriptPayload.ts"
import type { Binding, Scope } from "./javascriptScope.ts"
import { judge, opaque, type Verdict } from "./javascriptShape.ts"
import {
  ancestor,
  argumentsOf,
  bare,
  calleeName,
  childrenOf,
  functionAround,
  isFunction,
  isWithin,
  type Node,
  receiverOf,
  textOf
} from "./javascriptTree.ts"

/** Calls of one helper that are looked at; the first ones say what it is for. */
const helperCallsMax = 50

const recordStream = /ndjson|jsonl|JSON\.stringify\([^)]*\)\s*(?:\+|\}\\n)/i
const arrayPunctuation = /^[\s,[\]]*[,[\]][\s,[\]]*$/

type ShapeVerdict = Verdict & { readonly shape: string }

/** What a write adds to a file of records; `payload` as a site has it, and the writes that one record takes. */
export interface Judged {
  readonly payload: Payload
  readonly writesPerRecord: number
}

/** A call of a helper of the file, and what the helper writes for it. */
interface HelperCall {
  readonly call: Node
  readonly verdict: ShapeVerdict
}

export interface Judge {
  readonly verdictOf: (data: Node | undefined, parameters?: ReadonlyMap<Binding, string>) => ShapeVerdict
  /** The payload of data after which nothing follows; `unknownIsRecord` where a name says that the file holds records. */
  readonly settled: (verdict: ShapeVerdict, isRecords: boolean, unknownIsRecord?: boolean) => Payload
  /** Whether an expression is made of parameters of a helper. */
  readonly isParameter: (expression: Node | undefined) => boolean
  /** The parameters that an expression is made of without an encoder between. */
  readonly parametersIn: (expression: Node) => ReadonlyArray<Binding>
  /** Calls of the helper whose parameters the data is made of. */
  readonly throughHelper: (data: Node | undefined) => ReadonlyArray<HelperCall>
  readonly judgeHandle: (writes: ReadonlyArray<Write>, isRecords: boolean, isNamed: boolean) => Judged
}

export const isLiteral = (shape: string): boolean => !/[\uE000-\uE004]/.test(shape)

export const makeJudge = (scope: Scope, payloads: Payloads): Judge => {
  const { source } = scope

  const verdictOf = (
    data: Node | undefined,
    parameters?: ReadonlyMap<Binding, string>
  ): ShapeVerdict => {
    const shape = data === undefined ? opaque : payloads.shapeOf(data, parameters)
    return { ...judge(shape), shape }
  }

  /** The payload of text that is not followed by more, in a file of which it is known whether it holds records. */
  const settled = (verdict: ShapeVerdict, isRecords: boolean, unknownIsRecord = isRecords): Payload => {
    switch (verdict.payload) {
      case "text":
        return "text"
      case "multiLineRecord":
        return isRecords ? "multiLineRecord" : "text"
      case "unknown":
        return unknownIsRecord ? "record" : "unknown"
      default:
        // A literal without its newline is a torn record, written on purpose.
        return verdict.isWhole ? "record" : isLiteral(verdict.shape) ? "text" : isRecords ? "record" : "unknown"
    }
  }

  const parametersIn = (expression: Node, depth = 0): ReadonlyArray<Binding> => {
    const node = bare(expression)
    if (depth > 6) return []
    if (node.type === "identifier") {
      const binding = scope.resolve(node)
      if (binding?.kind === "parameter" && isFunction(binding.scope)) return [binding]
      const init = binding?.kind === "variable" && binding.property === undefined ? binding.init : undefined
      return init === undefined || ancestor(init, (at) => at === expression) ? [] : parametersIn(init, depth + 1)
    }
    if (["binary_expression", "template_string", "template_substitution", "ternary_expression"].includes(node.type)) {
      return childrenOf(node).flatMap((child) => parametersIn(child, depth + 1))
    }
    if (node.type === "call_expression") {
      const name = calleeName(source, node)
      const receiver = receiverOf(node)
      const [first] = argumentsOf(node)
      if (sameText.has(name) && receiver !== undefined) return parametersIn(receiver, depth + 1)
      return (wraps.test(name)) && first !== undefined ? parametersIn(first, depth + 1) : []
    }
    return []
  }

  const isParameter = (expression: Node | undefined): boolean =>
    expression !== undefined && parametersIn(expression).length > 0

  /** Calls of the helper whose parameters the data is made of, with the shape that the data has for each. */
  const throughHelper = (
    data: Node | undefined
  ): ReadonlyArray<{ readonly call: Node; readonly verdict: ShapeVerdict }> => {
    const parameters = data === undefined ? [] : parametersIn(data)
    const helper = parameters[0]?.scope
    if (helper === undefined) return []
    return scope.callsOf(helper).slice(0, helperCallsMax).flatMap((call) => {
      if (isWithin(call, helper)) return []
      const given = argumentsOf(call)
      const shapes = new Map(parameters.flatMap((parameter) => {
        const argument = parameter.index === undefined || parameter.property !== undefined
          ? undefined
          : given[parameter.index]
        return argument === undefined ? [] : [[parameter, payloads.shapeOf(argument)] as const]
      }))
      return shapes.size === 0 ? [] : [{ call, verdict: verdictOf(data, shapes) }]
    })
  }

  /** `source.pipe(ndjson.stringify()).pipe(out)`, also where the stringifier is in a variable. */
  const pipesRecords = (call: Node): boolean => {
    const receiver = receiverOf(call)
    const init = receiver?.type === "identifier" ? scope.resolve(receiver)?.init : undefined
    return recordStream.test(textOf(source, call)) || init !== undefined && recordStream.test(textOf(source, init))
  }

  const judgeHandle = (writes: ReadonlyArray<Write>, isRecords: boolean, isNamed: boolean): Judged => {
    const judged = writes.map((write) => ({ write, verdict: verdictOf(write.data) }))
    const isText = judged.some(({ verdict }) => isLiteral(verdict.shape) && arrayPunctuation.test(verdict.shape))
    if (isText) return { payload: "text", writesPerRecord: 1 }
    const blanks = judged.filter(({ verdict }) => verdict.isBlank)
    const payloadsOfWrites = judged.flatMap(({ write, verdict }): ReadonlyArray<Judged> => {
      if (verdict.isBlank) return []
      if (write.data === undefined && pipesRecords(write.node)) return [{ payload: "record", writesPerRecord: 1 }]
      const around = functionAround(source, write.node)
      const beside = blanks.filter((blank) => functionAround(source, blank.write.node) === around).length
      if (verdict.payload === "record" && !verdict.isWhole && beside > 0) {
        return [{ payload: "record", writesPerRecord: 1 + beside }]
      }
      if (verdict.payload === "unknown" && isParameter(write.data)) {
        const calls = throughHelper(write.data).map((one) => settled(one.verdict, isRecords))
        if (calls.includes("record")) return [{ payload: "record", writesPerRecord: 1 + beside }]
        if (calls.length > 0 && calls.every((payload) => payload === "text")) {
          return [{ payload: "text", writesPerRecord: 1 }]
        }
      }
      return [{ payload: settled(verdict, isRecords, isNamed), writesPerRecord: 1 }]
    })
    const order: ReadonlyArray<Payload> = ["multiLineRecord", "record", "unknown", "text"]
    for (const payload of order) {
      const found = payloadsOfWrites.filter((one) => one.payload === payload)
      if (found.length > 0) return { payload, writesPerRecord: Math.max(...found.map((one) => one.writesPerRecord)) }
    }
    return { payload: writes.length > 0 ? "text" : isRecords ? "record" : "unknown", writesPerRecord: 1 }
  }

  return { verdictOf, settled, isParameter, parametersIn, throughHelper, judgeHandle }
}
