/**
 * Looks for records with certain hashes, and for nothing else. Hashes are compared before anything is hashed, so it reads
 * about five times as fast as a verification does.
 */
import * as Codec from "../Codec.ts"
import * as HashChain from "../HashChain.ts"
import type { LineRange } from "./chainCheck.ts"
import type { Cut } from "./lineBlocks.ts"
import { tailLength } from "./stampReader.ts"

const newline = 0x0a

export class HashSearch {
  readonly found = new Map<string, LineRange>()
  private segment = -1
  private offset = 0
  private readonly hashes: ReadonlySet<string>
  private readonly digests: HashChain.Digests
  private readonly hasKeys: boolean
  private readonly lineBytesMax: number

  constructor(
    hashes: ReadonlySet<string>,
    options: { readonly keys: ReadonlyArray<HashChain.Key> | undefined; readonly lineBytesMax: number }
  ) {
    this.hashes = hashes
    this.digests = HashChain.digests(options.keys)
    this.hasKeys = options.keys !== undefined
    this.lineBytesMax = options.lineBytesMax
  }

  /** Begins a file. */
  begin(): void {
    this.segment++
    this.offset = 0
  }

  /** Takes the lines of a block. */
  take({ block: { bytes, octets }, end, start, tooLong }: Cut): void {
    if (tooLong >= 0) this.offset += tooLong + 1
    for (let from = start; from < end;) {
      const to = bytes.indexOf(newline, from)
      if (to - from >= tailLength && to - from <= this.lineBytesMax) this.line(octets.subarray(from, to))
      this.offset += to + 1 - from
      from = to + 1
    }
  }

  private line(bytes: Uint8Array): void {
    const line = Codec.trim(bytes)
    const parts = Codec.unseal(line)
    if (parts === undefined || !this.hashes.has(parts.hash) || this.found.has(parts.hash)) return
    const parsed = Codec.parse(line)
    if (parsed._tag !== "Record") return
    const check = HashChain.check(line, parsed.stamp.key, this.digests)
    if (check === "hash" || (check === "key" && this.hasKeys)) return
    this.found.set(parts.hash, { segment: this.segment, offset: this.offset, length: bytes.length })
  }
}
