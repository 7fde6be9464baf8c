/**
 * The format, from three sides: golden files that the library must go on writing byte for byte, what its reader makes of
 * them, and a second implementation in Python that checks golden and freshly written logs.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as Fs from "node:fs"
import type { AuditError, FileAppender, LogReader } from "../src/index.ts"
import { ada, bob, characters, golden, goldenKey } from "./fixtures/make.ts"
import { granted, openFileLog, readEntries, run, temporaryLog, testFile } from "./support.ts"

const goldenSecret = `${goldenKey.id}=${Redacted.value(goldenKey.secret) as string}`
const plainFile = testFile("fixtures/log-v1-plain.jsonl")
const hmacFile = testFile("fixtures/log-v1-hmac.jsonl")

interface Report {
  readonly code: number | null
  readonly records: number
  readonly foreign: number
  readonly resyncs: number
  readonly healed: number
  readonly committed: number
  readonly transactions: number
  readonly faults: Array<string>
}

/** What the checker in Python says of a log. */
const checkLog = (path: string, ...keys: ReadonlyArray<string>): Effect.Effect<Report> =>
  Effect.promise(async () => {
    const { code, stderr, stdout } = await run("python3", [testFile("fixtures/check_log.py"), path, ...keys])
    assert.strictEqual(stderr, "")
    return { code, ...JSON.parse(stdout) }
  })

const goldenReport: Report = {
  code: 0,
  faults: [],
  records: 11,
  foreign: 1,
  resyncs: 1,
  healed: 1,
  committed: 10,
  transactions: 1
}

const transactionAgain = (i: number) => ({ tx: { id: "01JD3V9GR0TTTTTTTTTTTTTTTT", i, n: 3 }, try: 1 })

/** The entries of log-v1-plain.jsonl: tag, offset, length, line number, and what it says. */
const expected: Array<ReadonlyArray<unknown>> = [
  ["Record", 0, 200, 1, `${ada}:0`, {}, { _tag: "RoleGranted", actor: "ada", role: "admin" }],
  ["Record", 201, 254, 2, `${ada}:1`, {}, { _tag: "RoleGranted", actor: "bob", role: "reader" }],
  ["Record", 456, 235, 3, `${bob}:0`, {}, { _tag: "LoggedIn", actor: "bob" }],
  ["Foreign", 692, 55, 4, { source: "atomic_append_jsonl", n: 1, text: "é" }],
  ["Damage", 1067, 274, 6, "glued", true],
  ["Record", 1342, 326, 7, `${ada}:2`, transactionAgain(0), { step: 1 }],
  ["Record", 1669, 376, 8, `${ada}:3`, transactionAgain(1), { step: 2, note: "éééééééééééééééééééé" }],
  ["Record", 2046, 326, 9, `${ada}:4`, transactionAgain(2), { step: 3 }],
  ["Record", 2373, 279, 10, `${ada}:5`, { trace: "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331" }, {
    _tag: "Traced"
  }],
  ["Record", 2778, 203, 12, `${ada}:6`, {}, {}],
  ["Record", 2983, 578, 14, `${bob}:1`, {}, characters],
  [
    "Record",
    3562,
    264,
    15,
    `${bob}:2`,
    {},
    JSON.parse("{\"__proto__\":{\"__proto__\":[]},\"n\":[0,-1.5,1e21,true,null,{}]}")
  ]
]

const summary = (entry: LogReader.Entry): ReadonlyArray<unknown> => {
  if (!("line" in entry)) return [entry._tag]
  const place = [entry._tag, entry.offset, entry.length, entry.line]
  if (entry._tag === "Foreign") return [...place, entry.value]
  if (entry._tag === "Damage") return [...place, entry.kind, entry.healed]
  if (entry._tag !== "Record") return place
  const { at: _at, key: _key, prev: _prev, seen: _seen, seq, v, writer, ...rest } = entry.stamp
  assert.deepStrictEqual([v, `${writer}:${seq}`], [1, entry.id])
  return [...place, entry.id, rest, entry.fields]
}

describe("the golden files", () => {
  it("are what the library writes, byte for byte", () => {
    for (const [name, text] of Object.entries(golden)) {
      assert.strictEqual(Buffer.from(text).compare(Fs.readFileSync(testFile(`fixtures/${name}`))), 0, name)
    }
  })

  it.effect("are read as exactly the expected entries", () =>
    Effect.gen(function*() {
      const entries = yield* readEntries(plainFile)
      assert.deepStrictEqual(entries.map(summary), expected)
      const bytes = Fs.readFileSync(plainFile)
      for (const entry of entries) {
        if (entry._tag !== "Record") continue
        assert.strictEqual(bytes.subarray(entry.offset, entry.offset + entry.length).toString(), entry.text)
        assert.isTrue(entry.verified)
      }
      const stamps = entries.flatMap((entry) => entry._tag === "Record" ? [entry.stamp] : [])
      assert.deepStrictEqual(stamps.slice(0, 3).map((stamp) => stamp.at), [
        "2026-11-23T09:15:02.114Z",
        "2026-11-23T09:15:03.115Z",
        "2026-11-23T09:15:04.116Z"
      ])
      assert.deepStrictEqual(
        stamps.slice(0, 3).map((stamp) => [stamp.prev, stamp.seen]),
        [
          [undefined, undefined],
          ["BFugundGwqTj9RTrBLqaVuIie5heTFXlpR3l-hjXabI", undefined],
          [undefined, "uk_zGchh0rryCzGAw3pmUNSg8W8oE1bS5w4cG14RHfo"]
        ]
      )
    }))

  it.effect("with an HMAC are verified with the key, unverified without, damage with a wrong one", () =>
    Effect.gen(function*() {
      const tags = (entries: ReadonlyArray<LogReader.Entry>): ReadonlyArray<unknown> =>
        entries.map((entry) =>
          entry._tag === "Record" ? entry.verified : entry._tag === "Damage" ? entry.kind : entry._tag
        )
      const pattern = (verified: boolean) =>
        expected.map(([tag]) => tag === "Record" ? verified : tag === "Damage" ? "glued" : tag)
      assert.deepStrictEqual(tags(yield* readEntries(hmacFile, { keys: [goldenKey] })), pattern(true))
      assert.deepStrictEqual(tags(yield* readEntries(hmacFile)), pattern(false))
      const wrong = { id: goldenKey.id, secret: Redacted.make("wrong") }
      const other = { id: "other", secret: goldenKey.secret }
      for (const [key, kind] of [[wrong, "hash"], [other, "key"]] as const) {
        const kinds = tags(yield* readEntries(hmacFile, { keys: [key] })).filter((tag) => tag !== "Foreign")
        assert.deepStrictEqual(new Set(kinds), new Set([kind, "glued"]))
        // a resync line whose key is not known cannot be checked; it hides nothing
        assert.strictEqual(kinds.length, kind === "hash" ? 13 : 12)
      }
    }))
})

describe("the checker in Python", () => {
  it.effect("finds the golden files sound, and nothing sound under a wrong key", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* checkLog(plainFile), goldenReport)
      assert.deepStrictEqual(yield* checkLog(hmacFile, goldenSecret), goldenReport)
      for (const keys of [[], [`${goldenKey.id}=wrong`]]) {
        const { code, records } = yield* checkLog(hmacFile, ...keys)
        assert.deepStrictEqual([code, records], [1, 0])
      }
    }))

  /** Three writers, one after the other and at once, foreign lines, and what a killed writer leaves. */
  const writeLog = Effect.fnUntraced(function*(options: Partial<FileAppender.Options> = {}) {
    const path = yield* temporaryLog
    const open = openFileLog({ ...options, path })
    const [a, b] = [(yield* open).log, (yield* open).log]
    yield* a.append(granted("first"))
    yield* b.appendAll(["one", "two", "three"].map(granted))
    yield* Effect.forEach(
      Array.from({ length: 40 }, (_, i) => i),
      (i): Effect.Effect<unknown, AuditError.AuditError> =>
        i % 4 === 0
          ? a.transaction(Effect.forEach([1, 2], (n) => a.append(granted(`tx ${i} ${n}`))))
          : [a, b][i % 2]!.append({ _tag: "Noted", text: `\u2028 é ${i}` }),
      { concurrency: "unbounded" }
    )
    Fs.appendFileSync(path, "{\"foreign\":true}\n{\"_audit\":{\"v\":1,\"writer\":\"01JD3V9GR0AAAA")
    const c = (yield* open).log
    yield* c.appendAll([granted("after the kill"), granted("once more")])
    yield* a.append(granted("last of a"))
    return path
  })

  for (const [name, key] of [["without a key", undefined], ["with a key", goldenKey]] as const) {
    it.effect(`finds a fresh log of several writers sound, ${name}`, () =>
      Effect.gen(function*() {
        const path = yield* writeLog({ key })
        const { resyncs, ...report } = yield* checkLog(path, goldenSecret)
        assert.deepStrictEqual([report.code, report.faults], [0, []])
        assert.deepStrictEqual([report.foreign, report.healed, resyncs], [1, 1, 0])
        assert.deepStrictEqual([report.records, report.committed], [57, 57])
        assert.strictEqual(report.transactions, 1 + 10 + 1)
        const entries = yield* readEntries(path, { keys: [goldenKey] })
        assert.strictEqual(entries.filter((entry) => entry._tag === "Record").length, report.committed)
      }))
  }

  const oneWriter = Effect.gen(function*() {
    const { log, path } = yield* openFileLog()
    yield* log.append(granted("first"))
    yield* log.appendAll([granted("one"), granted("two")])
    yield* log.append({ _tag: "Noted", text: "é\u2028" })
    yield* log.append(granted("last"))
    return { path, bytes: Fs.readFileSync(path) }
  })

  it.effect("finds a log with one flipped bit unsound, wherever the bit is", () =>
    Effect.gen(function*() {
      const { bytes, path } = yield* oneWriter
      // Not in the last line: that a writer's last record is gone, only a later link can show.
      const end = bytes.lastIndexOf(0x0a, -2)
      const flips = Array.from({ length: 60 }, (_, i) => ({ at: (i * 7919) % end, bit: i % 8 }))
      assert.strictEqual(new Set(flips.map(({ at }) => at)).size, 60)
      yield* Effect.forEach(flips, ({ at, bit }, i) =>
        Effect.gen(function*() {
          const altered = Buffer.from(bytes)
          altered[at]! ^= 1 << bit
          Fs.writeFileSync(`${path}.${i}`, altered)
          const { code, faults } = yield* checkLog(`${path}.${i}`)
          assert.strictEqual(code, 1, `bit ${bit} of byte ${at}`)
          assert.isNotEmpty(faults)
        }), { concurrency: 4 })
    }))

  it.effect("finds a log unsound with a line missing, twice, or cut", () =>
    Effect.gen(function*() {
      const { bytes, path } = yield* oneWriter
      const lines = bytes.toString().split(/(?<=\n)/)
      assert.strictEqual((yield* checkLog(path)).code, 0)
      const altered = {
        missing: lines.toSpliced(3, 1),
        "missing first": lines.slice(1),
        "missing part": lines.toSpliced(2, 1),
        twice: [...lines, lines[0]],
        cut: [lines.join("").slice(0, -1)]
      }
      for (const [name, text] of Object.entries(altered)) {
        Fs.writeFileSync(`${path}.altered`, text.join(""))
        assert.strictEqual((yield* checkLog(`${path}.altered`)).code, 1, name)
      }
    }))
})
