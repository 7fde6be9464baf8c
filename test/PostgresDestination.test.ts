import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted, Result, type Scope, Stream } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import * as Fs from "node:fs"
import { afterAll, beforeAll } from "vitest"
import { Destination, FileAppender, Shipper } from "../src/index.ts"
import * as PostgresDestination from "../src/PostgresDestination.ts"
import { because } from "./cliSupport.ts"
import { destinationSuite } from "./destinationSuite.ts"
import { Postgres, whyNoPostgres } from "./servers/postgres.ts"
import { logText, ship, until, within } from "./shipSupport.ts"
import { granted, openLog, temporaryLog } from "./support.ts"

const skip = because(whyNoPostgres())
let server: Postgres | undefined

const db = (): Postgres => {
  if (server === undefined) throw new Error("the server is not running")
  return server
}

const clientOf = (url: string) => PgClient.layer({ url: Redacted.make(url), maxConnections: 4 })

const connect = (options: PostgresDestination.Options = {}, url = () => db().url()) =>
  Effect.suspend(() => Layer.build(clientOf(url()))).pipe(
    Effect.flatMap((context) => Effect.provide(PostgresDestination.make(options), context))
  )

const asRole = (role: string) => () => db().url().replace("//postgres:", `//${role}:`).replace(db().password, role)

if (!skip) {
  beforeAll(async () => {
    server = await Postgres.make({ settings: { fsync: "on" } })
    for (const role of ["shipper", "reader"]) db().query(`CREATE ROLE ${role} LOGIN PASSWORD '${role}'`)
    const setup = PostgresDestination.setup({ shippers: ["shipper"], readers: ["reader"] })
    await Effect.runPromise(Effect.provide(Effect.andThen(setup, setup), clientOf(db().url())))
  })
  afterAll(() => server?.stop())
}

destinationSuite("PostgreSQL", { make: connect({ chunkBytesMax: 1024 * 1024 }, asRole("shipper")), skip })

describe.skipIf(skip)("a destination in PostgreSQL", () => {
  const live = <E>(title: string, body: () => Effect.Effect<void, E, Scope.Scope>) => it.live(title, body, 30_000)

  live("takes a log from the shipper, and each line is a row that SQL can look into", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const log = yield* openLog(yield* FileAppender.make({ path, rotate: { size: 4000 } }))
      const destination = yield* connect({}, asRole("shipper"))
      const shipper = yield* ship(path, { destinations: [{ destination }], durability: "fsync" })
      for (let i = 0; i < 40; i++) yield* log.appendAll([granted(`${i}a`), granted(`${i}b`)])
      yield* within("all being shipped", shipper.awaitShipped)
      const { id } = yield* shipper.source
      const roles = db().query(
        `SELECT line::jsonb ->> 'role' FROM auditlog.line WHERE source = '${id}' ORDER BY position`
      )
      assert.deepStrictEqual(roles, Array.from({ length: 40 }, (_, i) => [`${i}a`, `${i}b`]).flat())
      assert.strictEqual(
        db().query(`SELECT line FROM auditlog.line WHERE source = '${id}' ORDER BY position`).join("\n") + "\n",
        logText(path)
      )
    }))

  live(
    "gives back lines that are empty, or no text, or hold what arrays and rows are made of",
    () =>
      Effect.gen(function*() {
        const destination = yield* connect()
        const texts = ["\n", "\n\n", "a\n\nb\n\n", `{"a":"{1,2}","b":"\\\\N\\\\n"}\n`, "NULL\n", "\u0000\n", "\t\r\n"]
        for (const bytes of [...texts.map((text) => Buffer.from(text)), Buffer.from([0xff, 0x0a, 0x61, 0x0a])]) {
          const source = { id: crypto.randomUUID(), generation: 1 }
          const lines = bytes.filter((byte) => byte === 0x0a).length
          yield* destination.append({ source, from: 0, to: bytes.length, lines, bytes, resume: "[1]" })
          const parts = yield* Stream.runCollect(Destination.bytes(destination, source))
          assert.deepStrictEqual(Buffer.concat([...parts]), bytes)
          const [count] = db().query(`SELECT count(*) FROM auditlog.line WHERE source = '${source.id}'`)
          assert.strictEqual(count, String(lines))
        }
      })
  )

  live("lets an ordinary role insert and select, and nothing else", () =>
    Effect.gen(function*() {
      const shipper = yield* connect({}, asRole("shipper"))
      const source = { id: crypto.randomUUID(), generation: 1 }
      const bytes = Buffer.from("{}\n")
      yield* shipper.append({ source, from: 0, to: 3, lines: 1, bytes, resume: "[1]" })
      assert.strictEqual(shipper.capabilities.immutability, "guarded")
      assert.strictEqual((yield* connect()).capabilities.immutability, "none")
      const client = yield* Layer.build(clientOf(asRole("shipper")()))
      for (
        const statement of [
          "UPDATE auditlog.line SET line = 'x'",
          "DELETE FROM auditlog.line",
          "TRUNCATE auditlog.line",
          "UPDATE auditlog.chunk SET to_offset = 9",
          "DELETE FROM auditlog.chunk",
          "DROP TABLE auditlog.line_default"
        ]
      ) {
        const failure = yield* Effect.flip(
          Effect.provide(SqlClient.SqlClient.use((sql) => sql.unsafe(statement)), client)
        )
        assert.strictEqual(failure.reason._tag, "AuthorizationError", statement)
      }
      const reader = yield* connect({}, asRole("reader"))
      assert.deepStrictEqual(yield* reader.head(source), { offset: 3, resume: "[1]" })
      const denied = yield* Effect.flip(
        reader.append({ source, from: 3, to: 6, lines: 1, bytes, resume: "[1]" })
      )
      assert.strictEqual(denied._tag, "DestinationRejected")
      assert.include(denied.message, "what that user may do there")
    }))

  live("puts lines into the partition of their month", () =>
    Effect.gen(function*() {
      const partitions = db().query(
        "SELECT relid::regclass FROM pg_partition_tree('auditlog.line') WHERE isleaf ORDER BY 1"
      )
      assert.strictEqual(partitions.length, 5)
      const [month = ""] = db().query("SELECT to_char(now() AT TIME ZONE 'UTC', '\"auditlog.line_\"YYYY_MM')")
      assert.include(partitions, month)
      const destination = yield* connect()
      const source = { id: crypto.randomUUID(), generation: 1 }
      yield* destination.append({ source, from: 0, to: 3, lines: 1, bytes: Buffer.from("{}\n"), resume: "[1]" })
      assert.deepStrictEqual(
        db().query(`SELECT DISTINCT tableoid::regclass FROM auditlog.line WHERE source = '${source.id}'`),
        [month]
      )
    }))

  live("says what its acknowledgement means, from the server's settings", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* connect()).capabilities.durability, "fsync")
      const off = () => `${db().url()}?options=-c%20synchronous_commit%3Doff`
      assert.strictEqual((yield* connect({}, off)).capabilities.durability, "process")
    }))

  live("is refused without its tables, and says what to do", () =>
    Effect.gen(function*() {
      const failure = yield* Effect.flip(connect({ schema: "nowhere" }))
      assert.strictEqual(failure._tag, "DestinationRejected")
      assert.include(failure.message, "run the setup first")
    }))

  live(
    "is unavailable while the server is down, and the shipper goes on after its crash",
    () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        const log = yield* openLog(yield* FileAppender.make({ path }))
        const destination = yield* connect({}, asRole("shipper"))
        const shipper = yield* ship(path, { destinations: [{ destination }] })
        yield* log.append(granted("before"))
        yield* within("all being shipped", shipper.awaitShipped)
        yield* Effect.promise(() => db().crash())
        yield* log.append(granted("during"))
        yield* until(
          "the failure",
          Effect.map(shipper.status, ([status]) => status!.state === "retrying" && status!.lagBytes > 0)
        )
        yield* Effect.promise(() => db().start())
        yield* within("all being shipped", shipper.awaitShipped)
        const { id } = yield* shipper.source
        assert.strictEqual(
          db().query(`SELECT line FROM auditlog.line WHERE source = '${id}' ORDER BY position`).join("\n") + "\n",
          Fs.readFileSync(path, "utf8")
        )
      })
  )

  it.live.each(["fail", "degrade"] as const)(
    "lets a replicated append %s while the server is down, and has the record when it is back",
    (onTimeout) =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        const { appender, shipper } = yield* Shipper.replicated(yield* FileAppender.make({ path }), {
          path,
          destinations: [{ destination: yield* connect({}, asRole("shipper")) }],
          timeout: 300,
          onTimeout,
          retryMax: 100
        })
        const log = yield* openLog(appender)
        assert.strictEqual((yield* log.append(granted("before"))).durability, "replicated")
        yield* Effect.promise(() => db().crash())
        const during = yield* Effect.result(log.append(granted("during")))
        if (onTimeout === "fail") {
          assert.strictEqual(Result.isFailure(during) && during.failure.reason._tag, "NotReplicated")
        } else {
          assert.strictEqual(Result.isSuccess(during) && during.success.durability, "synced")
        }
        yield* Effect.promise(() => db().start())
        yield* within("all being shipped", shipper.awaitShipped)
        assert.strictEqual((yield* within("the append", log.append(granted("after")))).durability, "replicated")
        const { id } = yield* shipper.source
        assert.deepStrictEqual(
          db().query(`SELECT line::jsonb ->> 'role' FROM auditlog.line WHERE source = '${id}' ORDER BY position`),
          ["before", "during", "after"]
        )
      }).pipe(Effect.provide(Logger.layer([], { mergeWithExisting: false }))),
    30_000
  )

  live("is stopped at by a shipper when its disk is full, and nothing is skipped", () =>
    Effect.gen(function*() {
      // a trigger says what a full disk says: 53100
      db().query(
        "CREATE FUNCTION public.out_of_room() RETURNS trigger LANGUAGE plpgsql AS " +
          "$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
      )
      const path = yield* temporaryLog
      Fs.writeFileSync(path, `{"n":1}\n`)
      const destination = yield* connect({}, asRole("shipper"))
      db().query("CREATE TRIGGER out_of_room BEFORE INSERT ON auditlog.chunk EXECUTE FUNCTION public.out_of_room()")
      const first = yield* Effect.scoped(Effect.gen(function*() {
        const shipper = yield* ship(path, { destinations: [{ destination }] })
        return [yield* within("the stop", Effect.flip(shipper.ended)), yield* shipper.source] as const
      }))
      db().query("DROP TRIGGER out_of_room ON auditlog.chunk")
      assert.include(first[0].message, "No space left on device")
      assert.include(first[0].message, "make room there")
      assert.isUndefined(yield* destination.head(first[1]))
      const again = yield* ship(path, { destinations: [{ destination }] })
      yield* within("all being shipped", again.awaitShipped)
      assert.strictEqual((yield* destination.head(first[1]))?.offset, 8)
      assert.isTrue(Destination.isAtLeast(destination.capabilities.durability, "fsync"))
    }))
})
