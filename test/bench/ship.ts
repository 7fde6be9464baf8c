/**
 * How fast a log is shipped, how far a destination lags behind 10 000 appends a second, and how much longer an append
 * takes that waits for the destination: memory, PostgreSQL with fsync, three NATS servers with three replicas.
 */
import { Effect, Exit, Logger, Schema, Scope } from "effect"
import * as Layer from "effect/Layer"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { open } from "../../src/cli/destinationUrl.ts"
import { Appender, AuditLog, Destination, FileAppender, Shipper } from "../../src/index.ts"
import { Nats, whyNoNats } from "../servers/nats.ts"
import { Postgres, whyNoPostgres } from "../servers/postgres.ts"

const records = 100_000
const appendsPerSecond = 10_000
const lagSeconds = 3
const latencyRounds = 400

class Audit extends AuditLog.Service<Audit>()("bench/Ship", {
  schema: Schema.Struct({ actor: Schema.String, entity: Schema.String, before: Schema.String, after: Schema.String })
}) {}

const record = { actor: "ada", entity: "invoice-2041", before: "draft".repeat(8), after: "sent".repeat(8) }

const silent = Logger.layer([], { mergeWithExisting: false })

const run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Promise<A> =>
  Effect.runPromise(Effect.provide(Effect.scoped(effect), silent))

const openLog = (appender: Appender.Appender["Service"]) =>
  Effect.map(
    Layer.build(Layer.fresh(Audit.layer).pipe(Layer.provide(Layer.succeed(Appender.Appender, appender)))),
    (context) => Effect.provide(Audit, context)
  ).pipe(Effect.flatten)

const at = (values: ReadonlyArray<number>, part: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(part * values.length))] ?? Number.NaN

/** Ships what stands in a log already. */
const throughput = (path: string, destination: Destination.Destination): Promise<number> =>
  run(Effect.gen(function*() {
    const start = performance.now()
    const shipper = yield* Shipper.make({ path, destinations: [{ destination }], durability: "process" })
    yield* shipper.awaitShipped
    return records / (performance.now() - start) * 1000
  }))

/** Appends at a rate, and looks how much is not there yet. */
const lag = (path: string, destination: Destination.Destination): Promise<ReadonlyArray<number>> =>
  run(Effect.gen(function*() {
    const log = yield* openLog(yield* FileAppender.make({ path }))
    const shipper = yield* Shipper.make({ path, destinations: [{ destination }], durability: "process" })
    const lags: Array<number> = []
    const start = performance.now()
    const pending: Array<Promise<unknown>> = []
    for (let appended = 0; performance.now() - start < 1000 * lagSeconds;) {
      const due = Math.floor((performance.now() - start) / 1000 * appendsPerSecond)
      for (; appended < due; appended++) pending.push(Effect.runPromise(log.append(record)))
      yield* Effect.promise(() => sleep(2))
      const [status] = yield* shipper.status
      lags.push(status?.lagMillis ?? 0)
    }
    yield* Effect.promise(() => Promise.all(pending))
    return lags
  }))

const latencies = (path: string, destination: Destination.Destination) =>
  run(Effect.gen(function*() {
    const local = yield* openLog(yield* FileAppender.make({ path: `${path}.local.jsonl` }))
    const inner = yield* FileAppender.make({ path })
    const { appender } = yield* Shipper.replicated(inner, {
      path,
      destinations: [{ destination }],
      durability: "process"
    })
    const replicated = yield* openLog(appender)
    const millis = { local: new Array<number>(), replicated: new Array<number>() }
    for (let round = 0; round < latencyRounds; round++) {
      for (const [name, log] of [["local", local], ["replicated", replicated]] as const) {
        const start = performance.now()
        yield* log.append(record)
        millis[name].push(performance.now() - start)
      }
    }
    return millis
  }))

const figures = async (name: string, destinationOf: (scope: Scope.Scope) => Promise<Destination.Destination>) => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-bench-"))
  const scope = Effect.runSync(Scope.make())
  try {
    const path = Path.join(directory, "audit.jsonl")
    await run(Effect.gen(function*() {
      const log = yield* openLog(yield* FileAppender.make({ path, sync: "never", rotate: { size: "8 MiB" } }))
      for (let i = 0; i < records; i += 100) {
        yield* Effect.forEach(Array.from({ length: 100 }), () => log.append(record), { concurrency: "unbounded" })
      }
    }))
    const destination = await destinationOf(scope)
    const perSecond = await throughput(path, destination)
    const lags = await lag(Path.join(directory, "lag.jsonl"), destination)
    const { local, replicated } = await latencies(Path.join(directory, "latency.jsonl"), destination)
    const pair = (values: ReadonlyArray<number>): string =>
      `${at(values, 0.5).toFixed(2)}/${at(values, 0.99).toFixed(1)}`
    console.log(
      name.padEnd(20) + `${Math.round(perSecond / 1000)} k/s`.padStart(10) +
        `${at(lags, 0.5).toFixed(0)}/${at(lags, 0.99).toFixed(0)} ms`.padStart(14) +
        `${pair(local)} ms`.padStart(15) + `${pair(replicated)} ms`.padStart(15)
    )
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    Fs.rmSync(directory, { recursive: true, force: true })
  }
}

const connect = (url: string) => (scope: Scope.Scope): Promise<Destination.Destination> =>
  Effect.runPromise(Scope.provide(open(url, { log: undefined, setup: true }), scope))

export const ship = async (): Promise<void> => {
  console.log(`ship: ${Os.cpus()[0]?.model ?? "cpu"}, Node ${process.versions.node}, records of about 400 bytes`)
  console.log(
    "".padEnd(20) + "shipped".padStart(10) + "lag p50/p99".padStart(14) + "local".padStart(15) +
      "replicated".padStart(15)
  )
  await figures("memory", () => Promise.resolve(Destination.makeMemory().destination))
  if (whyNoPostgres() === undefined) {
    const server = await Postgres.make({ settings: { fsync: "on" } })
    await figures("PostgreSQL", connect(server.url()))
    await server.stop()
  }
  if (whyNoNats() === undefined) {
    const nats = await Nats.make(3)
    const hosts = nats.urls.map((url) => url.slice("nats://".length)).join(",")
    await figures("NATS, 3 replicas", connect(`nats://${hosts}/AUDIT`))
    await nats.stop()
  }
}
