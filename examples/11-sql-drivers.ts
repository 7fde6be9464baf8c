/**
 * Stages audit records through drivers that know nothing of Effect: `node examples/11-sql-drivers.ts`
 *
 * node:sqlite in memory; with AUDIT_DB=postgres://… also `pg`, kysely and drizzle, on an empty database of yours.
 */
// #region imports
import { sql } from "drizzle-orm"
import { drizzle } from "drizzle-orm/node-postgres"
import { CompiledQuery, Kysely, PostgresDialect } from "kysely"
import { DatabaseSync } from "node:sqlite"
import { Pool } from "pg"

import { OutboxSchema } from "../src/index.ts"
// #endregion imports

/** What a business transaction may fail with after its audit record is staged. */
const charge = (order: string): void => {
  if (order.endsWith("declined")) throw new Error("the card was declined")
}

// #region pg
const placeWithPg = async (pool: Pool, order: string) => {
  const client = await pool.connect()
  try {
    await client.query("BEGIN")
    await client.query("INSERT INTO orders (id) VALUES ($1)", [order])
    const { text, values } = OutboxSchema.outboxStatement("pg", [{ _tag: "OrderPlaced", order }])
    await client.query(text, [...values])
    charge(order)
    await client.query("COMMIT")
  } catch (error) {
    await client.query("ROLLBACK")
    throw error
  } finally {
    client.release()
  }
}
// #endregion pg

// #region kysely
const placeWithKysely = (db: Kysely<{ orders: { id: string } }>, order: string) =>
  db.transaction().execute(async (trx) => {
    await trx.insertInto("orders").values({ id: order }).execute()
    const { text, values } = OutboxSchema.outboxStatement("pg", [{ _tag: "OrderPlaced", order }])
    await trx.executeQuery(CompiledQuery.raw(text, [...values]))
    charge(order)
  })
// #endregion kysely

// #region drizzle
/** Drizzle takes no text with values, so the statement is put together again. */
const toDrizzle = ({ text, values }: ReturnType<typeof OutboxSchema.outboxStatement>) =>
  sql.join(
    text.split(/\$\d+/).flatMap((part, i) => i === 0 ? [sql.raw(part)] : [sql.param(values[i - 1]), sql.raw(part)])
  )

const placeWithDrizzle = (db: ReturnType<typeof drizzle>, order: string) =>
  db.transaction(async (tx) => {
    await tx.execute(sql`INSERT INTO orders (id) VALUES (${order})`)
    await tx.execute(toDrizzle(OutboxSchema.outboxStatement("pg", [{ _tag: "OrderPlaced", order }])))
    charge(order)
  })
// #endregion drizzle

// #region sqlite
const placeWithSqlite = (db: DatabaseSync, order: string) => {
  db.exec("BEGIN IMMEDIATE")
  try {
    db.prepare("INSERT INTO orders (id) VALUES (?)").run(order)
    const { text, values } = OutboxSchema.outboxStatement("sqlite", [{ _tag: "OrderPlaced", order }])
    db.prepare(text).run(...values)
    charge(order)
    db.exec("COMMIT")
  } catch (error) {
    db.exec("ROLLBACK")
    throw error
  }
}
// #endregion sqlite

/** Places an order that is paid, and one that is not, and says what the outbox holds of them. */
const show = async (
  driver: string,
  place: (order: string) => Promise<void> | void,
  staged: () => Promise<ReadonlyArray<unknown>> | ReadonlyArray<unknown>
) => {
  await place(`${driver}-paid`)
  try {
    await place(`${driver}-declined`)
  } catch (error) {
    console.log(`${driver}: rolled back: ${String(error)}`)
  }
  console.log(`${driver}: the outbox holds ${JSON.stringify(await staged())}`)
}

const records = (rows: ReadonlyArray<object>) => rows.map((row) => "record" in row ? String(row.record) : "")
const selectStaged = "SELECT record FROM audit_outbox ORDER BY id"

const memory = new DatabaseSync(":memory:")
memory.exec(`CREATE TABLE orders (id text PRIMARY KEY); ${OutboxSchema.text("sqlite")}`)
await show(
  "sqlite",
  (order) => placeWithSqlite(memory, order),
  () => records(memory.prepare(selectStaged).all())
)

const connectionString = process.env["AUDIT_DB"]
if (connectionString === undefined) console.log("pg, kysely, drizzle: set AUDIT_DB to the URL of an empty database")
else {
  const pool = new Pool({ connectionString })
  await pool.query(`CREATE TABLE orders (id text PRIMARY KEY); ${OutboxSchema.text("pg")}`)
  const staged = async () => records((await pool.query(selectStaged)).rows)
  const kysely = new Kysely<{ orders: { id: string } }>({ dialect: new PostgresDialect({ pool }) })
  await show("pg", (order) => placeWithPg(pool, order), staged)
  await show("kysely", (order) => placeWithKysely(kysely, order), staged)
  await show("drizzle", (order) => placeWithDrizzle(drizzle(pool), order), staged)
  await pool.end()
}
