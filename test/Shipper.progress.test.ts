/**
 * How far a destination is: what is counted and said of it, when it is tried again, and that it holds up nobody. Under a
 * test's clock, so that hours pass at once and nothing depends on how fast the machine is.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Logger, Metric, type Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import { Destination, FileAppender, type Shipper } from "../src/index.ts"
import * as ShipMetrics from "../src/internal/shipMetrics.ts"
import { around, eventually, gated, logged, logText, passing, ship, txLine, unavailable } from "./shipSupport.ts"
import { granted, openLog, temporaryLog } from "./support.ts"

const writer = "01JDAAAAAAAAAAAAAAAAAAAAAA"
const lineMillis = Date.parse("2026-11-23T09:15:02.114Z")

const effect = <E>(title: string, body: () => Effect.Effect<void, E, Scope.Scope>) =>
  it.effect(title, () => Effect.provide(body(), Logger.layer([], { mergeWithExisting: false })))

const only = (shipper: Shipper.Shipper) => Effect.map(shipper.status, ([status]) => status!)

const inState = (shipper: Shipper.Shipper, state: Shipper.Status["state"]) =>
  Effect.map(only(shipper), (status) => status.state === state)

const gauges = (name: string) =>
  Effect.gen(function*() {
    return {
      lagBytes: (yield* Metric.value(ShipMetrics.lagBytes(name))).value,
      lagSeconds: (yield* Metric.value(ShipMetrics.lagSeconds(name))).value
    }
  })

const counters = (name: string) =>
  Effect.gen(function*() {
    return {
      chunks: (yield* Metric.value(ShipMetrics.chunks(name))).count,
      lines: (yield* Metric.value(ShipMetrics.lines(name))).count,
      bytes: (yield* Metric.value(ShipMetrics.bytes(name))).count,
      retries: (yield* Metric.value(ShipMetrics.retries(name))).count
    }
  })

describe("the metrics of a destination", () => {
  effect(
    "say what it lacks in bytes and seconds, how often it was tried, and what it has taken",
    () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        const text = [0, 1, 2].map((seq) => txLine(writer, seq)).join("")
        Fs.writeFileSync(path, text)
        yield* TestClock.setTime(lineMillis + 7000)
        const { destination, gate } = gated({ name: "metered" })
        gate.isOpen = false
        const shipper = yield* ship(path, { destinations: [{ destination }] })
        yield* eventually("the failure", inState(shipper, "retrying"))
        assert.deepStrictEqual(yield* gauges("metered"), { lagBytes: text.length, lagSeconds: 7 })
        assert.deepStrictEqual(yield* counters("metered"), { chunks: 0, lines: 0, bytes: 0, retries: 1 })
        assert.deepInclude(yield* only(shipper), { lagBytes: text.length, lagMillis: 7000, offset: undefined })
        // a pause has 10 ms at least
        yield* passing("more attempts", 9, Effect.map(counters("metered"), ({ retries }) => retries === 3))
        gate.isOpen = true
        yield* passing("the acknowledgement", 20, inState(shipper, "idle"))
        assert.deepStrictEqual(yield* counters("metered"), { chunks: 1, lines: 3, bytes: text.length, retries: 3 })
        assert.deepStrictEqual(yield* gauges("metered"), { lagBytes: 0, lagSeconds: 0 })
        assert.deepInclude(yield* only(shipper), { lagBytes: 0, lagMillis: 0, offset: text.length, problem: "" })
      })
  )

  effect("go on while it gives no answer", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, txLine(writer, 0))
      yield* TestClock.setTime(lineMillis)
      const entered = yield* Latch.make()
      const hung = around(
        Destination.makeMemory({ name: "silent" }).destination,
        () => Effect.andThen(entered.open, Effect.never)
      )
      yield* ship(path, { destinations: [{ destination: hung }], attemptTimeout: "1 hour" })
      yield* entered.await
      for (let seq = 1; seq < 4; seq++) {
        Fs.appendFileSync(path, txLine(writer, seq))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* gauges("silent"), { lagBytes: logText(path).length, lagSeconds: seq })
      }
    }))

  effect("include at once what is under way", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, txLine(writer, 0))
      yield* TestClock.setTime(lineMillis)
      const entered = yield* Latch.make()
      let chunks = 0
      const hung = around(
        Destination.makeMemory({ name: "under way" }).destination,
        (chunk, inner) => chunks++ === 0 ? inner(chunk) : Effect.andThen(entered.open, Effect.never)
      )
      const shipper = yield* ship(path, { destinations: [{ destination: hung }] })
      yield* shipper.awaitShipped
      assert.deepInclude(yield* only(shipper), { lagBytes: 0, state: "idle" })
      yield* TestClock.adjust(10)
      Fs.appendFileSync(path, txLine(writer, 1))
      yield* TestClock.setTime(lineMillis + 20)
      yield* entered.await
      // it was counted a moment ago, and is counted again only in 230 ms
      assert.deepInclude(yield* only(shipper), { lagBytes: txLine(writer, 1).length, lagMillis: 20 })
    }))

  effect(
    "begin with the start of the shipper where it has never answered, and are 0 where it lacks nothing",
    () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(lineMillis)
        const [full, empty] = [yield* temporaryLog, yield* temporaryLog]
        Fs.writeFileSync(full, txLine(writer, 0))
        const down = (name: string): Destination.Destination => ({
          ...Destination.makeMemory({ name }).destination,
          head: () => Effect.fail(unavailable)
        })
        for (const [path, name] of [[full, "never there"], [empty, "never needed"]] as const) {
          const shipper = yield* ship(path, { destinations: [{ destination: down(name) }] })
          yield* eventually("the failure", inState(shipper, "retrying"))
        }
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* gauges("never there"), { lagBytes: txLine(writer, 0).length, lagSeconds: 60 })
        assert.deepStrictEqual(yield* gauges("never needed"), { lagBytes: 0, lagSeconds: 0 })
      })
  )
})

describe("more unshipped bytes than the maximum", () => {
  it.effect("are an alarm, once each time, and hold up no append", () => {
    const messages: Array<string> = []
    const alarms = () => messages.filter((text) => text.startsWith("Error") && text.includes("the alarm is at 1000"))
    return Effect.gen(function*() {
      const path = yield* temporaryLog
      const log = yield* openLog(yield* FileAppender.make({ path }))
      const { destination, gate, memory } = gated({ name: "slow" })
      const shipper = yield* ship(path, { destinations: [{ destination }], unshippedMax: 1000 })
      for (let round = 1; round < 3; round++) {
        gate.isOpen = false
        // each of them returns although nothing goes out and no time passes
        for (let i = 0; i < 6; i++) yield* log.append(granted(`${round}/${i}`))
        yield* passing("the alarm", 250, Effect.sync(() => alarms().length > round - 1))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(alarms().length, round, messages.join("\n"))
        assert.match(alarms()[round - 1] ?? "", /\d{4} bytes are not shipped to slow/)
        gate.isOpen = true
        yield* passing("the rest", 20, inState(shipper, "idle"))
      }
      assert.strictEqual(memory.text(yield* shipper.source), logText(path))
    }).pipe(Effect.provide(logged(messages)))
  })
})

describe("a destination that cannot be reached", () => {
  effect(
    "is asked where it stands before every attempt, for ever, with pauses up to a maximum",
    () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        Fs.writeFileSync(path, "{}\n")
        const { destination, gate, memory } = gated({ name: "away" })
        gate.isOpen = false
        const shipper = yield* ship(path, { destinations: [{ destination }], retryMax: "5 seconds" })
        yield* eventually("the failure", inState(shipper, "retrying"))
        const pauses: Array<number> = []
        let before = 0
        for (let millis = 0; millis < 600_000; millis += 50) {
          yield* TestClock.adjust(50)
          if (gate.appends === pauses.length + 1) continue
          pauses.push(millis + 50 - before)
          before = millis + 50
        }
        // doubled each time from 100 ms on, and spread over the upper half
        for (const [i, pause] of pauses.entries()) {
          const most = Math.min(5000, 100 * 2 ** i)
          assert.isTrue(pause >= most / 2 && pause <= most + 50, `pause ${i} of ${pause} ms`)
        }
        assert.isAbove(pauses.length, 600 / 5)
        assert.strictEqual(gate.heads, gate.appends)
        gate.isOpen = true
        yield* passing("the record", 50, inState(shipper, "idle"))
        assert.strictEqual(memory.text(yield* shipper.source), "{}\n")
      })
  )
})

describe("a destination that refuses", () => {
  it.effect.each(["tooLarge", "denied", "full", "invalid"] as const)(
    "with \"%s\" stops and raises the alarm; it is never asked again, and nothing is skipped",
    (reason) => {
      const messages: Array<string> = []
      return Effect.gen(function*() {
        const path = yield* temporaryLog
        Fs.writeFileSync(path, "{}\n")
        const { destination, memory } = Destination.makeMemory({ name: "strict" })
        let appends = 0
        const counted = around(destination, (chunk, inner) => {
          appends++
          return inner(chunk)
        })
        memory.failNext(
          new Destination.DestinationRejected({ destination: "strict", reason, problem: "the test says so" })
        )
        const shipper = yield* ship(path, { destinations: [{ destination: counted }] })
        const failure = yield* Effect.flip(shipper.ended)
        assert.include(failure.message, "strict refuses: the test says so")
        assert.include(failure.message, "Nothing is skipped")
        Fs.appendFileSync(path, "{}\n")
        yield* shipper.wake
        yield* TestClock.adjust("1 day")
        assert.deepInclude(yield* only(shipper), { state: "stopped", offset: undefined })
        assert.strictEqual(appends, 1)
        assert.strictEqual(memory.text(yield* shipper.source), "")
        assert.strictEqual(messages.filter((text) => text.startsWith("Error")).length, 1, messages.join("\n"))
      }).pipe(Effect.provide(logged(messages)))
    }
  )
})

describe("a destination that hangs", () => {
  const hung: ReadonlyArray<readonly [when: string, destination: Destination.Destination]> = [
    ["when it is asked where it stands", {
      ...Destination.makeMemory({ name: "hung" }).destination,
      head: () => Effect.never
    }],
    ["in the middle of a chunk", around(Destination.makeMemory({ name: "hung" }).destination, () => Effect.never)]
  ]

  it.effect.each(hung)("holds up neither appends nor the others, %s", ([, destination]) =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const log = yield* openLog(yield* FileAppender.make({ path }))
      const good = Destination.makeMemory({ name: "good" })
      const shipper = yield* ship(path, {
        destinations: [{ destination }, { destination: good.destination, required: false }]
      })
      const source = yield* shipper.source
      for (let i = 0; i < 20; i++) {
        // the clock stands still: what waits for the one that hangs never returns
        yield* log.append(granted(`${i}`))
        yield* shipper.wake
        yield* eventually("the other one", Effect.sync(() => good.memory.text(source) === logText(path)))
      }
      // it is required, so that this waits for it as long as it may
      const waited = yield* Effect.forkChild(Effect.timeoutOption(shipper.awaitShipped, "5 seconds"))
      yield* passing("the end of the waiting", "1 second", Effect.sync(() => waited.pollUnsafe() !== undefined))
      assert.deepStrictEqual((yield* shipper.status).map(({ offset }) => offset), [undefined, logText(path).length])
    }).pipe(Effect.provide(Logger.layer([], { mergeWithExisting: false }))))
})

describe("a chunk", () => {
  effect("waits for more no longer than the linger", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, `{"n":0}\n`)
      const { destination, memory } = Destination.makeMemory()
      const shipper = yield* ship(path, {
        destinations: [{ destination }],
        linger: undefined,
        poll: "1 hour",
        watch: false
      })
      const source = yield* shipper.source
      yield* eventually("the first", inState(shipper, "idle"))
      Fs.appendFileSync(path, `{"n":1}\n`)
      yield* shipper.wake
      yield* TestClock.adjust(4)
      Fs.appendFileSync(path, `{"n":2}\n`)
      yield* TestClock.adjust("999 micros")
      assert.strictEqual(memory.chunks(source).length, 1)
      yield* TestClock.adjust(1)
      yield* eventually("the second", Effect.sync(() => memory.chunks(source).length > 1))
      assert.deepStrictEqual(memory.chunks(source).map(({ lines }) => lines), [1, 2])
    }))

  effect("has up to 256 KiB, and a log that is behind goes in as few as that makes", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, `{"text":"${"x".repeat(985)}"}\n`.repeat(1024))
      const { destination, memory } = Destination.makeMemory()
      const shipper = yield* ship(path, { destinations: [{ destination }] })
      yield* eventually("all of it", inState(shipper, "idle"))
      const sizes = memory.chunks(yield* shipper.source).map(({ bytes }) => bytes.length)
      assert.isAtMost(Math.max(...sizes), 256 * 1024)
      assert.strictEqual(sizes.length, Math.ceil(logText(path).length / (256 * 1024)))
    }))

  effect("never has lines of two segments, however small they are", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const log = yield* openLog(yield* FileAppender.make({ path, rotate: { size: 600 } }))
      for (let i = 0; i < 30; i++) yield* log.append(granted(`${i}`))
      const { destination, memory } = Destination.makeMemory()
      const shipper = yield* ship(path, { destinations: [{ destination }] })
      yield* eventually("all of it", inState(shipper, "idle"))
      const source = yield* shipper.source
      const folder = path.slice(0, path.lastIndexOf("/"))
      const files = Fs.readdirSync(folder).filter((name) => name.endsWith(".jsonl")).map((name) =>
        Fs.readFileSync(`${folder}/${name}`, "utf8")
      )
      assert.isAbove(files.length, 5)
      for (const { bytes } of memory.chunks(source)) {
        assert.isTrue(files.some((text) => text.includes(Buffer.from(bytes).toString())))
      }
      assert.strictEqual(memory.text(source), logText(path))
    }))
})

describe("a source", () => {
  effect("goes with its log to another directory, and is shipped on there", () =>
    Effect.gen(function*() {
      const [here, there] = [yield* temporaryLog, yield* temporaryLog]
      const { destination, memory } = Destination.makeMemory()
      Fs.writeFileSync(here, `{"n":0}\n`)
      const source = yield* Effect.scoped(Effect.gen(function*() {
        const shipper = yield* ship(here, { destinations: [{ destination }] })
        yield* eventually("the first", inState(shipper, "idle"))
        return yield* shipper.source
      }))
      assert.match(source.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      for (const name of ["", ".source"]) Fs.renameSync(`${here}${name}`, `${there}${name}`)
      Fs.appendFileSync(there, `{"n":1}\n`)
      const shipper = yield* ship(there, { destinations: [{ destination }] })
      yield* eventually("the second", inState(shipper, "idle"))
      assert.deepStrictEqual(yield* shipper.source, source)
      assert.deepStrictEqual(memory.chunks(source).map(({ from }) => from), [0, 8])
    }))
})
