/**
 * Asks a log, goes on reading where the last run stopped, and proves that it is whole: `node examples/08-operations.ts`
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Clock, Console, Effect, FileSystem, Layer, Option, Schema, Stream } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { AuditLog, Cursor, FileAppender, LogReader, Query, Verifier } from "../src/index.ts"

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "auditlog-"))
const file = path.join(directory, "audit.jsonl")
const state = path.join(directory, "import.cursor")

const Event = Schema.TaggedUnion({
  Paid: { actor: Schema.String, amount: Schema.Int },
  Refunded: { actor: Schema.String, amount: Schema.Int }
})
class Audit extends AuditLog.Service<Audit>()("operations/Audit", { schema: Event }) {}

// #region query
const largePayments = Effect.gen(function*() {
  const now = yield* Clock.currentTimeMillis
  const matches = yield* Effect.fromResult(Query.make({ where: ["tag=Paid amount>=100"], since: "2 hours" }, now))
  return yield* LogReader.read(file, { matching: matches }).pipe(
    Stream.filter((entry) => entry._tag === "Record"), // damage is met here, too
    LogReader.decode(Event), // values of the log's own type; what does not fit is an `Undecodable`
    Stream.runCollect
  )
})
// #endregion query

// #region resume
const CursorFile = Schema.fromJsonString(Cursor.Cursor)

/** Each run takes what was appended since the last one, also across rotations, and nothing twice. */
const importNew = Effect.gen(function*() {
  const fileSystem = yield* FileSystem.FileSystem
  const saved = yield* Effect.option(fileSystem.readFileString(state))
  const from = Option.isSome(saved) ? yield* Schema.decodeEffect(CursorFile)(saved.value) : "start"
  const placed = yield* Stream.runCollect(LogReader.readPlaced(file, { from }))
  const last = placed.at(-1)
  if (last !== undefined) {
    yield* fileSystem.writeFileString(state, yield* Schema.encodeEffect(CursorFile)(last.cursor))
  }
  return placed.filter(({ entry }) => entry._tag === "Record").length
})
// #endregion resume

// #region verify
const proof = Effect.gen(function*() {
  const report = yield* Verifier.verify(file) // all segments; `keys` for a log with HMACs
  yield* Console.log(`${report.records} records of ${report.writers} writers, sound: ${report.sound}`)
  // Where and what: lines that were altered, records that are gone, links that lead nowhere.
  for (const { line, preview } of report.damages.first) yield* Console.log(`line ${line}: ${preview}`)
  for (const { from, to, writer } of report.missing.first) yield* Console.log(`${writer} lacks ${from} to ${to}`)
})
// #endregion verify

const append = (...events: ReadonlyArray<typeof Event.Type>) =>
  Audit.use((audit) => Effect.forEach(events, audit.append)).pipe(
    Effect.provide(Audit.layer.pipe(Layer.provide(FileAppender.layer({ path: file }))))
  )

const program = Effect.gen(function*() {
  yield* append({ _tag: "Paid", actor: "ada", amount: 99 }, { _tag: "Paid", actor: "bob", amount: 100 })
  yield* Console.log(`the first run takes ${yield* importNew}`)
  yield* append({ _tag: "Refunded", actor: "bob", amount: 100 })
  yield* Console.log(`the second run takes ${yield* importNew}`)
  for (const found of yield* largePayments) {
    if (found._tag === "Decoded") yield* Console.log(`large: ${JSON.stringify(found.value)}`)
  }
  yield* proof
  fs.writeFileSync(file, fs.readFileSync(file, "utf8").replace("\"amount\":99", "\"amount\":11"))
  yield* proof
})

await Effect.runPromise(Effect.provide(program, NodeFileSystem.layer))
