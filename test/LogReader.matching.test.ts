/**
 * Fast ways of reading give what the plain way gives: every line parsed and checked by itself, the answers filtered.
 * Logs of any kind are made from a seed; AUDITLOG_SEED replays one.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Result, Stream } from "effect"
import { createHash, randomInt } from "node:crypto"
import * as Fs from "node:fs"
import { LogReader, Query } from "../src/index.ts"
import { LineBuffer } from "../src/internal/lineBuffer.ts"
import { LogDecoder } from "../src/internal/logDecoder.ts"
import * as FaultyLog from "./faultyLog.ts"
import { temporaryLog } from "./support.ts"

const replayed = process.env["AUDITLOG_SEED"]
const base = replayed === undefined ? randomInt(1 << 28) : Number(replayed)
const seeds = (count: number): ReadonlyArray<number> =>
  Array.from({ length: replayed === undefined ? count : 1 }, (_, i) => base + i)

const rehash = (head: string): string => `${head},"_hash":"${createHash("sha256").update(head).digest("base64url")}"}\n`

/** Each log is asked one in so many of the queries. */
const queriesPart = 4

const actors = ["ada", "bob", "zoë", "a/b", `q"t`, "x\\y", "tab\t", "zero\u200bwidth", "12", "true", "日本", ""]
const numbers = [12, 7, 0, -12, 1.5, 120, 112, 1e21]
const spellings = [
  "12",
  "1.2e1",
  "12.0",
  "120e-1",
  "-12",
  "112",
  `"12"`,
  `["x",12]`,
  `{"n":12}`,
  "12.000000000000000001"
]

const queries: ReadonlyArray<Query.Query> = [
  ...[
    "actor=ada",
    "actor=zoë",
    `actor="a/b"`,
    `actor='q"t'`,
    `actor='x\\y'`,
    "actor=日本",
    `actor="zero\u200bwidth"`,
    "actor=12",
    "n=12",
    "n=12 actor=ada",
    "n=-12",
    "n=0",
    "user.n=7",
    "tags=ada",
    "actor~^ad",
    "actor~d",
    "actor~^tr",
    "n~12",
    "actor!=ada",
    "ok=true",
    "_audit.seq=3"
  ].map((where) => ({ where: [where] })),
  { where: ["actor=ada", "ok=true"] },
  { since: "2026-11-23T09:15:02.120Z", until: "2026-11-23T09:15:02.140Z" },
  { writer: "0000A" },
  { transaction: "00003" },
  { transaction: "00003", where: ["actor=ada"] }
]

/** A log of records, transactions, attempts that were cut off, other programs' lines, copies, forgeries and damage. */
const makeLog = (seed: number): Buffer => {
  const random = FaultyLog.generator(seed)
  const below = (end: number): number => Math.floor(random() * end)
  const pick = <A>(values: ReadonlyArray<A>): A => values[below(values.length)]!
  let ids = 0
  const id = (): string => `01JD${String(ids++).padStart(22, "0")}`
  const writers = Array.from(
    { length: 1 + below(3) },
    (_, i) => new FaultyLog.LineWriter(`01JD${"0".repeat(21)}${"ABC"[i]}`)
  )
  const lines: Array<string | Buffer> = []
  let rows = 0
  const taken: Array<{ readonly records: ReadonlyArray<unknown>; readonly sources: ReadonlyArray<string> }> = []
  const fields = (): unknown => ({
    _tag: "Seen",
    actor: pick(actors),
    ...(random() < 0.7 ? { n: pick(numbers) } : {}),
    ...(random() < 0.2 ? { user: { n: pick(numbers) }, tags: [pick(actors), pick(actors)] } : {}),
    ...(random() < 0.3 ? { ok: random() < 0.5 } : {})
  })
  const escaped = (text: string): string =>
    Array.from(text, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")
  const foreign = (): string =>
    pick([
      () => JSON.stringify(fields()),
      () => JSON.stringify(fields()).replaceAll(":", ": ").replaceAll(",", ", "),
      () => `{"actor":"${escaped(pick(["ada", "a/b", "zoë"]))}","n":${pick(spellings)}}`,
      () => `{"${escaped("actor")}":"ada","${escaped("n")}" : ${pick(spellings)}}`,
      () => `{"actor":"a\\/b","n" :${pick(spellings)},"n":${pick(spellings)}}`,
      () => `{"n":${pick(spellings)},"user":{"n":${pick(spellings)}},"tags":[["ada"],"${escaped("ada")}"]}`,
      () => pick(["", " ", "[]", "null", `"ada"`, `{"actor":"ada"`, `{"actor":"ada"}}`])
    ])() + "\n"
  for (let step = 0; step < 60; step++) {
    const writer = pick(writers)
    const chance = random()
    if (chance < 0.6) {
      const records = Array.from({ length: random() < 0.6 ? 1 : 2 + below(3) }, fields)
      const { head } = writer
      const tx = id()
      if (random() < 0.3) {
        // a relay's batch; it may be appended again, by another writer and in other company
        const sources = records.map(() => `outbox:${++rows % 20}`)
        lines.push(...writer.lines(records, 0, tx, sources))
        if (random() < 0.5) taken.push({ records, sources })
        continue
      }
      const again = random() < 0.2 ? taken.pop() : undefined
      if (again !== undefined) {
        lines.push(...writer.lines(again.records, 0, tx, again.sources))
        continue
      }
      const first = writer.lines(records, 0, tx)
      if (random() < 0.15) {
        // cut off, and appended again
        lines.push(...first.slice(0, below(first.length + 1)), writer.resync())
        writer.head = head
        lines.push(...writer.lines(records, 1, tx))
      } else if (random() < 0.1) {
        lines.push(...first.slice(0, below(first.length)))
      } else lines.push(...first)
    } else if (chance < 0.8) lines.push(foreign())
    else if (chance < 0.85 && lines.length > 0) lines.push(pick(lines))
    else if (chance < 0.9 && lines.length > 0) {
      // somebody writes what only the hash vouches for: another content, another layout, no JSON at all
      const line = String(pick(lines)).trimEnd()
      const head = line.slice(0, Math.max(0, line.lastIndexOf(`,"_hash":"`)))
      lines.push(rehash(
        pick([
          () => head.replace(`"actor":"ada"`, `"actor":"bob"`),
          () => head.replace(`"actor":"bob"`, `"actor":"ada"`),
          () => head.replace(`{"_audit":{`, `{"_audit": {`),
          () => `${head},"_audit":5`,
          () => `${head},"actor":"ada"},{"actor":"ada"`,
          () => `${head},"actor":"ada","list":[{"n":12`,
          () => `${head},"n":12}]`,
          () => `{"actor":"ada",${head.slice(1)}`
        ])()
      ))
    } else if (lines.length > 0) {
      const bytes = Buffer.from(lines.pop()!)
      if (random() < 0.5) bytes[below(bytes.length)] = pick([0, 0x0a, 0x22, 0x41, 0x31, 0xff, 0xc3, bytes[0]!])
      lines.push(pick([bytes, Buffer.concat([Buffer.alloc(3), bytes]), bytes.subarray(0, below(bytes.length))]))
      if (random() < 0.3) lines.push(String(lines.pop()).replace(/\n$/, "\r\n"))
    }
  }
  return Buffer.concat(lines.map((line) => Buffer.from(line)))
}

/** The file system, with reads of so many bytes at most. */
const shortReads = (bytesMax: number) =>
  Effect.map(FileSystem.FileSystem, (real): FileSystem.FileSystem => ({
    ...real,
    open: (path, options) =>
      Effect.map(real.open(path, options), (file) => {
        const read: typeof file.read = (buffer, at) => file.read(buffer.subarray(0, bytesMax), at)
        return Object.create(file, { read: { value: read } }) as typeof file
      })
  }))

const readAll = (path: string, options: LogReader.ReadOptions, blockBytes: number) =>
  LogReader.read(path, options).pipe(
    Stream.runCollect,
    Effect.provideServiceEffect(FileSystem.FileSystem, shortReads(blockBytes)),
    Effect.provide(NodeFileSystem.layer)
  )

const isAnswer = (entry: LogReader.Entry) => entry._tag === "Record" || entry._tag === "Foreign"

describe("reading", () => {
  it("in batches yields what each line yields by itself, and as much of it", () => {
    let entries = 0
    for (const seed of seeds(200)) {
      const log = makeLog(seed)
      const lineBytesMax = [64, 300, 1 << 20][seed % 3]!
      const plain = new LogDecoder({ lineBytesMax, salvage: true })
      plain.begin("log")
      const batched = new LogDecoder({ lineBytesMax, salvage: true })
      const expected = [...plain.feed(log), ...plain.end()]
      const found: Array<LogReader.Entry> = []
      const buffer = new LineBuffer({ offset: 0, line: 1, lineBytesMax })
      const blockBytes = [7, 100, 1000, 1 << 20][seed % 4]!
      for (let at = 0; at < log.length;) {
        const space = buffer.space(blockBytes)
        const count = log.copy(space, 0, at, at + space.length)
        at += count
        const long = buffer.take(count)
        if (long !== undefined) batched.line("log", { ...long, bytes: undefined }, found)
        while (buffer.start < buffer.whole) batched.lines("log", buffer, buffer.sliceEnd(2000), found)
      }
      found.push(...batched.end())
      assert.deepStrictEqual(found, expected, `AUDITLOG_SEED=${seed}`)
      entries += found.length
    }
    assert.isAbove(entries, seeds(200).length * 20)
  })

  it.live(
    "with a query yields the records of the full reading that match, in their order, from any log",
    () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        let answers = 0
        for (const seed of seeds(60)) {
          Fs.writeFileSync(path, makeLog(seed))
          const all = yield* readAll(path, {}, 1 << 20)
          for (const [i, query] of queries.entries()) {
            if (replayed === undefined && (seed + i) % queriesPart !== 0) continue
            const matching = Result.getOrThrow(Query.make(query, 0))
            const expected = all.filter((entry) => isAnswer(entry) && matching(entry))
            const found = yield* readAll(path, { matching }, [50, 400, 4000, 1 << 20][(seed >> 3) % 4]!)
            const replay = `AUDITLOG_SEED=${seed}, ${JSON.stringify(query)}`
            assert.deepStrictEqual(found.filter(isAnswer), expected, replay)
            const findings = new Set(all.map((entry) => JSON.stringify(entry)))
            for (const entry of found) {
              assert.isTrue(findings.has(JSON.stringify(entry)), `${replay} ${JSON.stringify(entry)}`)
            }
            answers += expected.length
          }
        }
        assert.isAbove(answers, seeds(60).length * 5)
      }),
    120_000
  )

  it.live("with a query finds the good copy of a record whose first line was altered and passed over", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const writer = new FaultyLog.LineWriter()
      const made = [0, 1, 2, 3].map((n) => writer.lines([{ actor: "ada", n }]).join(""))
      const altered = made[1]!.replace("ada", "eve")
      Fs.writeFileSync(path, [made[0], altered, made[2], `{"n":9}\n`, made[1], made[3]].join(""))
      const matching = Result.getOrThrow(Query.make({ where: ["actor=ada"] }, 0))
      for (const blockBytes of [100, 1 << 20]) {
        const found = yield* readAll(path, { matching }, blockBytes)
        const numbers = found.map((entry) => entry._tag === "Record" ? entry.fields["n"] : entry._tag)
        assert.deepStrictEqual(numbers.filter((n) => n !== "Damage"), [0, 2, 1, 3], `${blockBytes}`)
      }
    }))

  it.live("with a query drops a repeated row of an outbox, whoever wrote the first, and whatever was altered between", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const writers = ["A", "B", "C"].map((end) => new FaultyLog.LineWriter(`01JD${"0".repeat(21)}${end}`))
      const [first, altered, last] = writers.map((writer) =>
        writer.lines([{ actor: "ada" }], 0, undefined, ["outbox:1"]).join("")
      )
      Fs.writeFileSync(path, [first, altered!.replace("ada", "eve"), last].join(""))
      for (const blockBytes of [100, 1 << 20]) {
        const ask = (query: Query.Query) =>
          Effect.map(
            readAll(path, { matching: Result.getOrThrow(Query.make(query, 0)) }, blockBytes),
            (found) => found.filter(isAnswer).map(({ offset }) => offset)
          )
        assert.deepStrictEqual(yield* ask({ where: ["actor=ada"] }), [0], `${blockBytes}`)
        assert.deepStrictEqual(yield* ask({ writer: "A" }), [0])
        assert.deepStrictEqual(yield* ask({ writer: "C" }), [])
      }
    }))
})
