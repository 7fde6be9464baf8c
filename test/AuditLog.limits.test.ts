/**
 * Transactions of several logs, and transactions that meet a limit.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Layer, Schema } from "effect"
import * as Fs from "node:fs"
import { AuditLog, FileAppender, SizePolicy } from "../src/index.ts"
import { Audit, granted, openFileLog, openMemoryLog, plainLines, rolesAt, rolesIn, temporaryLog } from "./support.ts"

const refuse = Effect.fail("refused" as const)

class Orders extends AuditLog.Service<Orders>()("test/Orders", { schema: Schema.Struct({ order: Schema.Int }) }) {}

describe("two logs in one program", () => {
  const test = <E>(
    title: string,
    body: (paths: { readonly audit: string; readonly orders: string }) => Effect.Effect<void, E, Audit | Orders>
  ) =>
    it.effect(title, () =>
      Effect.gen(function*() {
        const audit = yield* temporaryLog
        const orders = yield* temporaryLog
        yield* Effect.provide(
          body({ audit, orders }),
          Layer.mergeAll(
            Layer.provide(Audit.layer, FileAppender.layer({ path: audit })),
            Layer.provide(Orders.layer, FileAppender.layer({ path: orders }))
          )
        )
      }))

  const ordersAt = (path: string) => plainLines(Fs.readFileSync(path, "utf8")).map(({ record }) => record["order"])
  const grant = (role: string) => Audit.use((log) => log.append(granted(role)))
  const order = (order: number) => Orders.use((log) => log.append({ order }))

  test("do not take each other's records into a transaction", ({ audit, orders }) =>
    Effect.gen(function*() {
      yield* Audit.transaction(Effect.gen(function*() {
        yield* grant("a")
        assert.strictEqual((yield* order(1)).durability, "synced")
        assert.deepStrictEqual(ordersAt(orders), [1])
        return yield* refuse
      })).pipe(Effect.ignore)
      assert.deepStrictEqual(rolesAt(audit), [])
      assert.deepStrictEqual(ordersAt(orders), [1])
    }))

  test("have transactions inside each other, each of which ends for its own log alone", ({ audit, orders }) =>
    Effect.gen(function*() {
      yield* Audit.transaction(Effect.gen(function*() {
        yield* grant("outer")
        yield* Orders.transaction(Effect.gen(function*() {
          yield* order(1)
          yield* grant("within orders")
          yield* Audit.transaction(Effect.andThen(grant("inner"), order(2)))
          assert.deepStrictEqual(ordersAt(orders), [])
        }))
        assert.deepStrictEqual(ordersAt(orders), [1, 2])
        yield* Effect.ignore(Orders.transaction(Effect.andThen(Effect.andThen(order(3), grant("kept")), refuse)))
        assert.deepStrictEqual(rolesAt(audit), [])
      }))
      assert.deepStrictEqual(rolesAt(audit), ["outer", "within orders", "inner", "kept"])
      assert.deepStrictEqual(ordersAt(orders), [1, 2])
    }))

  it.effect("of one service class, built separately, share no transaction", () =>
    Effect.gen(function*() {
      const one = yield* openMemoryLog()
      const two = yield* openMemoryLog()
      yield* Effect.flip(one.log.transaction(Effect.gen(function*() {
        yield* one.log.append(granted("one"))
        assert.strictEqual((yield* two.log.append(granted("two"))).durability, "memory")
        yield* two.log.transaction(two.log.append(granted("two in a transaction")))
        return yield* refuse
      })))
      assert.strictEqual(yield* one.memory.text, "")
      assert.deepStrictEqual(rolesIn(yield* two.memory.text), ["two", "two in a transaction"])
    }))
})

describe("appendAll", () => {
  it.effect("is a transaction of its own", () =>
    Effect.gen(function*() {
      const { log, path } = yield* openFileLog()
      const receipts = yield* log.appendAll(new Set([granted("a"), granted("b")]))
      const lines = plainLines(Fs.readFileSync(path, "utf8"))
      assert.deepStrictEqual(lines.map(({ stamp }) => [stamp.tx!.i, stamp.tx!.n]), [[0, 2], [1, 2]])
      assert.deepStrictEqual(receipts.map(({ hash }) => hash), lines.map(({ hash }) => hash))
      assert.deepStrictEqual(lines.map(({ record }) => record["role"]), ["a", "b"])
    }))

  it.effect("is part of the transaction that is open", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      yield* log.transaction(Effect.gen(function*() {
        yield* log.append(granted("a"))
        const receipts = yield* log.appendAll([granted("b"), granted("c")])
        assert.deepStrictEqual(receipts.map(({ durability }) => durability), ["buffered", "buffered"])
      }))
      const places = plainLines(yield* memory.text).map(({ stamp }) => stamp.tx!)
      assert.deepStrictEqual(places.map(({ i, n }) => [i, n]), [[0, 3], [1, 3], [2, 3]])
    }))

  it.effect("writes none of its records when one of them is refused, in a transaction or not", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog({ sizePolicy: SizePolicy.reject() })
      const some = log.appendAll([granted("a"), granted("x".repeat(5000)), granted("b")])
      assert.strictEqual((yield* Effect.flip(some)).reason._tag, "RecordTooLarge")
      assert.strictEqual(yield* memory.text, "")
      yield* log.transaction(Effect.andThen(Effect.ignore(some), log.append(granted("c"))))
      assert.deepStrictEqual(rolesIn(yield* memory.text), ["c"])
    }))

  it.effect("writes nothing for no records", () =>
    Effect.gen(function*() {
      const { log, size } = yield* openFileLog()
      assert.deepStrictEqual(yield* log.appendAll([]), [])
      assert.strictEqual(size(), 0)
    }))

  it.effect("refuses more records or bytes than a transaction may have", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog({ transactionRecordsMax: 2 })
      const error = yield* Effect.flip(log.appendAll(["a", "b", "c"].map(granted)))
      assert.strictEqual(error.reason._tag, "TransactionTooLarge")
      assert.strictEqual(yield* memory.text, "")
      assert.strictEqual((yield* log.appendAll(["a", "b"].map(granted))).length, 2)
    }))
})

describe("a transaction that meets a limit", () => {
  it.effect("fails at the append that would make it too large by records, and rolls back", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog({ transactionRecordsMax: 2 })
      const appended: Array<string> = []
      const error = yield* Effect.flip(
        log.transaction(
          Effect.forEach(
            ["a", "b", "c", "d"],
            (role) => Effect.tap(log.append(granted(role)), () => Effect.sync(() => appended.push(role)))
          )
        )
      )
      assert.strictEqual(error.reason._tag, "TransactionTooLarge")
      assert.deepStrictEqual(appended, ["a", "b"])
      assert.strictEqual(yield* memory.text, "")
    }))

  it.effect("fails at the append that would make it too large by bytes, also from inside an inner one", () =>
    Effect.gen(function*() {
      const { log, path, size } = yield* openFileLog({ transactionBytesMax: 2500 })
      const wide = (role: string) => log.append(granted(role.repeat(500)))
      const error = yield* Effect.flip(log.transaction(Effect.gen(function*() {
        yield* wide("a")
        yield* wide("b")
        return yield* log.transaction(Effect.andThen(wide("c"), Effect.die("it was not refused")))
      })))
      assert.strictEqual(error.reason._tag, "TransactionTooLarge")
      assert.strictEqual(size(), 0)
      yield* log.transaction(Effect.andThen(wide("a"), wide("b")))
      assert.strictEqual(rolesAt(path).length, 2)
    }))

  it.effect("lands what fitted when the refusal is caught", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog({ transactionRecordsMax: 2 })
      yield* log.transaction(Effect.forEach(["a", "b", "c"], (role) => Effect.ignore(log.append(granted(role)))))
      assert.deepStrictEqual(rolesIn(yield* memory.text), ["a", "b"])
    }))

  it.effect("rolls back when one of its records is too large", () =>
    Effect.gen(function*() {
      const { log, size } = yield* openFileLog({ sizePolicy: SizePolicy.reject() })
      let reached = false
      const error = yield* Effect.flip(log.transaction(Effect.gen(function*() {
        yield* log.append(granted("a"))
        yield* log.append(granted("x".repeat(5000)))
        reached = true
      })))
      assert.strictEqual(error.reason._tag, "RecordTooLarge")
      assert.isFalse(reached)
      assert.strictEqual(size(), 0)
    }))

  it.effect("lands the rest when the record that is too large is caught", () =>
    Effect.gen(function*() {
      const { log, path } = yield* openFileLog({ sizePolicy: SizePolicy.reject() })
      yield* log.transaction(Effect.gen(function*() {
        yield* log.append(granted("a"))
        yield* log.append(granted("x".repeat(5000))).pipe(
          Effect.catchReason("AuditError", "RecordTooLarge", () => log.append(granted("instead")))
        )
        yield* log.append(granted("b"))
      }))
      assert.deepStrictEqual(rolesAt(path), ["a", "instead", "b"])
    }))

  it.effect("fails when inner transactions that ran side by side, each within the limit, exceed it together", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog({ transactionRecordsMax: 3 })
      const bothAppended = yield* Latch.make(false)
      let appended = 0
      const inner = (role: string) =>
        log.transaction(Effect.gen(function*() {
          yield* log.appendAll([granted(role), granted(role)])
          if (++appended === 2) yield* bothAppended.open
          yield* bothAppended.await
        }))
      const error = yield* Effect.flip(
        log.transaction(Effect.all([inner("a"), inner("b")], { concurrency: "unbounded" }))
      )
      assert.strictEqual(error.reason._tag, "TransactionTooLarge")
      assert.strictEqual(appended, 2)
      assert.strictEqual(yield* memory.text, "")
    }))
})
