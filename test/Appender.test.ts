import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Result } from "effect"
import * as Fs from "node:fs"
import { Appender, AuditError, Codec, FileAppender } from "../src/index.ts"
import { appenderSuite } from "./appenderSuite.ts"
import { temporaryLog } from "./support.ts"

class Target extends Context.Service<Target, { readonly path: string }>()("test/Target") {}

const file = (sync: FileAppender.SyncPolicy) =>
  Layer.unwrap(Effect.map(Target, ({ path }) => FileAppender.layer({ path, sync }))).pipe(
    Layer.provideMerge(Layer.effect(Target, Effect.map(temporaryLog, (path) => ({ path }))))
  )

const readFile = Target.use(({ path }) => Effect.sync(() => Fs.readFileSync(path, "utf8")))

appenderSuite("memory", {
  layer: Appender.layerMemory,
  read: Appender.Memory.use(({ text }) => text),
  durability: "memory"
})
appenderSuite("file, sync always", { layer: file("always"), read: readFile, durability: "synced" })
appenderSuite("file, sync never", { layer: file("never"), read: readFile, durability: "unsynced" })
appenderSuite("file, sync every second", {
  layer: file({ every: "1 second" }),
  read: readFile,
  durability: "deferred"
})

describe("Appender.layerMemory", () => {
  const record = (n: number) => Result.getOrThrow(Codec.encode({ n }, { at: "2026-11-23T09:15:02.114Z", value: { n } }))
  const full = new AuditError.StorageFull({ path: "nowhere", code: "ENOSPC", committed: "unknown" })

  it.effect("holds the records as they were appended, in the order of the text", () =>
    Effect.gen(function*() {
      const appender = yield* Appender.Appender
      const memory = yield* Appender.Memory
      const records = [record(0), record(1), record(2)]
      yield* appender.append(records.slice(0, 1))
      yield* appender.append(records.slice(1))
      const held = yield* memory.records
      assert.strictEqual(held.length, 3)
      held.forEach((one, i) => assert.strictEqual(one, records[i]))
    }).pipe(Effect.provide(Appender.layerMemory)))

  it.effect("fails as often as it was told to, stores nothing of it, and then goes on", () =>
    Effect.gen(function*() {
      const appender = yield* Appender.Appender
      const memory = yield* Appender.Memory
      yield* memory.failNext(full, { times: 2 })
      yield* memory.failNext(new AuditError.Closed({ path: "nowhere" }))
      const reasons = yield* Effect.forEach([0, 1, 2], () => Effect.flip(appender.append([record(0)])))
      assert.deepStrictEqual(reasons.map(({ reason }) => reason._tag), ["StorageFull", "StorageFull", "Closed"])
      assert.strictEqual(reasons[0]!.reason, full)
      assert.strictEqual(yield* memory.text, "")
      assert.strictEqual((yield* appender.append([record(0)]))[0]!.seq, 0)
    }).pipe(Effect.provide(Appender.layerMemory)))

  it.effect("gives every build a log of its own", () =>
    Effect.gen(function*() {
      const append = Appender.Appender.use((appender) => appender.append([record(0)]))
      const text = Appender.Memory.use((memory) => memory.text)
      yield* Effect.provide(append, Appender.layerMemory)
      assert.strictEqual(yield* Effect.provide(text, Appender.layerMemory), "")
    }))
})
