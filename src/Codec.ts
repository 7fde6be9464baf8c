/**
 * A record and its line: the bytes of format version 1, as docs/format.md defines them. Pure.
 *
 * A line is `{"_audit":{…stamp…},…fields…,"_hash":"…"}` and a newline. Its parts are joined as text, never parsed and
 * printed again, so the bytes that are hashed are the bytes that are written.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { InvalidRecord } from "./AuditError.ts"
import { formatVersion, type Stamp, type TransactionPlace } from "./AuditRecord.ts"
import * as JsonLine from "./internal/jsonLine.ts"
import { isStamp } from "./internal/stampShape.ts"

/**
 * A record that is encoded and checked, and not yet stamped.
 *
 * **Details**
 *
 * `fields` is the JSON text of the record without its braces, `fieldsBytes` its length in UTF-8. `at` and `trace` go
 * into the stamp. `tag` is the record's `_tag`, for messages. `value` is the record as the caller gave it. `source` is
 * the identity of the outbox row that the record comes from, the `src` of its stamp.
 *
 * @category models
 * @since 0.1.0
 */
export interface Encoded {
  readonly fields: string
  readonly fieldsBytes: number
  readonly at: string
  readonly trace: string | undefined
  readonly tag: string | undefined
  readonly value: unknown
  readonly source?: string | undefined
}

/**
 * Encodes a JSON object to a record, or says which value JSON cannot hold.
 *
 * **Gotchas**
 *
 * The keys `_audit` and `_hash` belong to the log and are refused at the top level.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = (
  json: unknown,
  options: {
    readonly at: string
    readonly trace?: string | undefined
    readonly value: unknown
    readonly source?: string | undefined
  }
): Result.Result<Encoded, InvalidRecord> => {
  if (typeof json !== "object" || json === null || Array.isArray(json) || JsonLine.isRawJson(json)) {
    const kind = json === null ? "null" : Array.isArray(json) ? "an array" : `a ${typeof json}`
    return invalid([], `a record must encode to a JSON object, not to ${kind}`)
  }
  if (Object.hasOwn(json, "_audit")) return invalid(["_audit"], "this key is reserved for the log's own stamp")
  if (Object.hasOwn(json, "_hash")) return invalid(["_hash"], "this key is reserved for the log's own hash")
  const fault = JsonLine.findFault(json)
  if (fault !== undefined) return invalid(fault.path, fault.problem)
  let fields: string
  try {
    fields = JsonLine.stringify(json).slice(1, -1)
  } catch (cause) {
    return invalid([], `it cannot be written as JSON: ${String(cause)}`)
  }
  const tag = (json as { readonly _tag?: unknown })._tag
  return Result.succeed({
    fields,
    fieldsBytes: Buffer.byteLength(fields),
    at: options.at,
    trace: options.trace,
    tag: typeof tag === "string" ? tag : undefined,
    value: options.value,
    source: options.source
  })
}

const invalid = (path: ReadonlyArray<string | number>, problem: string): Result.Result<never, InvalidRecord> =>
  Result.fail(new InvalidRecord({ path, problem }))

/**
 * The fields of a stamp that the appender decides; the version is always 1, `at` and `trace` come with the record.
 *
 * @category models
 * @since 0.1.0
 */
export interface Position {
  readonly writer: string
  readonly seq: number
  readonly prev: string | undefined
  readonly seen: string | undefined
  readonly tx: TransactionPlace | undefined
  readonly attempt: number
  readonly key: string | undefined
}

const optional = (name: string, value: string | undefined): string => value === undefined ? "" : `,"${name}":"${value}"`

/** How the lines of one writer begin: the same text for line after line. */
let begun: { readonly writer: string; readonly text: string } = { writer: "", text: "" }

const beginning = (writer: string): string => {
  if (begun.writer !== writer) begun = { writer, text: `{"_audit":{"v":${formatVersion},"writer":"${writer}","seq":` }
  return begun.text
}

/**
 * The text of a line before its fields: the stamp, and the comma where fields follow.
 *
 * @category encoding
 * @since 0.1.0
 */
export const stamp = (record: Pick<Encoded, "fields" | "at" | "trace" | "source">, position: Position): string => {
  const { attempt, key, prev, seen, seq, tx, writer } = position
  return beginning(writer) + seq + `,"at":"` + record.at + (prev === undefined ? `"` : `","prev":"` + prev + `"`) +
    optional("seen", seen) +
    (tx === undefined ? "" : `,"tx":{"id":"${tx.id}","i":${tx.i},"n":${tx.n}}`) +
    (attempt === 0 ? "" : `,"try":${attempt}`) +
    optional("trace", record.trace) +
    optional("key", key) +
    optional("src", record.source) +
    (record.fields === "" ? "}" : "},")
}

/**
 * The text of a line before `,"_hash":"`, which is what the hash covers.
 *
 * @category encoding
 * @since 0.1.0
 */
export const head = (record: Pick<Encoded, "fields" | "at" | "trace" | "source">, position: Position): string =>
  stamp(record, position) + record.fields

/**
 * The head of a resync line: a record of nothing that separates a torn tail from what follows it.
 *
 * @category encoding
 * @since 0.1.0
 */
export const resyncHead = (writer: string, key: string | undefined): string =>
  `{"_audit":{"v":${formatVersion},"writer":"${writer}","resync":true${optional("key", key)}}`

const hashPrefix = `,"_hash":"`
const hashLength = 43
const tailLength = hashPrefix.length + hashLength + `"}`.length

/**
 * What closes a head: its hash and the newline.
 *
 * @category encoding
 * @since 0.1.0
 */
export const tail = (hash: string): string => `${hashPrefix}${hash}"}\n`

/**
 * Closes a head with its hash and the newline: a line as it is written.
 *
 * @category encoding
 * @since 0.1.0
 */
export const seal = (head: string, hash: string): string => head + tail(hash)

/** The greatest number of records in a transaction; 7 digits, for which every size reserves room. */
const transactionRecordsMax = 9_999_999

const widestUnkeyed = seal(
  head({ fields: "", at: "2000-01-01T00:00:00.000Z", trace: `${"0".repeat(32)}-${"0".repeat(16)}` }, {
    writer: "0".repeat(26),
    seq: Number.MAX_SAFE_INTEGER,
    prev: "0".repeat(hashLength),
    seen: "0".repeat(hashLength),
    tx: { id: "0".repeat(26), i: transactionRecordsMax, n: transactionRecordsMax },
    attempt: 9,
    key: undefined
  }),
  "0".repeat(hashLength)
).length

/**
 * The length in bytes, with its newline, of the longest line a record can become. It depends on the record's own
 * fields and on the id of the key alone, not on when, where or in which transaction the record is written; so the
 * same record is always within a limit or always over it. Only a record out of an outbox is longer, by its `source`.
 *
 * @category sizes
 * @since 0.1.0
 */
export const lineBytesMax = (fieldsBytes: number, key: string | undefined, source?: string | undefined): number =>
  widestUnkeyed + optional("key", key).length + (source === undefined ? 0 : sourceBytesMax) +
  (fieldsBytes === 0 ? 0 : fieldsBytes + 1)

/** The greatest length of a `source`: an outbox id of 32 characters, a colon and the greatest number of a row. */
const sourceLengthMax = 32 + 1 + String(2n ** 63n - 1n).length

const sourceBytesMax = optional("src", "0".repeat(sourceLengthMax)).length

/**
 * Why a line is not a whole record.
 *
 * **Details**
 *
 * `torn`: cut off before its end. `glued`: a record begins in the middle of the line, after something else. `nul`:
 * holds NUL bytes, as a power cut leaves them. `utf8`: not UTF-8. `notJson`, `notObject`: no JSON, or another value than
 * an object. `stamp`: `_audit` is not a stamp. `version`: written by a newer version of the format. `hash`: the bytes
 * are not those that were hashed. `key`: the HMAC's key is not among the keys given. `tooLong`: longer than the reader's
 * limit.
 *
 * @category models
 * @since 0.1.0
 */
export type DamageKind =
  | "torn"
  | "glued"
  | "nul"
  | "utf8"
  | "notJson"
  | "notObject"
  | "stamp"
  | "version"
  | "hash"
  | "key"
  | "tooLong"

/**
 * What one line says, before its hash is looked at: a record of this library, a resync line, a foreign JSON object,
 * nothing (blank), or no record.
 *
 * @category models
 * @since 0.1.0
 */
export type Parsed =
  | {
    readonly _tag: "Record"
    readonly stamp: Stamp
    readonly fields: { readonly [key: string]: unknown }
    readonly text: string
  }
  | { readonly _tag: "Resync"; readonly key: string | undefined }
  | { readonly _tag: "Foreign"; readonly value: { readonly [key: string]: unknown }; readonly text: string }
  | { readonly _tag: "Blank" }
  | { readonly _tag: "Broken"; readonly kind: DamageKind }

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/**
 * The bytes of a line without NUL bytes at its ends, which a power cut can leave around whole records, and without a
 * carriage return at its end.
 *
 * @category decoding
 * @since 0.1.0
 */
export const trim = (line: Uint8Array): Uint8Array => {
  let start = 0
  let end = line.length
  while (start < end && line[start] === 0) start++
  while (end > start && (line[end - 1] === 0 || line[end - 1] === 13)) end--
  return line.subarray(start, end)
}

/**
 * Parses a line that has been {@link trim trimmed} and has no newline. It never throws and does not check the hash.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parse = (line: Uint8Array): Parsed => {
  if (line.length === 0) return { _tag: "Blank" }
  if (line.includes(0)) return { _tag: "Broken", kind: "nul" }
  let text: string
  try {
    text = utf8.decode(line)
  } catch {
    return { _tag: "Broken", kind: "utf8" }
  }
  if (text.trim() === "") return { _tag: "Blank" }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { _tag: "Broken", kind: brokenKind(text) }
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { _tag: "Broken", kind: "notObject" }
  if (!Object.hasOwn(value, "_audit")) {
    // two spliced lines, or one with an altered byte in this key, can be valid JSON: a line that ends in a hash is ours
    if (unseal(line) !== undefined) return { _tag: "Broken", kind: "hash" }
    return { _tag: "Foreign", value: value as { readonly [key: string]: unknown }, text }
  }
  const { _audit, _hash, ...fields } = value as { readonly _audit: unknown; readonly _hash: unknown }
  if (isStamp(_audit)) return { _tag: "Record", stamp: _audit, fields, text }
  return Object.keys(fields).length === 0 ? stampFault(_audit) : { _tag: "Broken", kind: stampKind(_audit) }
}

/** What the line of a record begins with: also how a reader finds records inside damaged lines. */
const recordPrefix = `{"_audit":{"v":`

const brokenKind = (text: string): DamageKind => {
  if (text.indexOf(recordPrefix, 1) >= 0) return "glued"
  return text.startsWith("{") ? "torn" : "notJson"
}

/** What a stamp that is none of a record says: a resync line, where the line has nothing else, or a fault. */
const stampFault = (audit: unknown): Parsed => {
  if (typeof audit === "object" && audit !== null) {
    const { key, resync, v } = audit as { readonly key?: unknown; readonly resync?: unknown; readonly v?: unknown }
    if (v === formatVersion && resync === true) {
      return { _tag: "Resync", key: typeof key === "string" ? key : undefined }
    }
  }
  return { _tag: "Broken", kind: stampKind(audit) }
}

const stampKind = (audit: unknown): DamageKind => {
  const v = typeof audit === "object" && audit !== null ? (audit as { readonly v?: unknown }).v : undefined
  return typeof v === "number" && v > formatVersion ? "version" : "stamp"
}

/**
 * Whether a line begins as a record or a resync line does: a cheap test before the line is parsed.
 *
 * @category decoding
 * @since 0.1.0
 */
export const mayBeRecord = (line: Uint8Array): boolean => {
  for (let i = 0; i < recordPrefix.length; i++) if (line[i] !== recordPrefix.charCodeAt(i)) return false
  return true
}

/**
 * The offset of the last place inside a line, after its start, at which a record or a resync line could begin; -1 if
 * there is none.
 *
 * @category decoding
 * @since 0.1.0
 */
export const lastStart = (line: Uint8Array): number => {
  const at = Buffer.from(line.buffer, line.byteOffset, line.length).lastIndexOf(recordPrefix)
  return at > 0 ? at : -1
}

/**
 * Splits a trimmed line into the bytes its hash covers and the hash it carries, or returns `undefined` if its end is
 * not that of a hashed line.
 *
 * @category decoding
 * @since 0.1.0
 */
export const unseal = (line: Uint8Array): { readonly head: Uint8Array; readonly hash: string } | undefined => {
  const cut = line.length - tailLength
  if (cut <= 0) return undefined
  const tail = Buffer.from(line.buffer, line.byteOffset + cut, tailLength).toString("latin1")
  if (!tail.startsWith(hashPrefix) || !tail.endsWith(`"}`)) return undefined
  return { head: line.subarray(0, cut), hash: tail.slice(hashPrefix.length, -2) }
}
