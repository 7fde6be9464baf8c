/**
 * Reads the stamp of a line from its fixed start, without a JSON parser and without an object per line.
 *
 * docs/format.md fixes the order of the stamp's keys, so that each stands where its predecessors end. A line that is
 * written in another way is not read here: the caller falls back to `Codec.parse`. What is read is exactly what that
 * would accept, apart from the fields, which are not looked at. It imports nothing: worker threads load it.
 */
/** Bytes that may be read after the end of a line: comparisons go by words of four bytes. */
export const slackBytes = 64

/** A text as words of four bytes, the last of which overlaps the one before. */
const words = (text: string): Int32Array => {
  const bytes = Buffer.from(text, "latin1")
  return Int32Array.from(
    { length: Math.ceil(text.length / 4) },
    (_, i) => bytes.readInt32LE(Math.min(4 * i, text.length - 4))
  )
}

// Written out for each length: a loop over offsets takes twice as long, and this is most of what is done besides hashing.

const is5 = (view: DataView, at: number, text: Int32Array): boolean =>
  view.getInt32(at, true) === text[0] && view.getInt32(at + 1, true) === text[1]

const is6 = (view: DataView, at: number, text: Int32Array): boolean =>
  view.getInt32(at, true) === text[0] && view.getInt32(at + 2, true) === text[1]

const is7 = (view: DataView, at: number, text: Int32Array): boolean =>
  view.getInt32(at, true) === text[0] && view.getInt32(at + 3, true) === text[1]

const is8 = (view: DataView, at: number, text: Int32Array): boolean =>
  view.getInt32(at, true) === text[0] && view.getInt32(at + 4, true) === text[1]

const is9 = (view: DataView, at: number, text: Int32Array): boolean =>
  view.getInt32(at, true) === text[0] && view.getInt32(at + 4, true) === text[1] &&
  view.getInt32(at + 5, true) === text[2]

const is10 = (view: DataView, at: number, text: Int32Array): boolean =>
  view.getInt32(at, true) === text[0] && view.getInt32(at + 4, true) === text[1] &&
  view.getInt32(at + 6, true) === text[2]

const is13 = (view: DataView, at: number, text: Int32Array): boolean =>
  view.getInt32(at, true) === text[0] && view.getInt32(at + 4, true) === text[1] &&
  view.getInt32(at + 8, true) === text[2] && view.getInt32(at + 9, true) === text[3]

const is27 = (view: DataView, at: number, text: Int32Array): boolean =>
  view.getInt32(at, true) === text[0] && view.getInt32(at + 4, true) === text[1] &&
  view.getInt32(at + 8, true) === text[2] && view.getInt32(at + 12, true) === text[3] &&
  view.getInt32(at + 16, true) === text[4] && view.getInt32(at + 20, true) === text[5] &&
  view.getInt32(at + 23, true) === text[6]

export const writerLength = 26
export const hashLength = 43
const digestLength = 32
export const tailLength = 55

const lineStart = words(`{"_audit":{"v":1,"writer":"`)
const lineStartLength = 27
const seqKey = words(`","seq":`)
const atKey = words(`,"at":"`)
const prevKey = words(`,"prev":"`)
const seenKey = words(`,"seen":"`)
const txKey = words(`,"tx":{"id":"`)
const txIndexKey = words(`","i":`)
const txCountKey = words(`,"n":`)
const tryKey = words(`,"try":`)
const traceKey = words(`,"trace":"`)
const keyKey = words(`,"key":"`)
const srcKey = words(`,"src":"`)
const hashKey = words(`,"_hash":"`)
export const atLength = "2026-11-23T09:15:02.114Z".length
export const traceLength = 49
const keyLengthMax = 64
const srcLengthMax = 128

/** The shortest line: a first record without fields. */
const lineBytesMin = lineStartLength + writerLength + 8 + 1 + 7 + atLength + 2 + tailLength

const charClass = (pattern: RegExp): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, code) => pattern.test(String.fromCharCode(code)) ? 1 : 0)

const ulidChars = charClass(/[0-9A-HJKMNP-TV-Z]/)
const keyChars = charClass(/[\w.-]/)
const traceChars = charClass(/[0-9a-f-]/)
const srcChars = charClass(/[\w.:-]/)

/** What the characters of base64url stand for; -1 for others, which makes a number negative whatever it is joined to. */
const base64 = Int32Array.from(
  { length: 256 },
  (_, code) => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".indexOf(String.fromCharCode(code))
)

const comma = 44
const quote = 34
const brace = 125
const zero = 48

export class StampReader {
  bytes: Buffer = Buffer.alloc(slackBytes)
  view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length)

  /** Offsets into `bytes`; -1 for a key that is absent. */
  writerAt = 0
  timeAt = 0
  prevAt = -1
  seenAt = -1
  txAt = -1
  traceAt = -1
  keyAt = -1
  keyEnd = -1
  srcAt = -1
  srcEnd = -1
  /** Where the stamp ends, after its brace. */
  bodyAt = 0
  /** Where the tail begins: the hash covers the line up to here. */
  tailAt = 0
  hashAt = 0

  seq = 0
  txIndex = 0
  txCount = 0
  attempt = 0

  private cursor = 0

  /** Reads lines of these bytes from now on; {@link slackBytes} more must be readable behind each line. */
  attach(bytes: Buffer): void {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  /** Whether the line `[start, end)` is a record with a stamp and a tail; if so, they are in the fields. */
  read(start: number, end: number): boolean {
    const { bytes, view } = this
    const tailAt = end - tailLength
    if (end - start < lineBytesMin || !is27(view, start, lineStart)) return false
    if (!is10(view, tailAt, hashKey) || bytes[end - 1] !== brace || bytes[end - 2] !== quote) return false
    this.place(start, end)
    let at = this.writerAt + writerLength
    if (!is8(view, at, seqKey)) return false
    if (!this.number(at + 8, tailAt)) return false
    this.seq = this.value
    at = this.cursor
    if (!is7(view, at, atKey)) return false
    this.timeAt = at + 7
    if (!isTime(view, this.timeAt) || bytes[this.timeAt + atLength] !== quote) return false
    at = this.timeAt + atLength + 1

    this.prevAt = -1
    this.seenAt = -1
    this.txAt = -1
    this.traceAt = -1
    this.keyAt = -1
    this.srcAt = -1
    this.attempt = 0
    if (bytes[at] !== brace && !this.optionals(at, tailAt)) return false
    if (bytes[at] === brace) this.bodyAt = at + 1
    return this.bodyAt <= tailAt && (this.bodyAt === tailAt || bytes[this.bodyAt] === comma)
  }

  /** Sets where the parts are that stand at the same distance from the start and the end of every line. */
  place(start: number, end: number): void {
    this.writerAt = start + lineStartLength
    this.tailAt = end - tailLength
    this.hashAt = this.tailAt + 10
  }

  /**
   * Whether the line carries the hash with these 32 bytes, each a character. To decode the line's hash costs less than
   * to have the other one encoded.
   */
  isHash(digest: string): boolean {
    if (digest.length !== digestLength) return false
    const { bytes } = this
    let at = this.hashAt
    for (let i = 0; i < digestLength - 2; i += 3, at += 4) {
      const bits = (base64[bytes[at]!]! << 18) | (base64[bytes[at + 1]!]! << 12) | (base64[bytes[at + 2]!]! << 6) |
        base64[bytes[at + 3]!]!
      if (bits !== ((digest.charCodeAt(i) << 16) | (digest.charCodeAt(i + 1) << 8) | digest.charCodeAt(i + 2))) {
        return false
      }
    }
    // two bytes are 16 bits, and the last two of 18 are 0
    const bits = (base64[bytes[at]!]! << 12) | (base64[bytes[at + 1]!]! << 6) | base64[bytes[at + 2]!]!
    return bits === ((digest.charCodeAt(digestLength - 2) << 10) | (digest.charCodeAt(digestLength - 1) << 2))
  }

  /** The 43 characters at an offset. */
  hashText(at: number): string {
    return this.bytes.toString("latin1", at, at + hashLength)
  }

  get writer(): string {
    return this.bytes.toString("latin1", this.writerAt, this.writerAt + writerLength)
  }

  get key(): string | undefined {
    return this.keyAt < 0 ? undefined : this.bytes.toString("latin1", this.keyAt, this.keyEnd)
  }

  /** The outbox row that the record comes from. */
  get source(): string | undefined {
    return this.srcAt < 0 ? undefined : this.bytes.toString("latin1", this.srcAt, this.srcEnd)
  }

  get transaction(): string {
    return this.bytes.toString("latin1", this.txAt, this.txAt + writerLength)
  }

  private optionals(start: number, limit: number): boolean {
    const { bytes, view } = this
    let at = start
    // whether these are hashes shows when they are compared with hashes
    if (is9(view, at, prevKey)) {
      this.prevAt = at + 9
      at = this.prevAt + hashLength + 1
      if (bytes[at - 1] !== quote) return false
    }
    if (is9(view, at, seenKey)) {
      this.seenAt = at + 9
      at = this.seenAt + hashLength + 1
      if (bytes[at - 1] !== quote) return false
    }
    if (bytes[at] === brace) {
      this.bodyAt = at + 1
      return true
    }
    if (is13(view, at, txKey)) {
      this.txAt = at + 13
      if (!isUlid(bytes, this.txAt)) return false
      at = this.txAt + writerLength
      if (!is6(view, at, txIndexKey) || !this.number(at + 6, limit)) return false
      this.txIndex = this.value
      if (!is5(view, this.cursor, txCountKey)) return false
      if (!this.number(this.cursor + 5, limit) || bytes[this.cursor] !== brace) return false
      this.txCount = this.value
      at = this.cursor + 1
    }
    if (is7(view, at, tryKey)) {
      if (!this.number(at + 7, limit)) return false
      this.attempt = this.value
      at = this.cursor
    }
    if (is10(view, at, traceKey)) {
      this.traceAt = at + 10
      at = this.text(this.traceAt, traceLength, traceChars)
      if (at < 0) return false
    }
    if (is8(view, at, keyKey)) {
      this.keyAt = at + 8
      let end = this.keyAt
      while (end < limit && end - this.keyAt < keyLengthMax && keyChars[bytes[end]!] === 1) end++
      this.keyEnd = end
      if (end === this.keyAt || bytes[end] !== quote) return false
      at = end + 1
    }
    if (is8(view, at, srcKey)) {
      this.srcAt = at + 8
      let end = this.srcAt
      while (end < limit && end - this.srcAt < srcLengthMax && srcChars[bytes[end]!] === 1) end++
      this.srcEnd = end
      if (end === this.srcAt || bytes[end] !== quote) return false
      at = end + 1
    }
    this.bodyAt = at + 1
    return bytes[at] === brace
  }

  /** Reads characters of a class and a closing quote; where they end, or -1. */
  private text(at: number, length: number, chars: Uint8Array): number {
    const { bytes } = this
    for (let i = at; i < at + length; i++) if (chars[bytes[i]!] !== 1) return -1
    return bytes[at + length] === quote ? at + length + 1 : -1
  }

  private value = 0

  /** Reads a natural number as JSON writes it, of at most 15 digits; longer ones are not read here. */
  private number(start: number, limit: number): boolean {
    const { bytes } = this
    let at = start
    let value = 0
    for (; at < limit && at - start < 15; at++) {
      const digit = bytes[at]! - zero
      if (digit < 0 || digit > 9) break
      value = value * 10 + digit
    }
    if (at === start || (bytes[start] === zero && at > start + 1)) return false
    this.value = value
    this.cursor = at
    return true
  }
}

export const isUlid = (bytes: Uint8Array, at: number): boolean => {
  for (let i = at; i < at + writerLength; i++) if (ulidChars[bytes[i]!] !== 1) return false
  return true
}

/** Whether the ASCII text stands at an offset. */
export const isText = (bytes: Uint8Array, at: number, text: string): boolean => {
  // ids of one moment differ in their last characters only
  for (let i = text.length - 1; i >= 0; i--) if (text.charCodeAt(i) !== bytes[at + i]) return false
  return true
}

/** Whether all four bytes of a word are digits. */
const areDigits = (word: number): boolean =>
  ((word & 0xf0f0f0f0) | 0) === 0x30303030 && (((word + 0x06060606) & 0xf0f0f0f0) | 0) === 0x30303030

/** Whether the bytes of a word at which the mask has ones are these, and the others digits. */
const isShape = (word: number, mask: number, signs: number): boolean =>
  (word & mask) === signs && areDigits((word & ~mask) | (mask & 0x30303030))

/** `2026-11-23T09:15:02.114Z`, four bytes at a time. */
const isTime = (view: DataView, at: number): boolean =>
  areDigits(view.getInt32(at, true)) &&
  isShape(view.getInt32(at + 4, true), -0xffff01, 0x2d00002d) &&
  isShape(view.getInt32(at + 8, true), 0x00ff0000, 0x00540000) &&
  isShape(view.getInt32(at + 12, true), 0x0000ff00, 0x00003a00) &&
  isShape(view.getInt32(at + 16, true), -0xffff01, 0x2e00003a) &&
  isShape(view.getInt32(at + 20, true), -0x1000000, 0x5a000000)
