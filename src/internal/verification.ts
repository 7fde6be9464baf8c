/**
 * From the bytes of a log to a report: the pure part of the verifier. What a line says alone a {@link BlockScan} finds
 * out, here or in a worker thread; here the lines are judged one after the other. Of nearly every line only the stamp
 * and the tail are read, and what lies before is hashed; only a line that is unusual is parsed.
 */
import * as Redacted from "effect/Redacted"
import { isUtf8 } from "node:buffer"
import { createSecretKey } from "node:crypto"
import * as Codec from "../Codec.ts"
import * as HashChain from "../HashChain.ts"
import type { Place } from "../LogEntry.ts"
import type * as Report from "../VerifyReport.ts"
import { BlockScan, type Keys } from "./blockScan.ts"
import { canonical } from "./canonicalLine.ts"
import { ChainCheck, type Comparison, type LineRange } from "./chainCheck.ts"
import { examine, preview } from "./damagedLine.ts"
import { Collector } from "./findings.ts"
import type { Block, Cut, LineBlocks } from "./lineBlocks.ts"
import { isRecord, lacksNewline } from "./newlineLost.ts"
import { slackBytes, StampReader } from "./stampReader.ts"
import { TornWrites } from "./tornWrites.ts"
import type { Here } from "./transactionCheck.ts"

export interface VerificationOptions {
  readonly keys: ReadonlyArray<HashChain.Key> | undefined
  readonly lineBytesMax: number
  /** Only some of the log's files are read: what could be in older ones is not missed. */
  readonly isPart: boolean
  /** Findings of each kind that are listed. */
  readonly listedMax: number
}

const removedStart = Buffer.from(`,"_tag":"auditlog/SegmentRemoved"`)

/** Ids that are listed. A log is under a few keys; whoever makes ids up must not fill the memory with them. */
const unknownKeysMax = 100

/** The keys as a scan wants them, and a worker thread can have them. They must be valid. */
const scanKeys = (keys: ReadonlyArray<HashChain.Key>): Keys =>
  new Map(keys.map(({ id, secret }) => [id, createSecretKey(Buffer.from(Redacted.value(secret) as Uint8Array))]))

export class Verification implements Here {
  readonly keys: Keys
  segment = -1
  /** Where the line stands that is looked at, and how long it is. */
  offset = 0
  length = 0

  private readonly segments: Array<{ file: string; bytes: number; records: number }> = []
  private lines = 0
  /** The number of the line that is looked at. */
  private number = 1
  private foreign = 0
  private resyncs = 0
  /** Names of segments that were removed: two processes may say so of one. */
  private readonly removed = new Set<unknown>()
  private bytes: Buffer = Buffer.alloc(slackBytes)
  /** The same memory without the cost of `Buffer.subarray`. */
  private octets: Uint8Array = this.bytes
  private readonly reader = new StampReader()
  private readonly torn: TornWrites
  private readonly chain: ChainCheck
  private readonly pending: Array<Report.Pending> = []
  private readonly damages: Collector<Report.Damage>
  private readonly damageKinds = new Map<string, number>()
  private readonly fragments: Collector<Report.Damage>
  private readonly unended: Collector<Report.Damage>
  private readonly unauthenticated: Collector<Place>
  private readonly unchecked: Collector<Place>
  /** Keys of which a record has the HMAC that they make, and of the others how many records are under them. */
  private readonly provenKeys = new Set<string>()
  private readonly failingKeys = new Map<string, number>()
  /** Keys that were not given, and how many lines name them. */
  private readonly unknownKeys = new Map<string, number>()
  private readonly digests: HashChain.Digests
  private readonly scan: BlockScan
  private readonly lineBytesMax: number
  private readonly hasKeys: boolean

  constructor({ isPart, keys, lineBytesMax, listedMax }: VerificationOptions) {
    this.digests = HashChain.digests(keys)
    this.hasKeys = keys !== undefined
    this.keys = scanKeys(keys ?? [])
    this.scan = new BlockScan(this.keys, lineBytesMax)
    this.lineBytesMax = lineBytesMax
    this.torn = new TornWrites(this.digests)
    this.chain = new ChainCheck(this.reader, this.torn, this, isPart, listedMax)
    this.damages = new Collector(listedMax)
    this.fragments = new Collector(listedMax)
    this.unended = new Collector(listedMax)
    this.unauthenticated = new Collector(listedMax)
    this.unchecked = new Collector(listedMax)
  }

  /** Begins a file; the one before it must have ended. */
  begin(file: string): void {
    this.segments.push({ file, bytes: 0, records: 0 })
    this.segment++
    this.offset = 0
    this.number = 1
  }

  /**
   * Takes the lines of a block. `scannedTo`: the table has those up to there; what it has not is scanned here.
   */
  take({ block, end, start, tooLong }: Cut, scannedTo?: number): void {
    this.attach(block)
    if (tooLong >= 0) {
      this.tooLong(tooLong)
      this.advance()
    }
    let to = scannedTo ?? this.scan.scan(block, start, end)
    this.judge(block)
    while (to < end) {
      to = this.scan.scan(block, to, end)
      this.judge(block)
    }
  }

  /** Ends a file: what stands after its last newline. */
  endOfFile({ bytes, length }: LineBlocks["rest"]): void {
    this.segments[this.segment]!.bytes = this.offset + length
    this.torn.endOfFile()
    if (length === 0) return
    this.length = length
    // what a torn write leaves at the start of a file is the beginning of a line, or a hole
    const isForeignFile = this.offset === 0 && bytes.length > 0 && bytes[0] !== 0x7b && bytes[0] !== 0
    if (isForeignFile) {
      this.addDamage({ ...this.place(), kind: "notJson", healed: false, whole: false, preview: preview(bytes) })
      return
    }
    if (length > this.lineBytesMax) {
      this.addDamage({ ...this.place(), kind: "tooLong", healed: false, whole: false, preview: preview(bytes) })
      return
    }
    const whole = bytes.length === length && isRecord(bytes, this.digests)
    this.pending.push({ file: this.file, offset: this.offset, length, whole })
  }

  /** Ends the log. */
  end(): void {
    this.chain.end()
  }

  /** Repeats since the last call: what they say is to be compared, and {@link compared} told of it. */
  takeComparisons(): ReadonlyArray<Comparison> {
    if (this.chain.comparisons.length === 0) return []
    const { comparisons } = this.chain
    this.chain.comparisons = []
    return comparisons
  }

  compared({ first, isLaterAttempt, record }: Comparison, content: Report.Conflict["content"]): void {
    if (isLaterAttempt && content !== "other") return
    const { file } = this.segments[first.segment]!
    this.chain.conflicts.add(() => ({ ...record, content, first: { file, offset: first.offset } }))
  }

  /** Hashes that stand nowhere near the records that name them: they are looked for in a second reading. */
  get suspects(): ReadonlySet<string> {
    return new Set(this.chain.suspects.map(({ hash }) => hash))
  }

  resolve(found: ReadonlyMap<string, LineRange>): void {
    this.chain.resolve(found)
  }

  fileOf(segment: number): string {
    return this.segments[segment]!.file
  }

  report(log: string): Report.Report {
    const { chain } = this
    const faults = {
      damages: this.damages.findings,
      missing: chain.missing.findings,
      conflicts: chain.conflicts.findings,
      broken: chain.broken.findings,
      dangling: chain.dangling.findings,
      unauthenticated: this.unauthenticated.findings,
      unchecked: this.unchecked.findings
    }
    return {
      log,
      sound: Object.values(faults).every(({ count }) => count === 0),
      segments: this.segments,
      bytes: this.segments.reduce((sum, { bytes }) => sum + bytes, 0),
      lines: this.lines,
      records: chain.transactions.records,
      writers: chain.writers,
      transactions: chain.transactions.transactions,
      foreign: this.foreign,
      resyncs: this.resyncs,
      ...faults,
      damageKinds: Object.fromEntries(this.damageKinds),
      // one alone may well have been altered
      doubtfulKeys: Array.from(this.failingKeys, ([key, records]) => ({ key, records })).filter(({ key, records }) =>
        records > 1 && !this.provenKeys.has(key)
      ),
      unknownKeys: Array.from(this.unknownKeys, ([key, lines]) => ({ key, lines })),
      fragments: this.fragments.findings,
      unended: this.unended.findings,
      unfinished: chain.unfinished.findings,
      incomplete: chain.transactions.incomplete.findings,
      repeats: chain.repeats,
      pending: this.pending,
      earlier: chain.earlier,
      removed: this.removed.size
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Where the line stands
  // -------------------------------------------------------------------------------------------------------------------

  place(): Place {
    return { file: this.file, offset: this.offset, length: this.length, line: this.number }
  }

  private get file(): string {
    return this.segments[this.segment]!.file
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Lines
  // -------------------------------------------------------------------------------------------------------------------

  private attach({ bytes, octets }: Block): void {
    this.bytes = bytes
    this.octets = octets
    this.reader.attach(bytes)
  }

  /** Judges the lines that are in the table of a block. */
  private judge({ table }: Block): void {
    const { lineBytesMax, reader } = this
    const { count } = table
    for (let row = 0; row < count; row++) {
      const start = table.start(row)
      const end = table.end(row)
      if (end - start > lineBytesMax) this.tooLong(end - start)
      else {
        this.lines++
        this.length = end - start
        if (table.load(row, reader)) this.record()
        else this.unusual(start, end)
      }
      this.advance()
    }
  }

  private advance(): void {
    this.offset += this.length + 1
    this.number++
  }

  private tooLong(length: number): void {
    this.lines++
    this.length = length
    const place = this.place()
    this.addDamage({ ...place, kind: "tooLong", healed: false, whole: false, preview: "" })
  }

  private unusual(start: number, end: number): void {
    const { reader } = this
    const line = this.octets.subarray(start, end)
    const trimmed = Codec.trim(line)
    const from = trimmed.byteOffset - this.octets.byteOffset
    if (isUtf8(trimmed) && !trimmed.includes(0) && reader.read(from, from + trimmed.length)) {
      const check = HashChain.check(trimmed, reader.key, this.digests)
      if (check !== "hash") return this.keyed(check, trimmed)
    }
    const parsed = Codec.parse(trimmed)
    switch (parsed._tag) {
      case "Blank":
        return this.torn.blank(this.offset + this.length + 1)
      case "Foreign":
        this.foreign++
        return
      case "Broken":
        return this.damage(parsed.kind, trimmed)
      case "Resync": {
        const found = HashChain.check(trimmed, parsed.key, this.digests)
        if (found === "key" && this.hasKeys) return this.unknownKey(parsed.key, trimmed)
        if (found === "hash") return this.damage(found, trimmed)
        this.resyncs++
        if (parsed.key === undefined && this.hasKeys) this.unauthenticated.add(() => this.place())
        return
      }
      case "Record": {
        const found = HashChain.check(trimmed, parsed.stamp.key, this.digests)
        const parts = Codec.unseal(trimmed)
        if (found === "hash" || parts === undefined) {
          const { key } = parsed.stamp
          if (key !== undefined) this.failingKeys.set(key, (this.failingKeys.get(key) ?? 0) + 1)
          // as long as no record has the HMAC of a key, it may be another one's
          return this.damage("hash", trimmed, key !== undefined && !this.provenKeys.has(key))
        }
        // written in another way than this library's: read it as if it were in ours
        const line = canonical(parsed, parts.hash)
        reader.attach(line)
        const isStamp = reader.read(0, line.length - slackBytes - 1)
        if (isStamp) this.keyed(found, trimmed)
        reader.attach(this.bytes)
        if (!isStamp) this.damage("stamp", trimmed)
      }
    }
  }

  /** A record whose hash is right, or cannot be checked. */
  private keyed(check: "ok" | "key", line: Uint8Array): void {
    if (check === "key" && this.hasKeys) return this.unknownKey(this.reader.key, line)
    if (check === "key") this.unchecked.add(() => this.place())
    this.record()
  }

  private unknownKey(key: string | undefined, line: Uint8Array): void {
    const lines = this.unknownKeys.get(key ?? "")
    if (key !== undefined && (lines !== undefined || this.unknownKeys.size < unknownKeysMax)) {
      this.unknownKeys.set(key, (lines ?? 0) + 1)
    }
    this.damage("key", line)
  }

  private record(): void {
    const { reader } = this
    if (!this.chain.record()) {
      return this.damage("stamp", reader.bytes.subarray(reader.writerAt - 27, reader.hashAt + 45))
    }
    this.segments[this.segment]!.records++
    if (this.provenKeys.size < this.keys.size && reader.key !== undefined) this.provenKeys.add(reader.key)
    if (reader.keyAt < 0 && this.hasKeys) this.unauthenticated.add(() => this.place())
    else if (reader.bytes[reader.bodyAt + 9] === 0x61 && reader.bytes[reader.bodyAt + 17] === 0x2f) this.readOwn()
  }

  /** A record of the library's own: retention has removed a segment. */
  private readOwn(): void {
    const { bodyAt, bytes, tailAt } = this.reader
    if (bytes.compare(removedStart, 0, removedStart.length, bodyAt, bodyAt + removedStart.length) !== 0) return
    let record: unknown
    try {
      record = JSON.parse(`{${bytes.toString("utf8", bodyAt + 1, tailAt)}}`)
    } catch {
      return
    }
    const { segment, writers } = record as { readonly segment?: unknown; readonly writers?: unknown }
    this.removed.add(segment)
    if (!Array.isArray(writers)) return
    for (const { hash, to, writer } of writers as ReadonlyArray<Record<string, unknown>>) {
      if (typeof writer !== "string" || typeof to !== "number" || typeof hash !== "string") continue
      const known = this.chain.anchors.get(writer)
      if (known === undefined || known.to < to) this.chain.anchors.set(writer, { to, hash })
    }
  }

  private damage(kind: Codec.DamageKind, line: Uint8Array, isDoubtful = false): void {
    const examined = examine(line, this.digests)
    const { offset } = this
    const next = offset + this.length + 1
    const { healed } = examined
    const whole = lacksNewline(line, this.digests)
    const damage: Report.Damage = { ...this.place(), kind, healed, whole, preview: preview(line) }
    const decided = (isFault: boolean): void => {
      if (isFault) this.addDamage(damage)
      else (whole ? this.unended : this.fragments).add(() => damage)
    }
    this.torn.judge(examined, { kind, offset, next, isDoubtful, decided })
  }

  private addDamage(damage: Report.Damage): void {
    this.damageKinds.set(damage.kind, (this.damageKinds.get(damage.kind) ?? 0) + 1)
    this.damages.add(() => damage)
  }
}
