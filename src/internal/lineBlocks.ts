/**
 * Cuts a file into blocks of whole lines: what a verifier scans at a time, here or in a worker thread.
 *
 * A block's memory is used again and again. Only a line that is longer than a block makes one grow, up to the limit.
 */
import { LineTable } from "./lineTable.ts"
import { slackBytes } from "./stampReader.ts"

/** Larger blocks read no faster and leave the processor's cache, smaller ones cost more calls. */
export const blockBytesDefault = 512 * 1024

/** Lines up to this length are hashed where they are copied to: that costs less than a view of each. */
export const scratchBytes = 2048

const newline = 0x0a

/** The memory of a block, and of the table of its lines. Worker threads see it too if it is shared. */
export class Block {
  bytes: Buffer
  /** The same memory without the cost of `Buffer.subarray`. */
  octets: Uint8Array
  table: LineTable
  private readonly own: Buffer

  constructor(bytes: Buffer, table: LineTable) {
    this.own = bytes
    this.bytes = bytes
    this.octets = octetsOf(bytes)
    this.table = table
  }

  static make(room: number): Block {
    return new Block(Buffer.allocUnsafeSlow(room + slackBytes + scratchBytes), LineTable.make(LineTable.rowsFor(room)))
  }

  /** Bytes of a file that it can take. */
  get room(): number {
    return this.bytes.length - slackBytes - scratchBytes
  }

  /** It has other memory than at first, which no worker thread has seen. */
  get isGrown(): boolean {
    return this.bytes !== this.own
  }

  /** Makes room; the first so many bytes stay. */
  grow(room: number, kept: number): void {
    const before = this.bytes
    this.attach(Buffer.allocUnsafeSlow(room + slackBytes + scratchBytes))
    before.copy(this.bytes, 0, 0, kept)
  }

  /** Gives back what it has grown by; the first so many bytes stay. */
  shrink(kept: number): void {
    if (!this.isGrown) return
    const before = this.bytes
    this.attach(this.own)
    before.copy(this.bytes, 0, 0, kept)
  }

  private attach(bytes: Buffer): void {
    this.bytes = bytes
    this.octets = octetsOf(bytes)
  }
}

const octetsOf = (bytes: Buffer): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)

/** Lines in a block: those in `[start, end)`, each with its newline. */
export interface Cut {
  readonly block: Block
  readonly start: number
  readonly end: number
  /** Length of a line that is over the limit and ends before `start`; -1 if there is none. */
  readonly tooLong: number
}

export class LineBlocks {
  block: Block
  /** Bytes of an unfinished line at the start of the block. */
  private filled = 0
  /** Where the lines that were handed out end, and the bytes of the block. */
  private from = 0
  private to = 0
  /** Bytes of a line that is too long, and thrown away. */
  private skipped = 0
  private readonly lineBytesMax: number
  private readonly blockBytes: number

  constructor(lineBytesMax: number, block: Block) {
    this.lineBytesMax = lineBytesMax
    this.block = block
    this.blockBytes = block.room
  }

  /** Begins a file. */
  begin(): void {
    this.filled = 0
    this.skipped = 0
  }

  /** Where the next bytes of the file are to be read into. */
  space(): Uint8Array {
    return this.block.octets.subarray(this.filled, this.block.room)
  }

  /** Takes so many bytes, which were read into {@link space}. If lines are handed out, {@link next} must follow. */
  take(count: number): Cut | undefined {
    const { block } = this
    const end = this.filled + count
    const last = block.bytes.lastIndexOf(newline, end - 1)
    // newlines before `filled` were seen: what is there is one unfinished line
    if (last < this.filled) {
      this.keep(end)
      return undefined
    }
    this.from = last + 1
    this.to = end
    if (this.skipped === 0) return { block, start: 0, end: this.from, tooLong: -1 }
    const start = block.bytes.indexOf(newline) + 1
    const tooLong = this.skipped + start - 1
    this.skipped = 0
    return { block, start, end: this.from, tooLong }
  }

  /** Goes on in a block, which may be the same one, with what follows the last newline. */
  next(block: Block): void {
    const { block: before, from, to } = this
    const length = to - from
    this.block = block
    if (block !== before) block.shrink(0)
    if (length <= this.lineBytesMax) {
      if (length >= block.room) block.grow(length + this.blockBytes, 0)
      before.bytes.copy(block.bytes, 0, from, to)
    }
    this.keep(length)
    if (this.filled < this.blockBytes / 2) block.shrink(this.filled)
  }

  /** Bytes after the last newline, and what of them is at hand. */
  get rest(): { readonly length: number; readonly bytes: Uint8Array } {
    return { length: this.skipped + this.filled, bytes: this.block.octets.subarray(0, this.filled) }
  }

  /** The block begins with so many bytes of an unfinished line. */
  private keep(length: number): void {
    const { block, blockBytes, lineBytesMax } = this
    if (this.skipped > 0 || length > lineBytesMax) {
      this.skipped += length
      this.filled = 0
      return
    }
    this.filled = length
    if (length >= block.room) block.grow(Math.min(block.room * 2, lineBytesMax + blockBytes), length)
  }
}
