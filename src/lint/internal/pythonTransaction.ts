/**
 * Evidence in Python that code runs inside an SQL transaction: BEGIN, COMMIT and ROLLBACK as text or as methods, and
 * the context managers of the usual libraries.
 */
import type { Span } from "../Site.ts"
import type { Names } from "./pythonNames.ts"
import { calleeName, contains, field, positional, type PyNode, receiver, stringValue, textOf } from "./pythonTree.ts"

/** What shows the transaction. */
export interface Evidence {
  readonly span: Span
  readonly text: string
}

interface Event {
  readonly node: PyNode
  readonly kind: "begin" | "change" | "end"
}

const libraries =
  /^\.*(sqlite3|psycopg2?|asyncpg|sqlalchemy|aiosqlite|pymysql|MySQLdb|mysql|duckdb|oracledb|cx_Oracle|pyodbc|django|sqlmodel|peewee|databases|tortoise|apsw|libsql\w*|flask_sqlalchemy|snowflake|psycopg_pool)\b/
const statement =
  /^\s*(?:--.*\n\s*)*(?:(BEGIN|START\s+TRANSACTION|SAVEPOINT)|(COMMIT|ROLLBACK|END(?:\s+TRANSACTION)?\s*;?\s*$|RELEASE)|(INSERT|UPDATE|DELETE|REPLACE|MERGE))\b/i
const runs = /^(execute|executemany|executescript|exec_driver_sql|execute_async|execute_sql|raw|run)$/
const manager =
  /\btransaction\.atomic\b|\batomic\s*\(|\.transaction\s*\(|\.begin(_nested)?\s*\(|\.savepoint\s*\(|unit_of_work\s*\(/

/** Finds the transaction around a node, also one call away. */
export const makeTransactions = (names: Names): (node: PyNode) => Evidence | undefined => {
  const { tree } = names
  const usesSql = [...names.imports.values()].some((module) => libraries.test(module))
  const events: Array<Event> = []

  const sqlOf = (call: PyNode): string => {
    const arg = positional(call)[0]
    if (arg === undefined) return ""
    const inner = arg.kind === "call" ? positional(arg)[0] : arg
    const bound = inner?.kind === "identifier" || inner?.kind === "attribute" ? names.reaching(inner)[0]?.value : inner
    if (bound?.kind === "string" && bound.children.some(({ kind }) => kind === "interpolation")) {
      return textOf(tree, bound).replace(/^\w*("""|"|'''|')/, "")
    }
    return stringValue(tree, bound) ?? ""
  }

  for (const [name, calls] of names.calls) {
    if (runs.test(name)) {
      for (const node of calls) {
        const found = statement.exec(sqlOf(node))
        if (found === null) continue
        events.push({ node, kind: found[1] !== undefined ? "begin" : found[2] !== undefined ? "end" : "change" })
      }
    } else if (name === "commit" || name === "rollback") {
      for (const node of calls) if (positional(node).length === 0) events.push({ node, kind: "end" })
    } else if (name === "begin" && usesSql) {
      for (const node of calls) events.push({ node, kind: "begin" })
    }
  }
  events.sort((a, b) => a.node.start - b.node.start)
  const hasSql = usesSql || events.some(({ node }) => runs.test(calleeName(tree, node)))

  const evidence = (node: PyNode): Evidence => {
    const source = textOf(tree, node).split("\n")[0] ?? ""
    return { span: { start: node.start, end: node.end }, text: source.slice(0, 80) }
  }

  /** `with transaction.atomic():`, or `with connection:` around a statement that changes rows. */
  const managed = (node: PyNode): Evidence | undefined => {
    for (let at = node.parent; at !== undefined && at.kind !== "module"; at = at.parent) {
      if (at.kind === "with_statement") {
        const body = field(at, "body")
        if (body === undefined || !contains(body, node)) continue
        for (const item of at.children.find(({ kind }) => kind === "with_clause")?.children ?? []) {
          const value = field(item, "value")
          const manages = value?.kind === "as_pattern" ? value.children[0] : value
          if (manages === undefined) continue
          const source = textOf(tree, manages)
          if (hasSql && manager.test(source)) return evidence(manages)
          const name = textOf(tree, field(value, "alias")) || source
          const changes = events.some((event) =>
            event.kind === "change" && contains(body, event.node) && textOf(tree, receiver(event.node)) === name
          )
          if (changes) return evidence(manages)
        }
      }
      if (at.kind === "function_definition") {
        const decorator = at.parent?.children.find((child) =>
          child.kind === "decorator" && /\b(transaction\.)?atomic\b|\btransactional\b/.test(textOf(tree, child))
        )
        return decorator !== undefined && hasSql ? evidence(decorator) : undefined
      }
    }
    return undefined
  }

  const between = (node: PyNode): Evidence | undefined => {
    if (!hasSql) return undefined
    const scope = names.scope(node)
    const own = events.filter((event) => names.scope(event.node) === scope)
    const before = own.findLast((event) => event.node.start < node.start)
    const after = own.some((event) => event.kind === "end" && event.node.start > node.start)
    return before !== undefined && before.kind !== "end" && after ? evidence(before.node) : undefined
  }

  const direct = (node: PyNode): Evidence | undefined => managed(node) ?? between(node)

  return (node) => {
    if (events.length === 0 && !hasSql) return undefined
    const found = direct(node)
    if (found !== undefined) return found
    const definition = names.scope(node)
    if (definition?.kind !== "function_definition") return undefined
    for (const call of names.callers(definition)) {
      const around = direct(call)
      if (around !== undefined) return around
    }
    return undefined
  }
}
