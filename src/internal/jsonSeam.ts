/**
 * Where two pieces of bytes can be put together so that they may be a record. Pure.
 *
 * Of JSON it knows strings and brackets, and of a stamp which strings have one length. So it may let through what is no
 * record, and keeps back none; what is left is for a hash to decide.
 */

const outside = 0
const inString = 1
const escaped = 2
/** No record begins with these bytes. */
const impossible = 3

/** What a string is, as far as it shows. */
const anyRole = 0
const nameRole = 1
const valueRole = 2

const quote = 0x22
const comma = 0x2c
const colon = 0x3a
const backslash = 0x5c
const openBracket = 0x5b
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d

/** Members of a stamp, and of a record, whose values have one length: a ULID, a time, and SHA-256 in base64url. */
const stampLengths: ReadonlyArray<readonly [member: string, length: number]> = [
  [`"writer":"`, 26],
  [`"at":"`, 24],
  [`"prev":"`, 43],
  [`"seen":"`, 43]
]
const recordLengths: typeof stampLengths = [[`"_hash":"`, 43]]
const memberBytesMax = 10

/** Where the string has to end that begins at an offset; -1 if it may be of any length. */
const endOfString = (bytes: Uint8Array, start: number, lengths: typeof stampLengths): number => {
  const from = Math.max(0, start - memberBytesMax)
  const before = Buffer.from(bytes.buffer, bytes.byteOffset + from, start - from).toString("latin1")
  const length = lengths.find(([member]) => before.endsWith(member))?.[1]
  return length === undefined ? -1 : start + length
}

const other = "-"
const white = " "

/** What a byte outside of strings is, as far as it matters for the next one. */
const kindOf = (byte: number): string =>
  byte <= 0x20
    ? white
    : byte === closeBracket
    ? "}"
    : byte === quote || byte === comma || byte === colon || byte === openBracket || byte === openBrace ||
        byte === closeBrace
    ? String.fromCharCode(byte)
    : other

/** What may stand behind it. */
const followers: { readonly [kind: string]: string } = {
  "{": `"} `,
  "[": `"{[}- `,
  "}": `},` + white,
  ",": `"{[- `,
  ":": `"{[- `,
  "\"": `:,} `,
  [other]: `-,} `,
  [white]: `"{}[,:- `
}

/** What a beginning of a record leaves open, for each of its lengths. */
export class Beginnings {
  readonly bytes: Uint8Array
  readonly modes: Uint8Array
  readonly depths: Int32Array
  readonly roles: Uint8Array
  /** Where the quote has to stand that ends the open string; -1 if that is not known. */
  readonly closings: Int32Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    const { length } = bytes
    this.modes = new Uint8Array(length + 1)
    this.depths = new Int32Array(length + 1)
    this.roles = new Uint8Array(length + 1)
    this.closings = new Int32Array(length + 1)
    let mode = outside
    let depth = 0
    let role = anyRole
    let closing = -1
    /** The last byte outside of strings that is no white space. */
    let last = 0
    let isStamp = true
    for (let i = 0; i < length; i++) {
      const byte = bytes[i]!
      if (mode === escaped) mode = inString
      else if (mode === inString) {
        if (byte === backslash) mode = escaped
        else if (byte === quote) {
          mode = closing >= 0 && closing !== i ? impossible : outside
          last = byte
        } else if (byte < 0x20) mode = impossible
      } else if (mode === outside) {
        if (byte === quote) {
          mode = inString
          role = last === colon ? valueRole : last === openBrace ? nameRole : anyRole
          const lengths = depth === 1 ? recordLengths : isStamp && depth === 2 ? stampLengths : undefined
          closing = lengths === undefined ? -1 : endOfString(bytes, i + 1, lengths)
        } else if (byte === openBrace || byte === openBracket) depth++
        else if (byte === closeBrace || byte === closeBracket) {
          depth--
          if (depth === 1) isStamp = false
          else if (depth < 1) mode = impossible
        }
        if (byte > 0x20) last = byte
      }
      this.modes[i + 1] = mode
      this.depths[i + 1] = depth
      this.roles[i + 1] = role
      this.closings[i + 1] = mode === inString || mode === escaped ? closing : -1
    }
  }
}

/** What the end of a record completes, for each offset in it and each mode in which it may go on there. */
export class Ends {
  readonly bytes: Uint8Array
  /** By mode and depth: the offsets, the last one first. */
  private readonly lists = new Map<number, Array<number>>()
  private readonly roles: Uint8Array
  /** Bytes before the quote that ends the open string. */
  private readonly rests: Int32Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    const { length } = bytes
    this.roles = new Uint8Array(length + 2)
    this.rests = new Int32Array(length + 2)
    // in how many brackets it goes on in each mode, so that all of them are closed at the end; NaN if it cannot
    let depth = 0
    let depthInString = Number.NaN
    let depthEscaped = Number.NaN
    for (let i = length - 1; i >= 0; i--) {
      const byte = bytes[i]!
      const behind = depthInString
      if (byte === quote) {
        depthInString = depth
        depth = behind
        const next = bytes[i + 1]
        this.roles[i] = next === colon ? nameRole : next === undefined || next <= 0x20 ? anyRole : valueRole
      } else {
        if (byte === backslash) {
          depthInString = depthEscaped
          depth = Number.NaN
        } else if (byte === openBrace || byte === openBracket) depth--
        else if (byte === closeBrace || byte === closeBracket) depth++
        else if (byte < 0x20) depthInString = Number.NaN
        const goesOn = byte === backslash ? i + 2 : i + 1
        this.rests[i] = this.rests[goesOn]! + goesOn - i
        this.roles[i] = this.roles[goesOn]!
      }
      depthEscaped = behind
      this.add(outside, depth, i)
      this.add(inString, depthInString, i)
      this.add(escaped, depthEscaped, i)
    }
  }

  /** Offsets, the last ones first, among which are all at which this can go on after so many bytes of a beginning. */
  candidates({ depths, modes }: Beginnings, to: number): ReadonlyArray<number> {
    return this.lists.get(nameOf(modes[to]!, depths[to]!)) ?? none
  }

  /**
   * Whether a candidate fits: a string that is cut is of the right length, and a name or a value on both sides; in
   * between strings, what follows may follow.
   */
  fits({ bytes, closings, modes, roles }: Beginnings, to: number, from: number): boolean {
    const mode = modes[to]!
    if (mode === outside) return followers[kindOf(bytes[to - 1]!)]!.includes(kindOf(this.bytes[from]!))
    if (mode !== inString) return mode !== impossible
    const closing = closings[to]!
    if (closing >= 0 && closing - to !== this.rests[from]!) return false
    const role = roles[to]!
    const endRole = this.roles[from]!
    return role === anyRole || endRole === anyRole || role === endRole
  }

  private add(mode: number, depth: number, at: number): void {
    if (Number.isNaN(depth)) return
    const name = nameOf(mode, depth)
    const list = this.lists.get(name)
    if (list === undefined) this.lists.set(name, [at])
    else list.push(at)
  }
}

const nameOf = (mode: number, depth: number): number => 4 * depth + mode

const none: ReadonlyArray<number> = []
