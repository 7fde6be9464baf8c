/**
 * Decodes the lines of a buffer that are records as this library writes them: what `Codec.parse` and `HashChain.check`
 * say of them, in a third of the time. Every other line is left to those.
 *
 * A line's stamp is read where format.md says it stands, and not parsed. The fields of many lines are parsed at once, as
 * one JSON array: most of the time that `JSON.parse` takes for a line goes into the call and its text. The array's
 * elements alternate with a number that nobody can know who writes lines, so that lines which are no JSON by themselves
 * cannot make one together.
 */
import { isAscii } from "node:buffer"
import { randomInt } from "node:crypto"
import type { Stamp } from "../AuditRecord.ts"
import type * as HashChain from "../HashChain.ts"
import type { AuditRecord } from "../LogEntry.ts"
import { isDigestOf } from "./hashCheck.ts"
import { atLength, hashLength, isText, isUlid, StampReader, traceLength, writerLength } from "./stampReader.ts"

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

/** Bytes of fields that are parsed together; a record with more is left to `Codec.parse`, which is no slower for it. */
const fieldsBytesMax = 16 * 1024

/** Ids of writers whose texts are kept, by the end of the id. */
const writersKept = 64

const quote = 34
const braceOpen = 123
const braceClose = 125
const bracketOpen = 91
const bracketClose = 93

/** Digits of the number between the elements: it is met once in 10^9 batches by chance, and then lines are read singly. */
const markLength = 10

const hashChars = Uint8Array.from({ length: 256 }, (_, code) => /[\w-]/.test(String.fromCharCode(code)) ? 1 : 0)

const isHashText = (bytes: Uint8Array, at: number): boolean => {
  let all = 1
  for (let i = at; i < at + hashLength; i++) all &= hashChars[bytes[i]!]!
  return all === 1
}

export interface Batch {
  readonly records: ReadonlyArray<AuditRecord>
  /** Whether the records have their fields; else their lines are to be parsed one by one. */
  readonly isWhole: boolean
  /** Where their lines begin and end in the buffer. */
  readonly starts: ReadonlyArray<number>
  readonly ends: ReadonlyArray<number>
}

export class RecordBatch {
  readonly reader = new StampReader()
  private readonly digests: HashChain.Digests
  private readonly hasKeys: boolean
  private readonly mark = randomInt(10 ** (markLength - 1), 2 ** 31)
  private readonly markBytes = Buffer.from(`,${this.mark},`)
  private readonly fields = Buffer.allocUnsafeSlow(2 * fieldsBytesMax)
  private fieldsEnd = 0
  private records: Array<Mutable<AuditRecord>> = []
  private starts: Array<number> = []
  private ends: Array<number> = []
  private readonly writers: Array<string | undefined> = Array.from({ length: writersKept }, () => undefined)

  /** The lines `[from, to)` of the buffer, as text if they are ASCII: the lines' texts are parts of it. */
  private from = 0
  private text: string | undefined

  constructor(digests: HashChain.Digests, hasKeys: boolean) {
    this.digests = digests
    this.hasKeys = hasKeys
  }

  /** Works on these lines from now on: valid UTF-8 without NUL bytes. */
  attach(bytes: Buffer, from: number, to: number): void {
    const { reader } = this
    if (reader.bytes !== bytes) reader.attach(bytes)
    this.from = from
    this.text = isAscii(bytes.subarray(from, to)) ? bytes.toString("latin1", from, to) : undefined
  }

  /** Works on some lines of the bytes from now on: there is no text that they could share. */
  attachSparse(bytes: Buffer): void {
    const { reader } = this
    if (reader.bytes !== bytes) reader.attach(bytes)
    this.text = undefined
  }

  /** Whether there is room for more. */
  get isFull(): boolean {
    return this.fieldsEnd >= fieldsBytesMax
  }

  /** Takes the line that the {@link reader} has just read, if it is a record with the right hash; false otherwise. */
  take(start: number, end: number, file: string, offset: number, number: number): boolean {
    const { reader } = this
    const { bodyAt, bytes, prevAt, seenAt, tailAt } = reader
    if (tailAt - bodyAt > fieldsBytesMax || (bodyAt < tailAt && bytes[bodyAt + 1] !== quote)) return false
    if ((prevAt >= 0 && !isHashText(bytes, prevAt)) || (seenAt >= 0 && !isHashText(bytes, seenAt))) return false
    const writer = this.writer()
    if (writer === undefined || !this.isGenuine(start)) return false

    const text = this.text === undefined
      ? bytes.toString("utf8", start, end)
      : this.text.substring(start - this.from, end - this.from)
    this.addFields(bodyAt, tailAt)
    this.starts.push(start)
    this.ends.push(end)
    this.records.push({
      _tag: "Record",
      file,
      offset,
      length: end - start,
      line: number,
      id: `${writer}:${reader.seq}`,
      stamp: this.stamp(writer, text, start),
      fields: noFields,
      text,
      // with keys, a line without one proves nothing: anybody could have written it
      verified: !this.hasKeys || reader.keyAt >= 0
    })
    return true
  }

  /** The records taken since the last time; `undefined` if there are none. */
  parse(): Batch | undefined {
    const { ends, records, starts } = this
    if (records.length === 0) return undefined
    const isWhole = this.parseFields(records)
    this.records = []
    this.starts = []
    this.ends = []
    this.fieldsEnd = 0
    return { records, isWhole, starts, ends }
  }

  private parseFields(records: ReadonlyArray<Mutable<AuditRecord>>): boolean {
    const { fields, fieldsEnd, mark } = this
    fields[fieldsEnd] = bracketClose
    const end = fieldsEnd + 1
    let values: unknown
    try {
      values = JSON.parse(this.text === undefined ? fields.toString("utf8", 0, end) : fields.toString("latin1", 0, end))
    } catch {
      return false
    }
    if (!Array.isArray(values) || values.length !== 2 * records.length - 1) return false
    for (let i = 0; i < records.length; i++) {
      const value = values[2 * i] as AuditRecord["fields"]
      if (i > 0 && values[2 * i - 1] !== mark) return false
      // a key twice: the last one counts, and then the stamp is not the one that was read
      if (Object.hasOwn(value, "_audit") || Object.hasOwn(value, "_hash")) return false
      records[i]!.fields = value
    }
    return true
  }

  private addFields(bodyAt: number, tailAt: number): void {
    const { fields, markBytes } = this
    let at = this.fieldsEnd
    if (at === 0) fields[at++] = bracketOpen
    else for (let i = 0; i < markBytes.length; i++) fields[at++] = markBytes[i]!
    fields[at++] = braceOpen
    if (bodyAt < tailAt) at += this.reader.bytes.copy(fields, at, bodyAt + 1, tailAt)
    fields[at++] = braceClose
    this.fieldsEnd = at
  }

  private isGenuine(start: number): boolean {
    const { reader } = this
    const { bytes, hashAt, key, tailAt, view } = reader
    if (key === undefined) return isDigestOf(bytes, view, start, tailAt, hashAt)
    const digest = this.digests(key)
    return digest !== undefined && reader.isHash(digest(bytes.subarray(start, tailAt)))
  }

  /** The text of the writer's id: the same string for every record of it. */
  writer(): string | undefined {
    const { reader: { bytes, view, writerAt }, writers } = this
    const slot = (view.getInt32(writerAt + writerLength - 4, true) * 0x9e3779b1) >>> 26
    const kept = writers[slot]
    if (kept !== undefined && isText(bytes, writerAt, kept)) return kept
    if (!isUlid(bytes, writerAt)) return undefined
    const writer = bytes.toString("latin1", writerAt, writerAt + writerLength)
    writers[slot] = writer
    return writer
  }

  private stamp(writer: string, text: string, start: number): Stamp {
    const { attempt, keyAt, keyEnd, prevAt, seenAt, seq, srcAt, srcEnd, timeAt, traceAt, txAt, txCount, txIndex } =
      this.reader
    const part = (at: number, length: number): string => text.substring(at - start, at - start + length)
    const stamp: Mutable<Stamp> = { v: 1, writer, seq, at: part(timeAt, atLength) }
    if (prevAt >= 0) stamp.prev = part(prevAt, hashLength)
    if (seenAt >= 0) stamp.seen = part(seenAt, hashLength)
    if (txAt >= 0) stamp.tx = { id: part(txAt, writerLength), i: txIndex, n: txCount }
    // a zero is never written, and would be parsed as it stands
    if (attempt > 0) stamp.try = attempt
    if (traceAt >= 0) stamp.trace = part(traceAt, traceLength)
    if (keyAt >= 0) stamp.key = part(keyAt, keyEnd - keyAt)
    if (srcAt >= 0) stamp.src = part(srcAt, srcEnd - srcAt)
    return stamp
  }
}

const noFields: AuditRecord["fields"] = {}
