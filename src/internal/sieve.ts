/**
 * What the line of an entry must have that a query asks for, as far as its bytes tell: lines without it can be passed
 * over, neither checked nor parsed.
 *
 * A sieve may let through what is not asked for, and never holds back what is. JSON can write a text in many ways: so the
 * traits have only characters that are written in one way or as `\uXXXX`, and a line with the bytes `\u` passes.
 */
import type { Traits } from "./lineTraits.ts"
import { atLength, isText, type StampReader, writerLength } from "./stampReader.ts"

const escape = Buffer.from("\\u")

/** A line without these bytes, and without an escape, is no record, whatever else it is. */
const audit = Buffer.from(`"_audit"`)

const comma = 44
const minus = 45
const dot = 46
const zero = 48
const colon = 58
const upperE = 69
const bracketClose = 93
const lowerE = 101
const braceClose = 125

type Counts = (block: Buffer, at: number) => boolean

/** Where some bytes stand in a block, from its start to its end. */
class Places {
  private block: Buffer = Buffer.alloc(0)
  private at = 0
  private readonly bytes: Uint8Array
  private readonly counts: Counts

  constructor(bytes: Uint8Array, counts: Counts = () => true) {
    this.bytes = bytes
    this.counts = counts
  }

  attach(block: Buffer): void {
    this.block = block
    this.at = -1
  }

  /** Whether they stand in `[start, end)`, which is behind what was asked for before. */
  within(start: number, end: number): boolean {
    const { block, bytes } = this
    while (this.at < start) {
      let found = block.indexOf(bytes, start)
      while (found >= 0 && !this.counts(block, found)) found = block.indexOf(bytes, found + 1)
      this.at = found < 0 ? block.length : found
    }
    return this.at < end
  }
}

/** Whether a key that stands here may have the number as its value. */
const mayBeNumber = ({ digits, key }: NonNullable<Traits["number"]>): Counts => (block, found) => {
  let at = found + key.length
  if (block[at] !== colon) return block[at] !== comma && block[at] !== braceClose && block[at] !== bracketClose
  at++
  const first = block[at]!
  if (first !== minus && (first < zero || first > zero + 9)) return true
  let same = true
  for (let i = 0;; i++, at++) {
    const byte = block[at]!
    const isDigit = (byte >= zero && byte <= zero + 9) || (byte === minus && i === 0)
    // a fraction or an exponent: any number can be written so
    if (!isDigit) return byte === dot || byte === lowerE || byte === upperE || (same && i === digits.length)
    if (byte !== digits.charCodeAt(i)) same = false
  }
}

export class Sieve {
  private readonly traits: Traits
  private readonly escapes = new Places(escape)
  private readonly texts: Places | undefined
  private readonly asksStamp: boolean
  private block: Buffer = Buffer.alloc(0)

  constructor(traits: Traits) {
    const { number, since, text, transaction, until, writer } = traits
    this.traits = traits
    this.texts = text !== undefined
      ? new Places(text)
      : number !== undefined
      ? new Places(number.key, mayBeNumber(number))
      : undefined
    this.asksStamp = since !== undefined || until !== undefined || writer !== undefined || transaction !== undefined
  }

  /** Works on the lines of this block from now on, in their order. */
  attach(block: Buffer): void {
    this.block = block
    this.escapes.attach(block)
    this.texts?.attach(block)
  }

  /** Whether a record whose stamp was just read may be asked for. */
  passesRecord(stamp: StampReader, start: number, end: number): boolean {
    // a row of an outbox counts where it stands first, which another writer's batch may be: only its content tells
    return (!this.asksStamp || stamp.srcAt >= 0 || this.passesStamp(stamp)) && this.passesText(start, end)
  }

  /** Whether a line that is not written as a record is may be one all the same, or be asked for. */
  passesOther(start: number, end: number): boolean {
    if (this.escapes.within(start, end)) return true
    if (!this.asksStamp && this.passesText(start, end)) return true
    return this.block.subarray(start, end).includes(audit)
  }

  private passesText(start: number, end: number): boolean {
    return this.texts === undefined || this.texts.within(start, end) || this.escapes.within(start, end)
  }

  private passesStamp({ bytes, timeAt, txAt, writerAt }: StampReader): boolean {
    const { since, transaction, until, writer } = this.traits
    if (since !== undefined && compare(bytes, timeAt, since) < 0) return false
    if (until !== undefined && compare(bytes, timeAt, until) >= 0) return false
    if (writer !== undefined && !endsWith(bytes, writerAt, writer)) return false
    return transaction === undefined || (txAt >= 0 && endsWith(bytes, txAt, transaction))
  }
}

/** The order of the time at the offset and of a time of the same length. */
const compare = (bytes: Buffer, at: number, time: string): number => {
  for (let i = 0; i < atLength; i++) {
    const difference = bytes[at + i]! - time.charCodeAt(i)
    if (difference !== 0) return difference
  }
  return 0
}

const endsWith = (bytes: Buffer, idAt: number, end: string): boolean =>
  isText(bytes, idAt + writerLength - end.length, end)
