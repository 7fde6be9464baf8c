/**
 * A record that has lost nothing but its newline, at the end of a file or with another line glued to it. Pure.
 *
 * What a writer sets apart with a resync line, since the file did not end in a newline, is nearly always a fragment: of a
 * write that was cut off, and was not acknowledged. If it is all of a record but its newline, nobody can tell: its write
 * may have lost its last byte, or an editor may have taken the newline away from the last record of the file, which was
 * acknowledged.
 */
import * as Codec from "../Codec.ts"
import * as HashChain from "../HashChain.ts"
import * as Salvage from "./salvage.ts"

/** Whether a damaged line ends in a resync line: the next writer has found the fragment and set it apart. */
export const endsInResync = (line: Uint8Array, digests: HashChain.Digests): boolean => {
  const start = Codec.lastStart(line)
  return start >= 0 && isResync(line.subarray(start), digests)
}

const isResync = (bytes: Uint8Array, digests: HashChain.Digests): boolean => {
  const parsed = Codec.parse(bytes)
  return parsed._tag === "Resync" && HashChain.check(bytes, parsed.key, digests) !== "hash"
}

/** Whether a damaged line is a whole record with a resync line or a line of another program behind it. */
export const lacksNewline = (line: Uint8Array, digests: HashChain.Digests): boolean => {
  if (!Codec.mayBeRecord(line)) return false
  const first = Salvage.recordAt(Buffer.from(line.buffer, line.byteOffset, line.length), 0, digests)
  if (first === undefined) return false
  const rest = line.subarray(first.length)
  return Codec.parse(rest)._tag === "Foreign" || isResync(rest, digests)
}

/** Whether these bytes are all of a record. */
export const isRecord = (bytes: Uint8Array, digests: HashChain.Digests): boolean => {
  if (!Codec.mayBeRecord(bytes)) return false
  const parsed = Codec.parse(bytes)
  return parsed._tag === "Record" && HashChain.check(bytes, parsed.stamp.key, digests) !== "hash"
}
