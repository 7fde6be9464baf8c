/**
 * Evidence that code runs between BEGIN and COMMIT or ROLLBACK of SQL.
 *
 * A connection proves nothing, and `commit()` alone may be git's: there must be a beginning before the place and an end
 * after it in the same function, or a callback that a transaction function runs.
 */
import type { Span } from "../Site.ts"
import type { Scope } from "./javascriptScope.ts"
import {
  ancestor,
  argumentsOf,
  calleeName,
  childrenOf,
  field,
  functionAround,
  isFunction,
  isWithin,
  type Node,
  nodesOf,
  receiverOf,
  type Source,
  textOf
} from "./javascriptTree.ts"

export interface Evidence {
  readonly span: Span
  readonly text: string
}

const runners =
  /^(?:\$?transaction|withTransaction|inTransaction|runInTransaction|runTransaction|useTransaction|transactional|tx|\$tx)$/
const beginText = /^[`"'\s]*(?:BEGIN|START\s+TRANSACTION)\b(?!\s+\w+\s+[A-Z]+-)/i
const endText = /^[`"'\s]*(?:COMMIT|ROLLBACK|END(?:\s+TRANSACTION)?\s*;?[`"'\s]*$)/i
const beginName = /^(?:begin|beginTransaction|startTransaction|transaction|createQueryRunner)$/
const endName = /^(?:commit|rollback|commitTransaction|rollbackTransaction|abortTransaction)$/

interface Marks {
  readonly begins: ReadonlyArray<Node>
  readonly ends: ReadonlyArray<Node>
}

const evidenceOf = (source: Source, node: Node): Evidence => {
  const text = textOf(source, node).replaceAll(/\s+/g, " ")
  return { span: { start: node.start, end: node.end }, text: text.length > 80 ? `${text.slice(0, 79)}…` : text }
}

/** Finds evidence for any of the places where one record is written. */
export const makeTransactions = (scope: Scope): (places: ReadonlyArray<Node>) => Evidence | undefined => {
  const { source } = scope
  let marks: Marks | undefined

  const findMarks = (): Marks => {
    const begins: Array<Node> = []
    const ends: Array<Node> = []
    for (const call of nodesOf(source, "call_expression")) {
      const name = calleeName(source, call)
      const sql = sqlOf(call)
      if (
        sql !== undefined && beginText.test(sql) || sql === undefined && beginName.test(name) && !givesCallback(call)
      ) {
        begins.push(call)
      }
      if (sql !== undefined && endText.test(sql) || endName.test(name) && !isGit(call)) ends.push(call)
    }
    return { begins, ends }
  }

  /** The text of the first argument, or of a tagged template, where it is literal. */
  const sqlOf = (call: Node): string | undefined => {
    const template = field(call, "arguments")
    const literal = template?.type === "template_string" ? template : argumentsOf(call)[0]
    return literal?.type === "string" || literal?.type === "template_string" ? textOf(source, literal) : undefined
  }

  const givesCallback = (call: Node): boolean => argumentsOf(call).some(isFunction)

  const isGit = (call: Node): boolean => {
    const receiver = receiverOf(call)
    return receiver === undefined || /git|repo|editor|monaco|view|form|store|vuex/i.test(textOf(source, receiver))
  }

  const runnerAround = (place: Node): Node | undefined =>
    ancestor(place, (at) => {
      const call = at.type === "arguments" ? at.parent : undefined
      if (call?.type !== "call_expression" || !runners.test(calleeName(source, call))) return false
      // A transaction of the audit log is what this should become.
      const callee = field(call, "function")
      if (callee === undefined || /audit/i.test(textOf(source, callee))) return false
      const module = receiverOf(call) === undefined ? scope.moduleOf(callee) : undefined
      return module === undefined || !module.startsWith("effect-auditlog")
    })?.parent

  return (places) => {
    for (const place of places) {
      const runner = runnerAround(place)
      if (runner !== undefined) {
        return evidenceOf(source, { ...runner, end: field(runner, "arguments")?.start ?? runner.end })
      }
      const { begins, ends } = marks ??= findMarks()
      const around = functionAround(source, place)
      const before = begins.findLast((node) => node.end <= place.start && isWithin(node, around) && isOf(node, around))
      const after = ends.find((node) => node.start >= place.end && isWithin(node, around))
      if (before !== undefined && after !== undefined && !isEnded(ends, before, place)) {
        return evidenceOf(source, before)
      }
      // `commit` on one way out and `rollback` on the other, of a transaction that was begun elsewhere.
      const both = ends.filter((node) => isWithin(node, around) && isOf(node, around))
      const [commit, rollback] = [/commit/i, /rollback|abort/i].map((way) =>
        both.find((node) => way.test(calleeName(source, node)) && childrenOf(node).length > 0)
      )
      if (commit !== undefined && rollback !== undefined && commit.start > place.end) return evidenceOf(source, commit)
    }
    return undefined
  }

  function isOf(node: Node, around: Node): boolean {
    return functionAround(source, node) === around
  }

  /** Whether a COMMIT in the same block stands between BEGIN and the place. */
  function isEnded(ends: ReadonlyArray<Node>, begin: Node, place: Node): boolean {
    return ends.some((end) => {
      if (end.start < begin.end || end.end > place.start) return false
      const block = ancestor(end, (at) => at.type === "statement_block" || at.type === "program")
      return block !== undefined && (isWithin(begin, block) || isWithin(place, block))
    })
  }
}
