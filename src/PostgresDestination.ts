/**
 * Ships logs to PostgreSQL: a row for each line, in tables that an ordinary role can only insert into and select from.
 *
 * It needs a `SqlClient` for PostgreSQL, such as that of `@effect/sql-pg`, and no more of the driver.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"
import { isUtf8 } from "node:buffer"
import * as Destination from "./Destination.ts"
import * as PostgresErrors from "./internal/postgresErrors.ts"
import * as PostgresSchema from "./internal/postgresSchema.ts"

/**
 * The options of a destination in PostgreSQL.
 *
 * **Details**
 *
 * `schema` holds its tables, `auditlog` by default. `chunkBytesMax` is the largest chunk it takes, 32 MiB by default.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly name?: string | undefined
  readonly schema?: string | undefined
  readonly chunkBytesMax?: number | undefined
}

/** Twice the largest transaction that a log has by default. */
const chunkBytesDefault = 32 * 1024 * 1024

/** Lines of a page that is read back: some MB, well below the 16 MiB that the driver takes for one message. */
const pageLines = 2000

const newline = 0x0a

const lineEnd = Buffer.from("\n")

const schemaOf = ({ schema = "auditlog" }: Options): string => {
  if (PostgresSchema.namePattern.test(schema)) return schema
  throw new Error(
    `PostgresDestination: schema is ${JSON.stringify(schema)}; it must be lower-case letters, digits and _`
  )
}

/**
 * Creates the tables, and the partitions of this month and the next three; to be run by their owner, again once a month.
 * Roles may be given the rights they need: `shippers` insert and select, `readers` only select.
 *
 * **Details**
 *
 * Lines of a month without a partition go to a default one, so nothing fails when this was forgotten.
 *
 * @category constructors
 * @since 0.1.0
 */
export const setup = (
  options: Options & {
    readonly shippers?: ReadonlyArray<string> | undefined
    readonly readers?: ReadonlyArray<string> | undefined
  } = {}
): Effect.Effect<void, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const schema = schemaOf(options)
    const statements = [
      ...PostgresSchema.create(schema),
      ...(options.shippers ?? []).flatMap((role) => PostgresSchema.grant(schema, role, "INSERT, SELECT")),
      ...(options.readers ?? []).flatMap((role) => PostgresSchema.grant(schema, role, "SELECT"))
    ]
    yield* sql.withTransaction(Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true }))
  })

interface Inspected {
  readonly fsync: string
  readonly commit: string
  readonly standbys: string
  readonly changes: string
}

const durabilityOf = ({ commit, fsync, standbys }: Inspected): Destination.Durability => {
  if (commit === "off") return "process"
  const hasStandbys = standbys !== "" && commit !== "local"
  if (fsync !== "on") return "pageCache"
  if (!hasStandbys) return "fsync"
  return commit === "remote_write" ? "quorum" : "quorumFsync"
}

interface Row {
  readonly start: string
  readonly line: string | null
  readonly raw: string | null
}

/** The lines of a chunk as PostgreSQL takes them: where each begins, and one text, or an array where a line is none. */
const linesOf = (bytes: Uint8Array) => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const starts: Array<number> = []
  const lines: Array<Buffer> = []
  for (let start = 0; start < buffer.length;) {
    const end = buffer.indexOf(newline, start)
    const line = buffer.subarray(start, end < 0 ? buffer.length : end)
    starts.push(start)
    lines.push(line)
    start += line.length + 1
  }
  const positions = `{${starts.join(",")}}`
  // for PostgreSQL an empty text has no lines, not an empty one
  if (isText(buffer) && buffer[0] !== newline) {
    const end = buffer.at(-1) === newline ? buffer.length - 1 : buffer.length
    return { isAllText: true, count: lines.length, parameters: [positions, buffer.toString("utf8", 0, end)] }
  }
  // the driver takes no array of nothing but NULL
  const kinds = lines.map((line) => isText(line) ? "t" : "f")
  const texts = lines.map((line, i) => kinds[i] === "t" ? line.toString() : line.toString("base64"))
  return { isAllText: false, count: lines.length, parameters: [positions, texts, `{${kinds.join(",")}}`] }
}

const isText = (bytes: Buffer): boolean => isUtf8(bytes) && !bytes.includes(0)

/**
 * A destination in PostgreSQL, with the `SqlClient` of the context. The tables must be there, see {@link setup}.
 *
 * **Details**
 *
 * A chunk is inserted with its lines by one statement. `durability` is what the server's settings say now: `fsync`, or
 * `quorumFsync` with synchronous standbys. `immutability` is `guarded` if this role can neither update nor delete.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options = {}
): Effect.Effect<
  Destination.Destination,
  Destination.DestinationUnavailable | Destination.DestinationRejected,
  SqlClient.SqlClient
> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const schema = schemaOf(options)
    const { chunkBytesMax = chunkBytesDefault, name = "postgres" } = options
    const query = <A extends object>(text: string, parameters: ReadonlyArray<unknown> = []) =>
      Effect.mapError(sql.unsafe<A>(text, parameters), PostgresErrors.failure(name))
    const [settings] = yield* query<Inspected>(PostgresSchema.inspect(schema))
    const capabilities: Destination.Capabilities = {
      durability: settings === undefined ? "process" : durabilityOf(settings),
      dedupe: "compareAndAppend",
      ordering: "perSource",
      atomicChunk: true,
      chunkBytesMax,
      immutability: settings?.changes === "false" ? "guarded" : "none"
    }
    const texts = {
      head: PostgresSchema.head(schema),
      sources: PostgresSchema.sources(schema),
      append: PostgresSchema.append(schema, true),
      appendRaw: PostgresSchema.append(schema, false),
      read: PostgresSchema.read(schema, pageLines),
      lineAt: PostgresSchema.lineAt(schema)
    }

    const append: Destination.Destination["append"] = Effect.fnUntraced(function*(chunk) {
      if (chunk.bytes.length > chunkBytesMax) return yield* Destination.tooLarge(name, chunk, capabilities)
      const { count, isAllText, parameters } = linesOf(chunk.bytes)
      const { from, resume, source, to } = chunk
      const [row] = yield* query<{ readonly taken: string }>(isAllText ? texts.append : texts.appendRaw, [
        source.id,
        source.generation,
        String(from),
        String(to),
        count,
        resume,
        ...parameters
      ])
      if (row?.taken !== "1") return yield* new Destination.HeadMismatch({ destination: name, expected: from })
      return undefined
    })

    const page = Effect.fnUntraced(function*(source: Destination.Source, from: number) {
      const rows = yield* query<Row>(texts.read, [source.id, source.generation, String(from)])
      return rows.map(({ line, raw, start }) => {
        const bytes = raw === null ? Buffer.from(`${line}\n`) : Buffer.concat([Buffer.from(raw, "base64"), lineEnd])
        return { from: Number(start), to: Number(start) + bytes.length, bytes }
      })
    })

    const read: Destination.Destination["read"] = (source, from) =>
      Stream.unwrap(Effect.gen(function*() {
        const [first] = yield* query<{ readonly start: string }>(texts.lineAt, [
          source.id,
          source.generation,
          String(from)
        ])
        return Stream.paginate(first === undefined ? 0 : Number(first.start), (start: number) =>
          Effect.map(page(source, start), (lines) =>
            [
              lines,
              lines.length === 0 ? Option.none<number>() : Option.some(lines.at(-1)!.to)
            ] as const))
      }))

    return {
      name,
      capabilities,
      head: ({ generation, id }) =>
        Effect.map(
          query<{ readonly stands: string; readonly resume: string }>(texts.head, [id, generation]),
          ([row]) => row === undefined ? undefined : { offset: Number(row.stands), resume: row.resume }
        ),
      append,
      read,
      sources: Effect.map(
        query<{ readonly id: string; readonly generation: string }>(texts.sources),
        (rows) => rows.map(({ generation, id }) => ({ id, generation: Number(generation) }))
      )
    }
  })
