/**
 * Following: nothing by halves, nothing twice, nothing lost, across rotations and with real writers.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type Cursor, LogReader, Segment } from "../src/index.ts"
import { LineBuffer } from "../src/internal/lineBuffer.ts"
import { childProgram } from "./childPrograms.ts"
import { LineWriter } from "./faultyLog.ts"
import { run, temporaryLog } from "./support.ts"

const line = (writer: LineWriter, n: number): string => writer.lines([{ n }]).join("")

const describeEntry = (entry: LogReader.Entry): unknown =>
  entry._tag === "Record" ? entry.fields["n"] : entry._tag === "Foreign" ? entry.value["n"] : entry._tag

let seals = 0
const seal = (live: string): string => {
  const at = new Date(Date.UTC(2026, 0, 1) + seals++).toISOString()
  const path = Segment.sealedPath(live, at, "01JD0000000000000000ABCDEF")
  Fs.renameSync(live, path)
  return path
}

/**
 * A follower under the test clock, with nothing but its polls. `take` waits for entries, `polls` for so many looks at
 * the directory entry of the live file, each of which ends a poll that found nothing.
 */
const follower = Effect.fnUntraced(function*(live: string, options: LogReader.FollowOptions = {}) {
  const real = yield* FileSystem.FileSystem
  const found = yield* Queue.unbounded<LogReader.Placed>()
  const looks = { count: 0 }
  const stat: typeof real.stat = (path) =>
    Effect.suspend(() => {
      if (path === live) looks.count++
      return real.stat(path)
    })
  const fiber = yield* LogReader.followPlaced(live, { watch: false, ...options }).pipe(
    Stream.runForEachArray((placed) => Queue.offerAll(found, placed)),
    Effect.provideService(FileSystem.FileSystem, { ...real, stat }),
    Effect.forkChild({ startImmediately: true })
  )
  const turn = Effect.andThen(
    TestClock.adjust("200 millis"),
    Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
  )
  const isDead = () => fiber.pollUnsafe() !== undefined
  const polls = Effect.fnUntraced(function*(count: number) {
    const until = looks.count + count
    while (looks.count < until && !isDead()) yield* turn
  })
  const takePlaced = Effect.fnUntraced(function*(count: number) {
    const deadline = performance.now() + 40_000
    while (Queue.sizeUnsafe(found) < count && !isDead()) {
      assert.isBelow(performance.now(), deadline, `${Queue.sizeUnsafe(found)} of ${count} entries came`)
      yield* turn
    }
    return yield* Queue.takeN(found, count)
  })
  return {
    fiber,
    polls,
    takePlaced,
    take: (count: number) => Effect.map(takePlaced(count), (placed) => placed.map(({ entry }) => describeEntry(entry))),
    isIdle: Effect.map(polls(5), () => Queue.sizeUnsafe(found) === 0)
  }
})

const withFiles = Effect.provide(NodeFileSystem.layer)

describe("a follower", () => {
  it.effect("yields what is there, and what comes; never half a record, never half a transaction", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const writer = new LineWriter()
      Fs.writeFileSync(live, line(writer, 1))
      const { isIdle, take } = yield* follower(live)
      assert.deepStrictEqual(yield* take(1), [1])
      const text = writer.lines([{ n: 2 }, { n: 3 }]).join("")
      for (let at = 0; at < text.length - 1; at += 50) {
        Fs.appendFileSync(live, text.slice(at, Math.min(at + 50, text.length - 1)))
        assert.isTrue(yield* isIdle)
      }
      Fs.appendFileSync(live, "\n")
      assert.deepStrictEqual(yield* take(2), [2, 3])
    }).pipe(withFiles))

  it.effect("goes on in the new file after a rotation, and finds what is still written into the old one", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const [slow, fast] = [new LineWriter(), new LineWriter()]
      Fs.writeFileSync(live, line(slow, 1))
      const { isIdle, take } = yield* follower(live)
      assert.deepStrictEqual(yield* take(1), [1])
      const old = Fs.openSync(live, "a")
      seal(live)
      assert.isTrue(yield* isIdle)
      Fs.writeFileSync(live, line(fast, 2))
      assert.deepStrictEqual(yield* take(1), [2])
      // two more rotations: it is two segments back by now
      const late = line(slow, 3)
      Fs.writeSync(old, late.slice(0, 100))
      seal(live)
      Fs.writeFileSync(live, line(fast, 4))
      assert.deepStrictEqual(yield* take(1), [4])
      Fs.writeSync(old, late.slice(100))
      assert.deepStrictEqual(yield* take(1), [3])
      Fs.closeSync(old)
    }).pipe(withFiles))

  it.effect("follows logrotate, also when it has rotated twice since the last look, or compresses at once", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const writer = new LineWriter()
      Fs.writeFileSync(`${live}.1`, line(writer, 1))
      Fs.writeFileSync(live, line(writer, 2))
      const { take } = yield* follower(live)
      assert.deepStrictEqual(yield* take(2), [1, 2])
      for (const n of [3, 4]) {
        Fs.renameSync(`${live}.1`, `${live}.2`)
        Fs.renameSync(live, `${live}.1`)
        Fs.writeFileSync(live, line(writer, n))
      }
      assert.deepStrictEqual(yield* take(2), [3, 4])
      Fs.writeFileSync(`${live}.1.gz`, "")
      Fs.rmSync(`${live}.1`)
      Fs.rmSync(live)
      // the file system gives the number of a file that is gone to the new one: here, that of one known from before
      Fs.truncateSync(`${live}.2`)
      Fs.renameSync(`${live}.2`, live)
      Fs.appendFileSync(live, line(writer, 5))
      assert.deepStrictEqual(yield* take(1), [5])
    }).pipe(withFiles))

  it.effect("says when the file was cut, and goes on at its start", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const writer = new LineWriter()
      const { length } = line(writer, 0)
      Fs.writeFileSync(live, line(writer, 1))
      const { take, takePlaced } = yield* follower(live)
      assert.deepStrictEqual(yield* take(1), [1])
      // copytruncate
      Fs.copyFileSync(live, `${live}.1`)
      Fs.truncateSync(live, 0)
      const [cut] = yield* takePlaced(1)
      assert.deepStrictEqual(cut?.entry, { _tag: "Truncated", file: live, offset: Fs.statSync(`${live}.1`).size })
      Fs.appendFileSync(live, line(writer, 2))
      assert.deepStrictEqual(yield* take(1), [2])
      // cut, and grown beyond what was read before the next look
      Fs.copyFileSync(live, `${live}.1`)
      Fs.writeFileSync(live, line(writer, 3) + line(writer, 4))
      assert.isAbove(Fs.statSync(live).size, length)
      assert.deepStrictEqual(yield* take(3), ["Truncated", 3, 4])
    }).pipe(withFiles))

  it.live("says that the file was cut, and shows nothing but what is in it, at whichever look it is cut", () =>
    Effect.gen(function*() {
      const real = yield* FileSystem.FileSystem
      const other = new LineWriter()
      // what stands there after the cut: nothing yet, or more than before
      for (const after of ["", line(other, 7) + line(other, 8)]) {
        // it has begun to poll by then
        for (let cutAt = 0; cutAt < 30; cutAt++) {
          const live = yield* temporaryLog
          const writer = new LineWriter()
          Fs.writeFileSync(live, `${line(writer, 0)}half`)
          const [first] = yield* Stream.runCollect(Stream.take(LogReader.readPlaced(live), 1))
          let looks = 0
          const look = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
            Effect.suspend(() => {
              if (looks++ === cutAt) Fs.writeFileSync(live, after)
              return effect
            })
          const open: typeof real.open = (path, options) =>
            Effect.map(look(real.open(path, options)), (file) => {
              const read: typeof file.read = (into, options) => look(file.read(into, options))
              const looking: typeof file = Object.create(file, {
                stat: { value: look(file.stat) },
                read: { value: read }
              })
              return looking
            })
          const appended = after === "" ? line(writer, 1) : ""
          const seen = yield* LogReader.follow(live, { from: first!.cursor, poll: "5 millis" }).pipe(
            Stream.map(describeEntry),
            Stream.tap((entry) =>
              Effect.sync(() => {
                if (entry === "Truncated" && appended !== "") Fs.appendFileSync(live, appended)
              })
            ),
            Stream.takeUntil((entry) => typeof entry === "number"),
            Stream.runCollect,
            Effect.catchTag("CursorLost", () => Effect.succeed(["CursorLost"])),
            Effect.timeout("5 seconds"),
            Effect.provideService(FileSystem.FileSystem, { ...real, open })
          ).pipe(Effect.catchTag("TimeoutError", () => Effect.succeed(["nothing"])))
          // rewritten between a look and the read after it, the first of them is read where a given one stood
          const expected = [["CursorLost"], ...(after === "" ? [1] : [7, 8]).map((n) => ["Truncated", n])]
          assert.deepInclude(expected, seen, `cut before look ${cutAt}, then ${after.length} bytes`)
        }
      }
    }).pipe(withFiles))

  it("takes nothing from its buffer where nothing was read into it", () => {
    const lines = new LineBuffer({ offset: 0, line: 1, lineBytesMax: 1024 })
    // what memory happens to hold
    lines.space(4096).fill(0x0a)
    lines.take(0)
    assert.deepStrictEqual([lines.start, lines.whole, lines.rest.length], [0, 0, 0])
  })

  it.effect("begins at the end, or at a cursor, and continues exactly after a restart at any entry", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const writer = new LineWriter()
      Fs.writeFileSync(live, line(writer, 0))
      const first = yield* follower(live, { from: "end" })
      // it looks at the name several times before it has begun
      yield* first.polls(12)
      const cursors: Array<Cursor.Cursor> = []
      const old = Fs.openSync(live, "a")
      for (const n of [1, 2, 3]) {
        Fs.appendFileSync(live, line(writer, n))
        const [placed] = yield* first.takePlaced(1)
        assert.strictEqual(describeEntry(placed!.entry), n)
        cursors.push(placed!.cursor)
        seal(live)
        Fs.writeFileSync(live, "")
      }
      Fs.appendFileSync(live, line(writer, 4))
      yield* first.take(1)
      // into the oldest, three segments back
      Fs.writeSync(old, line(new LineWriter(), 99))
      const [late] = yield* first.takePlaced(1)
      assert.strictEqual(describeEntry(late!.entry), 99)
      yield* Fiber.interrupt(first.fiber)
      Fs.appendFileSync(live, line(writer, 5))
      const expected = [[99, 2, 3, 4, 5], [99, 3, 4, 5], [99, 4, 5], [5]]
      for (const [i, from] of [...cursors, late!.cursor].entries()) {
        const { isIdle, take } = yield* follower(live, { from })
        assert.deepStrictEqual(yield* take(expected[i]!.length), expected[i], `cursor ${i}`)
        assert.isTrue(yield* isIdle)
      }
    }).pipe(withFiles))

  it.effect("misses no segment, however often the log is rotated while its files are listed", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const writer = new LineWriter()
      let last = 1
      Fs.writeFileSync(live, line(writer, last))
      const real = yield* FileSystem.FileSystem
      let rotations = 0
      // each listing has the new live file and not the one before it, which was sealed since the names were read
      const stat: typeof real.stat = (path) =>
        Effect.suspend(() => {
          if (path === live && rotations > 0) {
            rotations--
            seal(live)
            Fs.writeFileSync(live, line(writer, ++last))
          }
          return real.stat(path)
        })
      const shaken = Effect.provideService(FileSystem.FileSystem, { ...real, stat })
      const { take } = yield* shaken(follower(live))
      assert.deepStrictEqual(yield* take(1), [1])
      // some of these end with the listing after which a reader could lose its patience
      for (let count = 18; count < 26; count++) {
        const from = last + 1
        rotations = count
        assert.deepStrictEqual(yield* take(count), Array.from({ length: count }, (_, i) => from + i))
      }

      rotations = 20
      const until = last
      const entries = yield* shaken(Stream.runCollect(LogReader.read(live)))
      const found = entries.map(describeEntry)
      assert.isAtLeast(found.length, until)
      assert.deepStrictEqual(found, Array.from({ length: found.length }, (_, i) => i + 1))
    }).pipe(withFiles))

  it.live("is woken by a change long before it would look again, and sleeps again until the next", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const writer = new LineWriter()
      Fs.writeFileSync(live, line(writer, 1))
      const real = yield* FileSystem.FileSystem
      let looks = 0
      const stat: typeof real.stat = (path) => Effect.suspend(() => (looks++, real.stat(path)))
      const started = performance.now()
      const entries = yield* LogReader.follow(live, { poll: "10 minutes" }).pipe(
        Stream.tap((entry) =>
          Effect.sync(() => {
            const n = Number(describeEntry(entry))
            if (n < 4) setTimeout(() => Fs.appendFileSync(live, line(writer, n + 1)), 50)
          })
        ),
        Stream.take(4),
        Stream.runCollect,
        Effect.provideService(FileSystem.FileSystem, { ...real, stat })
      )
      assert.deepStrictEqual(entries.map(describeEntry), [1, 2, 3, 4])
      assert.isBelow(performance.now() - started, 20_000)
      // a few for each change; thousands if it did not sleep
      assert.isBelow(looks, 60)
    }).pipe(withFiles))

  it.live("fails where there is no log at all", () =>
    Effect.gen(function*() {
      const live = yield* temporaryLog
      const error = yield* Effect.flip(Stream.runDrain(LogReader.follow(live)))
      assert.strictEqual(error.message, `cannot read ${live}: there is no such file`)
    }).pipe(withFiles))
})

const writers = 3
const appends = 1500

describe(`${writers} processes that append, and a log that is rotated every few milliseconds`, () => {
  it.live(
    "are followed: every acknowledged record once, in each writer's order, whole transactions",
    () =>
      Effect.gen(function*() {
        const live = yield* temporaryLog
        Fs.writeFileSync(live, "", { mode: 0o600 })
        const found: Array<LogReader.Entry> = []
        const restarts = { cursor: undefined as Cursor.Cursor | undefined, count: 0 }
        // the follower is thrown away and started again at its last cursor, over and over
        const follow = Effect.gen(function*() {
          for (;;) {
            const rest = LogReader.followPlaced(live, { from: restarts.cursor, poll: "5 millis" })
            yield* rest.pipe(
              Stream.take(700),
              Stream.runForEach(({ cursor, entry }) =>
                Effect.sync(() => {
                  found.push(entry)
                  restarts.cursor = cursor
                })
              )
            )
            restarts.count++
          }
        })
        const fiber = yield* Effect.forkChild(follow)
        const rotating = setInterval(() => {
          if (Fs.existsSync(live) && Fs.statSync(live).size > 0) seal(live)
        }, 15)
        const ended = yield* Effect.promise(() =>
          Promise.all(Array.from({ length: writers }, (_, i) =>
            run(process.execPath, [
              childProgram("writer"),
              live,
              `w${i}`,
              String(appends),
              "20",
              "transactions"
            ])))
        )
        clearInterval(rotating)
        const acknowledged = ended.flatMap(({ code, stderr, stdout }) => {
          assert.strictEqual(code, 0, stderr)
          return stdout.match(/[0-9A-Z]{26}:\d+/g) ?? []
        })
        const ids = () => found.flatMap((entry) => entry._tag === "Record" ? [entry.id] : [])
        yield* Effect.sleep("20 millis").pipe(
          Effect.repeat({ until: () => found.length >= acknowledged.length }),
          Effect.timeout("20 seconds"),
          Effect.ignore,
          // what ends the follower is the first thing to know
          Effect.raceFirst(Fiber.join(fiber))
        )
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(found.filter(({ _tag }) => _tag !== "Record"), [])
        assert.deepStrictEqual(ids().toSorted(), acknowledged.toSorted())
        const last = new Map<string, number>()
        for (const entry of found) {
          if (entry._tag !== "Record") continue
          assert.strictEqual(entry.stamp.seq, (last.get(entry.stamp.writer) ?? -1) + 1)
          last.set(entry.stamp.writer, entry.stamp.seq)
        }
        const segments = Fs.readdirSync(Path.dirname(live)).length
        assert.isAbove(segments, 5)
        assert.isAbove(restarts.count, 5)
        console.log(`${found.length} records, ${segments} segments, ${restarts.count} restarts of the follower`)
      }).pipe(withFiles),
    60_000
  )
})
