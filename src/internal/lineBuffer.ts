/**
 * The bytes of a file that are at hand, in one buffer: whole lines to be decoded, and behind them an unfinished one.
 *
 * Whoever decodes works in the buffer itself, without a view, a copy or a call per line, and says how far it has come.
 */
import { slackBytes } from "./stampReader.ts"

/** Larger blocks read no faster, smaller ones cost more calls: 1 MiB, measured on ext4. */
const blockBytes = 1024 * 1024

const roomMin = 16 * 1024

const newline = 0x0a

/** A line that is longer than the limit, and whose bytes were thrown away. */
export interface LongLine {
  readonly offset: number
  readonly length: number
  readonly number: number
}

export class LineBuffer {
  /** Has `slackBytes` more than it is filled with. Replaced when it grows. */
  bytes: Buffer = Buffer.alloc(0)
  /** Whole lines are in `[start, whole)`. */
  start = 0
  whole = 0
  /** The offset in the file of the byte at `start`. */
  offset: number
  /** The number of the line at `start`; 0 if nobody knows it. */
  number: number
  private filled = 0
  /** Bytes thrown away of the unfinished line. */
  private skipped = 0
  private readonly lineBytesMax: number

  constructor(options: { readonly offset: number; readonly line: number; readonly lineBytesMax: number }) {
    this.offset = options.offset
    this.number = options.line
    this.lineBytesMax = options.lineBytesMax
  }

  /** Where the next bytes of the file are to be read into. Whole lines must have been taken. */
  space(bytesMax: number): Uint8Array {
    const length = this.filled - this.start
    const room = this.bytes.length - slackBytes
    // small where little is there: a log can have many small segments
    const wanted = Math.min(blockBytes, Math.max(roomMin, length + bytesMax))
    if (room < wanted) this.replace(wanted)
    // a buffer that grew for one long line goes when that is over
    else if (length >= room) this.replace(Math.max(blockBytes, Math.min(room * 2, this.lineBytesMax + blockBytes)))
    else if (room > blockBytes && length < blockBytes / 2) this.replace(blockBytes)
    else if (this.start > 0) this.bytes.copyWithin(0, this.start, this.filled)
    this.start = 0
    this.whole = 0
    this.filled = length
    return this.bytes.subarray(length, Math.min(length + bytesMax, this.bytes.length - slackBytes))
  }

  /** Takes so many bytes, which were read into {@link space}; gives the long line that ends in them. */
  take(count: number): LongLine | undefined {
    // a search that begins before the buffer would begin at its end, where nothing was read into it
    if (count === 0) return undefined
    const { bytes } = this
    const before = this.filled
    const end = before + count
    this.filled = end
    let long: LongLine | undefined
    if (this.skipped > 0) {
      const at = bytes.subarray(0, end).indexOf(newline)
      if (at < 0) {
        this.skip(end)
        return undefined
      }
      const length = this.skipped + at
      long = { offset: this.offset, length, number: this.number }
      this.start = at + 1
      this.offset += length + 1
      if (this.number > 0) this.number++
      this.skipped = 0
    }
    const last = bytes.lastIndexOf(newline, end - 1)
    // newlines before these bytes were seen
    this.whole = last >= Math.max(before, this.start) ? last + 1 : this.start
    if (this.whole === this.start && end - this.start > this.lineBytesMax) this.skip(end - this.start)
    return long
  }

  /** Goes on to the line that begins at `start`, over so many lines. */
  advance(start: number, lines: number): void {
    this.offset += start - this.start
    this.start = start
    if (this.number > 0) this.number += lines
  }

  /** Where the lines end that begin less than so many bytes from here; behind one line at least. */
  sliceEnd(bytesMax: number): number {
    const { bytes, start, whole } = this
    if (whole - start <= bytesMax) return whole
    const last = bytes.lastIndexOf(newline, start + bytesMax - 1)
    return (last >= start ? last : bytes.indexOf(newline, start)) + 1
  }

  /** The bytes after the last newline: a write in progress, or one that never finished. */
  get rest(): LongLine {
    return { offset: this.offset, length: this.skipped + this.filled - this.start, number: this.number }
  }

  /** Those of them that are at hand: all, but of a line that is too long. */
  get restBytes(): Uint8Array {
    return this.bytes.subarray(this.start, this.filled)
  }

  private skip(length: number): void {
    this.skipped += length
    this.start = 0
    this.whole = 0
    this.filled = 0
  }

  private replace(room: number): void {
    const before = this.bytes
    this.bytes = Buffer.allocUnsafeSlow(room + slackBytes)
    before.copy(this.bytes, 0, this.start, this.filled)
  }
}
