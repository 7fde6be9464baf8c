/**
 * The identity of an outbox row in the stamp: what is written, how long it may be, and that readers show a row once.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as Fs from "node:fs"
import { Codec, FileAppender, Verifier } from "../src/index.ts"
import { StampReader } from "../src/internal/stampReader.ts"
import { plainLines, readRecords, temporaryLog } from "./support.ts"

const outbox = "0123456789abcdef0123456789abcdef"
const widest = `${outbox}:${2n ** 63n - 1n}`

const row = (n: number, source: string | undefined): Codec.Encoded => ({
  ...Result.getOrThrow(Codec.encode({ n }, { at: "2026-11-23T09:15:02.114Z", value: { n } })),
  source
})

/** Appends batches, each under a writer of its own, as relays that die one after the other do. */
const writeBatches = Effect.fnUntraced(function*(batches: ReadonlyArray<ReadonlyArray<Codec.Encoded>>) {
  const path = yield* temporaryLog
  for (const batch of batches) {
    yield* FileAppender.make({ path }).pipe(
      Effect.flatMap((appender) => appender.append(batch)),
      Effect.scoped
    )
  }
  return path
})

const shown = (path: string) => Effect.map(readRecords(path), (records) => records.map(({ fields }) => fields["n"]))

describe("the source of a record", () => {
  it.live("stands in the stamp, is covered by the hash, and is read without parsing the line", () =>
    Effect.gen(function*() {
      const path = yield* writeBatches([[row(1, widest)]])
      const text = Fs.readFileSync(path, "utf8")
      assert.strictEqual(plainLines(text)[0]!.stamp["src"], widest)
      const reader = new StampReader()
      reader.attach(Buffer.from(text + " ".repeat(64)))
      assert.isTrue(reader.read(0, text.length - 1))
      assert.strictEqual(reader.source, widest)
      Fs.writeFileSync(path, text.replace(widest, widest.replace("0123", "0124")))
      assert.deepStrictEqual(yield* shown(path), [])
    }))

  it("counts for the length of the line with its greatest width", () => {
    const line = (source: string | undefined) =>
      Codec.head({ fields: "", at: "2026-11-23T09:15:02.114Z", trace: undefined, source }, {
        writer: "0".repeat(26),
        seq: 0,
        prev: undefined,
        seen: undefined,
        tx: undefined,
        attempt: 0,
        key: undefined
      }).length
    const reserved = Codec.lineBytesMax(7, undefined, "a:1") - Codec.lineBytesMax(7, undefined)
    assert.strictEqual(reserved, line(widest) - line(undefined))
  })

  it.live("makes readers show a row once that was appended again in another batch", () =>
    Effect.gen(function*() {
      const rows = [1, 2, 3, 4].map((n) => row(n, `${outbox}:${n}`))
      const path = yield* writeBatches([rows.slice(0, 3), rows.slice(1)])
      assert.deepStrictEqual(yield* shown(path), [1, 2, 3, 4])
      const report = yield* Verifier.verify(path).pipe(Effect.provide(NodeFileSystem.layer))
      assert.isTrue(report.sound)
    }))

  it.live("is told apart from that of another outbox, and from a number that was given out again", () =>
    Effect.gen(function*() {
      const path = yield* writeBatches([[row(1, "a:1")], [row(1, "b:1")], [row(2, "a:1")], [row(1, "a:1")]])
      assert.deepStrictEqual(yield* shown(path), [1, 1, 2, 1])
    }))

  it.live("is not remembered beyond 4096 records of its outbox, whatever others write", () =>
    Effect.gen(function*() {
      const rows = Array.from({ length: 4097 }, (_, n) => row(n, `a:${n}`))
      const others = Array.from({ length: 9000 }, (_, n) => row(-1, `b:${n}`))
      const path = yield* writeBatches([rows, others, [rows[0]!], [rows[2]!]])
      assert.deepStrictEqual((yield* shown(path)).filter((n) => n !== -1).slice(4097), [0])
    }))
})
