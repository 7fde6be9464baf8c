/**
 * Reads the end of a log: what others have appended, and whether what was just written stands there.
 */
import * as Codec from "../Codec.ts"
import * as HashChain from "../HashChain.ts"
import type { FilePort } from "./filePort.ts"

const newline = 0x0a

/** How far back the newest line of another writer is looked for: one record of the default hard limit, and a half. */
const tailBytesMax = 1536 * 1024

/** Most of the time the line that is looked for is the last one, and short. */
const tailBytesFirst = 64 * 1024

/**
 * What a read-back looks at, at most. Other writers append between our size check and our write only what they can in
 * microseconds, unless this process was stopped in between; then the batch is appended again.
 */
const regionBytesMax = 64 * 1024 * 1024

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

export interface Tail {
  readonly endsInNewline: boolean
  /** The whole lines, without their newlines, newest first. */
  readonly lines: Iterable<Uint8Array>
}

/** The whole lines between two offsets, as far back as {@link tailBytesMax}. `to` must be over 0. */
export const read = (port: FilePort, fd: number, from: number, to: number): Tail => {
  const near = Math.max(0, from - 1, to - tailBytesFirst)
  let bytes = readFully(port, fd, near, to)
  const far = Math.max(0, from - 1, to - tailBytesMax)
  const last = bytes.lastIndexOf(newline)
  if (near > far && (last <= 0 || bytes.lastIndexOf(newline, last - 1) < 0)) bytes = readFully(port, fd, far, to)
  return { endsInNewline: bytes.length > 0 && bytes[bytes.length - 1] === newline, lines: wholeLines(bytes) }
}

function* wholeLines(bytes: Buffer): Generator<Uint8Array> {
  let end = bytes.lastIndexOf(newline)
  while (end > 0) {
    const start = bytes.lastIndexOf(newline, end - 1)
    yield bytes.subarray(start + 1, end)
    end = start
  }
}

/** Whether the byte before `size` is a newline. */
export const endsInNewline = (port: FilePort, fd: number, size: number): boolean => {
  const last = readFully(port, fd, size - 1, size)
  return last.length === 1 && last[0] === newline
}

/** The hash of the newest whole record of another writer; lines that cannot be checked do not count. */
export const newestHash = (
  lines: Iterable<Uint8Array>,
  writer: string,
  digests: HashChain.Digests
): string | undefined => {
  for (const raw of lines) {
    const line = Codec.trim(raw)
    const parsed = Codec.parse(line)
    if (parsed._tag !== "Record" || parsed.stamp.writer === writer) continue
    if (HashChain.check(line, parsed.stamp.key, digests) === "ok") return Codec.unseal(line)?.hash
  }
  return undefined
}

/** A part of the file, and where in it the lines of a write can begin. */
export interface Region {
  readonly bytes: Buffer
  /** The file offset of the first byte. */
  readonly offset: number
  readonly linesFrom: number
}

/** What was appended since the file had `sizeBefore` bytes, with the byte before it; `undefined` if it is too much. */
export const region = (port: FilePort, fd: number, sizeBefore: number, size: number): Region | undefined => {
  const offset = Math.max(0, sizeBefore - 1)
  if (size < offset || size - offset > regionBytesMax) return undefined
  return { bytes: readFully(port, fd, offset, size), offset, linesFrom: sizeBefore - offset }
}

/**
 * Where a line, with its newline, stands whole and at a line start, from `from` on; -1 if it does not. `from` is where
 * it stands if nothing else was written in between.
 */
export const findLine = ({ bytes, offset }: Region, line: Buffer, from: number): number => {
  const startsLine = (at: number): boolean => at === 0 ? offset === 0 : bytes[at - 1] === newline
  if (startsLine(from) && bytes.compare(line, 0, line.length, from, from + line.length) === 0) return from
  for (let at = bytes.indexOf(line, from); at >= 0; at = bytes.indexOf(line, at + 1)) {
    if (startsLine(at)) return at
  }
  return -1
}
