/**
 * The snippets of docs/api.md: `node examples/06-tour.ts`
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Console, Effect, Layer, Metric, Redacted, Schedule, Schema, Stream } from "effect"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { AuditError, AuditLog, FileAppender, type HashChain, LogReader, SizePolicy } from "../src/index.ts"

const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "auditlog-")), "audit.jsonl")

class Audit extends AuditLog.Service<Audit>()("tour/Audit", {
  schema: Schema.TaggedUnion({ Step: { n: Schema.Int }, Note: { text: Schema.String } })
}) {}

// #region all
const together = Effect.gen(function*() {
  const audit = yield* Audit
  const [first, last] = yield* audit.appendAll([{ _tag: "Step", n: 1 }, { _tag: "Step", n: 2 }])
  yield* Console.log(`one transaction: seq ${first?.seq} and ${last?.seq}`)
})
// #endregion all

// #region nested
const nested = Audit.transaction(Effect.gen(function*() {
  const audit = yield* Audit
  yield* audit.append({ _tag: "Step", n: 3 })
  // Fails, so its record disappears; the outer transaction goes on, and lands with the steps 3 and 5.
  const inner = audit.transaction(Effect.andThen(audit.append({ _tag: "Step", n: 4 }), Effect.fail("no")))
  yield* Effect.ignore(inner)
  yield* audit.append({ _tag: "Step", n: 5 })
}))
// #endregion nested

// #region scoped
const scoped = Effect.scoped(Effect.gen(function*() {
  const writer = yield* Audit.use((audit) => audit.scoped)
  yield* writer.append({ _tag: "Step", n: 6 })
  yield* writer.append({ _tag: "Step", n: 7 })
  // Both land when the scope closes with success, after this line.
}))
// #endregion scoped

// #region errors
const patient = Audit.use((audit) => audit.append({ _tag: "Step", n: 8 })).pipe(
  // Trying again is safe where nothing was written, and useful where a retry can help.
  Effect.retry({
    while: (error) => error.committed === "no" && error.isRetryable,
    schedule: Schedule.exponential("10 millis"),
    times: 5
  }),
  // One reason by its name; the others stay in the error channel.
  Effect.catchReason(
    "AuditError",
    "RecordTooLarge",
    (reason) => Effect.logError(`${reason.sizeBytes} bytes are ${reason.sizeBytes - reason.limitBytes} too many`)
  )
)
// #endregion errors

// #region sizes
const Strict = FileAppender.layer({ path: file, sizePolicy: SizePolicy.reject({ limit: "1 KiB" }) })
// #endregion sizes

// #region keys
const key: HashChain.Key = {
  id: "2026-11", // written into every line
  secret: Redacted.make(randomBytes(32)) // a real program reads it: Config.Redacted("AUDIT_SECRET")
}
const Keyed = FileAppender.layer({ path: file, key })
const checked = LogReader.read(file, { keys: [key] })
// #endregion keys

// #region reading
const show = Stream.runForEach(LogReader.read(file), (entry) => {
  switch (entry._tag) {
    case "Record": // whole, verified, and all of its transaction is there
      return Console.log(`${entry.stamp.at} seq ${entry.stamp.seq} ${JSON.stringify(entry.fields)}`)
    case "Foreign": // a JSON object of another program
      return Console.log(`foreign ${entry.text}`)
    case "Damage": // never an exception; `healed` is what a killed process leaves of an unacknowledged record
      return Console.log(`${entry.kind} at byte ${entry.offset}, ${entry.length} bytes, healed: ${entry.healed}`)
    case "Incomplete": // a transaction that never became whole: its records do not count
      return Console.log(`transaction ${entry.transaction}: ${entry.found} of ${entry.expected}`)
    case "Pending": // bytes after the last newline: a write in progress, or one cut short
      return Console.log(`${entry.length} bytes from byte ${entry.offset} are no line yet`)
    case "Missing": // a gap in a writer's numbers
      return Console.log(`${entry.count} records of ${entry.writer} from ${entry.seq} on are gone`)
    case "Conflict": // the identity of another record, and other content
      return Console.log(`${entry.id} is in the log twice, and differs`)
    default: // Salvaged and Truncated: only with `salvage`, and when following
      return Console.log(entry._tag)
  }
})
// #endregion reading

// #region metrics
const counters = Effect.map(
  Metric.snapshot,
  (metrics) =>
    metrics.flatMap((metric) =>
      metric.type === "Counter" && metric.id.startsWith("auditlog_")
        ? [`${metric.id} ${JSON.stringify(metric.attributes ?? {})} ${metric.state.count}`]
        : []
    )
)
// #endregion metrics

const withFile = (appender: typeof Keyed) => Audit.layer.pipe(Layer.provide(appender))

const inMemory = Effect.gen(function*() {
  const log = yield* Audit.Test
  const full = new AuditError.StorageFull({ path: "audit.jsonl", code: "ENOSPC", committed: "no" })
  yield* log.failNext(full, { times: 2 })
  yield* patient
  yield* Console.log(`after two failures: ${JSON.stringify(yield* log.records)}`)
})

const program = Effect.gen(function*() {
  yield* Effect.all([together, nested, scoped]).pipe(Effect.provide(withFile(FileAppender.layer({ path: file }))))
  yield* Effect.provide(inMemory, Audit.layerTest)

  const long = Audit.use((audit) => audit.append({ _tag: "Note", text: "x".repeat(1000) }))
  const error = yield* Effect.flip(Effect.provide(long, withFile(Strict)))
  yield* Console.log(`strict: ${error.message}`)

  const authenticated = Audit.use((audit) => audit.append({ _tag: "Note", text: "with an HMAC" }))
  yield* Effect.provide(authenticated, withFile(Keyed))
  const verified = yield* Stream.runFold(checked, () => 0, (n, entry) => entry._tag === "Record" ? n + 1 : n)
  yield* Console.log(`verified with the key: ${verified} records`)

  fs.appendFileSync(file, "{\"from\":\"another program\"}\n{\"_audit\":{\"v\":1,\"wri")
  yield* show
  yield* Console.log((yield* counters).join("\n"))
})

await Effect.runPromise(Effect.provide(program, NodeFileSystem.layer))
