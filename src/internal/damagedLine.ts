/**
 * What a damaged line is made of. Pure.
 *
 * Two writes can be mixed in a few ways only, and what they leave is not what the alteration of a record leaves: the
 * beginning of a record with another one glued to it, or the end of one alone. So a verifier can tell the remains of a
 * write that nobody acknowledged from a record that somebody has altered.
 */
import * as Codec from "../Codec.ts"
import * as HashChain from "../HashChain.ts"

/** A record or a resync line that begins in the line, and ends where the next one begins. */
export interface Fragment {
  readonly from: number
  readonly to: number
  /** Its writer, as far as that can still be read. */
  readonly writer: string | undefined
  /** It stands there to its end, and its hash is right. */
  readonly isWhole: boolean
  readonly isResync: boolean
}

export interface DamagedLine {
  readonly bytes: Buffer
  readonly fragments: ReadonlyArray<Fragment>
  /** What stands before the first fragment. */
  readonly lead: "nothing" | "beginning" | "end" | "other"
  /** The line ends as a record does: with this hash, or with a tail that is cut off on the left. */
  readonly end: string | undefined
  /**
   * How the line goes on after a single fragment: with the end of another record, after all of this one but its newline,
   * or with a whole object of another program.
   */
  readonly hasMore: boolean
  /** It ends in a whole line of its own, a record or not: what stands before it does not end where the line ends. */
  readonly endsWhole: boolean
  /** It ends in a whole resync line: the next writer has set the fragment apart. */
  readonly healed: boolean
  readonly hasNul: boolean
}

/** What the line of a record begins with. */
export const prefix = `{"_audit":{"v":1,`
const start = /^\{"_audit":\{"v":1,"writer":"([0-9A-HJKMNP-TV-Z]{26})"/
/** A tail that is cut off on the left: what is left of a record that was torn apart in its last 55 bytes. */
const tailEnd = /^(?:(?:(?:,?"_hash":"|_hash":"|hash":"|ash":"|sh":"|h":"|":"|:"|")[\w-]{43}|[\w-]{0,43})"\}|\})$/
const wholeTail = /,"_hash":"([\w-]{43})"\}$/
const tailLength = 55
/** Also the end of what only looks like an object of another program: its beginning, and a cut tail behind it. */
const hashEnd = /[\w-]{43}"\}$/

/** Bytes of a damaged line that people are shown. */
const previewBytesMax = 80

/** The beginning of a line, escaped so that it can be printed anywhere. */
export const preview = (line: Uint8Array): string =>
  JSON.stringify(Buffer.from(line.subarray(0, previewBytesMax)).toString("latin1")).slice(1, -1)
    .replace(/[\u007f-\u00ff]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`)

export const examine = (line: Uint8Array, digests: HashChain.Digests): DamagedLine => {
  const bytes = Buffer.from(line.buffer, line.byteOffset, line.length)
  const starts: Array<number> = []
  for (let at = bytes.indexOf(prefix); at >= 0; at = bytes.indexOf(prefix, at + 1)) starts.push(at)
  const fragments = starts.map((from, i) => fragment(bytes, from, starts[i + 1] ?? bytes.length, digests))
  const last = bytes.toString("latin1", Math.max(0, bytes.length - tailLength))
  const end = wholeTail.exec(last)?.[1] ?? (bytes.length < tailLength && tailEnd.test(last) ? last : undefined)
  const final = fragments.at(-1)
  const foreignEnd = end === undefined && endsInForeign(bytes)
  return {
    bytes,
    fragments,
    lead: leadOf(bytes.subarray(0, starts[0]), starts.length === 0),
    end,
    hasMore: foreignEnd || (end === undefined && isWholeWithEnd(bytes, digests)),
    endsWhole: (foreignEnd && !hashEnd.test(last)) || final?.isWhole === true,
    healed: final !== undefined && final.isResync && final.isWhole,
    hasNul: bytes.includes(0)
  }
}

const fragment = (line: Buffer, from: number, to: number, digests: HashChain.Digests): Fragment => {
  const bytes = line.subarray(from, to)
  const parsed = Codec.parse(bytes)
  const key = parsed._tag === "Record" ? parsed.stamp.key : parsed._tag === "Resync" ? parsed.key : undefined
  return {
    from,
    to,
    writer: start.exec(bytes.toString("latin1", 0, 64))?.[1],
    isWhole: (parsed._tag === "Record" || parsed._tag === "Resync") &&
      HashChain.check(bytes, key, digests) !== "hash",
    isResync: parsed._tag === "Resync"
  }
}

/** Places at which an object may begin that are tried, from the end of the line. */
const objectStartsMax = 64

const stampKey = `{"_audit":`

/** Whether a line ends in a JSON object that does not begin with the line. */
const endsInForeign = (line: Buffer): boolean => {
  let at = line.length
  for (let tried = 0; tried < objectStartsMax; tried++) {
    at = at <= 0 ? -1 : line.lastIndexOf("{", at - 1)
    if (at <= 0) return false
    // a stamp that another record's end has closed
    if (line.toString("latin1", Math.max(0, at - stampKey.length), at) === stampKey) continue
    if (Codec.parse(line.subarray(at))._tag === "Foreign") return true
  }
  return false
}

const innerTail = /^(.*,"_hash":"[\w-]{43}"\})(.*)$/s

const isWholeWithEnd = (line: Buffer, digests: HashChain.Digests): boolean => {
  const [, record, rest] = innerTail.exec(line.toString("latin1")) ?? []
  return record !== undefined && rest !== undefined && tailEnd.test(rest) &&
    fragment(line, 0, record.length, digests).isWhole
}

const leadOf = (lead: Buffer, alone: boolean): DamagedLine["lead"] => {
  if (lead.length === 0) return "nothing"
  if (prefix.startsWith(lead.toString("latin1", 0, prefix.length)) && lead.length < prefix.length) return "beginning"
  // what is before the last byte can be of several records, with little left of each
  return alone && lead.at(-1) === 0x7d && !looksAltered(lead) ? "end" : "other"
}

/** Whether a line begins as a record does but for two bytes: no end of a record does that, but an altered record. */
const looksAltered = (lead: Buffer): boolean => {
  let same = 0
  for (let i = 0; i < prefix.length; i++) if (lead[i] === prefix.charCodeAt(i)) same++
  return same >= prefix.length - 2
}
