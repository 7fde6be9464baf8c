/**
 * Puts transactions together again, drops repeats, and finds the gaps in what a writer has numbered. Pure state, no
 * files, bounded memory.
 *
 * A record's identity is `writer:seq`. The appender appends a batch again, with a higher `try`, when it could not find
 * it by reading back, so the same identity may stand in the log more than once: the first complete one is released.
 * Parts of different tries never make one transaction.
 */
import type { Stamp } from "../AuditRecord.ts"

interface Part {
  readonly stamp: Stamp
  readonly file: string
  readonly offset: number
}

/** What a record has released: itself, all of its transaction, or nothing; and which of them had been released before. */
export interface Released<Record> {
  readonly records: Array<Record>
  readonly repeats: Array<Record>
}

/** A transaction of which some parts are missing. */
export interface Unfinished {
  readonly file: string
  readonly offset: number
  readonly writer: string
  readonly transaction: string
  readonly found: number
  readonly expected: number
}

/** Records of a writer that are not there, and where the one after them stands. */
export interface Gap {
  readonly file: string
  readonly offset: number
  readonly writer: string
  readonly seq: number
  readonly count: number
}

interface Attempt<Record> {
  readonly id: string
  readonly attempt: number
  readonly expected: number
  readonly first: Record
  /** Whether its beginning may stand before the place at which reading began. */
  readonly joined: boolean
  readonly parts: Map<number, Record>
  /** Whether the parts came in their order. */
  ordered: boolean
}

/** The released seqs from `from` up to, and not including, `to`; and where the record `from` stands. */
interface Range {
  from: number
  to: number
  file: string
  offset: number
}

export interface Writer<Record> {
  readonly id: string
  /** Ascending; one range unless records are missing. */
  readonly released: Array<Range>
  open: Attempt<Record> | undefined
  unfinished: Map<string, Unfinished> | undefined
  /** The greatest seq that was passed over; -1 if none was. */
  passed: number
}

/**
 * Writers that are remembered, at least: a log made by a shell script has a writer for every record. A repeat stands in
 * the same batch as the first, so a writer is silent for a moment only before it can be forgotten.
 */
const writersMax = 32_768

/** Released records that a repeat is compared with, at least. What is remembered costs time: it survives collections. */
const recentMax = 256

/** Characters of text that the recent records may hold together, which are most of their memory. */
const recentTextMax = 8 * 1024 * 1024

export class Reassembly<Record extends Part & { readonly text: string }> {
  /** Set while what comes was read before: a transaction whose first part is not seen began before that. */
  joining = false
  // two generations: when the young one is full, the writers that have not been heard of since the last time are settled
  /** Set once it depends on a record that was passed over what a record is: a repeat, or the first of its identity. */
  isAmbiguous = false
  private young = new Map<string, Writer<Record>>()
  private old = new Map<string, Writer<Record>>()
  private latest: Writer<Record> | undefined
  private readonly unfinished: Array<Unfinished> = []
  private readonly gaps: Array<Gap> = []
  private recent: Array<Record> = []
  private before: ReadonlyArray<Record> = []
  private recentText = 0

  /** Takes the next whole record of the log, and adds what it releases. */
  add(record: Record, released: Released<Record>): void {
    const { stamp } = record
    const writer = this.writer(stamp.writer)
    const { tx } = stamp
    if (stamp.seq <= writer.passed) this.isAmbiguous = true
    if (tx === undefined) return this.release(writer, record, released)

    const attempt = stamp.try ?? 0
    if (writer.open?.id !== tx.id || writer.open.attempt !== attempt) {
      abandon(writer)
      // its beginning may have been passed over
      if (tx.i > 0 && writer.passed >= 0) this.isAmbiguous = true
      const joined = this.joining && tx.i > 0
      writer.open = { id: tx.id, attempt, expected: tx.n, first: record, joined, parts: new Map(), ordered: true }
    }
    const { open } = writer
    if (tx.i !== open.parts.size) open.ordered = false
    if (open.ordered || !open.parts.has(tx.i)) open.parts.set(tx.i, record)
    if (open.parts.size < open.expected) return
    writer.open = undefined
    writer.unfinished?.delete(tx.id)
    if (open.ordered) {
      for (const part of open.parts.values()) this.release(writer, part, released)
      return
    }
    for (const [, part] of Array.from(open.parts).sort(([a], [b]) => a - b)) {
      this.release(writer, part, released)
    }
  }

  /** Takes note of a record that is not looked at, and therefore taken for a whole one. */
  pass(writer: Writer<Record>, seq: number, file: string, offset: number): void {
    markReleased(writer.released, seq, file, offset)
    writer.passed = seq
  }

  /** What is known of a writer. */
  writer(id: string): Writer<Record> {
    return this.latest?.id === id ? this.latest : this.find(id)
  }

  /** The record that was released under the identity of this one, if it is among the recent ones. */
  original({ stamp: { seq, writer } }: Record): Record | undefined {
    const same = ({ stamp }: Record): boolean => stamp.seq === seq && stamp.writer === writer
    return this.recent.find(same) ?? this.before.find(same)
  }

  /** At the end of the log: the transactions that never became whole, and the gaps, writer by writer. */
  end(): { readonly unfinished: ReadonlyArray<Unfinished>; readonly gaps: ReadonlyArray<Gap> } {
    for (const writer of this.old.values()) this.settle(writer)
    for (const writer of this.young.values()) this.settle(writer)
    return { unfinished: this.unfinished, gaps: this.gaps }
  }

  private find(id: string): Writer<Record> {
    let writer = this.young.get(id)
    if (writer === undefined) {
      writer = this.old.get(id) ?? { id, released: [], open: undefined, unfinished: undefined, passed: -1 }
      this.old.delete(id)
      if (this.young.size >= writersMax) {
        for (const silent of this.old.values()) this.settle(silent)
        this.old = this.young
        this.young = new Map()
      }
      this.young.set(id, writer)
    }
    this.latest = writer
    return writer
  }

  private release(writer: Writer<Record>, record: Record, { records, repeats }: Released<Record>): void {
    if (!markReleased(writer.released, record.stamp.seq, record.file, record.offset)) {
      repeats.push(record)
      return
    }
    records.push(record)
    this.recent.push(record)
    this.recentText += record.text.length
    if (this.recent.length < recentMax && this.recentText < recentTextMax) return
    this.before = this.recent
    this.recent = []
    this.recentText = 0
  }

  private settle(writer: Writer<Record>): void {
    abandon(writer)
    if (writer.unfinished !== undefined) this.unfinished.push(...writer.unfinished.values())
    // a number that was taken at its word proves no gap
    if (writer.passed >= 0) return
    for (let i = 1; i < writer.released.length; i++) {
      const { file, from, offset } = writer.released[i]!
      const seq = writer.released[i - 1]!.to
      this.gaps.push({ file, offset, writer: writer.id, seq, count: from - seq })
    }
  }
}

const abandon = <Record extends Part>(writer: Writer<Record>): void => {
  const { open } = writer
  if (open === undefined) return
  writer.open = undefined
  if (open.joined) return
  writer.unfinished ??= new Map()
  writer.unfinished.set(open.id, {
    file: open.first.file,
    offset: open.first.offset,
    writer: writer.id,
    transaction: open.id,
    found: open.parts.size,
    expected: open.expected
  })
}

/** Adds a record to the ranges; false if it was in them. */
const markReleased = (ranges: Array<Range>, seq: number, file: string, offset: number): boolean => {
  let i = ranges.length - 1
  while (i >= 0 && ranges[i]!.from > seq) i--
  const before = ranges[i]
  if (before !== undefined && seq < before.to) return false
  const after = ranges[i + 1]
  const joinsBefore = before !== undefined && before.to === seq
  const joinsAfter = after !== undefined && after.from === seq + 1
  if (joinsBefore && joinsAfter) {
    before.to = after.to
    ranges.splice(i + 1, 1)
  } else if (joinsBefore) before.to = seq + 1
  else if (joinsAfter) {
    after.from = seq
    after.file = file
    after.offset = offset
  } else ranges.splice(i + 1, 0, { from: seq, to: seq + 1, file, offset })
  return true
}
