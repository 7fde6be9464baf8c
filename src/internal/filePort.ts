/**
 * The system calls of the append path, behind a port, so that tests can make each of them fail. `node:fs` directly and
 * synchronously: a write and its read-back take microseconds, less than a trip to the thread pool. Only the flush goes
 * there, which may take milliseconds.
 *
 * Members throw the errors of `node:fs`; {@link errorCode} names them.
 */
import * as Context from "effect/Context"
import * as Fs from "node:fs"

/** What the append path asks of a file. */
export interface FileStat {
  readonly kind: "file" | "directory" | "symlink" | "fifo" | "other"
  readonly size: number
  readonly mode: number
  readonly links: number
  /** When the file was created, in milliseconds since 1970; 0 where the file system does not say. */
  readonly bornMillis: number
}

/** Device and inode as text: what tells a rotated file from the one that is open. */
export type FileIdentity = string

export interface FilePort {
  /** `statfs(2)`: the magic number of the file system. */
  readonly fileSystemType: (path: string) => number
  /** `lstat(2)`; `undefined` if there is nothing. */
  readonly lstat: (path: string) => FileStat | undefined
  /** Device and inode of what the path leads to now; `undefined` if there is nothing. */
  readonly identity: (path: string) => FileIdentity | undefined
  readonly open: (path: string, flags: number, mode: number) => number
  readonly close: (fd: number) => void
  readonly fstat: (fd: number) => FileStat
  readonly identityOf: (fd: number) => FileIdentity
  /** One call of `write(2)`, as far as the platform allows: libuv re-issues the rest of a short write. */
  readonly write: (fd: number, bytes: Uint8Array) => number
  /** One call of `pread(2)`. */
  readonly read: (fd: number, into: Uint8Array, position: number) => number
  readonly rename: (from: string, to: string) => void
  readonly unlink: (path: string) => void
  /** The names in a directory. */
  readonly list: (path: string) => ReadonlyArray<string>
  readonly fsync: (fd: number) => void
  /** `fsync(2)` of a directory, which makes the entries in it durable. */
  readonly fsyncDirectory: (path: string) => void
  /** `fdatasync(2)` on the thread pool: flushes data and size, which is all an append changes. */
  readonly fdatasync: (fd: number, done: (error: unknown) => void) => void
}

const kindOf = (stat: Fs.Stats): FileStat["kind"] =>
  stat.isFile()
    ? "file"
    : stat.isDirectory()
    ? "directory"
    : stat.isSymbolicLink()
    ? "symlink"
    : stat.isFIFO()
    ? "fifo"
    : "other"

const toFileStat = (stat: Fs.Stats): FileStat => ({
  kind: kindOf(stat),
  size: stat.size,
  mode: stat.mode & 0o7777,
  links: stat.nlink,
  bornMillis: stat.birthtimeMs
})

// As bigints: inode numbers of overlayfs and of large file systems do not fit a double.
const toIdentity = (stat: Fs.BigIntStats): FileIdentity => `${stat.dev}:${stat.ino}`

const node: FilePort = {
  fileSystemType: (path) => Fs.statfsSync(path).type,
  lstat: (path) => {
    const stat = Fs.lstatSync(path, { throwIfNoEntry: false })
    return stat === undefined ? undefined : toFileStat(stat)
  },
  identity: (path) => {
    const stat = Fs.statSync(path, { bigint: true, throwIfNoEntry: false })
    return stat === undefined ? undefined : toIdentity(stat)
  },
  open: (path, flags, mode) => Fs.openSync(path, flags, mode),
  close: (fd) => Fs.closeSync(fd),
  fstat: (fd) => toFileStat(Fs.fstatSync(fd)),
  identityOf: (fd) => toIdentity(Fs.fstatSync(fd, { bigint: true })),
  write: (fd, bytes) => Fs.writeSync(fd, bytes),
  read: (fd, into, position) => Fs.readSync(fd, into, 0, into.length, position),
  rename: (from, to) => Fs.renameSync(from, to),
  unlink: (path) => Fs.unlinkSync(path),
  list: (path) => Fs.readdirSync(path),
  fsync: (fd) => Fs.fsyncSync(fd),
  fsyncDirectory: (path) => {
    const fd = Fs.openSync(path, Fs.constants.O_RDONLY)
    try {
      Fs.fsyncSync(fd)
    } finally {
      Fs.closeSync(fd)
    }
  },
  fdatasync: (fd, done) => Fs.fdatasync(fd, done)
}

/** The port in use; tests provide another one. */
export const FilePort = Context.Reference<FilePort>("effect-auditlog/internal/FilePort", { defaultValue: () => node })

/** The name of a system error. Node has none for EDQUOT and calls it `Unknown system error -122`. */
export const errorCode = (error: unknown): string => {
  const { code, errno } = error as { readonly code?: unknown; readonly errno?: unknown }
  if (errno === -122) return "EDQUOT"
  return typeof code === "string" ? code : error instanceof Error ? error.name : "unknown error"
}
