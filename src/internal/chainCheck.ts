/**
 * Follows the chain of every writer through a log, record by record. Pure state, no files.
 *
 * Nearly every record continues its writer's chain: it has the next number and names the hash of the one before. The
 * rest of this file is about those that do not, and which of them the appender's protocol explains (docs/integrity.md).
 */
import type { Place } from "../LogEntry.ts"
import type * as Report from "../VerifyReport.ts"
import { Collector } from "./findings.ts"
import { RecentRecords } from "./recentRecords.ts"
import type { StampReader } from "./stampReader.ts"
import type { Evidence, TornWrites } from "./tornWrites.ts"
import { type Here, TransactionCheck } from "./transactionCheck.ts"
import { isHash, WriterTable } from "./writerTable.ts"

/**
 * A writer of which a record was torn: what follows in the same write hangs on a hash that is nowhere. Either an attempt
 * to append it all again follows, from `from` or before it, or the writer ends there.
 */
interface Unfinished {
  readonly from: number
  readonly to: number
  /** The hash of the record before `from`. */
  readonly head: Int32Array | undefined
  readonly place: Place
  readonly evidence: Evidence
  attempt: number
  seen: string
  segment: number
  end: number
}

/** A writer whose first record here is not its first. */
interface Headless {
  readonly seq: number
  readonly attempt: number
  readonly prev: string
  readonly place: Place
}

/** A hash that should stand before a record, and is not that of a recent one. */
export interface Suspect {
  readonly hash: string
  readonly link: "prev" | "seen"
  readonly segment: number
  readonly record: Report.RecordPlace
  /** The first hash that its writer names here. */
  readonly isFirst: boolean
}

/** Where a line stands. */
export interface LineRange {
  readonly segment: number
  readonly offset: number
  readonly length: number
}

/** Two lines with one identity, whose contents are to be compared. */
export interface Comparison {
  readonly record: Report.RecordPlace
  readonly isLaterAttempt: boolean
  readonly first: LineRange
  readonly again: LineRange
}

/** Links that are looked up in a second reading, at most; more of them are faults at once. */
const suspectsMax = 100_000

export class ChainCheck {
  repeats = 0
  /** Writers, and links to other writers, that begin before the oldest file. */
  earlier = 0
  comparisons: Array<Comparison> = []
  readonly suspects: Array<Suspect> = []
  readonly transactions: TransactionCheck
  /** What writers have left in removed segments: their last number there, and its hash. */
  readonly anchors = new Map<string, { readonly to: number; readonly hash: string }>()
  readonly missing: Collector<Report.Missing>
  readonly conflicts: Collector<Report.Conflict>
  readonly broken: Collector<Report.BrokenLink>
  readonly dangling: Collector<Report.DanglingSeen>
  readonly unfinished: Collector<Report.Missing>

  private readonly table = new WriterTable()
  private readonly recent = new RecentRecords()
  private readonly unfinishedWriters = new Map<number, Unfinished>()
  /** Writers that append again, and the last number that they had used. */
  private readonly repeating = new Map<number, number>()
  private readonly headless = new Map<number, Headless>()
  private readonly reader: StampReader
  private readonly torn: TornWrites
  private readonly here: Here
  /** What is read is a part of the log: older files may have what is not found. */
  private readonly isPart: boolean

  constructor(reader: StampReader, torn: TornWrites, here: Here, isPart: boolean, listedMax: number) {
    this.isPart = isPart
    this.reader = reader
    this.torn = torn
    this.here = here
    this.transactions = new TransactionCheck(reader, this.table, this.recent, listedMax)
    this.missing = new Collector(listedMax)
    this.conflicts = new Collector(listedMax)
    this.broken = new Collector(listedMax)
    this.dangling = new Collector(listedMax)
    this.unfinished = new Collector(listedMax)
  }

  get writers(): number {
    return this.table.size
  }

  /** Takes the record that the reader has read and whose hash was checked. False if its writer's id is none. */
  record(): boolean {
    const { here, reader, recent, table } = this
    const { attempt, prevAt, seenAt, seq, view } = reader
    let writer = table.find(view, reader.writerAt)
    if (writer < 0) writer = table.add(reader.bytes, view, reader.writerAt)
    if (writer < 0) return false

    const next = table.next[writer]!
    const continues = seq === next && (seq === 0 ? prevAt < 0 : prevAt >= 0 && table.isHead(writer, view, prevAt))
    const isRegular = continues && (this.unfinishedWriters.size === 0 || !this.unfinishedWriters.has(writer))
    let isRepeat = false
    if (seq < next || attempt > 0 || (this.repeating.size > 0 && this.repeating.has(writer))) {
      const earlier = recent.findId(writer, seq)
      isRepeat = earlier >= 0
      if ((seq < next || isRepeat) && !this.isLaterAttempt(earlier)) return true
      this.advance(writer, seq, next)
      if (isRepeat) this.repeats++
    }
    if (!isRegular) this.follow(writer, continues)
    table.next[writer] = seq + 1
    table.setHead(writer, view, reader.hashAt)
    if (!this.transactions.add(writer, isRepeat, here) && isRegular && attempt === 0) {
      this.broken.add(() => ({ ...this.identified(), problem: "transaction" }))
    }
    if (seenAt >= 0) {
      const isFirst = table.hasSeenNothing(writer)
      if (!table.hasSeen(writer, view, seenAt) && recent.findHash(view, seenAt) < 0) {
        this.suspect("seen", seenAt, isFirst)
      }
    }
    recent.add(writer, seq, attempt, here.segment, here.offset, here.length, view, reader.hashAt)
    return true
  }

  /** Judges what could still have been explained by what follows. */
  end(): void {
    const explained = new Map<number, number>()
    for (const [writer, { attempt, place, prev, seq }] of this.headless) {
      const id = this.table.id(writer)
      const anchor = this.anchors.get(id)
      const isNext = anchor?.to === seq - 1 && anchor.hash === prev
      // of a batch that was appended again, the first attempt can be in a file that is gone
      const isAgain = anchor !== undefined && attempt > 0 && anchor.to >= seq
      if (this.isPart || isNext || isAgain) {
        explained.set(writer, seq)
        this.earlier++
        continue
      }
      const { file, line, offset } = place
      const from = anchor === undefined || anchor.to >= seq ? 0 : anchor.to + 1
      if (from < seq) this.missing.add(() => ({ writer: id, from, to: seq - 1, file, offset, line }))
      else this.broken.add(() => ({ ...place, writer: id, seq, problem: "prev" }))
    }
    for (const [writer, unfinished] of this.unfinishedWriters) {
      // what explained it may have turned out to be a fault itself
      const list = unfinished.evidence.isFault ? this.missing : this.unfinished
      list.add(() => missingBefore(this.table.id(writer), unfinished))
    }
    this.transactions.end((writer) => explained.get(writer))
  }

  /** Takes where the suspected hashes stand, as far as they do. */
  resolve(found: ReadonlyMap<string, LineRange>): void {
    for (const { hash, isFirst, link, record, segment } of this.suspects) {
      const at = found.get(hash)
      // a writer goes on naming what it saw last, until it sees something in a newer file
      if (link === "seen" && isFirst && at === undefined && (this.isPart || this.anchors.size > 0)) {
        this.earlier++
        continue
      }
      // files have an order of their own; only inside one of them is "later" certain
      if (at !== undefined && (at.segment !== segment || at.offset < record.offset)) continue
      if (link === "prev") this.broken.add(() => ({ ...record, problem: "prev" }))
      else this.dangling.add(() => ({ ...record, seen: hash, stands: at === undefined ? "nowhere" : "later" }))
    }
  }

  /** While a writer appends again what it has appended, its numbers have been used. */
  private advance(writer: number, seq: number, next: number): void {
    const last = this.repeating.get(writer) ?? -1
    if (seq < next && next - 1 > last) this.repeating.set(writer, next - 1)
    else if (seq >= last) this.repeating.delete(writer)
  }

  /** A record whose number its writer has used: an attempt to append it again, or something that no writer does. */
  private isLaterAttempt(earlier: number): boolean {
    const { here: { length, offset, segment }, reader, recent } = this
    if (earlier < 0) {
      if (reader.attempt > 0) return true
      this.conflicts.add(() => ({ ...this.identified(), content: "unknown", first: null }))
      return false
    }
    const isLaterAttempt = reader.attempt > recent.attempt(earlier)
    this.comparisons.push({
      record: this.identified(),
      isLaterAttempt,
      first: { segment: recent.segment(earlier), offset: recent.offset(earlier), length: recent.length(earlier) },
      again: { segment, offset, length }
    })
    return isLaterAttempt
  }

  /** Judges a record that does not simply continue its writer's chain. */
  private follow(writer: number, continues: boolean): void {
    const { reader, table, unfinishedWriters } = this
    const { seq } = reader
    const unfinished = unfinishedWriters.get(writer)
    if (unfinished !== undefined) {
      if (this.isSameWrite(unfinished, continues)) return this.extend(unfinished)
      unfinishedWriters.delete(writer)
      if (reader.attempt > unfinished.attempt) {
        if (this.isAfter(writer, unfinished)) return
        const evidence = this.tear()
        if (evidence !== undefined) return this.beginUnfinished(writer, evidence, unfinished)
      }
      // the writer lived on, so it was not its write that was torn
      this.missing.add(() => missingBefore(table.id(writer), unfinished))
      if (continues) return
    }
    const next = table.next[writer]!
    if (seq <= next && this.isAfter(writer, undefined)) return
    const evidence = this.tear()
    if (evidence !== undefined) return this.beginUnfinished(writer, evidence, undefined)
    if (seq > next) return this.gap(writer, next)
    const isKnown = seq === 0 || seq === next || this.recent.findId(writer, seq - 1) >= 0
    if (isKnown || reader.prevAt < 0) this.broken.add(() => ({ ...this.identified(), problem: "prev" }))
    else this.suspect("prev", reader.prevAt, false)
  }

  /** Whether the record names, as `prev`, the latest attempt of the record before it. */
  private isAfter(writer: number, unfinished: Unfinished | undefined): boolean {
    const { reader: { prevAt, seq, view }, recent, table } = this
    if (seq === 0 || prevAt < 0) return seq === 0 && prevAt < 0
    if (seq === table.next[writer]) return table.isHead(writer, view, prevAt)
    if (seq === unfinished?.from && unfinished.head !== undefined) {
      return isHash(unfinished.head, view, prevAt)
    }
    const before = recent.findId(writer, seq - 1)
    return before >= 0 && recent.isHash(before, view, prevAt)
  }

  /** What shows that the record before this one was torn in the same write. */
  private tear(): Evidence | undefined {
    const { here, reader } = this
    return reader.prevAt < 0 ? undefined : this.torn.explain(reader.hashText(reader.prevAt), reader.writer, here.offset)
  }

  private beginUnfinished(writer: number, evidence: Evidence, before: Unfinished | undefined): void {
    const { reader: { seq }, table } = this
    const next = before?.from ?? table.next[writer]!
    const from = Math.min(next, seq - 1)
    const head = from < next || next === 0 ? undefined : before === undefined ? table.head(writer) : before.head
    const place = this.here.place()
    const unfinished = { from, to: seq - 1, head, place, evidence, attempt: 0, seen: "", segment: 0, end: 0 }
    this.extend(unfinished)
    this.unfinishedWriters.set(writer, unfinished)
  }

  private extend(unfinished: Unfinished): void {
    unfinished.attempt = this.reader.attempt
    unfinished.seen = this.seen
    unfinished.segment = this.here.segment
    unfinished.end = this.here.offset + this.here.length + 1
  }

  /** Whether the record was written together with those after the torn one. */
  private isSameWrite(unfinished: Unfinished, continues: boolean): boolean {
    const { here, reader } = this
    if (reader.attempt !== unfinished.attempt || unfinished.seen !== this.seen || reader.seq <= unfinished.from) {
      return false
    }
    return continues
      ? here.segment === unfinished.segment && here.offset === unfinished.end
      : this.tear() !== undefined
  }

  private get seen(): string {
    return this.reader.seenAt < 0 ? "" : this.reader.hashText(this.reader.seenAt)
  }

  private gap(writer: number, next: number): void {
    const { reader: { attempt, prevAt, seq }, table } = this
    const place = this.here.place()
    const prev = prevAt < 0 ? "" : this.reader.hashText(prevAt)
    if (next === 0) this.headless.set(writer, { seq, attempt, prev, place })
    else this.missing.add(() => missingBefore(table.id(writer), { from: next, to: seq - 1, place }))
  }

  private suspect(link: Suspect["link"], at: number, isFirst: boolean): void {
    const hash = this.reader.hashText(at)
    const record = this.identified()
    if (this.suspects.length < suspectsMax) {
      this.suspects.push({ hash, link, segment: this.here.segment, record, isFirst })
    } else if (link === "prev") this.broken.add(() => ({ ...record, problem: "prev" }))
    else this.dangling.add(() => ({ ...record, seen: hash, stands: "nowhere" }))
  }

  private identified(): Report.RecordPlace {
    return { ...this.here.place(), writer: this.reader.writer, seq: this.reader.seq }
  }
}

const missingBefore = (
  writer: string,
  { from, place: { file, line, offset }, to }: Pick<Unfinished, "from" | "to" | "place">
): Report.Missing => ({ writer, from, to, file, offset, line })
