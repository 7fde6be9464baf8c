/**
 * An `effect/sql` client on the SQLite that Node has built in: the embedded default for the outbox, without a package to
 * install and without native code to build.
 *
 * One connection, used by one fiber at a time. Statements run on the calling thread, as `node:sqlite` does it. A database
 * that another process has locked is waited for without holding the event loop.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, ConnectionError, SqlError } from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite"
import { sqliteDriver, transactionEnded } from "./internal/endedTransaction.ts"

/**
 * The options of {@link make}.
 *
 * **Details**
 *
 * `filename` is a path, or `:memory:`. `busyTimeout` is how long a locked database is waited for, by default 5 seconds.
 * `create` says whether a file that is not there is made, by default yes. `fullSync` says whether a COMMIT is flushed to
 * the device, by default yes; without it a power cut can cost the latest transactions, business rows and audit rows alike.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly filename: string
  readonly busyTimeout?: Duration.Input | undefined
  readonly create?: boolean | undefined
  readonly fullSync?: boolean | undefined
}

const busyTimeoutDefault = Duration.seconds(5)

/** Statements that are kept prepared: programs have few, and one takes some KiB. */
const statementsMax = 200

/** What SQLite says of a database or table that another connection has locked, in the low byte of its codes. */
const busyCodes: ReadonlySet<number> = new Set([5, 6])

/** Between two looks at a locked database: longer each time, up to this. */
const busyDelayMillisMax = 50

const errcode = (cause: unknown): number =>
  typeof cause === "object" && cause !== null && "errcode" in cause && typeof cause.errcode === "number"
    ? cause.errcode
    : 0

const failure = (cause: unknown, operation: string): SqlError =>
  new SqlError({
    // the classifier knows SQLite's numbers under the name that other drivers give them
    reason: classifySqliteError(
      Object.assign(new Error(cause instanceof Error ? cause.message : String(cause), { cause }), {
        code: errcode(cause)
      }),
      { message: cause instanceof Error ? cause.message : String(cause), operation }
    )
  })

const toInput = (value: unknown): SQLInputValue =>
  value === undefined
    ? null
    : typeof value === "boolean"
    ? Number(value)
    : value instanceof Date
    ? value.toISOString()
    : value as SQLInputValue

/** An object, or an array where values are asked for. */
type Row = object & ReadonlyArray<unknown>

class NodeConnection implements Connection {
  readonly database: DatabaseSync
  /** Whether the transaction that it was lent to has ended; SQLite can end one by itself, as ON CONFLICT ROLLBACK does. */
  released = false
  protected readonly busyMillis: number
  protected readonly prepared: Map<string, StatementSync>

  constructor(database: DatabaseSync, busyMillis: number, prepared: Map<string, StatementSync> = new Map()) {
    this.database = database
    this.busyMillis = busyMillis
    this.prepared = prepared
  }

  /** The connection as one transaction has it: what comes after its end is refused, since all of them share it. */
  lend(): NodeConnection {
    return new LentConnection(this.database, this.busyMillis, this.prepared)
  }

  protected ran(): void {}

  execute: Connection["execute"] = (sql, params, transformRows) => {
    const rows = this.run(sql, params, false)
    return transformRows === undefined ? rows : Effect.map(rows, transformRows)
  }
  executeRaw: Connection["executeRaw"] = (sql, params) => this.run(sql, params, false)
  executeUnprepared: Connection["executeUnprepared"] = (sql, params, transformRows) =>
    this.execute(sql, params, transformRows)
  executeValues: Connection["executeValues"] = (sql, params) => this.run(sql, params, true)
  executeValuesUnprepared: Connection["executeValuesUnprepared"] = (sql, params) => this.run(sql, params, true)
  executeStream: Connection["executeStream"] = (sql, params, transformRows) =>
    Stream.fromIterableEffect(this.execute(sql, params, transformRows))

  private run(
    sql: string,
    params: ReadonlyArray<unknown>,
    values: boolean
  ): Effect.Effect<ReadonlyArray<Row>, SqlError> {
    return Effect.suspend(() => this.attempt(sql, params, values, performance.now() + this.busyMillis, 1))
  }

  private attempt(
    sql: string,
    params: ReadonlyArray<unknown>,
    values: boolean,
    deadline: number,
    delayMillis: number
  ): Effect.Effect<ReadonlyArray<Row>, SqlError> {
    return Effect.withFiber<ReadonlyArray<Row>, SqlError>((fiber) => {
      if (this.released) return Effect.fail(failure(new Error(transactionEnded), "execute"))
      try {
        const statement = this.statement(sql)
        statement.setReadBigInts(fiber.getRef(SqlClient.SafeIntegers))
        statement.setReturnArrays(values)
        const rows: ReadonlyArray<object> = statement.all(...params.map(toInput))
        return Effect.succeed(rows as ReadonlyArray<Row>)
      } catch (cause) {
        // inside a transaction only COMMIT may be tried again: what else is refused there would be refused for ever
        const isRepeatable = !this.database.isTransaction || /^\s*commit\b/i.test(sql)
        if (!busyCodes.has(errcode(cause) & 0xff) || !isRepeatable || performance.now() > deadline) {
          return Effect.fail(failure(cause, "execute"))
        }
        const next = Math.min(2 * delayMillis, busyDelayMillisMax)
        return Effect.delay(
          Effect.suspend(() => this.attempt(sql, params, values, deadline, next)),
          delayMillis * (0.5 + Math.random())
        )
      } finally {
        // before any other fiber runs
        this.ran()
      }
    })
  }

  private statement(sql: string): StatementSync {
    let statement = this.prepared.get(sql)
    if (statement === undefined) {
      statement = this.database.prepare(sql)
      if (this.prepared.size >= statementsMax) this.prepared.clear()
      this.prepared.set(sql, statement)
    }
    return statement
  }
}

class LentConnection extends NodeConnection {
  private begun = false

  protected override ran(): void {
    if (this.database.isTransaction) this.begun = true
    else if (this.begun) this.released = true
  }
}

const open = (options: Options): Effect.Effect<DatabaseSync, SqlError> =>
  Effect.try({
    try: () => {
      const sqlite = process.getBuiltinModule("node:sqlite")
      const fs = process.getBuiltinModule("node:fs")
      if (options.create === false && !fs.existsSync(options.filename)) {
        throw new Error(`there is no database ${options.filename}; make it with the program that owns it`)
      }
      const database = new sqlite.DatabaseSync(options.filename, { timeout: 0, enableForeignKeyConstraints: true })
      try {
        // changing the mode needs the database alone for a moment: here, and only here, the wait is SQLite's own
        database.exec("PRAGMA busy_timeout = 5000")
        if (options.filename !== ":memory:") database.exec("PRAGMA journal_mode = WAL")
        database.exec(`PRAGMA synchronous = ${options.fullSync === false ? "NORMAL" : "FULL"}`)
        database.exec("PRAGMA busy_timeout = 0")
      } catch (cause) {
        database.close()
        throw cause
      }
      return database
    },
    catch: (cause) =>
      new SqlError({
        reason: new ConnectionError({
          cause,
          message: cause instanceof Error ? cause.message : String(cause),
          operation: "connect"
        })
      })
  })

/**
 * Opens a database until the scope closes.
 *
 * **Details**
 *
 * The journal is a WAL, so that readers and the relay of another process do not stop writers. Transactions begin with
 * BEGIN IMMEDIATE: one that reads first and then writes cannot fail in the middle because another one came before it.
 * Foreign keys are enforced.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (
  options: Options
) => Effect.Effect<SqlClient.SqlClient, SqlError, Scope.Scope | Reactivity.Reactivity> = Effect.fnUntraced(
  function*(options) {
    const database = yield* Effect.acquireRelease(open(options), (database) => Effect.sync(() => database.close()))
    const busyMillis = Duration.toMillis(Duration.fromInputUnsafe(options.busyTimeout ?? busyTimeoutDefault))
    const acquirers = SqlClient.makeSqliteAcquirers({
      connection: Effect.succeed(new NodeConnection(database, busyMillis)),
      semaphore: Semaphore.makeUnsafe(1),
      isTransaction: ({ database }) => database.isTransaction
    })
    const client = yield* SqlClient.make({
      ...acquirers,
      transactionAcquirer: Effect.map(acquirers.transactionAcquirer, (connection) => connection.lend()),
      compiler: Statement.makeCompilerSqlite(),
      driver: sqliteDriver,
      beginTransaction: "BEGIN IMMEDIATE",
      releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
      spanAttributes: [["db.system.name", "sqlite"], ["db.namespace", options.filename]]
    })
    // who reserves the connection may begin and end transactions on it at will
    return Object.assign(client, { reserve: acquirers.transactionAcquirer })
  }
)

/**
 * The layer of {@link make}.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<SqlClient.SqlClient, SqlError> =>
  Layer.effectContext(Effect.map(make(options), (client) => Context.make(SqlClient.SqlClient, client))).pipe(
    Layer.provide(Reactivity.layer)
  )
