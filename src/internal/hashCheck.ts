/**
 * Whether a line carries the SHA-256 of its bytes: the check of `HashChain.check` for lines without a key, as every line
 * that is read pays for it.
 *
 * The digest comes as 32 characters and is compared with the 43 of the line by tables: a digest as base64url costs 16 %
 * of the check more, as bytes three times as much.
 */
import { hash } from "node:crypto"

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/** The two characters for 12 bits, as they stand in memory. */
const pairs = Uint16Array.from(
  { length: 4096 },
  (_, bits) => alphabet.charCodeAt(bits >> 6) | (alphabet.charCodeAt(bits & 63) << 8)
)

const digestBytes = 32

/** Whether the characters at the offset are the digest of the bytes `[start, end)`. */
export const isDigestOf = (bytes: Buffer, view: DataView, start: number, end: number, at: number): boolean => {
  const digest = hash("sha256", bytes.subarray(start, end), "binary")
  let difference = 0
  for (let i = 0, to = at; i < digestBytes - 2; i += 3, to += 4) {
    const bits = (digest.charCodeAt(i) << 16) | (digest.charCodeAt(i + 1) << 8) | digest.charCodeAt(i + 2)
    difference |= (pairs[bits >>> 12]! | (pairs[bits & 4095]! << 16)) ^ view.getInt32(to, true)
  }
  // 16 bits are left: three characters, the last of which ends in two zeros
  const bits = (digest.charCodeAt(digestBytes - 2) << 10) | (digest.charCodeAt(digestBytes - 1) << 2)
  difference |= pairs[bits >>> 6]! ^ view.getUint16(at + 40, true)
  difference |= alphabet.charCodeAt(bits & 63) ^ view.getUint8(at + 42)
  return difference === 0
}
