import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { AuditError } from "../src/index.ts"
import { granted, openFileLog, openGatedLog, openMemoryLog, plainLines, rolesAt, rolesIn } from "./support.ts"

const refuse = Effect.fail("refused" as const)

describe("scoped", () => {
  it.effect("lands what its writer appended when the scope closes with success, and nothing before", () =>
    Effect.gen(function*() {
      const { log, path, size } = yield* openFileLog()
      const value = yield* Effect.scoped(Effect.gen(function*() {
        const writer = yield* log.scoped
        assert.strictEqual((yield* writer.append(granted("a"))).durability, "buffered")
        yield* writer.appendAll([granted("b"), granted("c")])
        assert.strictEqual(size(), 0)
        return 42
      }))
      assert.strictEqual(value, 42)
      assert.deepStrictEqual(rolesAt(path), ["a", "b", "c"])
    }))

  it.effect("makes one transaction of it", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      yield* Effect.scoped(
        Effect.flatMap(log.scoped, (writer) => Effect.andThen(writer.append(granted("a")), writer.append(granted("b"))))
      )
      assert.deepStrictEqual(plainLines(yield* memory.text).map(({ stamp }) => stamp.tx?.n), [2, 2])
    }))

  it.effect("binds its own writer only: the log itself appends at once", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      yield* Effect.flip(Effect.scoped(Effect.gen(function*() {
        const writer = yield* log.scoped
        yield* writer.append(granted("discarded"))
        assert.strictEqual((yield* log.append(granted("direct"))).durability, "memory")
        return yield* refuse
      })))
      assert.deepStrictEqual(rolesIn(yield* memory.text), ["direct"])
    }))

  const outcomes: ReadonlyArray<{ readonly how: string; readonly end: Effect.Effect<never, "refused"> }> = [
    { how: "a failure", end: refuse },
    { how: "a defect", end: Effect.die(new Error("a bug")) },
    { how: "an interruption", end: Effect.interrupt }
  ]
  it.effect.each(outcomes)("writes no byte when the scope closes with $how", ({ end }) =>
    Effect.gen(function*() {
      const { log, size } = yield* openFileLog()
      const exit = yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
        const writer = yield* log.scoped
        yield* writer.append(granted("a"))
        return yield* end
      })))
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(size(), 0)
    }))

  it.effect("goes by the exit the scope is closed with, whoever closes it", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      const open = Effect.gen(function*() {
        const scope = yield* Scope.make()
        const writer = yield* Scope.provide(log.scoped, scope)
        return { scope, writer }
      })
      const good = yield* open
      const bad = yield* open
      yield* good.writer.append(granted("good"))
      yield* bad.writer.append(granted("bad"))
      yield* Scope.close(bad.scope, Exit.fail("refused"))
      assert.strictEqual(yield* memory.text, "")
      yield* Scope.close(good.scope, Exit.void)
      assert.deepStrictEqual(rolesIn(yield* memory.text), ["good"])
    }))

  it.effect("writes nothing for a writer that appended nothing", () =>
    Effect.gen(function*() {
      const { log, size } = yield* openFileLog()
      yield* Effect.scoped(log.scoped)
      assert.strictEqual(size(), 0)
    }))

  it.effect("turns a failure of the write into a defect that is the error", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      const reason = new AuditError.StorageFull({ path: "nowhere", code: "ENOSPC", committed: "no" })
      yield* memory.failNext(reason)
      const exit = yield* Effect.exit(Effect.scoped(Effect.flatMap(log.scoped, (_) => _.append(granted("a")))))
      assert(Exit.isFailure(exit))
      assert.isFalse(Cause.hasFails(exit.cause))
      const defects = exit.cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect)
      assert.strictEqual(defects.length, 1)
      assert.instanceOf(defects[0], AuditError.AuditError)
      assert.strictEqual(defects[0].reason, reason)
      assert.strictEqual(yield* memory.text, "")
    }))

  it.effect("completes its write although the closing is interrupted", () =>
    Effect.gen(function*() {
      const { entered, gate, log, memory } = yield* openGatedLog
      const fiber = yield* Effect.forkChild(Effect.scoped(Effect.flatMap(log.scoped, (_) => _.append(granted("a")))))
      yield* Deferred.await(entered)
      fiber.interruptUnsafe()
      yield* gate.open
      yield* Fiber.await(fiber)
      assert.deepStrictEqual(rolesIn(yield* memory.text), ["a"])
    }))

  it.effect("refuses what its writer appends after the scope has closed", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      const writer = yield* Effect.scoped(log.scoped)
      const errors = [
        yield* Effect.flip(writer.append(granted("late"))),
        yield* Effect.flip(writer.appendAll([granted("late"), granted("late")]))
      ]
      assert.deepStrictEqual(errors.map(({ reason }) => reason._tag), ["TransactionClosed", "TransactionClosed"])
      assert.strictEqual(yield* memory.text, "")
    }))

  describe("inside a transaction", () => {
    it.effect("joins it", () =>
      Effect.gen(function*() {
        const { log, memory } = yield* openMemoryLog()
        yield* log.transaction(Effect.gen(function*() {
          yield* log.append(granted("1"))
          yield* Effect.scoped(Effect.flatMap(log.scoped, (writer) => writer.append(granted("2"))))
          assert.strictEqual(yield* memory.text, "")
          yield* log.append(granted("3"))
        }))
        const lines = plainLines(yield* memory.text)
        assert.deepStrictEqual(lines.map(({ record }) => record["role"]), ["1", "2", "3"])
        assert.deepStrictEqual(lines.map(({ stamp }) => stamp.tx?.n), [3, 3, 3])
      }))

    it.effect("is discarded with it", () =>
      Effect.gen(function*() {
        const { log, memory } = yield* openMemoryLog()
        const inner = Effect.scoped(Effect.flatMap(log.scoped, (writer) => writer.append(granted("inner"))))
        yield* Effect.flip(log.transaction(Effect.andThen(inner, refuse)))
        assert.strictEqual(yield* memory.text, "")
      }))

    it.effect("is discarded alone when only its scope closes with a failure", () =>
      Effect.gen(function*() {
        const { log, memory } = yield* openMemoryLog()
        yield* log.transaction(Effect.gen(function*() {
          yield* log.append(granted("1"))
          yield* Effect.ignore(Effect.scoped(Effect.gen(function*() {
            yield* (yield* log.scoped).append(granted("lost"))
            return yield* refuse
          })))
          yield* log.append(granted("2"))
        }))
        assert.deepStrictEqual(rolesIn(yield* memory.text), ["1", "2"])
      }))

    it.effect("dies rather than lose records silently when its scope outlives the transaction", () =>
      Effect.gen(function*() {
        const { log, memory } = yield* openMemoryLog()
        const exit = yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
          const writer = yield* log.transaction(Effect.tap(log.scoped, (writer) => writer.append(granted("early"))))
          assert.strictEqual((yield* Effect.flip(writer.append(granted("late")))).reason._tag, "TransactionClosed")
        })))
        assert(Exit.isFailure(exit))
        const [defect] = exit.cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect)
        assert.instanceOf(defect, AuditError.AuditError)
        assert.strictEqual(defect.reason._tag, "TransactionClosed")
        assert.strictEqual(yield* memory.text, "")
      }))
  })
})
