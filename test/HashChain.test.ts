/**
 * The hash of a line and the chain of a writer. Hashes are computed a second time with `node:crypto`, and checked
 * against published test vectors.
 */
import { assert, describe, it } from "@effect/vitest"
import { Redacted, Result } from "effect"
import { createHash, createHmac } from "node:crypto"
import { Codec, HashChain } from "../src/index.ts"

const writer = "01JD3V9GR0AAAAAAAAAAAAAAAA"
const at = "2026-11-23T09:15:02.114Z"
const secret = "correct horse battery staple: 32+ bytes"
const key: HashChain.Key = { id: "k1", secret: Redacted.make(secret) }
const plain = HashChain.digest(undefined)

const record = (json: unknown, trace?: string): Codec.Encoded =>
  Result.getOrThrow(Codec.encode(json, { at, trace, value: json }))

const start: HashChain.Head = { writer, seq: 0, prev: undefined }

const linked = (records: ReadonlyArray<unknown>, options: Partial<Parameters<typeof HashChain.link>[2]> = {}) =>
  HashChain.link(start, { id: "01JD3V9GR0TTTTTTTTTTTTTTTT", records: records.map((json) => record(json)) }, {
    seen: undefined,
    attempt: 0,
    key: undefined,
    digest: plain,
    ...options
  })

const sha256 = (text: string): string => createHash("sha256").update(text).digest("base64url")

const bytesOf = (line: HashChain.Line): Buffer => Buffer.from(line.text.slice(0, -1))

describe("digest", () => {
  it("is SHA-256 in base64url without padding (vectors of FIPS 180-2)", () => {
    const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert.strictEqual(plain("abc"), Buffer.from(abc, "hex").toString("base64url"))
    assert.strictEqual(plain(""), "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU")
    assert.strictEqual(plain(Buffer.from("abc")), plain("abc"))
    assert.strictEqual(plain("é"), createHash("sha256").update(Buffer.from([0xc3, 0xa9])).digest("base64url"))
  })

  it("is HMAC-SHA-256 with a key (vector of RFC 4231), from text and from bytes", () => {
    const expected = Buffer.from("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", "hex")
      .toString("base64url")
    for (const secret of [Redacted.make("Jefe"), Redacted.make(Buffer.from("Jefe"))]) {
      const keyed = HashChain.digest({ id: "k", secret })
      assert.strictEqual(keyed("what do ya want for nothing?"), expected)
      assert.strictEqual(keyed(Buffer.from("what do ya want for nothing?")), expected)
    }
  })
})

describe("link", () => {
  it("writes the exact bytes of a first record", () => {
    const { head, lines } = linked([{ _tag: "RoleGranted", actor: "ada" }])
    const before = `{"_audit":{"v":1,"writer":"${writer}","seq":0,"at":"${at}"},"_tag":"RoleGranted","actor":"ada"`
    assert.strictEqual(lines[0]!.text, `${before},"_hash":"${sha256(before)}"}\n`)
    assert.deepStrictEqual(head, { writer, seq: 1, prev: sha256(before) })
    assert.deepStrictEqual([lines[0]!.seq, lines[0]!.hash], [0, sha256(before)])
  })

  it("links each record to the one before it, within a transaction and across calls", () => {
    const first = linked([{ a: 1 }])
    const options = { seen: "s".repeat(43), attempt: 2, key: undefined, digest: plain }
    const id = "01JD3V9GR0TTTTTTTTTTTTTTTT"
    const second = HashChain.link(first.head, { id, records: [record({ b: 2 }, "t"), record({})] }, options)
    const stamp = (seq: number, prev: string, i: number, trace: string): string =>
      `{"_audit":{"v":1,"writer":"${writer}","seq":${seq},"at":"${at}","prev":"${prev}","seen":"${"s".repeat(43)}",` +
      `"tx":{"id":"${id}","i":${i},"n":2},"try":2${trace}}`
    const one = `${stamp(1, first.lines[0]!.hash, 0, ",\"trace\":\"t\"")},"b":2`
    const two = stamp(2, sha256(one), 1, "")
    assert.deepStrictEqual(second.lines.map((line) => line.text), [
      `${one},"_hash":"${sha256(one)}"}\n`,
      `${two},"_hash":"${sha256(two)}"}\n`
    ])
    assert.deepStrictEqual(second.head, { writer, seq: 3, prev: sha256(two) })
  })

  it("marks a transaction only where there is more than one record, and returns the head unchanged for none", () => {
    assert.notProperty(JSON.parse(linked([{ a: 1 }]).lines[0]!.text)._audit, "tx")
    const three = linked([{}, {}, {}]).lines.map((line) => JSON.parse(line.text)._audit.tx)
    assert.deepStrictEqual(three, [0, 1, 2].map((i) => ({ id: "01JD3V9GR0TTTTTTTTTTTTTTTT", i, n: 3 })))
    assert.deepStrictEqual(linked([]), { lines: [], head: start })
  })

  it("counts the bytes of each line in UTF-8, with the newline", () => {
    for (const value of ["", "ascii", "é", "\u2028", "\u{1f600}\u{1f600}", "\ud800", "漢字"]) {
      const [line] = linked([{ value, [value]: 1 }]).lines
      assert.strictEqual(line!.bytes, Buffer.byteLength(line!.text))
    }
  })

  it("names the key in the stamp and authenticates with it", () => {
    const [line] = linked([{ a: 1 }], { key: "k1", digest: HashChain.digest(key) }).lines
    const before = `{"_audit":{"v":1,"writer":"${writer}","seq":0,"at":"${at}","key":"k1"},"a":1`
    const mac = createHmac("sha256", secret).update(before).digest("base64url")
    assert.strictEqual(line!.text, `${before},"_hash":"${mac}"}\n`)
  })

  it("gives another attempt of the same record another hash", () => {
    assert.notStrictEqual(linked([{ a: 1 }]).lines[0]!.hash, linked([{ a: 1 }], { attempt: 1 }).lines[0]!.hash)
  })
})

describe("resync", () => {
  it("writes the exact bytes of a resync line, with and without a key", () => {
    const before = `{"_audit":{"v":1,"writer":"${writer}","resync":true}`
    assert.strictEqual(HashChain.resync(writer, undefined, plain), `${before},"_hash":"${sha256(before)}"}\n`)
    const keyed = `{"_audit":{"v":1,"writer":"${writer}","resync":true,"key":"k1"}`
    const mac = createHmac("sha256", secret).update(keyed).digest("base64url")
    assert.strictEqual(HashChain.resync(writer, "k1", HashChain.digest(key)), `${keyed},"_hash":"${mac}"}\n`)
  })
})

describe("check", () => {
  const digests = HashChain.digests([key])
  const [plainLine] = linked([{ a: "é" }]).lines
  const [keyedLine] = linked([{ a: 1 }], { key: "k1", digest: HashChain.digest(key) }).lines

  it("accepts what link has written", () => {
    assert.strictEqual(HashChain.check(bytesOf(plainLine!), undefined, digests), "ok")
    assert.strictEqual(HashChain.check(bytesOf(keyedLine!), "k1", digests), "ok")
  })

  it("does not accept a line in which any single byte is flipped, whatever a reader makes of it", () => {
    for (const line of [bytesOf(plainLine!), bytesOf(keyedLine!)]) {
      for (let i = 0; i < line.length; i++) {
        const altered = Buffer.from(line)
        altered[i]! ^= 1
        const parsed = Codec.parse(altered)
        const verdict = parsed._tag === "Record" ? HashChain.check(altered, parsed.stamp.key, digests) : parsed._tag
        // Without its stamp it is a foreign line: that no record is missing then is for the chain to say.
        assert.notStrictEqual(verdict, "ok", `byte ${i} (${String.fromCharCode(altered[i]!)})`)
      }
    }
  })

  it("takes a keyed line for plain only if it says so, and never with the hash of the other", () => {
    assert.strictEqual(HashChain.check(bytesOf(keyedLine!), undefined, digests), "hash")
    assert.strictEqual(HashChain.check(bytesOf(plainLine!), "k1", digests), "hash")
    const wrong = HashChain.digests([{ id: "k1", secret: Redacted.make("another secret") }])
    assert.strictEqual(HashChain.check(bytesOf(keyedLine!), "k1", wrong), "hash")
  })

  it("says that it does not know a key, and that a line has no hash at its end", () => {
    assert.strictEqual(HashChain.check(bytesOf(keyedLine!), "k1", HashChain.digests()), "key")
    assert.strictEqual(HashChain.check(bytesOf(keyedLine!), "k2", digests), "key")
    assert.strictEqual(HashChain.check(Buffer.from("{\"a\":1}"), undefined, digests), "hash")
    assert.strictEqual(HashChain.check(bytesOf(plainLine!).subarray(0, -1), undefined, digests), "hash")
    assert.strictEqual(
      HashChain.check(Buffer.concat([bytesOf(plainLine!), Buffer.from(" ")]), undefined, digests),
      "hash"
    )
  })
})

describe("keyIdPattern", () => {
  it("admits 1 to 64 plain characters, which need no escape in a stamp", () => {
    for (const id of ["a", "2026-11.key_A", "x".repeat(64)]) assert.match(id, HashChain.keyIdPattern)
    for (const id of ["", "x".repeat(65), "a\"b", "a b", "é", "a\n"]) assert.notMatch(id, HashChain.keyIdPattern)
  })
})
