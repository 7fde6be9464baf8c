/**
 * Conditions: what they find, and what is said about a bad one.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { type LogEntry, Query } from "../src/index.ts"

const now = Date.parse("2026-11-23T12:00:00.000Z")

const place = { file: "audit.jsonl", offset: 0, length: 1, line: 1 }

const record = (fields: LogEntry.AuditRecord["fields"], stamp: Partial<LogEntry.AuditRecord["stamp"]> = {}) => ({
  _tag: "Record",
  ...place,
  id: "",
  text: "",
  verified: true,
  fields,
  stamp: { v: 1, writer: "01JDAWK6GQ3T9V4N2RZ8X5YB7C", seq: 41, at: "2026-11-23T09:15:02.114Z", ...stamp }
} as const)

const foreign = (value: LogEntry.Foreign["value"]) => ({ _tag: "Foreign", ...place, value, text: "" } as const)

const matches = (query: Query.Query, entry: Parameters<Query.Predicate>[0]): boolean =>
  Result.getOrThrow(Query.make(query, now))(entry)

const where = (text: string, fields: LogEntry.AuditRecord["fields"]): boolean =>
  matches({ where: [text] }, record(fields))

const sample = {
  _tag: "RoleGranted",
  tag: "own",
  actor: "ada",
  amount: 100,
  text: "two words",
  digits: "7",
  user: { id: 7, "a.b": { "c d": "deep" } },
  roles: ["admin", "user"],
  lines: [{ sku: "x", n: 1 }, { sku: "y", n: 5 }],
  ok: true,
  none: null,
  empty: "",
  path: "C:\\dir",
  day: "2026-11-23"
}

const found: ReadonlyArray<string> = [
  "actor=ada",
  "actor!=bob",
  "actor = ada",
  " actor=ada  amount=100 ",
  "amount=100",
  "amount=1e2",
  "amount>=100",
  "amount<=100.0",
  "amount>99",
  "amount<1000",
  "amount!=\"100\"",
  "amount~^1",
  "digits=7",
  "digits=\"7\"",
  "digits!=07",
  "user.id=7",
  "user.\"a.b\".'c d'=deep",
  "text=\"two words\"",
  "text='two words'",
  "text~\"^two\\sw\"",
  "text!~three",
  "tag=RoleGranted",
  "tag~^Role",
  "\"tag\"=own",
  "_tag=RoleGranted",
  "roles=user",
  "roles!=nobody",
  "roles.0=admin",
  "lines.sku=y",
  "lines.n>4",
  "ok=true",
  "none=null",
  "empty=\"\"",
  "path=\"C:\\\\dir\"",
  "path=C:\\dir",
  "absent!=1",
  "absent!~x",
  "day>=2026-11",
  "day<2027",
  "_audit.seq>=41",
  "_audit.writer=01JDAWK6GQ3T9V4N2RZ8X5YB7C"
]

const notFound: ReadonlyArray<string> = [
  "actor=bob",
  "actor!=ada",
  "actor=ada amount>100",
  "amount>100",
  "amount=\"100\"",
  "amount>abc",
  "amount=abc",
  "ok>0",
  "ok=\"true\"",
  "none=0",
  "actor=Ada",
  "roles!=user",
  "roles=root",
  "lines.n>5",
  "absent=1",
  "absent>=0",
  "absent~.*",
  "user=7",
  "user.id.x=7",
  "actor.length=3",
  "constructor~.*",
  "_audit.tx.id~.",
  "_hash~."
]

describe("a condition", () => {
  for (const text of found) it(`${text} finds the record`, () => assert.isTrue(where(text, sample)))
  for (const text of notFound) it(`${text} does not find it`, () => assert.isFalse(where(text, sample)))

  it("and others, in one text or several, must all hold", () => {
    assert.isTrue(matches({ where: ["actor=ada", "amount>=100 tag~^Role"] }, record(sample)))
    assert.isFalse(matches({ where: ["actor=ada", "amount>=101 tag~^Role"] }, record(sample)))
    assert.isTrue(matches({}, record(sample)))
  })

  it("is asked of foreign lines too, which have no stamp", () => {
    assert.isTrue(matches({ where: ["n=1"] }, foreign({ n: 1 })))
    assert.isFalse(matches({ where: ["_audit.seq>=0"] }, foreign({ n: 1, _audit: { seq: 1 } })))
  })
})

const bad: ReadonlyArray<readonly [text: string, character: number, problem: RegExp]> = [
  ["", 1, /^expected the name of a field, the text ends here$/],
  ["=ada", 1, /^expected the name of a field, found "="$/],
  ["actor", 6, /^expected one of = != < <= > >= ~ !~ after the field, the text ends here$/],
  ["actor:ada", 6, /after the field, found ":"$/],
  ["actor=", 7, /^expected a value, the text ends here; the empty text is ""$/],
  ["user.=7", 6, /^expected the name of a field, found "="$/],
  ["actor=\"ada", 7, /^this quote is never closed$/],
  ["\"actor=ada", 1, /^this quote is never closed$/],
  ["actor=\"ada\"x", 12, /^expected a space after the quoted value, found "x"$/],
  ["text=two words", 15, /after the field, the text ends here; a value with spaces needs quotes$/],
  ["tag~(", 5, /^not a regular expression: .*Unterminated group/],
  ["tag~[z-a] actor=x", 5, /^not a regular expression: .*out of order/],
  ["a=1 😀=2", 5, /^expected the name of a field, found "😀"$/]
]

describe("a bad condition", () => {
  for (const [text, character, problem] of bad) {
    it(`${JSON.stringify(text)} points at character ${character}`, () => {
      const made = Query.make({ where: ["actor=ada", text] }, now)
      assert(Result.isFailure(made), "it was understood")
      assert.strictEqual(made.failure.part, "where")
      assert.strictEqual(made.failure.text, text)
      assert.strictEqual(made.failure.offset + 1, character)
      assert.match(made.failure.problem, problem)
      assert.include(made.failure.message, `character ${character}: `)
    })
  }
})

describe("a time", () => {
  const at = (text: string) => matches({ since: text }, record({}))
  it.each([
    "2026-11-23T09:15:02.114Z",
    "2026-11-23T10:15:02.114+01:00",
    "2026-11-23t09:15z",
    "2026-11-23",
    "2.75 hours",
    "3h",
    "1 day ago",
    "1w",
    "0001-01-01"
  ])("%s is not after the record", (text) => {
    assert.isTrue(at(text))
    assert.isFalse(matches({ until: text }, record({})))
  })
  it.each(["2026-11-23T09:15:02.115Z", "2026-11-23T09:16:00Z", "2 hours", "90 m", "1 s", "500ms", "9999-12-31"])(
    "%s is after the record",
    (text) => {
      assert.isFalse(at(text))
      assert.isTrue(matches({ until: text }, record({})))
    }
  )
  it.each([
    ["yesterday", /expected a time such as/],
    ["2026-02-30", /there is no such time/],
    ["2026-11-23T25:00:00Z", /there is no such time/],
    ["2026-11-23T09:15:02", /needs its zone/],
    ["2 months", /expected a time such as/],
    ["99999999 weeks", /too long ago/],
    ["", /expected a time such as/]
  ])("%s is refused", (text, problem) => {
    for (const part of ["since", "until"] as const) {
      const made = Query.make({ [part]: text }, now)
      assert(Result.isFailure(made), "it was understood")
      assert.strictEqual(made.failure.part, part)
      assert.match(made.failure.problem, problem)
    }
  })
  it("is not what a foreign line has", () => {
    assert.isFalse(matches({ since: "1970-01-01" }, foreign({})))
    assert.isFalse(matches({ until: "9999-12-31" }, foreign({})))
  })
})

describe("a writer and a transaction", () => {
  const tx = { id: "01JDAWKA3M8EXT5S0C9N6V2PRH", i: 0, n: 2 }
  it("are found by their id or its end", () => {
    for (const writer of ["01JDAWK6GQ3T9V4N2RZ8X5YB7C", "X5YB7C", "x5yb7c"]) {
      assert.isTrue(matches({ writer }, record({})))
    }
    assert.isTrue(matches({ transaction: "v2prh" }, record({}, { tx })))
    assert.isFalse(matches({ writer: "V2PRH" }, record({}, { tx })))
    assert.isFalse(matches({ transaction: "V2PRH" }, record({})))
    assert.isFalse(matches({ writer: "C" }, foreign({})))
  })
  it("are refused where they can be none", () => {
    const offsetOf = (writer: string) => Result.getFailure(Query.make({ writer }, now))
    assert.deepInclude(offsetOf("01JDI"), {
      value: new Query.QueryError({
        part: "writer",
        text: "01JDI",
        offset: 4,
        problem: "an id has digits and letters only, without I, L, O and U"
      })
    })
    assert.strictEqual(Query.make({ writer: "0".repeat(27) }, now)._tag, "Failure")
    assert.strictEqual(Query.make({ transaction: "" }, now)._tag, "Failure")
  })
})

const runs = { arbitrary: { runs: 300 } }
const Scalar = Schema.Union([Schema.String, Schema.Finite, Schema.Boolean, Schema.Null])

/** A text as a quoted value. */
const quote = (text: string): string => `"${text.replaceAll(/["\\]/g, "\\$&")}"`

describe("for any text, field and value,", () => {
  it.effect.prop(
    "a condition is understood or points into its text",
    { text: Schema.String },
    ({ text }) =>
      Effect.sync(() => {
        const made = Query.make({ where: [text] }, now)
        if (Result.isFailure(made)) assert.isAtMost(made.failure.offset, text.length)
        else assert.isBoolean(made.success(record(sample)))
      }),
    runs
  )

  it.effect.prop(
    "a quoted value finds exactly that text, under any key",
    { key: Schema.String, value: Schema.String, other: Schema.String },
    ({ key, other, value }) =>
      Effect.sync(() => {
        if (key === "_audit") return
        const text = `${quote(key)}=${quote(value)}`
        const fields = Object.fromEntries([[key, value]])
        assert.isTrue(where(text, fields), text)
        assert.strictEqual(where(text, Object.fromEntries([[key, other]])), value === other, text)
        assert.isFalse(where(text, {}), text)
      }),
    runs
  )

  it.effect.prop("numbers compare as numbers", { a: Schema.Finite, b: Schema.Finite }, ({ a, b }) =>
    Effect.sync(() => {
      const holds = (operator: string) => where(`n${operator}${JSON.stringify(b)}`, { n: a })
      assert.deepStrictEqual(
        ["=", "!=", "<", "<=", ">", ">="].map(holds),
        [a === b, a !== b, a < b, a <= b, a > b, a >= b]
      )
    }), runs)

  it.effect.prop(
    "!= and !~ are the opposites of = and ~",
    { value: Scalar, text: Schema.String },
    ({ text, value }) =>
      Effect.sync(() => {
        for (const fields of [{ a: value }, { a: [value, 1] }, {}]) {
          for (const literal of [quote(text), "1", "true"]) {
            assert.notStrictEqual(where(`a=${literal}`, fields), where(`a!=${literal}`, fields))
          }
          assert.notStrictEqual(where("a~e", fields), where("a!~e", fields))
        }
      }),
    runs
  )

  it.effect.prop(
    "since and until divide the records at a time",
    { millis: Schema.Int },
    ({ millis }) =>
      Effect.sync(() => {
        const time = new Date(now + millis % 1e11)
        const text = time.toISOString()
        const other = record({}, { at: "2026-11-23T09:15:02.114Z" })
        assert.notStrictEqual(matches({ since: text }, other), matches({ until: text }, other))
        assert.isTrue(matches({ since: text }, record({}, { at: text })))
      }),
    runs
  )
})
