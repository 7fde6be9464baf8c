/**
 * What one record of the log says about itself: the stamp that every line opens with, the identity of a record, and
 * the receipt its writer gets.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The version of the format that this library writes, the `v` of every stamp.
 *
 * @category constants
 * @since 0.1.0
 */
export const formatVersion = 1

const Hash = Schema.String.check(Schema.isPattern(/^[\w-]{43}$/))
const Ulid = Schema.String.check(Schema.isPattern(/^[0-9A-HJKMNP-TV-Z]{26}$/))

/**
 * The place of a record in a transaction of several records: its index `i` of `n`, and the transaction's id.
 *
 * @category models
 * @since 0.1.0
 */
export const TransactionPlace = Schema.Struct({ id: Ulid, i: Schema.Natural, n: Schema.Natural })

/**
 * The type of {@link TransactionPlace}.
 *
 * @category models
 * @since 0.1.0
 */
export interface TransactionPlace extends Schema.Schema.Type<typeof TransactionPlace> {}

/**
 * What the appender adds to a record, under the key `_audit`, as docs/format.md defines it.
 *
 * **Details**
 *
 * `writer` (a ULID) and `seq` identify the record. `at` is UTC with milliseconds. `prev` is the hash of the writer's
 * previous record, `seen` that of the newest line of another writer which this one had seen. `tx` stands on every
 * record of a transaction of more than one. `try` counts the attempts to append it, absent for the first. `trace` is
 * `<trace id>-<span id>` of the span that was current. `key` names the key of the line's HMAC.
 * `src` is the identity of the row that a relay took the record from, `<outbox id>:<row id>`.
 *
 * @category models
 * @since 0.1.0
 */
export const Stamp = Schema.Struct({
  v: Schema.Literal(formatVersion),
  writer: Ulid,
  seq: Schema.Natural,
  at: Schema.String.check(Schema.isPattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)),
  prev: Schema.optionalKey(Hash),
  seen: Schema.optionalKey(Hash),
  tx: Schema.optionalKey(TransactionPlace),
  try: Schema.optionalKey(Schema.Natural),
  trace: Schema.optionalKey(Schema.String),
  key: Schema.optionalKey(Schema.String),
  src: Schema.optionalKey(Schema.String)
})

/**
 * The type of {@link Stamp}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stamp extends Schema.Schema.Type<typeof Stamp> {}

/**
 * What was done for a record before its append succeeded.
 *
 * **Details**
 *
 * `"synced"`: flushed to the device. `"deferred"`: in the file, the flush follows within the interval of the sync
 * policy. `"unsynced"`: in the file, no flush was asked for; it survives the death of the process, not of the machine.
 * `"memory"`: held by a memory appender. `"pipe"`: handed to the reader of a FIFO. `"replicated"`: flushed to the device,
 * and acknowledged by every required destination of the log's shipper.
 *
 * @category models
 * @since 0.1.0
 */
export type Durability = "synced" | "deferred" | "unsynced" | "memory" | "pipe" | "replicated"

/**
 * The receipt of a record that is in the log.
 *
 * **Details**
 *
 * `writer` and `seq` identify the record (see {@link id}), `hash` is the line's `_hash`, `bytes` the length of the
 * line with its newline. `oversize` says that the record is longer than the limit of a size policy that lets it pass.
 *
 * @category models
 * @since 0.1.0
 */
export interface Written {
  readonly writer: string
  readonly seq: number
  readonly bytes: number
  readonly hash: string
  readonly durability: Durability
  readonly oversize: boolean
}

/**
 * The receipt of an append inside a transaction: nothing is written yet, so there is no identity and no hash. `bytes`
 * is the length of the longest line the record can become.
 *
 * @category models
 * @since 0.1.0
 */
export interface Buffered {
  readonly writer: undefined
  readonly seq: undefined
  readonly bytes: number
  readonly hash: undefined
  readonly durability: "buffered"
  readonly oversize: boolean
}

/**
 * What an append returns. Outside a transaction it is {@link Written}; `durability` tells the two apart.
 *
 * @category models
 * @since 0.1.0
 */
export type Receipt = Written | Buffered

/**
 * The identity of a record as text, `writer:seq`: for deduplication, shipping and receipts.
 *
 * @category getters
 * @since 0.1.0
 */
export const id = (record: { readonly writer: string; readonly seq: number }): string =>
  `${record.writer}:${record.seq}`
