/**
 * Scans the lines of a block into a table: what can be said of a line alone, and takes nearly all of the time. Worker
 * threads do it as well as the thread that verifies; so it imports little.
 */
import { isUtf8 } from "node:buffer"
import { createHmac, hash, type KeyObject } from "node:crypto"
import { type Block, scratchBytes } from "./lineBlocks.ts"
import { StampReader } from "./stampReader.ts"

const newline = 0x0a

/** Keys by their ids. */
export type Keys = ReadonlyMap<string, KeyObject>

export class BlockScan {
  private readonly reader = new StampReader()
  private readonly keys: Keys
  private readonly lineBytesMax: number
  /** Views of the beginning of a block's scratch space, by their length. */
  private views: Array<Uint8Array | undefined> = []
  private readonly viewsOf = new WeakMap<Uint8Array, Array<Uint8Array | undefined>>()

  constructor(keys: Keys, lineBytesMax: number) {
    this.keys = keys
    this.lineBytesMax = lineBytesMax
  }

  /** Fills the table with the lines in `[start, end)`, as many as it can have. Returns where the next one begins. */
  scan(block: Block, start: number, end: number): number {
    const { lineBytesMax, reader } = this
    const { bytes, octets, table } = block
    this.attach(block)
    table.count = 0
    const rowsMax = table.rowsMax
    const isPlainBlock = isPlain(bytes, start, end)
    let from = start
    while (from < end && table.count < rowsMax) {
      const to = bytes.indexOf(newline, from)
      if (
        to - from <= lineBytesMax && reader.read(from, to) && (isPlainBlock || isPlain(bytes, from, to)) &&
        reader.isHash(this.digest(octets, from))
      ) {
        table.addRecord(from, to, reader)
      } else table.addOther(from, to)
      from = to + 1
    }
    return from
  }

  /** The hash of the line that was read, a character for each byte; nothing if its key is not known. */
  private digest(octets: Uint8Array, start: number): string {
    const { reader, views } = this
    const { keyAt, tailAt } = reader
    if (keyAt >= 0) {
      const key = this.keys.get(reader.key ?? "")
      return key === undefined
        ? ""
        : createHmac("sha256", key).update(octets.subarray(start, tailAt)).digest("binary")
    }
    const length = tailAt - start
    if (length > scratchBytes) return hash("sha256", octets.subarray(start, tailAt), "binary")
    const scratchAt = octets.length - scratchBytes
    octets.copyWithin(scratchAt, start, tailAt)
    const view = views[length] ??= octets.subarray(scratchAt, scratchAt + length)
    return hash("sha256", view, "binary")
  }

  private attach({ bytes, octets }: Block): void {
    this.reader.attach(bytes)
    const views = this.viewsOf.get(octets) ?? []
    this.viewsOf.set(octets, views)
    this.views = views
  }
}

/** Whether bytes are valid UTF-8 without NUL. `Uint8Array.includes` takes as long as the hashing. */
const isPlain = (bytes: Buffer, start: number, end: number): boolean => {
  const part = bytes.subarray(start, end)
  return isUtf8(part) && part.indexOf(0) < 0
}
