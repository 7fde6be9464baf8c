/**
 * The main story on a real file, in a few seconds: `npm run demo`
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Console, Effect, Layer, Logger, Metric, Schema, Stream } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { AuditLog, type AuditRecord, Codec, FileAppender, LogReader, SizePolicy } from "../src/index.ts"

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "auditlog-demo-"))
const file = path.join(directory, "audit.jsonl")

const Event = Schema.TaggedUnion({
  RoleGranted: { actor: Schema.String, role: Schema.String },
  Moved: { from: Schema.String, to: Schema.String, cents: Schema.Int },
  Note: { text: Schema.String },
  Counted: { fiber: Schema.Int, n: Schema.Int }
})
class Audit extends AuditLog.Service<Audit>()("demo/Audit", { schema: Event }) {}
class LedgerDown extends Schema.TaggedError<LedgerDown>()("LedgerDown", {}) {}

const recordsTotal = 10_000
const fibersTotal = 256
const linesShown = 8

const count = (n: number): string => n.toLocaleString("en-US").replaceAll(",", " ")
const title = (text: string) => Console.log(`\n== ${text}`)
const fileSize = Effect.sync(() => fs.statSync(file).size)
const fsyncs = Effect.map(
  Metric.snapshot,
  (metrics) =>
    metrics.reduce(
      (sum, metric) =>
        metric.type === "Counter" && metric.id === "auditlog_fsyncs_total" ? sum + Number(metric.state.count) : sum,
      0
    )
)
const showReceipt = (receipt: AuditRecord.Receipt) => Console.log(`receipt ${JSON.stringify(receipt)}`)

const oneRecord = Effect.gen(function*() {
  yield* title("One record: appended, read back, fsynced")
  const audit = yield* Audit
  yield* showReceipt(yield* audit.append({ _tag: "RoleGranted", actor: "ada", role: "admin" }))
  yield* Console.log(fs.readFileSync(file, "utf8").trimEnd())
})

const transactions = Effect.gen(function*() {
  yield* title("Two transactions: one commits, one rolls back")
  const audit = yield* Audit
  const move = (cents: number) =>
    audit.transaction(Effect.gen(function*() {
      yield* audit.append({ _tag: "Moved", from: "ada", to: "bob", cents })
      if (cents > 10_000) return yield* new LedgerDown()
      yield* audit.append({ _tag: "Note", text: `bob was told of ${cents} cents` })
    }))

  const before = yield* fileSize
  yield* move(500)
  const committed = yield* fileSize
  yield* Console.log(`committed:   file ${before} -> ${committed} bytes, 2 records`)
  const error = yield* Effect.flip(move(1_000_000))
  yield* Console.log(`rolled back: file ${committed} -> ${yield* fileSize} bytes, ${error._tag} in its second step`)
})

/** A note whose line is measured as so many bytes. */
const noteOf = (lineBytes: number) => {
  const note = (text: string) => ({ _tag: "Note" as const, text })
  const bare = JSON.stringify(note("")).length - 2
  return note("x".repeat(lineBytes - Codec.lineBytesMax(bare, undefined)))
}

const oversized = Effect.gen(function*() {
  yield* title("A record of 4097 bytes, one over the default limit. The default policy warns")
  const audit = yield* Audit
  yield* showReceipt(yield* audit.append(noteOf(4097)))
  yield* Console.log("(4097 is the longest line this record can become; here, without a transaction, it is shorter)")
})

const refused = Effect.gen(function*() {
  yield* title("The same record under SizePolicy.reject(), and one of 4096 bytes")
  const audit = yield* Audit
  const before = yield* fileSize
  const error = yield* Effect.flip(audit.append(noteOf(4097)))
  yield* Console.log(`${error.reason._tag}: ${error.message}`)
  yield* Console.log(`file ${before} -> ${yield* fileSize} bytes`)
  yield* showReceipt(yield* audit.append(noteOf(4096)))
})

const manyRecords = Effect.gen(function*() {
  yield* title(`${count(recordsTotal)} appends from ${fibersTotal} fibers, each waiting for its fsync`)
  const audit = yield* Audit
  const fsyncsBefore = yield* fsyncs
  const started = performance.now()
  yield* Effect.forEach(Array.from({ length: fibersTotal }, (_, i) => i), (fiber) =>
    Effect.gen(function*() {
      for (let n = fiber; n < recordsTotal; n += fibersTotal) yield* audit.append({ _tag: "Counted", fiber, n })
    }), { concurrency: "unbounded", discard: true })
  const seconds = (performance.now() - started) / 1000
  yield* Console.log(
    `acknowledged ${count(recordsTotal)} records with ${count((yield* fsyncs) - fsyncsBefore)} fsyncs ` +
      `in ${seconds.toFixed(2)} s: ${count(Math.round(recordsTotal / seconds))} records/s`
  )
})

const readBack = Effect.gen(function*() {
  const found = new Set<number>()
  let damages = 0
  yield* Stream.runForEach(LogReader.read(file), (entry) =>
    Effect.sync(() => {
      if (entry._tag === "Record" && entry.fields["_tag"] === "Counted") found.add(Number(entry.fields["n"]))
      if (entry._tag !== "Record") damages++
    }))
  yield* Console.log(
    `found by reading: ${count(found.size)}; missing: ${count(recordsTotal - found.size)}; damaged lines: ${damages}`
  )
  if (found.size !== recordsTotal || damages > 0) return yield* Effect.die(new Error("the log is not whole"))
})

const cat = Effect.gen(function*() {
  yield* title(`The first lines of auditlog cat --pretty ${file}`)
  const bin = path.join(import.meta.dirname, "../src/cli/bin.ts")
  const run = spawnSync(process.execPath, [bin, "cat", "--pretty", file], {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024
  })
  if (run.status !== 0) return yield* Effect.die(new Error(`auditlog cat exited with ${run.status}: ${run.stderr}`))
  for (const line of run.stdout.split("\n").slice(0, linesShown)) {
    yield* Console.log(line.length > 118 ? `${line.slice(0, 117)}…` : line)
  }
})

const AuditLive = Audit.layer.pipe(Layer.provide(FileAppender.layer({ path: file })))
const AuditStrict = Audit.layer.pipe(
  Layer.provide(FileAppender.layer({ path: file, sizePolicy: SizePolicy.reject() }))
)
const PlainLogger = Logger.layer([
  Logger.make(({ logLevel, message }) => console.log(`${logLevel.toLowerCase()}: ${String(message)}`))
])

const program = Effect.gen(function*() {
  yield* Console.log(`effect-auditlog demo, in ${directory}`)
  yield* Effect.all([oneRecord, transactions, oversized]).pipe(Effect.provide(AuditLive))
  yield* Effect.provide(refused, AuditStrict)
  yield* Effect.provide(manyRecords, AuditLive)
  yield* readBack
  yield* cat
  yield* Console.log(`\nThe log stays in ${file}`)
})

await Effect.runPromise(Effect.provide(program, [PlainLogger, NodeFileSystem.layer]))
