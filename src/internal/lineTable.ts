/**
 * What was found out about the lines of a block: where each one stands, and of a record whose hash is right where the
 * parts of its stamp stand. Integers in one array, so that a worker thread can fill it and another thread read it.
 */
import type { StampReader } from "./stampReader.ts"

/** Three quarters of a line of the processor's cache. */
const rowWords = 12

/** Most lines are longer than this; of a block with shorter ones the rest is scanned when its beginning was judged. */
const lineBytesTypical = 128

/** Greater numbers do not fit: a line that has one is looked at anew. */
const numberMax = 2 ** 31 - 1

export class LineTable {
  readonly words: Int32Array
  count = 0

  constructor(words: Int32Array) {
    this.words = words
  }

  static rowsFor(blockBytes: number): number {
    return Math.ceil(blockBytes / lineBytesTypical)
  }

  static bytesFor(rows: number): number {
    return rows * rowWords * Int32Array.BYTES_PER_ELEMENT
  }

  static make(rows: number): LineTable {
    return new LineTable(new Int32Array(rows * rowWords))
  }

  get rowsMax(): number {
    return this.words.length / rowWords
  }

  /** Adds the record that the reader has read, whose hash is right. */
  addRecord(start: number, end: number, reader: StampReader): void {
    const { words } = this
    const { attempt, seq, txCount, txIndex } = reader
    if (seq > numberMax || attempt > numberMax || txIndex > numberMax || txCount > numberMax) {
      return this.addOther(start, end)
    }
    const at = this.count++ * rowWords
    words[at] = start
    words[at + 1] = end
    words[at + 2] = reader.bodyAt
    words[at + 3] = seq
    words[at + 4] = attempt
    words[at + 5] = reader.prevAt
    words[at + 6] = reader.seenAt
    words[at + 7] = reader.txAt
    words[at + 8] = txIndex
    words[at + 9] = txCount
    words[at + 10] = reader.keyAt
    words[at + 11] = reader.keyEnd
  }

  /** Adds a line of which nothing else is known. */
  addOther(start: number, end: number): void {
    const at = this.count++ * rowWords
    this.words[at] = start
    this.words[at + 1] = end
    // a stamp never ends at 0
    this.words[at + 2] = 0
  }

  start(row: number): number {
    return this.words[row * rowWords]!
  }

  end(row: number): number {
    return this.words[row * rowWords + 1]!
  }

  /** Whether the row is that of a record with the right hash; if so, the reader is as if it had read the line. */
  load(row: number, reader: StampReader): boolean {
    const { words } = this
    const at = row * rowWords
    const bodyAt = words[at + 2]!
    if (bodyAt === 0) return false
    reader.bodyAt = bodyAt
    reader.seq = words[at + 3]!
    reader.attempt = words[at + 4]!
    reader.prevAt = words[at + 5]!
    reader.seenAt = words[at + 6]!
    reader.txAt = words[at + 7]!
    reader.txIndex = words[at + 8]!
    reader.txCount = words[at + 9]!
    reader.keyAt = words[at + 10]!
    reader.keyEnd = words[at + 11]!
    reader.place(words[at]!, words[at + 1]!)
    return true
  }
}
