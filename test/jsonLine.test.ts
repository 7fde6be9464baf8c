/**
 * The text of a record: what is escaped, what stays raw, and what is refused with which path.
 */
import { assert, describe, it } from "@effect/vitest"
import * as JsonLine from "../src/internal/jsonLine.ts"

/** The class of design section 1, written out a second time, so that a change of the source is noticed. */
const escapedRanges: ReadonlyArray<readonly [from: number, to: number]> = [
  [0x7f, 0x9f],
  [0x61c, 0x61c],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x2069],
  [0xfeff, 0xfeff],
  [0xfff9, 0xfffb]
]

/** What JSON itself escapes, lone surrogates included. */
const isJsonEscaped = (unit: number): boolean =>
  unit < 0x20 || unit === 0x22 || unit === 0x5c || (unit >= 0xd800 && unit <= 0xdfff)

const escapedUnits = escapedRanges.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i))

const allUnits = Array.from({ length: 0x10000 }, (_, unit) => unit)

const hex = (unit: number): string => `\\u${unit.toString(16).padStart(4, "0")}`

describe("escaping", () => {
  it("writes every character of the class as \\u and four lower-case digits, in values and in keys", () => {
    assert.strictEqual(escapedUnits.length, 33 + 1 + 5 + 7 + 10 + 1 + 3)
    for (const unit of escapedUnits) {
      const text = `a${String.fromCharCode(unit)}b`
      assert.strictEqual(JsonLine.stringify(text), `"a${hex(unit)}b"`)
      assert.strictEqual(JsonLine.stringify({ [text]: [text] }), `{"a${hex(unit)}b":["a${hex(unit)}b"]}`)
    }
  })

  it("leaves every other character of the basic plane as JSON.stringify writes it", () => {
    const inClass = new Set(escapedUnits)
    const different = allUnits.filter((unit) => {
      const char = String.fromCharCode(unit)
      return !inClass.has(unit) &&
        JsonLine.stringify(char) !== (isJsonEscaped(unit) ? JSON.stringify(char) : `"${char}"`)
    })
    assert.deepStrictEqual(different, [])
  })

  it("loses nothing: every UTF-16 unit parses back, lone surrogates too", () => {
    for (let unit = 0; unit <= 0xffff; unit++) {
      const text = `${String.fromCharCode(unit)}x${String.fromCharCode(unit, unit)}`
      if (JSON.parse(JsonLine.stringify(text)) !== text) {
        assert.fail(`U+${unit.toString(16)} is not the same afterwards`)
      }
    }
  })

  it("writes a lone surrogate as an escape, and a pair raw", () => {
    assert.strictEqual(JsonLine.stringify("\ud83d"), "\"\\ud83d\"")
    assert.strictEqual(JsonLine.stringify("\ude00\ud83d"), "\"\\ude00\\ud83d\"")
    assert.strictEqual(JsonLine.stringify("\u{1f600}"), "\"\u{1f600}\"")
    assert.strictEqual(Buffer.byteLength(JsonLine.stringify("\u{1f600}")), 6)
  })

  it("escapes every one of several characters, also after a text without any", () => {
    assert.strictEqual(JsonLine.stringify("plain"), "\"plain\"")
    assert.strictEqual(JsonLine.stringify("\u202ea\u2028b\u2029\ufeff"), "\"\\u202ea\\u2028b\\u2029\\ufeff\"")
    assert.strictEqual(JsonLine.stringify("\u202e"), "\"\\u202e\"")
  })

  it("keeps an escape that the text itself spells out", () => {
    const spelled = "\\u2028 and \\\\u2028"
    assert.strictEqual(JsonLine.stringify(spelled), "\"\\\\u2028 and \\\\\\\\u2028\"")
    assert.strictEqual(JSON.parse(JsonLine.stringify(spelled)), spelled)
    assert.strictEqual(JSON.parse(JsonLine.stringify("\\\u2028")), "\\\u2028")
  })
})

const nested = (depth: number): unknown => {
  let value: unknown = {}
  for (let i = 1; i < depth; i++) value = i % 2 === 0 ? { k: value } : [value]
  return value
}

const sparse: Array<unknown> = [0]
sparse[2] = 2

const cycle: Record<string, unknown> = {}
cycle["self"] = cycle

class Point {
  readonly x = Number.NaN
}

const refused: ReadonlyArray<readonly [name: string, value: unknown, path: ReadonlyArray<string | number>, RegExp]> = [
  ["NaN", { a: [1, { b: Number.NaN }] }, ["a", 1, "b"], /^NaN is not a JSON number$/],
  ["Infinity", { a: Number.POSITIVE_INFINITY }, ["a"], /^Infinity is not/],
  ["-Infinity", [Number.NEGATIVE_INFINITY], [0], /^-Infinity is not/],
  ["undefined in an object", { a: { b: undefined } }, ["a", "b"], /^undefined is not a JSON value; leave the key out$/],
  ["undefined in an array", { a: [null, undefined] }, ["a", 1], /^undefined is not/],
  ["a hole of a sparse array", { a: sparse }, ["a", 1], /^undefined is not/],
  ["a function", { a: () => 1 }, ["a"], /^a function is not/],
  ["a class", { a: Point }, ["a"], /^a function is not/],
  ["a symbol", { a: Symbol("s") }, ["a"], /^a symbol is not/],
  ["a BigInt", { a: { b: [10n] } }, ["a", "b", 0], /^a BigInt is not a JSON value; encode it as a string$/],
  ["a Date", { a: new Date(0) }, ["a"], /^a Date is not/],
  ["an invalid Date", { a: new Date(Number.NaN) }, ["a"], /^a Date is not/],
  ["a Map", { a: [new Map([["k", 1]])] }, ["a", 0], /^a Map is not/],
  ["a Set", { a: new Set([1]) }, ["a"], /^a Set is not/],
  ["a RegExp", { a: /x/ }, ["a"], /^a RegExp is not/],
  ["an Error", { a: new Error("x") }, ["a"], /^a Error is not/],
  ["bytes", { a: new Uint8Array(2) }, ["a"], /^a Uint8Array is not/],
  ["a boxed string", { a: Object("x") }, ["a"], /^a String is not/],
  ["a boxed number", { a: Object(Number.NaN) }, ["a"], /^a Number is not/],
  ["a promise", { a: Promise.resolve(1) }, ["a"], /^a Promise is not/],
  ["an object with toJSON", { a: { toJSON: () => 1 } }, ["a"], /^an object with a toJSON method is not/],
  ["an instance that holds NaN", { a: new Point() }, ["a", "x"], /^NaN is not/]
]

describe("refusal", () => {
  for (const [name, value, path, problem] of refused) {
    it(`names the place of ${name}`, () => {
      const fault = JsonLine.findFault(value)
      assert.deepStrictEqual(fault?.path, path)
      assert.match(fault?.problem ?? "", problem)
    })
  }

  it("names the place of a bad value under the own key __proto__", () => {
    const value = JSON.parse("{\"a\":{\"__proto__\":{}}}") as { a: object }
    Object.defineProperty(value.a, "__proto__", { value: { b: [Number.NaN] }, enumerable: true })
    assert.deepStrictEqual(JsonLine.findFault(value)?.path, ["a", "__proto__", "b", 0])
  })

  it("reports the first fault in the order in which the text would be written", () => {
    assert.deepStrictEqual(JsonLine.findFault({ a: { b: [undefined, Number.NaN] }, c: 1n })?.path, ["a", "b", 0])
    assert.deepStrictEqual(JsonLine.findFault({ a: { fine: 1 }, c: 1n })?.path, ["c"])
  })

  it("admits 64 levels of nesting and refuses 65, with the path of the 65th", () => {
    assert.isUndefined(JsonLine.findFault(nested(64)))
    const fault = JsonLine.findFault(nested(65))
    assert.strictEqual(fault?.path.length, 64)
    assert.match(fault?.problem ?? "", /^nested deeper than 64 levels$/)
    assert.deepStrictEqual(
      fault?.path,
      Array.from({ length: 64 }, (_, i) => (64 - i) % 2 === 0 ? "k" : 0)
    )
  })

  it("refuses a cycle, and nesting that would exhaust the stack, instead of running into it", () => {
    const fault = JsonLine.findFault(cycle)
    assert.deepStrictEqual(fault?.path, Array.from({ length: 64 }, () => "self"))
    assert.match(fault?.problem ?? "", /^nested deeper/)
    assert.match(JsonLine.findFault(nested(100_000))?.problem ?? "", /^nested deeper/)
  })

  it("admits whatever JSON can hold", () => {
    const shared = { x: 1 }
    for (
      const value of [
        {},
        [],
        "",
        0,
        null,
        true,
        5e-324,
        -1.7976931348623157e308,
        { a: [[], {}, null, [false]], "": { "": "" }, b: shared, c: [shared, shared] },
        Object.assign(Object.create(null), { a: 1 }),
        JSON.parse("{\"__proto__\":{\"__proto__\":1}}")
      ]
    ) {
      assert.isUndefined(JsonLine.findFault(value))
      assert.deepStrictEqual(JSON.parse(JsonLine.stringify(value)), JSON.parse(JSON.stringify(value)))
    }
  })

  it("keeps __proto__ as an own key", () => {
    const text = "{\"__proto__\":{\"a\":{\"__proto__\":1}}}"
    assert.strictEqual(JsonLine.stringify(JSON.parse(text)), text)
  })
})
