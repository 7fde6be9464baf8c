/**
 * What a relay does with the rows of an outbox: each of them once in the log, in order, whatever was there before.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Metric, Redacted, type Scope, Stream } from "effect"
import * as Fs from "node:fs"
import { FileAppender, OutboxSchema, SqlOutbox } from "../src/index.ts"
import { FilePort } from "../src/internal/filePort.ts"
import * as Metrics from "../src/internal/metrics.ts"
import * as OutboxSession from "../src/internal/outboxSession.ts"
import {
  admitDeletes,
  drain,
  drained,
  fillDisk,
  lines,
  metric,
  numbered,
  numbers,
  provide,
  refuseDeletes,
  run,
  stage,
  until,
  withPort
} from "./relaySupport.ts"
import { contents, type Database, kinds } from "./sqlSupport.ts"
import { plainLines, readRecords, temporaryLog } from "./support.ts"

/** What a reader of the library shows. */
const shown = (path: string) => Effect.map(readRecords(path), (records) => records.map(({ fields }) => fields["n"]))

for (const kind of kinds()) {
  describe(`a relay on ${kind.name}`, () => {
    const check = (
      name: string,
      body: (test: Database & { readonly path: string }) => Effect.Effect<void, unknown, Scope.Scope>
    ): void => {
      it.live(name, () =>
        Effect.gen(function*() {
          const database = yield* kind.make
          yield* body({ ...database, path: yield* temporaryLog })
        }))
    }

    check("takes all rows to the log in order, and leaves an empty table", ({ path, sql }) =>
      Effect.gen(function*() {
        yield* stage(sql, numbered(0, 1201))
        assert.strictEqual(yield* drain(sql, path), 1201)
        assert.deepStrictEqual(lines(path), numbers(0, 1201))
        assert.deepStrictEqual((yield* contents(sql)).staged, [])
        assert.strictEqual(yield* drain(sql, path), 0)
      }))

    check(
      "stamps a record with the time and the trace of its staging, and the identity of its row",
      ({ path, sql }) =>
        Effect.gen(function*() {
          const { text, values } = OutboxSchema.outboxStatement(kind.name, [{ n: 1 }], { at: new Date(0) })
          yield* sql.unsafe(text, values)
          const trace = `${"a".repeat(32)}-${"b".repeat(16)}`
          yield* sql`INSERT INTO audit_outbox ${sql.insert({ trace, record: `{"n":2}` })}`
          yield* drain(sql, path)
          const [first, second] = plainLines(Fs.readFileSync(path, "utf8"))
          assert.strictEqual(first!.stamp["at"], "1970-01-01T00:00:00.000Z")
          assert.strictEqual(second!.stamp["trace"], trace)
          const [state] = yield* sql<{ outbox: string }>`SELECT outbox FROM audit_outbox_state`
          assert.deepStrictEqual([first!.stamp["src"], second!.stamp["src"]], [
            `${state!.outbox}:1`,
            `${state!.outbox}:2`
          ])
          assert.match(state!.outbox, /^[0-9a-f]{32}$/)
        })
    )

    check(
      "sets aside what can never be a record, says why, and drains what is behind it",
      ({ path, sql }) =>
        Effect.gen(function*() {
          const put = (record: string, more: object = {}) =>
            Effect.asVoid(sql`INSERT INTO audit_outbox ${sql.insert({ record, ...more })}`)
          yield* put(`{"n":1}`)
          yield* put(`{"n":`)
          yield* put(`[1]`)
          yield* put(`{"_hash":"x"}`)
          yield* put(`{"n":2,"n":3}`)
          yield* put(`{"n":"${"x".repeat(3_000_000)}"}`)
          yield* put(`{"n":4}`, { at: "yesterday" })
          yield* put(`{"n":5}`, { trace: "none" })
          yield* put(`{ "n": 12345678901234567890 }`)
          // the seven that are set aside do not count
          assert.strictEqual(yield* drain(sql, path), 2)
          const text = Fs.readFileSync(path, "utf8")
          assert.deepStrictEqual(lines(path).length, 2)
          assert.include(text, `"n":12345678901234567890`)
          const dead = yield* sql<{ reason: string }>`SELECT reason FROM audit_outbox_dead ORDER BY entry`
          const said = [
            /ends where a value/,
            /this is an array/,
            /reserved/,
            /second time/,
            /limit of a line/,
            /"at"/,
            /"trace"/
          ]
          assert.strictEqual(dead.length, said.length)
          dead.forEach(({ reason }, i) => assert.match(reason, said[i]!))
          assert.deepStrictEqual((yield* contents(sql)).staged, [])
        })
    )

    check("appends no row again that a relay had appended and not deleted, and no more than two batches are", ({
      path,
      sql
    }) =>
      Effect.gen(function*() {
        yield* stage(sql, numbered(0, 3))
        yield* drain(sql, path)
        yield* stage(sql, numbered(3, 1700))
        yield* refuseDeletes(sql)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(drain(sql, path))))
        assert.isTrue(Exit.isFailure(yield* Effect.exit(drain(sql, path))))
        assert.deepStrictEqual(lines(path), numbers(0, 1003))
        // others go on, and the file is rotated, before the next relay comes
        Fs.renameSync(path, `${path}.1`)
        yield* FileAppender.make({ path }).pipe(Effect.scoped)
        Fs.appendFileSync(path, `{"foreign":1}\n`)
        yield* admitDeletes(sql)
        assert.strictEqual(yield* drain(sql, path), 1697)
        assert.deepStrictEqual([...lines(`${path}.1`), ...lines(path).filter((n) => n !== undefined)], numbers(0, 1700))
        assert.deepStrictEqual((yield* contents(sql)).staged, [])
      }))

    check(
      "appends a batch again whose write was torn, and that no reader shows",
      ({ path, sql }) =>
        Effect.gen(function*() {
          yield* stage(sql, numbered(0, 10))
          yield* refuseDeletes(sql)
          yield* Effect.exit(drain(sql, path))
          Fs.truncateSync(path, Fs.statSync(path).size - 30)
          yield* admitDeletes(sql)
          assert.strictEqual(yield* drain(sql, path), 10)
          assert.deepStrictEqual(yield* shown(path), numbers(0, 10))
        })
    )

    check(
      "trusts nothing that a failed flush has left, and a reader shows it once",
      ({ path, sql }) =>
        Effect.gen(function*() {
          yield* stage(sql, numbered(0, 5))
          const port: FilePort = yield* FilePort
          let failing = 1
          const fiber = yield* Effect.forkChild(
            run(sql, path).pipe(
              withPort({
                fdatasync: (fd, done) =>
                  failing-- > 0 ? done(Object.assign(new Error("EIO"), { code: "EIO" })) : port.fdatasync(fd, done)
              })
            )
          )
          yield* until("an empty outbox", contents(sql), ({ staged }) => staged.length === 0)
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(lines(path), [...numbers(0, 5), ...numbers(0, 5)])
          assert.deepStrictEqual(yield* shown(path), numbers(0, 5))
        })
    )

    check(
      "repeats no drained row of a restored database, and takes one with an old number and the same content for a new one",
      ({ path, sql }) =>
        Effect.gen(function*() {
          const put = (at: number) => {
            const { text, values } = OutboxSchema.outboxStatement(kind.name, [{ n: 1 }], { at: new Date(at) })
            return sql.unsafe(text, values)
          }
          yield* drain(sql, path)
          const [backup] = yield* sql<{ cursor: string }>`SELECT cursor FROM audit_outbox_state`
          yield* put(0)
          yield* put(1)
          yield* drain(sql, path)
          yield* sql`UPDATE audit_outbox_state SET cursor = ${backup!.cursor}`
          yield* sql.unsafe(
            kind.name === "sqlite"
              ? "DELETE FROM sqlite_sequence"
              : "ALTER TABLE audit_outbox ALTER COLUMN id RESTART WITH 1"
          )
          yield* put(0)
          yield* put(2)
          assert.strictEqual(yield* drain(sql, path), 2)
          const stamps = plainLines(Fs.readFileSync(path, "utf8")).map(({ stamp }) => stamp)
          assert.deepStrictEqual(stamps.map(({ at }) => at), [0, 1, 2].map((at) => new Date(at).toISOString()))
          assert.strictEqual(stamps[1]!["src"], stamps[2]!["src"])
          assert.deepStrictEqual(yield* shown(path), [1, 1, 1])
        })
    )

    check(
      "follows the log while nothing waits: what others write is not read again, nor does a compressed segment stop it",
      ({ path, sql }) =>
        Effect.gen(function*() {
          const cursor = Effect.map(
            sql<{ cursor: string }>`SELECT cursor FROM audit_outbox_state`,
            ([state]) => JSON.parse(state!.cursor) as { readonly offset: number }
          )
          yield* stage(sql, numbered(0, 1))
          yield* drain(sql, path)
          const before = yield* cursor
          Fs.appendFileSync(path, `{"foreign":1}\n`)
          yield* drain(sql, path)
          assert.deepStrictEqual(yield* cursor, before, "a short way is not worth a transaction")
          Fs.appendFileSync(path, `{"foreign":"${"x".repeat(1000)}"}\n`.repeat(6000))
          yield* drain(sql, path)
          assert.strictEqual((yield* cursor).offset, Fs.statSync(path).size)

          Fs.renameSync(path, `${path}.1.gz`)
          Fs.appendFileSync(path, `{"foreign":2}\n`)
          yield* drain(sql, path)
          yield* stage(sql, numbered(1, 3))
          assert.strictEqual(yield* drain(sql, path), 2)
          assert.deepStrictEqual(lines(path).slice(1), [1, 2])
        })
    )

    check(
      "appends a batch again whose log was deleted before the rows were, and no other",
      ({ path, sql }) =>
        Effect.gen(function*() {
          yield* stage(sql, numbered(0, 3))
          yield* drain(sql, path)
          yield* stage(sql, numbered(3, 6))
          yield* refuseDeletes(sql)
          assert.isTrue(Exit.isFailure(yield* Effect.exit(drain(sql, path))))
          Fs.rmSync(path)
          yield* admitDeletes(sql)
          assert.strictEqual(yield* drain(sql, path), 3)
          assert.deepStrictEqual(lines(path), numbers(3, 6))
        })
    )

    check(
      "commits nothing and repeats nothing while the database's disk is full and the log's is not, and counts its retries",
      ({ path, sql }) =>
        Effect.gen(function*() {
          yield* stage(sql, numbered(0, 5))
          const free = yield* fillDisk(sql)
          const pay = Effect.andThen(sql`INSERT INTO orders (id) VALUES ('a')`, stage(sql, numbered(5, 6)))
          assert.isTrue(Exit.isFailure(yield* Effect.exit(sql.withTransaction(pay))))
          const retries = Effect.map(metric("auditlog_outbox_retries_total"), (count) => count ?? 0)
          const before = yield* retries
          const fiber = yield* Effect.forkChild(run(sql, path))
          yield* until("three attempts", retries, (count) => count >= before + 3)
          assert.deepStrictEqual(lines(path), numbers(0, 5))
          const { orders, staged } = yield* contents(sql)
          assert.deepStrictEqual([orders, staged.length], [[], 5])
          yield* free
          yield* sql.withTransaction(pay)
          yield* until("an empty outbox", contents(sql), ({ staged }) => staged.length === 0)
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(lines(path), numbers(0, 6))
        })
    )

    if (kind.name === "sqlite") {
      check(
        "drains a database that has no room for another record, which makes room",
        ({ path, sql }) =>
          Effect.gen(function*() {
            const [size] = yield* sql<{ page_count: number }>`PRAGMA page_count`
            yield* sql.unsafe(`PRAGMA max_page_count = ${size!.page_count + 20}`)
            let count = 0
            const record = () => [{ n: count, text: "x".repeat(2000) }]
            const error = yield* Effect.flip(
              Effect.forever(Effect.suspend(() => Effect.andThen(stage(sql, record()), Effect.sync(() => count++))))
            )
            assert.include(String(error), "database or disk is full")
            assert.isAbove(count, 10)
            assert.strictEqual(yield* drain(sql, path), count)
            yield* stage(sql, record())
            assert.strictEqual(yield* drain(sql, path), 1)
            assert.deepStrictEqual(lines(path), numbers(0, count + 1))
          })
      )
    }

    check(
      "waits while the log's disk is full, and drains when there is room",
      ({ path, sql }) =>
        Effect.gen(function*() {
          yield* stage(sql, numbered(0, 5))
          const port: FilePort = yield* FilePort
          let full = true
          let refused = 0
          const fiber = yield* Effect.forkChild(
            run(sql, path).pipe(
              withPort({
                write: (fd, bytes) => {
                  if (!full) return port.write(fd, bytes)
                  refused++
                  throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" })
                }
              })
            )
          )
          yield* until("three attempts", Effect.sync(() => refused), (count) => count >= 3)
          assert.strictEqual((yield* contents(sql)).staged.length, 5)
          full = false
          yield* drained(path, 5)
          yield* until("an empty outbox", contents(sql), ({ staged }) => staged.length === 0)
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(lines(path), numbers(0, 5))
        })
    )

    check(
      "keeps a second relay waiting, which takes over when the first one is gone",
      ({ another, path, sql }) =>
        Effect.gen(function*() {
          const first = yield* Effect.forkChild(run(sql, path))
          yield* stage(sql, numbered(0, 1))
          yield* drained(path, 1)
          const other = yield* another
          const busy = yield* Effect.flip(drain(other, path))
          assert.deepInclude(busy as object, { _tag: "OutboxError", kind: "busy" })
          const second = yield* Effect.forkChild(run(other, path))
          for (let n = 1; n < 30; n++) yield* stage(other, [{ n }])
          yield* drained(path, 30)
          yield* Fiber.interrupt(first)
          yield* stage(sql, numbered(30, 60))
          yield* drained(path, 60)
          yield* Fiber.interrupt(second)
          assert.deepStrictEqual(lines(path), numbers(0, 60))
        })
    )

    check(
      "lets a relay that another one has superseded delete nothing",
      ({ another, sql, url }) =>
        Effect.gen(function*() {
          yield* stage(sql, numbered(0, 3))
          const first = yield* OutboxSession.open(sql, "first")
          const other = yield* another
          // the lock is lost unseen: its file is deleted, or a pooler has given the session to somebody else
          if (kind.name === "sqlite") Fs.rmSync(`${url}-audit-relay`)
          else yield* sql`UPDATE audit_outbox_state SET relay = 'second'`
          if (kind.name === "sqlite") yield* OutboxSession.open(other, "second")
          const error = yield* Effect.flip(first.settle(["1", "2"], "{}"))
          assert.deepInclude(error as object, { _tag: "OutboxError", kind: "superseded" })
          assert.strictEqual((yield* contents(sql)).staged.length, 3)
        })
    )

    check("splits batches of long records, and loses none", ({ path, sql }) =>
      Effect.gen(function*() {
        const long = (n: number) => ({ n, text: "x".repeat(1_000_000) })
        for (const n of numbers(0, 20)) yield* stage(sql, [long(n)])
        assert.strictEqual(yield* drain(sql, path, { transactionBytesMax: 3_500_000 }), 20)
        assert.deepStrictEqual(lines(path), numbers(0, 20))
        const sizes = plainLines(Fs.readFileSync(path, "utf8")).map(({ stamp }) => stamp.tx?.n ?? 1)
        assert.isAtMost(Math.max(...sizes), 3)
      }))

    check("is woken by a commit of its own process, long before its poll", ({ path, sql }) =>
      Effect.gen(function*() {
        const outbox = yield* SqlOutbox.make().pipe(provide(sql))
        const fiber = yield* Effect.forkChild(run(sql, path, { poll: "1 hour" }))
        const write = (n: number) =>
          sql.withTransaction(outbox.append([
            {
              fields: `"n":${n}`,
              fieldsBytes: 5,
              at: "2026-11-23T09:15:02.114Z",
              trace: undefined,
              tag: undefined,
              value: n
            }
          ]))
        for (const n of numbers(0, 3)) {
          yield* write(n)
          yield* drained(path, n + 1)
        }
        yield* Fiber.interrupt(fiber)
      }))

    check("says what waits, since when, and what it has drained", ({ path, sql }) =>
      Effect.gen(function*() {
        const before = (yield* metric("auditlog_outbox_drained_total")) ?? 0
        yield* Metric.update(Metrics.outboxBacklog, -1)
        yield* Metric.update(Metrics.outboxOldest, -1)
        yield* stage(sql, numbered(0, 3))
        const fiber = yield* Effect.forkChild(run(sql, path))
        yield* drained(path, 3)
        yield* until("the count", metric("auditlog_outbox_drained_total"), (count) => count === before + 3)
        yield* until("the backlog", metric("auditlog_outbox_backlog"), (count) => count === 0)
        assert.strictEqual(yield* metric("auditlog_outbox_oldest_seconds"), 0)
        yield* Fiber.interrupt(fiber)
      }))

    check(
      "says that the tables are missing, or that it does not know their version",
      ({ path, sql }) =>
        Effect.gen(function*() {
          yield* sql`UPDATE audit_outbox_state SET version = 9`
          assert.match(String(yield* Effect.flip(run(sql, path))), /version 9, and this relay needs version 1/)
          yield* sql`DROP TABLE audit_outbox_state`
          assert.match(String(yield* Effect.flip(run(sql, path))), /the table audit_outbox is not there/)
        })
    )

    if (kind.name === "pg") {
      check(
        "loses no row whose number is lower than that of one drained before",
        ({ another, path, sql }) =>
          Effect.gen(function*() {
            const other = yield* another
            yield* sql.withTransaction(Effect.gen(function*() {
              yield* stage(sql, [{ n: 0 }])
              // its number is taken and it is not committed yet: another connection overtakes it
              yield* stage(other, [{ n: 1 }])
              assert.strictEqual(yield* drain(other, path), 1)
            }))
            const behind = yield* sql`SELECT id FROM audit_outbox WHERE id > 2`
            assert.deepStrictEqual(behind, [], "a relay that goes on behind the last number sees nothing")
            assert.strictEqual(yield* drain(sql, path), 1)
            assert.deepStrictEqual(lines(path), [1, 0])
          })
      )

      check("is woken by a notification that commits with the row", ({ path, sql, url }) =>
        Effect.gen(function*() {
          const pg = yield* Effect.map(
            Layer.build(PgClient.layer({ url: Redacted.make(url) })),
            Context.get(PgClient.PgClient)
          )
          const notifications = Stream.unwrap(Effect.map(pg.listen(OutboxSchema.channel), Stream.fromQueue))
          const fiber = yield* Effect.forkChild(run(pg, path, { poll: "1 hour", notifications }))
          yield* until("listening", sql`SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%'`, (rows) =>
            rows.length > 0)
          for (const n of numbers(0, 3)) {
            const { text, values } = OutboxSchema.outboxStatement("pg", [{ n }], { notify: true })
            yield* sql.unsafe(text, values)
            yield* drained(path, n + 1)
          }
          yield* Fiber.interrupt(fiber)
        }))
    }
  })
}
