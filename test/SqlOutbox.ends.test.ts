/**
 * However an append ends, and whenever the transaction around it does, a committed order has its record, and a record has
 * its committed order.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Redacted, Semaphore } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { OutboxSchema } from "../src/index.ts"
import { openSqlite, order } from "./sqlClient.ts"
import { auditOn, contents, kinds, nothing, outboxTest, reasonOf } from "./sqlSupport.ts"
import { granted, temporaryLog } from "./support.ts"

for (const kind of kinds()) {
  describe(`an outbox on ${kind.name}`, () => {
    const check = outboxTest(kind)

    check(
      "does not commit an order whose append died, also if that is swallowed",
      ({ log, sql }) =>
        Effect.gen(function*() {
          const throwing = {
            *[Symbol.iterator]() {
              yield granted("a")
              throw new Error("iterator")
            }
          }
          const pay = Effect.andThen(order(sql, "a"), Effect.exit(log.appendAll(throwing)))
          assert.isTrue(Exit.isFailure(yield* Effect.exit(sql.withTransaction(pay))))
          const error = yield* Effect.flip(log.transaction(pay))
          assert.include((error as Error).message, "an append died: Error: iterator")
          assert.deepStrictEqual(yield* contents(sql), nothing)
        })
    )

    check(
      "takes a refusal back with its savepoint, also one that the database refused",
      ({ log, sql }) =>
        Effect.gen(function*() {
          const failing = Effect.exit(sql.withTransaction(Effect.gen(function*() {
            yield* sql`ALTER TABLE audit_outbox RENAME TO audit_outbox_gone`
            yield* log.append(granted("a"))
          })))
          yield* log.transaction(Effect.andThen(failing, Effect.andThen(order(sql, "b"), log.append(granted("b")))))
          assert.deepStrictEqual(yield* contents(sql), { orders: ["b"], staged: ["b"], refusals: 0 })
        })
    )

    check("refuses the transaction of a fiber whose own one has ended", ({ log, sql }) =>
      Effect.gen(function*() {
        const ended = yield* Deferred.make<void>()
        const late = Effect.exit(log.transaction(log.append(granted("late"))))
        const straggler = yield* sql.withTransaction(Effect.forkDetach(Effect.andThen(Deferred.await(ended), late)))
        yield* Deferred.succeed(ended, undefined)
        assert.strictEqual(reasonOf(yield* Fiber.join(straggler)), "TransactionClosed")
        assert.deepStrictEqual(yield* contents(sql), nothing)
      }))

    if (kind.name === "pg") {
      check(
        "does not commit an order whose append was interrupted before it was sent",
        ({ another, log, sql }) =>
          Effect.gen(function*() {
            const other = yield* another
            const waiting = sql`SELECT 1 FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%advisory%'`
            // the statement that the append stands behind waits for a lock
            const interrupting = Effect.fnUntraced(function*(role: string) {
              const held = yield* Deferred.make<void>()
              const asked = yield* Deferred.make<void>()
              const transaction = Effect.gen(function*() {
                yield* order(sql, "a")
                const busy = yield* Effect.forkChild(sql`SELECT pg_advisory_xact_lock(1)::text`)
                yield* Deferred.await(held)
                const append = yield* Effect.forkChild(log.append(granted(role)), { startImmediately: true })
                const ended = yield* Effect.forkChild(Fiber.interrupt(append), { startImmediately: true })
                yield* Deferred.succeed(asked, undefined)
                yield* Fiber.join(busy)
                yield* Fiber.join(ended)
              })
              const fiber = yield* other.withTransaction(Effect.gen(function*() {
                yield* other`SELECT pg_advisory_xact_lock(1)::text`
                const fiber = yield* Effect.forkDetach(Effect.exit(log.transaction(transaction)))
                yield* Effect.repeat(waiting, { until: (rows) => rows.length > 0 })
                yield* Deferred.succeed(held, undefined)
                yield* Deferred.await(asked)
                return fiber
              }))
              return yield* Fiber.join(fiber)
            })
            assert.strictEqual(reasonOf(yield* interrupting("a")), "NotStaged")
            assert.strictEqual(reasonOf(yield* interrupting("x".repeat(2_000_000))), "NotStaged")
            assert.deepStrictEqual(yield* contents(sql), nothing)
          })
      )

      check(
        "says of a COMMIT that the database answered with ROLLBACK that nothing is in the log",
        ({ log, sql }) =>
          Effect.gen(function*() {
            const swallowing = Effect.andThen(log.append(granted("a")), Effect.exit(sql`SELECT 1 / 0`))
            const error = yield* Effect.flip(log.transaction(swallowing))
            assert.deepInclude(error as object, { _tag: "AuditError", committed: "no" })
            assert.deepStrictEqual(yield* contents(sql), nothing)
          })
      )

      check(
        "knows the end of a transaction on a connection that its client keeps",
        ({ url }) =>
          Effect.gen(function*() {
            const pg = yield* Effect.provide(PgClient.make({ url: Redacted.make(url) }), Reactivity.layer)
            const kept = yield* pg.reserve
            const semaphore = Semaphore.makeUnsafe(1)
            const acquirer = Effect.as(semaphore.takeScoped(1), kept)
            const sql = yield* Effect.provide(
              SqlClient.make({ acquirer, compiler: PgClient.makeCompiler(), driver: "kept", spanAttributes: [] }),
              Reactivity.layer
            )
            const log = yield* auditOn(sql)
            const ended = yield* Deferred.make<void>()
            const late = Effect.andThen(Deferred.await(ended), Effect.exit(log.append(granted("late"))))
            const straggler = yield* sql.withTransaction(Effect.forkDetach(late))
            yield* sql.withTransaction(Effect.gen(function*() {
              yield* Deferred.succeed(ended, undefined)
              assert.strictEqual(reasonOf(yield* Fiber.join(straggler)), "TransactionClosed")
            }))
            assert.deepStrictEqual(yield* contents(pg), nothing)
          })
      )
    }
  })
}

describe("a transaction on SQLite", () => {
  const open = Effect.gen(function*() {
    const sql = yield* openSqlite((yield* temporaryLog).replace(".jsonl", ".db"))
    yield* Effect.provideService(OutboxSchema.migration, SqlClient.SqlClient, sql)
    yield* sql`CREATE TABLE orders (id text PRIMARY KEY)`
    return { sql, log: yield* auditOn(sql) }
  })

  // the fiber of the transaction gives way somewhere between the statement that ends it and its own end
  it.live("takes no record after its ROLLBACK, wherever its fiber gives way", () =>
    Effect.gen(function*() {
      const { log, sql } = yield* open
      const append = log.append(granted("late"))
      for (let operations = 1900; operations < 2050; operations++) {
        const ending = yield* Deferred.make<void>()
        let straggler: Fiber.Fiber<unknown> | undefined
        const body = Effect.gen(function*() {
          yield* order(sql, "a")
          straggler = yield* Effect.forkDetach(
            Effect.andThen(Deferred.await(ending), Effect.andThen(Effect.yieldNow, Effect.exit(append)))
          )
          yield* Effect.yieldNow
          for (let i = 0; i < operations; i++) yield* Effect.sync(() => {})
          yield* Deferred.succeed(ending, undefined)
          return yield* Effect.fail("back")
        })
        yield* Effect.exit(sql.withTransaction(body))
        yield* Fiber.join(straggler!)
        assert.deepStrictEqual(yield* contents(sql), nothing, `after ${operations} operations`)
      }
    }))

  it.live("that SQLite has ended by itself takes no record, and no statement of a straggler", () =>
    Effect.gen(function*() {
      const { log, sql } = yield* open
      yield* order(sql, "there")
      const exits: Array<Exit.Exit<unknown, unknown>> = []
      const body = Effect.gen(function*() {
        yield* order(sql, "a")
        yield* Effect.exit(sql`INSERT OR ROLLBACK INTO orders (id) VALUES ('there')`)
        exits.push(yield* Effect.exit(log.append(granted("a"))), yield* Effect.exit(order(sql, "late")))
      })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(sql.withTransaction(body))))
      assert.strictEqual(reasonOf(exits[0]!), "TransactionClosed")
      assert.match(String(reasonOf(exits[1]!)), /UnknownError/)
      assert.deepStrictEqual(yield* contents(sql), { orders: ["there"], staged: [], refusals: 0 })
    }))

  it.live("can be begun again and again by whoever reserves the connection", () =>
    Effect.gen(function*() {
      const { sql } = yield* open
      const ids = ["a", "b"]
      yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* sql.reserve
        for (const id of ids) {
          yield* connection.execute("BEGIN", [], undefined)
          yield* connection.execute("INSERT INTO orders (id) VALUES (?)", [id], undefined)
          yield* connection.execute("COMMIT", [], undefined)
        }
      }))
      assert.deepStrictEqual((yield* contents(sql)).orders, ids)
    }))
})
