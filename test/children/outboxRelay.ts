/**
 * A relay that dies at a planned point. Arguments: the database's URL, the log, the point or `none`, and how often the
 * point is passed before. Says `hit POINT` before it dies, and `empty` whenever nothing waits.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import * as Fs from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { FilePort } from "../../src/internal/filePort.ts"
import { BatchRows } from "../../src/internal/outboxDrain.ts"
import * as OutboxRelay from "../../src/OutboxRelay.ts"
import { openDatabase } from "../sqlClient.ts"

const [url = "", path = "", point = "none", passes = "0"] = process.argv.slice(2)
let left = Number(passes)

/** Dies here if this is the point, and it was passed often enough. */
const reach = (here: string): void => {
  if (here !== point || left-- > 0) return
  Fs.writeSync(1, `hit ${here}\n`)
  process.kill(process.pid, "SIGKILL")
}

// SQLite: the COMMIT of a transaction that deletes
// oxlint-disable-next-line unbound-method -- called with its own `this` below
const prepare = DatabaseSync.prototype.prepare
let deletes = false
DatabaseSync.prototype.prepare = function(sql, ...rest) {
  const statement = prepare.call(this, sql, ...rest)
  const all = statement.all.bind(statement) as (...values: ReadonlyArray<unknown>) => Array<Record<string, never>>
  if (sql.startsWith("DELETE FROM audit_outbox")) {
    statement.all = (...values: ReadonlyArray<unknown>) => {
      deletes = true
      return all(...values)
    }
  }
  if (sql === "COMMIT") {
    statement.all = (...values: ReadonlyArray<unknown>) => {
      const ends = deletes
      deletes = false
      if (ends) reach("before-commit")
      const result = all(...values)
      if (ends) reach("after-commit")
      return result
    }
  }
  return statement
}

await Effect.gen(function*() {
  const client = yield* openDatabase(url)
  // PostgreSQL: the statement that deletes commits by itself
  const reserve = Effect.map(
    client.reserve,
    (connection) =>
      Object.assign(Object.create(Object.getPrototypeOf(connection)), connection, {
        execute: (text: string, values: ReadonlyArray<unknown>, transform: undefined) =>
          !text.startsWith("WITH fence AS (")
            ? connection.execute(text, values, transform)
            : Effect.suspend(() => {
              reach("before-commit")
              // sent, and no answer yet: its outcome is unknown
              if (point === "during-commit") setImmediate(() => reach("during-commit"))
              return connection.execute(text, values, transform)
            }).pipe(Effect.tap(() => Effect.sync(() => reach("after-commit"))))
      })
  )
  const sql = Object.assign((...args: Parameters<typeof client>) => client(...args), client, {
    reserve
  }) as typeof client
  const port = yield* FilePort
  return yield* OutboxRelay.run({ path, poll: "20 millis" }).pipe(
    Effect.raceFirst(
      Effect.forever(
        client`SELECT 1 FROM audit_outbox LIMIT 1`.pipe(
          Effect.tap((rows) => Effect.sync(() => rows.length === 0 && Fs.writeSync(1, "empty\n"))),
          Effect.ignoreCause,
          Effect.andThen(Effect.sleep(50))
        )
      )
    ),
    Effect.provideService(SqlClient.SqlClient, sql),
    // a backlog of some dozens of rows is read ahead and drained in many batches
    Effect.provideService(BatchRows, 5),
    Effect.provideService(
      FilePort,
      Object.assign(
        {},
        port,
        {
          write: (fd, bytes) => {
            if (point === "mid-write" && left === 0) {
              port.write(fd, bytes.subarray(0, Math.floor(bytes.length * Math.random())))
            }
            reach("mid-write")
            const written = port.write(fd, bytes)
            reach("after-write")
            return written
          },
          fdatasync: (fd, done) =>
            port.fdatasync(fd, (error) => {
              reach("after-fsync")
              done(error)
            })
        } satisfies Partial<FilePort>
      )
    )
  )
}).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer), Effect.runPromise)
