/**
 * Looks for whole records inside a damaged line. What it finds is for people, never for the log: see design section 4.
 */
import * as Codec from "../Codec.ts"
import * as HashChain from "../HashChain.ts"

/** What a record's line begins with. */
const prefix = `{"_audit":{"v":1,`

/** The last bytes of a line: `,"_hash":"`, 43 characters, `"}`. */
const tailStart = `,"_hash":"`
const tailBytes = 55

/** Ends that are tried for one beginning: bounds the work on a line that somebody has made to cost much. */
const endsMax = 8

/** A record found at an offset inside the line. */
export interface Found {
  readonly offset: number
  readonly length: number
  readonly parsed: Codec.Parsed & { readonly _tag: "Record" }
  readonly verified: boolean
}

/** The records inside a damaged line, in their order; they do not overlap. */
export const find = (line: Uint8Array, digests: HashChain.Digests): ReadonlyArray<Found> => {
  const bytes = Buffer.from(line.buffer, line.byteOffset, line.length)
  const found: Array<Found> = []
  let at = bytes.indexOf(prefix)
  while (at >= 0) {
    const record = recordAt(bytes, at, digests)
    if (record !== undefined) found.push(record)
    at = bytes.indexOf(prefix, record === undefined ? at + 1 : at + record.length)
  }
  return found
}

/** The whole record that begins at an offset; `undefined` if there is none. */
export const recordAt = (bytes: Buffer, at: number, digests: HashChain.Digests): Found | undefined => {
  let tail = bytes.indexOf(tailStart, at)
  for (let tried = 0; tail >= 0 && tried < endsMax; tried++) {
    const candidate = bytes.subarray(at, tail + tailBytes)
    const parsed = Codec.parse(candidate)
    if (parsed._tag === "Record") {
      const check = HashChain.check(candidate, parsed.stamp.key, digests)
      if (check !== "hash") return { offset: at, length: candidate.length, parsed, verified: check === "ok" }
    }
    tail = bytes.indexOf(tailStart, tail + 1)
  }
  return undefined
}
