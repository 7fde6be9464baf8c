/**
 * Where reading begins: which segments, from which offset, and what of them was given before.
 *
 * A cursor stands between two lines, but what is said after it depends on lines before it: the parts of a transaction,
 * and the first of two repeats. So decoding begins earlier than the cursor, silently. How far is bounded: a batch is one
 * write of 1 MiB and one transaction of at most 16 MiB, and only what others write meanwhile stands between its parts.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Cursor from "../Cursor.ts"
import { CursorLost, SegmentCompressed } from "../ReadError.ts"
import * as SegmentFiles from "./segmentFiles.ts"

/** How many bytes before a cursor are decoded again: two batches at their greatest size, about. Tests provide fewer. */
export const LookBack = Context.Reference<number>("effect-auditlog/internal/LookBack", {
  defaultValue: () => 32 * 1024 * 1024
})

/** Segments that are looked at again after a rotation, for a write that was in flight into them. */
export const earlierMax = 3

/** What was given before: everything up to `offset`, except for the last `left` entries of the line that ends there. */
export interface Done {
  readonly offset: number
  readonly left: number
}

/** A segment to be read. `line` is the number of the line at `offset`; 0 if it is not known. */
export interface Planned extends SegmentFiles.Listed {
  readonly offset: number
  readonly line: number
  readonly done: Done | undefined
  /** Its name, where it was looked at: a file that has another one when it is read has been cut and written anew. */
  readonly name?: string | undefined
}

export interface Plan {
  readonly segments: ReadonlyArray<Planned>
  /** Read before these, but not behind these: they are only looked at for what is new. */
  readonly earlier: ReadonlyArray<Planned>
  /** Whether reading begins in the middle of what is there. */
  readonly joining: boolean
  /** Where what is given begins. */
  readonly cursor: Cursor.Cursor
  /** All files that are in the plan, or before it. */
  readonly known: ReadonlyArray<string>
}

const whole = (segment: SegmentFiles.Listed): Planned => ({ ...segment, offset: 0, line: 1, done: undefined })

/** All segments from the oldest on. */
export const fromStart = Effect.fnUntraced(function*(target: SegmentFiles.Target) {
  const listed = yield* SegmentFiles.list(target)
  const compressed = listed.find(({ kind }) => kind === "compressed")
  if (compressed !== undefined) return yield* new SegmentCompressed({ file: compressed.path })
  return plan({ segments: listed.map(whole), listed })
})

const plan = (
  { listed, ...made }:
    & { readonly segments: Plan["segments"]; readonly listed: ReadonlyArray<SegmentFiles.Listed> }
    & Partial<Plan>
): Plan => ({ earlier: [], joining: false, cursor: Cursor.start, known: listed.map(({ inode }) => inode), ...made })

interface Named extends SegmentFiles.Listed {
  readonly name: string | undefined
}

const withName = Effect.fnUntraced(function*(segment: SegmentFiles.Listed, scope: Scope.Scope) {
  const unnamed: Named = { ...segment, name: undefined }
  if (segment.kind === "compressed") return unnamed
  const opened = yield* SegmentFiles.openListed(segment, scope)
  if (opened === undefined) return undefined
  const head = yield* SegmentFiles.readAt(opened, new Uint8Array(SegmentFiles.headBytesMax), 0)
  yield* opened.close
  return { ...unnamed, name: SegmentFiles.nameOf(head) }
})

/** Files that are opened at once. */
const opensMax = 16

/** The segments with their names; `undefined` if one was renamed meanwhile. The live file is first: the others stay. */
const withNames = (scope: Scope.Scope) => (listed: ReadonlyArray<SegmentFiles.Listed>) =>
  Effect.forEach(listed.toReversed(), (segment) => withName(segment, scope), { concurrency: opensMax }).pipe(
    Effect.map((named) => {
      const found = named.filter((segment) => segment !== undefined)
      return found.length < named.length ? undefined : found.toReversed()
    })
  )

/** The place of the segment a position names, newest first; `undefined` if there is none. */
const locate = (segments: ReadonlyArray<Named>, position: Cursor.Position): number | "several" | undefined => {
  const found = segments.flatMap(({ name }, i) => name === position.segment ? [i] : [])
  const same = found.find((i) => segments[i]!.inode === position.inode)
  return same ?? (found.length > 1 ? "several" : found[0])
}

/** From a cursor on. */
export const fromCursor = Effect.fnUntraced(function*(
  log: SegmentFiles.Target,
  cursor: Cursor.Cursor,
  scope: Scope.Scope
) {
  if (cursor.segment === "") return yield* fromStart(log)
  const lost = (problem: string): CursorLost =>
    new CursorLost({ file: log.path, segment: cursor.segment, offset: cursor.offset, problem })
  const segments = yield* SegmentFiles.settled(log, withNames(scope))
  const at = locate(segments, cursor)
  if (at === "several") {
    return yield* lost("several segments begin with the same line, and which one is meant cannot be told")
  }
  if (at === undefined) {
    return yield* lost(
      segments.some(({ kind }) => kind === "compressed")
        ? "its segment is not among the readable ones; if it is compressed, unpack it, else retention has removed it"
        : "its segment is gone, removed by retention or by hand; what it held after the cursor cannot be read. " +
          "Start at the oldest segment that is left"
    )
  }
  const target = segments[at]!
  if (target.bytes < cursor.offset) {
    return yield* lost(`its segment has only ${target.bytes} bytes; it was cut, or is an incomplete copy`)
  }
  const compressed = segments.slice(at).find(({ kind }) => kind === "compressed")
  if (compressed !== undefined) return yield* new SegmentCompressed({ file: compressed.path })

  // what was given of the segments before: as far as the cursor says, else all
  const earlier = (cursor.earlier ?? []).flatMap((position) => {
    const i = locate(segments.slice(0, at), position)
    return typeof i === "number" ? [{ i, position }] : []
  })
  const doneOf = (i: number): Done => {
    const position = i === at ? cursor : earlier.find((known) => known.i === i)?.position
    return { offset: position?.offset ?? Number.POSITIVE_INFINITY, left: position?.left ?? 0 }
  }

  let from = at
  let budget = (yield* LookBack) - cursor.offset
  while (budget > 0 && from > 0 && segments[from - 1]!.kind !== "compressed") {
    from--
    budget -= segments[from]!.bytes
  }
  const unread = yield* Effect.forEach(
    earlier.filter(({ i }) => i < from),
    ({ i, position }) =>
      Effect.map(beginning(segments[i]!, position.offset, position, scope), (begin): Planned => ({
        ...whole(segments[i]!),
        ...begin,
        done: doneOf(i)
      }))
  )
  const first = segments[from]!
  const wanted = budget >= 0 ? 0 : -budget
  const begin = yield* beginning(first, wanted, from === at ? cursor : undefined, scope)
  return plan({
    segments: segments.slice(from).map((segment, i) => ({
      ...whole(segment),
      ...(i === 0 ? begin : {}),
      done: from + i <= at ? doneOf(from + i) : undefined
    })),
    earlier: unread,
    joining: from > 0 || begin.offset > 0,
    cursor,
    listed: segments
  })
})

/** The start of a line near an offset, and its number if the cursor tells that of another line. */
const beginning = Effect.fnUntraced(function*(
  segment: SegmentFiles.Listed,
  offset: number,
  known: Cursor.Position | undefined,
  scope: Scope.Scope
) {
  if (offset === 0) return { offset, line: 1 }
  const opened = yield* SegmentFiles.openListed(segment, scope)
  // renamed since the listing: whoever opens it next will notice, find it, and read it from its start
  if (opened === undefined) return { offset: 0, line: 1 }
  const start = yield* SegmentFiles.lineStart(opened, offset)
  const line = known?.line === undefined
    ? 0
    : known.line - (yield* SegmentFiles.countLines(opened, start, known.offset))
  yield* opened.close
  return { offset: start, line: start === 0 ? 1 : line }
})

/** A cursor at the start of the line that is about so many bytes before the end of the log. */
export const cursorBeforeEnd = (target: SegmentFiles.Target, bytes: number, scope: Scope.Scope) =>
  SegmentFiles.settled(target, (listed) => cursorIn(listed, bytes, scope))

const cursorIn = Effect.fnUntraced(function*(
  listed: ReadonlyArray<SegmentFiles.Listed>,
  bytes: number,
  scope: Scope.Scope
) {
  let left = bytes
  let at = listed.length - 1
  while (at > 0 && listed[at]!.kind !== "compressed" && listed[at]!.bytes < left) left -= listed[at--]!.bytes
  for (; at >= 0 && listed[at]!.kind !== "compressed"; at--) {
    const position = yield* positionIn(listed[at]!, left, scope)
    if (position === "moved") return undefined
    left = 0
    if (position === "empty") continue
    const earlier: Array<Cursor.Position> = []
    for (const segment of listed.slice(Math.max(0, at - earlierMax), at)) {
      const before = segment.kind === "compressed" ? "empty" : yield* positionIn(segment, 0, scope)
      if (before === "moved") return undefined
      if (before !== "empty") earlier.push(before)
    }
    const cursor: Cursor.Cursor = Object.assign(position, { earlier })
    return cursor
  }
  return Cursor.start
})

const positionIn = Effect.fnUntraced(function*(
  segment: SegmentFiles.Listed,
  bytesBeforeEnd: number,
  scope: Scope.Scope
) {
  const opened = yield* SegmentFiles.openListed(segment, scope)
  if (opened === undefined) return "moved"
  const head = yield* SegmentFiles.readAt(opened, new Uint8Array(SegmentFiles.headBytesMax), 0)
  const name = SegmentFiles.nameOf(head)
  const offset = yield* SegmentFiles.lineStart(opened, Math.max(0, opened.bytes - bytesBeforeEnd))
  yield* opened.close
  if (name === undefined) return "empty"
  const position: Cursor.Position = { segment: name, offset, inode: opened.inode, ...(offset === 0 ? { line: 1 } : {}) }
  return position
})
