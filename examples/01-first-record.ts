/**
 * A typed audit log in a file, and one record in it: `node examples/01-first-record.ts`
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

process.chdir(fs.mkdtempSync(path.join(os.tmpdir(), "auditlog-")))

// #region main
import { Console, Effect, Layer, Schema } from "effect"
import { AuditLog, FileAppender } from "../src/index.ts"

// What the log may say. Another tag or type does not compile.
const Event = Schema.TaggedUnion({
  RoleGranted: { actor: Schema.String, role: Schema.String },
  RoleRevoked: { actor: Schema.String, role: Schema.String, reason: Schema.NonEmptyString }
})
class Audit extends AuditLog.Service<Audit>()("app/Audit", { schema: Event }) {}

const program = Effect.gen(function*() {
  const audit = yield* Audit
  const receipt = yield* audit.append({ _tag: "RoleGranted", actor: "ada", role: "admin" })
  // Here the record is in the file, found again by reading it back, and fsynced.
  yield* Console.log(receipt)
})

const AuditLive = Audit.layer.pipe(Layer.provide(FileAppender.layer({ path: "audit.jsonl" })))

await Effect.runPromise(Effect.provide(program, AuditLive))
// #endregion main

console.log(`\n${path.resolve("audit.jsonl")} holds:\n${fs.readFileSync("audit.jsonl", "utf8")}`)
