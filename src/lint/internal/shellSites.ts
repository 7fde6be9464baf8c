/** Judges what a script's appends are together: pieces of one record, parts of a JSON document, lines of a text. */
import type { AnalysisOptions } from "../Language.ts"
import type { Payload, Site, Span } from "../Site.ts"
import { type Append, findAppends } from "./shellAppends.ts"
import { fixOf } from "./shellFix.ts"
import type { Evaluation } from "./shellOutput.ts"
import { copyMark, isKnown, isRecordPath, isUnknown, payloadOf, readable, shapeOfLine } from "./shellShape.ts"
import { transactionAt } from "./shellTransaction.ts"
import { closest, field, functionOf, type Node, nodesOf, textOf } from "./shellTree.ts"

/** Files of continuous integration services, which have a format of their own. */
const protocolFile = /\bGITHUB_(?:OUTPUT|ENV|PATH|STATE|STEP_SUMMARY)\b|\bBASH_ENV\b/

/** What is known of the file that an append goes to. */
interface Target {
  readonly source: string
  readonly path: string
  readonly key: string
  readonly isRecordFile: boolean
}

const targetOf = (evaluation: Evaluation, destination: Node): Target => {
  const source = textOf(evaluation.script, destination)
  const path = evaluation.valueOf(destination)
  const scope = /\$\{?\d/.test(source) ? functionOf(destination)?.start ?? "" : ""
  return {
    source,
    path,
    key: isKnown(path) || path.length > 12 && /[\w-]{4,}\.\w+$/.test(path)
      ? path
      : `${scope}${source.replaceAll(/["{}]/g, "")}`,
    isRecordFile: isRecordPath(path) || isRecordPath(source)
  }
}

interface Judged {
  readonly append: Append
  readonly target: Target
  readonly output: string
  readonly writes: number
}

const endsLine = (output: string): boolean => output === "" || output.endsWith("\n")

/** How many parts the longest record takes. */
const writesIn = (parts: ReadonlyArray<string>): number => {
  let most = 1
  let run = 0
  for (const part of parts) {
    run += 1
    most = Math.max(most, run)
    if (endsLine(part)) run = 0
  }
  return most
}

/** Whether a text is a whole record, though its line break may follow later. */
const isWhole = (output: string): boolean => shapeOfLine(output) === "record"

/** Puts appends together that write one record in pieces: each but the last leaves its line open. */
const joinPieces = (appends: ReadonlyArray<Judged>): ReadonlyArray<Judged> => {
  const joined: Array<Judged> = []
  for (const next of appends) {
    const before = joined.findLast((other) =>
      other.target.key === next.target.key && other.append.scope === next.append.scope
    )
    const last = joined.indexOf(before ?? next)
    // `cat >> file`, then `echo >> file`: who writes so has input without a line break at its end.
    const isEnd = before !== undefined && next.output === "\n" && isUnknown(before.output) && before.append.isPassed
    const isPiece = before !== undefined && (isEnd || !endsLine(before.output) && before.output.trim() !== "" &&
        !(isWhole(before.output) && isWhole(next.output)) &&
        !areBranches(before.append.statement, next.append.statement))
    if (isPiece) joined[last] = { ...before, output: before.output + next.output, writes: before.writes + next.writes }
    else joined.push(next)
  }
  return joined
}

/** Whether two statements stand in different branches of one `if` or `case`. */
const areBranches = (a: Node, b: Node): boolean => {
  const isBranch = (node: Node): boolean => /^(?:elif_clause|else_clause|case_item)$/.test(node.type)
  return closest(a.parent, isBranch) !== closest(b.parent, isBranch)
}

/** Whether a text is a piece of a JSON document that grows: a bracket, a comma, or a value before a comma. */
const isDocumentPiece = (output: string): boolean => {
  const text = output.trim()
  return /^[[\]{},]+$/.test(text) || /^[{["].*,$/s.test(text) || /^,\s*[{["]/.test(text)
}

/** What else a script writes to the file, by `>`: how the file begins. */
const beginnings = (evaluation: Evaluation): ReadonlyMap<string, ReadonlyArray<string>> => {
  const found = new Map<string, Array<string>>()
  for (const statement of nodesOf(evaluation.script, "redirected_statement")) {
    const redirect = statement.children.find((child) =>
      child.type === "file_redirect" && child.children.some((part) => part.type === ">") &&
      !child.children.some((part) => part.type === "file_descriptor")
    )
    const destination = redirect === undefined ? undefined : field(redirect, "destination")
    const body = field(statement, "body")
    if (
      destination === undefined || body === undefined || /^["']?\/dev\//.test(textOf(evaluation.script, destination))
    ) continue
    const { key } = targetOf(evaluation, destination)
    const output = evaluation.outputOf(body, 1, evaluation.inputOf(statement, 1))
    found.set(key, [...found.get(key) ?? [], output])
  }
  return found
}

/** Variables that hold JSON by what they are called; `$package_json` and `$json_file` are paths. */
const jsonVariable =
  /\$\{?(?!(?:package|tsconfig|composer|manifest)_json)(?:\w*_)?json(?:_?(?:line|record|entry|payload|data|object|obj|str|string|event|msg|message|row|body|log))?(?!\w)/i

const statementSpan = (append: Append): Span => {
  const whole = closest(append.statement, (node) => node.parent?.type !== "list" && node.parent?.type !== "pipeline")
  return { start: whole?.start ?? append.span.start, end: Math.max(append.span.end, whole?.end ?? 0) }
}

export const findSites = (evaluation: Evaluation, options: AnalysisOptions): ReadonlyArray<Site> => {
  const { script } = evaluation
  const appends = findAppends(evaluation).map((append): Judged => ({
    append,
    target: targetOf(evaluation, append.destination),
    output: append.parts.join(""),
    writes: writesIn(append.parts)
  }))
  if (appends.length === 0) return []
  const judged = joinPieces(appends)
  const opened = beginnings(evaluation)
  const texts = new Set<string>()
  const documents = new Set<string>()
  const records = new Set<string>()
  for (const { output, target } of judged) {
    const payload = payloadOf(output, target)
    if (isDocumentPiece(output)) documents.add(target.key)
    else if (payload === "text" && output.trim() !== "") texts.add(target.key)
    if (payload === "record") records.add(target.key)
  }
  for (const [key, outputs] of opened) {
    if (outputs.some((output) => /^\s*[[{]\s*$/.test(output))) documents.add(key)
  }
  const payloadIn = ({ append, output, target }: Judged): Payload => {
    if (protocolFile.test(target.source)) return "text"
    const payload = payloadOf(output, target)
    if (payload === "text") return payload
    if (documents.has(target.key)) return "text"
    if (target.isRecordFile) return payload
    if (texts.has(target.key)) return "text"
    if (payload !== "unknown") return payload
    const command = append.command
    if (command === undefined || output.includes(copyMark)) return payload
    const isPrinted = /^\s*(?:echo|printf)\b/.test(textOf(script, command))
    return isPrinted && (records.has(target.key) || jsonVariable.test(textOf(script, command))) ? "record" : payload
  }
  return judged.map((item): Site => {
    const { append, target, writes } = item
    const payload = payloadIn(item)
    const transaction = transactionAt(evaluation, append.statement)
    const facts = {
      language: "shell",
      span: append.span,
      statement: statementSpan(append),
      call: append.call,
      target: readable(target.source),
      path: isKnown(target.path) ? target.path : undefined,
      payload,
      writesPerRecord: payload === "record" ? writes : 1,
      life: append.life,
      growth: append.growth,
      synced: false,
      transaction
    }
    return { ...facts, fix: fixOf(script, append, facts, options) }
  })
}
