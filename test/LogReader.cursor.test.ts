/**
 * Cursors: from each of them reading goes on exactly, whatever the writers went through, and whatever the segments are
 * called by then.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Schema, Stream } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Cursor, LogReader, Segment } from "../src/index.ts"
import { LookBack } from "../src/internal/readPlan.ts"
import * as FaultyLog from "./faultyLog.ts"
import { readEntries, temporaryLog } from "./support.ts"

const seed0 = Number(process.env["AUDITLOG_TEST_SEED"] ?? 1)

/** Writes segments as this library names them, the last one as the live file. */
const writeSegments = (live: string, segments: ReadonlyArray<Buffer>): void =>
  segments.forEach((bytes, i) => {
    const at = `2026-11-23T09:15:${String(10 + i)}.000Z`
    const path = i === segments.length - 1 ? live : Segment.sealedPath(live, at, "01JD0000000000000000ABCDEF")
    Fs.writeFileSync(path, bytes)
  })

const readPlaced = (path: string, options?: LogReader.ReadOptions) =>
  LogReader.readPlaced(path, options).pipe(Stream.runCollect, Effect.provide(NodeFileSystem.layer))

const json = Schema.toCodecJson(Cursor.Cursor)

/** The cursor as it comes back from a file or a database. */
const stored = (cursor: Cursor.Cursor): Cursor.Cursor =>
  Schema.decodeUnknownSync(json)(JSON.parse(JSON.stringify(Schema.encodeSync(json)(cursor))))

const isEnd = ({ _tag }: LogReader.Entry): boolean => _tag === "Incomplete" || _tag === "Missing"

describe("a cursor", () => {
  it.live("of every entry of a log made under faults gives exactly the rest, after a rotation too", () =>
    Effect.gen(function*() {
      let resumed = 0
      const seen = new Set<string>()
      for (let seed = seed0; seed < seed0 + 14; seed++) {
        const live = yield* temporaryLog
        const { acknowledged, segments } = FaultyLog.make(seed, 12)
        writeSegments(live, segments)
        const replay = `AUDITLOG_TEST_SEED=${seed}`
        const all = yield* readPlaced(live)
        const entries = all.map(({ entry }) => entry)
        for (const entry of entries) seen.add(entry._tag)
        assert.deepStrictEqual(yield* readEntries(live), entries, replay)
        const found = entries.flatMap((entry) => entry._tag === "Record" ? [entry.id] : [])
        assert.deepStrictEqual(found.toSorted(), [...new Set(found)].toSorted(), replay)
        assert.deepStrictEqual(acknowledged.filter((id) => !found.includes(id)), [], replay)

        const placed = entries.filter((entry) => !isEnd(entry)).length
        const sealed = Segment.sealedPath(live, "2026-11-23T09:16:00.000Z", "01JD0000000000000000ABCDEF")
        for (const rotated of [false, true]) {
          if (rotated) Fs.renameSync(live, sealed)
          const rename = (entry: LogReader.Entry) => entry.file === live && rotated ? { ...entry, file: sealed } : entry
          for (let i = 0; i < placed; i++) {
            const rest = yield* readEntries(live, { from: stored(all[i]!.cursor) })
            assert.deepStrictEqual(rest, entries.slice(i + 1).map(rename), `${replay}, entry ${i}`)
            resumed++
          }
        }
      }
      // else the logs are too good to prove anything
      for (const tag of ["Record", "Foreign", "Damage", "Incomplete", "Pending"]) assert.isTrue(seen.has(tag), tag)
      assert.isAbove(resumed, 600)
    }))

  it.live("looks back a bounded way only, across segments, and keeps line numbers and interleaved transactions", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const writers = Array.from({ length: 3 }, () => new FaultyLog.LineWriter())
      let n = 0
      // three transactions of three, their lines in turn: nine lines
      const interleaved = (): string => {
        const parts = writers.map((writer) => writer.lines([{ n: n++ }, { n: n++ }, { n: n++ }]))
        return [0, 1, 2].flatMap((i) => parts.map((lines) => lines[i]!)).join("")
      }
      const text = () => Buffer.from(Array.from({ length: 20 }, interleaved).join(""))
      writeSegments(live, [text(), text(), text()])
      const all = yield* readPlaced(live)
      const entries = all.map(({ entry }) => entry)
      assert.strictEqual(entries.length, 3 * 20 * 9)
      // one round is less than 3000 bytes
      for (let i = 0; i < entries.length; i += 7) {
        const rest = yield* readEntries(live, { from: stored(all[i]!.cursor) }).pipe(
          Effect.provideService(LookBack, 3000)
        )
        assert.deepStrictEqual(rest, entries.slice(i + 1), `entry ${i}`)
      }
      // a reader that looked back to the start, or not at all, would pass or fail for another reason
      const lost = yield* readEntries(live, { from: all.at(-20)!.cursor }).pipe(Effect.provideService(LookBack, 100))
      assert.isBelow(lost.length, 19)

      // a write that was in flight into an older segment is found, although reading begins far behind it
      const oldest = Path.join(Path.dirname(live), Fs.readdirSync(Path.dirname(live)).toSorted()[0]!)
      Fs.appendFileSync(oldest, writers[0]!.lines([{ n: "late" }]).join(""))
      const [first] = yield* readEntries(live, { from: stored(all.at(-20)!.cursor) }).pipe(
        Effect.provideService(LookBack, 3000)
      )
      assert.deepInclude(first, { fields: { n: "late" }, file: oldest, line: 181 })
    }))

  it.live("whose segment is gone is an error that says so; so is one beyond the end of its segment", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const writer = new FaultyLog.LineWriter()
      const text = (count: number) =>
        Buffer.from(Array.from({ length: count }, (_, n) => writer.lines([{ n }])).join(""))
      writeSegments(live, [text(3), text(3)])
      const all = yield* readPlaced(live)
      const first = Fs.readdirSync(Path.dirname(live)).find((name) => name !== Path.basename(live))
      const sealed = Path.join(Path.dirname(live), first!)

      const bytes = Fs.readFileSync(sealed)
      Fs.truncateSync(sealed, bytes.length - 10)
      const cut = yield* Effect.flip(readEntries(live, { from: all[2]!.cursor }))
      assert.strictEqual(cut._tag, "CursorLost")
      assert.match(cut.message, /byte \d+ of the segment .{8}…\): its segment has only \d+ bytes; it was cut/)

      // a copy has another inode, and is the same segment
      Fs.rmSync(sealed)
      Fs.writeFileSync(sealed, bytes)
      assert.strictEqual((yield* readEntries(live, { from: all[0]!.cursor })).length, 5)

      Fs.rmSync(sealed)
      const gone = yield* Effect.flip(readEntries(live, { from: all[0]!.cursor }))
      assert.strictEqual(gone._tag, "CursorLost")
      assert.match(gone.message, /its segment is gone, removed by retention or by hand/)
      // one in a segment that is left does not need the others
      assert.strictEqual((yield* readEntries(live, { from: all[3]!.cursor })).length, 2)
      Fs.writeFileSync(sealed, "")
      Fs.writeFileSync(`${live}.1.gz`, "")
      const packed = yield* Effect.flip(readEntries(live, { from: all[0]!.cursor }))
      assert.match(packed.message, /if it is compressed, unpack it/)
    }))

  it.live("tells segments that begin with the same line apart, or says that it cannot", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const text = (n: number) => Buffer.from(`{"started":true}\n{"n":${n}}\n`)
      writeSegments(live, [text(1), text(2), text(3)])
      const all = yield* readPlaced(live)
      const rest = yield* readEntries(live, { from: all[2]!.cursor })
      assert.deepStrictEqual(rest, all.slice(3).map(({ entry }) => entry))
      const { line, offset, segment } = all[2]!.cursor
      const restored = { segment, offset, line: line!, inode: "0:0" }
      assert.match((yield* Effect.flip(readEntries(live, { from: restored }))).message, /begin with the same line/)
    }))

  it.live("at the end, or so many bytes before it, gives what comes after", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const writer = new FaultyLog.LineWriter()
      Fs.writeFileSync(live, writer.lines([{ n: 0 }]).join(""))
      const cursor = (bytes: number) =>
        LogReader.cursorBeforeEnd(live, bytes).pipe(Effect.provide(NodeFileSystem.layer))
      const end = yield* cursor(0)
      const middle = writer.lines([{ n: 1 }, { n: 2 }])
      Fs.appendFileSync(live, middle[0]!)
      const between = yield* cursor(0)
      Fs.appendFileSync(live, middle[1]!)
      Fs.renameSync(live, `${live}.1`)
      Fs.writeFileSync(live, "")
      const numbers = (entries: ReadonlyArray<LogReader.Entry>) =>
        entries.map((entry) => entry._tag === "Record" ? entry.fields["n"] : entry)
      assert.deepStrictEqual(numbers(yield* readEntries(live, { from: end })), [1, 2])
      // the transaction became whole after it
      assert.deepStrictEqual(numbers(yield* readEntries(live, { from: between })), [1, 2])
      assert.deepStrictEqual(numbers(yield* readEntries(live, { from: yield* cursor(10) })), [1, 2])
      assert.deepStrictEqual(numbers(yield* readEntries(live, { from: "end" })), [])
      assert.deepStrictEqual(numbers(yield* readEntries(live, { from: yield* cursor(1e9) })), [0, 1, 2])
    }))

  it.live("is found although its segment is renamed just then, and so is the end of a log", () =>
    Effect.gen(function*() {
      const numbers = (entries: ReadonlyArray<LogReader.Entry>) =>
        entries.map((entry) => entry._tag === "Record" ? entry.fields["n"] : entry._tag)
      let rotations = 0
      // before each file that is opened, and before more of them than there are
      for (let rotateAt = 0; rotateAt < 12; rotateAt++) {
        for (const from of ["cursor", "end"] as const) {
          const live = yield* temporaryLog
          const writer = new FaultyLog.LineWriter()
          const line = (n: number) => writer.lines([{ n }]).join("")
          writeSegments(live, [0, 2, 4].map((n) => Buffer.from(line(n) + line(n + 1))))
          const all = yield* readPlaced(live)
          const real = yield* FileSystem.FileSystem
          let opens = 0
          const open: typeof real.open = (path, options) =>
            Effect.suspend(() => {
              if (opens++ === rotateAt) {
                Fs.renameSync(live, Segment.sealedPath(live, "2026-11-23T09:16:00.000Z", "01JD0000000000000000ABCDEF"))
                Fs.writeFileSync(live, line(6))
                rotations++
              }
              return real.open(path, options)
            })
          const rest = yield* LogReader.read(live, { from: from === "end" ? "end" : stored(all[4]!.cursor) }).pipe(
            Stream.runCollect,
            Effect.provideService(FileSystem.FileSystem, { ...real, open })
          )
          // what comes after the look at the end may be there or not; what stood before it must not
          const after = opens > rotateAt ? [6] : []
          const expected = from === "cursor" ? [[5, ...after]] : [[], after]
          assert.deepInclude(expected, numbers(rest), `${from}, before open ${rotateAt}`)
        }
      }
      assert.isAbove(rotations, 10)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
