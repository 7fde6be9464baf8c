/**
 * Which local segments go: never one that a required destination lacks. `prune` looks when it is told to, so that "it
 * stays" is no matter of how long one watches.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Logger, type Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import { Destination, FileAppender, Segment, type Shipper } from "../src/index.ts"
import { eventually, gated, passing, ship } from "./shipSupport.ts"
import { temporaryLog } from "./support.ts"

const nowMillis = Date.parse("2026-11-25T12:00:00.000Z")
const hourMillis = 3_600_000
const writer = "01JDAAAAAAAAAAAAAAAAAAAAAA"

const effect = <E>(title: string, body: () => Effect.Effect<void, E, Scope.Scope>) =>
  it.effect(title, () => Effect.provide(body(), Logger.layer([], { mergeWithExisting: false })))

/** A log with segments that were sealed so many hours ago, and a live file. */
const logWith = Effect.fnUntraced(function*(...hours: ReadonlyArray<number>) {
  yield* TestClock.setTime(nowMillis)
  const path = yield* temporaryLog
  const sealed = hours.map((ago) => {
    const name = Segment.sealedPath(path, new Date(nowMillis - ago * hourMillis).toISOString(), writer)
    Fs.writeFileSync(name, `{"sealed":${ago}}\n`)
    return name
  })
  Fs.writeFileSync(path, `{"live":1}\n`)
  return { path, sealed, kept: () => sealed.map((name) => Fs.existsSync(name)) }
})

const retaining = (path: string, more: Omit<Shipper.RetainOptions, "appender"> = {}): Shipper.RetainOptions => ({
  ...more,
  appender: FileAppender.make({ path })
})

const hasAll = (shipper: Shipper.Shipper, name: string) =>
  Effect.map(
    shipper.status,
    (all) => all.some(({ destination, lagBytes, state }) => destination === name && state === "idle" && lagBytes === 0)
  )

effect(
  "a shipped segment stays 24 hours after it was sealed, and goes then, with a record of that in the log",
  () =>
    Effect.gen(function*() {
      const tenSeconds = 1 / 360
      const { kept, path, sealed } = yield* logWith(25, 24 - tenSeconds)
      const { destination } = Destination.makeMemory()
      const shipper = yield* ship(path, { destinations: [{ destination }], poll: "1 second", retain: retaining(path) })
      yield* shipper.awaitShipped
      yield* shipper.prune
      assert.deepStrictEqual(kept(), [false, true])
      assert.include(Fs.readFileSync(path, "utf8"), sealed[0]!.slice(sealed[0]!.lastIndexOf("/") + 1))
      yield* TestClock.adjust("10 seconds")
      yield* shipper.prune
      assert.deepStrictEqual(kept(), [false, true], "exactly 24 hours")
      // nobody has to ask
      yield* passing("the look of every minute", "10 seconds", Effect.sync(() => !kept()[1]))
    })
)

effect("a segment stays, however old it is, until every required destination has it", () =>
  Effect.gen(function*() {
    const { kept, path } = yield* logWith(100, 99)
    const slow = gated({ name: "slow" })
    slow.gate.isOpen = false
    const { destination } = Destination.makeMemory({ name: "quick" })
    const shipper = yield* ship(path, {
      destinations: [{ destination }, { destination: slow.destination }],
      retain: retaining(path)
    })
    yield* eventually("the quick one", hasAll(shipper, "quick"))
    yield* shipper.prune
    assert.deepStrictEqual(kept(), [true, true])
    slow.gate.isOpen = true
    yield* passing("the slow one", 20, hasAll(shipper, "slow"))
    yield* shipper.prune
    assert.deepStrictEqual(kept(), [false, false])
  }))

effect(
  "a segment does not stay for a destination that is not required, be it refused or away",
  () =>
    Effect.gen(function*() {
      const { kept, path } = yield* logWith(100)
      const away = gated({ name: "away" })
      away.gate.isOpen = false
      const { destination } = Destination.makeMemory({ name: "quick" })
      const shipper = yield* ship(path, {
        destinations: [{ destination }, { destination: away.destination, required: false }],
        retain: retaining(path)
      })
      yield* eventually("the quick one", hasAll(shipper, "quick"))
      yield* shipper.prune
      assert.deepStrictEqual(kept(), [false])
    })
)

effect("no segment goes where nothing is required, and none unless it is asked for", () =>
  Effect.gen(function*() {
    const { kept, path } = yield* logWith(100)
    const { destination } = Destination.makeMemory({ name: "quick" })
    for (const options of [{ required: false, retain: retaining(path) }, { required: true, retain: undefined }]) {
      yield* Effect.scoped(Effect.gen(function*() {
        const { required, retain } = options
        const shipper = yield* ship(path, { destinations: [{ destination, required }], retain })
        yield* eventually("all being shipped", hasAll(shipper, "quick"))
        yield* shipper.prune
      }))
      assert.deepStrictEqual(kept(), [true])
    }
  }))

effect("the oldest segments go while all together are too large, and no more than that", () =>
  Effect.gen(function*() {
    const { kept, path } = yield* logWith(3, 2, 1)
    const { destination } = Destination.makeMemory({ name: "quick" })
    const shipper = yield* ship(path, {
      destinations: [{ destination }],
      // the live file has 11 bytes and each segment 13
      retain: retaining(path, { size: 11 + 2 * 13 })
    })
    yield* shipper.awaitShipped
    yield* shipper.prune
    assert.deepStrictEqual(kept(), [false, true, true])
  }))
