/**
 * What `auditlog tail` does: the last records of a log, and with `-f` those to come.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Cursor from "../Cursor.ts"
import type * as LogEntry from "../LogEntry.ts"
import * as LogReader from "../LogReader.ts"
import * as Query from "../Query.ts"
import * as EntryPrinter from "./entryPrinter.ts"

/**
 * The arguments of `auditlog tail`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments extends Omit<EntryPrinter.Options, "command" | "salvaged"> {
  readonly only: boolean
  readonly lines: number
  readonly follow: boolean
}

/** The first look back; each further one is eight times as far, until there are enough records. */
const lookBytesFirst = 256 * 1024

/**
 * Prints the last records, and with `follow` goes on for ever. Fails with exit code 1 if there is damage among what is
 * shown, with 2 if the log cannot be read.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*({ follow, lines, only, ...options }: Arguments) {
  const printer = yield* EntryPrinter.make({ ...options, salvaged: false, command: "tail" })
  const tail = Effect.gen(function*() {
    const last = yield* lastEntries({ ...options, only, lines })
    yield* printer.print(last.entries.filter(({ _tag }) => !follow || !isAboutTheEnd(_tag)))
    if (!follow) return
    yield* Stream.runForEachArray(LogReader.follow(options.file, { from: last.cursor }), printer.print).pipe(
      // the file was cut or removed after its end was shown: said, and followed from its new start
      Effect.catchTag("CursorLost", ({ offset }) =>
        Effect.andThen(
          printer.print([{ _tag: "Truncated", file: options.file, offset }]),
          Stream.runForEachArray(LogReader.follow(options.file, { from: "start" }), printer.print)
        ))
    )
  })
  yield* tail.pipe(
    Effect.catchTag(
      ["LogReaderError", "SegmentCompressed", "CursorLost"],
      (error) => Effect.fail(EntryPrinter.readFailure(error))
    ),
    Effect.catchTag("StdoutClosed", () => Effect.void)
  )
  return yield* printer.end
})

/** What is said at the end of a log is not said where reading goes on. */
const isAboutTheEnd = (tag: LogEntry.LogEntry["_tag"]): boolean =>
  tag === "Pending" || tag === "Incomplete" || tag === "Missing"

/** The last matching entries, with what is wrong between them, and the cursor behind them. */
const lastEntries = Effect.fnUntraced(function*({ file, lines, only, predicate }: {
  readonly file: string
  readonly lines: number
  readonly only: boolean
  readonly predicate: Query.Predicate
}) {
  if (lines === 0) return { entries: [], cursor: yield* LogReader.cursorBeforeEnd(file, 0, { only }) }
  let before: Cursor.Cursor | undefined
  for (let bytes = lookBytesFirst;; bytes *= 8) {
    const from = yield* LogReader.cursorBeforeEnd(file, bytes, { only })
    const window = makeWindow(lines, predicate)
    let cursor = from
    yield* Stream.runForEachArray(LogReader.readPlaced(file, { only, from }), (placed) =>
      Effect.sync(() => {
        for (const { entry } of placed) window.add(entry)
        cursor = placed.at(-1)?.cursor ?? cursor
      }))
    const isAll = from.segment === before?.segment && from.offset === before.offset
    if (isAll || window.isFull()) return { entries: window.entries(), cursor }
    before = from
  }
})

/** Keeps the entries since the oldest of the last `size` matching ones. */
const makeWindow = (size: number, predicate: Query.Predicate) => {
  let entries: Array<LogEntry.LogEntry> = []
  let start = 0
  let matching = 0
  const isMatch = ({ _tag }: LogEntry.LogEntry): boolean => _tag === "Record" || _tag === "Foreign"
  return {
    add: (entry: LogEntry.LogEntry): void => {
      if (Query.hides(predicate, entry)) return
      entries.push(entry)
      if (isMatch(entry)) matching++
      while (matching > size) if (isMatch(entries[start++]!)) matching--
      if (start < 4096 || start < entries.length / 2) return
      entries = entries.slice(start)
      start = 0
    },
    isFull: (): boolean => matching >= size,
    entries: (): ReadonlyArray<LogEntry.LogEntry> => {
      // what stands before the first of them belongs to records that are not shown
      const first = entries.findIndex((entry, i) => i >= start && isMatch(entry))
      return matching < size || first < 0 ? entries.slice(start) : entries.slice(first)
    }
  }
}
