/**
 * What an append refuses before anything is written, with the exact path of the offending value, and what it keeps.
 * Everything goes through `append`, as a program does it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schema } from "effect"
import { createHash } from "node:crypto"
import { type AuditError, AuditLog } from "../src/index.ts"

class Loose extends AuditLog.Service<Loose>()("test/encoder/Loose", {
  schema: Schema.Record(Schema.String, Schema.Unknown)
}) {}

/** The error of an append that must fail, after a look that nothing of it landed. */
const refusal = <S extends Schema.ConstraintEncoder<unknown>>(
  schema: S & AuditLog.RecordSchema<S>,
  value: S["Type"]
): Effect.Effect<AuditError.InvalidRecord> => {
  class Log extends AuditLog.Service<Log>()("test/encoder/Log", { schema }) {}
  return Effect.gen(function*() {
    const log = yield* Log
    const test = yield* Log.Test
    const error = yield* Effect.flip(log.append(value))
    assert.strictEqual(error.reason._tag, "InvalidRecord")
    assert.strictEqual(error.committed, "no")
    assert.isFalse(error.isRetryable)
    assert.strictEqual(yield* test.text, "")
    return error.reason as AuditError.InvalidRecord
  }).pipe(Effect.provide(Log.layerTest), Effect.orDie)
}

/** The line that an append writes. */
const line = <S extends Schema.ConstraintEncoder<unknown>>(
  schema: S & AuditLog.RecordSchema<S>,
  value: S["Type"]
): Effect.Effect<string> => {
  class Log extends AuditLog.Service<Log>()("test/encoder/Log", { schema }) {}
  return Effect.gen(function*() {
    const log = yield* Log
    const test = yield* Log.Test
    yield* log.append(value)
    return yield* test.text
  }).pipe(Effect.provide(Log.layerTest), Effect.orDie)
}

/** The bytes between the stamp and the hash. */
const fieldsOf = (text: string): string => {
  assert.match(text, /^\{"_audit":\{[^{}]*\}.*,"_hash":"[\w-]{43}"\}\n$/s)
  return text.slice(text.indexOf("}") + 1, text.lastIndexOf(",\"_hash\":"))
}

const nested = (depth: number): { readonly [key: string]: unknown } => {
  let value: { readonly [key: string]: unknown } = {}
  for (let i = 1; i < depth; i++) value = { k: value }
  return value
}

const sparse: Array<unknown> = [0]
sparse[2] = 2

const cycle: Record<string, unknown> = { a: 1 }
cycle["self"] = { back: cycle }

const A = <F extends Schema.Constraint>(field: F) => Schema.Struct({ a: field })

describe("values that JSON cannot hold, in a field whose schema says nothing", () => {
  for (
    const [name, value, path] of [
      ["NaN", { a: { b: [1, { c: Number.NaN }] } }, ["a", "b", 1, "c"]],
      ["Infinity", { a: [Number.POSITIVE_INFINITY] }, ["a", 0]],
      ["-Infinity", { a: Number.NEGATIVE_INFINITY }, ["a"]],
      ["undefined", { a: { b: undefined } }, ["a", "b"]],
      ["undefined at the top", { fine: 1, a: undefined }, ["a"]],
      ["a function", { a: { f: () => 1 } }, ["a", "f"]],
      ["a symbol", { a: [Symbol("s")] }, ["a", 0]],
      ["a BigInt", { a: { big: 1n } }, ["a", "big"]],
      ["a Date", { a: { at: new Date(0) } }, ["a", "at"]],
      ["a Map with NaN in it", { a: { m: new Map([["k", Number.NaN]]) } }, ["a", "m"]],
      ["a Set", { a: new Set() }, ["a"]],
      ["a hole of a sparse array", { a: sparse }, ["a", 1]]
    ] as const
  ) {
    it.effect(`refuses ${name} and names its place`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual((yield* refusal(Loose.schema, value)).path, path)
      }))
  }

  it.effect("admits 64 levels of nesting, and refuses 65", () =>
    Effect.gen(function*() {
      assert.strictEqual(fieldsOf(yield* line(Loose.schema, nested(64))), `,${JSON.stringify(nested(64)).slice(1, -1)}`)
      const { path, problem } = yield* refusal(Loose.schema, nested(65))
      assert.deepStrictEqual(path, Array.from({ length: 64 }, () => "k"))
      assert.match(problem, /deeper than 64/)
    }))

  it.effect("refuses a cycle and bottomless nesting with an error, not with a defect", () =>
    Effect.gen(function*() {
      const { path, problem } = yield* refusal(Loose.schema, cycle)
      assert.match(problem, /deeper than 64/)
      assert.isAtLeast(path.length, 64)
      assert.deepStrictEqual(path, path.map((_, i) => i % 2 === 0 ? "self" : "back"))
      assert.match((yield* refusal(Loose.schema, nested(20_000))).problem, /deeper than 64/)
    }))

  it.effect("refuses a getter that throws, with its message", () =>
    Effect.gen(function*() {
      const { problem } = yield* refusal(Loose.schema, {
        get a(): unknown {
          throw new Error("no such thing")
        }
      })
      assert.match(problem, /no such thing/)
    }))
})

describe("NaN and infinities in typed fields", () => {
  const nan = Number.NaN

  it.effect("are refused in numbers, wherever the schema has them", () =>
    Effect.gen(function*() {
      const Num = Schema.Number
      assert.deepStrictEqual((yield* refusal(A(Num), { a: nan })).path, ["a"])
      assert.deepStrictEqual((yield* refusal(A(Num), { a: -Infinity })).path, ["a"])
      assert.deepStrictEqual((yield* refusal(A(Schema.Array(A(Num))), { a: [{ a: 1 }, { a: nan }] })).path, [
        "a",
        1,
        "a"
      ])
      assert.deepStrictEqual((yield* refusal(Schema.Record(Schema.String, Num), { x: 1, y: nan })).path, ["y"])
      assert.deepStrictEqual((yield* refusal(A(Schema.Union([Schema.String, Num])), { a: nan })).path, ["a"])
      assert.deepStrictEqual((yield* refusal(A(Schema.Tuple([Num, Num])), { a: [0, nan] })).path, ["a", 1])
    }))

  it.effect("are refused in maps and sets", () =>
    Effect.gen(function*() {
      const map = yield* refusal(A(Schema.ReadonlyMap(Schema.String, Schema.Number)), {
        a: new Map([["fine", 1], ["bad", nan]])
      })
      assert.deepStrictEqual(map.path, ["a", 1, 1])
      assert.deepStrictEqual((yield* refusal(A(Schema.ReadonlySet(Schema.Number)), { a: new Set([nan]) })).path, [
        "a",
        0
      ])
    }))

  // Fails as long as jsonLine.findNonFinite iterates an Option, which yields itself; then drop `.fails`.
  it.effect("are refused in an Option", () =>
    Effect.gen(function*() {
      const { path, problem } = yield* refusal(A(Schema.Option(Schema.Number)), { a: Option.some(nan) })
      assert.strictEqual(path[0], "a")
      assert.match(problem, /NaN is not a JSON number/)
    }))

  it.effect("are refused where the schema promises JSON or anything", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* refusal(A(Schema.Unknown), { a: [nan] })).path, ["a", 0])
      assert.deepStrictEqual((yield* refusal(A(Schema.Any), { a: { b: nan } })).path, ["a", "b"])
      assert.deepStrictEqual((yield* refusal(A(Schema.Json), { a: [[nan]] })).path, ["a", 0, 0])
      assert.deepStrictEqual((yield* refusal(A(Schema.Finite), { a: nan })).path, ["a"])
    }))

  it.effect("are not confused with the words NaN and Infinity", () =>
    Effect.gen(function*() {
      const text = yield* line(Schema.Struct({ a: Schema.String, n: Schema.Number }), { a: "NaN", n: 1 })
      assert.strictEqual(fieldsOf(text), ",\"a\":\"NaN\",\"n\":1")
      assert.strictEqual(fieldsOf(yield* line(Loose.schema, { a: ["-Infinity"] })), ",\"a\":[\"-Infinity\"]")
    }))
})

describe("the schema", () => {
  it.effect("refuses a value that does not fit, with the path of the misfit", () =>
    Effect.gen(function*() {
      const Event = A(A(Schema.Array(Schema.Int)))
      const wrong = { a: { a: [1, "2"] } } as unknown as typeof Event.Type
      const { path, problem } = yield* refusal(Event, wrong)
      assert.deepStrictEqual(path, ["a", "a", 1])
      assert.notInclude(problem, "2\"", "the message must not spill values of the record")
      const missing = yield* refusal(Event, {} as typeof Event.Type)
      assert.deepStrictEqual(missing.path, ["a"])
      assert.deepStrictEqual((yield* refusal(Event, null as unknown as typeof Event.Type)).path, [])
    }))

  it.effect("refuses the reserved keys where only the value has them", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* refusal(Loose.schema, { a: 1, _audit: 1 })).path, ["_audit"])
      assert.deepStrictEqual((yield* refusal(Loose.schema, { _hash: "x" })).path, ["_hash"])
      const nestedKeys = yield* line(Loose.schema, { a: { _audit: 1, _hash: 2 } })
      assert.strictEqual(fieldsOf(nestedKeys), ",\"a\":{\"_audit\":1,\"_hash\":2}")
    }))
})

describe("what is kept", () => {
  it.effect("an empty object: the line is the stamp and the hash", () =>
    Effect.gen(function*() {
      assert.strictEqual(fieldsOf(yield* line(Loose.schema, {})), "")
      assert.strictEqual(fieldsOf(yield* line(Schema.Struct({}), {})), "")
    }))

  it.effect("__proto__ as an own key, at the top and nested", () =>
    Effect.gen(function*() {
      const text = "{\"__proto__\":{\"a\":1},\"b\":{\"__proto__\":[{\"__proto__\":2}]}}"
      const value = JSON.parse(text) as { readonly [key: string]: unknown }
      assert.strictEqual(fieldsOf(yield* line(Loose.schema, value)), `,${text.slice(1, -1)}`)
      const typed = Schema.Record(Schema.String, Schema.Record(Schema.String, Schema.Int))
      const record = JSON.parse("{\"__proto__\":{\"__proto__\":1}}") as typeof typed.Type
      assert.strictEqual(fieldsOf(yield* line(typed, record)), ",\"__proto__\":{\"__proto__\":1}")
    }))

  it.effect("strings of 100 KB of every kind of character, with a hash over exactly the bytes before it", () =>
    Effect.gen(function*() {
      for (const unit of ["a", "é", "\u2028", "\u{1f600}", "\ud800", "\u0000", "\"\\", "\u009b"]) {
        const value = unit.repeat(100_000 / unit.length)
        const text = yield* line(A(Schema.String), { a: value })
        assert.strictEqual((JSON.parse(text) as { a: string }).a, value)
        const bytes = Buffer.from(text)
        assert.strictEqual(bytes.indexOf(0x0a), bytes.length - 1)
        const cut = bytes.length - 56
        assert.strictEqual(
          bytes.subarray(cut).toString(),
          `,"_hash":"${createHash("sha256").update(bytes.subarray(0, cut)).digest("base64url")}"}\n`
        )
      }
    }))
})
