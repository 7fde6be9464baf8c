/**
 * From the bytes of a log to a report: the pure part of the verifier. Of nearly every line it reads only the stamp and
 * the tail, and hashes what lies before; only a line that is unusual is parsed.
 */
import { isUtf8 } from "node:buffer"
import * as Codec from "../Codec.ts"
import * as HashChain from "../HashChain.ts"
import type { Place } from "../LogEntry.ts"
import type * as Report from "../VerifyReport.ts"
import { ChainCheck, type Comparison, type LineRange } from "./chainCheck.ts"
import { examine, preview } from "./damagedLine.ts"
import { Collector } from "./findings.ts"
import { LineBlocks, type LineSink } from "./lineBlocks.ts"
import { canonical, slackBytes, StampReader, tailLength } from "./stampReader.ts"
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

export class Verification implements LineSink, Here {
  readonly blocks: LineBlocks
  segment = -1
  length = 0

  private readonly segments: Array<{ file: string; bytes: number; records: number }> = []
  private lines = 0
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
  private readonly unauthenticated: Collector<Place>
  private readonly unchecked: Collector<Place>
  private readonly digests: HashChain.Digests
  private readonly plain = HashChain.digest(undefined)
  private readonly hasKeys: boolean

  constructor({ isPart, keys, lineBytesMax, listedMax }: VerificationOptions) {
    this.digests = HashChain.digests(keys)
    this.hasKeys = keys !== undefined
    this.torn = new TornWrites(this.digests)
    this.chain = new ChainCheck(this.reader, this.torn, this, isPart, listedMax)
    this.damages = new Collector(listedMax)
    this.fragments = new Collector(listedMax)
    this.unauthenticated = new Collector(listedMax)
    this.unchecked = new Collector(listedMax)
    this.blocks = new LineBlocks(lineBytesMax, this)
  }

  /** Begins a file; the one before it must have ended. */
  begin(file: string): void {
    this.segments.push({ file, bytes: 0, records: 0 })
    this.segment++
    this.blocks.begin()
  }

  /** Takes so many bytes, which were read into `blocks.space()`. */
  take(count: number): void {
    this.segments[this.segment]!.bytes += count
    this.blocks.take(count)
  }

  /** Ends a file: what stands after its last newline. */
  endOfFile(): void {
    const { bytes, length } = this.blocks.rest
    this.torn.endOfFile()
    if (length === 0) return
    this.length = length
    // what a torn write leaves at the start of a file is the beginning of a line, or a hole
    const isForeignFile = this.blocks.offset === 0 && bytes.length > 0 && bytes[0] !== 0x7b && bytes[0] !== 0
    if (!isForeignFile) this.pending.push({ file: this.file, offset: this.blocks.offset, length })
    else this.addDamage({ ...this.place(), kind: "notJson", healed: false, preview: preview(bytes) })
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
      fragments: this.fragments.findings,
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

  get offset(): number {
    return this.blocks.offset
  }

  place(): Place {
    return { file: this.file, offset: this.blocks.offset, length: this.length, line: this.blocks.number }
  }

  private get file(): string {
    return this.segments[this.segment]!.file
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Lines
  // -------------------------------------------------------------------------------------------------------------------

  attach(bytes: Buffer): void {
    this.bytes = bytes
    this.octets = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    this.reader.attach(bytes)
  }

  line(start: number, end: number, plain: boolean): void {
    this.lines++
    this.length = end - start
    if (plain && this.reader.read(start, end) && this.isPlainRecord(start)) this.record()
    else this.unusual(start, end)
  }

  tooLong(length: number): void {
    this.lines++
    this.length = length
    const place = this.place()
    this.addDamage({ ...place, kind: "tooLong", healed: false, preview: "" })
  }

  /** Whether the line that was read has no HMAC, and its hash is right. */
  private isPlainRecord(start: number): boolean {
    const { reader } = this
    return reader.keyAt < 0 && reader.isHash(this.plain(this.octets.subarray(start, reader.tailAt)))
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
        if (found === "hash" || (found === "key" && this.hasKeys)) return this.damage(found, trimmed)
        this.resyncs++
        if (parsed.key === undefined && this.hasKeys) this.unauthenticated.add(() => this.place())
        return
      }
      case "Record": {
        const found = HashChain.check(trimmed, parsed.stamp.key, this.digests)
        const parts = Codec.unseal(trimmed)
        if (found === "hash" || parts === undefined) return this.damage("hash", trimmed)
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
    if (check === "key" && this.hasKeys) return this.damage("key", line)
    if (check === "key") this.unchecked.add(() => this.place())
    this.record()
  }

  private record(): void {
    const { reader } = this
    if (!this.chain.record()) {
      return this.damage("stamp", reader.bytes.subarray(reader.writerAt - 27, reader.hashAt + 45))
    }
    this.segments[this.segment]!.records++
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

  private damage(kind: Codec.DamageKind, line: Uint8Array): void {
    const examined = examine(line, this.digests)
    const next = this.offset + this.length + 1
    const damage: Report.Damage = { ...this.place(), kind, healed: examined.healed, preview: preview(line) }
    this.torn.judge(examined, kind, this.offset, next, (isFault) => {
      if (isFault) this.addDamage(damage)
      else this.fragments.add(() => damage)
    })
  }

  private addDamage(damage: Report.Damage): void {
    this.damageKinds.set(damage.kind, (this.damageKinds.get(damage.kind) ?? 0) + 1)
    this.damages.add(() => damage)
  }
}

/** Looks for records with certain hashes, and for nothing else. */
export class HashSearch implements LineSink {
  readonly blocks: LineBlocks
  readonly found = new Map<string, LineRange>()
  private segment = -1
  private bytes: Buffer = Buffer.alloc(slackBytes)
  private readonly hashes: ReadonlySet<string>
  private readonly digests: HashChain.Digests
  private readonly hasKeys: boolean

  constructor(
    hashes: ReadonlySet<string>,
    { keys, lineBytesMax }: Pick<VerificationOptions, "keys" | "lineBytesMax">
  ) {
    this.hashes = hashes
    this.digests = HashChain.digests(keys)
    this.hasKeys = keys !== undefined
    this.blocks = new LineBlocks(lineBytesMax, this)
  }

  begin(): void {
    this.segment++
    this.blocks.begin()
  }

  attach(bytes: Buffer): void {
    this.bytes = bytes
  }

  line(start: number, end: number): void {
    if (end - start < tailLength) return
    const line = Codec.trim(this.bytes.subarray(start, end))
    const parts = Codec.unseal(line)
    if (parts === undefined || !this.hashes.has(parts.hash) || this.found.has(parts.hash)) return
    const parsed = Codec.parse(line)
    if (parsed._tag !== "Record") return
    const check = HashChain.check(line, parsed.stamp.key, this.digests)
    if (check === "hash" || (check === "key" && this.hasKeys)) return
    this.found.set(parts.hash, { segment: this.segment, offset: this.blocks.offset, length: end - start })
  }

  tooLong(): void {
    // no record
  }
}
