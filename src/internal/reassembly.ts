/**
 * Puts transactions together again, and drops repeats. Pure state, no files.
 *
 * A record's identity is `writer:seq`. The appender appends a batch again, with a higher `try`, when it could not find
 * it by reading back, so the same identity may stand in the log more than once: the first complete one is released.
 * Parts of different tries never make one transaction.
 */
import type { Stamp } from "../AuditRecord.ts"

interface Part {
  readonly stamp: Stamp
}

/** A transaction of which some parts are missing. */
export interface Unfinished<Record> {
  readonly writer: string
  readonly transaction: string
  readonly first: Record
  readonly found: number
  readonly expected: number
}

interface Attempt<Record> {
  readonly id: string
  readonly attempt: number
  readonly expected: number
  readonly first: Record
  readonly parts: Map<number, Record>
}

interface Writer<Record> {
  /** Released seqs as ranges `[from, to)`, ascending; one range unless records are missing. */
  readonly released: Array<[number, number]>
  open: Attempt<Record> | undefined
  readonly unfinished: Map<string, Unfinished<Record>>
}

export class Reassembly<Record extends Part> {
  private readonly writers = new Map<string, Writer<Record>>()

  /** Takes the next whole record of the log, and returns the records that can be released now, in their order. */
  add(record: Record): ReadonlyArray<Record> {
    const { stamp } = record
    let writer = this.writers.get(stamp.writer)
    if (writer === undefined) {
      writer = { released: [], open: undefined, unfinished: new Map() }
      this.writers.set(stamp.writer, writer)
    }
    const { tx } = stamp
    if (tx === undefined) return release(writer, [record])

    const attempt = stamp.try ?? 0
    if (writer.open?.id !== tx.id || writer.open.attempt !== attempt) {
      abandon(writer, stamp.writer)
      writer.open = { id: tx.id, attempt, expected: tx.n, first: record, parts: new Map() }
    }
    const { open } = writer
    if (!open.parts.has(tx.i)) open.parts.set(tx.i, record)
    if (open.parts.size < open.expected) return []
    writer.open = undefined
    writer.unfinished.delete(tx.id)
    return release(writer, Array.from(open.parts).sort(([a], [b]) => a - b).map(([, part]) => part))
  }

  /** At the end of the log: the transactions that never became whole, writer by writer. */
  end(): ReadonlyArray<Unfinished<Record>> {
    const unfinished: Array<Unfinished<Record>> = []
    for (const [id, writer] of this.writers) {
      abandon(writer, id)
      unfinished.push(...writer.unfinished.values())
    }
    return unfinished
  }
}

const abandon = <Record>(writer: Writer<Record>, id: string): void => {
  const { open } = writer
  if (open === undefined) return
  writer.open = undefined
  writer.unfinished.set(open.id, {
    writer: id,
    transaction: open.id,
    first: open.first,
    found: open.parts.size,
    expected: open.expected
  })
}

const release = <Record extends Part>(
  writer: Writer<Record>,
  records: ReadonlyArray<Record>
): ReadonlyArray<Record> => records.filter((record) => markReleased(writer.released, record.stamp.seq))

/** Adds a seq to the ranges; false if it was in them. */
const markReleased = (ranges: Array<[number, number]>, seq: number): boolean => {
  let i = ranges.length - 1
  while (i >= 0 && ranges[i]![0] > seq) i--
  const before = ranges[i]
  if (before !== undefined && seq < before[1]) return false
  const after = ranges[i + 1]
  const joinsBefore = before !== undefined && before[1] === seq
  const joinsAfter = after !== undefined && after[0] === seq + 1
  if (joinsBefore && joinsAfter) {
    before[1] = after[1]
    ranges.splice(i + 1, 1)
  } else if (joinsBefore) before[1] = seq + 1
  else if (joinsAfter) after[0] = seq
  else ranges.splice(i + 1, 0, [seq, seq + 1])
  return true
}
