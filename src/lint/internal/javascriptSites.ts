/**
 * Turns appends and open files into sites: what their records are, and how many writes one takes.
 */
import type { AnalysisOptions } from "../Language.ts"
import type { Payload, Site } from "../Site.ts"
import { type Append, findAppends } from "./javascriptAppends.ts"
import { fixAppend, noFix } from "./javascriptFix.ts"
import { followHandle, type Handle } from "./javascriptHandles.ts"
import { isLiteral, type Judged, makeJudge } from "./javascriptJudge.ts"
import { isNamedAfterRecords, targetOf } from "./javascriptPath.ts"
import { makePayloads } from "./javascriptPayload.ts"
import { findMigrated } from "./javascriptPrimitive.ts"
import type { Scope } from "./javascriptScope.ts"
import { earlierContent, json } from "./javascriptShape.ts"
import { makeTransactions } from "./javascriptTransaction.ts"
import {
  ancestor,
  argumentsOf,
  bare,
  calleeName,
  field,
  functionAround,
  isFunction,
  isWithin,
  lastName,
  type Node,
  nodesOf,
  receiverOf,
  statementAround,
  textOf
} from "./javascriptTree.ts"

const lineName = /line|jsonl|ndjson|row|record/i
const readName = /^(?:readFile|readFileSync|readTextFile|readTextFileSync|readFileString|file)$/
export const findSites = (scope: Scope, options: AnalysisOptions): ReadonlyArray<Site> => {
  const { source } = scope
  const { isParameter, judgeHandle, parametersIn, settled, throughHelper, verdictOf } = makeJudge(
    scope,
    makePayloads(scope)
  )
  const transactionAt = makeTransactions(scope)
  const appends = findAppends(scope)
  const handles = new Map(
    appends.filter(({ kind }) => kind === "open").map((append) => [append, followHandle(scope, append.node)])
  )
  const throughHandles = new Set([...handles.values()].flatMap(({ writes }) => writes.map(({ node }) => node)))
  const migrated = findMigrated(scope, options)
  const taken = new Set<Node>(migrated.map(({ node }) => node))

  const makeSite = (
    append: Append,
    judged: Judged,
    more: Partial<Site> = {},
    places: ReadonlyArray<Node> = [append.node]
  ): Site => {
    const statement = statementAround(append.node)
    const target = targetOf(scope, append.target)
    return {
      language: "javascript",
      span: { start: append.node.start, end: append.node.end },
      statement: { start: statement.start, end: statement.end },
      call: append.call,
      target: target.text,
      path: target.value,
      payload: judged.payload,
      writesPerRecord: judged.writesPerRecord,
      life: "once",
      growth: "append",
      synced: append.synced,
      transaction: transactionAt(places),
      fix: noFix("only a call that appends one record is rewritten"),
      ...more
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Helpers of the file
  // -------------------------------------------------------------------------------------------------------------------

  /** A helper that takes path and data says nothing by itself: its calls are the sites. */
  const helperCalls = (append: Append, data: Node | undefined): ReadonlyArray<Site> =>
    throughHelper(data).flatMap(({ call, verdict }) => {
      if (taken.has(call)) return []
      const parameter = append.target === undefined ? undefined : parametersIn(append.target)[0]
      const target = parameter?.index === undefined ? undefined : argumentsOf(call)[parameter.index]
      const payload = settled(verdict, targetOf(scope, target).isRecords)
      if (payload !== "record" && payload !== "multiLineRecord") return []
      taken.add(call)
      const here: Append = {
        kind: "helper",
        node: call,
        call: calleeName(source, call),
        target,
        data: undefined,
        synced: append.synced
      }
      return [makeSite(here, { payload, writesPerRecord: 1 }, {
        fix: noFix(
          `the call goes through ${calleeName(source, call)} of this file; let that function append through a primitive`
        )
      })]
    })

  // -------------------------------------------------------------------------------------------------------------------
  // Calls that open, write and close
  // -------------------------------------------------------------------------------------------------------------------

  const blockOf = (node: Node): Node | undefined => statementAround(node).parent

  /** The newline that a second call appends to the same file, next to the one that appends the record. */
  const newlineBeside = (append: Append): Append | undefined =>
    appends.find((other) =>
      other !== append && other.kind === "append" && other.target !== undefined && append.target !== undefined &&
      blockOf(other.node) === blockOf(append.node) && textOf(source, other.target) === textOf(source, append.target) &&
      other.data !== undefined && verdictOf(other.data).isBlank
    )

  const sitesOfCall = (append: Append): ReadonlyArray<Site> => {
    const target = targetOf(scope, append.target)
    if (append.encodes === true) {
      return [
        makeSite(append, { payload: "record", writesPerRecord: 1 }, {
          fix: noFix("the call encodes the record itself; pass the record to a primitive")
        })
      ]
    }
    const verdict = verdictOf(append.data)
    const isNamed = target.isRecords || isNamedAfterRecords(scope, append.node)
    if (verdict.payload === "unknown" && !isNamed && isParameter(append.data)) {
      if (isParameter(append.target)) {
        return [...helperCalls(append, append.data), makeSite(append, { payload: "unknown", writesPerRecord: 1 })]
      }
      const calls = new Set(throughHelper(append.data).map((one) => settled(one.verdict, false)))
      const payload = calls.has("record") ? "record" : calls.has("text") ? "text" : "unknown"
      return [
        makeSite(append, { payload, writesPerRecord: 1 }, {
          fix: noFix("the record is encoded by the callers; pass the record itself and append it through a primitive")
        })
      ]
    }
    const newline = verdict.payload === "record" && !verdict.isWhole && !isLiteral(verdict.shape)
      ? newlineBeside(append)
      : undefined
    if (newline !== undefined) {
      taken.add(newline.node)
      return [
        makeSite(append, { payload: "record", writesPerRecord: 2 }, {
          fix: noFix("record and newline are two writes; append both in one call first")
        })
      ]
    }
    const fix = append.data === undefined || append.kind === "helper"
      ? noFix("the call goes through a function of another module; let that append through a primitive")
      : fixAppend(scope, options.primitives, append.node, append.data)
    return [makeSite(append, { payload: settled(verdict, target.isRecords, isNamed), writesPerRecord: 1 }, { fix })]
  }

  const sitesOfHelper = (append: Append): ReadonlyArray<Site> => {
    const [first, ...rest] = argumentsOf(append.node)
    if (first === undefined || /^(?:object|array|number)$/.test(bare(first).type)) return []
    const data = rest.find((argument) => {
      const verdict = verdictOf(argument)
      return verdict.payload === "record" && !isLiteral(verdict.shape) &&
        (verdict.isWhole || lineName.test(calleeName(source, append.node)))
    })
    if (data === undefined) return []
    return [makeSite({ ...append, data }, { payload: "record", writesPerRecord: 1 }, {
      fix: noFix("the call goes through a function of another module; let that append through a primitive")
    })]
  }

  /** A file that is written with what it held before and one record more. */
  const sitesOfWrite = (append: Append): ReadonlyArray<Site> => {
    if (append.data === undefined || append.target === undefined) return []
    const verdict = verdictOf(append.data)
    if (
      !verdict.hasEarlier || verdict.payload !== "record" ||
      verdict.shape.indexOf(earlierContent) > verdict.shape.indexOf(json)
    ) {
      return []
    }
    const path = textOf(source, append.target)
    const around = functionAround(source, append.node)
    const isRead = nodesOf(source, "call_expression").some((call) => {
      const [first] = argumentsOf(call)
      return first !== undefined && isWithin(call, around) && readName.test(calleeName(source, call)) &&
        textOf(source, first) === path
    })
    if (!isRead) return []
    return [makeSite(append, { payload: "record", writesPerRecord: 1 }, {
      growth: "rewrite",
      fix: noFix("the whole file is read and written again; append the record alone")
    })]
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Open files
  // -------------------------------------------------------------------------------------------------------------------

  const sitesOfHandle = (append: Append, handle: Handle): ReadonlyArray<Site> => {
    const target = targetOf(scope, append.target)
    const isNamed = target.isRecords || isNamedAfterRecords(scope, append.node)
    const judged: Judged = handle.isForeign
      ? { payload: "text", writesPerRecord: 1 }
      : judgeHandle(handle.writes, target.isRecords, isNamed)
    const data = handle.writes.map((write) => write.data)
    const generic = isParameter(append.target) && judged.payload !== "text" && !isNamed
      ? data.filter((one) => isParameter(one) && verdictOf(one).payload === "unknown")
      : []
    const more = {
      life: handle.life,
      synced: handle.synced || append.synced,
      fix: noFix(
        "the file is opened, written and closed in several statements; replace them by one call of a primitive"
      )
    }
    const places = [append.node, ...handle.writes.map(({ node }) => node)]
    if (generic.length > 0) {
      return [
        ...generic.flatMap((one) => helperCalls(append, one)),
        makeSite(append, { payload: "unknown", writesPerRecord: 1 }, more, places)
      ]
    }
    return [makeSite(append, judged, more, places)]
  }

  /** Effect: `Stream.run(fs.sink(path, { flag: "a" }))` and `Logger.toFile(logger, path)`. */
  const sitesOfSink = (append: Append): ReadonlyArray<Site> => {
    const target = targetOf(scope, append.target)
    const pipe = ancestor(
      append.node,
      (at) =>
        at.type === "call_expression" && calleeName(source, at) === "pipe" || at.type.endsWith("_statement") ||
        isFunction(at)
    )
    const around = append.data ?? pipe
    const text = around === undefined ? "" : textOf(source, around)
    const isJson = /formatJson|jsonLogger|structuredLogger|Ndjson|JSON\.stringify|jsonl/i.test(text)
    const payload: Payload = isJson || target.isRecords
      ? "record"
      : /format(?:LogFmt|Simple|Pretty|Structured)|stringLogger|logfmtLogger/.test(text)
      ? "text"
      : "unknown"
    return [makeSite(append, { payload, writesPerRecord: 1 }, {
      life: "stored",
      fix: noFix("records come from a stream or a logger; append them one by one through an AuditLog service")
    })]
  }

  // -------------------------------------------------------------------------------------------------------------------

  const sitesOf = (append: Append): ReadonlyArray<Site> => {
    if (taken.has(append.node) || throughHandles.has(append.node)) return []
    switch (append.kind) {
      case "append":
        return sitesOfCall(append)
      case "helper":
        return sitesOfHelper(append)
      case "write":
        return sitesOfWrite(append)
      case "sink":
        return sitesOfSink(append)
      default: {
        const handle = handles.get(append)
        return handle === undefined ? [] : sitesOfHandle(append, handle)
      }
    }
  }

  /** `handle.appendFile(data)` where it is not seen who opened the handle. */
  const ofStrangeHandles = (): ReadonlyArray<Site> =>
    nodesOf(source, "call_expression").flatMap((call) => {
      const [data, second] = argumentsOf(call)
      const receiver = receiverOf(call)
      if (calleeName(source, call) !== "appendFile" || data === undefined || receiver === undefined) return []
      if (second !== undefined && bare(second).type !== "object" || throughHandles.has(call) || taken.has(call)) {
        return []
      }
      const verdict = verdictOf(data)
      if (verdict.payload !== "record" || !verdict.isWhole) return []
      const append: Append = {
        kind: "append",
        node: call,
        call: `${lastName(source, receiver)}.appendFile`,
        target: undefined,
        data,
        synced: false
      }
      return [makeSite(append, { payload: "record", writesPerRecord: 1 }, {
        life: "passed",
        fix: noFix("the handle comes from elsewhere; append through a primitive where it is opened")
      })]
    })

  const ofMigrated = migrated.map(({ name, node }): Site => {
    const target = argumentsOf(node)[0]
    return makeSite(
      {
        kind: "append",
        node,
        call: textOf(source, field(node, "function") ?? node),
        target,
        data: undefined,
        synced: false
      },
      { payload: "record", writesPerRecord: 1 },
      { migrated: name, fix: noFix("nothing to change") }
    )
  })

  const found = appends.flatMap(sitesOf)
  // The newline's call may be read before the record's call that it belongs to.
  const newlines = new Set([...taken].map(({ start }) => start))
  return [
    ...ofMigrated,
    ...found.filter(({ payload, span }) => payload !== "text" || !newlines.has(span.start)),
    ...ofStrangeHandles()
  ].sort((a, b) => a.span.start - b.span.start)
}
