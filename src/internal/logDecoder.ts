/**
 * From the bytes of a log to its entries: the pure part of every reader. State is kept across files, since chains and
 * transactions go on in the next segment.
 */
import { isUtf8 } from "node:buffer"
import { id } from "../AuditRecord.ts"
import * as Codec from "../Codec.ts"
import * as HashChain from "../HashChain.ts"
import type { AuditRecord, LogEntry, Place } from "../LogEntry.ts"
import { preview } from "./damagedLine.ts"
import type { LineBuffer } from "./lineBuffer.ts"
import * as LineScanner from "./lineScanner.ts"
import type { Traits } from "./lineTraits.ts"
import { endsInResync, isRecord, lacksNewline } from "./newlineLost.ts"
import * as Reassembly from "./reassembly.ts"
import { RecordBatch } from "./recordBatch.ts"
import * as Salvage from "./salvage.ts"
import { Sieve } from "./sieve.ts"
import { Sifter } from "./sifter.ts"
import { SourceRepeats } from "./sourceRepeats.ts"

export interface DecodeOptions {
  readonly keys?: ReadonlyArray<HashChain.Key> | undefined
  readonly lineBytesMax?: number | undefined
  readonly salvage?: boolean | undefined
  /** Lines without these are passed over. */
  readonly traits?: Traits | undefined
}

const newline = 0x0a

/**
 * Bytes of lines whose texts share one string: a call for each line costs more than all the rest of its text, and a
 * record that is kept keeps so many bytes alive.
 */
const textBytes = 8 * 1024

const lineBytesMaxDefault = 64 * 1024 * 1024

export class LogDecoder {
  readonly lineBytesMax: number
  private file = ""
  private scanner: LineScanner.LineScanner
  private readonly reassembly = new Reassembly.Reassembly<AuditRecord>()
  private readonly sources = new SourceRepeats()
  private readonly digests: HashChain.Digests
  private readonly hasKeys: boolean
  private readonly salvages: boolean
  private readonly released: Reassembly.Released<AuditRecord> = { records: [], repeats: [] }

  private readonly batch: RecordBatch
  private readonly sifter: Sifter | undefined

  constructor(options: DecodeOptions) {
    this.lineBytesMax = options.lineBytesMax ?? lineBytesMaxDefault
    this.digests = HashChain.digests(options.keys)
    this.hasKeys = options.keys !== undefined
    this.salvages = options.salvage ?? false
    this.scanner = this.newScanner()
    this.batch = new RecordBatch(this.digests, this.hasKeys)
    this.sifter = options.traits &&
      new Sifter(new Sieve(options.traits), this.batch, this.reassembly, this.lineBytesMax)
  }

  /** Starts a file; the one before it must have ended. */
  begin(file: string): void {
    this.file = file
    this.scanner = this.newScanner()
  }

  /** Takes the next bytes of the file. */
  feed(block: Uint8Array): ReadonlyArray<LogEntry> {
    const entries: Array<LogEntry> = []
    this.scanner.feed(block, (line) => this.line(this.file, line, entries))
    return entries
  }

  /** What is left at the end of the file: bytes after its last newline. */
  endOfFile(): ReadonlyArray<LogEntry> {
    const { bytes, length, offset } = this.scanner.rest
    return length === 0 ? [] : [this.pending(this.file, offset, length, bytes)]
  }

  /** Bytes after the last newline of a file; they are not at hand if the line is too long. */
  pending(file: string, offset: number, length: number, bytes: Uint8Array | undefined): LogEntry {
    const whole = bytes !== undefined && bytes.length === length && isRecord(bytes, this.digests)
    return { _tag: "Pending", file, offset, length, whole }
  }

  /** What is left at the end of the log: transactions that never became whole, and gaps. */
  end(): ReadonlyArray<LogEntry> {
    const { gaps, unfinished } = this.reassembly.end()
    return [
      ...unfinished.map((found) => ({ _tag: "Incomplete", ...found }) as const),
      ...gaps.map((gap) => ({ _tag: "Missing", ...gap }) as const)
    ]
  }

  /** Whether what was said may be wrong because of a line that was passed over. */
  get isAmbiguous(): boolean {
    return this.reassembly.isAmbiguous
  }

  /** Whether what comes was read before, so that it may begin in the middle of a transaction. */
  set joining(joining: boolean) {
    this.reassembly.joining = joining
  }

  /**
   * Takes the whole lines of a buffer up to one that begins at `end`, and adds what can be said now. The same entries as
   * {@link line} gives, at a third of the cost where the lines are records.
   */
  lines(file: string, buffer: LineBuffer, end: number, entries: Array<LogEntry>): void {
    const { bytes, start } = buffer
    const block = bytes.subarray(start, end)
    const isPlain = isPlainText(block)
    if (this.sifter !== undefined) return this.sifted(file, buffer, end, isPlain, this.sifter, entries)
    while (buffer.start < end) {
      const to = end - buffer.start <= textBytes ? end : Math.min(end, buffer.sliceEnd(textBytes))
      this.text(file, buffer, to, isPlain, entries)
    }
  }

  private text(file: string, buffer: LineBuffer, end: number, isPlain: boolean, entries: Array<LogEntry>): void {
    const { batch } = this
    const { bytes, offset, start } = buffer
    if (isPlain) batch.attach(bytes, start, end)
    let count = 0
    for (let at = start; at < end; count++) {
      const to = bytes.indexOf(newline, at)
      this.whole(file, buffer, at, to, offset + at - start, count, isPlain, entries)
      at = to + 1
    }
    this.flush(file, bytes, entries)
    buffer.advance(end, count)
  }

  /** Looks at the lines that the sieve lets through, and takes note of the others. */
  private sifted(
    file: string,
    buffer: LineBuffer,
    end: number,
    isPlain: boolean,
    sifter: Sifter,
    entries: Array<LogEntry>
  ): void {
    const { bytes, offset, start } = buffer
    sifter.sift(bytes, start, end)
    const { count, seqs, sources, starts, writers } = sifter
    for (let i = 0; i < count; i++) {
      const from = starts[i]!
      const writer = writers[i]
      if (sifter.looksAt(i)) {
        const to = starts[i + 1]! - 1
        const isPlainLine = isPlain || isPlainText(bytes.subarray(from, to))
        this.whole(file, buffer, from, to, offset + from - start, i, isPlainLine, entries)
      } else if (writer !== undefined) {
        // in the order of the lines: what comes before it depends on nothing that is passed over behind it
        this.flush(file, bytes, entries)
        this.reassembly.pass(writer, seqs[i]!, file, offset + from - start)
        const source = sources[i]
        if (source !== undefined && !this.sources.pass(source)) this.reassembly.isAmbiguous = true
      }
    }
    this.flush(file, bytes, entries)
    buffer.advance(end, count)
  }

  /** Takes a whole line of the buffer, the one after `count` others: into the batch if that is possible. */
  private whole(
    file: string,
    buffer: LineBuffer,
    start: number,
    end: number,
    offset: number,
    count: number,
    isPlain: boolean,
    entries: Array<LogEntry>
  ): void {
    const { batch } = this
    const number = buffer.number > 0 ? buffer.number + count : 0
    const isTaken = isPlain && end - start <= this.lineBytesMax && batch.reader.read(start, end) &&
      batch.take(start, end, file, offset, number)
    if (!isTaken || batch.isFull) this.flush(file, buffer.bytes, entries)
    if (!isTaken) this.line(file, lineAt(buffer.bytes, start, end, offset, number, this.lineBytesMax), entries)
  }

  private flush(file: string, bytes: Buffer, entries: Array<LogEntry>): void {
    const batch = this.batch.parse()
    if (batch === undefined) return
    const { ends, isWhole, records, starts } = batch
    for (let i = 0; i < records.length; i++) {
      const record = records[i]!
      if (isWhole) {
        this.reassembly.add(record, this.released)
        this.hand(entries)
      } else {
        const { line, offset } = record
        this.line(file, lineAt(bytes, starts[i]!, ends[i]!, offset, line, this.lineBytesMax), entries)
      }
    }
  }

  /** Takes one line of a file whose lines are cut elsewhere, and adds what can be said now. */
  line(file: string, line: LineScanner.ScannedLine, entries: Array<LogEntry>): void {
    if (line.bytes === undefined) {
      entries.push({
        _tag: "Damage",
        ...placeOf(file, line),
        kind: "tooLong",
        healed: false,
        whole: false,
        preview: ""
      })
      return
    }
    const bytes = Codec.trim(line.bytes)
    const parsed = Codec.parse(bytes)
    switch (parsed._tag) {
      case "Blank":
        return
      case "Resync":
        // unchecked it would be a cloak: a record is hidden by the word "resync" in its stamp
        return HashChain.check(bytes, parsed.key, this.digests) === "hash"
          ? this.damage(placeOf(file, line), "hash", line.bytes, bytes, entries)
          : undefined
      case "Foreign":
        entries.push({ _tag: "Foreign", ...placeOf(file, line), value: parsed.value, text: parsed.text })
        return
      case "Broken":
        return this.damage(placeOf(file, line), parsed.kind, line.bytes, bytes, entries)
      case "Record": {
        const { fields, stamp, text } = parsed
        const check = HashChain.check(bytes, stamp.key, this.digests)
        if (check === "hash" || (check === "key" && this.hasKeys)) {
          return this.damage(placeOf(file, line), check, line.bytes, bytes, entries)
        }
        // with keys, a line without one proves nothing: anybody could have written it
        const verified = check === "ok" && (!this.hasKeys || stamp.key !== undefined)
        // field by field: a spread takes longer than the hash
        this.reassembly.add({
          _tag: "Record",
          file,
          offset: line.offset,
          length: line.length,
          line: line.number,
          id: id(stamp),
          stamp,
          fields,
          text,
          verified
        }, this.released)
        this.hand(entries)
      }
    }
  }

  /** Hands on what the last record has released: the record itself, or a transaction, or nothing. */
  private hand(entries: Array<LogEntry>): void {
    const { records, repeats } = this.released
    for (let i = 0; i < records.length; i++) {
      const record = records[i]!
      const { at, src } = record.stamp
      if (src === undefined || !this.sources.isRepeat(src, at, record.fields)) {
        entries.push(record)
      }
    }
    for (const repeat of repeats) this.compare(repeat, entries)
    records.length = 0
    repeats.length = 0
  }

  private newScanner(): LineScanner.LineScanner {
    return new LineScanner.LineScanner({ offset: 0, lineBytesMax: this.lineBytesMax })
  }

  private damage(
    place: Place,
    kind: Codec.DamageKind,
    line: Uint8Array,
    trimmed: Uint8Array,
    entries: Array<LogEntry>
  ): void {
    const healed = endsInResync(trimmed, this.digests)
    const whole = lacksNewline(trimmed, this.digests)
    entries.push({ _tag: "Damage", ...place, kind, healed, whole, preview: preview(trimmed) })
    if (!this.salvages) return
    for (const { length, offset, parsed: { fields, stamp, text }, verified } of Salvage.find(line, this.digests)) {
      const found = { ...place, offset: place.offset + offset, length }
      entries.push({ _tag: "Salvaged", ...found, id: id(stamp), stamp, fields, text, verified })
    }
  }

  private compare(repeat: AuditRecord, entries: Array<LogEntry>): void {
    const original = this.reassembly.original(repeat)
    // a string of both, since a writer gives the same record the same text
    if (original === undefined || JSON.stringify(original.fields) === JSON.stringify(repeat.fields)) return
    const { fields, file, id, length, line, offset, stamp, text } = repeat
    const first = { file: original.file, offset: original.offset }
    entries.push({ _tag: "Conflict", file, offset, length, line, id, stamp, fields, text, first })
  }
}

const isPlainText = (line: Uint8Array): boolean => isUtf8(line) && !line.includes(0)

const lineAt = (
  bytes: Buffer,
  start: number,
  end: number,
  offset: number,
  number: number,
  lineBytesMax: number
): LineScanner.ScannedLine => ({
  offset,
  length: end - start,
  number,
  bytes: end - start > lineBytesMax ? undefined : bytes.subarray(start, end)
})

const placeOf = (file: string, { length, number, offset }: LineScanner.ScannedLine): Place => ({
  file,
  offset,
  length,
  line: number
})
