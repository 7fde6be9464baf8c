/**
 * The system calls of a repair, on descriptors: `fchown`, `fchmod`, `futimes` and `O_NOFOLLOW`, which the FileSystem
 * service does not have. Each is short and synchronous; a flush, which may take long, goes to the thread pool.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import { dirname } from "node:path"
import { Unfinished, Unsuitable } from "../RepairReport.ts"
import { errorCode } from "./filePort.ts"

/** Larger blocks read no faster: 1 MiB, measured on ext4. Between blocks other fibers run. */
export const blockBytes = 1024 * 1024

/** A file that is repaired, open for reading. */
export interface Source {
  readonly path: string
  readonly fd: number
  readonly stat: Fs.BigIntStats
  readonly size: number
}

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = Fs.constants

/** Runs a step; what it throws becomes an `Unfinished` that names it. */
export const attempt = <A>(file: string, step: string, run: () => A): Effect.Effect<A, Unfinished> =>
  Effect.try({ try: run, catch: (cause) => unfinished(file, step, cause) })

const hint = (code: string): string => {
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return "; it needs as much room as the file has bytes"
    case "EPERM":
    case "EACCES":
      return "; repair as the owner of the file or as root, and take an append-only attribute away (chattr -a)"
    case "EROFS":
      return "; the file system is mounted read-only"
    default:
      return ""
  }
}

export const unfinished = (file: string, step: string, cause: unknown, replaced = false): Unfinished => {
  const code = errorCode(cause)
  return new Unfinished({ file, problem: `cannot ${step} (${code}${hint(code)})`, replaced, cause })
}

const openProblem = (code: string): string => {
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return "there is no such file"
    case "EACCES":
    case "EPERM":
      return "permission denied"
    case "ELOOP":
      return "it is a symbolic link; name the file it leads to"
    default:
      return `it cannot be opened (${code})`
  }
}

/** What files that were compressed begin with. */
const compressions: ReadonlyArray<readonly [name: string, magic: ReadonlyArray<number>]> = [
  ["gzip", [0x1f, 0x8b]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["lz4", [0x04, 0x22, 0x4d, 0x18]],
  ["compress", [0x1f, 0x9d]]
]

const problemOf = (fd: number, stat: Fs.BigIntStats): string | undefined => {
  if (stat.isDirectory()) return "it is a directory; name a file in it"
  if (!stat.isFile()) return "it is no regular file"
  if (stat.nlink !== 1n) {
    return `it has ${stat.nlink} hard links, and would keep its damage under its other names; remove them`
  }
  const head = Buffer.alloc(8)
  Fs.readSync(fd, head, 0, head.length, 0)
  const compression = compressions.find(([, magic]) => magic.every((byte, at) => head[at] === byte))
  return compression === undefined ? undefined : `it is compressed (${compression[0]}); unpack it first`
}

/** Opens a file for repair; it is closed with the scope. */
export const open = (path: string): Effect.Effect<Source, Unsuitable, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: (): Source => {
        // without O_NONBLOCK the open of a FIFO that nobody writes would hang the whole process
        const fd = Fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        try {
          const stat = Fs.fstatSync(fd, { bigint: true })
          const problem = problemOf(fd, stat)
          if (problem !== undefined) throw new Unsuitable({ file: path, problem })
          return { path, fd, stat, size: Number(stat.size) }
        } catch (cause) {
          Fs.closeSync(fd)
          throw cause
        }
      },
      catch: (cause) =>
        cause instanceof Unsuitable ? cause : new Unsuitable({ file: path, problem: openProblem(errorCode(cause)) })
    }),
    ({ fd }) => Effect.sync(() => Fs.closeSync(fd))
  )

/** Why the path no longer leads to what was opened, or its bytes are no longer those; `undefined` if it does. */
export const changeOf = ({ fd, path, stat }: Source): string | undefined => {
  const now = Fs.fstatSync(fd, { bigint: true })
  if (now.size !== stat.size) return `it has ${now.size} bytes now, and had ${stat.size}`
  if (now.mtimeNs !== stat.mtimeNs) return "it was written to"
  const named = Fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })
  return named === undefined || named.ino !== stat.ino || named.dev !== stat.dev
    ? "another file stands under its name"
    : undefined
}

/** Reads up to a length at an offset, into a buffer of one's own; fewer bytes only at the end of the file. */
export const readAt = (fd: number, into: Uint8Array, offset: number): Uint8Array => {
  let filled = 0
  while (filled < into.length) {
    const count = Fs.readSync(fd, into, filled, into.length - filled, offset + filled)
    if (count === 0) break
    filled += count
  }
  return into.subarray(0, filled)
}

/** Writes all of it; a short write is no harm to a file that nobody else knows. */
export const writeAll = (fd: number, bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length;) at += Fs.writeSync(fd, bytes, at)
}

/** Flushes a file on the thread pool. */
export const fsync = (file: string, fd: number, step: string): Effect.Effect<void, Unfinished> =>
  Effect.uninterruptible(Effect.callback<void, Unfinished>((resume) => {
    Fs.fsync(fd, (cause) => resume(cause ? Effect.fail(unfinished(file, step, cause)) : Effect.void))
  }))

/** Makes the names in the directory of a file durable. */
export const fsyncDirectory = (file: string, replaced = false): Effect.Effect<void, Unfinished> =>
  Effect.try({
    try: () => {
      const fd = Fs.openSync(dirname(file), O_RDONLY)
      try {
        Fs.fsyncSync(fd)
      } finally {
        Fs.closeSync(fd)
      }
    },
    catch: (cause) => unfinished(file, "flush its directory", cause, replaced)
  })

/** The clean copy of a file, until it takes its place. */
export interface Copy {
  readonly path: string
  readonly fd: number
  /** Nothing is left to remove under the name of the copy. */
  placed: boolean
}

/** Whether a path still leads to a descriptor. */
export const isAt = (path: string, fd: number): boolean => {
  const stat = Fs.fstatSync(fd, { bigint: true })
  const named = Fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })
  return named !== undefined && named.ino === stat.ino && named.dev === stat.dev
}

/**
 * Creates the copy, with the owner, the mode and the times of the file. One that a killed repair has left is removed;
 * `isInUse` says whether it is that of a repair which still runs. It is removed with the scope, unless it was placed.
 */
export const createCopy = (
  source: Source,
  isInUse: (fd: number) => boolean
): Effect.Effect<Copy, Unfinished, Scope.Scope> =>
  Effect.acquireRelease(
    attempt(source.path, "create its copy", (): Copy => {
      const path = `${source.path}.repair-copy`
      removeLeftover(path, isInUse)
      const fd = Fs.openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
      const copy: Copy = { path, fd, placed: false }
      try {
        const own = Fs.fstatSync(fd, { bigint: true })
        if (own.uid !== source.stat.uid || own.gid !== source.stat.gid) {
          Fs.fchownSync(fd, Number(source.stat.uid), Number(source.stat.gid))
        }
        Fs.fchmodSync(fd, Number(source.stat.mode & 0o7777n))
      } catch (cause) {
        removeCopy(copy)
        throw cause
      }
      return copy
    }),
    (copy) => Effect.sync(() => removeCopy(copy))
  )

const removeLeftover = (path: string, isInUse: (fd: number) => boolean): void => {
  let fd: number
  try {
    fd = Fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") return
    throw cause
  }
  try {
    if (isInUse(fd)) throw Object.assign(new Error("another repair runs"), { code: "another repair of it runs" })
    Fs.unlinkSync(path)
  } finally {
    Fs.closeSync(fd)
  }
}

const removeCopy = (copy: Copy): void => {
  try {
    if (!copy.placed && isAt(copy.path, copy.fd)) Fs.unlinkSync(copy.path)
  } catch {
    // the next repair removes it
  } finally {
    Fs.closeSync(copy.fd)
  }
}

/** Gives the copy the times of the file: log rotation goes by them. */
export const keepTimes = (source: Source, copy: Copy): void => {
  Fs.futimesSync(copy.fd, Number(source.stat.atimeMs) / 1000, Number(source.stat.mtimeMs) / 1000)
}

/**
 * Appends to the file in its new place what was written to the old one after it was copied, and says how many bytes
 * that were. A writer that had the file open could append between the last look and the rename.
 */
export const appendLate = (source: Source, path: string): number => {
  let offset = source.size
  const block = new Uint8Array(blockBytes)
  for (let bytes = readAt(source.fd, block, offset); bytes.length > 0; bytes = readAt(source.fd, block, offset)) {
    const fd = Fs.openSync(path, Fs.constants.O_WRONLY | Fs.constants.O_APPEND | O_NOFOLLOW)
    try {
      writeAll(fd, bytes)
      Fs.fsyncSync(fd)
    } finally {
      Fs.closeSync(fd)
    }
    offset += bytes.length
  }
  return offset - source.size
}
