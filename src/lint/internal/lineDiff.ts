/**
 * A unified diff of a text and what edits make of it, for `--diff`: `patch -p0` takes it.
 *
 * @since 0.1.0
 */
import type { Fix } from "../Site.ts"
import { TextLines } from "./textLines.ts"

type Edit = Fix["edits"][number]

const contextLines = 3

/** Lines `from` to `to` (exclusive) of the old text, and what stands there in the new one. */
interface Change {
  readonly from: number
  readonly to: number
  readonly lines: ReadonlyArray<string>
}

/** Applies edits, which are in order and do not overlap. */
export const apply = (text: string, edits: ReadonlyArray<Edit>): string => {
  let result = ""
  let at = 0
  for (const { span, text: replacement } of edits) {
    result += text.slice(at, span.start) + replacement
    at = span.end
  }
  return result + text.slice(at)
}

/** Each line with its end, so that a text without a last newline stays one. */
const linesOf = (text: string): ReadonlyArray<string> => text.match(/[^\n]*\n|[^\n]+$/g) ?? []

const changesOf = (lines: TextLines, edits: ReadonlyArray<Edit>): ReadonlyArray<Change> => {
  const groups: Array<{ first: number; last: number; edits: Array<Edit> }> = []
  for (const edit of edits) {
    const first = lines.lineAt(edit.span.start)
    const last = lines.lineAt(edit.span.end)
    const group = groups.at(-1)
    if (group !== undefined && first <= group.last) {
      group.last = Math.max(group.last, last)
      group.edits.push(edit)
    } else groups.push({ first, last, edits: [edit] })
  }
  return groups.map(({ edits, first, last }) => {
    const start = lines.startOf(first)
    const old = lines.text.slice(start, lines.startOf(last + 1))
    const moved = edits.map(({ span, text }) => ({
      span: { start: span.start - start, end: span.end - start },
      text
    }))
    return trimmed({ from: first - 1, to: last, lines: linesOf(apply(old, moved)) }, linesOf(old))
  })
}

/** Without the lines at both ends that stay as they are: an insertion is none but that. */
const trimmed = (change: Change, old: ReadonlyArray<string>): Change => {
  let { from, to } = change
  const lines = [...change.lines]
  let head = 0
  while (head < old.length && head < lines.length && old[head] === lines[head]) head++
  let tail = 0
  while (tail < old.length - head && tail < lines.length - head && old.at(-1 - tail) === lines.at(-1 - tail)) tail++
  from += head
  to = from - head + old.length - tail
  return { from, to, lines: lines.slice(head, lines.length - tail) }
}

/** The diff; empty if nothing changes. */
export const unified = (file: string, text: string, edits: ReadonlyArray<Edit>): string => {
  const old = linesOf(text)
  const changes = changesOf(new TextLines(text), edits).filter(({ from, lines, to }) => lines.length > 0 || to > from)
  const hunks: Array<Array<Change>> = []
  for (const change of changes) {
    const last = hunks.at(-1)?.at(-1)
    if (last !== undefined && change.from - last.to <= 2 * contextLines) hunks.at(-1)?.push(change)
    else hunks.push([change])
  }
  let shift = 0
  const texts = hunks.map((hunk) => {
    const start = Math.max(0, (hunk[0]?.from ?? 0) - contextLines)
    const end = Math.min(old.length, (hunk.at(-1)?.to ?? 0) + contextLines)
    const body: Array<string> = []
    let at = start
    let added = 0
    for (const { from, lines, to } of hunk) {
      body.push(...old.slice(at, from).map((line) => ` ${line}`), ...old.slice(from, to).map((line) => `-${line}`))
      body.push(...lines.map((line) => `+${line}`))
      added += lines.length - (to - from)
      at = to
    }
    body.push(...old.slice(at, end).map((line) => ` ${line}`))
    const header = `@@ -${range(start, end - start)} +${range(start + shift, end - start + added)} @@\n`
    shift += added
    return header +
      body.map((line) => (line.endsWith("\n") ? line : `${line}\n\\ No newline at end of file\n`)).join("")
  })
  return texts.length === 0 ? "" : `--- ${file}\n+++ ${file}\n${texts.join("")}`
}

/** A range of no lines is named by the line before it. */
const range = (start: number, count: number): string => `${count === 0 ? start : start + 1},${count}`
