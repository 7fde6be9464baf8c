/**
 * What a verifier remembers of each writer, in typed arrays: about 120 bytes, since a log that a shell script makes has a
 * writer for every record.
 */
import { isUlid, writerLength } from "./stampReader.ts"

const writerWords = 7
/** Of a hash, 144 bits: nobody makes two records that have these in common. */
const hashWords = 6
/** Of the hash that a writer has seen, 72 bits: it is only compared with what the same writer says next. */
const seenWords = 3

/** Words of a text that is no multiple of four bytes long: the last one overlaps. */
const wordAt = (i: number, length: number): number => Math.min(4 * i, length - 4)

export class WriterTable {
  size = 0
  /** The `seq` that comes next, by the number of the writer. */
  next = new Float64Array(256)
  /** Parts found of the transaction that is open, and how many it has: 0 if none is open. */
  txFound = new Int32Array(256)
  txCount = new Int32Array(256)
  txAttempt = new Int32Array(256)

  private ids = new Int32Array(256 * writerWords)
  private heads = new Int32Array(256 * hashWords)
  private seen = new Int32Array(256 * seenWords)
  private transactions = new Int32Array(256 * writerWords)
  /** Open addressing; 0 is empty, else the number of the writer plus 1. At most half full. */
  private slots = new Int32Array(512)
  private last = -1

  /** The number of the writer whose id stands at the offset, or -1. */
  find(view: DataView, at: number): number {
    if (this.last >= 0 && this.isId(this.last, view, at)) return this.last
    const mask = this.slots.length - 1
    for (let slot = mix(view, at) & mask;; slot = (slot + 1) & mask) {
      const writer = this.slots[slot]! - 1
      if (writer < 0) return -1
      if (this.isId(writer, view, at)) {
        this.last = writer
        return writer
      }
    }
  }

  /** Adds a writer that is not there; -1 if its id is not one. */
  add(bytes: Uint8Array, view: DataView, at: number): number {
    if (!isUlid(bytes, at)) return -1
    if (this.size === this.next.length) this.grow()
    const writer = this.size++
    for (let i = 0; i < writerWords; i++) {
      this.ids[writer * writerWords + i] = view.getInt32(at + wordAt(i, writerLength), true)
    }
    this.place(writer, mix(view, at))
    this.last = writer
    return writer
  }

  id(writer: number): string {
    return text(this.ids, writer * writerWords, writerWords, writerLength)
  }

  isHead(writer: number, view: DataView, at: number): boolean {
    const from = writer * hashWords
    for (let i = 0; i < hashWords; i++) {
      if (this.heads[from + i] !== view.getInt32(at + 4 * i, true)) return false
    }
    return true
  }

  setHead(writer: number, view: DataView, at: number): void {
    const from = writer * hashWords
    for (let i = 0; i < hashWords; i++) this.heads[from + i] = view.getInt32(at + 4 * i, true)
  }

  /** A copy of the hash, for {@link isHash}. */
  head(writer: number): Int32Array {
    return this.heads.slice(writer * hashWords, (writer + 1) * hashWords)
  }

  /** Whether the writer has named no hash yet. */
  hasSeenNothing(writer: number): boolean {
    return this.seen[writer * seenWords] === 0
  }

  /** Whether the writer has named the same hash before; if not, it has now. */
  hasSeen(writer: number, view: DataView, at: number): boolean {
    let same = true
    for (let i = 0; i < seenWords; i++) {
      const word = view.getInt32(at + 4 * i, true)
      if (this.seen[writer * seenWords + i] !== word) same = false
      this.seen[writer * seenWords + i] = word
    }
    return same
  }

  isTransaction(writer: number, view: DataView, at: number): boolean {
    for (let i = 0; i < writerWords; i++) {
      if (this.transactions[writer * writerWords + i] !== view.getInt32(at + wordAt(i, writerLength), true)) {
        return false
      }
    }
    return true
  }

  transaction(writer: number): string {
    return text(this.transactions, writer * writerWords, writerWords, writerLength)
  }

  setTransaction(writer: number, view: DataView, at: number): void {
    for (let i = 0; i < writerWords; i++) {
      this.transactions[writer * writerWords + i] = view.getInt32(at + wordAt(i, writerLength), true)
    }
  }

  private isId(writer: number, view: DataView, at: number): boolean {
    const from = writer * writerWords
    for (let i = writerWords - 1; i >= 0; i--) {
      if (this.ids[from + i] !== view.getInt32(at + wordAt(i, writerLength), true)) return false
    }
    return true
  }

  private place(writer: number, hash: number): void {
    const mask = this.slots.length - 1
    let slot = hash & mask
    while (this.slots[slot] !== 0) slot = (slot + 1) & mask
    this.slots[slot] = writer + 1
  }

  private grow(): void {
    const room = this.next.length * 2
    this.next = enlarge(this.next, new Float64Array(room))
    this.txFound = enlarge(this.txFound, new Int32Array(room))
    this.txCount = enlarge(this.txCount, new Int32Array(room))
    this.txAttempt = enlarge(this.txAttempt, new Int32Array(room))
    this.ids = enlarge(this.ids, new Int32Array(room * writerWords))
    this.heads = enlarge(this.heads, new Int32Array(room * hashWords))
    this.seen = enlarge(this.seen, new Int32Array(room * seenWords))
    this.transactions = enlarge(this.transactions, new Int32Array(room * writerWords))
    this.slots = new Int32Array(room * 2)
    const id = new DataView(new ArrayBuffer(4 * writerWords))
    for (let writer = 0; writer < this.size; writer++) {
      for (let i = 0; i < writerWords; i++) {
        id.setInt32(wordAt(i, writerLength), this.ids[writer * writerWords + i]!, true)
      }
      this.place(writer, mix(id, 0))
    }
  }
}

/** Whether the hash that stands at the offset is the one that was copied. */
export const isHash = (head: Int32Array, view: DataView, at: number): boolean =>
  head.every((word, i) => word === view.getInt32(at + 4 * i, true))

const text = (words: Int32Array, from: number, count: number, length: number): string => {
  const bytes = Buffer.alloc(4 * count)
  for (let i = 0; i < count; i++) bytes.writeInt32LE(words[from + i]!, wordAt(i, length))
  return bytes.toString("latin1", 0, length)
}

const enlarge = <A extends Float64Array | Int32Array>(from: A, to: A): A => {
  to.set(from)
  return to
}

/** ULIDs of one moment differ in their last characters only. */
const mix = (view: DataView, at: number): number => {
  let hash = Math.imul(view.getInt32(at + writerLength - 4, true), 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 15) ^ view.getInt32(at + writerLength - 8, true), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13) ^ view.getInt32(at + writerLength - 12, true), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
