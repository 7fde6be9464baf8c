/**
 * Decides which lines of a block a query has to look at. The others are passed over: only their stamps are read, for what
 * the reading of others depends on, and taken at their word.
 *
 * What is yielded is the same as if every line were checked and the answer filtered. So a transaction is passed over only
 * if it stands in one block, whole and in order, and none of its lines may be asked for; and a block in which a writer
 * goes back in its numbers or mixes transactions is looked at line by line. What then still depends on a line that was
 * passed over in an earlier block is ambiguous, and the reading has to begin again without a sieve.
 */
import type { AuditRecord } from "../LogEntry.ts"
import type { Reassembly, Writer } from "./reassembly.ts"
import type { RecordBatch } from "./recordBatch.ts"
import type { Sieve } from "./sieve.ts"
import { isText } from "./stampReader.ts"

const newline = 0x0a

/** Lines of a block for which there is room at first. */
const linesFirst = 4096

/** A transaction of a block. */
interface Group {
  readonly id: string
  readonly attempt: number
  readonly count: number
  found: number
  isLooked: boolean
}

/** How far a writer has come in the block. */
interface Progress {
  next: number
  group: Group | undefined
}

export class Sifter {
  private readonly sieve: Sieve
  private readonly batch: RecordBatch
  private readonly reassembly: Reassembly<AuditRecord>
  private readonly lineBytesMax: number
  private progress = new Map<Writer<AuditRecord>, Progress>()
  private isRegular = true

  /** The lines, in arrays that are used again for the next block: an object each costs a fifth of the time. */
  count = 0
  starts = new Int32Array(linesFirst + 1)
  seqs = new Float64Array(linesFirst)
  /** A line without a writer is no record, and means nothing unless it is looked at. */
  readonly writers: Array<Writer<AuditRecord> | undefined> = []
  /** The outbox rows that the records come from. */
  readonly sources: Array<string | undefined> = []
  private isLooked = new Uint8Array(linesFirst)
  private readonly groups: Array<Group | undefined> = []

  constructor(sieve: Sieve, batch: RecordBatch, reassembly: Reassembly<AuditRecord>, lineBytesMax: number) {
    this.sieve = sieve
    this.batch = batch
    this.reassembly = reassembly
    this.lineBytesMax = lineBytesMax
  }

  /** Sifts the whole lines `[start, end)` of a buffer. */
  sift(bytes: Buffer, start: number, end: number): void {
    this.count = 0
    this.progress = new Map()
    this.isRegular = true
    this.sieve.attach(bytes.subarray(0, end))
    this.batch.attachSparse(bytes)
    for (let at = start; at < end;) {
      const to = bytes.indexOf(newline, at)
      this.line(at, to)
      at = to + 1
    }
    // the end of the last line is told as that of the others
    this.starts[this.count] = end
  }

  /** Whether to look at a line. */
  looksAt(line: number): boolean {
    const group = this.groups[line]
    return !this.isRegular || this.isLooked[line] === 1 ||
      (group !== undefined && (group.isLooked || group.found < group.count))
  }

  private line(start: number, end: number): void {
    const { batch, reassembly, sieve } = this
    const { reader } = batch
    if (end - start > this.lineBytesMax) return this.add(start, true, undefined, 0, undefined)
    if (!reader.read(start, end)) return this.add(start, sieve.passesOther(start, end), undefined, 0, undefined)
    const id = batch.writer()
    if (id === undefined) return this.add(start, true, undefined, 0, undefined)
    const writer = reassembly.writer(id)
    const isLooked = sieve.passesRecord(reader, start, end)
    const { seq } = reader
    let progress = this.progress.get(writer)
    if (progress === undefined) {
      progress = { next: writer.released.at(-1)?.to ?? 0, group: begun(writer) }
      this.progress.set(writer, progress)
    }
    if (seq < progress.next) this.isRegular = false
    progress.next = seq + 1
    if (reader.txAt < 0) return this.add(start, isLooked, writer, seq, undefined)
    const group = this.group(progress)
    if (isLooked && group !== undefined) group.isLooked = true
    this.add(start, isLooked, writer, seq, group)
  }

  private add(
    start: number,
    isLooked: boolean,
    writer: Writer<AuditRecord> | undefined,
    seq: number,
    group: Group | undefined
  ): void {
    const line = this.count++
    if (line === this.seqs.length) this.grow()
    this.starts[line] = start
    this.isLooked[line] = isLooked ? 1 : 0
    this.writers[line] = writer
    this.seqs[line] = seq
    this.sources[line] = writer === undefined ? undefined : this.batch.reader.source
    this.groups[line] = group
  }

  private grow(): void {
    const { isLooked, seqs, starts } = this
    const room = 2 * seqs.length
    this.starts = new Int32Array(room + 1)
    this.starts.set(starts)
    this.seqs = new Float64Array(room)
    this.seqs.set(seqs)
    this.isLooked = new Uint8Array(room)
    this.isLooked.set(isLooked)
  }

  /** The transaction of the line that was just read; `undefined` if it does not go on as it should. */
  private group(progress: Progress): Group | undefined {
    const { attempt, bytes, txAt, txCount, txIndex } = this.batch.reader
    let { group } = progress
    if (group === undefined && txIndex === 0 && txCount > 1) {
      group = { id: this.batch.reader.transaction, attempt, count: txCount, found: 0, isLooked: false }
      progress.group = group
    }
    const goesOn = group !== undefined && txIndex === group.found && txCount === group.count &&
      attempt === group.attempt && isText(bytes, txAt, group.id)
    if (group === undefined || !goesOn) {
      this.isRegular = false
      return undefined
    }
    group.found++
    if (group.found === group.count) progress.group = undefined
    return group
  }
}

/** The transaction of which a block before has the first parts: they were looked at. */
const begun = ({ open }: Writer<AuditRecord>): Group | undefined =>
  open === undefined
    ? undefined
    : { id: open.id, attempt: open.attempt, count: open.expected, found: open.parts.size, isLooked: true }
