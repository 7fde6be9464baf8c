/**
 * Any value of any schema comes back from the file as it went in: appended by the library, read back as bytes, checked
 * with `node:crypto` and `JSON.parse` alone, then with LogReader and the schema. A failing case prints its `Replay:`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Context, Effect, Equal, Layer, Schema } from "effect"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import { AuditLog, FileAppender, SizePolicy } from "../src/index.ts"
import { plainLines, readRecords, temporaryLog } from "./support.ts"

/** What may not stand raw in a line: the class of design section 1, and JSON's own control characters. */
// oxlint-disable-next-line no-control-regex -- control characters are what it is about
const raw = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/

/** Appends values to a file one by one and then as a transaction, and compares what stands there with what went in. */
const verifyRoundTrip = Effect.fnUntraced(function*<S extends Schema.ConstraintCodec<unknown, unknown>>(
  schema: S & AuditLog.RecordSchema<S>,
  values: ReadonlyArray<S["Type"]>
) {
  class Log extends AuditLog.Service<Log>()("test/roundTrip", { schema }) {}
  const codec = Schema.toCodecJson<S>(schema)
  const path = yield* temporaryLog
  const inFile = Layer.provide(Log.layer, FileAppender.layer({ path, sizePolicy: SizePolicy.allow() }))
  const inMemory = yield* Layer.build(Layer.fresh(Log.layerTest))
  const append = Effect.fnUntraced(function*(log: AuditLog.AuditLog<S["Type"]>) {
    for (const value of values) yield* log.append(value)
    yield* log.appendAll(values)
  })
  yield* Effect.provide(Effect.flatMap(Log, append), inFile, { local: true })
  yield* append(Context.get(inMemory, Log))
  const test = Context.get(inMemory, Log.Test)
  const appended = [...values, ...values]

  const bytes = Fs.readFileSync(path)
  const text = bytes.toString()
  assert.isTrue(Buffer.from(text).equals(bytes), "the file is UTF-8")
  const lines = text.split("\n")
  assert.strictEqual(lines.length, appended.length + 1)
  assert.strictEqual(lines.pop(), "")
  for (const line of lines) {
    assert.notMatch(line, raw)
    const { head, hash } = /^(?<head>.*),"_hash":"(?<hash>[\w-]{43})"\}$/su.exec(line)!.groups!
    assert.strictEqual(hash, createHash("sha256").update(head!).digest("base64url"))
  }

  const expected = yield* Effect.forEach(appended, (value) => Schema.encodeEffect(codec)(value))
  const fieldsOf = (text: string): ReadonlyArray<string> => plainLines(text).map(({ record }) => JSON.stringify(record))
  assert.deepStrictEqual(fieldsOf(text), expected.map((json) => JSON.stringify(json)))
  assert.deepStrictEqual(fieldsOf(yield* test.text), fieldsOf(text))
  for (const [i, value] of (yield* test.records).entries()) {
    if (!Equal.equals(value, appended[i])) assert.deepStrictEqual(value, appended[i])
  }

  const records = yield* readRecords(path)
  assert.strictEqual(records.length, appended.length)
  for (const [i, record] of records.entries()) {
    // Equal.equals takes 0 and -0 for the same: JSON.stringify writes both as 0
    const decoded = yield* Schema.decodeUnknownEffect(codec)(record.fields)
    if (!Equal.equals(decoded, appended[i])) assert.deepStrictEqual(decoded, appended[i])
    assert.strictEqual(JSON.stringify(yield* Schema.encodeEffect(codec)(decoded)), JSON.stringify(expected[i]))
  }
})

const property = <S extends Schema.ConstraintCodec<unknown, unknown>>(
  name: string,
  schema: S & AuditLog.RecordSchema<S>,
  value: Arbitrary.Arbitrary<S["Type"]> = Arbitrary.schema(schema)
): void =>
  it.effect.prop(
    name,
    { values: Arbitrary.array(value, { minLength: 1, maxLength: 3 }) },
    ({ values }) => Effect.scoped(verifyRoundTrip(schema, values as ReadonlyArray<S["Type"]>)),
    { arbitrary: { runs: 40, seed: 20261123, size: 12 } }
  )

/** Text of any UTF-16 units: a third of them from the escaped class and its neighbours, a third surrogates. */
const unit = Arbitrary.schema(Schema.Union([
  Schema.Literals([0x7f, 0x85, 0x9b, 0x9f, 0x61c, 0x200b, 0x200f, 0x2028, 0x2029, 0x202e, 0x2060, 0x2069, 0xfeff]),
  Schema.Literals([0, 9, 10, 13, 31, 32, 34, 92, 126, 160, 0x2027, 0x202f, 0xfff8, 0xfff9, 0xfffb, 0xfffc, 0xffff]),
  Schema.Int.check(Schema.isBetween({ minimum: 0xd800, maximum: 0xdfff })),
  Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff }))
]))
const anyText = Arbitrary.map(Arbitrary.array(unit, { maxLength: 40 }), (units) => String.fromCharCode(...units))

/** An object with own keys, `__proto__` among them. */
const ownKeys = <A>(entries: ReadonlyArray<readonly [string, A]>): { readonly [key: string]: A } => {
  const object: { [key: string]: A } = {}
  for (const [key, value] of entries) {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
  }
  return object
}

const key = Arbitrary.schema(Schema.Union([
  Schema.Literals(["__proto__", "constructor", "toString", "hasOwnProperty", "", "0", "toJSON", "_tag", "prototype"]),
  Schema.String
]))

interface Tree {
  readonly name: string
  readonly children: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({
  name: Schema.String,
  children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
})

class Person extends Schema.Class<Person>("test/roundTrip/Person")({
  name: Schema.String,
  born: Schema.DateTimeUtcFromString
}) {}

describe("a record of any schema comes back from the file as it went in", () => {
  const Text = Schema.Struct({ text: Schema.String, list: Schema.Array(Schema.String) })
  property(
    "text of any UTF-16 units, lone surrogates and escaped characters",
    Text,
    Arbitrary.all({ text: anyText, list: Arbitrary.array(anyText, { maxLength: 3 }) })
  )

  property("text of Effect's own making", Text)

  property(
    "nested structs, arrays, tuples, optional keys and brands",
    Schema.Struct({
      id: Schema.NonEmptyString.pipe(Schema.brand("ActorId")),
      at: Schema.Struct({ line: Schema.Int, column: Schema.optionalKey(Schema.Int) }),
      maybe: Schema.optional(Schema.String),
      nothing: Schema.NullOr(Schema.Finite),
      pairs: Schema.Array(Schema.Tuple([Schema.String, Schema.Finite, Schema.Boolean])),
      nested: Schema.Array(Schema.Array(Schema.Struct({ deep: Schema.optionalKey(Schema.String) })))
    })
  )

  property(
    "dates, big integers, options, maps, sets, durations and bytes",
    Schema.Struct({
      date: Schema.DateFromString,
      utc: Schema.DateTimeUtcFromString,
      big: Schema.BigInt,
      option: Schema.Option(Schema.Struct({ n: Schema.Int })),
      map: Schema.ReadonlyMap(Schema.String, Schema.BigInt),
      set: Schema.ReadonlySet(Schema.String),
      duration: Schema.Duration,
      bytes: Schema.Uint8Array
    })
  )

  property(
    "tagged unions",
    Schema.TaggedUnion({
      LoggedIn: { actor: Schema.String, at: Schema.DateTimeUtcFromString },
      Changed: { rev: Schema.Natural, note: Schema.optionalKey(Schema.String) },
      Nothing: {}
    })
  )

  property("classes", Person)

  property("trees", Tree)

  property("records of JSON values", Schema.Record(Schema.String, Schema.Json))

  property(
    "records with keys that objects inherit, such as __proto__, at every level",
    Schema.Record(Schema.String, Schema.Record(Schema.String, Schema.Json)),
    Arbitrary.map(
      Arbitrary.array(Arbitrary.all([key, Arbitrary.array(Arbitrary.all([key, anyText]))]), { maxLength: 4 }),
      (entries) => ownKeys(entries.map(([key, inner]) => [key, ownKeys(inner)] as const))
    )
  )

  property(
    "structs with a rest of unknown JSON",
    Schema.StructWithRest(Schema.Struct({ fixed: Schema.Int }), [Schema.Record(Schema.String, Schema.Unknown)]),
    Arbitrary.map(
      Arbitrary.array(Arbitrary.all([key, Arbitrary.schema(Schema.Json)]), { maxLength: 4 }),
      (entries) => ownKeys<unknown>([["fixed", 1], ...entries]) as { readonly fixed: number }
    )
  )

  it.effect("an empty object, and a string of 100 KB of every kind of character", () =>
    Effect.gen(function*() {
      yield* verifyRoundTrip(Schema.Struct({}), [{}, {}])
      const long = Array.from({ length: 100_000 }, (_, i) => String.fromCharCode((i * 40_503) & 0xffff)).join("")
      yield* verifyRoundTrip(Schema.Struct({ long: Schema.String }), [{ long }, { long: "\u2028".repeat(100_000) }])
    }))
})
