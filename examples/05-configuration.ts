/**
 * A log that the environment configures: `AUDITLOG_SYNC="1 second" node examples/05-configuration.ts`
 */
import { ConfigProvider, Console, Effect, Layer, Schema } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { AuditLog, FileAppender } from "../src/index.ts"

const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "auditlog-")), "audit.jsonl")
process.env["AUDITLOG_PATH"] = file
process.env["AUDITLOG_SYNC"] ??= "50 millis"
process.env["AUDITLOG_SIZE_POLICY"] ??= "reject"
process.env["AUDITLOG_SIZE_LIMIT"] ??= "1 KiB"

// #region config
class Audit extends AuditLog.Service<Audit>()("notes/Audit", {
  schema: Schema.Struct({ note: Schema.String })
}) {}

// Reads AUDITLOG_PATH, AUDITLOG_SYNC, AUDITLOG_SIZE_POLICY and the others; only the path is required.
const AuditLive = Audit.layer.pipe(Layer.provide(FileAppender.layerConfig))
// #endregion config

const program = Effect.gen(function*() {
  const audit = yield* Audit

  const { durability } = yield* audit.append({ note: "short" })
  yield* Console.log(`written, durability: ${durability}`)

  const error = yield* Effect.flip(audit.append({ note: "x".repeat(1000) }))
  yield* Console.log(`refused: ${error.message}`)
})

await Effect.runPromise(Effect.provide(program, AuditLive))

// A value that is present and invalid is an error when the layer is built, never a silent default.
const Invalid = ConfigProvider.layer(ConfigProvider.fromEnvRecord({ AUDITLOG_PATH: file, AUDITLOG_SYNC: "sometimes" }))
const invalid = await Effect.runPromise(
  Effect.flip(Layer.build(AuditLive).pipe(Effect.scoped, Effect.provide(Invalid)))
)
console.log(`AUDITLOG_SYNC=sometimes: ${invalid._tag}: ${invalid.message}`)

console.log(`\n${file} holds:\n${fs.readFileSync(file, "utf8")}`)
