/**
 * Reads the end of a log: what others have appended, and whether what was just written stands there.
 */
import * as Codec from "../Codec.ts"
import * as HashChain from "../HashChain.ts"
import type { FilePort } from "./filePort.ts"
import { isRecord } from "./newlineLost.ts"

const newline = 0x0a

/** How far back the newest line of another writer is looked for: one record of the default hard limit, and a half. */
const tailBytesMax = 1536 * 1024

/** Most of the time the line that is looked for is the last one, and short. */
const tailBytesFirst = 64 * 1024

/**
 * What a read-back looks at besides our own bytes, at most. Other writers append between our size check and our write
 * only what they can in microseconds, unless this process was stopped in between; then the batch is appended again.
 */
const othersBytesMax = 64 * 1024 * 1024

const readFully = (port: FilePort, fd: number, from: number, to: number): Buffer => {
  const bytes = Buffer.allocUnsafe(to - from)
  let filled = 0
  while (filled < bytes.length) {
    const count = port.read(fd, bytes.subarray(filled), from + filled)
    if (count === 0) break
    filled += count
  }
  return bytes.subarray(0, filled)
}

interface Search {
  readonly writer: string
  readonly digests: HashChain.Digests
  /** Told of keys that a record is under which has not the HMAC that they make. */
  readonly doubted: (key: string) => void
}

/**
 * The hash of the newest whole record of another writer between two offsets, as far back as {@link tailBytesMax}. Lines
 * that cannot be checked do not count.
 */
export const newestHash = (
  port: FilePort,
  fd: number,
  from: number,
  to: number,
  options: Search
): string | undefined => {
  const near = Math.max(0, from - 1, to - tailBytesFirst)
  const far = Math.max(0, from - 1, to - tailBytesMax)
  const hash = newestHashIn(readFully(port, fd, near, to), near === 0, options)
  return hash === undefined && near > far ? newestHashIn(readFully(port, fd, far, to), far === 0, options) : hash
}

const newestHashIn = (
  bytes: Buffer,
  fromStart: boolean,
  { digests, doubted, writer }: Search
): string | undefined => {
  let end = bytes.lastIndexOf(newline)
  while (end > 0) {
    const start = bytes.lastIndexOf(newline, end - 1)
    if (start < 0 && !fromStart) return undefined
    const line = Codec.trim(bytes.subarray(start + 1, end))
    end = start
    if (!Codec.mayBeRecord(line)) continue
    const parsed = Codec.parse(line)
    if (parsed._tag !== "Record" || parsed.stamp.writer === writer) continue
    const { key } = parsed.stamp
    const check = HashChain.check(line, key, digests)
    if (check === "ok") return Codec.unseal(line)?.hash
    if (check === "hash" && key !== undefined) doubted(key)
  }
  return undefined
}

/** Whether what stands between the last newline and `size` is all of a record. It is for a message: never throws. */
export const endsInRecord = (port: FilePort, fd: number, size: number, digests: HashChain.Digests): boolean => {
  try {
    const from = Math.max(0, size - tailBytesMax)
    const bytes = readFully(port, fd, from, size)
    const start = bytes.lastIndexOf(newline) + 1
    return (start > 0 || from === 0) && isRecord(bytes.subarray(start), digests)
  } catch {
    return false
  }
}

/** Whether the byte before `size` is a newline. */
export const endsInNewline = (port: FilePort, fd: number, size: number): boolean => {
  const last = readFully(port, fd, size - 1, size)
  return last.length === 1 && last[0] === newline
}

/** A part of the file, and where in it the lines of a write can begin. */
export interface Region {
  readonly bytes: Buffer
  /** The file offset of the first byte. */
  readonly offset: number
  readonly linesFrom: number
}

/**
 * What was appended since the file had `sizeBefore` bytes, with the byte before it; `undefined` if that is too much for
 * a write of `ownBytes`.
 */
export const region = (
  port: FilePort,
  fd: number,
  sizeBefore: number,
  size: number,
  ownBytes: number
): Region | undefined => {
  const offset = Math.max(0, sizeBefore - 1)
  if (size < offset || size - offset > ownBytes + othersBytesMax) return undefined
  return { bytes: readFully(port, fd, offset, size), offset, linesFrom: sizeBefore - offset }
}

/**
 * Where lines end that stand in one piece at the place where they are if nothing else was written in between; -1 if
 * they do not. The first `lead` bytes are a line of their own and need not be there.
 */
export const findLines = ({ bytes, linesFrom, offset }: Region, lines: Buffer, lead: number): number => {
  const from = linesFrom + lead
  const end = linesFrom + lines.length
  if (end > bytes.length || !(from === 0 ? offset === 0 : bytes[from - 1] === newline)) return -1
  return bytes.compare(lines, lead, lines.length, from, end) === 0 ? end : -1
}

/**
 * Where a line, with its newline, stands whole and at a line start, from `from` on; -1 if it does not. `from` is where
 * it stands if nothing else was written in between.
 */
export const findLine = ({ bytes, offset }: Region, line: Buffer, from: number): number => {
  const startsLine = (at: number): boolean => at === 0 ? offset === 0 : bytes[at - 1] === newline
  const fits = from + line.length <= bytes.length
  if (fits && startsLine(from) && bytes.compare(line, 0, line.length, from, from + line.length) === 0) return from
  for (let at = bytes.indexOf(line, from); at >= 0; at = bytes.indexOf(line, at + 1)) {
    if (startsLine(at)) return at
  }
  return -1
}
