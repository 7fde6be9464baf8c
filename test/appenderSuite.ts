/**
 * What every backend of the `Appender` port must do: one suite, run once for each of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, Result, type Scope } from "effect"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import { Appender, type AuditError, type AuditRecord, Codec, SizePolicy } from "../src/index.ts"
import { plainLines, readEntries, temporaryLog } from "./support.ts"

const at = "2026-11-23T09:15:02.114Z"

/** Records as `AuditLog` would hand them to the appender. */
const encode = (...values: ReadonlyArray<{ readonly [key: string]: unknown }>): ReadonlyArray<Codec.Encoded> =>
  values.map((value) => Result.getOrThrow(Codec.encode(value, { at, value })))

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => ({ n: from + i }))

export const appenderSuite = <R>(name: string, backend: {
  /** Builds an empty log; built anew for each test. */
  readonly layer: Layer.Layer<Appender.Appender | R, AuditError.AuditError>
  /** The text of the log, to the byte. */
  readonly read: Effect.Effect<string, never, R>
  /** What its receipts promise. */
  readonly durability: AuditRecord.Durability
}): void => {
  const test = <E>(title: string, body: Effect.Effect<void, E, Appender.Appender | R | Scope.Scope>) =>
    it.effect(title, () =>
      // a type parameter does not cancel itself out in Exclude
      Effect.provide(body, backend.layer) as Effect.Effect<void, E | AuditError.AuditError, Scope.Scope>)

  const append = (...values: ReadonlyArray<{ readonly [key: string]: unknown }>) =>
    Appender.Appender.use((appender) => appender.append(encode(...values)))

  const lines = Effect.map(backend.read, plainLines)

  describe(`an appender (${name})`, () => {
    test(
      "starts with an empty log",
      Effect.gen(function*() {
        assert.strictEqual(yield* backend.read, "")
      })
    )

    test(
      "lands a batch whole, in order, and each line ends in a newline",
      Effect.gen(function*() {
        yield* append(...numbers(0, 50))
        const text = yield* backend.read
        assert.isTrue(text.endsWith("\n"))
        assert.deepStrictEqual(plainLines(text).map(({ record }) => record), numbers(0, 50))
      })
    )

    test(
      "gives receipts that say what stands in the log",
      Effect.gen(function*() {
        const receipts = [
          ...(yield* append({ n: 0 })),
          ...(yield* append({ n: 1, text: "ü\u2028€𝄞" }, {})),
          ...(yield* append({ n: 3 }))
        ]
        const written = yield* lines
        assert.strictEqual(written.length, 4)
        assert.deepStrictEqual(
          receipts,
          written.map(({ hash, line, stamp }) => ({
            writer: stamp["writer"] as string,
            seq: stamp["seq"] as number,
            bytes: Buffer.byteLength(line) + 1,
            hash,
            durability: backend.durability,
            oversize: false
          }))
        )
        assert.deepStrictEqual(receipts.map(({ seq }) => seq), [0, 1, 2, 3])
        assert.match(receipts[0]!.writer, /^[0-9A-HJKMNP-TV-Z]{26}$/)
        assert.strictEqual(new Set(receipts.map(({ writer }) => writer)).size, 1)
      })
    )

    test(
      "hashes each line up to its hash, with SHA-256 in base64url",
      Effect.gen(function*() {
        yield* append({ n: 0 }, {}, { text: "ü\u2028€𝄞" })
        for (const { hash, line } of yield* lines) {
          const head = line.slice(0, line.lastIndexOf(`,"_hash":"`))
          assert.strictEqual(hash, createHash("sha256").update(head).digest("base64url"))
        }
      })
    )

    test(
      "links each line to the one before it, across appends",
      Effect.gen(function*() {
        yield* append({ n: 0 })
        yield* append({ n: 1 }, { n: 2 })
        yield* append({ n: 3 })
        const written = yield* lines
        assert.deepStrictEqual(
          written.map(({ stamp }) => stamp["prev"]),
          [undefined, ...written.slice(0, -1).map(({ hash }) => hash)]
        )
        assert.notProperty(written[0]!.stamp, "prev")
      })
    )

    test(
      "stamps the records of a transaction with its id and their place",
      Effect.gen(function*() {
        yield* append(...numbers(0, 3))
        yield* append(...numbers(3, 5))
        const places = (yield* lines).map(({ stamp }) => stamp.tx!)
        assert.deepStrictEqual(places.map(({ i, n }) => [i, n]), [[0, 3], [1, 3], [2, 3], [0, 2], [1, 2]])
        const ids = places.map(({ id }) => id)
        assert.deepStrictEqual(ids, [ids[0]!, ids[0]!, ids[0]!, ids[3]!, ids[3]!])
        assert.notStrictEqual(ids[0], ids[3])
      })
    )

    test(
      "stamps a record that is alone with no transaction",
      Effect.gen(function*() {
        yield* append({ n: 0 })
        assert.notProperty((yield* lines)[0]!.stamp, "tx")
      })
    )

    test(
      "writes nothing for an empty batch, and gives no receipts",
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* append(), [])
        assert.strictEqual(yield* backend.read, "")
        assert.strictEqual((yield* append({ n: 0 }))[0]!.seq, 0)
      })
    )

    test(
      "keeps the stamp's time and trace as they came with the record",
      Effect.gen(function*() {
        const trace = `${"a".repeat(32)}-${"b".repeat(16)}`
        yield* Appender.Appender.use((appender) => appender.append([{ ...encode({ n: 0 })[0]!, trace }]))
        const { stamp } = (yield* lines)[0]!
        assert.deepInclude(stamp, { v: 1, at, trace })
      })
    )

    test(
      "lands what 200 fibers append at once, each record once and each fiber's in order",
      Effect.gen(function*() {
        const receipts = yield* Effect.forEach(
          Array.from({ length: 200 }, (_, fiber) => fiber),
          (fiber) => Effect.forEach([0, 1, 2, 3, 4], (i) => append({ fiber, i })),
          { concurrency: "unbounded" }
        )
        const written = yield* lines
        assert.strictEqual(written.length, 1000)
        for (let fiber = 0; fiber < 200; fiber++) {
          const own = written.filter(({ record }) => record["fiber"] === fiber)
          assert.deepStrictEqual(own.map(({ record }) => record["i"]), [0, 1, 2, 3, 4])
          assert.deepStrictEqual(receipts[fiber]!.flat().map(({ hash }) => hash), own.map(({ hash }) => hash))
        }
        assert.deepStrictEqual(written.map(({ stamp }) => stamp["seq"]), Array.from({ length: 1000 }, (_, seq) => seq))
        assert.deepStrictEqual(
          written.slice(1).map(({ stamp }) => stamp["prev"]),
          written.slice(0, -1).map(({ hash }) => hash)
        )
      })
    )

    test(
      "keeps the lines of each transaction together while others append",
      Effect.gen(function*() {
        yield* Effect.forEach(
          Array.from({ length: 60 }, (_, fiber) => fiber),
          (fiber) =>
            append({ fiber, i: 0 }, { fiber, i: 1 }, { fiber, i: 2 }).pipe(Effect.andThen(append({ fiber, i: 3 }))),
          { concurrency: "unbounded" }
        )
        const written = yield* lines
        assert.strictEqual(written.length, 240)
        let transactions = 0
        written.forEach(({ record, stamp }, at) => {
          if (stamp.tx?.i !== 0) return
          transactions++
          const together = written.slice(at, at + 3)
          const { fiber } = record
          const { id } = stamp.tx
          assert.deepStrictEqual(together.map((line) => line.stamp.tx), [0, 1, 2].map((i) => ({ id, i, n: 3 })))
          assert.deepStrictEqual(together.map((line) => line.record), [0, 1, 2].map((i) => ({ fiber, i })))
        })
        assert.strictEqual(transactions, 60)
      })
    )

    test(
      "shows its limits, the defaults where nothing else was asked for",
      Effect.gen(function*() {
        const { limits } = yield* Appender.Appender
        assert.deepStrictEqual(limits, {
          sizePolicy: SizePolicy.warn({ limit: 4096 }),
          recordBytesMax: 1024 ** 2,
          transactionBytesMax: 16 * 1024 ** 2,
          transactionRecordsMax: 100_000,
          key: undefined
        })
      })
    )

    test(
      "writes lines no longer than they were measured, and says which are over the limit",
      Effect.gen(function*() {
        const { limits } = yield* Appender.Appender
        const records = encode(...[1, 3000, 3900, 5000].map((length) => ({ text: "x".repeat(length) })))
        const receipts = yield* Appender.Appender.use((appender) => appender.append(records))
        assert.deepStrictEqual(receipts.map(({ oversize }) => oversize), [false, false, true, true])
        receipts.forEach(({ bytes, oversize }, i) => {
          const admitted = Result.getOrThrow(SizePolicy.admit(limits, records[i]!))
          assert.isAtMost(bytes, admitted.sizeBytes)
          assert.strictEqual(oversize, admitted.oversize)
        })
      })
    )

    test(
      "writes what a reader finds again, whole and checked",
      Effect.gen(function*() {
        const values = [{ n: 0 }, {}, { text: "\u2028\u0085\ud800" }, { deep: { list: [1, null, true, "x"] } }]
        yield* append(values[0]!)
        yield* append(...values.slice(1))
        const copy = yield* temporaryLog
        Fs.writeFileSync(copy, yield* backend.read)
        const entries = yield* readEntries(copy)
        assert.deepStrictEqual(entries.map((entry) => entry._tag === "Record" ? entry.fields : entry._tag), values)
        assert.isTrue(entries.every((entry) => entry._tag === "Record" && entry.verified))
      })
    )
  })
}
