/**
 * Opens the target of a log and refuses what cannot hold one.
 */
import * as Result from "effect/Result"
import { constants } from "node:fs"
import { dirname } from "node:path"
import { Unavailable, UnsafeTarget } from "../AuditError.ts"
import * as Segment from "../Segment.ts"
import { errorCode, type FileIdentity, type FilePort, type FileStat } from "./filePort.ts"
import { fileSystemKind } from "./fileSystemKind.ts"

export interface LogFileOptions {
  readonly path: string
  /** Permission bits of a new file, and the widest an existing one may have. */
  readonly mode: number
  readonly widerMode: "warn" | "refuse"
  readonly allowNetworkFileSystem: boolean
}

export interface LogFile {
  readonly kind: "file" | "fifo"
  readonly fd: number
  readonly identity: FileIdentity
  readonly size: number
  /** What a person should know about this target although it is accepted. */
  readonly warnings: ReadonlyArray<string>
}

type Opened = Result.Result<LogFile, UnsafeTarget | Unavailable>

/** Why a target that exists cannot hold a log, by its kind. */
const kindProblem: Record<Exclude<FileStat["kind"], "file" | "fifo">, string> = {
  directory: "it is a directory; name a file in it",
  symlink: "it is a symbolic link, which somebody could point elsewhere; name the file it leads to",
  other: "it is a device or a socket; name a regular file"
}

const octal = (mode: number): string => mode.toString(8).padStart(4, "0")

/** Why the system refused to open the target, and whether trying again can help. */
const openProblem = (code: string, path: string): { readonly problem: string; readonly isRetryable: boolean } => {
  switch (code) {
    case "ENOTDIR":
      return { problem: `${dirname(path)} is not a directory`, isRetryable: false }
    case "ENOENT":
      return { problem: `there is no directory ${dirname(path)}; create it`, isRetryable: false }
    case "EACCES":
    case "EPERM":
      return { problem: "permission denied; let this user write the file and its directory", isRetryable: false }
    case "EROFS":
      return { problem: "the file system is mounted read-only", isRetryable: false }
    case "ENXIO":
      return { problem: "it is a FIFO that no program reads; start the reader first", isRetryable: true }
    default:
      return { problem: `it cannot be opened (${code})`, isRetryable: true }
  }
}

const create = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW
// Without O_NONBLOCK the open of a FIFO that nobody reads would hang the whole process.
const pipe = constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Closes a descriptor that is of no more use: an error of the close says nothing about what was flushed before it. */
export const closeQuietly = (port: FilePort, fd: number): void => {
  try {
    port.close(fd)
  } catch {
    // the kernel has freed the descriptor all the same (close(2))
  }
}

/**
 * How many bytes were removed from outside with the file that a process has open; 0 if they were not, or may not have
 * been: its file has no name any more, and a new one, empty, is the only one of the log. What retention removes was
 * sealed, and a record in the live file says so; a repair leaves a whole file under the name. Never throws.
 */
export const removedBytes = (port: FilePort, path: string, before: LogFile, after: LogFile): number => {
  if (after.size > 0) return 0
  try {
    const { links, size } = port.fstat(before.fd)
    return links > 0 || Segment.pick(path, port.list(dirname(path))).length > 1 ? 0 : size
  } catch {
    return 0
  }
}

/** Opens the target as design section 3 says. Never throws. */
export const open = (port: FilePort, options: LogFileOptions): Opened => {
  const { path } = options
  const unsafe = (problem: string): Opened => Result.fail(new UnsafeTarget({ path, problem }))
  let fd: number | undefined
  const close = (): void => {
    if (fd !== undefined) closeQuietly(port, fd)
    fd = undefined
  }
  const refuse = (problem: string): Opened => {
    close()
    return unsafe(problem)
  }
  try {
    const warnings: Array<string> = []
    const fileSystem = fileSystemKind(port.fileSystemType(dirname(path)))
    if (fileSystem._tag === "network" && !options.allowNetworkFileSystem) {
      return unsafe(
        `it is on a network file system (${fileSystem.name}), where appends of several hosts overwrite each other; ` +
          `keep the log on a local disk, or set allowNetworkFileSystem if one host alone writes it`
      )
    }
    const before = port.lstat(path)
    if (before !== undefined && before.kind !== "file" && before.kind !== "fifo") {
      return unsafe(kindProblem[before.kind])
    }

    const wantsPipe = before?.kind === "fifo"
    fd = port.open(path, wantsPipe ? pipe : create, options.mode)
    const stat = port.fstat(fd)
    if (wantsPipe) {
      if (stat.kind !== "fifo") return refuse("it changed while it was opened")
      warnings.push("it is a FIFO: what its reader does with the records is not known, and nothing can be flushed")
      return Result.succeed({ kind: "fifo", fd, identity: port.identityOf(fd), size: 0, warnings })
    }
    if (stat.kind !== "file") {
      return refuse(stat.kind === "fifo" ? "it changed while it was opened" : kindProblem[stat.kind])
    }
    if (stat.links !== 1) {
      return refuse(`it has ${stat.links} hard links, so it may be written or cut under another name; remove them`)
    }
    const wider = stat.mode & 0o777 & ~options.mode
    if (wider !== 0) {
      const problem = `its mode is ${octal(stat.mode)}, wider than ${octal(options.mode)}`
      if (options.widerMode === "refuse") return refuse(`${problem}; run chmod ${octal(options.mode)} on it`)
      warnings.push(problem)
    }
    if (fileSystem._tag === "memory") warnings.push(`it is on ${fileSystem.name}: it does not survive a restart`)
    if (fileSystem._tag === "unknown") {
      warnings.push(`it is on ${fileSystem.name}: whether appends and flushes hold depends on what is behind it`)
    }
    if (stat.size === 0) port.fsync(fd)
    // Perhaps another program has created it a moment ago: the name must be durable before a record in it counts.
    port.fsyncDirectory(dirname(path))
    return Result.succeed({ kind: "file", fd, identity: port.identityOf(fd), size: stat.size, warnings })
  } catch (cause) {
    close()
    const code = errorCode(cause)
    if (code === "ELOOP") return unsafe(kindProblem.symlink)
    if (code === "EISDIR") return unsafe(kindProblem.directory)
    return Result.fail(new Unavailable({ path, ...openProblem(code, path), committed: "no", cause }))
  }
}
