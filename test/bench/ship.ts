/**
 * How fast a log is shipped, how far a destination lags behind 10 000 appends a second, and how much longer an append
 * takes that waits for the destination: memory, PostgreSQL with fsync, three NATS servers with three replicas.
 */
import { Effect, Exit, Logger, Schema, Scope } from "effect"
import * as Layer from "effect/Layer"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { open } from "../../src/cli/destinationUrl.ts"
import { Appender, AuditLog, Destination, FileAppender, Shipper } from "../../src/index.ts"
import { Nats, whyNoNats } from "../servers/nats.ts"
import { Postgres, whyNoPostgres } from "../servers/postgres.ts"
import { type Bench, interleave, type Settings, type Side } from "./harness.ts"

const records = 100_000
const appendsPerSecond = 10_000
const lagSeconds = 3
const latencyRounds = 400

class Audit extends AuditLog.Service<Audit>()("bench/Ship", {
  schema: Schema.Struct({ actor: Schema.String, entity: Schema.String, before: Schema.String, after: Schema.String })
}) {}

const record = { actor: "ada", entity: "invoice-2041", before: "draft".repeat(8), after: "sent".repeat(8) }

/** The length of a line with that record, but for a few digits of its number. */
export const lineBytes = 340

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

const figures = (
  name: string,
  settings: Settings,
  destinationOf: (scope: Scope.Scope) => Promise<Destination.Destination>
): Side => ({
  name,
  run: async () => {
    const directory = Fs.mkdtempSync(Path.join(settings.directory, "ship-"))
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
      const rate = await throughput(path, destination)
      const lags = await lag(Path.join(directory, "lag.jsonl"), destination)
      const { local, replicated } = await latencies(Path.join(directory, "latency.jsonl"), destination)
      return {
        rate,
        lag50: at(lags, 0.5),
        lag99: at(lags, 0.99),
        local50: at(local, 0.5),
        local99: at(local, 0.99),
        replicated50: at(replicated, 0.5),
        replicated99: at(replicated, 0.99)
      }
    } finally {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      Fs.rmSync(directory, { recursive: true, force: true })
    }
  }
})

const connect = (url: string) => (scope: Scope.Scope): Promise<Destination.Destination> =>
  Effect.runPromise(Scope.provide(open(url, { log: undefined, setup: true }), scope))

export const ship: Bench = {
  name: "ship",
  title: "Shipping to a destination",
  columns: [
    { key: "rate", label: "records/s", digits: 0 },
    { key: "lag50", label: "lag p50 ms", digits: 0 },
    { key: "lag99", label: "lag p99 ms", digits: 0 },
    { key: "local50", label: "local p50 ms", digits: 2 },
    { key: "local99", label: "local p99 ms", digits: 1 },
    { key: "replicated50", label: "replicated p50 ms", digits: 2 },
    { key: "replicated99", label: "replicated p99 ms", digits: 1 }
  ],
  run: async (settings) => {
    const rounds = settings.rounds ?? (settings.quick ? 1 : 3)
    const postgres = whyNoPostgres() === undefined ? await Postgres.make({ settings: { fsync: "on" } }) : undefined
    const nats = whyNoNats() === undefined ? await Nats.make(3) : undefined
    try {
      const sides = [figures("memory", settings, () => Promise.resolve(Destination.makeMemory().destination))]
      if (postgres !== undefined) sides.push(figures("PostgreSQL, fsync", settings, connect(postgres.url())))
      if (nats !== undefined) {
        const hosts = nats.urls.map((url) => url.slice("nats://".length)).join(",")
        sides.push(figures("NATS, 3 replicas", settings, connect(`nats://${hosts}/AUDIT`)))
      }
      return {
        rows: await interleave(sides, rounds),
        rounds,
        findings: [
          `Lag: how much later a record is at the destination, at ${appendsPerSecond} appends a second. Local and ` +
          "replicated: one append after another, acknowledged by the local file, or by the destination too."
        ]
      }
    } finally {
      await postgres?.stop()
      await nats?.stop()
    }
  }
}
