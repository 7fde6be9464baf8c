/**
 * A transaction that commits and one that rolls back: `node examples/02-transaction.ts`
 */
import { Console, Effect, Layer, Schema } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { AuditLog, FileAppender } from "../src/index.ts"

const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "auditlog-")), "audit.jsonl")

// #region transaction
class InsufficientFunds extends Schema.TaggedError<InsufficientFunds>()("InsufficientFunds", {}) {}

const Event = Schema.TaggedUnion({
  Withdrawn: { account: Schema.String, cents: Schema.Int },
  Deposited: { account: Schema.String, cents: Schema.Int }
})
class Audit extends AuditLog.Service<Audit>()("bank/Audit", { schema: Event }) {}

const transfer = (from: string, to: string, cents: number) =>
  Audit.transaction(Effect.gen(function*() {
    const audit = yield* Audit
    // Buffered: the receipt has the durability "buffered" and no identity yet.
    yield* audit.append({ _tag: "Withdrawn", account: from, cents })
    if (cents > 10_000) return yield* new InsufficientFunds()
    yield* audit.append({ _tag: "Deposited", account: to, cents })
  }))
// #endregion transaction

const program = Effect.gen(function*() {
  const size = Effect.sync(() => fs.statSync(file).size)

  const empty = yield* size
  yield* transfer("ada", "bob", 500)
  const committed = yield* size
  yield* Console.log(`committed:   ${empty} -> ${committed} bytes`)

  const error = yield* Effect.flip(transfer("ada", "bob", 1_000_000))
  yield* Console.log(`rolled back: ${committed} -> ${yield* size} bytes (${error._tag})`)
})

const AuditLive = Audit.layer.pipe(Layer.provide(FileAppender.layer({ path: file })))

await Effect.runPromise(Effect.provide(program, AuditLive))
console.log(`\n${file} holds:\n${fs.readFileSync(file, "utf8")}`)
