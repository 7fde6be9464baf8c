/**
 * A record and its line: exact bytes, sizes, and what a reader makes of every kind of damage.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Result } from "effect"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import { Codec, type HashChain } from "../src/index.ts"
import { readEntries, temporaryLog } from "./support.ts"

const writer = "01JD3V9GR0AAAAAAAAAAAAAAAA"
const at = "2026-11-23T09:15:02.114Z"
const hash = "h".repeat(43)

const encode = (json: unknown): Codec.Encoded => Result.getOrThrow(Codec.encode(json, { at, value: json }))

const refusal = (json: unknown) => Result.getOrThrow(Result.flip(Codec.encode(json, { at, value: json })))

const position: Codec.Position = {
  writer,
  seq: 0,
  prev: undefined,
  seen: undefined,
  tx: undefined,
  attempt: 0,
  key: undefined
}

const sealed = (head: string): string => `${head},"_hash":"${createHash("sha256").update(head).digest("base64url")}"}`

describe("encode", () => {
  it("gives the fields without braces, their bytes in UTF-8, and the record's tag", () => {
    const value = { original: true }
    const encoded = Codec.encode({ _tag: "RoleGranted", actor: "é\u2028" }, { at, trace: "t", value })
    assert.deepStrictEqual(
      encoded,
      Result.succeed({
        fields: "\"_tag\":\"RoleGranted\",\"actor\":\"é\\u2028\"",
        fieldsBytes: 39,
        at,
        trace: "t",
        tag: "RoleGranted",
        value,
        source: undefined
      })
    )
    assert.deepStrictEqual([encode({}).fields, encode({}).fieldsBytes, encode({}).tag], ["", 0, undefined])
    assert.isUndefined(encode({ _tag: 1 }).tag)
  })

  it("refuses what is not an object, and says what it is", () => {
    for (
      const [value, kind] of [
        [null, "null"],
        [[], "an array"],
        ["x", "a string"],
        [1, "a number"],
        [undefined, "a undefined"]
      ] as const
    ) {
      const { path, problem } = refusal(value)
      assert.deepStrictEqual(path, [])
      assert.strictEqual(problem, `a record must encode to a JSON object, not to ${kind}`)
    }
  })

  it("refuses the reserved keys at the top level alone, as own keys alone", () => {
    for (const key of ["_audit", "_hash"]) {
      assert.deepStrictEqual(refusal({ a: 1, [key]: null }).path, [key])
      assert.strictEqual(encode({ a: { [key]: 1 } }).fields, `"a":{"${key}":1}`)
      assert.strictEqual(encode(JSON.parse(`{"__proto__":{"${key}":1}}`)).fields, `"__proto__":{"${key}":1}`)
    }
  })
})

describe("head and seal", () => {
  it("write the stamp's fields in the order of the format, and leave out what is absent", () => {
    assert.strictEqual(
      Codec.seal(Codec.head(encode({ a: 1 }), position), hash),
      `{"_audit":{"v":1,"writer":"${writer}","seq":0,"at":"${at}"},"a":1,"_hash":"${hash}"}\n`
    )
    assert.strictEqual(
      Codec.seal(Codec.head(encode({}), position), hash),
      `{"_audit":{"v":1,"writer":"${writer}","seq":0,"at":"${at}"},"_hash":"${hash}"}\n`
    )
    assert.strictEqual(
      Codec.head({ ...encode({ a: 1 }), trace: "T" }, {
        writer,
        seq: 41,
        prev: "P",
        seen: "S",
        tx: { id: "X", i: 0, n: 3 },
        attempt: 1,
        key: "K"
      }),
      `{"_audit":{"v":1,"writer":"${writer}","seq":41,"at":"${at}","prev":"P","seen":"S",` +
        `"tx":{"id":"X","i":0,"n":3},"try":1,"trace":"T","key":"K"},"a":1`
    )
  })

  it("write the resync line of the format", () => {
    assert.strictEqual(
      Codec.seal(Codec.resyncHead(writer, undefined), hash),
      `{"_audit":{"v":1,"writer":"${writer}","resync":true},"_hash":"${hash}"}\n`
    )
    assert.strictEqual(Codec.resyncHead(writer, "k"), `{"_audit":{"v":1,"writer":"${writer}","resync":true,"key":"k"}`)
  })
})

describe("lineBytesMax", () => {
  const widest = (fields: string, key: string): number =>
    Buffer.byteLength(
      `{"_audit":{"v":1,"writer":"${"W".repeat(26)}","seq":9007199254740991,"at":"${at}",` +
        `"prev":"${hash}","seen":"${hash}","tx":{"id":"${"X".repeat(26)}","i":9999999,"n":9999999},"try":9,` +
        `"trace":"${"a".repeat(32)}-${"b".repeat(16)}"${key}}${fields},"_hash":"${hash}"}\n`
    )

  it("is the length of the widest line the record can become", () => {
    for (const json of [{}, { a: 1 }, { text: "é\u{1f600}漢\u2028\ud800" }, { é: ["é"] }]) {
      const { fields, fieldsBytes } = encode(json)
      const separated = fields === "" ? "" : `,${fields}`
      assert.strictEqual(Codec.lineBytesMax(fieldsBytes, undefined), widest(separated, ""))
      assert.strictEqual(Codec.lineBytesMax(fieldsBytes, "key-1"), widest(separated, ",\"key\":\"key-1\""))
    }
  })
})

describe("parse", () => {
  const line = Codec.head(encode({ a: "é", __proto__x: 1 }), position)
  const broken: ReadonlyArray<readonly [Codec.DamageKind, name: string, line: string | Uint8Array]> = [
    ["torn", "a record cut in its middle", sealed(line).slice(0, 100)],
    ["torn", "a record without its last byte", sealed(line).slice(0, -1)],
    ["torn", "a foreign object cut in its middle", "{\"a\":[1,"],
    ["glued", "a record after a fragment of another", sealed(line).slice(0, 60) + sealed(line)],
    ["glued", "a record after something else", `garbage${sealed(line)}`],
    [
      "glued",
      "a resync line after a fragment",
      sealed(line).slice(0, 90) + sealed(Codec.resyncHead(writer, undefined))
    ],
    ["nul", "NUL bytes in its middle", `${sealed(line).slice(0, 50)}\0\0\0${sealed(line).slice(53)}`],
    [
      "utf8",
      "a byte that is not UTF-8",
      Buffer.concat([Buffer.from("{\"a\":\""), Buffer.from([0xff]), Buffer.from("\"}")])
    ],
    ["utf8", "half of a character", Buffer.from(sealed(line)).subarray(0, Buffer.from(sealed(line)).indexOf(0xc3) + 1)],
    [
      "utf8",
      "a surrogate encoded as UTF-8",
      Buffer.concat([Buffer.from("{\"a\":\""), Buffer.from([0xed, 0xa0, 0x80])])
    ],
    ["notJson", "words", "hello"],
    ["notJson", "an object with a byte order mark in front", "\ufeff{\"a\":1}"],
    ["notObject", "an array", "[1]"],
    ["notObject", "a number", "1"],
    ["notObject", "null", "null"],
    ["stamp", "no stamp under _audit", "{\"_audit\":1,\"a\":1}"],
    ["stamp", "a stamp without a writer", "{\"_audit\":{\"v\":1}}"],
    ["stamp", "a writer that is no ULID", sealed(line).replace(writer, "i".repeat(26))],
    ["stamp", "a negative seq", sealed(line).replace("\"seq\":0", "\"seq\":-1")],
    ["stamp", "a time without milliseconds", sealed(line).replace(".114Z", "Z")],
    ["stamp", "a short prev", sealed(line).replace("\"at\"", "\"prev\":\"x\",\"at\"")],
    ["stamp", "no version", "{\"_audit\":{\"resync\":true}}"],
    ["version", "a newer version", "{\"_audit\":{\"v\":2,\"anything\":true}}"]
  ]

  for (const [kind, name, line] of broken) {
    it(`calls ${name} ${kind}`, () => {
      assert.deepStrictEqual(Codec.parse(Buffer.from(line)), { _tag: "Broken", kind })
    })
  }

  it("yields the stamp, and the fields without the two reserved keys, __proto__ as an own key", () => {
    const text = sealed(Codec.head(encode(JSON.parse("{\"__proto__\":{\"x\":1},\"b\":2}")), position))
    const parsed = Codec.parse(Buffer.from(text))
    assert(parsed._tag === "Record")
    assert.deepStrictEqual(parsed.stamp, { v: 1, writer, seq: 0, at })
    assert.deepStrictEqual(Object.keys(parsed.fields), ["__proto__", "b"])
    assert.strictEqual(JSON.stringify(parsed.fields), "{\"__proto__\":{\"x\":1},\"b\":2}")
    assert.strictEqual(parsed.text, text)
  })

  it("tells resync lines, foreign objects and blank lines from records", () => {
    assert.deepStrictEqual(Codec.parse(Buffer.from(sealed(Codec.resyncHead(writer, "k")))), {
      _tag: "Resync",
      key: "k"
    })
    const foreign = { _tag: "Foreign", value: { _hash: 1, a: [] }, text: "{\"_hash\":1,\"a\":[]}" }
    assert.deepStrictEqual(Codec.parse(Buffer.from(foreign.text)), foreign as Codec.Parsed)
    for (const blank of ["", " ", "\t\r", "\u3000"]) {
      assert.deepStrictEqual(Codec.parse(Buffer.from(blank)), { _tag: "Blank" })
    }
  })

  it("never throws, whatever the bytes", () => {
    const whole = Buffer.from(sealed(line))
    for (let end = 0; end < whole.length; end++) {
      const { _tag } = Codec.parse(whole.subarray(0, end))
      assert.strictEqual(_tag, end === 0 ? "Blank" : "Broken", `cut at ${end}`)
    }
    assert.deepStrictEqual(Codec.parse(Buffer.from("[".repeat(200_000))), { _tag: "Broken", kind: "notJson" })
  })
})

describe("trim, lastStart and unseal", () => {
  it("strip NULs at both ends and carriage returns at the end, nothing else", () => {
    const trim = (text: string): string => Buffer.from(Codec.trim(Buffer.from(text))).toString()
    assert.strictEqual(trim("\0\0{\"a\":1}\r\0\0"), "{\"a\":1}")
    assert.strictEqual(trim(" \r{\"a\":1} "), " \r{\"a\":1} ")
    assert.strictEqual(trim("\0\0"), "")
  })

  it("find the last place where a record begins after the line's start", () => {
    const one = sealed(Codec.head(encode({}), position))
    assert.strictEqual(Codec.lastStart(Buffer.from(one)), -1)
    assert.strictEqual(Codec.lastStart(Buffer.from(`é${one.slice(0, 50)}${one}`)), 52)
    assert.strictEqual(Codec.lastStart(Buffer.from("nothing")), -1)
  })

  it("cut the hash off a line's end, and only where it stands at the end", () => {
    const line = Buffer.from(`é{"a":1,"_hash":"${hash}"}`)
    assert.deepStrictEqual(Codec.unseal(line), { head: line.subarray(0, 8), hash })
    assert.isUndefined(Codec.unseal(line.subarray(0, -1)))
    assert.isUndefined(Codec.unseal(Buffer.from(`,"_hash":"${hash}"}`)), "nothing is in front of it")
    assert.isUndefined(Codec.unseal(Buffer.from("{}")))
  })
})

describe("a reader", () => {
  it.effect("yields every kind of damage as a value, with its place, and reads on behind it", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const good = sealed(Codec.head(encode({ n: 1 }), position))
      const keyed = sealed(
        Codec.head(encode({ n: 2 }), { ...position, writer: "01JD3V9GR0BBBBBBBBBBBBBBBB", key: "lost" })
      )
      const damaged: ReadonlyArray<readonly [Codec.DamageKind, string | Uint8Array]> = [
        ["torn", good.slice(0, 60)],
        ["glued", good.slice(0, 60) + good],
        ["nul", "{\"a\":\"\0\"}"],
        ["utf8", Buffer.from([0x7b, 0xff, 0x7d])],
        ["notJson", "words"],
        ["notObject", "[]"],
        ["stamp", "{\"_audit\":{}}"],
        ["version", "{\"_audit\":{\"v\":9}}"],
        ["hash", good.replace("\"n\":1", "\"n\":2")],
        ["key", keyed],
        ["tooLong", `{"a":"${"x".repeat(1000)}"}`]
      ]
      const lines = [...damaged.map(([, line]) => Buffer.from(line)), Buffer.from(good)]
      Fs.writeFileSync(path, Buffer.concat(lines.flatMap((line) => [line, Buffer.from("\n")])))
      const keys: ReadonlyArray<HashChain.Key> = [{ id: "other", secret: Redacted.make("s") }]
      const entries = yield* readEntries(path, { keys, lineBytesMax: 1000 })
      const starts = lines.map((_, i) => lines.slice(0, i).reduce((sum, line) => sum + line.length + 1, 0))
      assert.deepStrictEqual(
        entries.slice(0, -1).map((entry) =>
          entry._tag === "Damage" ? [entry.kind, entry.offset, entry.length, entry.line, entry.healed] : [entry._tag]
        ),
        damaged.map(([kind], i) => [kind, starts[i]!, lines[i]!.length, i + 1, false])
      )
      const last = entries.at(-1)!
      assert.deepStrictEqual([last._tag, last.offset], ["Record", starts.at(-1)!])
    }))
})
