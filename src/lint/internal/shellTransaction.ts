/** Evidence that an append stands between BEGIN and COMMIT or ROLLBACK of a SQL client's session. */
import type { Span } from "../Site.ts"
import { commandName } from "./shellNames.ts"
import type { Evaluation } from "./shellOutput.ts"
import { closest, functionOf, heredocsOf, type Node, nodesOf, stagesOf } from "./shellTree.ts"

const clients = /^(?:psql|sqlite3|mysql|mariadb|duckdb|usql|pgcli|sqlcmd)$/
const begin =
  /(?:^|[;"'\n])\s*(BEGIN(?:\s+(?:TRANSACTION|WORK|IMMEDIATE|EXCLUSIVE|DEFERRED))?|START\s+TRANSACTION)\s*(?:;|["'\n]|$)/gi
const end = /(?:^|[;"'\n])\s*(?:COMMIT|ROLLBACK|END\s+TRANSACTION)\b/gi

type Evidence = { readonly span: Span; readonly text: string }

/** The last BEGIN before and the first COMMIT after a place in a range of text, with no end between. */
const around = (text: string, within: Span, place: Span): Evidence | undefined => {
  const before = text.slice(within.start, place.start)
  const opened = [...before.matchAll(begin)].at(-1)
  if (opened === undefined) return undefined
  const closed = [...before.matchAll(end)].at(-1)
  if (closed !== undefined && closed.index > opened.index) return undefined
  if (text.slice(place.end, within.end).search(new RegExp(end.source, "i")) < 0) return undefined
  const word = opened[1] ?? ""
  const start = within.start + opened.index + opened[0].indexOf(word)
  return { span: { start, end: start + word.length }, text: word }
}

const isClient = (evaluation: Evaluation, node: Node): boolean => {
  const command = closest(node, (at) => at.type === "command") ?? nodesIn(evaluation, node)[0]
  return command !== undefined && clients.test(commandName(evaluation.script, command).replace(/^.*\//, ""))
}

const nodesIn = (evaluation: Evaluation, span: Span): ReadonlyArray<Node> =>
  nodesOf(evaluation.script, "command").filter((command) => command.start >= span.start && command.end <= span.end)

export const transactionAt = (evaluation: Evaluation, statement: Node): Evidence | undefined => {
  const { text } = evaluation.script
  if (!/psql|sqlite3|mysql|mariadb|duckdb|usql|pgcli|sqlcmd/.test(text)) return undefined
  // Inside the heredoc that the client reads, or in a group whose output it reads: one session.
  const session = closest(statement.parent, (at) => {
    if (at.type === "redirected_statement" && heredocsOf(at).length > 0) return isClient(evaluation, at)
    if (at.type !== "pipeline") return false
    const last = stagesOf(at).at(-1)
    return last !== undefined && last.start > statement.end && isClient(evaluation, last)
  })
  if (session !== undefined) return around(text, session, statement)
  // One client after the other is one session only if it is kept open: a coprocess, or a descriptor.
  const scope = functionOf(statement) ?? evaluation.script.root
  const isKept = /\bcoproc\b/.test(text) || /exec\s+\{?\w+\}?>\s*>\(\s*(?:psql|sqlite3|mysql|mariadb)/.test(text)
  return isKept ? around(text, scope, statement) : undefined
}
