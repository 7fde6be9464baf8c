/**
 * The exact boundary, measured on the bytes of the file: a line is replaced by the widest line it could have been, and
 * that one's length is what the limit is about. The library's own measure is nowhere used.
 */
import { assert, describe, it } from "@effect/vitest"
import { ByteSize, Effect, Logger, Metric, Redacted, References, Tracer } from "effect"
import * as Fs from "node:fs"
import { type HashChain, SizePolicy } from "../src/index.ts"
import { openFileLog, plainLines, temporaryLog } from "./support.ts"

const note = (text: string) => ({ _tag: "Noted", text }) as const

/** The length of the widest line that the record of a line could have become: every field of the stamp, at its widest. */
const measure = (line: string, keyId?: string): number => {
  const stamp = `{"_audit":${JSON.stringify(JSON.parse(line)._audit)}`
  assert.isTrue(line.startsWith(stamp), "the stamp comes first, without spaces")
  const hash = "h".repeat(43)
  const widest =
    `{"_audit":{"v":1,"writer":"${"W".repeat(26)}","seq":${"9".repeat(16)},"at":"2026-11-23T09:15:02.114Z",` +
    `"prev":"${hash}","seen":"${hash}","tx":{"id":"${"X".repeat(26)}","i":${"9".repeat(7)},"n":${"9".repeat(7)}},` +
    `"try":9,"trace":"${"a".repeat(32)}-${"b".repeat(16)}"${keyId === undefined ? "" : `,"key":"${keyId}"`}}`
  return Buffer.byteLength(`${widest}${line.slice(stamp.length)}\n`)
}

/** What `Noted` with an empty text measures, so that texts can be grown to any size. */
const emptyBytes = measure(`{"_audit":{},"_tag":"Noted","text":"","_hash":"${"h".repeat(43)}"}`)

/** A `Noted` of exactly so many bytes, made of one character as far as it divides, and of ASCII for the rest. */
const noteOf = (bytes: number, char = "a") => {
  const each = char === "\u2028" ? "\\u2028".length : Buffer.byteLength(char)
  const room = bytes - emptyBytes
  return note(char.repeat(Math.floor(room / each)) + "-".repeat(room % each))
}

const lastMeasure = (path: string, keyId?: string): number =>
  measure(plainLines(Fs.readFileSync(path, "utf8")).at(-1)!.line, keyId)

/** The reason an effect fails with. */
const refusal = <A, E extends { readonly reason: object }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => ({ ...error.reason }))

const tooLarge = (sizeBytes: number, limitBytes: number) => ({
  _tag: "RecordTooLarge",
  sizeBytes,
  limitBytes,
  recordTag: "Noted",
  committed: "no",
  isRetryable: false
})

/** The warnings of an effect: message and annotations. */
const warnings = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const logged: Array<{ readonly message: string; readonly annotations: object }> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    if (logLevel !== "Warn" || !String(message).startsWith("audit record")) return
    logged.push({ message: String(message), annotations: fiber.getRef(References.CurrentLogAnnotations) })
  })
  return Effect.as(Effect.provide(effect, Logger.layer([logger])), logged)
}

const oversizeTotal = Effect.map(
  Metric.snapshot,
  (all) => all.flatMap(({ id, state }) => id === "auditlog_oversize_total" && "count" in state ? [state.count] : [])
)

describe("reject", () => {
  const sizePolicy = SizePolicy.reject()

  for (const [name, char] of [["ASCII", "a"], ["é", "é"], ["emoji", "\u{1f600}"], ["escapes", "\u2028"]] as const) {
    it.effect(`takes 4096 bytes of ${name} and refuses 4097, without a byte written`, () =>
      Effect.gen(function*() {
        const { log, path, size } = yield* openFileLog({ sizePolicy })
        const receipt = yield* log.append(noteOf(4096, char))
        assert.strictEqual(lastMeasure(path), 4096)
        assert.deepStrictEqual([receipt.bytes, receipt.oversize], [size(), false])
        const before = Fs.readFileSync(path)
        assert.deepStrictEqual(yield* refusal(log.append(noteOf(4097, char))), tooLarge(4097, 4096))
        assert.isTrue(Fs.readFileSync(path).equals(before))
      }))
  }

  it.effect("decides the same wherever the record stands: first, chained, behind another writer, traced, keyed", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const { log } = yield* openFileLog({ path, sizePolicy })
      const { log: other } = yield* openFileLog({ path, sizePolicy })
      const traced = Effect.withSpan("request", {
        parent: Tracer.externalSpan({ traceId: "a".repeat(32), spanId: "b".repeat(16) })
      })
      const fields: Array<ReadonlyArray<string>> = []
      const inSpan = (record: ReturnType<typeof note>) => traced(log.append(record))
      for (const run of [log.append, log.append, other.append, inSpan]) {
        yield* run(noteOf(4096))
        assert.strictEqual(lastMeasure(path), 4096)
        assert.deepStrictEqual(yield* refusal(run(noteOf(4097))), tooLarge(4097, 4096))
        fields.push(Object.keys(plainLines(Fs.readFileSync(path, "utf8")).at(-1)!.stamp).slice(4))
      }
      assert.deepStrictEqual(fields, [[], ["prev"], ["seen"], ["prev", "seen", "trace"]])

      const key: HashChain.Key = { id: "key-of-2026", secret: Redacted.make("s".repeat(32)) }
      const keyed = yield* openFileLog({ sizePolicy, key })
      const keyBytes = `,"key":"${key.id}"`.length
      yield* keyed.log.append(noteOf(4096 - keyBytes))
      assert.strictEqual(lastMeasure(keyed.path, key.id), 4096)
      assert.deepStrictEqual(yield* refusal(keyed.log.append(noteOf(4097 - keyBytes))), tooLarge(4097, 4096))
    }))

  it.effect("decides the same inside a transaction, at the append, which rolls back", () =>
    Effect.gen(function*() {
      const { log, path, size } = yield* openFileLog({ sizePolicy })
      yield* log.transaction(Effect.forEach([1, 2, 3], () => log.append(noteOf(4096))))
      for (const { line } of plainLines(Fs.readFileSync(path, "utf8"))) assert.strictEqual(measure(line), 4096)
      const before = size()
      let reached = false
      const failed = log.transaction(
        log.append(noteOf(4096)).pipe(
          Effect.andThen(log.append(noteOf(4097))),
          Effect.andThen(Effect.sync(() => {
            reached = true
          }))
        )
      )
      assert.deepStrictEqual(yield* refusal(failed), tooLarge(4097, 4096))
      assert.isFalse(reached)
      assert.deepStrictEqual(yield* refusal(log.appendAll([noteOf(600), noteOf(4097)])), tooLarge(4097, 4096))
      assert.strictEqual(size(), before)
    }))

  it.effect("takes limits of other sizes, in the units of ByteSize", () =>
    Effect.gen(function*() {
      for (
        const [limit, bytes] of [[8192, 8192], ["8 KiB", 8192], ["5 kB", 5000], [ByteSize.bytes(600n), 600]] as const
      ) {
        const { log, path } = yield* openFileLog({ sizePolicy: SizePolicy.reject({ limit }) })
        yield* log.append(noteOf(bytes))
        assert.strictEqual(lastMeasure(path), bytes)
        assert.deepStrictEqual(yield* refusal(log.append(noteOf(bytes + 1))), tooLarge(bytes + 1, bytes))
      }
    }))
})

describe("warn and allow", () => {
  it.effect("warn writes 4097 bytes, and says so in one warning, the metric and the receipt", () =>
    Effect.gen(function*() {
      const { log, path } = yield* openFileLog()
      const within = yield* warnings(Effect.map(log.append(noteOf(4096)), ({ oversize }) => assert.isFalse(oversize)))
      assert.deepStrictEqual(within, [])
      assert.deepStrictEqual(yield* oversizeTotal, [])

      const over = yield* warnings(Effect.map(log.append(noteOf(4097)), ({ oversize }) => assert.isTrue(oversize)))
      assert.strictEqual(lastMeasure(path), 4097)
      assert.strictEqual(over.length, 1)
      assert.include(over[0]!.message, "\"Noted\" is 4097 bytes; the limit is 4096")
      assert.deepStrictEqual(over[0]!.annotations, {
        "auditlog.size_bytes": 4097,
        "auditlog.limit_bytes": 4096,
        "auditlog.tag": "Noted"
      })
      assert.deepStrictEqual(yield* oversizeTotal, [1])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("allow writes 4097 bytes and says so in the receipt alone", () =>
    Effect.gen(function*() {
      const { log, path } = yield* openFileLog({ sizePolicy: SizePolicy.allow() })
      const logged = yield* warnings(Effect.map(log.append(noteOf(4097)), ({ oversize }) => assert.isTrue(oversize)))
      assert.strictEqual(lastMeasure(path), 4097)
      assert.deepStrictEqual(logged, [])
      assert.deepStrictEqual(yield* oversizeTotal, [])
      assert.isFalse((yield* log.append(noteOf(4096))).oversize)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("the hard limits", () => {
  it.effect("are 1 MiB a record under every policy, to the byte", () =>
    Effect.gen(function*() {
      const mebibyte = 1024 * 1024
      for (const policy of [SizePolicy.allow, SizePolicy.warn, SizePolicy.reject]) {
        const { log, path, size } = yield* openFileLog({ sizePolicy: policy({ limit: "2 MiB" }) })
        yield* log.append(noteOf(mebibyte, "é"))
        assert.strictEqual(lastMeasure(path), mebibyte)
        const before = size()
        assert.deepStrictEqual(yield* refusal(log.append(noteOf(mebibyte + 1))), tooLarge(mebibyte + 1, mebibyte))
        assert.strictEqual(size(), before)
      }
    }))

  it.effect("can be set, and hold in spite of a policy that allows more", () =>
    Effect.gen(function*() {
      const { log, path } = yield* openFileLog({ sizePolicy: SizePolicy.allow(), recordBytesMax: "8 KiB" })
      yield* log.append(noteOf(8192))
      assert.strictEqual(lastMeasure(path), 8192)
      assert.deepStrictEqual(yield* refusal(log.append(noteOf(8193))), tooLarge(8193, 8192))
    }))

  it.effect("of a transaction count the widest lines of its records together, to the byte", () =>
    Effect.gen(function*() {
      const { log, path, size } = yield* openFileLog({ transactionBytesMax: "8 KiB" })
      yield* log.transaction(Effect.andThen(log.append(noteOf(4096)), log.append(noteOf(4096))))
      const lines = plainLines(Fs.readFileSync(path, "utf8"))
      assert.deepStrictEqual(lines.map(({ line }) => measure(line)), [4096, 4096])
      const before = size()
      const over = {
        _tag: "TransactionTooLarge",
        sizeBytes: 8193,
        limitBytes: 8192,
        records: 2,
        limitRecords: 100_000,
        committed: "no",
        isRetryable: false
      }
      const two = log.transaction(Effect.andThen(log.append(noteOf(4096)), log.append(noteOf(4097))))
      assert.deepStrictEqual(yield* refusal(two), over)
      assert.deepStrictEqual(yield* refusal(log.appendAll([noteOf(4097), noteOf(4096)])), over)
      assert.deepStrictEqual(yield* refusal(log.append(noteOf(8193))), { ...over, records: 1 })
      assert.strictEqual(size(), before)
      yield* log.append(noteOf(8192))
    }))
})
