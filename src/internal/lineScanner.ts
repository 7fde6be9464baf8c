/**
 * Cuts blocks of bytes at 0x0A, and at nothing else: Node's readline also cuts at U+2028 and U+2029.
 */

/** A line without its newline. `bytes` is `undefined` if it is longer than the limit; `length` counts it all the same. */
export interface ScannedLine {
  readonly offset: number
  readonly length: number
  readonly number: number
  readonly bytes: Uint8Array | undefined
}

/** Holds no more than one unfinished line, and of that no more than the limit. */
export class LineScanner {
  private parts: Array<Uint8Array> = []
  private length = 0
  private offset: number
  private number: number
  private readonly lineBytesMax: number

  /** `line` is the number of the line that begins at `offset`: 0 if nobody knows it, then no line has a number. */
  constructor(options: { readonly offset: number; readonly line?: number; readonly lineBytesMax: number }) {
    this.offset = options.offset
    this.number = options.line ?? 1
    this.lineBytesMax = options.lineBytesMax
  }

  /** Cuts a block. The bytes of the lines are views of it: copy them, or use them before the block is used again. */
  feed(block: Uint8Array, onLine: (line: ScannedLine) => void): void {
    let start = 0
    for (let end = block.indexOf(0x0a); end >= 0; end = block.indexOf(0x0a, start)) {
      onLine(this.finish(block.subarray(start, end)))
      start = end + 1
    }
    this.keep(block.subarray(start))
  }

  /** The bytes after the last newline: a write in progress, or one that never finished. */
  get rest(): ScannedLine {
    const { length, number, offset, parts } = this
    return { offset, length, number, bytes: length > this.lineBytesMax ? undefined : Buffer.concat(parts) }
  }

  private keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.length += bytes.length
    if (this.length <= this.lineBytesMax) this.parts.push(bytes.slice())
    else this.parts = []
  }

  private finish(last: Uint8Array): ScannedLine {
    const length = this.length + last.length
    const bytes = length > this.lineBytesMax
      ? undefined
      : this.parts.length === 0
      ? last
      : Buffer.concat([...this.parts, last], length)
    const line = { offset: this.offset, length, number: this.number, bytes }
    this.offset += length + 1
    if (this.number > 0) this.number++
    this.parts = []
    this.length = 0
    return line
  }
}
