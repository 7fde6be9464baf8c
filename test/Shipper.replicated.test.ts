import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Logger, Metric, type Scope } from "effect"
import * as Fs from "node:fs"
import { Appender, AuditError, Destination, FileAppender, Shipper } from "../src/index.ts"
import * as ShipMetrics from "../src/internal/shipMetrics.ts"
import { around, gated, logText, passing, rejected, until, within } from "./shipSupport.ts"
import { Audit, granted, openLog, temporaryLog } from "./support.ts"

const silent = Logger.layer([], { mergeWithExisting: false })

const live = <E>(title: string, body: Effect.Effect<void, E, Scope.Scope>) =>
  it.live(title, () => Effect.provide(body, silent))

/** A log in a file whose appends wait for destinations. */
const open = Effect.fnUntraced(function*(
  options: Partial<Shipper.ReplicatedOptions> & Pick<Shipper.ReplicatedOptions, "destinations">
) {
  const path = yield* temporaryLog
  const inner = yield* FileAppender.make({ path, rotate: { size: 5000 } })
  const { appender, shipper } = yield* Shipper.replicated(inner, {
    path,
    durability: "process",
    poll: 20,
    retryMax: 20,
    ...options
  })
  return { path, log: yield* openLog(appender), appender, shipper }
})

describe("a replicated append", () => {
  live(
    "succeeds only when the destination has the record, and its receipt says so",
    Effect.gen(function*() {
      const { destination, memory } = Destination.makeMemory()
      const { log, path, shipper } = yield* open({ destinations: [{ destination }] })
      const source = yield* shipper.source
      for (let i = 0; i < 30; i++) {
        const receipt = yield* within("the append", log.append(granted(`${i}`)))
        assert.strictEqual(receipt.durability, "replicated")
        assert.include(memory.text(source), String(receipt.hash))
      }
      assert.strictEqual(memory.text(source), logText(path))
    })
  )

  live(
    "holds for many fibers at once and for transactions",
    Effect.gen(function*() {
      const { destination, memory } = Destination.makeMemory()
      const { log, path, shipper } = yield* open({ destinations: [{ destination }] })
      const source = yield* shipper.source
      const append = (i: number) =>
        Effect.gen(function*() {
          if (i % 3 > 0) {
            const receipt = yield* log.append(granted(`${i}`))
            assert.include(memory.text(source), String(receipt.hash))
          } else {
            yield* log.transaction(Effect.andThen(log.append(granted(`${i}a`)), log.append(granted(`${i}b`))))
            assert.include(memory.text(source), `"role":"${i}b"`)
          }
        })
      yield* within(
        "the appends",
        Effect.forEach(Array.from({ length: 300 }, (_, i) => i), append, { concurrency: 50, discard: true })
      )
      assert.strictEqual(memory.text(source), logText(path))
    })
  )

  live(
    "waits for every required destination, and for no other",
    Effect.gen(function*() {
      const first = gated({ name: "first" })
      const second = gated({ name: "second" })
      const third = gated({ name: "third" })
      third.gate.isOpen = false
      const { log, shipper } = yield* open({
        destinations: [
          { destination: first.destination },
          { destination: second.destination },
          { destination: third.destination, required: false }
        ]
      })
      const source = yield* shipper.source
      second.gate.isOpen = false
      const done = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        Effect.tap(log.append(granted("1")), () => Deferred.succeed(done, undefined))
      )
      yield* until("the first one", Effect.sync(() => first.memory.text(source) !== ""))
      assert.isFalse(yield* Deferred.isDone(done))
      second.gate.isOpen = true
      const receipt = yield* within("the append", Fiber.join(fiber))
      assert.strictEqual(receipt.durability, "replicated")
      assert.include(second.memory.text(source), String(receipt.hash))
      assert.strictEqual(third.memory.text(source), "")
    })
  )

  live(
    "fails in time with a typed reason, and the record is in the log and shipped later",
    Effect.gen(function*() {
      const { destination, gate, memory } = gated()
      const { log, path, shipper } = yield* open({ destinations: [{ destination }], timeout: 60 })
      gate.isOpen = false
      const failure = yield* within("the failure", Effect.flip(log.append(granted("1"))), 3000)
      assert.instanceOf(failure.reason, AuditError.NotReplicated)
      assert.strictEqual(failure.committed, "unknown")
      assert.isFalse(failure.isRetryable)
      assert.include(failure.message, "not acknowledged by memory: no acknowledgement within 60 ms")
      assert.include(failure.message, "do not append it a second time")
      assert.include(logText(path), `"role":"1"`)
      gate.isOpen = true
      yield* within("the record", shipper.awaitShipped)
      assert.strictEqual(memory.text(yield* shipper.source), logText(path))
      assert.strictEqual((yield* log.append(granted("2"))).durability, "replicated")
    })
  )

  live(
    "degrades if asked to: it says so in the receipt, counts it, and waits no more until the destination is back",
    Effect.gen(function*() {
      const { destination, gate, memory } = gated({ name: "degrading" })
      const { log, path, shipper } = yield* open({
        destinations: [{ destination }],
        timeout: 150,
        onTimeout: "degrade"
      })
      assert.strictEqual((yield* log.append(granted("0"))).durability, "replicated")
      gate.isOpen = false
      assert.strictEqual((yield* within("the append", log.append(granted("1")), 3000)).durability, "synced")
      // ten that waited would take a second and a half
      const ten = Effect.forEach(Array.from({ length: 10 }, (_, i) => granted(`${i + 2}`)), log.append)
      for (const { durability } of yield* within("ten appends that do not wait", ten, 1000)) {
        assert.strictEqual(durability, "synced")
      }
      assert.strictEqual((yield* Metric.value(ShipMetrics.degraded("degrading"))).count, 11)
      gate.isOpen = true
      yield* within("the rest", shipper.awaitShipped)
      yield* until(
        "the end of it",
        Effect.map(log.append(granted("x")), ({ durability }) => durability === "replicated")
      )
      yield* within("the rest", shipper.awaitShipped)
      assert.strictEqual(memory.text(yield* shipper.source), logText(path))
    })
  )

  live(
    "fails at once when a required destination refuses",
    Effect.gen(function*() {
      const { destination, memory } = gated()
      const { log, path } = yield* open({ destinations: [{ destination }], timeout: 10_000 })
      memory.failNext(rejected)
      const failure = yield* within("the failure", Effect.flip(log.append(granted("1"))), 3000)
      assert.instanceOf(failure.reason, AuditError.NotReplicated)
      assert.include(failure.message, "the test says so")
      const next = yield* within("the failure", Effect.flip(log.append(granted("2"))), 3000)
      assert.instanceOf(next.reason, AuditError.NotReplicated)
      assert.strictEqual(logText(path).split("\n").length, 3, "both are in the log")
    })
  )

  live(
    "can be interrupted while it waits; the record is shipped all the same",
    Effect.gen(function*() {
      const { destination, gate, memory } = gated()
      const { log, path, shipper } = yield* open({ destinations: [{ destination }] })
      gate.isOpen = false
      const fiber = yield* Effect.forkChild(log.append(granted("1")))
      yield* until("the record", Effect.sync(() => logText(path) !== ""))
      yield* within("the interruption", Fiber.interrupt(fiber), 2000)
      gate.isOpen = true
      yield* within("the rest", shipper.awaitShipped)
      assert.strictEqual(memory.text(yield* shipper.source), logText(path))
    })
  )

  live(
    "refuses a transaction that the destination could not take, before anything is written",
    Effect.gen(function*() {
      const { destination } = Destination.makeMemory({ capabilities: { chunkBytesMax: 2000 } })
      const { log, path } = yield* open({ destinations: [{ destination }] })
      const failure = yield* Effect.flip(log.appendAll(Array.from({ length: 8 }, (_, i) => granted(`${i}`))))
      assert.strictEqual(failure.reason._tag, "TransactionTooLarge")
      assert.strictEqual(logText(path), "")
    })
  )

  it.effect.each(["alarm", "wait"] as const)(
    "with more than the maximum unshipped (\"%s\")",
    (atUnshippedMax) =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        const file = yield* FileAppender.make({ path })
        let begun = 0
        const inner = {
          ...file,
          append: (records: Parameters<typeof file.append>[0]) =>
            Effect.suspend(() => {
              begun++
              return file.append(records)
            })
        }
        const { destination, gate, memory } = gated()
        const { appender, shipper } = yield* Shipper.replicated(inner, {
          path,
          destinations: [{ destination }],
          durability: "process",
          retryMax: 20,
          unshippedMax: 1500,
          atUnshippedMax,
          timeout: 50,
          onTimeout: "degrade"
        })
        const log = yield* openLog(appender)
        gate.isOpen = false
        // the first one waits in vain, the others do not wait for the acknowledgement
        const first = yield* Effect.forkChild(log.append(granted("0")))
        yield* passing("the first append", 50, Effect.sync(() => first.pollUnsafe() !== undefined))
        for (let i = 1; i < 8; i++) yield* log.append(granted(`${i}`))
        yield* passing("the count", 250, Effect.map(shipper.status, ([status]) => status!.lagBytes > 1500))
        // this one runs until it waits for something: for room, or for the file
        const next = yield* Effect.forkChild(log.append(granted("next")), { startImmediately: true })
        assert.strictEqual(begun, atUnshippedMax === "wait" ? 8 : 9)
        gate.isOpen = true
        yield* passing("the append", 20, Effect.sync(() => next.pollUnsafe() !== undefined))
        yield* passing(
          "the rest",
          20,
          Effect.map(shipper.source, (source) => memory.text(source) === logText(path))
        )
        assert.strictEqual(begun, 9)
      }).pipe(Effect.provide(silent))
  )

  live(
    "that was degraded waits again when the destination has caught up, although there is always more to ship",
    Effect.gen(function*() {
      const { destination, gate } = gated({ name: "busy" })
      let path = ""
      // others append as fast as it takes what is there
      const busy = around(destination, (chunk, inner) =>
        Effect.andThen(Effect.sleep(2), inner(chunk)).pipe(
          Effect.tap(() => Effect.sync(() => Fs.appendFileSync(path, "{}\n")))
        ))
      const opened = yield* open({ destinations: [{ destination: busy }], timeout: 60, onTimeout: "degrade" })
      path = opened.path
      gate.isOpen = false
      assert.strictEqual((yield* within("the append", opened.log.append(granted("1")))).durability, "synced")
      gate.isOpen = true
      yield* until(
        "the end of it",
        Effect.map(opened.log.append(granted("2")), ({ durability }) => durability === "replicated")
      )
      assert.notStrictEqual((yield* opened.shipper.status)[0]?.state, "idle")
    })
  )

  live(
    "is what the layer gives to a log",
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const { destination } = Destination.makeMemory()
      const layer = Audit.layer.pipe(
        Layer.provide(Shipper.layerReplicated({ path, destinations: [{ destination }], durability: "process" })),
        Layer.provide(FileAppender.layer({ path }))
      )
      const receipt = yield* Effect.provide(Audit.use((audit) => audit.append(granted("1"))), layer)
      assert.strictEqual(receipt.durability, "replicated")
    })
  )

  live(
    "is refused at the start where the destination is too weak",
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const { destination } = Destination.makeMemory()
      const { appender } = Appender.makeMemory()
      const failure = yield* Effect.flip(
        Shipper.replicated(appender, { path, destinations: [{ destination }], durability: "quorum" })
      )
      assert.strictEqual(failure.reason, "weak")
    })
  )
})
