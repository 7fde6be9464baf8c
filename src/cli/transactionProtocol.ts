/**
 * What `auditlog exec` and the `auditlog append` inside it say to each other, and how the one finds the other: a
 * variable in the environment names the log, the Unix socket and the transaction; over the socket go lines of JSON, one
 * answer for each request, in order.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { AuditErrorReason } from "../AuditError.ts"
import { Stamp } from "../AuditRecord.ts"
import type * as FileAppender from "../FileAppender.ts"
import type * as SizePolicy from "../SizePolicy.ts"

/**
 * The variable that `auditlog exec` sets for its command: a JSON array of {@link Membership}, the innermost last. An
 * `exec` inside another one, on another log, adds to it.
 *
 * @category constants
 * @since 0.1.0
 */
export const variable = "AUDITLOG_TRANSACTIONS"

/**
 * The version of the protocol: both ends have to be of the same.
 *
 * @category constants
 * @since 0.1.0
 */
export const version = 1

/**
 * A transaction that is open around a program: its log, resolved, the socket of its `auditlog exec`, and its id.
 *
 * @category models
 * @since 0.1.0
 */
export const Membership = Schema.Struct({ file: Schema.String, socket: Schema.String, id: Schema.String })

/**
 * The type of {@link Membership}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Membership extends Schema.Schema.Type<typeof Membership> {}

const Memberships = Schema.fromJsonString(Schema.Array(Membership))

/**
 * The transactions in the value of {@link variable}; `undefined` if it is not one that `auditlog exec` has set.
 *
 * @category encoding
 * @since 0.1.0
 */
export const memberships = (value: string): ReadonlyArray<Membership> | undefined =>
  Result.getOrUndefined(Schema.decodeUnknownResult(Memberships)(value))

/**
 * The path of a log with all symbolic links of its directory resolved. The file itself is none: no log is opened through
 * a link.
 *
 * @category paths
 * @since 0.1.0
 */
export const resolve = (file: string): string => {
  const path = Path.resolve(file)
  const directory = Result.try(() => Fs.realpathSync(Path.dirname(path)))
  return Path.join(Result.getOrElse(directory, () => Path.dirname(path)), Path.basename(path))
}

const identity = (path: string): string | undefined => {
  const stat = Result.getOrUndefined(Result.try(() => Fs.lstatSync(path, { bigint: true })))
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
}

/**
 * Whether a path leads to the log of a transaction: it is the same, or the same file under another one, as a bind mount
 * makes it.
 *
 * @category paths
 * @since 0.1.0
 */
export const isSameFile = (file: string, membership: Membership): boolean => {
  // where the working directory is gone there is no path to compare, and opening the file says so
  if (Result.getOrUndefined(Result.try(() => resolve(file))) === membership.file) return true
  const found = identity(file)
  return found !== undefined && found === identity(membership.file)
}

/**
 * How the log is written: what `auditlog exec` was told, and what everything inside it keeps to. `sync` is in
 * milliseconds where it is an interval.
 *
 * @category models
 * @since 0.1.0
 */
export const Settings = Schema.Struct({
  sync: Schema.Union([Schema.Literals(["always", "never"]), Schema.Finite]),
  sizePolicy: Schema.Struct({ _tag: Schema.Literals(["Warn", "Reject", "Allow"]), limitBytes: Schema.Int }),
  recordBytesMax: Schema.Int,
  transactionBytesMax: Schema.Int,
  transactionRecordsMax: Schema.Int,
  key: Schema.optionalKey(Schema.String)
})

/**
 * The type of {@link Settings}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings extends Schema.Schema.Type<typeof Settings> {}

/**
 * A sync policy as {@link Settings} have it, so that two can be compared.
 *
 * @category encoding
 * @since 0.1.0
 */
export const syncSetting = (sync: FileAppender.SyncPolicy): Settings["sync"] =>
  typeof sync === "object" ? Duration.toMillis(Duration.fromInputUnsafe(sync.every)) : sync

/**
 * The settings of an open log.
 *
 * @category encoding
 * @since 0.1.0
 */
export const settingsOf = (sync: FileAppender.SyncPolicy, { key, ...limits }: SizePolicy.Limits): Settings => ({
  sync: syncSetting(sync),
  ...limits,
  ...(key === undefined ? {} : { key })
})

/**
 * A request.
 *
 * **Details**
 *
 * `join` comes first and names the transaction. `append` adds one record, its JSON text and the time of its append.
 * `begin` opens a transaction of the connection's own inside the one it has joined: what it appends from then on lands
 * there, others can join it by the id of the answer, `commit` hands its records to the outer one, and `rollback`, or the
 * end of the connection, discards them.
 *
 * @category models
 * @since 0.1.0
 */
export const Request = Schema.Union([
  Schema.Struct({ op: Schema.Literal("append"), at: Stamp.fields.at, record: Schema.String }),
  Schema.Struct({ op: Schema.Literal("join"), version: Schema.Literal(version), id: Schema.String }),
  Schema.Struct({ op: Schema.Literals(["begin", "commit", "rollback"]) })
])

/**
 * The type of {@link Request}.
 *
 * @category models
 * @since 0.1.0
 */
export type Request = typeof Request.Type

/**
 * An answer: `settings` to `join`, `id` to `begin`, the number of `records` to `commit` and `rollback`; or why not.
 *
 * @category models
 * @since 0.1.0
 */
export const Answer = Schema.Union([
  Schema.Struct({
    ok: Schema.Literal(true),
    settings: Schema.optionalKey(Settings),
    id: Schema.optionalKey(Schema.String),
    records: Schema.optionalKey(Schema.Natural)
  }),
  Schema.Struct({ ok: Schema.Literal(false), reason: AuditErrorReason })
])

/**
 * The type of {@link Answer}.
 *
 * @category models
 * @since 0.1.0
 */
export type Answer = typeof Answer.Type

/**
 * The greatest length of a request: a record as a JSON string, where quotes and backslashes take two bytes.
 *
 * @category limits
 * @since 0.1.0
 */
export const requestBytesMax = (settings: Settings): number => 2 * settings.recordBytesMax + 4096

/**
 * The greatest length of an answer: settings or the fields of an error, with a path in them.
 *
 * @category limits
 * @since 0.1.0
 */
export const answerBytesMax = 256 * 1024

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const parse = (bytes: Uint8Array): Result.Result<unknown, unknown> =>
  Result.try(() => JSON.parse(utf8.decode(bytes)) as unknown)

const requestOf = Schema.decodeUnknownResult(Request)
const answerCodec = Schema.toCodecJson(Answer)
const answerOf = Schema.decodeUnknownResult(answerCodec)
const answerToJson = Schema.encodeSync(answerCodec)

/**
 * Reads a request; `undefined` if it is none.
 *
 * @category encoding
 * @since 0.1.0
 */
export const readRequest = (bytes: Uint8Array): Request | undefined =>
  Result.getOrUndefined(Result.flatMap(parse(bytes), requestOf))

/**
 * Reads an answer; `undefined` if it is none.
 *
 * @category encoding
 * @since 0.1.0
 */
export const readAnswer = (bytes: Uint8Array): Answer | undefined =>
  Result.getOrUndefined(Result.flatMap(parse(bytes), answerOf))

/**
 * A request as it is sent.
 *
 * @category encoding
 * @since 0.1.0
 */
export const writeRequest = (request: Request): string => `${JSON.stringify(request)}\n`

const done = `{"ok":true}\n`

/**
 * An answer as it is sent.
 *
 * @category encoding
 * @since 0.1.0
 */
export const writeAnswer = (answer: Answer): string =>
  answer.ok && Object.keys(answer).length === 1 ? done : `${JSON.stringify(answerToJson(answer))}\n`
