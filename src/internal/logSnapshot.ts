/**
 * The files of a log as they are at one moment, although it is written and rotated while they are read.
 *
 * The live file is opened first, and of it no more is read than it has then. Whatever stands in there was written after
 * the records it hangs on; so those are found in the older files, which are read to their ends afterwards.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import type * as Scope from "effect/Scope"
import * as Segment from "../Segment.ts"

/** A file cannot be read, or is none that could be. */
export class Unreadable extends Data.TaggedError("Unreadable")<{
  readonly file: string
  readonly problem: string
  readonly cause?: unknown
}> {}

/** A file is gone, or another one has its name now: list them again. */
export class Moved extends Data.TaggedError("Moved")<{ readonly file: string }> {}

export interface SnapshotFile {
  readonly path: string
  readonly inode: string
  /** What it had when it was looked at; of the newest file no more is read. */
  readonly bytes: number
  readonly isNewest: boolean
}

const inodeOf = (path: string, { dev, ino }: Pick<FileSystem.File.Info, "dev" | "ino">): string =>
  `${dev}:${Option.getOrElse(ino, () => path)}`

const unreadable = (file: string) => (cause: PlatformError): Unreadable => {
  const problem = cause.reason._tag === "NotFound"
    ? "there is no such file"
    : cause.reason._tag === "PermissionDenied"
    ? "permission denied; run it as a user who may read the file"
    : cause.message
  return new Unreadable({ file, problem, cause })
}

/** Looks at a path and refuses what is no file. */
const inspect = Effect.fnUntraced(function*(path: string) {
  const fileSystem = yield* FileSystem.FileSystem
  const info = yield* Effect.mapError(fileSystem.stat(path), unreadable(path))
  if (info.type === "File") return { path, inode: inodeOf(path, info), bytes: Number(info.size) }
  const problem = info.type === "Directory"
    ? "it is a directory; name the file of the log in it"
    : "it is no regular file"
  return yield* new Unreadable({ file: path, problem })
})

/** One file alone. */
export const single = (path: string): Effect.Effect<ReadonlyArray<SnapshotFile>, Unreadable, FileSystem.FileSystem> =>
  Effect.map(inspect(path), (file) => [{ ...file, isNewest: true }])

/** All files of a log, oldest first. */
export const take: (
  live: string
) => Effect.Effect<ReadonlyArray<SnapshotFile>, Unreadable | Moved, FileSystem.FileSystem> = Effect.fnUntraced(
  function*(live: string) {
    const newest = yield* Effect.result(inspect(live))
    const segments = yield* Effect.orElseSucceed(Segment.list(live), (): ReadonlyArray<Segment.Segment> => [])
    const compressed = segments.filter(({ kind }) => kind === "compressed")
    if (compressed.length > 0) {
      const others = compressed.length > 1 ? `, and so are ${compressed.length - 1} more segments` : ""
      return yield* new Unreadable({
        file: compressed[0]!.path,
        problem: `it is compressed${others}: unpack it first, with gunzip for example, or verify one file with --only`
      })
    }
    const files: Array<SnapshotFile> = []
    for (const { kind, path } of segments) {
      if (kind === "live") continue
      const file = yield* Effect.catchTag(
        inspect(path),
        "Unreadable",
        (error) => Effect.fail(isNotFound(error) ? new Moved({ file: path }) : error)
      )
      // sealed after it was looked at: this is the newest file, and what comes after it is newer
      if (newest._tag === "Success" && file.inode === newest.success.inode) break
      files.push({ ...file, isNewest: false })
    }
    if (newest._tag === "Success") return [...files, { ...newest.success, isNewest: true }]
    // for a moment, while a log is rotated, there is no live file
    if (files.length === 0 || !isNotFound(newest.failure)) return yield* newest.failure
    return files
  }
)

const isNotFound = ({ cause }: Unreadable): boolean => (cause as PlatformError | undefined)?.reason._tag === "NotFound"

/** The first bytes of compressed files, and what unpacks them. */
const compressions: ReadonlyArray<readonly [program: string, bytes: string]> = [
  ["gunzip", "1f8b"],
  ["unzstd", "28b52ffd"],
  ["unxz", "fd377a585a00"],
  ["bunzip2", "425a68"]
]

/** Opens a file of a snapshot for reading, wherever rotation has moved it to: it must be the same one. */
export const open = Effect.fnUntraced(function*(
  file: SnapshotFile,
  live: string
): Effect.fn.Return<FileSystem.File, Unreadable | Moved, FileSystem.FileSystem | Scope.Scope> {
  const fileSystem = yield* FileSystem.FileSystem
  const handle = yield* Effect.mapError(
    fileSystem.open(file.path, { flag: "r" }),
    (cause) => cause.reason._tag === "NotFound" ? new Moved({ file: file.path }) : unreadable(file.path)(cause)
  )
  const info = yield* Effect.mapError(handle.stat, unreadable(file.path))
  if (inodeOf(file.path, info) !== file.inode) {
    if (!file.isNewest || file.path !== live) return yield* new Moved({ file: file.path })
    // the live file was sealed since: it has another name now
    const sealed = yield* Effect.result(take(live))
    if (sealed._tag === "Failure") return yield* new Moved({ file: file.path })
    const moved = sealed.success.find(({ inode, path }) => inode === file.inode && path !== file.path)
    if (moved === undefined) return yield* new Moved({ file: file.path })
    return yield* open({ ...moved, isNewest: false }, live)
  }
  const start = yield* Effect.mapError(handle.readAlloc(6, { position: 0n }), unreadable(file.path))
  const hex = Buffer.from(Option.getOrElse(start, () => new Uint8Array(0))).toString("hex")
  const packed = compressions.find(([, bytes]) => hex.startsWith(bytes))
  if (packed === undefined) return handle
  return yield* new Unreadable({ file: file.path, problem: `it is compressed; unpack it first, with ${packed[0]}` })
})

/** Reads a file from its start, as far as the snapshot goes, into the space that is given each time. */
export const read = Effect.fnUntraced(function*(
  file: SnapshotFile,
  handle: FileSystem.File,
  space: () => Uint8Array,
  taken: (count: number) => Effect.Effect<void, Unreadable | Moved, FileSystem.FileSystem> | undefined
) {
  for (let left = file.isNewest ? file.bytes : Number.POSITIVE_INFINITY; left > 0;) {
    const into = space()
    const count = yield* Effect.mapError(
      handle.read(left < into.length ? into.subarray(0, left) : into),
      unreadable(file.path)
    )
    if (count === 0) return
    left -= count
    const then = taken(count)
    if (then !== undefined) yield* then
  }
})
