/**
 * Ways to read a log in Node, with nothing but the file's own bytes: `{ way, path }`. Each reads blocks of 1 MiB. Prints
 * how many records it has seen, and its peak memory.
 */
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import { peakMegabytes } from "../harness.ts"
import { needleActor } from "../record.ts"

export type Way = "raw" | "parse" | "query" | "hash"

const { path, way } = JSON.parse(process.argv[2] ?? "") as { readonly path: string; readonly way: Way }

const blockBytes = 1024 * 1024
const newline = 0x0a
/** `,"_hash":"` and what follows: 55 bytes that are not hashed. */
const tailBytes = 55

let seen = 0
const line: { readonly [_ in Exclude<Way, "raw">]: (block: Buffer, from: number, to: number) => void } = {
  parse: (block, from, to) => {
    if ((JSON.parse(block.toString("utf8", from, to)) as { rev: number }).rev >= 0) seen++
  },
  query: (block, from, to) => {
    if ((JSON.parse(block.toString("utf8", from, to)) as { actor: string }).actor === needleActor) seen++
  },
  hash: (block, from, to) => {
    const hash = Crypto.hash(
      "sha256",
      new Uint8Array(block.buffer, block.byteOffset + from, to - tailBytes - from),
      "base64url"
    )
    if (block.toString("latin1", to - 45, to - 2) === hash) seen++
  }
}

const start = performance.now()
const fd = Fs.openSync(path, "r")
const block = Buffer.alloc(2 * blockBytes)
let filled = 0
for (;;) {
  const count = Fs.readSync(fd, block, filled, blockBytes, null)
  if (count === 0) break
  if (way === "raw") continue
  const end = filled + count
  const bytes = block.subarray(0, end)
  let from = 0
  for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, from)) {
    line[way](bytes, from, at)
    from = at + 1
  }
  block.copyWithin(0, from, end)
  filled = end - from
}
console.log(JSON.stringify({ seen, seconds: (performance.now() - start) / 1000, peak: peakMegabytes("self") }))
