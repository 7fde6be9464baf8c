import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber } from "effect"
import * as Fs from "node:fs"
import { Appender, AuditError } from "../src/index.ts"
import { granted, openFileLog, openGatedLog, openLog, openMemoryLog, plainLines, rolesAt, rolesIn } from "./support.ts"

const full = new AuditError.StorageFull({ path: "nowhere", code: "ENOSPC", committed: "no" })

/** Takes a failure that stands for a bug in the program. */
const refuse = Effect.fail("refused" as const)

describe("a transaction that succeeds", () => {
  it.effect("lands all of its records together, and none before its end", () =>
    Effect.gen(function*() {
      const { log, path, size } = yield* openFileLog()
      const receipts = yield* log.transaction(Effect.gen(function*() {
        const receipts = [yield* log.append(granted("a")), yield* log.append(granted("b"))]
        assert.strictEqual(size(), 0)
        receipts.push(yield* log.append(granted("c")))
        assert.strictEqual(size(), 0)
        return receipts
      }))
      const lines = plainLines(Fs.readFileSync(path, "utf8"))
      assert.deepStrictEqual(lines.map(({ record }) => record), [granted("a"), granted("b"), granted("c")])
      const id = lines[0]!.stamp.tx!.id
      assert.deepStrictEqual(lines.map(({ stamp }) => stamp.tx), [0, 1, 2].map((i) => ({ id, i, n: 3 })))
      for (const { bytes, durability, hash, oversize, seq, writer } of receipts) {
        assert.deepStrictEqual(
          { durability, hash, oversize, seq, writer },
          { durability: "buffered", hash: undefined, oversize: false, seq: undefined, writer: undefined }
        )
        assert.isAtLeast(bytes, lines[0]!.line.length + 1)
      }
    }))

  it.effect("gives the effect's own value", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      assert.strictEqual(yield* log.transaction(Effect.as(log.append(granted("a")), 42)), 42)
      assert.deepStrictEqual(rolesIn(yield* memory.text), ["a"])
    }))

  it.effect("writes nothing, not even once, when it holds no record", () =>
    Effect.gen(function*() {
      let writes = 0
      const { appender } = Appender.makeMemory()
      const log = yield* openLog({
        ...appender,
        append: (records) => Effect.andThen(Effect.sync(() => writes++), appender.append(records))
      })
      assert.strictEqual(yield* log.transaction(Effect.succeed(1)), 1)
      yield* log.transaction(log.transaction(log.appendAll([])))
      assert.strictEqual(writes, 0)

      const { log: onFile, size } = yield* openFileLog()
      yield* onFile.transaction(Effect.void)
      assert.strictEqual(size(), 0)
    }))

  it.effect("stamps no transaction on a record that is alone in it", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      yield* log.transaction(log.append(granted("a")))
      assert.notProperty(plainLines(yield* memory.text)[0]!.stamp, "tx")
    }))

  it.effect("keeps the order in which one fiber appended, through appendAll and inner transactions", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      yield* log.transaction(Effect.gen(function*() {
        yield* log.append(granted("1"))
        yield* log.appendAll([granted("2"), granted("3")])
        yield* log.transaction(Effect.andThen(log.append(granted("4")), log.append(granted("5"))))
        yield* log.append(granted("6"))
      }))
      assert.deepStrictEqual(rolesIn(yield* memory.text), ["1", "2", "3", "4", "5", "6"])
    }))

  it.effect("takes in what forked children and concurrent effects append", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      yield* log.transaction(Effect.gen(function*() {
        const child = yield* Effect.forkChild(log.append(granted("child")))
        yield* Effect.all(["x", "y", "z"].map((role) => log.append(granted(role))), { concurrency: "unbounded" })
        yield* Fiber.join(child)
        assert.strictEqual(yield* memory.text, "")
      }))
      const lines = plainLines(yield* memory.text)
      assert.sameMembers(lines.map(({ record }) => record["role"]), ["child", "x", "y", "z"])
      assert.deepStrictEqual(lines.map(({ stamp }) => stamp.tx?.i), [0, 1, 2, 3])
    }))

  it.effect("leaves what other fibers append meanwhile out of it", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      const outside = yield* Deferred.make<void>()
      const inside = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(log.transaction(Effect.gen(function*() {
        yield* log.append(granted("inside"))
        yield* Deferred.succeed(inside, undefined)
        yield* Deferred.await(outside)
        return yield* refuse
      })))
      yield* Deferred.await(inside)
      assert.strictEqual((yield* log.append(granted("outside"))).durability, "memory")
      yield* Deferred.succeed(outside, undefined)
      assert.isTrue(Exit.hasFails(yield* Fiber.await(fiber)))
      assert.deepStrictEqual(rolesIn(yield* memory.text), ["outside"])
    }))
})

describe("a transaction that does not succeed", () => {
  const outcomes: ReadonlyArray<{ readonly how: string; readonly end: Effect.Effect<never, "refused"> }> = [
    { how: "fails", end: refuse },
    { how: "dies", end: Effect.die(new Error("a bug")) },
    { how: "interrupts itself", end: Effect.interrupt }
  ]
  it.effect.each(outcomes)("writes no byte when it $how", ({ end }) =>
    Effect.gen(function*() {
      const { log, path, size } = yield* openFileLog()
      yield* log.append(granted("before"))
      const before = size()
      const body = Effect.andThen(log.appendAll([granted("a"), granted("b")]), end)
      const exit = yield* Effect.exit(log.transaction(body))
      const plain = yield* Effect.exit(end)
      assert(Exit.isFailure(exit) && Exit.isFailure(plain))
      // the cause passes through as it was
      assert.deepStrictEqual(exit.cause.reasons.map((it) => it._tag), plain.cause.reasons.map((it) => it._tag))
      assert.strictEqual(size(), before)
      yield* log.append(granted("after"))
      assert.deepStrictEqual(rolesAt(path), ["before", "after"])
    }))

  it.effect("writes no byte when it is interrupted from outside in the middle", () =>
    Effect.gen(function*() {
      const { log, size } = yield* openFileLog()
      const appended = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(log.transaction(Effect.gen(function*() {
        yield* log.append(granted("a"))
        yield* Deferred.succeed(appended, undefined)
        return yield* Effect.never
      })))
      yield* Deferred.await(appended)
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.strictEqual(size(), 0)
    }))

  it.effect("gives the effect's own failure, the same value", () =>
    Effect.gen(function*() {
      const { log } = yield* openMemoryLog()
      const failure = { reason: "mine" }
      assert.strictEqual(yield* Effect.flip(log.transaction(Effect.fail(failure))), failure)
    }))
})

describe("a transaction inside a transaction", () => {
  it.effect("joins the outer one when it succeeds, and lands with it", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      yield* log.transaction(Effect.gen(function*() {
        yield* log.append(granted("outer"))
        yield* log.transaction(log.append(granted("inner")))
        assert.strictEqual(yield* memory.text, "")
      }))
      const lines = plainLines(yield* memory.text)
      assert.deepStrictEqual(lines.map(({ record }) => record["role"]), ["outer", "inner"])
      assert.deepStrictEqual(lines.map(({ stamp }) => stamp.tx?.n), [2, 2])
      assert.strictEqual(lines[0]!.stamp.tx!.id, lines[1]!.stamp.tx!.id)
    }))

  it.effect("disappears when it fails, and the outer one goes on", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      yield* log.transaction(Effect.gen(function*() {
        yield* log.append(granted("1"))
        yield* Effect.ignore(log.transaction(Effect.andThen(log.append(granted("lost")), refuse)))
        yield* Effect.exit(log.transaction(Effect.andThen(log.append(granted("lost")), Effect.die("a bug"))))
        yield* log.append(granted("2"))
      }))
      assert.deepStrictEqual(rolesIn(yield* memory.text), ["1", "2"])
    }))

  it.effect("disappears with the outer one when that fails", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      yield* Effect.flip(log.transaction(Effect.andThen(log.transaction(log.append(granted("inner"))), refuse)))
      assert.strictEqual(yield* memory.text, "")
    }))

  const levels = ["outer", "middle", "inner"] as const
  const cases: ReadonlyArray<{ readonly fails: string; readonly lands: ReadonlyArray<string> }> = [
    { fails: "none", lands: ["outer", "middle", "inner"] },
    { fails: "inner", lands: ["outer", "middle"] },
    { fails: "middle", lands: ["outer"] },
    { fails: "outer", lands: [] }
  ]
  it.effect.each(cases)(
    "of three, $lands land when the one that fails is: $fails",
    ({ fails, lands }) =>
      Effect.gen(function*() {
        const { log, memory } = yield* openMemoryLog()
        const level = (depth: number): Effect.Effect<void> =>
          log.transaction(Effect.gen(function*() {
            yield* log.append(granted(levels[depth]!))
            if (depth < 2) yield* level(depth + 1)
            yield* levels[depth] === fails ? refuse : Effect.void
          })).pipe(Effect.ignore)
        yield* level(0)
        assert.deepStrictEqual(rolesIn(yield* memory.text), lands)
      })
  )
})

describe("the end of a transaction", () => {
  it.effect("completes its write although it is interrupted meanwhile", () =>
    Effect.gen(function*() {
      const { entered, gate, log, memory } = yield* openGatedLog
      const fiber = yield* Effect.forkChild(log.transaction(log.appendAll([granted("a"), granted("b")])))
      yield* Deferred.await(entered)
      fiber.interruptUnsafe()
      yield* gate.open
      yield* Fiber.await(fiber)
      assert.deepStrictEqual(rolesIn(yield* memory.text), ["a", "b"])
    }))

  it.effect("fails with the typed error of its write, without the effect's value, and nothing lands", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      const body = log.transaction(Effect.as(log.append(granted("a")), "value" as const))
      expectTypeOf(body).toEqualTypeOf<Effect.Effect<"value", AuditError.AuditError>>()
      yield* memory.failNext(full)
      const error = yield* Effect.flip(body)
      assert.instanceOf(error, AuditError.AuditError)
      assert.strictEqual(error.reason, full)
      assert.strictEqual(yield* memory.text, "")

      yield* memory.failNext(full)
      const recovered = yield* Effect.catchReason(body, "AuditError", "StorageFull", ({ code }) => Effect.succeed(code))
      assert.strictEqual(recovered, "ENOSPC")
      assert.strictEqual(yield* body, "value")
      assert.deepStrictEqual(rolesIn(yield* memory.text), ["a"])
    }))

  it.effect("does not write the records again when the write has failed and the transaction is run anew", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      yield* memory.failNext(full, { times: 2 })
      yield* Effect.retry(log.transaction(log.appendAll([granted("a"), granted("b")])), { times: 2 })
      assert.deepStrictEqual(rolesIn(yield* memory.text), ["a", "b"])
    }))

  it.effect("refuses what a fiber that outlives it appends, alone or in a transaction of its own", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      const ended = yield* Deferred.make<void>()
      const late = (self: Effect.Effect<unknown, AuditError.AuditError>) =>
        Effect.forkDetach(Effect.andThen(Deferred.await(ended), Effect.flip(self)))
      const stragglers = yield* log.transaction(Effect.gen(function*() {
        yield* log.append(granted("in time"))
        return [
          yield* late(log.append(granted("late"))),
          yield* late(log.appendAll([granted("late"), granted("late")])),
          yield* late(log.transaction(log.append(granted("late")))),
          yield* late(log.transaction(log.transaction(log.append(granted("late")))))
        ]
      }))
      yield* Deferred.succeed(ended, undefined)
      const errors = yield* Effect.forEach(stragglers, Fiber.join)
      assert.deepStrictEqual(errors.map(({ reason }) => reason._tag), Array(4).fill("TransactionClosed"))
      assert.deepStrictEqual(rolesIn(yield* memory.text), ["in time"])
    }))

  it.effect("refuses stragglers also after a rollback, and after an inner transaction while the outer one is open", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      const ended = yield* Deferred.make<void>()
      const straggler = Effect.forkDetach(
        Effect.andThen(Deferred.await(ended), Effect.flip(log.append(granted("late"))))
      )
      const stragglers: Array<Fiber.Fiber<AuditError.AuditError, unknown>> = []
      const keep = Effect.map(straggler, (fiber) => stragglers.push(fiber))
      yield* Effect.flip(log.transaction(Effect.andThen(keep, refuse)))
      yield* log.transaction(Effect.gen(function*() {
        yield* log.transaction(keep)
        yield* Deferred.succeed(ended, undefined)
        for (const fiber of stragglers) {
          assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "TransactionClosed")
        }
        yield* log.append(granted("outer"))
      }))
      assert.strictEqual(stragglers.length, 2)
      assert.deepStrictEqual(rolesIn(yield* memory.text), ["outer"])
    }))
})
