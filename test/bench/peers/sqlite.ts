/**
 * node:sqlite in WAL mode, `synchronous = FULL`: so many rows a transaction.
 */
import { DatabaseSync } from "node:sqlite"
import { record } from "../record.ts"
import { measure } from "./measure.ts"

const { millis, path, rows } = JSON.parse(process.argv[2] ?? "") as {
  readonly path: string
  readonly rows: number
  readonly millis: number
}

const database = new DatabaseSync(path)
database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
database.exec(
  `CREATE TABLE audit (tag TEXT, actor TEXT, entity TEXT, field TEXT, "before" TEXT, "after" TEXT, rev INTEGER, ok INTEGER)`
)
const insert = database.prepare("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
const { _tag, actor, after, before, entity, field, ok, rev } = record
await measure(millis, (clock) => {
  while (performance.now() < clock.end) {
    const since = performance.now()
    if (rows > 1) database.exec("BEGIN")
    for (let i = 0; i < rows; i++) insert.run(_tag, actor, entity, field, before, after, rev, Number(ok))
    if (rows > 1) database.exec("COMMIT")
    clock.done(since, rows)
  }
  return Promise.resolve()
})
database.close()
