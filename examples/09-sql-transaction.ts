/**
 * Audit records inside SQL transactions, and what three ways of writing them lose: `node examples/09-sql-transaction.ts`
 */
// #region imports
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer, Schema, Stream } from "effect"
import { SqlClient } from "effect/sql"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

import { AuditLog, FileAppender, LogReader, OutboxRelay, OutboxSchema, SqliteClient, SqlOutbox } from "../src/index.ts"
// #endregion imports

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "auditlog-"))
const file = path.join(directory, "audit.jsonl")

// #region outbox
class Audit extends AuditLog.Service<Audit>()("shop/Audit", {
  schema: Schema.Struct({ order: Schema.String })
}) {}

// It need not know whether the log is a file or an outbox.
const placeOrder = Effect.fnUntraced(function*(order: string) {
  const sql = yield* SqlClient.SqlClient
  const audit = yield* Audit
  yield* sql`INSERT INTO orders ${sql.insert({ id: order })}`
  yield* audit.append({ order })
})

const Database = SqliteClient.layer({ filename: path.join(directory, "shop.db") })
const Outbox = Audit.layerOutbox.pipe(Layer.provide(SqlOutbox.layer()))
// In this program; `auditlog relay` does the same in one of its own.
const Relay = OutboxRelay.layer({ path: file })
// #endregion outbox

// #region transaction
const committed = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql.withTransaction(placeOrder("committed"))
})

const rolledBack = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  return yield* sql.withTransaction(Effect.andThen(placeOrder("rolled back"), Effect.fail("out of stock")))
}).pipe(Effect.ignore)
// #endregion transaction

/** The orders in a log. */
const logged = (log: string) =>
  fs.existsSync(log)
    ? Effect.map(
      Stream.runCollect(LogReader.read(log)),
      (entries) => entries.flatMap((entry) => entry._tag === "Record" ? [String(entry.fields["order"])] : [])
    )
    : Effect.succeed([])

const ordersOf = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ id: string }>`SELECT id FROM orders`
  yield* sql`DELETE FROM orders`
  return rows.map(({ id }) => id)
})

/** What a pattern leaves after ten orders: every third is rolled back, and the program dies before every fifth is told. */
const compare = Effect.fnUntraced(
  function*(name: string, log: string, place: (n: number) => Effect.Effect<void, unknown, SqlClient.SqlClient>) {
    for (let n = 1; n <= 10; n++) yield* Effect.exit(place(n))
    const orders = yield* ordersOf
    const records = yield* logged(log)
    const lost = orders.filter((id) => !records.includes(id)).length
    const invented = records.filter((id) => !orders.includes(id)).length
    yield* Console.log(
      `${name}: ${orders.length} orders committed, ${lost} without a record, ${invented} records of nothing`
    )
  }
)

const compareAll = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const insert = (n: number) => sql`INSERT INTO orders ${sql.insert({ id: String(n) })}`
  const rollsBack = (n: number) => n % 3 === 0 ? Effect.fail("out of stock") : Effect.void
  const dies = (n: number) => n % 5 === 0 ? Effect.die("the program is killed here") : Effect.void
  const append = (log: string) => (n: number) =>
    Effect.flatMap(Audit, (audit) => audit.append({ order: String(n) })).pipe(
      Effect.provide(Audit.layer.pipe(Layer.provide(FileAppender.layer({ path: log }))))
    )

  const inside = path.join(directory, "inside.jsonl")
  yield* compare("append inside the transaction", inside, (n) =>
    sql.withTransaction(
      insert(n).pipe(Effect.andThen(append(inside)(n)), Effect.andThen(rollsBack(n)), Effect.andThen(dies(n)))
    ))
  const after = path.join(directory, "after.jsonl")
  yield* compare(
    "append after the COMMIT      ",
    after,
    (n) =>
      sql.withTransaction(Effect.andThen(insert(n), rollsBack(n))).pipe(
        Effect.andThen(dies(n)),
        Effect.andThen(append(after)(n)),
        Effect.asVoid
      )
  )
  const outbox = path.join(directory, "outbox.jsonl")
  yield* compare("transactional outbox         ", outbox, (n) =>
    Effect.flatMap(Audit, (audit) =>
      sql.withTransaction(
        insert(n).pipe(Effect.andThen(audit.append({ order: String(n) })), Effect.andThen(rollsBack(n)))
      )).pipe(
        Effect.provide(Outbox),
        Effect.andThen(dies(n)),
        Effect.ensuring(Effect.ignore(OutboxRelay.drain({ path: outbox }).pipe(Effect.provide(NodeServices.layer))))
      ))
})

const program = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE orders (id text PRIMARY KEY)`
  yield* OutboxSchema.migration
  yield* compareAll

  yield* Effect.provide(Effect.andThen(committed, rolledBack), Outbox)
  const drained = Effect.gen(function*() {
    while ((yield* sql`SELECT id FROM audit_outbox`).length > 0) yield* Effect.sleep(10)
  })
  yield* Effect.provide(drained, Relay)
  yield* Console.log(`\n${file} holds:\n${fs.readFileSync(file, "utf8")}`)
})

// #region run
// The database for all of them, and a FileSystem for the relay.
await Effect.runPromise(Effect.provide(program, Layer.mergeAll(Database, NodeServices.layer)))
// #endregion run
