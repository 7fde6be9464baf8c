import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import * as Codec from "../src/Codec.ts"
import * as HashChain from "../src/HashChain.ts"
import { BatchBuffer } from "../src/internal/batchBuffer.ts"

const digest = HashChain.digest(undefined)
const start: HashChain.Head = { writer: "01JD3V9GR0AAAAAAAAAAAAAAAA", seq: 0, prev: undefined }
const plain = { seen: undefined, attempt: 0, key: undefined }

const group = (texts: ReadonlyArray<string>): HashChain.Group => ({
  id: "01JD3V9GR0TTTTTTTTTTTTTTTT",
  records: texts.map((text) =>
    Result.getOrThrow(Codec.encode({ text }, { at: "2026-11-27T00:00:00.000Z", value: undefined }))
  )
})

/** The bytes of a group by the buffer, and by way of text. */
const both = (buffer: BatchBuffer, texts: ReadonlyArray<string>) => {
  buffer.begin()
  HashChain.chain(start, group(texts), plain, (stamp, record) => buffer.close(stamp, record.fields, digest))
  const { lines } = HashChain.link(start, group(texts), { ...plain, digest })
  return { written: buffer.written().toString(), text: lines.map((line) => line.text).join("") }
}

describe("BatchBuffer", () => {
  it.effect.prop("holds the same bytes as the lines in text, batch after batch", {
    batches: Schema.Array(Schema.Array(Schema.String))
  }, ({ batches }) =>
    Effect.sync(() => {
      const buffer = new BatchBuffer()
      for (const texts of batches) {
        const { text, written } = both(buffer, texts)
        assert.strictEqual(written, text)
      }
    }), { arbitrary: { runs: 200, seed: 7 } })

  it("grows at every length around its first size, and cuts nothing off", () => {
    // one, two, three and four bytes a character: the last ones are where a cut would go unnoticed
    for (const unit of ["a", "é", "€", "😀"]) {
      const bytes = Buffer.byteLength(unit)
      for (let length = 65_536 - 400; length <= 65_536 + 100; length++) {
        const { text, written } = both(new BatchBuffer(), [unit.repeat(length / bytes)])
        assert.strictEqual(written, text)
      }
    }
  })

  it("takes a batch of many megabytes, and a small one after it", () => {
    const buffer = new BatchBuffer()
    for (const texts of [Array.from({ length: 5 }, (_, i) => "€".repeat(300_000 + i)), ["small"], []]) {
      const { text, written } = both(buffer, texts)
      assert.strictEqual(written, text)
    }
  })
})
