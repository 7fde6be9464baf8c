import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Clock, Context, Effect, Layer, Schema, Tracer } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import { type Appender, AuditError, AuditLog, type AuditRecord, FileAppender, SizePolicy } from "../src/index.ts"
import {
  Audit,
  granted,
  openFileLog,
  openMemoryLog,
  plainLines,
  readRecords,
  rolesIn,
  temporaryLog
} from "./support.ts"

describe("append", () => {
  it.effect("returns a receipt of the line that stands in the file", () =>
    Effect.gen(function*() {
      const { log, path, size } = yield* openFileLog()
      const receipt = yield* log.append(granted("admin"))
      const [line] = plainLines(Fs.readFileSync(path, "utf8"))
      assert.deepStrictEqual(receipt, {
        writer: line!.stamp["writer"] as string,
        seq: 0,
        bytes: size(),
        hash: line!.hash,
        durability: "synced",
        oversize: false
      })
      assert.deepStrictEqual(line!.record, granted("admin"))
    }))

  it.effect("says in the receipt what was done to make the record durable", () =>
    Effect.gen(function*() {
      const durability = (sync: FileAppender.SyncPolicy) =>
        Effect.flatMap(openFileLog({ sync }), ({ log }) => Effect.map(log.append(granted("a")), (_) => _.durability))
      assert.strictEqual(yield* durability("always"), "synced")
      assert.strictEqual(yield* durability({ every: "1 second" }), "deferred")
      assert.strictEqual(yield* durability("never"), "unsynced")
    }))

  it.effect("encodes with the schema, and a reader gets the encoded fields back", () =>
    Effect.gen(function*() {
      class Times extends AuditLog.Service<Times>()("test/Times", {
        schema: Schema.Struct({ when: Schema.Date, amount: Schema.BigInt, note: Schema.optionalKey(Schema.String) })
      }) {}
      const path = yield* temporaryLog
      yield* Times.use((log) => log.append({ when: new Date(0), amount: 2n ** 70n })).pipe(
        Effect.provide(Layer.provide(Times.layer, FileAppender.layer({ path })))
      )
      const [record] = yield* readRecords(path)
      assert.deepStrictEqual(record!.fields, { when: "1970-01-01T00:00:00.000Z", amount: "1180591620717411303424" })
    }))

  it.effect("takes a record whose strings only look like numbers that JSON cannot hold", () =>
    Effect.gen(function*() {
      class Loose extends AuditLog.Service<Loose>()("test/LooseText", {
        schema: Schema.Struct({ text: Schema.Union([Schema.Number, Schema.String]) })
      }) {}
      yield* Effect.gen(function*() {
        const log = yield* Loose
        yield* log.append({ text: "NaN" })
        const error = yield* Effect.flip(log.append({ text: Number.NaN }))
        assert.strictEqual(error.reason._tag, "InvalidRecord")
        const test = yield* Loose.Test
        assert.deepStrictEqual(plainLines(yield* test.text).map(({ record }) => record["text"]), ["NaN"])
      }).pipe(Effect.provide(Loose.layerTest))
    }))

  it.effect("stamps the time of Effect's clock, in UTC with milliseconds", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      yield* TestClock.setTime(Date.UTC(2026, 10, 23, 9, 15, 2, 114))
      yield* log.append(granted("a"))
      yield* log.transaction(Effect.gen(function*() {
        yield* log.append(granted("b"))
        yield* TestClock.adjust("1 hour")
        yield* log.append(granted("c"))
      }))
      assert.deepStrictEqual(
        plainLines(yield* memory.text).map(({ stamp }) => stamp["at"]),
        ["2026-11-23T09:15:02.114Z", "2026-11-23T09:15:02.114Z", "2026-11-23T10:15:02.114Z"]
      )
    }))

  it.effect("stamps whatever a clock says as RFC 3339 has it, and the nearest time that it can for what it has not", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      const second = Date.UTC(2026, 10, 23, 9, 15, 59)
      const last = Date.UTC(9999, 11, 31, 23, 59, 59, 999)
      const times = [0, 7, 999, 1000, 1042, second, second + 999, second + 1000, second + 99.9, second - 1, last]
      const clock = yield* Clock.Clock
      for (const millis of [...times, -1, -Infinity, last + 1, Infinity]) {
        const says: Clock.Clock = Object.assign(Object.create(clock), { currentTimeMillisUnsafe: () => millis })
        yield* Effect.provideService(log.append(granted("a")), Clock.Clock, says)
      }
      assert.deepStrictEqual(
        plainLines(yield* memory.text).map(({ stamp }) => stamp["at"]),
        [...times, 0, 0, last, last].map((millis) => new Date(millis).toISOString())
      )
    }))

  it.effect("stamps the ids of the span that is current at the append, and none where there is none", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      const ids = Effect.map(Effect.currentSpan, ({ spanId, traceId }) => `${traceId}-${spanId}`)
      const [outer, inner] = yield* Effect.gen(function*() {
        yield* log.append(granted("outer"))
        const inner = yield* Effect.withSpan(
          Effect.tap(ids, () => log.transaction(log.append(granted("inner")))),
          "inner"
        )
        return [yield* ids, inner]
      }).pipe(Effect.withSpan("outer"))
      yield* log.append(granted("none"))
      const stamps = plainLines(yield* memory.text).map(({ stamp }) => stamp)
      assert.match(outer!, /^[0-9a-f]{32}-[0-9a-f]{16}$/)
      assert.notStrictEqual(inner, outer)
      assert.deepStrictEqual(stamps.map((stamp) => stamp["trace"]), [outer, inner, undefined])
      assert.notProperty(stamps[2], "trace")
    }))

  it.effect("leaves the trace out when the ids of the span are not W3C ids", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      const foreign = Tracer.externalSpan({ spanId: `"},"x":"`, traceId: "abc" })
      yield* log.append(granted("a")).pipe(Effect.provideService(Tracer.ParentSpan, foreign))
      const [line] = plainLines(yield* memory.text)
      assert.notProperty(line!.stamp, "trace")
      assert.deepStrictEqual(line!.record, granted("a"))
    }))
})

describe("a record that cannot be written", () => {
  class Any extends AuditLog.Service<Any>()("test/Any", {
    schema: Schema.Record(Schema.String, Schema.Unknown)
  }) {}
  class Payment extends AuditLog.Service<Payment>()("test/Payment", {
    schema: Schema.Struct({
      lines: Schema.Array(Schema.Struct({ amount: Schema.Number.check(Schema.isLessThan(1000)) }))
    })
  }) {}

  const refused = (record: { readonly [key: string]: unknown }) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.flatMap(Any, (log) => log.append(record)))
      assert.strictEqual(yield* Effect.flatMap(Any.Test, (test) => test.text), "")
      assert(error.reason._tag === "InvalidRecord")
      return { path: error.reason.path, problem: error.reason.problem }
    }).pipe(Effect.provide(Any.layerTest))

  const cases: ReadonlyArray<{
    readonly what: string
    readonly record: { readonly [key: string]: unknown }
    readonly path: ReadonlyArray<string | number>
  }> = [
    { what: "the reserved key _audit", record: { _audit: {} }, path: ["_audit"] },
    { what: "the reserved key _hash", record: { _hash: "x" }, path: ["_hash"] },
    { what: "NaN", record: { a: { b: [0, Number.NaN] } }, path: ["a", "b", 1] },
    { what: "an infinity", record: { a: -Infinity }, path: ["a"] },
    { what: "undefined", record: { a: [undefined] }, path: ["a", 0] },
    { what: "a function", record: { a: { b: () => 1 } }, path: ["a", "b"] },
    { what: "a symbol", record: { a: Symbol("s") }, path: ["a"] },
    { what: "a BigInt", record: { a: [{ b: 1n }] }, path: ["a", 0, "b"] },
    { what: "a Date without a schema", record: { a: new Date(0) }, path: ["a"] }
  ]
  it.effect.each(cases)("is refused with its path for $what", ({ path, record }) =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* refused(record)).path, path)
    }))

  it.effect("is refused with its path when it does not fit the schema", () =>
    Effect.gen(function*() {
      const log = yield* Payment
      for (const amount of [1000, Number.NaN, Infinity, "12" as unknown as number]) {
        const error = yield* Effect.flip(log.append({ lines: [{ amount: 1 }, { amount }] }))
        assert(error.reason._tag === "InvalidRecord")
        assert.deepStrictEqual(error.reason.path, ["lines", 1, "amount"])
        assert.strictEqual(error.committed, "no")
        assert.isFalse(error.isRetryable)
      }
      assert.strictEqual(yield* Effect.flatMap(Payment.Test, (test) => test.text), "")
    }).pipe(Effect.provide(Payment.layerTest)))

  it.effect("is refused, and is no defect, when reading or encoding it throws", () =>
    Effect.gen(function*() {
      const cycle: { [key: string]: unknown } = {}
      cycle["self"] = cycle
      yield* refused(cycle)
      const { problem } = yield* refused({
        get secret(): unknown {
          throw new Error("no entry")
        }
      })
      assert.include(problem, "no entry")
    }))

  it.effect("leaves the log as it was, and the next record gets the next seq", () =>
    Effect.gen(function*() {
      const { log, path } = yield* openFileLog({ sizePolicy: SizePolicy.reject() })
      yield* log.append(granted("a"))
      yield* Effect.flip(log.append(granted("x".repeat(5000))))
      yield* Effect.flip(log.append({ _tag: "RoleGranted", actor: "ada", role: 1 as unknown as string }))
      assert.strictEqual((yield* log.append(granted("b"))).seq, 1)
      assert.deepStrictEqual(rolesIn(Fs.readFileSync(path, "utf8")), ["a", "b"])
    }))
})

describe("a log whose layer is closed", () => {
  it.effect("refuses appends and the end of transactions, and leaves the file alone", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const log = yield* Effect.scoped(Effect.map(openFileLog({ path }), ({ log }) => log))
      const errors = [
        yield* Effect.flip(log.append(granted("late"))),
        yield* Effect.flip(log.transaction(log.append(granted("late"))))
      ]
      assert.deepStrictEqual(errors.map(({ reason }) => reason._tag), ["Closed", "Closed"])
      assert.strictEqual(Fs.readFileSync(path, "utf8"), "")
    }))

  it.effect("has written what was appended before, also by fibers that nobody waits for", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* Effect.scoped(Effect.gen(function*() {
        const { log } = yield* openFileLog({ path })
        for (const role of ["a", "b", "c"]) {
          yield* Effect.forkDetach(log.append(granted(role)), { startImmediately: true })
        }
      }))
      assert.deepStrictEqual(rolesIn(Fs.readFileSync(path, "utf8")), ["a", "b", "c"])
    }))
})

describe("the service class", () => {
  class Other extends AuditLog.Service<Other>()("test/Other", { schema: Schema.Struct({ n: Schema.Int }) }) {}

  it("types records, and makes each log a requirement of its own", () => {
    const append = Audit.use((log) => log.append(granted("a")))
    expectTypeOf(append).toEqualTypeOf<Effect.Effect<AuditRecord.Receipt, AuditError.AuditError, Audit>>()
    expectTypeOf(Other.transaction(append)).toEqualTypeOf<
      Effect.Effect<AuditRecord.Receipt, AuditError.AuditError, Audit | Other>
    >()
    expectTypeOf(Audit.layer).toEqualTypeOf<Layer.Layer<Audit, never, Appender.Appender>>()
    assert.strictEqual(Audit.key, "effect-auditlog/test/Audit")
    assert.notStrictEqual<string>(Other.key, Audit.key)
  })

  it.effect("has transaction as a static that uses the log in the context", () =>
    Effect.gen(function*() {
      const appended = Audit.use((log) => log.appendAll([granted("a"), granted("b")]))
      const result = yield* Effect.exit(Audit.transaction(Effect.andThen(appended, Effect.fail("refused"))))
      assert.strictEqual(result._tag, "Failure")
      const test = yield* Audit.Test
      assert.strictEqual(yield* test.text, "")
      yield* Audit.transaction(appended)
      assert.deepStrictEqual(rolesIn(yield* test.text), ["a", "b"])
    }).pipe(Effect.provide(Audit.layerTest)))

  it.effect("keeps its schema, and lets two logs of different names live side by side", () =>
    Effect.gen(function*() {
      yield* Audit.use((log) => log.append(granted("a")))
      yield* Other.use((log) => log.append({ n: 1 }))
      assert.deepStrictEqual(yield* Effect.flatMap(Audit.Test, (_) => _.records), [granted("a")])
      assert.deepStrictEqual(yield* Effect.flatMap(Other.Test, (_) => _.records), [{ n: 1 }])
      assert.isTrue(Schema.is(Other.schema)({ n: 1 }))
    }).pipe(Effect.provide(Layer.merge(Audit.layerTest, Other.layerTest))))
})

describe("layerTest", () => {
  /** The service under test: it must grant the role and leave one record, or neither. */
  class Roles extends Context.Service<Roles, {
    readonly grant: (role: string) => Effect.Effect<number, "unknown role" | AuditError.AuditError>
  }>()("test/Roles") {
    static readonly layer = Layer.effect(
      Roles,
      Effect.map(Audit, (log) => {
        const roles = new Set<string>()
        return {
          grant: (role) =>
            log.transaction(Effect.gen(function*() {
              yield* log.append(granted(role))
              if (role === "nobody") return yield* Effect.fail("unknown role" as const)
              return roles.add(role).size
            }))
        }
      })
    )
  }
  const layer = Layer.provideMerge(Roles.layer, Audit.layerTest)

  it.effect("shows the audit trail of a service as the values that were appended", () =>
    Effect.gen(function*() {
      const roles = yield* Roles
      const test = yield* Audit.Test
      yield* roles.grant("admin")
      assert.strictEqual(yield* Effect.flip(roles.grant("nobody")), "unknown role")
      yield* roles.grant("reader")
      assert.deepStrictEqual(yield* test.records, [granted("admin"), granted("reader")])
      assert.deepStrictEqual(rolesIn(yield* test.text), ["admin", "reader"])
    }).pipe(Effect.provide(layer)))

  it.effect("shows what landed, not what the caller has made of its object since", () =>
    Effect.gen(function*() {
      const log = yield* Audit
      const record = { ...granted("a"), unknownToTheSchema: true }
      yield* log.append(record)
      Object.assign(record, granted("b"))
      yield* log.transaction(log.appendAll([granted("c"), granted("d")]))
      const held = yield* Effect.flatMap(Audit.Test, (test) => test.records)
      assert.deepStrictEqual(held, [granted("a"), granted("c"), granted("d")])
    }).pipe(Effect.provide(layer)))

  it.effect("fails as often as it was told to, so that a service's answer to it can be tested", () =>
    Effect.gen(function*() {
      const roles = yield* Roles
      const test = yield* Audit.Test
      yield* test.failNext(new AuditError.DurabilityUnknown({ path: "nowhere", code: "EIO" }), { times: 2 })
      const answers = yield* Effect.forEach(
        ["a", "b", "c"],
        (role) =>
          Effect.catchReason(roles.grant(role), "AuditError", "DurabilityUnknown", ({ code }) => Effect.succeed(code))
      )
      assert.deepStrictEqual(answers, ["EIO", "EIO", 3])
      assert.deepStrictEqual(yield* test.records, [granted("c")])
    }).pipe(Effect.provide(layer)))

  it.effect("gives each build an empty log", () =>
    Effect.gen(function*() {
      yield* Effect.provide(Audit.use((log) => log.append(granted("a"))), Audit.layerTest)
      const text = Effect.flatMap(Audit.Test, (test) => test.text)
      assert.strictEqual(yield* Effect.provide(text, Audit.layerTest), "")
    }))
})
