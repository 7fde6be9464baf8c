/**
 * The segments of a log as files: which there are, which file is which although names change, and how they are opened.
 *
 * A segment is renamed while it is read, by a rotation or by logrotate, which renames all of them. So a name is only
 * where a file was last seen: its device and inode say whether it is the same, and the hash of its first line whether it
 * is the same after a copy or a restore.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import * as Scope from "effect/Scope"
import { hash } from "node:crypto"
import { LogReaderError, unreadable } from "../ReadError.ts"
import * as Segment from "../Segment.ts"

/** A segment, and which file it was when it was listed. */
export interface Listed extends Segment.Segment {
  readonly inode: string
  readonly bytes: number
}

/** A file that is open for reading. */
export interface Opened {
  readonly file: FileSystem.File
  readonly path: string
  readonly inode: string
  readonly bytes: number
  readonly close: Effect.Effect<void>
}

const inodeOf = (info: FileSystem.File.Info): string => `${info.dev}:${Option.getOrElse(info.ino, () => "")}`

const isNotFound = (error: PlatformError): boolean => error.reason._tag === "NotFound"

/** The file that a path leads to now; `undefined` if there is nothing. */
export const inodeAt = (path: string): Effect.Effect<string | undefined, LogReaderError, FileSystem.FileSystem> =>
  FileSystem.FileSystem.use((fileSystem) => fileSystem.stat(path)).pipe(
    Effect.map(inodeOf),
    Effect.catchIf(isNotFound, () => Effect.succeed(undefined)),
    Effect.mapError(unreadable(path))
  )

/** A listing must be the same twice before it is believed; so many are tried. */
const listingsMax = 100

/** Files that are looked at at once: one after the other would take longer than a rotation where there are many. */
const statsMax = 64

/** What is read: a log with all its segments, or one file of it alone. */
export interface Target {
  readonly path: string
  readonly only: boolean
}

/**
 * The segments, oldest first; there is one at least. A directory is not read in one instant: while a file is renamed, it
 * can be missing from a listing under both names, and a listing that was begun before a rotation and ended after it has
 * the new live file without the one before it. So it is listed until two listings agree. A listing that was not
 * confirmed is never believed: a reader would go on behind a segment that it does not know of. Sealed segments keep their
 * names, so they are looked at once, and all listings but the first are short, however many there are.
 */
export const list = Effect.fnUntraced(function*({ only, path }: Target) {
  if (only) {
    const info = yield* Effect.mapError(FileSystem.FileSystem.use((_) => _.stat(path)), unreadable(path))
    const listed: Listed = { kind: "live", path, inode: inodeOf(info), bytes: Number(info.size) }
    return [listed]
  }
  const sealed = new Map<string, Listed>()
  let before: ReadonlyArray<Listed> | undefined
  for (let i = 0; i < listingsMax; i++) {
    const now = yield* listOnce(path, sealed)
    if (before !== undefined && sameFiles(before, now)) {
      if (now.length > 0) return now
      return yield* new LogReaderError({ file: path, problem: "there is no such file" })
    }
    before = now
  }
  return yield* new LogReaderError({
    file: path,
    problem: "its segments are renamed faster than they can be listed; try again"
  })
})

/** `sealed`: the sealed segments that were listed before, by their paths; those of this listing are added. */
const listOnce = Effect.fnUntraced(function*(live: string, sealed: Map<string, Listed>) {
  const fileSystem = yield* FileSystem.FileSystem
  const segments = yield* Effect.mapError(
    Segment.list(live),
    (cause) =>
      cause.reason._tag === "NotFound" || cause.reason._tag === "BadResource"
        ? new LogReaderError({ file: live, problem: "there is no such file", cause })
        : new LogReaderError({
          file: live,
          problem: `its directory cannot be listed (${cause.reason._tag}); read the file alone`,
          cause
        })
  )
  const look = Effect.fnUntraced(function*(segment: Segment.Segment) {
    const known = sealed.get(segment.path)
    if (known !== undefined) return known
    const info = yield* fileSystem.stat(segment.path).pipe(
      Effect.catchIf(isNotFound, () => Effect.succeed(undefined)),
      Effect.mapError(unreadable(segment.path))
    )
    if (info === undefined || (info.type !== "File" && segment.kind !== "live")) return undefined
    const found: Listed = { ...segment, inode: inodeOf(info), bytes: Number(info.size) }
    if (segment.kind === "sealed") sealed.set(segment.path, found)
    return found
  })
  // by their inodes: a rename by link and unlink gives a file two names for a moment, of which the last one counts
  const listed = new Map<string, Listed>()
  for (const found of yield* Effect.forEach(segments, look, { concurrency: statsMax })) {
    if (found === undefined) continue
    listed.delete(found.inode)
    listed.set(found.inode, found)
  }
  return Array.from(listed.values())
})

const sameFiles = (a: ReadonlyArray<Listed>, b: ReadonlyArray<Listed>): boolean =>
  a.length === b.length && a.every(({ inode, path }, i) => path === b[i]?.path && inode === b[i]?.inode)

/** Opens a file for reading, until it is closed or the scope is; `undefined` if there is none. */
export const open = Effect.fnUntraced(function*(path: string, scope: Scope.Scope) {
  const fileSystem = yield* FileSystem.FileSystem
  const opened = Effect.gen(function*() {
    // first, since opening a FIFO would wait for a writer
    const { type } = yield* fileSystem.stat(path)
    if (type === "Directory") return yield* new LogReaderError({ file: path, problem: "it is a directory" })
    if (type !== "File") return yield* new LogReaderError({ file: path, problem: "it is no regular file" })
    const own = yield* Scope.fork(scope)
    const file = yield* Scope.provide(fileSystem.open(path, { flag: "r" }), own)
    const info = yield* file.stat
    return {
      file,
      path,
      inode: inodeOf(info),
      bytes: Number(info.size),
      close: Scope.close(own, Exit.void)
    } satisfies Opened
  })
  return yield* opened.pipe(
    Effect.catchTag(
      "PlatformError",
      (error): Effect.Effect<undefined, LogReaderError> =>
        isNotFound(error) ? Effect.succeed(undefined) : Effect.fail(unreadable(path)(error))
    )
  )
})

/** Opens a segment as it was listed; `undefined` if it is gone, or its name is another file's by now: list again. */
export const openListed = Effect.fnUntraced(function*({ inode, path }: Listed, scope: Scope.Scope) {
  const opened = yield* open(path, scope)
  if (opened === undefined || opened.inode === inode) return opened
  yield* opened.close
  return undefined
})

/** How often a log is listed again because its segments were renamed meanwhile. */
const attemptsMax = 100

/** Looks for something among the segments until they stay what they are: `undefined` says that they did not. */
export const settled = Effect.fnUntraced(function*<A, E, R>(
  target: Target,
  look: (listed: ReadonlyArray<Listed>) => Effect.Effect<A | undefined, E, R>
) {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const found = yield* look(yield* list(target))
    if (found !== undefined) return found
  }
  return yield* new LogReaderError({
    file: target.path,
    problem: "its segments are renamed faster than they can be opened; try again"
  })
})

/** Bytes of a first line that its hash covers: a record's stamp, which no other record has, is within them. */
export const headBytesMax = 4096

/** Reads at an offset, until the buffer is full or the file ends. */
export const readAt = Effect.fnUntraced(
  function*({ file, path }: Pick<Opened, "file" | "path">, into: Uint8Array, offset: number) {
    let filled = 0
    while (filled < into.length) {
      const read = file.read(into.subarray(filled), { position: BigInt(offset + filled) })
      const count = yield* Effect.mapError(read, unreadable(path))
      if (count === 0) break
      filled += count
    }
    return into.subarray(0, filled)
  }
)

/** What a segment is called in cursors; `undefined` as long as it has no first line. */
export const nameOf = (head: Uint8Array): string | undefined => {
  const end = head.indexOf(0x0a)
  if (end < 0 && head.length < headBytesMax) return undefined
  return hash("sha256", end < 0 ? head : head.subarray(0, end), "base64url")
}

const backBytes = 64 * 1024

/** The start of the line that an offset is in: after the last newline before it. */
export const lineStart = Effect.fnUntraced(function*(source: Pick<Opened, "file" | "path">, offset: number) {
  let end = offset
  while (end > 0) {
    const start = Math.max(0, end - backBytes)
    const bytes = yield* readAt(source, new Uint8Array(end - start), start)
    const newline = bytes.lastIndexOf(0x0a)
    if (newline >= 0) return start + newline + 1
    end = start
  }
  return 0
})

/** How many newlines stand between two offsets. */
export const countLines = Effect.fnUntraced(function*(source: Pick<Opened, "file" | "path">, from: number, to: number) {
  const block = new Uint8Array(1024 * 1024)
  let count = 0
  for (let offset = from; offset < to;) {
    const bytes = yield* readAt(source, block.subarray(0, Math.min(block.length, to - offset)), offset)
    if (bytes.length === 0) break
    for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) count++
    offset += bytes.length
  }
  return count
})
