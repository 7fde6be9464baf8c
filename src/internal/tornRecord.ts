/**
 * Proves that a record was torn apart: two of its pieces, wherever they are cut, have the hash that stands at its end.
 */
import type * as HashChain from "../HashChain.ts"
import { Beginnings, Ends } from "./jsonSeam.ts"
import { tailLength } from "./stampReader.ts"

const keyPattern = /^[^}]*(?:\{[^}]*\}[^}]*)?"key":"([\w.-]{1,64})"\}/

const keyOf = (head: Uint8Array): string | undefined => {
  const stamp = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, 1024)).toString("latin1")
  // the expression takes longer than the hash where there is none
  return stamp.includes(`"key":"`) ? keyPattern.exec(stamp)?.[1] : undefined
}

const tailPattern = /^,"_hash":"([\w-]{43})"\}$/

/** A piece of a record, and what is known of it once it has been looked at. */
class Piece<A> {
  readonly bytes: Uint8Array
  private readonly look: (bytes: Uint8Array) => A
  private seen: A | undefined

  constructor(bytes: Uint8Array, look: (bytes: Uint8Array) => A) {
    this.bytes = bytes
    this.look = look
  }

  get isSeen(): boolean {
    return this.seen !== undefined
  }

  get looks(): A {
    return this.seen ??= this.look(this.bytes)
  }
}

export type Beginning = Piece<Beginnings>
export type Ending = Piece<Ends>

export const beginning = (bytes: Uint8Array): Beginning => new Piece(bytes, (bytes) => new Beginnings(bytes))
export const ending = (bytes: Uint8Array): Ending => new Piece(bytes, (bytes) => new Ends(bytes))

interface Pieces {
  readonly beginning: Beginning
  /** Whether the record's piece is the whole beginning, or may be shorter. */
  readonly isCut: boolean
  readonly end: Ending
  /** Whether the record's piece is the whole end, or may be shorter. */
  readonly isEndCut: boolean
}

/** What one search costs at most, in bytes that are hashed: a line of 2000 bytes may take that to be tried in every way. */
const searchBytesMax = 256 * 1024 * 1024

/** What a hash costs beside its bytes: 0.5 to 4 µs, in which some 500 bytes are hashed. */
const hashBytes = 512

/** Longer lines are not searched: there are too many ways to cut them, and what is known of a byte takes 30 others. */
const pieceBytesMax = 1024 * 1024

/** What it costs to look at a byte of a piece, in bytes that are hashed meanwhile. */
const lookBytes = 32

export class TornRecordSearch {
  /** What may still be hashed: a log with many altered lines must not take hours. */
  private bytesLeft: number
  /** What may be hashed besides if something is found: under another key, or where all was altered, nothing ever is. */
  private reserve: number
  private readonly digests: HashChain.Digests
  private space = Buffer.alloc(4096)

  constructor(digests: HashChain.Digests, bytesMax: number) {
    this.digests = digests
    this.bytesLeft = bytesMax / 4
    this.reserve = bytesMax - this.bytesLeft
  }

  /** Whether some of a beginning and some of an end are one record, by its hash. */
  joins({ beginning, end, isCut, isEndCut }: Pieces): boolean {
    const { length } = beginning.bytes
    if (isCut && isEndCut) return this.isRecord(beginning.bytes, length, end.bytes, 0)
    return this.isAnyRecord(beginning, isCut ? length : 1, length, end, () => 0, isEndCut ? 0 : end.bytes.length)
  }

  /**
   * Whether a line is a record with something in the middle: an object of another program, or anything if the write of
   * another writer is known to be in pieces.
   */
  isInterrupted(line: Uint8Array, byAnything: boolean): boolean {
    const fromMin = (to: number) => byAnything || line[to] === 0x7b ? to + 1 : Number.POSITIVE_INFINITY
    return this.isAnyRecord(beginning(line), 1, line.length - 1, ending(line), fromMin, line.length)
  }

  /** Whether any beginning of a length between two is a record with the end from any offset between two. */
  private isAnyRecord(
    beginning: Beginning,
    toMin: number,
    toMax: number,
    end: Ending,
    fromMin: (to: number) => number,
    fromMax: number
  ): boolean {
    const stopAt = Math.max(0, this.bytesLeft - searchBytesMax)
    if (this.bytesLeft <= 0 || Math.max(beginning.bytes.length, end.bytes.length) > pieceBytesMax) return false
    if (!beginning.isSeen) this.bytesLeft -= lookBytes * beginning.bytes.length
    if (!end.isSeen) this.bytesLeft -= lookBytes * end.bytes.length
    const [begins, ends] = [beginning.looks, end.looks]
    for (let to = toMax; to >= toMin; to--) {
      const min = fromMin(to)
      if (min > fromMax) continue
      const candidates = ends.candidates(begins, to)
      this.bytesLeft -= candidates.length
      for (const from of candidates) {
        if (from < min) break
        if (from > fromMax || !ends.fits(begins, to, from)) continue
        if (this.isRecord(begins.bytes, to, ends.bytes, from)) return true
        if (this.bytesLeft < stopAt) return false
      }
      if (this.bytesLeft < stopAt) return false
    }
    return false
  }

  private isRecord(a: Uint8Array, aTo: number, b: Uint8Array, bFrom: number): boolean {
    const length = aTo + b.length - bFrom
    if (this.space.length < length) this.space = Buffer.alloc(2 * length)
    this.space.set(a.subarray(0, aTo))
    this.space.set(b.subarray(bFrom), aTo)
    const tailAt = length - tailLength
    this.bytesLeft -= 64
    if (tailAt < 0 || this.space[tailAt] !== 0x2c || this.space[tailAt + 2] !== 0x5f) return false
    const hash = tailPattern.exec(this.space.toString("latin1", tailAt, length))?.[1]
    if (hash === undefined) return false
    this.bytesLeft -= hashBytes + length
    const head = this.space.subarray(0, tailAt)
    if (this.digests(keyOf(head))?.(head) !== hash) return false
    const more = Math.min(this.reserve, searchBytesMax)
    this.reserve -= more
    this.bytesLeft += more
    return true
  }
}
