import { assert, describe, it } from "@effect/vitest"
import type { JetStreamManager } from "@nats-io/jetstream"
import { Effect, Redacted, type Scope, Stream } from "effect"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { afterAll, beforeAll } from "vitest"
import { Destination, FileAppender } from "../src/index.ts"
import * as NatsDestination from "../src/NatsDestination.ts"
import { because } from "./cliSupport.ts"
import { destinationSuite } from "./destinationSuite.ts"
import { Nats, whyNoNats } from "./servers/nats.ts"
import { logText, ship, within } from "./shipSupport.ts"
import { granted, openLog, temporaryLog } from "./support.ts"

const skip = because(whyNoNats())
let cluster: Nats | undefined

const nats = (): Nats => {
  if (cluster === undefined) throw new Error("the cluster is not running")
  return cluster
}

const connect = (options: Partial<NatsDestination.Options> = {}) =>
  Effect.suspend(() =>
    NatsDestination.make({
      servers: nats().urls,
      user: "owner",
      password: Redacted.make("owner"),
      create: { replicas: 3, bytesMax: 512 * 1024 * 1024 },
      ...options
    })
  )

/** Asks the servers as their owner, apart from the destination. */
const withManager = <A>(use: (manager: JetStreamManager) => Promise<A>): Effect.Effect<A> =>
  Effect.promise(async () => {
    const { connect: connectTo } = await import("@nats-io/transport-node")
    const { jetstreamManager } = await import("@nats-io/jetstream")
    const connection = await connectTo({ servers: [...nats().urls], user: "owner", pass: "owner" })
    try {
      return await use(await jetstreamManager(connection, { checkAPI: false }))
    } finally {
      await connection.close()
    }
  })

const shipperRights =
  `publish: ["auditlog.>", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*"], subscribe: "_INBOX.>"`

if (!skip) {
  beforeAll(async () => {
    cluster = await Nats.make(3, {
      config: `authorization { users: [
        { user: owner, password: owner },
        { user: shipper, password: shipper, permissions: { ${shipperRights} } },
        { user: reader, password: reader, permissions: {
          publish: ["$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*"], subscribe: "_INBOX.>" } }
      ] }`
    })
  })
  afterAll(() => cluster?.stop())
}

destinationSuite("NATS JetStream", { make: connect(), skip })

describe.skipIf(skip)("a destination in NATS JetStream", () => {
  const live = <E>(title: string, body: () => Effect.Effect<void, E, Scope.Scope>) => it.live(title, body, 60_000)

  live("takes a log from a shipper that may do nothing else than append and ask", () =>
    Effect.gen(function*() {
      yield* connect()
      const path = yield* temporaryLog
      const log = yield* openLog(yield* FileAppender.make({ path, rotate: { size: 4000 } }))
      const destination = yield* connect({ user: "shipper", password: Redacted.make("shipper"), create: undefined })
      assert.deepInclude(destination.capabilities, { durability: "quorum", immutability: "guarded" })
      const shipper = yield* ship(path, { destinations: [{ destination }], durability: "quorum" })
      for (let i = 0; i < 40; i++) yield* log.append(granted(`${i}`))
      yield* within("all being shipped", shipper.awaitShipped)
      const parts = yield* Stream.runCollect(Destination.bytes(destination, yield* shipper.source))
      assert.strictEqual(Buffer.concat([...parts]).toString(), logText(path))
    }))

  live(
    "makes a stream of three replicas that keeps everything, in which a chunk is a message that nobody deletes",
    () =>
      Effect.gen(function*() {
        const destination = yield* connect({ stream: "KEPT", subject: "kept" })
        const source = { id: crypto.randomUUID(), generation: 1 }
        for (const from of [0, 6]) {
          const bytes = Buffer.from("{}\n{}\n")
          yield* destination.append({ source, from, to: from + 6, lines: 2, bytes, resume: "[1]" })
        }
        const [config, messages, refused] = yield* withManager(async (manager) => {
          const { config, state } = await manager.streams.info("KEPT")
          const refused = await Promise.all([
            manager.streams.purge("KEPT").then(() => "purged", String),
            manager.streams.deleteMessage("KEPT", 1).then(() => "deleted", String)
          ])
          return [config, state.messages, refused] as const
        })
        assert.deepInclude(config, {
          num_replicas: 3,
          storage: "file",
          retention: "limits",
          discard: "new",
          max_age: 0,
          deny_delete: true,
          deny_purge: true
        })
        assert.strictEqual(messages, 2)
        for (const answer of refused) assert.match(answer, /not permitted/)
        const parts = yield* Stream.runCollect(Destination.bytes(destination, source))
        assert.strictEqual(Buffer.concat([...parts]).length, 12)
      })
  )

  live("says that publishes which cross can both be taken by a server that lets them", () =>
    Effect.gen(function*() {
      const { stdout } = spawnSync("nats-server", ["--version"], { encoding: "utf8" })
      const [major = 0, minor = 0, patch = 0] = (/v([\d.]+)/.exec(stdout)?.[1] ?? "").split(".").map(Number)
      const isOld = major * 1e6 + minor * 1000 + patch < 2_010_019
      assert.strictEqual((yield* connect()).capabilities.dedupe, isOld ? "byPosition" : "compareAndAppend")
    }))

  live("refuses a shipper that may not append, and says so", () =>
    Effect.gen(function*() {
      yield* connect()
      const reader = yield* connect({ user: "reader", password: Redacted.make("reader"), create: undefined })
      const source = { id: crypto.randomUUID(), generation: 1 }
      const failure = yield* Effect.flip(
        reader.append({ source, from: 0, to: 3, lines: 1, bytes: Buffer.from("{}\n"), resume: "[1]" })
      )
      assert.strictEqual(failure._tag, "DestinationRejected")
      assert.include(failure.message, "what that user may do there")
    }))

  live("refuses a stream that drops what is old, and says what to change", () =>
    Effect.gen(function*() {
      yield* withManager(async ({ streams }) => {
        await streams.add({ name: "AGED", subjects: ["aged.>"], max_age: 1e12, discard: "new" })
        await streams.add({ name: "OLD", subjects: ["old.>"] })
      })
      const aged = yield* Effect.flip(connect({ stream: "AGED", subject: "aged" }))
      assert.include(aged.message, "drops messages by their age")
      const old = yield* Effect.flip(connect({ stream: "OLD", subject: "old" }))
      assert.include(old.message, "set discard to new")
      const missing = yield* Effect.flip(connect({ stream: "NONE", create: undefined }))
      assert.include(missing.message, "there is no stream NONE")
    }))

  live("promises less with fewer replicas, and is refused where more is asked for", () =>
    Effect.gen(function*() {
      const single = { stream: "SINGLE", subject: "single", create: { replicas: 1 } }
      const destination = yield* connect(single)
      assert.strictEqual(destination.capabilities.durability, "pageCache")
      assert.strictEqual((yield* connect({ ...single, syncAlways: true })).capabilities.durability, "fsync")
      const path = yield* temporaryLog
      const failure = yield* Effect.flip(ship(path, { destinations: [{ destination }], durability: "fsync" }))
      assert.strictEqual(failure.reason, "weak")
    }))

  live("stops a shipper when the stream is full, and nothing is skipped or dropped", () =>
    Effect.gen(function*() {
      const destination = yield* connect({
        stream: "SMALL",
        subject: "small",
        create: { replicas: 3, bytesMax: 20_000 }
      })
      const path = yield* temporaryLog
      Fs.writeFileSync(path, `{"text":"${"x".repeat(90)}"}\n`.repeat(400))
      const shipper = yield* ship(path, { destinations: [{ destination }], chunkSize: 2000 })
      const failure = yield* within("the stop", Effect.flip(shipper.ended))
      assert.include(failure.message, "make room there")
      const head = yield* destination.head(yield* shipper.source)
      assert.isAbove(head?.offset ?? 0, 2000)
      const parts = yield* Stream.runCollect(Destination.bytes(destination, yield* shipper.source))
      assert.isTrue(logText(path).startsWith(Buffer.concat([...parts]).toString()))
      assert.strictEqual(Buffer.concat([...parts]).length, head?.offset)
    }))
})
