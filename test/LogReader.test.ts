/**
 * A log of several files is one stream: oldest first, nothing twice, nothing left out, whatever is renamed meanwhile.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Schema, Stream } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { LogReader, Segment } from "../src/index.ts"
import { LineWriter } from "./faultyLog.ts"
import { readEntries, temporaryLog } from "./support.ts"

/** What is in the entries: the number of a record or foreign line, else the tag. */
const numbers = (entries: ReadonlyArray<LogReader.Entry>): ReadonlyArray<unknown> =>
  entries.map((entry) =>
    entry._tag === "Record" ? entry.fields["n"] : entry._tag === "Foreign" ? entry.value["n"] : entry._tag
  )

const sealedAt = (live: string, second: number): string =>
  Segment.sealedPath(live, `2026-11-23T09:15:${String(10 + second)}.000Z`, "01JD0000000000000000ABCDEF")

/** One line of one record. */
const line = (writer: LineWriter, n: number): string => writer.lines([{ n }]).join("")

/** Reads with something done just before a file of this name is opened for the first time. */
const readWhile = (live: string, name: string, disturb: () => void) =>
  Effect.gen(function*() {
    const real = yield* FileSystem.FileSystem
    let done = false
    const open: typeof real.open = (path, options) =>
      Effect.suspend(() => {
        if (!done && Path.basename(path) === name) {
          done = true
          disturb()
        }
        return real.open(path, options)
      })
    const entries = yield* Stream.runCollect(LogReader.read(live)).pipe(
      Effect.provideService(FileSystem.FileSystem, { ...real, open })
    )
    assert.isTrue(done, `${name} was never opened`)
    return entries
  }).pipe(Effect.provide(NodeFileSystem.layer))

describe("a log of several segments", () => {
  it.live("is read oldest first, with transactions and repeats across them", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const a = new LineWriter()
      const id = "01JD1111111111111111111111"
      const { head } = a
      const attempt = a.lines([{ n: 3 }, { n: 4 }], 0, id)
      const after = a.head
      a.head = head
      const again = a.lines([{ n: 3 }, { n: 4 }], 1, id)
      const b = new LineWriter()
      Fs.writeFileSync(`${live}.2`, line(b, 1))
      Fs.writeFileSync(`${live}.1`, line(b, 2))
      Fs.writeFileSync(sealedAt(live, 0), attempt[0]!)
      Fs.writeFileSync(sealedAt(live, 1), again.join(""))
      Fs.writeFileSync(live, attempt.join("") + line(b, 5))
      assert.deepStrictEqual(after.seq, a.head.seq)
      const entries = yield* readEntries(live)
      assert.deepStrictEqual(numbers(entries), [1, 2, 3, 4, 5])
      assert.strictEqual(entries[2]?.file, sealedAt(live, 1))
    }))

  it.live("may have an empty live file, or none", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      Fs.writeFileSync(sealedAt(live, 0), line(new LineWriter(), 1))
      assert.deepStrictEqual(numbers(yield* readEntries(live)), [1])
      Fs.writeFileSync(live, "")
      assert.deepStrictEqual(numbers(yield* readEntries(live)), [1])
    }))

  it.live("that is not there at all is an error", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      assert.strictEqual(
        (yield* Effect.flip(readEntries(live))).message,
        `cannot read ${live}: there is no such file`
      )
      const nowhere = Path.join(live, "none", "audit.jsonl")
      assert.match((yield* Effect.flip(readEntries(nowhere))).message, /there is no such file$/)
    }))

  it.live("is read as one file only where that is asked for", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const writer = new LineWriter()
      Fs.writeFileSync(sealedAt(live, 0), line(writer, 1))
      Fs.writeFileSync(live, line(writer, 2))
      Fs.writeFileSync(`${live}.1.gz`, "")
      assert.deepStrictEqual(numbers(yield* readEntries(live, { only: true })), [2])
      assert.deepStrictEqual(numbers(yield* readEntries(sealedAt(live, 0))), [1])
      const error = yield* Effect.flip(readEntries(live))
      assert.strictEqual(error._tag, "SegmentCompressed")
      assert.match(error.message, /^cannot read .*audit\.jsonl\.1\.gz: it is compressed; unpack it/)
    }))
})

describe("while it is read,", () => {
  const threeSegments = Effect.gen(function*() {
    const live = yield* temporaryLog
    const writer = new LineWriter()
    Fs.writeFileSync(`${live}.2`, line(writer, 1))
    Fs.writeFileSync(`${live}.1`, line(writer, 2))
    Fs.writeFileSync(live, line(writer, 3))
    return { live, writer }
  })

  for (const opened of ["audit.jsonl.2", "audit.jsonl.1", "audit.jsonl"]) {
    it.live(`a rotation just before ${opened} is opened doubles nothing and loses nothing`, () =>
      Effect.gen(function*() {
        const { live, writer } = yield* threeSegments
        const entries = yield* readWhile(live, opened, () => {
          Fs.renameSync(`${live}.2`, `${live}.3`)
          Fs.renameSync(`${live}.1`, `${live}.2`)
          Fs.renameSync(live, `${live}.1`)
          Fs.writeFileSync(live, line(writer, 4))
        })
        assert.deepStrictEqual(numbers(entries), [1, 2, 3, 4])
      }))
  }

  it.live("a segment that is removed is left out, and nothing else is", () =>
    Effect.gen(function*() {
      const { live } = yield* threeSegments
      assert.deepStrictEqual(numbers(yield* readWhile(live, "audit.jsonl.1", () => Fs.rmSync(`${live}.1`))), [
        1,
        3,
        // the writer's record in it is not in what was read
        "Missing"
      ])
    }))

  it.live("a segment that is compressed is an error, not a hole", () =>
    Effect.gen(function*() {
      const { live } = yield* threeSegments
      const read = readWhile(live, "audit.jsonl.1", () => {
        Fs.writeFileSync(`${live}.1.gz`, "")
        Fs.rmSync(`${live}.1`)
      })
      assert.strictEqual((yield* Effect.flip(read))._tag, "SegmentCompressed")
    }))

  it.live("a write that was in flight into a segment that was just sealed is found", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const [slow, fast] = [new LineWriter(), new LineWriter()]
      Fs.writeFileSync(`${live}.1`, line(slow, 1))
      Fs.writeFileSync(live, line(fast, 2))
      // its writer goes on in the live file: in that order it must be read
      const entries = yield* readWhile(live, "audit.jsonl", () => {
        Fs.appendFileSync(`${live}.1`, line(slow, 3))
        Fs.appendFileSync(live, line(slow, 4))
      })
      assert.deepStrictEqual(numbers(entries), [1, 3, 2, 4])
    }))
})

describe("what is wrong with a log", () => {
  it.live("is a gap in a writer's numbers, unless it is at the start, where retention may have been", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const writer = new LineWriter()
      const lines = Array.from({ length: 9 }, (_, n) => line(writer, n))
      Fs.writeFileSync(live, lines.filter((_, n) => ![0, 1, 4, 5, 7].includes(n)).join(""))
      const entries = yield* readEntries(live)
      assert.deepStrictEqual(numbers(entries), [2, 3, 6, 8, "Missing", "Missing"])
      const { writer: id } = writer.head
      const offset = lines[2]!.length + lines[3]!.length
      assert.deepStrictEqual(entries.slice(4), [
        { _tag: "Missing", file: live, offset, writer: id, seq: 4, count: 2 },
        { _tag: "Missing", file: live, offset: offset + lines[6]!.length, writer: id, seq: 7, count: 1 }
      ])
    }))

  it.live("is a record with the identity of another and other content; a repeat is nothing", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const writer = new LineWriter()
      const { head } = writer
      const [first, second] = [line(writer, 1), line(writer, 2)]
      writer.head = head
      const other = line(writer, 7)
      Fs.writeFileSync(live, first + second + first + other)
      const entries = yield* readEntries(live)
      assert.deepStrictEqual(numbers(entries), [1, 2, "Conflict"])
      assert.deepInclude(entries[2], {
        id: `${head.writer}:0`,
        fields: { n: 7 },
        offset: first.length * 2 + second.length,
        line: 4,
        first: { file: live, offset: 0 }
      })
    }))

  it.live("is told of writers that have long been silent, too", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const silent = new LineWriter()
      const lines = [0, 1, 2].map((n) => line(silent, n))
      const half = silent.lines([{ n: 3 }, { n: 4 }])[0]!
      // a shell script's log: every record has a writer of its own
      const others = Array.from({ length: 70_000 }, (_, n) => line(new LineWriter(), n)).join("")
      Fs.writeFileSync(live, lines[0]! + lines[2]! + half + others)
      const tags = new Map<string, number>()
      for (const { _tag } of yield* readEntries(live)) tags.set(_tag, (tags.get(_tag) ?? 0) + 1)
      assert.deepStrictEqual([...tags], [["Record", 70_002], ["Incomplete", 1], ["Missing", 1]])
    }))
})

describe("salvage", () => {
  const writer = new LineWriter()
  const [one, two, three] = [1, 2, 3].map((n) => line(writer, n).trimEnd()) as [string, string, string]
  const cases: ReadonlyArray<readonly [name: string, line: string, found: ReadonlyArray<number>]> = [
    ["a record behind a torn one", one.slice(0, 60) + two, [2]],
    ["a record before a torn one", one + two.slice(0, -5), [1]],
    ["records around a torn one", one + two.slice(0, 70) + three, [1, 3]],
    ["a record between foreign bytes and NULs", `{"half":"\0\0${one}\0tail`, [1]],
    ["nothing in a line whose bytes were altered", one.replace(`"n":1`, `"n":9`), []],
    ["nothing in prose", `{"_audit":{"v":1,`.repeat(50), []]
  ]
  for (const [name, text, found] of cases) {
    it.live(`finds ${name}, and says where`, () =>
      Effect.gen(function*() {
        const live = yield* temporaryLog
        Fs.writeFileSync(live, `{"n":0}\n${text}\n`)
        const entries = yield* readEntries(live, { salvage: true })
        const salvaged = entries.filter((entry) => entry._tag === "Salvaged")
        assert.deepStrictEqual(salvaged.map(({ fields }) => fields["n"]), [...found])
        const bytes = Fs.readFileSync(live)
        for (const { length, line, offset, text } of salvaged) {
          assert.strictEqual(bytes.toString("utf8", offset, offset + length), text)
          assert.strictEqual(line, 2)
        }
        // never committed, and not shown unless it is asked for
        assert.deepStrictEqual(numbers(yield* readEntries(live)), [0, "Damage"])
        assert.deepStrictEqual(entries.filter(({ _tag }) => _tag === "Record"), [])
      }))
  }
})

describe("decode", () => {
  const schema = Schema.TaggedUnion({
    Granted: { actor: Schema.String, at: Schema.DateTimeUtcFromString },
    Noted: { text: Schema.String }
  })

  it.live("gives typed values, and a value for each record that does not fit", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const writer = new LineWriter()
      const records = [
        // another order, and a key that the schema does not know
        { extra: 1, at: "2026-01-01T00:00:00.000Z", actor: "ada", _tag: "Granted" },
        { _tag: "Granted", actor: 7, at: "2026-01-01T00:00:00.000Z" },
        { _tag: "Renamed" },
        { _tag: "Noted", text: "x" }
      ]
      Fs.writeFileSync(live, records.flatMap((record) => writer.lines([record])).join("") + `{"n":1}\nprose\n`)
      const entries = yield* LogReader.read(live).pipe(
        LogReader.decode(schema),
        Stream.runCollect,
        Effect.provide(NodeFileSystem.layer)
      )
      assert.deepStrictEqual(entries.map(({ _tag }) => _tag), [
        "Decoded",
        "Undecodable",
        "Undecodable",
        "Decoded",
        "Foreign",
        "Damage"
      ])
      const [granted, badActor] = entries
      assert(granted?._tag === "Decoded" && badActor?._tag === "Undecodable")
      assert.deepStrictEqual(Object.keys(granted.value).toSorted(), ["_tag", "actor", "at"])
      assert.strictEqual(granted.record.stamp.seq, 0)
      assert.match(badActor.problem, /actor/)
      assert.strictEqual(badActor.record.fields["actor"], 7)
    }))

  it.live("does not break where a transformation throws or needs to wait", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      Fs.writeFileSync(live, line(new LineWriter(), 1))
      const throwing = Schema.Struct({
        n: Schema.Number.check(Schema.makeFilter(() => {
          throw new Error("a bug of the program")
        }))
      })
      const [entry] = yield* LogReader.read(live).pipe(
        LogReader.decode(throwing),
        Stream.runCollect,
        Effect.provide(NodeFileSystem.layer)
      )
      assert.strictEqual(entry?._tag, "Undecodable")
    }))
})
