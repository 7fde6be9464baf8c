/**
 * Decides which damage is the remains of writes that were torn apart, and which gap they explain. Pure state.
 *
 * A write can land in pieces with the lines of other writers between them; its writer then appends the records again,
 * or dies first. So the remains come in pairs that only a torn write leaves: the beginning of a record of this writer,
 * with something glued to it, and further on its end, with the hash that the writer's next record names as `prev`.
 */
import type * as Codec from "../Codec.ts"
import type * as HashChain from "../HashChain.ts"
import { type DamagedLine, type Fragment, prefix } from "./damagedLine.ts"
import { tailLength } from "./stampReader.ts"
import { type Beginning, beginning, ending, TornRecordSearch } from "./tornRecord.ts"

/**
 * How far behind the beginning of a torn record its other pieces are believed, in bytes. Between two pieces of a write
 * lie microseconds, so this is generous: four batches of other writers.
 */
const tearBytesMax = 4 * 1024 * 1024

/** Ends and beginnings that are remembered, at most: after that the older half is forgotten. */
const rememberedMax = 20_000

/** Beginnings of records whose bytes are kept, lines that wait for a proof, and how long either may be. */
const keptMax = 32
const keptBytesMax = 64 * 1024

/** Beginnings, the newest ones, that a further piece may belong to. */
const continuedMax = 8

/** A stamp whose first bytes are elsewhere. */
const lateStart = /"([0-9A-HJKMNP-TV-Z]{26})","seq":\d+,"at":"/

/** Bytes that are hashed to prove that records were torn, at most: some seconds, and a quarter of that if none was. */
const searchBytesMax = 1024 * 1024 * 1024

/** What became of a damaged line; known at the end of the file at the latest. */
export interface Evidence {
  isFault: boolean
}

interface Kept {
  readonly piece: Beginning
  /** Whether the record's piece ends where the bytes end; otherwise something else may follow it in them. */
  readonly isCut: boolean
  /** The line it is from, if that waits for a proof. */
  readonly undecided: Undecided | undefined
  /** Where the next line begins, if the piece reaches to the newline before it. */
  readonly next: number | undefined
}

/** A line that looks like one altered record, unless a piece of a torn one is found that fits. */
interface Undecided {
  readonly evidence: Evidence
  readonly decided: (isFault: boolean) => void
}

/** The newest so many values by their names. */
class Remembered<A> {
  private young = new Map<string, A>()
  private old = new Map<string, A>()

  set(name: string, value: A): void {
    this.young.set(name, value)
    if (this.young.size < rememberedMax / 2) return
    this.old = this.young
    this.young = new Map()
  }

  get(name: string): A | undefined {
    return this.young.get(name) ?? this.old.get(name)
  }
}

interface End {
  readonly offset: number
  readonly evidence: Evidence
}

export class TornWrites {
  /** Hashes at which damaged lines end, and the offsets of damaged lines in which a record of a writer begins. */
  private ends = new Remembered<End>()
  private beginnings = new Remembered<number>()
  private lastBeginning = Number.NEGATIVE_INFINITY
  /** Where a record was torn that no writer has set apart, so that others were at work when it was. */
  private lastOpen = Number.NEGATIVE_INFINITY
  /** Where a record began of which too little is left to know its writer. */
  private lastNameless = Number.NEGATIVE_INFINITY
  /** The last bytes of a damaged line, and where the line after it begins. */
  private last: { readonly text: string; readonly next: number; readonly evidence: Evidence } | undefined
  /** Newlines of whole records that something else was glued to: they are still to come, wherever they cut a line. */
  private newlinesOwed = 0
  /** Newlines that lines of several pieces may have left elsewhere: at most so many. */
  private newlinesAdrift = 0
  private kept: Array<Kept> = []
  private readonly undecided = new Set<Undecided>()
  private readonly search: TornRecordSearch

  constructor(digests: HashChain.Digests) {
    this.search = new TornRecordSearch(digests, searchBytesMax)
  }

  /** Ends a file: a write goes into one file. */
  endOfFile(): void {
    for (const { decided, evidence } of this.undecided) {
      evidence.isFault = true
      decided(true)
    }
    this.ends = new Remembered()
    this.beginnings = new Remembered()
    this.lastBeginning = Number.NEGATIVE_INFINITY
    this.lastNameless = Number.NEGATIVE_INFINITY
    this.lastOpen = Number.NEGATIVE_INFINITY
    this.last = undefined
    this.newlinesOwed = 0
    this.newlinesAdrift = 0
    this.kept = []
    this.undecided.clear()
  }

  /** A line of white space: what is left of a record that lost nothing but its newline. */
  blank(next: number): void {
    this.newlinesOwed = Math.max(0, this.newlinesOwed - 1)
    this.last = { text: "", next, evidence: { isFault: false } }
  }

  /**
   * Decides, now or at the end of the file, whether a damaged line is a fault or what a torn write leaves. `isDoubtful`:
   * no hash can prove the latter.
   */
  judge(
    line: DamagedLine,
    { decided, isDoubtful, kind, next, offset }: {
      readonly kind: Codec.DamageKind
      readonly offset: number
      readonly next: number
      readonly isDoubtful: boolean
      readonly decided: (isFault: boolean) => void
    }
  ): void {
    if (kind === "key" || kind === "version" || (line.hasNul && !line.healed)) return decided(true)
    const evidence: Evidence = { isFault: false }
    let undecided: Undecided | undefined
    const isFolded = this.isFolded(line, offset)
    if (isFolded && this.newlinesAdrift === 0) {
      evidence.isFault = true
      decided(true)
    } else if (this.isAlone(line)) {
      const isCutByAnother = line.end === undefined && this.newlinesOwed > 0
      if (isCutByAnother) this.newlinesOwed--
      const hasEnd = isCutByAnother || (!isDoubtful && this.joinsBeginning(line.bytes, false))
      if (hasEnd || !isDoubtful && this.search.isInterrupted(line.bytes, this.isNear(this.lastBeginning, offset))) {
        // after a crash alone nobody is left to interrupt anything
        evidence.isFault = !hasEnd && !this.isNear(this.lastOpen, offset) && this.isNear(this.lastBeginning, offset)
        decided(false)
      } else if (this.undecided.size < keptMax && line.bytes.length <= keptBytesMax) {
        undecided = { evidence, decided }
        this.undecided.add(undecided)
      } else {
        evidence.isFault = true
        decided(true)
      }
    } else {
      const isMixed = line.healed || this.isMixed(line, offset)
      evidence.isFault = !this.isCertain(line, offset)
      decided(!isMixed)
      if (isFolded) this.newlinesAdrift--
      else if (!this.isBelow(line, offset)) this.newlinesAdrift += Math.max(1, line.fragments.length)
    }
    this.keep(line, offset, next, evidence, undecided)
  }

  /** What shows that the record before the one at `offset`, with the hash `prev`, was torn in the write of this one. */
  explain(prev: string, writer: string, offset: number): Evidence | undefined {
    const { last } = this
    const end = this.ends.get(prev)
    const evidence = end !== undefined && this.isNear(end.offset, offset)
      ? end.evidence
      : last?.next === offset && isEndOf(`,"_hash":"${prev}"}`, last.text)
      ? last.evidence
      : undefined
    const begins = this.isNear(this.beginnings.get(writer), offset) || this.isNear(this.lastNameless, offset)
    return begins ? evidence : undefined
  }

  /** One record and nothing with it: it was altered, or its end was cut off. */
  private isAlone({ fragments, hasMore, healed, lead }: DamagedLine): boolean {
    return fragments.length === 1 && lead === "nothing" && !healed && !hasMore
  }

  /**
   * Whether a line is the rest of a record that begins in the line before it. Between the pieces of a torn write stands
   * what another writer has written, and none writes a bare newline: a program has wrapped the line.
   */
  private isFolded({ bytes, fragments }: DamagedLine, offset: number): boolean {
    return fragments.length === 0 &&
      this.kept.some((beginning) =>
        beginning.next === offset &&
        this.search.joins({ beginning: beginning.piece, isCut: true, end: ending(bytes), isEndCut: true })
      )
  }

  /** Whether a line is a piece that may belong to a record of which the line before it is a piece. */
  private isBelow({ fragments }: DamagedLine, offset: number): boolean {
    return fragments.length === 0 && this.kept.some(({ next }) => next === offset)
  }

  /**
   * Whether these bytes have the end of a record, the beginning of which was found before. `isEndCut`: they are nothing
   * else. That explains the line in which the record begins as well.
   */
  private joinsBeginning(end: Uint8Array, isEndCut: boolean): boolean {
    const piece = ending(end)
    const found = this.kept.find((kept) =>
      this.search.joins({ beginning: kept.piece, isCut: kept.isCut, end: piece, isEndCut })
    )
    const undecided = found?.undecided
    if (undecided !== undefined && this.undecided.delete(undecided)) undecided.decided(false)
    return found !== undefined
  }

  /** Whether writes were mixed in a line, and each of its parts can be the part of one. */
  private isMixed(line: DamagedLine, offset: number): boolean {
    const { fragments, hasMore, lead } = line
    if ((lead === "end" || lead === "other") && !this.isNear(this.lastBeginning, offset)) return false
    if (fragments.length === 0) return lead === "end" || hasMore
    // a writer's records are in one piece where they follow each other
    return !fragments.some((part, i) => i > 0 && isSame(part, fragments[i - 1]!))
  }

  /** Whether it is certain that a record in the line was torn in its write, and not by a hand. */
  private isCertain(line: DamagedLine, offset: number): boolean {
    const { bytes, fragments, healed, lead } = line
    // another program's torn line may stand in front, which is damage, but not of ours
    const isForeignLead = fragments.length > 0 && bytes[0] === 0x7b
    const isContinued = (lead === "end" || lead === "other") && this.isEnd(line)
    return isContinued || healed || lead === "nothing" || lead === "beginning" || isForeignLead ||
      this.isNear(this.lastOpen, offset) || this.search.isInterrupted(bytes, false)
  }

  /** Whether a line begins with the end of a record that was begun before, or of one of which too little is left. */
  private isEnd({ bytes, fragments }: DamagedLine): boolean {
    const end = bytes.subarray(0, fragments[0]?.from)
    return this.joinsBeginning(end, true) ||
      this.search.joins({ beginning: beginning(Buffer.from(prefix)), isCut: false, end: ending(end), isEndCut: true })
  }

  private keep(
    line: DamagedLine,
    offset: number,
    next: number,
    evidence: Evidence,
    undecided: Undecided | undefined
  ): void {
    const { bytes, end, endsWhole, fragments, healed, lead } = line
    if (lead === "beginning") this.tear(undefined, offset)
    else if (lead !== "nothing") this.continue(bytes.subarray(0, fragments[0]?.from), offset, next)
    for (const { from, isResync, isWhole, to, writer } of fragments) {
      if (isResync && isWhole) continue
      this.tear(writer, offset)
      if (!healed) this.lastOpen = offset
      if (isWhole && to < bytes.length) this.newlinesOwed++
      if (isWhole || to - from > keptBytesMax) continue
      const isCut = to < bytes.length
      const piece = beginning(Uint8Array.from(bytes.subarray(from, to)))
      this.keepBeginning({ piece, isCut, undecided, next: isCut ? undefined : next })
    }
    if (end?.length === 43) this.ends.set(end, { offset, evidence })
    this.last = endsWhole
      ? undefined
      : { text: bytes.toString("latin1", Math.max(0, bytes.length - tailLength)), next, evidence }
  }

  /** A line begins with a piece of a record that was begun before. */
  private continue(piece: Uint8Array, offset: number, next: number): void {
    const [, writer] = lateStart.exec(Buffer.from(piece.subarray(0, 160)).toString("latin1")) ?? []
    if (writer !== undefined) this.tear(writer, offset)
    for (const before of this.kept.slice(-continuedMax)) {
      const { isCut, piece: { bytes } } = before
      const isBelow = before.next === offset
      if ((isCut || isBelow) && bytes.length + piece.length <= keptBytesMax) {
        const all = Buffer.concat([bytes, piece])
        this.keepBeginning({ piece: beginning(all), isCut, undecided: undefined, next: isBelow ? next : undefined })
      }
    }
  }

  private keepBeginning(kept: Kept): void {
    this.kept.push(kept)
    if (this.kept.length > keptMax) this.kept.shift()
  }

  private tear(writer: string | undefined, offset: number): void {
    this.lastBeginning = offset
    if (writer === undefined) this.lastNameless = offset
    else this.beginnings.set(writer, offset)
  }

  private isNear(at: number | undefined, offset: number): boolean {
    return at !== undefined && offset - at <= tearBytesMax
  }
}

const isSame = (a: Fragment, b: Fragment): boolean => a.writer !== undefined && a.writer === b.writer && !a.isResync

/** Whether a text ends in an end of the tail: in some of it, or in nothing if that is all there is. */
const isEndOf = (tail: string, text: string): boolean => text === "" || text.endsWith(tail.slice(-1))
