/**
 * The segments of a log as its shipper sees them: listed without a break in between, opened by descriptor.
 *
 * It reads through the file port, as the appender does, and not through Effect's `FileSystem` as readers do: what is
 * shipped has to be flushed first, which needs the descriptor; and what was appended a moment ago is in memory, where a
 * read takes microseconds.
 */
import * as Data from "effect/Data"
import { hash } from "node:crypto"
import { constants } from "node:fs"
import { dirname } from "node:path"
import * as Segment from "../Segment.ts"
import type { FilePort } from "./filePort.ts"
import { headBytesMax, nameOf } from "./segmentFiles.ts"

/** The log is not what was shipped of it any more. */
export class Diverged extends Data.TaggedError("Diverged")<{ readonly problem: string }> {}

/** The log cannot be read, or not be flushed. */
export class SourceUnreadable extends Data.TaggedError("SourceUnreadable")<{ readonly problem: string }> {}

export interface Listed extends Segment.Segment {
  readonly inode: string
  readonly bytes: number
}

/** How often files may be renamed while they are listed or opened, before that is an error. */
const attemptsMax = 100

const listOnce = (port: FilePort, live: string): ReadonlyArray<Listed> => {
  const listed: Array<Listed> = []
  for (const segment of Segment.pick(live, port.list(dirname(live)))) {
    const inode = port.identity(segment.path)
    const bytes = port.lstat(segment.path)?.size
    if (inode === undefined || bytes === undefined) continue
    const twin = listed.findIndex((other) => other.inode === inode)
    if (twin >= 0) listed.splice(twin, 1)
    listed.push({ ...segment, inode, bytes })
  }
  return listed
}

/** The segments, oldest first. Another process can rename one meanwhile, so it is listed until two listings agree. */
export const list = (port: FilePort, live: string): ReadonlyArray<Listed> => {
  let before = listOnce(port, live)
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const now = listOnce(port, live)
    if (now.length === before.length && now.every(({ inode, path }, i) => isSame(before[i], inode, path))) return now
    before = now
  }
  throw new SourceUnreadable({ problem: "its segments are renamed faster than they can be listed" })
}

const isSame = (segment: Listed | undefined, inode: string, path: string): boolean =>
  segment?.inode === inode && segment.path === path

const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Opens a listed segment wherever it is by now; `undefined` if it is gone. */
export const open = (port: FilePort, live: string, segment: Listed): number | undefined => {
  let wanted: Listed | undefined = segment
  for (let attempt = 0; attempt < attemptsMax && wanted !== undefined; attempt++) {
    const fd = tryOpen(port, wanted.path)
    if (fd !== undefined) {
      if (port.identityOf(fd) === segment.inode) return fd
      port.close(fd)
    }
    wanted = list(port, live).find(({ inode }) => inode === segment.inode)
  }
  return undefined
}

const tryOpen = (port: FilePort, path: string): number | undefined => {
  try {
    return port.open(path, openFlags, 0)
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === "ENOENT") return undefined
    throw error
  }
}

/** Reads `[offset, offset + length)`, or as much of it as there is, into a buffer. */
export const readAt = (port: FilePort, fd: number, into: Buffer, offset: number, length: number): number => {
  let filled = 0
  while (filled < length) {
    const count = port.read(fd, into.subarray(filled, length), offset + filled)
    if (count === 0) break
    filled += count
  }
  return filled
}

/** The first bytes of a segment, which give it its name. */
export const headOf = (port: FilePort, fd: number): Buffer => {
  const head = Buffer.alloc(headBytesMax)
  return head.subarray(0, readAt(port, fd, head, 0, headBytesMax))
}

/** What a segment is called, by its first line; `undefined` as long as it has none, or where it cannot be read. */
export const name = (port: FilePort, live: string, segment: Listed): string | undefined => {
  if (segment.kind === "compressed") return undefined
  const fd = open(port, live, segment)
  if (fd === undefined) return undefined
  try {
    return nameOf(headOf(port, fd))
  } finally {
    port.close(fd)
  }
}

/** The end of the last line holds its hash, so bytes before an offset tell whether what stands before it is the same. */
const checkedBytes = 256

const checkLength = 22

/** A check of what stands before an offset. */
export const checkBefore = (port: FilePort, fd: number, offset: number): string => {
  const length = Math.min(offset, checkedBytes)
  const bytes = Buffer.alloc(length)
  const count = readAt(port, fd, bytes, offset - length, length)
  return hash("sha256", bytes.subarray(0, count), "base64url").slice(0, checkLength)
}
