/**
 * Ships a log while everything is killed: the shipper inside an append and at random, the writer, connections, servers.
 * Afterwards the destination has the log byte for byte: nothing lost, nothing twice, nothing out of order.
 *
 * Twenty seconds for each destination, or AUDITLOG_FAULTS_SECONDS.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Exit, Logger, Scope, Stream } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { assert, describe, it } from "vitest"
import { open } from "../../src/cli/destinationUrl.ts"
import { Destination, Segment, Shipper, Verifier } from "../../src/index.ts"
import { childProgram } from "../childPrograms.ts"
import { because } from "../cliSupport.ts"
import { Nats, whyNoNats } from "../servers/nats.ts"
import { Postgres, whyNoPostgres } from "../servers/postgres.ts"
import { compare, readLog } from "./account.ts"
import { below, random, replay, seconds, seed, tell } from "./campaign.ts"
import { withDirectory } from "./mounts.ts"
import { until, withWriters, type Writer } from "./writers.ts"

const loopSeconds = seconds > 0 ? seconds : 20

/** How long the last shipper may take to bring the rest over, with servers that have just been started again. */
const settleMillis = 90_000

/** Each with some hundred records. */
const segmentBytes = 200_000

const child = childProgram("shipper")

/** What whole lines the segments of a log have, oldest first. */
const wholeLines = (log: string): Buffer =>
  Buffer.concat(
    Segment.pick(log, Fs.readdirSync(Path.dirname(log))).map(({ path }) => {
      const bytes = Fs.readFileSync(path)
      return bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1)
    })
  )

/** Runs something for the time of the test, while a writer appends and is now and then killed. */
const whileWriting = async (
  log: string,
  start: (
    options: {
      readonly log: string
      readonly name: string
      readonly seed: number
      readonly more: ReadonlyArray<string>
    }
  ) => Writer,
  step: () => Promise<void>
): Promise<ReadonlyArray<Writer>> => {
  const writers: Array<Writer> = []
  const next = async (): Promise<Writer> => {
    const name = `w${writers.length}`
    const writer = start({
      log,
      name,
      seed: seed + writers.length,
      more: ["--rotate", String(segmentBytes), "--pause", "2"]
    })
    writers.push(writer)
    await until([writer], "the writer is ready", () => writer.isReady)
    return writer
  }
  let writer = await next()
  const end = performance.now() + 1000 * loopSeconds
  while (performance.now() < end) {
    await step()
    if (below(60) > 0) continue
    await writer.kill()
    writer = await next()
  }
  await writer.stop()
  return writers
}

/** Compares what came out of a destination with the log, and with what the writers were told. */
const check = async (log: string, copy: Buffer, writers: ReadonlyArray<Writer>, what: string): Promise<void> => {
  const expected = wholeLines(log)
  const at = copy.findIndex((byte, i) => byte !== expected[i])
  assert.isTrue(
    copy.equals(expected),
    `${what}: ${copy.length} bytes came back of ${expected.length}, and differ at ${at}; ${replay}`
  )
  await withDirectory(async (directory) => {
    const path = Path.join(directory, "audit.jsonl")
    Fs.writeFileSync(path, copy)
    const report = await Effect.runPromise(
      Effect.provide(Verifier.verify(path, { segments: "one" }), NodeFileSystem.layer)
    )
    assert.isTrue(report.sound, `${what}: ${JSON.stringify(report)}; ${replay}`)
    const { acknowledged, damages, faults, found } = compare(await readLog(path), writers)
    assert.deepEqual(faults, [], `${what}: ${replay}`)
    // a killed writer leaves a fragment, and the next one a line that closes it
    assert.isTrue(damages.length <= writers.length, `${damages.length} damages; ${replay}`)
    assert.isAbove(acknowledged, 100, `${what}: too little was appended; ${replay}`)
    tell(`${what}: ${acknowledged} acknowledged, ${found} found, ${writers.length} writers, ${copy.length} bytes`)
  })
}

const readBack = (destination: Destination.Destination, source: Destination.Source): Promise<Buffer> =>
  Effect.runPromise(
    Effect.map(Stream.runCollect(Destination.bytes(destination, source)), (parts) => Buffer.concat([...parts]))
  )

/** Shippers one after the other, in processes of their own. */
class Shippers {
  starts = 0
  private child: ChildProcess | undefined
  private stderr = ""
  private readonly log: string
  private readonly url: string

  constructor(log: string, url: string) {
    this.log = log
    this.url = url
  }

  /** Starts one if none is running. */
  ensure(): void {
    if (this.child !== undefined) return
    this.starts++
    this.run(seed + this.starts)
  }

  kill(): void {
    this.child?.kill("SIGKILL")
  }

  /** Brings over what is left. */
  async finish(diagnosis: () => string): Promise<void> {
    this.kill()
    const deadline = performance.now() + settleMillis
    while (this.child !== undefined) await sleep(5)
    this.stderr = ""
    const last = this.run(0)
    while (last.exitCode === null && performance.now() < deadline) await sleep(20)
    this.kill()
    assert.strictEqual(
      last.exitCode,
      0,
      `the last shipper did not end well within ${settleMillis} ms: ${this.stderr}\n${diagnosis()}; ${replay}`
    )
  }

  private run(childSeed: number): ChildProcess {
    const started = spawn(process.execPath, [child, this.log, this.url, String(childSeed)], {
      stdio: ["ignore", "ignore", "pipe"]
    })
    this.child = started
    started.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr = (this.stderr + text).slice(-2000)
    })
    started.once("close", () => {
      this.child = undefined
    })
    return started
  }
}

/** A kill loop with real processes on a real server. */
const campaign = (what: string, url: string, options: {
  readonly disturb: () => Promise<string | undefined>
  readonly settle: () => Promise<void>
  readonly diagnosis: () => string
}): Promise<void> =>
  withDirectory((directory) =>
    withWriters(async (start) => {
      const log = Path.join(directory, "audit.jsonl")
      const shippers = new Shippers(log, url)
      const done = new Map<string, number>()
      const writers = await whileWriting(log, start, async () => {
        shippers.ensure()
        await sleep(20 + below(80))
        if (below(25) === 0) shippers.kill()
        const disturbed = await options.disturb()
        if (disturbed !== undefined) done.set(disturbed, (done.get(disturbed) ?? 0) + 1)
      })
      await options.settle()
      await shippers.finish(options.diagnosis)
      const id: string = JSON.parse(Fs.readFileSync(`${log}.source`, "utf8")).id
      const copy = await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
        const destination = yield* open(url, { log, setup: false })
        return yield* Effect.promise(() => readBack(destination, { id, generation: 1 }))
      })))
      const disturbances = [...done].map(([name, count]) => `${count} ${name}`).join(", ")
      await check(log, copy, writers, `${what}: ${shippers.starts} shippers, ${disturbances}`)
    })
  )

const timeout = 1000 * loopSeconds + settleMillis + 120_000

// `check` asserts
/* oxlint-disable vitest/expect-expect */
describe("while the shipper, the writer and the servers are killed", () => {
  it("memory has the log byte for byte", () =>
    withDirectory((directory) =>
      withWriters(async (start) => {
        const log = Path.join(directory, "audit.jsonl")
        const { destination } = Destination.makeMemory()
        const lost = (): Destination.DestinationUnavailable =>
          new Destination.DestinationUnavailable({ destination: "memory", problem: "lost" })
        // half of the appends that fail were taken; some answer late, or never
        const append: Destination.Destination["append"] = (chunk) => {
          const kind = random()
          if (kind < 0.1) return Effect.andThen(Effect.ignore(destination.append(chunk)), lost())
          if (kind < 0.2) return Effect.fail(lost())
          if (kind < 0.22) return Effect.andThen(Effect.ignore(destination.append(chunk)), Effect.never)
          if (kind < 0.24) return Effect.never
          return kind < 0.5 ? Effect.delay(destination.append(chunk), below(5)) : destination.append(chunk)
        }
        let scope: Scope.Closeable | undefined
        let starts = 0
        const begin = async (): Promise<Shipper.Shipper> => {
          starts++
          scope = Effect.runSync(Scope.make())
          const silent = Logger.layer([], { mergeWithExisting: false })
          return Effect.runPromise(Effect.provide(
            Scope.provide(
              Shipper.make({
                path: log,
                destinations: [{ destination: { ...destination, append } }],
                durability: "process",
                attemptTimeout: 50,
                retryMax: 30,
                linger: 0,
                poll: 10
              }),
              scope
            ),
            silent
          ))
        }
        let shipper = await begin()
        const writers = await whileWriting(log, start, async () => {
          await sleep(20 + below(60))
          if (below(4) > 0 || scope === undefined) return
          // in the middle of whatever it does
          await Effect.runPromise(Scope.close(scope, Exit.void))
          shipper = await begin()
        })
        await Effect.runPromise(Effect.timeout(shipper.awaitShipped, settleMillis))
        const source = await Effect.runPromise(shipper.source)
        if (scope !== undefined) await Effect.runPromise(Scope.close(scope, Exit.void))
        await check(log, await readBack(destination, source), writers, `memory: ${starts} shippers`)
      })
    ), timeout)

  it.skipIf(because(whyNoPostgres()))("PostgreSQL has the log byte for byte", async () => {
    const server = await Postgres.make({ settings: { fsync: "on" } })
    try {
      await Effect.runPromise(Effect.scoped(open(server.url(), { log: undefined, setup: true })))
      const crash = async (): Promise<void> => {
        await server.crash()
        await server.start()
      }
      const crashes = schedule([0.25, 0.7].map((at) => ({ at, what: "crashes", run: crash })))
      await campaign("PostgreSQL", server.url(), {
        disturb: async () => {
          if (below(15) > 0) return crashes()
          server.terminate("application_name = 'auditlog'")
          return "rounds of ended connections"
        },
        settle: async () => {},
        diagnosis: () => server.describe()
      })
    } finally {
      await server.stop()
    }
  }, timeout)

  it.skipIf(because(whyNoNats()))("a cluster of three NATS servers has the log byte for byte", async () => {
    const nats = await Nats.make(3)
    const url = `nats://${nats.urls.map((one) => one.slice("nats://".length)).join(",")}/AUDIT`
    try {
      await Effect.runPromise(Effect.scoped(open(url, { log: undefined, setup: true })))
      const disturb = schedule([
        { at: 0.2, what: "kills of a leader", run: () => killLeader(nats) },
        { at: 0.6, what: "kills of the whole cluster", run: () => killAll(nats) }
      ])
      await campaign("NATS", url, {
        disturb,
        settle: () => nats.startAll(),
        diagnosis: () => nats.describe()
      })
    } finally {
      await nats.stop()
    }
  }, timeout)
})

/** Does each thing at its part of a period, which is the time of the test, or a minute of a long one, and then again. */
const schedule = (
  things: ReadonlyArray<{ readonly at: number; readonly what: string; readonly run: () => Promise<void> }>
): () => Promise<string | undefined> => {
  const start = performance.now()
  const periodMillis = 1000 * Math.min(60, loopSeconds)
  let next = 0
  return async () => {
    const thing = things[next % things.length]!
    const due = (Math.floor(next / things.length) + thing.at) * periodMillis
    if (performance.now() - start < due) return undefined
    next++
    await thing.run()
    return thing.what
  }
}

/** Kills the server that leads the stream; it comes back a little later. */
const killLeader = async (nats: Nats): Promise<void> => {
  const { connect } = await import("@nats-io/transport-node")
  const { jetstreamManager } = await import("@nats-io/jetstream")
  const connection = await connect({ servers: [...nats.urls] })
  const manager = await jetstreamManager(connection, { checkAPI: false })
  const { cluster } = await manager.streams.info("AUDIT")
  await connection.close()
  const leader = nats.numberOf(cluster?.leader ?? "")
  assert.isAtLeast(leader, 0, "the stream has a leader")
  await nats.kill(leader)
  await sleep(1000 + below(1000))
  await nats.start(leader)
}

const killAll = async (nats: Nats): Promise<void> => {
  await Promise.all(nats.numbers.map((i) => nats.kill(i)))
  await sleep(200 + below(500))
  await nats.startAll()
}
