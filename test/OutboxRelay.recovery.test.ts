/**
 * What a relay finds when the one before it, the log or the database did not leave things as it expects them: rows that
 * commit late, segments that are gone, a peer that says nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Schedule } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { FileAppender } from "../src/index.ts"
import { FilePort } from "../src/internal/filePort.ts"
import { BatchRows } from "../src/internal/outboxDrain.ts"
import * as OutboxSession from "../src/internal/outboxSession.ts"
import { admitDeletes, drain, lines, numbered, numbers, refuseDeletes, stage, withPort } from "./relaySupport.ts"
import { openPostgres, type Sql } from "./sqlClient.ts"
import { contents, kinds } from "./sqlSupport.ts"
import { readRecords, temporaryLog } from "./support.ts"

/** Numbers that stand in any file of the log, by whatever name. */
const everywhere = (path: string): ReadonlyArray<unknown> =>
  Fs.readdirSync(Path.dirname(path)).flatMap((name) => lines(Path.join(Path.dirname(path), name)))
    .filter((n) => n !== undefined)

/** A server between a client and PostgreSQL that can stop passing anything on, and keeps its connections open. */
const proxy = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly fallSilent: () => void; readonly close: () => void }>(
      (resume) => {
        const sockets: Array<Net.Socket> = []
        const server = Net.createServer((client) => {
          const behind = Net.connect(port, "127.0.0.1")
          sockets.push(client, behind)
          for (const socket of [client, behind]) socket.on("error", () => undefined)
          client.pipe(behind).pipe(client)
        })
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          resume(Effect.succeed({
            port: typeof address === "object" && address !== null ? address.port : 0,
            fallSilent: () => sockets.forEach((socket) => socket.unpipe().pause()),
            close: () => {
              sockets.forEach((socket) => socket.destroy())
              server.close()
            }
          }))
        })
      }
    ),
    ({ close }) => Effect.sync(close)
  )

/** Three rows are drained, and three more are in the log and were not deleted. */
const leaveUndeleted = Effect.fnUntraced(function*(sql: Sql, path: string) {
  yield* stage(sql, numbered(0, 3))
  yield* drain(sql, path)
  yield* stage(sql, numbered(3, 6))
  yield* refuseDeletes(sql)
  assert.isTrue(Exit.isFailure(yield* Effect.exit(drain(sql, path))))
})

for (const kind of kinds()) {
  describe(`a relay on ${kind.name}`, () => {
    it.live("finds its last batch in a log whose segments from before are gone, and appends none of it again", () =>
      Effect.gen(function*() {
        const { sql } = yield* kind.make
        const path = yield* temporaryLog
        yield* leaveUndeleted(sql, path)
        // the rest of the log, in a file that the cursor does not know
        const rest = Fs.readFileSync(path, "utf8").split("\n").slice(3).join("\n")
        Fs.writeFileSync(`${path}.copy`, rest, { mode: 0o600 })
        Fs.renameSync(`${path}.copy`, path)
        assert.deepStrictEqual(lines(path), numbers(3, 6))
        yield* admitDeletes(sql)
        yield* stage(sql, numbered(6, 7))
        assert.strictEqual(yield* drain(sql, path), 4)
        assert.deepStrictEqual(lines(path), numbers(3, 7))
        assert.deepStrictEqual((yield* contents(sql)).staged, [])
      }))

    it.live("appends a batch again whose segment the retention of the log has removed before it was deleted", () =>
      Effect.gen(function*() {
        const { sql } = yield* kind.make
        const path = yield* temporaryLog
        yield* leaveUndeleted(sql, path)
        assert.deepStrictEqual(everywhere(path), numbers(0, 6))
        // others write until nothing of it is left
        const record = (n: number) => ({
          fields: `"other":${n}`,
          fieldsBytes: 8 + String(n).length,
          at: new Date(0).toISOString(),
          trace: undefined,
          tag: undefined,
          value: n
        })
        yield* Effect.scoped(Effect.gen(function*() {
          const appender = yield* FileAppender.make({ path, rotate: { size: 2000 }, retain: { size: 4000 } })
          const deadline = performance.now() + 15_000
          for (let n = 0; everywhere(path).length > 0; n++) {
            assert.isBelow(performance.now(), deadline, "the retention removes the segment")
            yield* appender.append([record(n)])
            yield* Effect.sleep(1)
          }
        }))
        yield* admitDeletes(sql)
        assert.strictEqual(yield* drain(sql, path), 3)
        assert.deepStrictEqual(everywhere(path), numbers(3, 6))
        const shown = (yield* readRecords(path)).map(({ fields }) => fields["n"]).filter((n) => n !== undefined)
        assert.deepStrictEqual(shown, numbers(3, 6))
      }))

    it.live("drains many batches while it reads ahead, each row once and in order", () =>
      Effect.gen(function*() {
        const { sql } = yield* kind.make
        const path = yield* temporaryLog
        yield* stage(sql, numbered(0, 500))
        // rows that are missing in between, as rollbacks leave them
        yield* sql`DELETE FROM audit_outbox WHERE id % 7 = 0`
        const left = numbers(0, 500).filter((n) => (n + 1) % 7 !== 0)
        const drained = drain(sql, path).pipe(Effect.provideService(BatchRows, 3))
        assert.strictEqual(yield* drained, left.length)
        assert.deepStrictEqual(lines(path), left)
        assert.deepStrictEqual((yield* contents(sql)).staged, [])
      }))

    if (kind.name !== "pg") return

    it.live("lets a row that commits while others are read ahead go before what its writer staged later", () =>
      Effect.gen(function*() {
        const { another, sql } = yield* kind.make
        const other = yield* another
        const port: FilePort = yield* FilePort
        // at each of the first flushes, so that the reading ahead is before, under way and behind
        for (const flush of numbers(1, 8)) {
          const path = yield* temporaryLog
          const late = yield* Latch.make(false)
          const taken = yield* Latch.make(false)
          // the number of the late row is in the middle of a batch
          yield* stage(sql, numbered(0, 10))
          const writer = yield* Effect.forkChild(
            other.withTransaction(
              stage(other, [{ n: "late" }]).pipe(
                Effect.andThen(taken.open),
                Effect.andThen(late.await)
              )
            ).pipe(Effect.andThen(stage(other, [{ n: "after it" }])))
          )
          yield* taken.await
          yield* stage(sql, numbered(10, 100))
          let flushes = 0
          const commits = late.open.pipe(Effect.andThen(Fiber.join(writer)))
          yield* drain(sql, path).pipe(
            Effect.provideService(BatchRows, 2),
            withPort({
              fdatasync: (fd, done) => {
                if (++flushes !== flush) return port.fdatasync(fd, done)
                Effect.runCallback(commits, { onExit: () => port.fdatasync(fd, done) })
              }
            })
          )
          const found = lines(path)
          assert.deepStrictEqual(found.filter((n) => typeof n === "number"), numbers(0, 100), `flush ${flush}`)
          assert.deepStrictEqual(found.filter((n) => typeof n === "string"), ["late", "after it"], `flush ${flush}`)
          assert.deepStrictEqual((yield* contents(sql)).staged, [])
        }
      }))

    it.effect("gives up after 30 seconds a database that keeps the connection and says nothing", () =>
      Effect.gen(function*() {
        const { server, sql, url } = yield* TestClock.withLive(kind.make)
        const path = yield* temporaryLog
        yield* stage(sql, numbered(0, 3))
        const between = yield* proxy(server!.port)
        const distant = yield* openPostgres(url.replace(/:\d+\//, `:${between.port}/`), { maxConnections: 2 })
        const port: FilePort = yield* FilePort
        const silent = yield* Latch.make(false)
        const fiber = yield* Effect.forkChild(Effect.exit(
          drain(distant, path).pipe(withPort({
            fdatasync: (fd, done) => {
              between.fallSilent()
              port.fdatasync(fd, (error) => {
                done(error)
                // the deletion is sent when the append is answered
                setImmediate(() => setImmediate(() => silent.openUnsafe()))
              })
            }
          }))
        ))
        yield* silent.await
        const deadline = performance.now() + 15_000
        while (fiber.pollUnsafe() === undefined && performance.now() < deadline) {
          yield* TestClock.adjust("31 seconds")
          yield* TestClock.withLive(Effect.sleep(10))
        }
        const error = yield* Effect.flip(Effect.flatten(Fiber.join(fiber)))
        assert.match(String(error), /has not answered for 30 s/)
        // what was appended is found there by the next one, as soon as the server has noticed
        between.close()
        const next = Effect.retry(drain(sql, path), { times: 100, schedule: Schedule.spaced("50 millis") })
        assert.strictEqual(yield* TestClock.withLive(next), 3)
        assert.deepStrictEqual(lines(path), numbers(0, 3))
      }))

    it.live("has the server look whether the relay is there, so that one that vanished does not keep the lock", () =>
      Effect.gen(function*() {
        const { url } = yield* kind.make
        const single = yield* openPostgres(url, { maxConnections: 1 })
        yield* Effect.scoped(OutboxSession.open(single, "relay"))
        const settings = yield* single<{ name: string; setting: string }>`SELECT name, setting FROM pg_settings
          WHERE name LIKE 'tcp%' OR name = 'client_connection_check_interval' ORDER BY name`
        assert.deepStrictEqual(Object.fromEntries(settings.map(({ name, setting }) => [name, setting])), {
          client_connection_check_interval: "5000",
          tcp_keepalives_count: "3",
          tcp_keepalives_idle: "10",
          tcp_keepalives_interval: "5",
          tcp_user_timeout: "25000"
        })
      }))
  })
}
