/**
 * Finds the byte ranges of a log that a repair moves away. Pure; what it finds does not depend on how the bytes are cut
 * into blocks.
 *
 * It judges a line as the reader does. The difference is what the reader is silent about: NUL bytes around whole
 * records, and bytes after the last newline.
 */
import * as Codec from "../Codec.ts"
import * as HashChain from "../HashChain.ts"
import * as LineScanner from "./lineScanner.ts"
import { endsInResync, isRecord, lacksNewline } from "./newlineLost.ts"

/** Bytes to move: neighbouring damaged lines of one kind, with their newlines, or a part of one line. */
export interface DamagedRange {
  readonly offset: number
  readonly length: number
  readonly kind: Codec.DamageKind
  readonly lines: number
  /** The next writer has set the fragment apart with a resync line, which is moved with it. */
  readonly healed: boolean
}

/** What was seen besides damage. */
export interface Tally {
  /** Whole lines: records, resync lines, foreign objects. */
  whole: number
  /** Records with an HMAC of a key that is not known here: they stay, unchecked. */
  unchecked: number
  /** Damaged lines that hold the beginning of a record. */
  traces: number
  /**
   * Damaged lines in which an acknowledged record may have been: not padding, and of the fragments that were healed and
   * of what stands after the last newline those that are all of a record.
   */
  suspects: number
  /** What stands after the last newline is all of a record. */
  wholeTail: boolean
  /** NUL bytes alone: no sign of any kind of file. */
  padding: number
  /** The line number of the first line in a newer version of the format. */
  newer: number | undefined
  /** Of each key that was given: records that have the HMAC it gives, and records that name it and have another one. */
  readonly keys: Map<string, { matching: number; other: number }>
}

export class DamageScanner {
  readonly tally: Tally = {
    whole: 0,
    unchecked: 0,
    traces: 0,
    suspects: 0,
    wholeTail: false,
    padding: 0,
    newer: undefined,
    keys: new Map()
  }
  private readonly scanner: LineScanner.LineScanner
  private readonly digests: HashChain.Digests
  private found: Array<DamagedRange> = []
  /** The last range, which the next line may still lengthen. */
  private open: DamagedRange | undefined
  private onlyNul = true

  constructor(options: { readonly keys: ReadonlyArray<HashChain.Key>; readonly lineBytesMax: number }) {
    this.digests = HashChain.digests(options.keys)
    this.scanner = new LineScanner.LineScanner({ offset: 0, lineBytesMax: options.lineBytesMax })
  }

  /** Takes the next bytes of the file, and returns the ranges that are complete. */
  feed(block: Uint8Array): ReadonlyArray<DamagedRange> {
    const tail = block.subarray(block.lastIndexOf(0x0a) + 1)
    if (tail.length < block.length) this.onlyNul = true
    this.onlyNul &&= isNul(tail)
    this.scanner.feed(block, (line) => this.judge(line))
    return this.take()
  }

  /** At the end of the file: the ranges that are left, the torn tail last. */
  end(): ReadonlyArray<DamagedRange> {
    const { bytes, length, offset } = this.scanner.rest
    if (length > 0) {
      if (this.onlyNul) this.tally.padding++
      this.tally.wholeTail = bytes !== undefined && isRecord(bytes, this.digests)
      if (this.tally.wholeTail) this.tally.suspects++
      this.add({ offset, length, kind: this.onlyNul ? "nul" : "torn", lines: 1, healed: false })
    }
    if (this.open !== undefined) this.found.push(this.open)
    this.open = undefined
    return this.take()
  }

  /** Whether the bytes look like a log at all: something in them is a record, or was one. */
  get looksLikeLog(): boolean {
    return this.tally.whole > 0 || this.tally.traces > 0 || this.tally.padding > 0
  }

  private take(): ReadonlyArray<DamagedRange> {
    const { found } = this
    this.found = []
    return found
  }

  private add(range: DamagedRange): void {
    const { open } = this
    if (open !== undefined && continues(open, range)) {
      this.open = { ...open, length: open.length + range.length, lines: open.lines + range.lines }
      return
    }
    if (open !== undefined) this.found.push(open)
    this.open = range
  }

  private judge(line: LineScanner.ScannedLine): void {
    const whole = { offset: line.offset, length: line.length + 1, lines: 1 }
    if (line.bytes === undefined) {
      this.tally.suspects++
      return this.add({ ...whole, kind: "tooLong", healed: false })
    }
    const bytes = Codec.trim(line.bytes)
    const parsed = Codec.parse(bytes)
    switch (parsed._tag) {
      case "Blank":
        if (line.bytes.includes(0)) {
          this.tally.padding++
          this.add({ ...whole, kind: "nul", healed: false })
        }
        return
      case "Broken":
        return this.judgeBroken(line, bytes, parsed.kind)
      case "Record": {
        const { key } = parsed.stamp
        const check = HashChain.check(bytes, key, this.digests)
        if (key !== undefined && check !== "key") this.countKey(key, check === "ok")
        if (check === "hash") return this.judgeBroken(line, bytes, check)
        if (check === "key") this.tally.unchecked++
        break
      }
      case "Foreign":
      case "Resync":
    }
    this.tally.whole++
    this.addPadding(line.offset, line.bytes, bytes)
  }

  private judgeBroken(line: LineScanner.ScannedLine, bytes: Uint8Array, kind: Codec.DamageKind): void {
    if (kind === "version") this.tally.newer ??= line.number
    const last = Codec.lastStart(bytes)
    if (last >= 0 || Codec.mayBeRecord(bytes)) this.tally.traces++
    const healed = endsInResync(bytes, this.digests)
    if (!healed || lacksNewline(bytes, this.digests)) this.tally.suspects++
    this.add({ offset: line.offset, length: line.length + 1, kind, lines: 1, healed })
  }

  private countKey(key: string, isMatching: boolean): void {
    const count = this.tally.keys.get(key) ?? { matching: 0, other: 0 }
    this.tally.keys.set(key, count)
    if (isMatching) count.matching++
    else count.other++
  }

  /** NUL bytes before and after a whole line; a carriage return at its end stays. */
  private addPadding(offset: number, line: Uint8Array, content: Uint8Array): void {
    const before = content.byteOffset - line.byteOffset
    if (before > 0) this.add({ offset, length: before, kind: "nul", lines: 1, healed: false })
    const after = line.subarray(before + content.length)
    const first = after.indexOf(0)
    if (first < 0) return
    const length = after.lastIndexOf(0) + 1 - first
    this.add({ offset: offset + before + content.length + first, length, kind: "nul", lines: 1, healed: false })
  }
}

const continues = (open: DamagedRange, range: DamagedRange): boolean =>
  open.offset + open.length === range.offset && open.kind === range.kind && open.healed === range.healed

const isNul = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)
