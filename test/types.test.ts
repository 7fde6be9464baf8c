/**
 * What must not compile, and what the types promise. `npm run check` compiles this file: an `@ts-expect-error` over a line
 * that compiles is an error there. What runs, runs against memory.
 */
// The diagnostics of Effect do not know @ts-expect-error; tsc says the same of every line that they mean.
// @effect-diagnostics floatingEffect:off missingEffectError:off missingEffectContext:off
import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Layer, Schema } from "effect"
import { expectTypeOf } from "vitest"
import { type Appender, type AuditError, AuditLog, type AuditRecord, FileAppender } from "../src/index.ts"

const Event = Schema.TaggedUnion({
  RoleGranted: { actor: Schema.String, role: Schema.String },
  LoggedOut: { actor: Schema.String, reason: Schema.optionalKey(Schema.String) }
})
class Audit extends AuditLog.Service<Audit>()("test/types/Audit", { schema: Event }) {}

const Order = Schema.Struct({ id: Schema.Int, at: Schema.DateTimeUtcFromString })
class Orders extends AuditLog.Service<Orders>()("test/types/Orders", { schema: Order }) {}

/** Code that is compiled and not run. */
const compiled = (_: (audit: Audit["Service"], orders: Orders["Service"]) => void): void => undefined

describe("append", () => {
  it("takes the records of its schema, in their decoded form, and no others", () => {
    compiled((audit) => {
      audit.append({ _tag: "RoleGranted", actor: "ada", role: "admin" })
      audit.append({ _tag: "LoggedOut", actor: "ada" })
      audit.appendAll([{ _tag: "LoggedOut", actor: "ada", reason: "timeout" }])
      // @ts-expect-error -- no such tag
      audit.append({ _tag: "RoleRevoked", actor: "ada" })
      // @ts-expect-error -- `role` is missing
      audit.append({ _tag: "RoleGranted", actor: "ada" })
      // @ts-expect-error -- a number is no actor
      audit.append({ _tag: "LoggedOut", actor: 1 })
      // @ts-expect-error -- no tag
      audit.append({ actor: "ada", role: "admin" })
      // @ts-expect-error -- excess key in a literal
      audit.append({ _tag: "LoggedOut", actor: "ada", role: "admin" })
      // @ts-expect-error -- an optional key is absent or a string
      audit.append({ _tag: "LoggedOut", actor: "ada", reason: undefined })
      // @ts-expect-error -- the key of another case
      audit.append({ _tag: "RoleGranted", actor: "ada", role: "admin", reason: "x" })
      // @ts-expect-error -- one record is wrong
      audit.appendAll([{ _tag: "LoggedOut", actor: "ada" }, { _tag: "LoggedOut" }])
      // @ts-expect-error -- a record is no list of records
      audit.appendAll({ _tag: "LoggedOut", actor: "ada" })
    })
    expectTypeOf<Parameters<Audit["Service"]["append"]>[0]>().toEqualTypeOf<typeof Event.Type>()
  })

  it("of one log does not take the records of another, nor the encoded form of its own", () => {
    compiled((audit, orders) => {
      const record = { _tag: "LoggedOut", actor: "ada" } as const
      audit.append(record)
      // @ts-expect-error -- a record of the other log
      orders.append(record)
      // @ts-expect-error -- the encoded form: `at` is a DateTime in memory
      orders.append({ id: 1, at: "2026-11-23T09:15:02.114Z" })
      // @ts-expect-error -- the other log is another service
      expectTypeOf(orders).toEqualTypeOf(audit)
    })
    expectTypeOf<Audit>().not.toEqualTypeOf<Orders>()
  })

  it("fails with AuditError alone and needs nothing", () => {
    compiled((audit) => {
      expectTypeOf(audit.append({ _tag: "LoggedOut", actor: "ada" })).toEqualTypeOf<
        Effect.Effect<AuditRecord.Receipt, AuditError.AuditError>
      >()
      expectTypeOf(audit.appendAll([])).toEqualTypeOf<
        Effect.Effect<ReadonlyArray<AuditRecord.Receipt>, AuditError.AuditError>
      >()
    })
  })
})

describe("a receipt", () => {
  it("narrows on durability: only what is written has an identity and a hash", () => {
    const hashOf = (receipt: AuditRecord.Receipt): string => {
      if (receipt.durability === "buffered") {
        expectTypeOf(receipt).toEqualTypeOf<AuditRecord.Buffered>()
        expectTypeOf(receipt.hash).toEqualTypeOf<undefined>()
        // @ts-expect-error -- a buffered record has no hash yet
        const hash: string = receipt.hash
        return hash ?? "none"
      }
      expectTypeOf(receipt).toEqualTypeOf<AuditRecord.Written>()
      expectTypeOf(receipt.seq).toEqualTypeOf<number>()
      return receipt.hash
    }
    const buffered = { writer: undefined, seq: undefined, hash: undefined, bytes: 1, oversize: false } as const
    assert.strictEqual(hashOf({ ...buffered, durability: "buffered" }), "none")
    assert.strictEqual(
      hashOf({ writer: "w", seq: 0, bytes: 1, hash: "h", durability: "synced", oversize: false }),
      "h"
    )
    compiled(() => {
      const receipt = buffered as unknown as AuditRecord.Receipt
      // @ts-expect-error -- not before the receipt is narrowed
      const hash: string = receipt.hash
      return hash
    })
  })
})

class Denied extends Data.TaggedError("Denied")<{ readonly who: string }> {}

describe("transaction", () => {
  it("adds AuditError to the errors of the effect, and keeps its value and needs", () => {
    compiled((audit) => {
      const effect = {} as Effect.Effect<"value", Denied, Orders>
      expectTypeOf(audit.transaction(effect)).toEqualTypeOf<
        Effect.Effect<"value", Denied | AuditError.AuditError, Orders>
      >()
      expectTypeOf(Audit.transaction(effect)).toEqualTypeOf<
        Effect.Effect<"value", Denied | AuditError.AuditError, Orders | Audit>
      >()
      // @ts-expect-error -- the flush may fail: the errors are more than those of the effect
      const tooFew: Effect.Effect<"value", Denied, Orders> = audit.transaction(effect)
      // @ts-expect-error -- the static needs the log
      const needsLog: Effect.Effect<"value", Denied | AuditError.AuditError, Orders> = Audit.transaction(effect)
      return [tooFew, needsLog]
    })
  })

  it("by a scope needs the scope, and its writer is typed by the schema", () => {
    compiled((audit) => {
      const scoped = Effect.flatMap(audit.scoped, (writer) => {
        // @ts-expect-error -- no such tag
        writer.append({ _tag: "RoleRevoked" })
        return writer.append({ _tag: "LoggedOut", actor: "ada" })
      })
      // @ts-expect-error -- without a scope it cannot run
      const unscoped: Effect.Effect<AuditRecord.Receipt, AuditError.AuditError> = scoped
      expectTypeOf(Effect.scoped(scoped)).toEqualTypeOf<Effect.Effect<AuditRecord.Receipt, AuditError.AuditError>>()
      return unscoped
    })
  })
})

describe("layers", () => {
  it("say what they need and what they give", () => {
    expectTypeOf(Audit.layer).toEqualTypeOf<Layer.Layer<Audit, never, Appender.Appender>>()
    expectTypeOf(Audit.layerTest).toEqualTypeOf<Layer.Layer<Audit | AuditLog.Test<Audit>>>()
    const live = Audit.layer.pipe(Layer.provide(FileAppender.layer({ path: "audit.jsonl" })))
    expectTypeOf(live).toEqualTypeOf<Layer.Layer<Audit, AuditError.AuditError>>()
    compiled(() => {
      const program = Audit.use((audit) => audit.append({ _tag: "LoggedOut", actor: "ada" }))
      const provided: Effect.Effect<AuditRecord.Receipt, AuditError.AuditError> = Effect.provide(program, live)
      // @ts-expect-error -- the layer of another log does not give this one
      const wrong: Effect.Effect<AuditRecord.Receipt, AuditError.AuditError> = Effect.provide(program, Orders.layerTest)
      // @ts-expect-error -- an appender is missing
      const bare: Effect.Effect<AuditRecord.Receipt, AuditError.AuditError> = Effect.provide(program, Audit.layer)
      return [provided, wrong, bare]
    })
  })

  it.effect("for tests show the records in their decoded form", () =>
    Effect.gen(function*() {
      const test = yield* Orders.Test
      const records = yield* test.records
      expectTypeOf(records).toEqualTypeOf<ReadonlyArray<typeof Order.Type>>()
      assert.deepStrictEqual(records, [])
    }).pipe(Effect.provide(Orders.layerTest)))
})

describe("a schema", () => {
  it("whose encoded form shows a reserved key does not make a log", () => {
    const make = AuditLog.Service<unknown>()
    // @ts-expect-error -- _audit is the log's own
    compiled(() => make("x", { schema: Schema.Struct({ a: Schema.String, _audit: Schema.String }) }))
    // @ts-expect-error -- _hash is the log's own
    compiled(() => make("x", { schema: Schema.Struct({ _hash: Schema.String }) }))
    // @ts-expect-error -- an optional one may be there
    compiled(() => make("x", { schema: Schema.Struct({ _hash: Schema.optionalKey(Schema.String) }) }))
    // @ts-expect-error -- in one case of a union
    compiled(() => make("x", { schema: Schema.TaggedUnion({ A: { a: Schema.Int }, B: { _audit: Schema.Int } }) }))
    const Named = Schema.Struct({ hash: Schema.String }).pipe(Schema.encodeKeys({ hash: "_hash" }))
    // @ts-expect-error -- it is called otherwise in memory, and _hash where it is written
    compiled(() => make("x", { schema: Named }))
    const Nested = Schema.Struct({ a: Schema.Struct({ _audit: Schema.Int, _hash: Schema.Int }) })
    expectTypeOf(make("x", { schema: Nested }).schema).toEqualTypeOf<typeof Nested>()
  })

  it("that does not encode to an object does not make a log", () => {
    const make = AuditLog.Service<unknown>()
    // @ts-expect-error -- a string
    compiled(() => make("x", { schema: Schema.String }))
    // @ts-expect-error -- an array
    compiled(() => make("x", { schema: Schema.Array(Order) }))
    // @ts-expect-error -- a tuple
    compiled(() => make("x", { schema: Schema.Tuple([Schema.String]) }))
    // @ts-expect-error -- null in a union
    compiled(() => make("x", { schema: Schema.NullOr(Order) }))
    // @ts-expect-error -- an object in memory, a string where it is written
    compiled(() => make("x", { schema: Schema.fromJsonString(Order) }))
    // @ts-expect-error -- a number in one member of a union
    compiled(() => make("x", { schema: Schema.Union([Order, Schema.Int]) }))
    expectTypeOf(make("x", { schema: Schema.Union([Order, Schema.Struct({})]) }).key).toBeString()
  })

  it.effect("of any keys makes a log, which refuses the reserved ones when they come", () => {
    class Loose extends AuditLog.Service<Loose>()("test/types/Loose", {
      schema: Schema.Record(Schema.String, Schema.Unknown)
    }) {}
    return Effect.gen(function*() {
      const log = yield* Loose
      for (const key of ["_audit", "_hash"]) {
        const { reason } = yield* Effect.flip(log.append({ fine: 1, [key]: 1 }))
        assert.strictEqual(reason._tag, "InvalidRecord")
        assert.deepStrictEqual((reason as AuditError.InvalidRecord).path, [key])
      }
      assert.strictEqual(yield* (yield* Loose.Test).text, "")
    }).pipe(Effect.provide(Loose.layerTest))
  })
})
