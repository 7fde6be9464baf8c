/**
 * From the bytes of a log to its entries: the pure part of every reader. State is kept across files, since chains and
 * transactions go on in the next segment.
 */
import { id } from "../AuditRecord.ts"
import * as Codec from "../Codec.ts"
import * as HashChain from "../HashChain.ts"
import type { AuditRecord, LogEntry, Place } from "../LogEntry.ts"
import * as LineScanner from "./lineScanner.ts"
import * as Reassembly from "./reassembly.ts"

export interface DecodeOptions {
  readonly keys?: ReadonlyArray<HashChain.Key> | undefined
  readonly lineBytesMax?: number | undefined
}

const lineBytesMaxDefault = 64 * 1024 * 1024

/** Bytes of a damaged line that people are shown. */
const previewBytesMax = 80

export class LogDecoder {
  private file = ""
  private scanner: LineScanner.LineScanner
  private readonly reassembly = new Reassembly.Reassembly<AuditRecord>()
  private readonly digests: HashChain.Digests
  private readonly hasKeys: boolean
  private readonly lineBytesMax: number

  constructor(options: DecodeOptions) {
    this.lineBytesMax = options.lineBytesMax ?? lineBytesMaxDefault
    this.digests = HashChain.digests(options.keys)
    this.hasKeys = options.keys !== undefined
    this.scanner = this.newScanner()
  }

  /** Starts a file; the one before it must have ended. */
  begin(file: string): void {
    this.file = file
    this.scanner = this.newScanner()
  }

  /** Takes the next bytes of the file. */
  feed(block: Uint8Array): ReadonlyArray<LogEntry> {
    const entries: Array<LogEntry> = []
    this.scanner.feed(block, (line) => this.readLine(line, entries))
    return entries
  }

  /** What is left at the end of the file: bytes after its last newline. */
  endOfFile(): ReadonlyArray<LogEntry> {
    const { length, offset } = this.scanner.rest
    return length === 0 ? [] : [{ _tag: "Pending", file: this.file, offset, length }]
  }

  /** What is left at the end of the log: transactions that never became whole. */
  end(): ReadonlyArray<LogEntry> {
    return this.reassembly.end().map(({ expected, first: { file, offset }, found, transaction, writer }) => ({
      _tag: "Incomplete",
      file,
      offset,
      writer,
      transaction,
      found,
      expected
    }))
  }

  private newScanner(): LineScanner.LineScanner {
    return new LineScanner.LineScanner({ offset: 0, lineBytesMax: this.lineBytesMax })
  }

  private readLine(line: LineScanner.ScannedLine, entries: Array<LogEntry>): void {
    const place: Place = { file: this.file, offset: line.offset, length: line.length, line: line.number }
    const damage = (kind: Codec.DamageKind, bytes: Uint8Array): void => {
      const healed = endsInResync(bytes, this.digests)
      entries.push({ _tag: "Damage", ...place, kind, healed, preview: preview(bytes) })
    }
    if (line.bytes === undefined) return damage("tooLong", new Uint8Array(0))
    const bytes = Codec.trim(line.bytes)
    const parsed = Codec.parse(bytes)
    switch (parsed._tag) {
      case "Blank":
      case "Resync":
        return
      case "Foreign":
        entries.push({ _tag: "Foreign", ...place, value: parsed.value, text: parsed.text })
        return
      case "Broken":
        return damage(parsed.kind, bytes)
      case "Record": {
        const { fields, stamp, text } = parsed
        const check = HashChain.check(bytes, stamp.key, this.digests)
        const verified = check === "ok"
        if (!verified && (check === "hash" || this.hasKeys)) return damage(check, bytes)
        const record: AuditRecord = { _tag: "Record", ...place, id: id(stamp), stamp, fields, text, verified }
        for (const released of this.reassembly.add(record)) entries.push(released)
      }
    }
  }
}

/** Whether a damaged line ends in a resync line: the next writer has found the fragment and set it apart. */
const endsInResync = (line: Uint8Array, digests: HashChain.Digests): boolean => {
  const start = Codec.lastStart(line)
  if (start < 0) return false
  const last = line.subarray(start)
  const parsed = Codec.parse(last)
  return parsed._tag === "Resync" && HashChain.check(last, parsed.key, digests) !== "hash"
}

const preview = (line: Uint8Array): string =>
  JSON.stringify(Buffer.from(line.subarray(0, previewBytesMax)).toString("latin1")).slice(1, -1)
    .replace(/[\u007f-\u00ff]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`)
