/**
 * How many durable appends a second, as users run it: Schema, chain, read-back, and a flush before each success. The
 * baseline is the least that a durable append can be: one write and one fdatasync for each record of the same length.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { promisify } from "node:util"
import { AuditLog, FileAppender } from "../../src/index.ts"

const rounds = 5
const secondsPerSide = 0.7

class Audit extends AuditLog.Service<Audit>()("bench/Append", {
  schema: Schema.Struct({
    _tag: Schema.Literal("Changed"),
    actor: Schema.String,
    entity: Schema.String,
    field: Schema.String,
    before: Schema.String,
    after: Schema.String,
    rev: Schema.Int,
    ok: Schema.Boolean
  })
}) {}

// about 300 bytes as a line, in 8 fields
const record = {
  _tag: "Changed" as const,
  actor: "ada",
  entity: "invoice-2041",
  field: "state",
  before: "draft",
  after: "sent",
  rev: 7,
  ok: true
}

interface Side {
  readonly name: string
  /** Appends for about so many milliseconds, and returns how many records were made durable. */
  readonly run: (path: string, millis: number) => Promise<number>
}

const fdatasync = promisify(Fs.fdatasync)

const baseline: Side = {
  name: "write + fdatasync each",
  run: async (path, millis) => {
    const fd = Fs.openSync(path, "a", 0o600)
    const line = Buffer.from(`${"x".repeat(299)}\n`)
    const end = performance.now() + millis
    let count = 0
    while (performance.now() < end) {
      Fs.writeSync(fd, line)
      await fdatasync(fd)
      count++
    }
    Fs.closeSync(fd)
    return count
  }
}

const ours = (name: string, fibers: number, options: {
  readonly sync: FileAppender.SyncPolicy
  readonly batch?: number
}): Side => ({
  name,
  run: (path, millis) =>
    Effect.runPromise(
      Effect.gen(function*() {
        const audit = yield* Audit
        const end = performance.now() + millis
        let count = 0
        const batch = options.batch === undefined ? undefined : Array.from({ length: options.batch }, () => record)
        const work = Effect.gen(function*() {
          while (performance.now() < end) {
            if (batch === undefined) yield* audit.append(record)
            else yield* audit.appendAll(batch)
            count += batch?.length ?? 1
          }
        })
        yield* Stream.range(1, fibers).pipe(
          Stream.mapEffect(() => work, { concurrency: "unbounded", unordered: true }),
          Stream.runDrain
        )
        return count
      }).pipe(
        Effect.provide(
          Audit.layer.pipe(
            Layer.provide(FileAppender.layer({ path, sync: options.sync })),
            Layer.provideMerge(Logger.layer([], { mergeWithExisting: false }))
          )
        )
      )
    )
})

const sides: ReadonlyArray<Side> = [
  baseline,
  ours("1 fiber", 1, { sync: "always" }),
  ours("64 fibers", 64, { sync: "always" }),
  ours("1024 fibers", 1024, { sync: "always" }),
  ours("appendAll of 1024", 1, { sync: "always", batch: 1024 }),
  ours("64 fibers, not synced", 64, { sync: "never" })
]

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** Runs all sides in turn, several times, so that a slow moment of the machine meets all of them. */
export const append = async (): Promise<void> => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-bench-"))
  const rates = new Map<string, Array<number>>(sides.map(({ name }) => [name, []]))
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [i, side] of sides.entries()) {
        const path = Path.join(directory, `${round}-${i}.jsonl`)
        const start = performance.now()
        const count = await side.run(path, secondsPerSide * 1000)
        rates.get(side.name)?.push(count / ((performance.now() - start) / 1000))
        Fs.rmSync(path)
      }
    }
  } finally {
    Fs.rmSync(directory, { recursive: true, force: true })
  }
  const base = median(rates.get(baseline.name) ?? [])
  console.log(`append: ${Os.cpus()[0]?.model ?? "cpu"}, Node ${process.versions.node}, medians of ${rounds} rounds`)
  console.log(`${"".padEnd(24)}${"records/s".padStart(12)}${"min … max".padStart(22)}${"× baseline".padStart(12)}`)
  for (const [name, values] of rates) {
    const range = `${Math.round(Math.min(...values))} … ${Math.round(Math.max(...values))}`
    const ratio = (median(values) / base).toFixed(2)
    console.log(
      `${name.padEnd(24)}${String(Math.round(median(values))).padStart(12)}${range.padStart(22)}${ratio.padStart(12)}`
    )
  }
}
