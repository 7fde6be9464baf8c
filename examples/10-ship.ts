/**
 * Ships a log, waits for the copy where it matters, and reads the copy back: `node examples/10-ship.ts`
 *
 * To memory; with AUDIT_DB=postgres://… to a PostgreSQL of yours, whose tables `auditlog ship --setup` has made.
 */
// #region imports
import * as PgClient from "@effect/sql-pg/PgClient"
import { Console, Effect, Layer, Redacted, Schema, Stream } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

import { AuditLog, Destination, FileAppender, Shipper } from "../src/index.ts"
import * as PostgresDestination from "../src/PostgresDestination.ts"
// #endregion imports

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "auditlog-"))
const file = path.join(directory, "audit.jsonl")

const Event = Schema.TaggedUnion({
  Paid: { actor: Schema.String, amount: Schema.Int }
})
class Audit extends AuditLog.Service<Audit>()("shipping/Audit", { schema: Event }) {}

// #region connect
const connect = (url: string) =>
  Layer.build(PgClient.layer({ url: Redacted.make(url) })).pipe(
    Effect.flatMap((client) => Effect.provide(PostgresDestination.make(), client))
  )
// #endregion connect

const url = process.env["AUDIT_DB"]
const inMemory = Destination.makeMemory().destination

// #region replicated
/** An append succeeds when the record is in the file, fsynced, and in every destination as well. */
const AuditReplicated = (destination: Destination.Destination) =>
  Audit.layer.pipe(
    Layer.provide(Shipper.layerReplicated({
      path: file,
      destinations: [{ destination }],
      durability: destination === inMemory ? "process" : "fsync", // a weaker destination is refused
      timeout: "5 seconds",
      onTimeout: "fail" // or "degrade": succeed, and say in the receipt what was done
    })),
    Layer.provide(FileAppender.layer({ path: file, rotate: { size: "64 MiB" } }))
  )

const pay = Effect.gen(function*() {
  const audit = yield* Audit
  const receipt = yield* audit.append({ _tag: "Paid", actor: "ada", amount: 99 }).pipe(
    // the record is in the local log, and is shipped when that is possible again: do not append it a second time
    Effect.catchReason("AuditError", "NotReplicated", (reason) => Effect.as(Console.log(reason.message), undefined))
  )
  yield* Console.log(`ada has paid: ${receipt?.durability}`) // replicated
})
// #endregion replicated

// #region read
/** The log as it stands at a destination, to the byte. */
const readBack = (destination: Destination.Destination, source: Destination.Source) =>
  Destination.bytes(destination, source).pipe(
    Stream.runForEach((bytes) => Effect.sync(() => fs.appendFileSync(`${file}.copy`, bytes)))
  )
// #endregion read

// #region follow
/** Programs append as ever, and wait for nobody; this brings over what they have appended, also from other processes. */
const shipAll = (destination: Destination.Destination) =>
  Effect.gen(function*() {
    const shipper = yield* Shipper.make({ path: file, destinations: [{ destination }], durability: "process" })
    yield* shipper.awaitShipped
    return yield* shipper.source
  })
// #endregion follow

const program = Effect.scoped(Effect.gen(function*() {
  const destination = url === undefined ? inMemory : yield* connect(url)
  yield* Effect.provide(pay, AuditReplicated(destination))
  const AuditLocal = Audit.layer.pipe(Layer.provide(FileAppender.layer({ path: file })))
  yield* Effect.provide(Audit.use((audit) => audit.append({ _tag: "Paid", actor: "bob", amount: 7 })), AuditLocal)
  const source = yield* Effect.scoped(shipAll(destination))
  yield* readBack(destination, source)
  const isSame = fs.readFileSync(file).equals(fs.readFileSync(`${file}.copy`))
  yield* Console.log(
    `the copy has ${fs.statSync(`${file}.copy`).size} bytes: ${isSame ? "the same" : "OTHER"} as the log`
  )
}))

await Effect.runPromise(program)
