/**
 * Writes orders with their audit records, one transaction after the other, until it is killed. One in ten is rolled back,
 * some have a savepoint that is. Arguments: the database's URL, the name of this writer, a seed.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import * as AuditLog from "../../src/AuditLog.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import { generator } from "../simulation/run.ts"
import { openDatabase, order } from "../sqlClient.ts"

class Audit extends AuditLog.Service<Audit>()("test/Orders", { schema: Schema.Struct({ order: Schema.String }) }) {}

const [url = "", name = "", seed = "0"] = process.argv.slice(2)
const random = generator(Number(seed))

await Effect.gen(function*() {
  const sql = yield* openDatabase(url)
  const log = yield* Effect.map(
    Audit.layerOutbox.pipe(
      Layer.provide(SqlOutbox.layer()),
      Layer.provide(Layer.succeed(SqlClient.SqlClient, sql)),
      Layer.build
    ),
    Context.get(Audit)
  )
  const pay = (id: string) => Effect.andThen(order(sql, id), log.append({ order: id }))
  for (let n = 0;; n++) {
    const rollsBack = random() < 0.1
    const inner = random() < 0.2
    const records = random() < 0.05 ? 40 : 1
    const transaction = Effect.gen(function*() {
      for (let i = 0; i < records; i++) yield* pay(`${name}:${n}.${i}`)
      if (inner) {
        yield* Effect.exit(sql.withTransaction(Effect.andThen(pay(`${name}:${n}.x`), Effect.fail("savepoint"))))
      }
      yield* rollsBack ? Effect.fail("rollback") : Effect.void
    })
    // the database may be away: what is not committed then is in neither place
    yield* Effect.exit(sql.withTransaction(transaction))
    yield* Effect.sleep(random() * 4)
  }
}).pipe(Effect.scoped, Effect.runPromise)
