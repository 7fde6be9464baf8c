import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Logger, Scope } from "effect"
import * as Fs from "node:fs"
import { Destination, FileAppender, Segment } from "../src/index.ts"
import { FilePort } from "../src/internal/filePort.ts"
import {
  around,
  logged,
  logText,
  rejected,
  ship,
  shipUntilStopped,
  txLine,
  unavailable,
  until,
  within
} from "./shipSupport.ts"
import { granted, openLog, temporaryLog } from "./support.ts"

const writerA = "01JDAAAAAAAAAAAAAAAAAAAAAA"
const writerB = "01JDBBBBBBBBBBBBBBBBBBBBBB"
const txId = "01JDTTTTTTTTTTTTTTTTTTTTTT"

const openRotating = Effect.fnUntraced(function*(path: string, size = 2000) {
  return yield* openLog(yield* FileAppender.make({ path, rotate: { size } }))
})

const live = <E>(title: string, body: () => Effect.Effect<void, E, Scope.Scope>) =>
  it.live(title, () => Effect.provide(body(), Logger.layer([], { mergeWithExisting: false })))

const withFdatasync = (port: FilePort, fdatasync: FilePort["fdatasync"]): FilePort =>
  Object.assign(Object.create(port) as FilePort, { fdatasync })

const segments = (path: string) => Segment.pick(path, Fs.readdirSync(path.slice(0, path.lastIndexOf("/"))))

describe("shipping", () => {
  live(
    "hands over what is there and what follows, across rotations, byte for byte and once",
    () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        const log = yield* openRotating(path)
        for (let i = 0; i < 20; i++) yield* log.append(granted(`before ${i}`))
        const { destination, memory } = Destination.makeMemory()
        const shipper = yield* ship(path, { destinations: [{ destination }] })
        for (let i = 0; i < 40; i++) yield* log.append(granted(`after ${i}`))
        yield* within("all being shipped", shipper.awaitShipped)
        assert.isAbove(segments(path).length, 5)
        const source = yield* shipper.source
        assert.strictEqual(memory.text(source), logText(path))
        assert.isTrue(Destination.parseSource(Destination.formatSource(source)) !== undefined)
      })
  )

  live(
    "goes on after a restart where the destination stands, also when the log was rotated meanwhile",
    () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        const log = yield* openRotating(path)
        const { destination, memory } = Destination.makeMemory()
        let source: Destination.Source | undefined
        for (let round = 0; round < 6; round++) {
          for (let i = 0; i < 3 + round * 5; i++) yield* log.append(granted(`${round}/${i}`))
          const { shipper, stop } = yield* shipUntilStopped(path, { destinations: [{ destination }] })
          yield* within("all being shipped", shipper.awaitShipped)
          source = yield* shipper.source
          yield* stop
          assert.strictEqual(memory.text(source), logText(path), `round ${round}`)
        }
        assert.strictEqual(source?.generation, 1)
      })
  )

  live(
    "does not double a chunk whose acknowledgement was lost, and tries again after failures",
    () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        const log = yield* openRotating(path)
        const { destination, memory } = Destination.makeMemory()
        const shipper = yield* ship(path, { destinations: [{ destination }] })
        for (let i = 0; i < 30; i++) {
          if (i % 3 === 0) memory.failNext(unavailable, { taken: i % 2 === 0, times: 1 + i % 4 })
          yield* log.append(granted(`${i}`))
          if (i % 5 === 0) yield* Effect.sleep(3)
        }
        yield* within("all being shipped", shipper.awaitShipped)
        assert.strictEqual(memory.text(yield* shipper.source), logText(path))
      })
  )

  live("asks again when a destination never answers", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const log = yield* openRotating(path)
      const { destination, memory } = Destination.makeMemory()
      let calls = 0
      const hanging = around(
        destination,
        (chunk, inner) => ++calls % 3 === 1 ? Effect.andThen(Effect.ignore(inner(chunk)), Effect.never) : inner(chunk)
      )
      const shipper = yield* ship(path, { destinations: [{ destination: hanging }], attemptTimeout: 30 })
      for (let i = 0; i < 10; i++) yield* log.append(granted(`${i}`))
      yield* within("all being shipped", shipper.awaitShipped)
      assert.strictEqual(memory.text(yield* shipper.source), logText(path))
      assert.isAbove(calls, 1)
    }))

  live("keeps shipping to others, and appends go on, while one destination hangs", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const log = yield* openRotating(path)
      const good = Destination.makeMemory()
      const hung: Destination.Destination = {
        ...Destination.makeMemory().destination,
        name: "hung",
        head: () => Effect.never
      }
      const shipper = yield* ship(path, {
        destinations: [{ destination: good.destination }, { destination: hung, required: false }]
      })
      for (let i = 0; i < 20; i++) yield* within("an append", log.append(granted(`${i}`)), 2000)
      yield* within("the other one", shipper.awaitShipped)
      assert.strictEqual(good.memory.text(yield* shipper.source), logText(path))
      assert.deepInclude((yield* shipper.status)[1], { destination: "hung", required: false, offset: undefined })
    }))

  live("stops at a destination that refuses, skips nothing, and says so", () => {
    const messages: Array<string> = []
    return Effect.gen(function*() {
      const path = yield* temporaryLog
      const log = yield* openRotating(path)
      const full = Destination.makeMemory({ name: "full" })
      const good = Destination.makeMemory({ name: "good" })
      const { shipper, stop } = yield* shipUntilStopped(path, {
        destinations: [{ destination: full.destination }, { destination: good.destination }]
      })
      yield* log.append(granted("1"))
      yield* within("the first", shipper.awaitShipped)
      full.memory.failNext(rejected)
      yield* log.append(granted("2"))
      const failure = yield* within("the stop", Effect.flip(shipper.awaitShipped))
      assert.strictEqual(failure.reason, "stopped")
      assert.include(failure.message, "the test says so")
      yield* log.append(granted("3"))
      const source = yield* shipper.source
      yield* until("the other destination", Effect.sync(() => good.memory.text(source) === logText(path)))
      assert.deepInclude((yield* shipper.status)[0], { destination: "full", state: "stopped" })
      assert.strictEqual(full.memory.text(source), logText(path).split("\n").slice(0, 1).join("") + "\n")
      assert.isTrue(messages.some((text) => text.startsWith("Error") && text.includes("has stopped")), messages.join())
      yield* stop
      // room was made: it goes on where it stood
      const again = yield* ship(path, { destinations: [{ destination: full.destination }] })
      yield* within("the rest", again.awaitShipped)
      assert.strictEqual(full.memory.text(source), logText(path))
    }).pipe(Effect.provide(logged(messages)))
  })

  live("ends when every destination has stopped", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const { destination, memory } = Destination.makeMemory()
      memory.failNext(rejected)
      const shipper = yield* ship(path, { destinations: [{ destination }] })
      Fs.writeFileSync(path, "{}\n")
      const failure = yield* within("the end", Effect.flip(shipper.ended))
      assert.strictEqual(failure.reason, "stopped")
    }))

  live("stops at a record that the destination cannot take whole", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, `{"a":1}\n{"text":"${"x".repeat(300)}"}\n{"b":1}\n`)
      const { destination, memory } = Destination.makeMemory({ capabilities: { chunkBytesMax: 200 } })
      const shipper = yield* ship(path, { destinations: [{ destination }] })
      const failure = yield* within("the end", Effect.flip(shipper.ended))
      assert.include(failure.message, "312 bytes is over its limit of 200")
      assert.strictEqual(memory.text(yield* shipper.source), `{"a":1}\n`)
    }))

  live("refuses a destination that promises less than is asked for", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const { destination } = Destination.makeMemory({ capabilities: { durability: "pageCache" } })
      const failure = yield* Effect.flip(ship(path, { destinations: [{ destination }], durability: "fsync" }))
      assert.strictEqual(failure.reason, "weak")
      assert.include(failure.message, "promises only pageCache and fsync is asked for")
      assert.isFalse(Fs.existsSync(`${path}.source`))
    }))
})

describe("what is shipped", () => {
  live("is flushed to the device before", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const port = yield* FilePort
      const events: Array<string> = []
      const traced = withFdatasync(port, (fd, done) => {
        const { size } = port.fstat(fd)
        port.fdatasync(fd, (error) => {
          events.push(`synced ${size}`)
          done(error)
        })
      })
      const { destination } = Destination.makeMemory()
      const seen = around(destination, (chunk, inner) => {
        events.push(`ship ${chunk.to}`)
        return inner(chunk)
      })
      const shipper = yield* Effect.provideService(
        ship(path, { destinations: [{ destination: seen }], chunkSize: 64 }),
        FilePort,
        traced
      )
      for (let i = 0; i < 5; i++) {
        Fs.appendFileSync(path, `{"i":${i},"text":"${"x".repeat(40)}"}\n`.repeat(3))
        yield* within("all being shipped", shipper.awaitShipped)
      }
      let synced = 0
      for (const event of events) {
        const [what, bytes] = event.split(" ")
        if (what === "synced") synced = Number(bytes)
        else assert.isAtMost(Number(bytes), synced, events.join(", "))
      }
      assert.isAtLeast(events.filter((event) => event.startsWith("ship")).length, 10)
    }))

  live("is nothing at all when the flush fails", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const port = yield* FilePort
      const failing = withFdatasync(port, (_, done) => done(Object.assign(new Error("EIO"), { code: "EIO" })))
      Fs.writeFileSync(path, "{}\n")
      const { destination, memory } = Destination.makeMemory()
      const shipper = yield* Effect.provideService(ship(path, { destinations: [{ destination }] }), FilePort, failing)
      const failure = yield* within("the end", Effect.flip(shipper.ended))
      assert.include(failure.message, "the flush of the log failed (EIO)")
      assert.strictEqual(memory.text(yield* shipper.source), "")
    }))

  live("has only whole lines", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, `{"a":1}\n{"b":`)
      const { destination, memory } = Destination.makeMemory()
      const shipper = yield* ship(path, { destinations: [{ destination }] })
      const source = yield* shipper.source
      yield* within("the whole line", shipper.awaitShipped)
      assert.strictEqual(memory.text(source), `{"a":1}\n`)
      Fs.appendFileSync(path, "2}\n")
      yield* within("the rest", shipper.awaitShipped)
      assert.strictEqual(memory.text(source), `{"a":1}\n{"b":2}\n`)
    }))

  live("has transactions whole, wherever a chunk would end", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const log = yield* openRotating(path, 1 << 20)
      for (let i = 0; i < 12; i++) {
        yield* log.appendAll(Array.from({ length: 1 + i % 5 }, (_, part) => granted(`${i}/${part}`)))
      }
      const { destination, memory } = Destination.makeMemory()
      const shipper = yield* ship(path, { destinations: [{ destination }], chunkSize: 700 })
      yield* within("all being shipped", shipper.awaitShipped)
      const chunks = memory.chunks(yield* shipper.source)
      assert.isAbove(chunks.length, 6)
      for (const chunk of chunks) {
        const parts = new Map<string, number>()
        for (const line of Buffer.from(chunk.bytes).toString().trimEnd().split("\n")) {
          const { tx } = JSON.parse(line)._audit
          if (tx !== undefined) parts.set(`${tx.id} ${tx.n}`, (parts.get(`${tx.id} ${tx.n}`) ?? 0) + 1)
        }
        for (const [key, count] of parts) assert.strictEqual(count, Number(key.split(" ")[1]))
        assert.strictEqual(chunk.lines, Buffer.from(chunk.bytes).toString().split("\n").length - 1)
      }
    }))

  live("waits for the rest of a transaction, and goes on when its writer is dead", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const part = (i: number) => txLine(writerA, i, { id: txId, i, n: 3 })
      Fs.writeFileSync(path, txLine(writerB, 0) + part(0) + part(1))
      const { destination, memory } = Destination.makeMemory()
      const shipper = yield* ship(path, { destinations: [{ destination }] })
      const source = yield* shipper.source
      yield* within("the first line", shipper.awaitShipped)
      assert.strictEqual(memory.text(source), txLine(writerB, 0))
      Fs.appendFileSync(path, part(2))
      yield* within("the rest", shipper.awaitShipped)
      assert.strictEqual(memory.text(source), logText(path))
      assert.strictEqual(memory.chunks(source).at(-1)?.lines, 3)

      // this one will never be whole
      Fs.appendFileSync(path, txLine(writerA, 3, { id: txId.replaceAll("T", "V"), i: 0, n: 2 }) + txLine(writerB, 1))
      yield* until("the torn transaction", Effect.sync(() => memory.text(source) === logText(path)))
    }))

  live("includes what was written into a segment after it was sealed", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, `{"a":1}\n{"a":2}\n`)
      const { destination, memory } = Destination.makeMemory()
      const shipper = yield* ship(path, { destinations: [{ destination }] })
      const source = yield* shipper.source
      yield* within("the first segment", shipper.awaitShipped)
      const sealed = Segment.sealedPath(path, "2026-11-23T09:15:02.114Z", writerA)
      Fs.renameSync(path, sealed)
      Fs.writeFileSync(path, `{"b":1}\n`)
      yield* within("the second segment", shipper.awaitShipped)
      assert.strictEqual(memory.text(source), `{"a":1}\n{"a":2}\n{"b":1}\n`)
      Fs.appendFileSync(sealed, `{"a":3}\n`)
      Fs.appendFileSync(path, `{"b":2}\n`)
      yield* within("the late write", shipper.awaitShipped)
      assert.strictEqual(memory.text(source), `{"a":1}\n{"a":2}\n{"b":1}\n{"a":3}\n{"b":2}\n`)
    }))

  live("has no fragment that a sealed segment ends with", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, `{"a":1}\n{"torn`)
      Fs.renameSync(path, Segment.sealedPath(path, "2026-11-23T09:15:02.114Z", writerA))
      Fs.writeFileSync(path, `{"b":1}\n`)
      const { destination, memory } = Destination.makeMemory()
      const shipper = yield* ship(path, { destinations: [{ destination }] })
      yield* within("all being shipped", shipper.awaitShipped)
      assert.strictEqual(memory.text(yield* shipper.source), `{"a":1}\n{"b":1}\n`)
    }))
})

describe("a log that is not what was shipped", () => {
  const changes: ReadonlyArray<readonly [name: string, change: (path: string) => void]> = [
    ["was restored from an older copy", (path) => Fs.writeFileSync(path, `{"n":0}\n`)],
    [
      "was restored and has grown past the head",
      (path) => Fs.writeFileSync(path, `{"n":0}\n{"other":"${"y".repeat(99)}"}\n`)
    ],
    ["has other bytes before the head", (path) => Fs.writeFileSync(path, `{"n":0}\n{"n":7}\n{"n":2}\n`)],
    ["begins with another line", (path) => Fs.writeFileSync(path, `{"x":0}\n`)],
    ["is gone", (path) => Fs.rmSync(path)]
  ]

  it.live.each(changes)("begins a new generation and raises the alarm when it %s", ([, change]) => {
    const messages: Array<string> = []
    return Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, `{"n":0}\n{"n":1}\n{"n":2}\n`)
      const { destination, memory } = Destination.makeMemory()
      const first = yield* shipUntilStopped(path, { destinations: [{ destination }] })
      yield* within("the first generation", first.shipper.awaitShipped)
      const before = yield* first.shipper.source
      const shipped = memory.text(before)
      yield* first.stop
      change(path)
      const second = yield* shipUntilStopped(path, { destinations: [{ destination }] })
      yield* within("the second generation", second.shipper.awaitShipped)
      const after = yield* second.shipper.source
      assert.deepStrictEqual(after, { id: before.id, generation: 2 })
      assert.strictEqual(memory.text(before), shipped)
      assert.strictEqual(memory.text(after), Fs.existsSync(path) ? Fs.readFileSync(path, "utf8") : "")
      const alarm = messages.find((text) => text.startsWith("Error"))
      assert.include(alarm, "was restored, cut or repaired", messages.join())
      yield* second.stop
      // and it stays with that one
      const third = yield* ship(path, { destinations: [{ destination }] })
      yield* within("the third start", third.awaitShipped)
      assert.deepStrictEqual(yield* third.source, after)
    }).pipe(Effect.provide(logged(messages)))
  })

  live("is noticed as well when it is cut while it is shipped", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, `{"n":0}\n{"n":1}\n{"n":2}\n`)
      const { destination, memory } = Destination.makeMemory()
      const shipper = yield* ship(path, { destinations: [{ destination }] })
      yield* within("the first generation", shipper.awaitShipped)
      Fs.truncateSync(path, 8)
      yield* until("the next generation", Effect.map(shipper.source, ({ generation }) => generation === 2))
      yield* within("the second generation", shipper.awaitShipped)
      assert.strictEqual(memory.text(yield* shipper.source), `{"n":0}\n`)
    }))
})

describe("the lock of a source", () => {
  live("keeps a second shipper out until the first one has ended", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const { destination } = Destination.makeMemory()
      const { stop } = yield* shipUntilStopped(path, { destinations: [{ destination }] })
      const failure = yield* Effect.flip(ship(path, { destinations: [{ destination }] }))
      assert.strictEqual(failure.reason, "busy")
      yield* stop
      yield* ship(path, { destinations: [{ destination }] })
    }))
})

describe("two shippers by mistake", () => {
  live("double no record and lose none", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const log = yield* openRotating(path)
      const { destination, memory } = Destination.makeMemory()
      // the same log in two directories: another lock, the same source, as in two containers
      const other = `${path}.d`
      Fs.mkdirSync(other)
      const first = yield* ship(path, { destinations: [{ destination }], chunkSize: 600 })
      const source = yield* first.source
      const { Pump } = yield* Effect.promise(() => import("../src/internal/shipPump.ts"))
      const { Clock } = yield* Effect.promise(() => import("effect"))
      const pump = new Pump(destination, true, {
        live: path,
        port: yield* FilePort,
        clock: yield* Clock.Clock,
        chunkBytes: 900,
        lingerMillis: 0,
        pollMillis: 3,
        attemptMillis: 1000,
        retryMillisMax: 10,
        unshippedBytesMax: 1 << 30
      })
      const second = yield* Effect.forkScoped(pump.run(source))
      for (let i = 0; i < 60; i++) {
        yield* log.append(granted(`${i}`))
        if (i % 7 === 0) yield* Effect.sleep(4)
      }
      yield* within("the first", first.awaitShipped)
      yield* within("the second", pump.caughtUp)
      yield* Fiber.interrupt(second)
      assert.strictEqual(memory.text(source), logText(path))
    }))
})

describe("sealed segments", () => {
  live("are removed only when every required destination has them", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const appender = yield* FileAppender.make({ path, rotate: { size: 1000 } })
      const log = yield* openLog(appender)
      const good = Destination.makeMemory({ name: "good" })
      const slow = Destination.makeMemory({ name: "slow" })
      let isOpen = false
      const gated = around(slow.destination, (chunk, inner) => isOpen ? inner(chunk) : Effect.fail(rejected))
      for (let i = 0; i < 30; i++) yield* log.append(granted(`${i}`))
      const all = logText(path)
      const count = segments(path).length
      let checks = 0
      const checked = Effect.sync(() => checks++)
      const retain = { age: 1, appender: Effect.acquireRelease(Effect.succeed(appender), () => checked) }
      const options = { destinations: [{ destination: good.destination }, { destination: gated }], retain }

      const first = yield* shipUntilStopped(path, options)
      const source = yield* first.shipper.source
      yield* until("the good one", Effect.sync(() => good.memory.text(source) === all))
      yield* until("the check", Effect.sync(() => checks > 0))
      yield* first.stop
      assert.strictEqual(segments(path).length, count, "the slow one does not have them")

      isOpen = true
      const second = yield* shipUntilStopped(path, options)
      yield* until("the removal", Effect.sync(() => segments(path).length < count))
      yield* within("both", second.shipper.awaitShipped)
      yield* second.stop
      const removed = logText(path).split("\n").filter((line) => line.includes("auditlog/SegmentRemoved"))
      assert.isAbove(removed.length, 0)
      assert.isTrue(good.memory.text(source).startsWith(all))
      assert.isTrue(slow.memory.text(source).startsWith(all))

      // what is left and what follows is shipped on
      yield* log.append(granted("last"))
      const { shipper, stop } = yield* shipUntilStopped(path, { ...options, retain: undefined })
      yield* within("both", shipper.awaitShipped)
      assert.deepStrictEqual(yield* shipper.source, source)
      assert.strictEqual(good.memory.text(source), slow.memory.text(source))
      assert.include(good.memory.text(source), `"role":"last"`)
      yield* stop
    }))

  live("that were compressed before they were shipped are not passed over, but named", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const log = yield* openRotating(path)
      for (let i = 0; i < 30; i++) yield* log.append(granted(`${i}`))
      const all = logText(path)
      const first = segments(path)[0]!.path
      Fs.renameSync(first, `${first}.gz`)
      const { destination, memory } = Destination.makeMemory()
      const before = yield* shipUntilStopped(path, { destinations: [{ destination }] })
      const error = yield* Effect.flip(within("its end", before.shipper.awaitShipped))
      assert.include(error.message, `${first}.gz is compressed and was not shipped; unpack it`)
      const source = yield* before.shipper.source
      assert.strictEqual(memory.text(source), "")
      yield* before.stop
      Fs.renameSync(`${first}.gz`, first)
      const { shipper, stop } = yield* shipUntilStopped(path, { destinations: [{ destination }] })
      yield* within("all of it", shipper.awaitShipped)
      assert.strictEqual(memory.text(source), all)
      yield* stop
    }))

  live("that were compressed after they were shipped do not stop it", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const log = yield* openRotating(path)
      for (let i = 0; i < 30; i++) yield* log.append(granted(`${i}`))
      const all = logText(path)
      const { destination, memory } = Destination.makeMemory()
      const first = yield* shipUntilStopped(path, { destinations: [{ destination }] })
      yield* within("all of it", first.shipper.awaitShipped)
      const source = yield* first.shipper.source
      yield* first.stop
      for (const { kind, path: sealed } of segments(path)) if (kind === "sealed") Fs.renameSync(sealed, `${sealed}.gz`)
      yield* log.append(granted("last"))
      const { shipper, stop } = yield* shipUntilStopped(path, { destinations: [{ destination }] })
      yield* within("the rest", shipper.awaitShipped)
      assert.deepStrictEqual(yield* shipper.source, source)
      assert.isTrue(memory.text(source).startsWith(all))
      assert.include(memory.text(source), `"role":"last"`)
      yield* stop
    }))
})

describe("stopping", () => {
  live("ends at once, also while a destination hangs", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, "{}\n")
      const { destination } = Destination.makeMemory()
      const scope = yield* Scope.make()
      const entered = yield* Latch.make()
      const hung = around(destination, () => Effect.andThen(entered.open, Effect.never))
      yield* Scope.provide(ship(path, { destinations: [{ destination: hung }] }), scope)
      yield* within("the chunk", entered.await)
      yield* within("the end", Scope.close(scope, Exit.void), 2000)
    }))
})
