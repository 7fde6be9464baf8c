/**
 * From an opened Python file and what is done with its handle to the facts of a site.
 */
import type { HandleLife, Payload } from "../Site.ts"
import type { Life, Write } from "./pythonLife.ts"
import type { Names } from "./pythonNames.ts"
import { isJsonLinesPath, type Opened, pathEnds } from "./pythonOpen.ts"
import { blockOf, contains, type PyNode, statementOf, textOf } from "./pythonTree.ts"

const isJson = ({ shape }: Write): boolean => shape.kind === "line" || shape.kind === "multi"

/** True if both writes run one after the other: neither stands in another branch or function. */
const together = (a: Write, b: Write): boolean => {
  const first = blockOf(a.node)
  const second = blockOf(b.node)
  return first !== undefined && second !== undefined && (contains(first, b.node) || contains(second, a.node))
}

/** What is appended through a handle. */
export const payloadOf = (names: Names, opened: Opened, life: Life): Payload => {
  // Emptied and written again: a document.
  if (life.empties) return "text"
  const { writes } = life
  const texts = writes.filter(({ shape }) => shape.kind === "text")
  // JSON with other text before or after it through the same handle is a text file with JSON in it.
  const records = writes.filter((write) => isJson(write) && !texts.some((other) => together(other, write)))
  if (records.some(({ shape }) => shape.kind === "line")) return "record"
  if (records.length > 0) {
    const ends = pathEnds(names, opened.target)
    const isProse = ends.length > 0 && ends.every((end) => /\.(md|txt|log|rst|html?)$/i.test(end))
    return isProse ? "text" : "multiLineRecord"
  }
  if (writes.some(isJson) || texts.length > 0) return "text"
  const full = writes.filter(({ shape }) => shape.kind === "unknown")
  if (full.length === 0) return life.passed ? "unknown" : "text"
  const isLine = full.some((write) =>
    write.shape.newline || splitAfter(write, writes) > 0 ||
    /(^|[._])(json_?)?(line|lines|record|records|entry|entries|event|events|row|rows|json)(\([^()]*\))?$/i.test(
      textOf(names.tree, write.payload)
    )
  )
  return isLine && isJsonLinesPath(names, opened.target) ? "record" : "unknown"
}

/** Writes of only a line break that belong to a record without one. */
const splitAfter = (write: Write, writes: ReadonlyArray<Write>): number => {
  if (write.shape.newline) return 0
  const block = blockOf(write.node)
  return writes.some((other) =>
      other !== write && other.shape.kind === "blank" && other.shape.newline && block !== undefined &&
      contains(block, other.node)
    )
    ? 1
    : 0
}

/** The most write calls that one record takes. */
export const writesPerRecord = (life: Life): number =>
  life.writes.filter((write) => isJson(write) || write.shape.kind === "unknown")
    .reduce((most, write) => Math.max(most, write.calls + splitAfter(write, life.writes)), 1)

/** How long the handle lives. */
export const handleLife = (life: Life): HandleLife =>
  life.stored ? "stored" : life.passed ? "passed" : life.writes.some(({ loop }) => loop) ? "loop" : "once"

/** The statement for suppressions: a compound statement whose head has the node, or a plain one. */
export const statementSpan = (node: PyNode): { readonly start: number; readonly end: number } => {
  const { end, start } = statementOf(node)
  return { start, end }
}
