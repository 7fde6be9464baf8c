/**
 * The newest records of a log, found by their hash and by their identity: what `seen` names and what a repeat repeats
 * stands, in a log that nobody has touched, a few records back. At least {@link recordsMin} are remembered.
 */

/** A batch is at most 1 MiB, some 5000 records; between two attempts to append it there are those of other writers. */
const recordsMin = 16_384

const capacity = 2 * recordsMin
const slotCount = 2 * recordsMin

/** A record is 16 words, which is one line of the processor's cache: the first 144 bits of the hash, and the rest. */
const recordWords = 16
const hashWords = 6
const writerAt = 6
const seqAt = 7
const attemptAt = 9
const segmentAt = 10
const offsetAt = 11
const lengthAt = 13

const high = 2 ** 32

/**
 * Finds the records of one half. Open addressing; 0 is empty, else a position plus 1. At most half full. Records are put
 * in only when one is looked for: that of one writer alone never is, and it would be most of the time of judging it.
 */
class Index {
  private readonly slots = new Int32Array(slotCount)
  /** Positions of the half that are in, and those that are to be. */
  private done: number
  end: number

  constructor(first: number) {
    this.done = first
    this.end = first
  }

  /** Begins with the half at a position. */
  clear(first: number): void {
    this.slots.fill(0)
    this.done = first
    this.end = first
  }

  fill(records: RecentRecords): void {
    for (; this.done < this.end; this.done++) {
      let slot = records.mix(this.done) & (slotCount - 1)
      while (this.slots[slot] !== 0) slot = (slot + 1) & (slotCount - 1)
      this.slots[slot] = this.done + 1
    }
  }

  /** The position with the hash at the offset, or -1. */
  find(records: RecentRecords, hash: number, view: DataView, at: number): number {
    for (let slot = hash & (slotCount - 1); this.slots[slot] !== 0; slot = (slot + 1) & (slotCount - 1)) {
      const position = this.slots[slot]! - 1
      if (records.isHash(position, view, at)) return position
    }
    return -1
  }
}

const mix = (first: number, second: number): number => {
  const hash = Math.imul(first, 0x9e3779b1) ^ second
  return hash ^ (hash >>> 15)
}

export class RecentRecords {
  private readonly words = new Int32Array(capacity * recordWords)
  private next = 0
  private count = 0
  private young = new Index(0)
  private old = new Index(recordsMin)

  add(
    writer: number,
    seq: number,
    attempt: number,
    segment: number,
    offset: number,
    length: number,
    view: DataView,
    hashAt: number
  ): void {
    const { next, words } = this
    const from = next * recordWords
    for (let i = 0; i < hashWords; i++) words[from + i] = view.getInt32(hashAt + 4 * i, true)
    words[from + writerAt] = writer
    words[from + seqAt] = seq
    words[from + seqAt + 1] = seq / high
    words[from + attemptAt] = attempt
    words[from + segmentAt] = segment
    words[from + offsetAt] = offset
    words[from + offsetAt + 1] = offset / high
    words[from + lengthAt] = length
    this.next = next + 1
    this.young.end = this.next
    if (this.count < capacity) this.count++
    if (this.next === recordsMin || this.next === capacity) this.age()
  }

  /** The position of the record with the hash that stands at the offset, or -1. */
  findHash(view: DataView, at: number): number {
    const hash = mix(view.getInt32(at, true), view.getInt32(at + 4, true))
    this.young.fill(this)
    this.old.fill(this)
    const young = this.young.find(this, hash, view, at)
    return young >= 0 ? young : this.old.find(this, hash, view, at)
  }

  /** The position of the latest record with this identity, or -1. Repeats are rare, and near: so there is no index. */
  findId(writer: number, seq: number): number {
    const { words } = this
    let position = this.next
    for (let left = this.count; left > 0; left--) {
      position = position === 0 ? capacity - 1 : position - 1
      const from = position * recordWords
      if (words[from + writerAt] === writer && words[from + seqAt] === (seq | 0) && this.seq(position) === seq) {
        return position
      }
    }
    return -1
  }

  /** What an index knows the record by. */
  mix(position: number): number {
    const from = position * recordWords
    return mix(this.words[from]!, this.words[from + 1]!)
  }

  isHash(position: number, view: DataView, at: number): boolean {
    const from = position * recordWords
    for (let i = 0; i < hashWords; i++) if (this.words[from + i] !== view.getInt32(at + 4 * i, true)) return false
    return true
  }

  seq(position: number): number {
    return this.long(position * recordWords + seqAt)
  }

  attempt(position: number): number {
    return this.words[position * recordWords + attemptAt]!
  }

  segment(position: number): number {
    return this.words[position * recordWords + segmentAt]!
  }

  offset(position: number): number {
    return this.long(position * recordWords + offsetAt)
  }

  length(position: number): number {
    return this.words[position * recordWords + lengthAt]!
  }

  private long(at: number): number {
    return this.words[at + 1]! * high + (this.words[at]! >>> 0)
  }

  /** Half of the records is new: the other half is overwritten from here on. */
  private age(): void {
    if (this.next === capacity) this.next = 0
    const { old, young } = this
    old.clear(this.next)
    this.old = young
    this.young = old
  }
}
