/**
 * Staged records exist if and only if their transaction committed, on every database, whatever ends the transaction.
 */
import { assert, describe } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Scheduler } from "effect"
import { SqlClient } from "effect/sql"
import { Outbox, SizePolicy, SqlOutbox } from "../src/index.ts"
import * as OutboxBell from "../src/internal/outboxBell.ts"
import { order } from "./sqlClient.ts"
import { auditOn, contents, kinds, nothing, outboxTest, reasonOf } from "./sqlSupport.ts"
import { granted } from "./support.ts"

/** A scheduler that lets a fiber give way once, at one of its operations. */
class YieldsOnce extends Scheduler.MixedScheduler {
  #left: number
  constructor(operation: number) {
    super()
    this.#left = operation
  }
  override shouldYield(): boolean {
    return --this.#left === 0
  }
}

type Yields = <A>(effect: Effect.Effect<A>) => Effect.Effect<A>

const anywhere = Array.from({ length: 60 }, (_, i): { readonly before: number; readonly yields: Yields } => ({
  before: 0,
  yields: Effect.provideService(Scheduler.Scheduler, new YieldsOnce(i + 1))
}))

/** Effect's own scheduler, whose budget of operations ends about where the append is. */
const nearTheEnd = Array.from({ length: 300 }, (_, i): { readonly before: number; readonly yields: Yields } => ({
  before: i,
  yields: Effect.provideService(Scheduler.MaxOpsBeforeYield, 300)
}))

for (const kind of kinds()) {
  describe(`an outbox on ${kind.name}`, () => {
    const check = outboxTest(kind)

    check(
      "stages what commits, in order, with the receipt of a buffered record",
      ({ log, pay, sql }) =>
        Effect.gen(function*() {
          const receipt = yield* sql.withTransaction(
            Effect.andThen(pay("a"), Effect.andThen(pay("b"), log.append(granted("c"))))
          )
          assert.strictEqual(receipt.durability, "buffered")
          assert.deepStrictEqual(yield* contents(sql), { orders: ["a", "b"], staged: ["a", "b", "c"], refusals: 0 })
          const [row] = yield* sql<{ at: string }>`SELECT at FROM audit_outbox ORDER BY id LIMIT 1`
          assert.match(row!.at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
        })
    )

    check("leaves nothing after a failure, a defect or an interruption", ({ pay, sql }) =>
      Effect.gen(function*() {
        const failing = yield* Effect.exit(sql.withTransaction(Effect.andThen(pay("a"), Effect.fail("no" as const))))
        assert.strictEqual(reasonOf(failing), "no")
        const dying = yield* Effect.exit(sql.withTransaction(Effect.andThen(pay("b"), Effect.die("bug"))))
        assert.strictEqual(reasonOf(dying), "bug")
        const paid = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkChild(
          sql.withTransaction(
            pay("c").pipe(Effect.andThen(Deferred.succeed(paid, undefined)), Effect.andThen(Effect.never))
          )
        )
        yield* Deferred.await(paid)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* contents(sql), nothing)
      }))

    check(
      "keeps a savepoint that succeeds and drops one that is rolled back",
      ({ pay, sql }) =>
        Effect.gen(function*() {
          yield* sql.withTransaction(Effect.gen(function*() {
            yield* pay("a")
            yield* sql.withTransaction(pay("b"))
            yield* Effect.exit(sql.withTransaction(Effect.andThen(pay("c"), Effect.fail("back"))))
            yield* pay("d")
          }))
          const kept = ["a", "b", "d"]
          assert.deepStrictEqual(yield* contents(sql), { orders: kept, staged: kept, refusals: 0 })
        })
    )

    check("drops what a deferred constraint refuses at COMMIT", ({ pay, sql }) =>
      Effect.gen(function*() {
        yield* sql.unsafe(
          "CREATE TABLE lines (order_id text REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)"
        )
        const exit = yield* Effect.exit(
          sql.withTransaction(Effect.andThen(pay("a"), sql`INSERT INTO lines (order_id) VALUES ('nobody')`))
        )
        assert.isTrue(Exit.isFailure(exit))
        assert.deepStrictEqual(yield* contents(sql), nothing)
        yield* sql.withTransaction(pay("b"))
        assert.deepStrictEqual(yield* contents(sql), { orders: ["b"], staged: ["b"], refusals: 0 })
      }))

    check(
      "does not commit an order whose record failed, also if the program swallows it",
      ({ log, pay, sql }) =>
        Effect.gen(function*() {
          const huge = Effect.exit(log.append(granted("x".repeat(2_000_000))))
          const plain = yield* Effect.exit(sql.withTransaction(Effect.andThen(pay("a"), huge)))
          assert.match(String(Cause.squash((plain as Exit.Failure<unknown, unknown>).cause)), /./)
          assert.deepStrictEqual(yield* contents(sql), nothing)
          const guarded = yield* Effect.exit(
            Effect.provideService(SqlOutbox.audited(Effect.andThen(pay("b"), huge)), SqlClient.SqlClient, sql)
          )
          assert.strictEqual(reasonOf(guarded), "NotStaged")
          assert.strictEqual(reasonOf(yield* Effect.exit(log.transaction(Effect.andThen(pay("c"), huge)))), "NotStaged")
          assert.deepStrictEqual(yield* contents(sql), nothing)
        })
    )

    check(
      "does not commit an order whose record the database refused, also if it is swallowed",
      ({ log, pay, sql }) =>
        Effect.gen(function*() {
          yield* sql`ALTER TABLE audit_outbox RENAME TO audit_outbox_gone`
          const swallowing = (id: string) => Effect.andThen(order(sql, id), Effect.exit(log.append(granted(id))))
          assert.isTrue(Exit.isFailure(yield* Effect.exit(sql.withTransaction(swallowing("a")))))
          const guarded = yield* Effect.exit(
            Effect.provideService(SqlOutbox.audited(swallowing("b")), SqlClient.SqlClient, sql)
          )
          assert.strictEqual(reasonOf(guarded), "NotStaged")
          yield* sql`ALTER TABLE audit_outbox_gone RENAME TO audit_outbox`
          assert.deepStrictEqual(yield* contents(sql), nothing)
          yield* sql.withTransaction(pay("c"))
          assert.deepStrictEqual((yield* contents(sql)).staged, ["c"])
        })
    )

    check(
      "commits when the savepoint around a failed append is rolled back",
      ({ log, pay, sql }) =>
        Effect.gen(function*() {
          const tried = Effect.exit(
            sql.withTransaction(Effect.andThen(pay("a"), log.append(granted("x".repeat(2_000_000)))))
          )
          yield* sql.withTransaction(Effect.andThen(tried, pay("b")))
          yield* log.transaction(Effect.andThen(tried, pay("c")))
          assert.deepStrictEqual(yield* contents(sql), { orders: ["b", "c"], staged: ["b", "c"], refusals: 0 })
        })
    )

    check("refuses an append without a transaction", ({ log, sql }) =>
      Effect.gen(function*() {
        assert.strictEqual(reasonOf(yield* Effect.exit(log.append(granted("a")))), "NoTransaction")
        assert.deepStrictEqual(yield* contents(sql), nothing)
      }))

    check(
      "refuses an append in the transaction of another client of the same database",
      ({ another, log, sql }) =>
        Effect.gen(function*() {
          const other = yield* another
          const exit = yield* Effect.exit(
            other.withTransaction(Effect.andThen(other`SELECT 1`, log.append(granted("a"))))
          )
          assert.strictEqual(reasonOf(exit), "NoTransaction")
          assert.deepStrictEqual(yield* contents(sql), nothing)
        })
    )

    check(
      "refuses the append of a fiber that outlives its transaction, also while another one is open",
      (test) =>
        Effect.gen(function*() {
          const { log, pay, sql } = test
          const ended = yield* Deferred.make<void>()
          const straggler = yield* sql.withTransaction(
            Effect.forkDetach(Effect.andThen(Deferred.await(ended), Effect.exit(log.append(granted("late")))))
          )
          const exit = yield* sql.withTransaction(
            Effect.gen(function*() {
              yield* pay("a")
              yield* Deferred.succeed(ended, undefined)
              return yield* Fiber.join(straggler)
            })
          )
          assert.strictEqual(reasonOf(exit), "TransactionClosed")
          assert.deepStrictEqual(yield* contents(sql), { orders: ["a"], staged: ["a"], refusals: 0 })
        })
    )

    check(
      "refuses the append of a fiber that outlives its savepoint, while the transaction around it is open",
      ({ log, pay, sql }) =>
        Effect.gen(function*() {
          for (const end of [Effect.void, Effect.fail("back")]) {
            const stragglers: Array<Fiber.Fiber<Exit.Exit<unknown, unknown>>> = []
            const ended = yield* Deferred.make<void>()
            const late = Effect.andThen(Deferred.await(ended), Effect.exit(log.append(granted("late"))))
            const inner = Effect.forkDetach(late).pipe(
              Effect.map((fiber) => stragglers.push(fiber)),
              Effect.andThen(end)
            )
            yield* sql.withTransaction(Effect.gen(function*() {
              yield* Effect.exit(sql.withTransaction(inner))
              yield* Deferred.succeed(ended, undefined)
              assert.strictEqual(reasonOf(yield* Fiber.join(stragglers[0]!)), "TransactionClosed")
            }))
          }
          yield* sql.withTransaction(pay("a"))
          assert.deepStrictEqual(yield* contents(sql), { orders: ["a"], staged: ["a"], refusals: 0 })
        })
    )

    // The fiber gives way at each of its first operations in turn, and the others take their chance: the transaction of
    // the straggler commits, and on SQLite the next one, which is rolled back, has the same connection.
    check(
      "stages the record of a straggler in its own transaction or not at all, whenever the fiber gives way",
      ({ log, pay, sql }) =>
        Effect.gen(function*() {
          const acknowledged: Array<string> = []
          for (const [round, { before, yields }] of [...anywhere, ...nearTheEnd].entries()) {
            const id = `late ${round}`
            const straggle = Effect.gen(function*() {
              for (let i = 0; i < before; i++) yield* Effect.sync(() => {})
              return yield* Effect.exit(log.append(granted(id)))
            })
            const straggler = yield* sql.withTransaction(
              Effect.forkDetach(
                yields(straggle),
                { startImmediately: true }
              )
            )
            yield* Effect.exit(sql.withTransaction(
              pay("never").pipe(Effect.andThen(Fiber.await(straggler)), Effect.andThen(Effect.fail("back")))
            ))
            const exit = yield* Fiber.join(straggler)
            if (Exit.isSuccess(exit)) acknowledged.push(id)
            else assert.strictEqual(reasonOf(exit), "TransactionClosed", `round ${round}`)
          }
          assert.deepStrictEqual((yield* contents(sql)).staged, acknowledged)
        })
    )

    if (kind.name === "pg") {
      for (const heard of [false, true]) {
        check(
          `refuses an append that waits behind the COMMIT of its transaction, ${heard ? "with" : "without"} a relay`,
          ({ another, log, pay, sql }) =>
            Effect.gen(function*() {
              if (heard) {
                yield* Effect.acquireRelease(
                  Effect.sync(() => OutboxBell.listen(() => {})),
                  (stop) => Effect.sync(stop)
                )
              }
              yield* sql.unsafe(`CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END'`)
              yield* sql`CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION hold()`
              const other = yield* another
              const late = yield* Deferred.make<void>()
              const straggle = Effect.andThen(Deferred.await(late), Effect.exit(log.append(granted("late"))))
              const [fiber, straggler] = yield* other.withTransaction(Effect.gen(function*() {
                yield* other`SELECT pg_advisory_xact_lock(1)::text`
                const forked = yield* Deferred.make<Fiber.Fiber<Exit.Exit<unknown, unknown>>>()
                const fiber = yield* Effect.forkChild(sql.withTransaction(
                  Effect.andThen(
                    pay("a"),
                    Effect.flatMap(Effect.forkDetach(straggle), (_) => Deferred.succeed(forked, _))
                  )
                ))
                // not through `other`: a transaction sees one state of this view
                const held = sql`SELECT 1 FROM pg_stat_activity
                  WHERE datname = current_database() AND query = 'COMMIT' AND wait_event_type = 'Lock'`
                yield* Effect.repeat(held, { until: (rows) => rows.length > 0 })
                yield* Deferred.succeed(late, undefined)
                return [fiber, yield* Deferred.await(forked)] as const
              }))
              yield* Fiber.join(fiber)
              assert.strictEqual(reasonOf(yield* Fiber.join(straggler)), "TransactionClosed")
              assert.deepStrictEqual(yield* contents(sql), { orders: ["a"], staged: ["a"], refusals: 0 })
            })
        )
      }
    }

    check(
      "runs the log's own transaction as one of the database, and an inner one as a savepoint",
      ({ log, pay, sql }) =>
        Effect.gen(function*() {
          yield* log.transaction(Effect.gen(function*() {
            yield* pay("a")
            yield* Effect.exit(log.transaction(Effect.andThen(pay("b"), Effect.fail("back"))))
            yield* log.appendAll([granted("c"), granted("d")])
          }))
          const failing = yield* Effect.exit(log.transaction(Effect.andThen(pay("e"), Effect.fail("no"))))
          assert.strictEqual(reasonOf(failing), "no")
          assert.deepStrictEqual(yield* contents(sql), { orders: ["a"], staged: ["a", "c", "d"], refusals: 0 })
        })
    )

    check(
      "says of a failed COMMIT of the log's transaction that nothing is in the log",
      ({ log, pay, sql }) =>
        Effect.gen(function*() {
          yield* sql.unsafe("CREATE TABLE lines (order_id text REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)")
          const error = yield* Effect.flip(
            log.transaction(Effect.andThen(pay("a"), sql`INSERT INTO lines (order_id) VALUES ('nobody')`))
          )
          assert.deepInclude(error as object, { _tag: "AuditError", committed: "no" })
          assert.match((error as Error).message, /the COMMIT failed/)
        })
    )

    check("stages what a scope lands inside the transaction", ({ log, pay, sql }) =>
      Effect.gen(function*() {
        const scoped = Effect.scoped(Effect.gen(function*() {
          const writer = yield* log.scoped
          yield* writer.append(granted("scoped"))
          yield* pay("a")
        }))
        yield* sql.withTransaction(scoped)
        assert.deepStrictEqual((yield* contents(sql)).staged, ["a", "scoped"])
      }))

    check("counts the identity of the row when it measures a record", ({ sql }) =>
      Effect.gen(function*() {
        const log = yield* auditOn(sql, { limits: { sizePolicy: SizePolicy.reject() } })
        const room = (bytes: number) => granted("x".repeat(bytes))
        const error = yield* Effect.flip(sql.withTransaction(log.append(room(5000))))
        const over = (error.reason as { readonly sizeBytes: number }).sizeBytes - 4096
        yield* sql.withTransaction(log.append(room(5000 - over)))
        assert.isTrue(Exit.isFailure(yield* Effect.exit(sql.withTransaction(log.append(room(5001 - over))))))
      }))

    check(
      "stages objects without a typed log, many of them in several statements",
      ({ sql }) =>
        Effect.gen(function*() {
          const outbox = yield* Effect.provideService(SqlOutbox.make(), SqlClient.SqlClient, sql)
          const stage = (records: Iterable<object>) =>
            Effect.provideService(SqlOutbox.stage(records), Outbox.Outbox, outbox)
          const records = Array.from({ length: 10_001 }, (_, n) => ({ n }))
          yield* sql.withTransaction(stage(records))
          assert.deepStrictEqual((yield* contents(sql)).staged, records.map(({ n }) => n))
          const exit = yield* Effect.exit(sql.withTransaction(stage([{ n: 1 }, { n: Number.NaN }])))
          assert.strictEqual(reasonOf(exit), "InvalidRecord")
          assert.strictEqual(reasonOf(yield* Effect.exit(stage([{ n: 1 }]))), "NoTransaction")
        })
    )
  })
}
