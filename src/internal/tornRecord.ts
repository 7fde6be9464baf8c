/**
 * Proves that a record was torn apart: two of its pieces, wherever they are cut, have the hash that stands at its end.
 */
import type * as HashChain from "../HashChain.ts"
import { tailLength } from "./stampReader.ts"

const keyOf = (head: Uint8Array): string | undefined =>
  /^[^}]*(?:\{[^}]*\}[^}]*)?"key":"([\w.-]{1,64})"\}/.exec(
    Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, 1024)).toString("latin1")
  )?.[1]

const tailPattern = /^,"_hash":"([\w-]{43})"\}$/

interface Pieces {
  readonly beginning: Uint8Array
  /** Whether the record's piece is the whole beginning, or may be shorter. */
  readonly isCut: boolean
  readonly end: Uint8Array
  /** Whether the record's piece is the whole end, or may be shorter. */
  readonly isEndCut: boolean
}

/** What one search costs at most, in bytes that are hashed: a line of 1000 bytes takes that to be tried in every way. */
const searchBytesMax = 512 * 1024 * 1024

/** What a hash costs beside its bytes: 0.5 to 4 µs, in which some 500 bytes are hashed. */
const hashBytes = 512

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
    const stopAt = this.bytesLeft - searchBytesMax
    for (let to = beginning.length; to > 0 && (isCut ? to === beginning.length : true); to--) {
      for (let from = 0; from < end.length && (isEndCut ? from === 0 : true); from++) {
        if (this.isRecord(beginning, to, end, from)) return true
        if (this.bytesLeft < Math.max(0, stopAt)) return false
      }
    }
    return false
  }

  /**
   * Whether a line is a record with something in the middle: an object of another program, or anything if the write of
   * another writer is known to be in pieces.
   */
  isInterrupted(line: Uint8Array, byAnything: boolean): boolean {
    const stopAt = this.bytesLeft - searchBytesMax
    for (let to = 1; to < line.length; to++) {
      if (!byAnything && line[to] !== 0x7b) continue
      for (let from = to + 1; from < line.length; from++) {
        if (this.isRecord(line, to, line, from)) return true
        if (this.bytesLeft < Math.max(0, stopAt)) return false
      }
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
