/**
 * Cuts a file at 0x0A in one buffer, without an object or a copy per line: the fast twin of the line scanner.
 */
import { isUtf8 } from "node:buffer"
import { slackBytes } from "./stampReader.ts"

/** Larger blocks read no faster, smaller ones cost more calls. */
const blockBytes = 1024 * 1024

const newline = 0x0a

/** Takes the lines of a buffer; offsets are into it. */
export interface LineSink {
  /** The buffer was replaced; it has `slackBytes` more than it says. */
  readonly attach: (bytes: Buffer) => void
  /** A line without its newline. `plain` says that it is valid UTF-8 without NUL bytes. */
  readonly line: (start: number, end: number, plain: boolean) => void
  /** A line that is longer than the limit. */
  readonly tooLong: (length: number) => void
}

export class LineBlocks {
  /** Offset in the file of the line that the sink is looking at, and its number. */
  offset = 0
  number = 1
  private bytes: Buffer
  /** Bytes of an unfinished line at the start of the buffer. */
  private filled = 0
  /** Bytes of a line that is too long, and thrown away. */
  private skipped = 0
  private readonly lineBytesMax: number
  private readonly sink: LineSink

  constructor(lineBytesMax: number, sink: LineSink) {
    this.lineBytesMax = lineBytesMax
    this.sink = sink
    this.bytes = this.allocate(blockBytes)
  }

  /** Begins a file. */
  begin(): void {
    this.offset = 0
    this.number = 1
    this.filled = 0
    this.skipped = 0
  }

  /** Where the next bytes of the file are to be read into. */
  space(): Uint8Array {
    return this.bytes.subarray(this.filled, this.bytes.length - slackBytes)
  }

  /** Takes so many bytes, which were read into {@link space}. */
  take(count: number): void {
    const end = this.filled + count
    const last = this.bytes.lastIndexOf(newline, end - 1)
    // newlines before `filled` were seen: what is there is one unfinished line
    if (last >= this.filled) this.cut(last + 1)
    const rest = last >= this.filled ? last + 1 : 0
    this.keep(rest, end)
  }

  /** Bytes after the last newline, and what of them is at hand. */
  get rest(): { readonly length: number; readonly bytes: Uint8Array } {
    return { length: this.skipped + this.filled, bytes: this.bytes.subarray(0, this.filled) }
  }

  /** Hands on the lines in `[0, end)`, the last byte of which is a newline. */
  private cut(end: number): void {
    const { bytes, sink } = this
    let start = 0
    if (this.skipped > 0) {
      start = bytes.indexOf(newline) + 1
      sink.tooLong(this.skipped + start - 1)
      this.offset += this.skipped + start
      this.number++
      this.skipped = 0
    }
    if (start === end) return
    const block = bytes.subarray(start, end)
    const plain = isUtf8(block) && !block.includes(0)
    while (start < end) {
      const at = bytes.indexOf(newline, start)
      if (at - start > this.lineBytesMax) sink.tooLong(at - start)
      else sink.line(start, at, plain || isPlain(bytes.subarray(start, at)))
      this.offset += at + 1 - start
      this.number++
      start = at + 1
    }
  }

  private keep(from: number, to: number): void {
    const { bytes } = this
    const length = to - from
    if (this.skipped > 0 || length > this.lineBytesMax) {
      this.skipped += length
      this.filled = 0
      return
    }
    if (from > 0) bytes.copyWithin(0, from, to)
    this.filled = length
    const room = bytes.length - slackBytes
    if (length < room) {
      // a buffer that grew for one long line goes when that is over
      if (room > blockBytes && length < blockBytes / 2) this.replace(blockBytes)
      return
    }
    this.replace(Math.min(room * 2, this.lineBytesMax + blockBytes))
  }

  private replace(room: number): void {
    const before = this.bytes
    this.bytes = this.allocate(room)
    before.copy(this.bytes, 0, 0, this.filled)
  }

  private allocate(room: number): Buffer {
    const bytes = Buffer.allocUnsafeSlow(room + slackBytes)
    this.sink.attach(bytes)
    return bytes
  }
}

const isPlain = (line: Uint8Array): boolean => !line.includes(0) && isUtf8(line)
