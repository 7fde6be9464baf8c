/**
 * What a relay that died has left in the log: it appends a batch before it deletes the rows, so those rows may be there
 * already. The cursor that is kept with every deletion says where to begin, so that what is read is two batches of this
 * outbox and what others have written since.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { constants } from "node:fs"
import * as Cursor from "../Cursor.ts"
import type * as HashChain from "../HashChain.ts"
import type { AuditRecord } from "../LogEntry.ts"
import * as LogReader from "../LogReader.ts"
import { FilePort } from "./filePort.ts"

const CursorText = Schema.fromJsonString(Cursor.Cursor)
const encodeCursor = Schema.encodeSync(CursorText)
const decodeCursor = Schema.decodeUnknownResult(CursorText)

/**
 * Says where the log ends, as text for the state row. Asked after every batch: while the live file is the one that it was,
 * and ends in a newline, its size is the answer.
 */
export const makeEnd = Effect.fnUntraced(function*(path: string) {
  const port = yield* FilePort
  let last: Cursor.Cursor | undefined

  const quick = (): Cursor.Cursor | undefined => {
    if (last?.inode === undefined) return undefined
    try {
      const fd = port.open(path, constants.O_RDONLY, 0)
      try {
        const { size } = port.fstat(fd)
        const byte = new Uint8Array(1)
        if (port.identityOf(fd) !== last.inode || size < last.offset || size === 0) return undefined
        if (port.read(fd, byte, size - 1) !== 1 || byte[0] !== 0x0a) return undefined
        const { earlier, inode, segment } = last
        return { segment, offset: size, inode, ...(earlier === undefined ? {} : { earlier }) }
      } finally {
        port.close(fd)
      }
    } catch {
      return undefined
    }
  }

  return Effect.suspend(() => {
    const cursor = quick()
    return cursor === undefined ? LogReader.cursorBeforeEnd(path, 0) : Effect.succeed(cursor)
  }).pipe(
    Effect.map((cursor) => {
      last = cursor
      return encodeCursor(cursor)
    })
  )
})

/** How much others may write before the cursor of an idle outbox follows: to read it takes some 10 ms. */
const idleBytesMax = 4 * 1024 * 1024

/** Whether reading from one cursor to the other takes long, or begins in another segment. */
export const isFar = (from: string, to: string): boolean => {
  const [a, b] = [decodeCursor(from), decodeCursor(to)]
  if (Result.isFailure(a) || Result.isFailure(b)) return true
  return a.success.segment !== b.success.segment || b.success.offset - a.success.offset > idleBytesMax
}

/** Hash, brace and key at the end of every line. */
const tailLength = 55

/** The fields of a record as they stand in its line: `src` is the last key of a stamp. */
const fieldsOf = ({ stamp: { src }, text }: AuditRecord): string => {
  const mark = `"src":"${src}"}`
  const at = text.indexOf(mark)
  return at < 0 ? "" : text.slice(at + mark.length + 1, text.length - tailLength)
}

/** What a row is known by, besides its number: a database that was restored gives that to another row. */
export const contentOf = (at: string, fields: string): string => `${at} ${fields}`

/**
 * The rows of an outbox that stand in the log behind a cursor, by their number, each with its time and its fields; and the
 * files that they stand in. Rows below the lowest one that waits are left out: they were deleted, and after a cursor that
 * leads nowhere any more they would be all that the log has ever held. Such a cursor means that the log was moved or its
 * old segments are gone: then what is left is read from its start.
 */
export const find = Effect.fnUntraced(function*(options: {
  readonly path: string
  readonly outbox: string
  readonly cursor: string
  readonly lowest: string
  readonly keys: ReadonlyArray<HashChain.Key> | undefined
}) {
  const { cursor, keys, outbox, path } = options
  const lowest = BigInt(options.lowest)
  const prefix = `${outbox}:`
  const rows = new Map<string, string>()
  const files = new Set<string>()
  const read = (from: Cursor.Cursor | "start") =>
    Stream.runForEach(LogReader.read(path, { keys, from }), (entry) =>
      Effect.sync(() => {
        if (entry._tag !== "Record" || !entry.stamp.src?.startsWith(prefix)) return
        const row = entry.stamp.src.slice(prefix.length)
        if (!/^\d+$/.test(row) || BigInt(row) < lowest) return
        rows.set(row, contentOf(entry.stamp.at, fieldsOf(entry)))
        files.add(entry.file)
      }))
  const decoded = decodeCursor(cursor)
  yield* read(Result.isSuccess(decoded) ? decoded.success : "start").pipe(
    Effect.catchTag("CursorLost", () => read("start"))
  )
  return { rows, files }
})

/**
 * Flushes what was found: the relay that wrote it may have died before its own flush. False if that fails, or if a file
 * has another name by now; then nothing that was found may be relied on.
 */
export const flush = (files: ReadonlySet<string>): Effect.Effect<boolean, never, FileSystem.FileSystem> =>
  Effect.scoped(
    Effect.forEach(
      files,
      (file) =>
        FileSystem.FileSystem.use((fileSystem) =>
          Effect.flatMap(fileSystem.open(file, { flag: "r" }), (open) => open.sync)
        ),
      {
        discard: true
      }
    )
  ).pipe(
    Effect.as(true),
    Effect.catchCause(() => Effect.succeed(false))
  )
