/**
 * What reading a log yields: records, foreign lines, and damage as values.
 *
 * @since 0.1.0
 */
import type { Stamp } from "./AuditRecord.ts"
import type * as Codec from "./Codec.ts"

/**
 * Where an entry stands: the file as it was named, the offset of its first byte, its length without the newline, and
 * its line number from 1.
 *
 * @category models
 * @since 0.1.0
 */
export interface Place {
  readonly file: string
  readonly offset: number
  readonly length: number
  readonly line: number
}

/**
 * A record that is whole and committed.
 *
 * **Details**
 *
 * `id` is `writer:seq`, `fields` what the program recorded, `text` the line. `verified` is false only for a line with an
 * HMAC that was read without keys: its bytes could not be checked.
 *
 * @category models
 * @since 0.1.0
 */
export interface AuditRecord extends Place {
  readonly _tag: "Record"
  readonly id: string
  readonly stamp: Stamp
  readonly fields: { readonly [key: string]: unknown }
  readonly text: string
  readonly verified: boolean
}

/**
 * A JSON object that another program appended: legal, and without stamp and hash.
 *
 * @category models
 * @since 0.1.0
 */
export interface Foreign extends Place {
  readonly _tag: "Foreign"
  readonly value: { readonly [key: string]: unknown }
  readonly text: string
}

/**
 * A line that is no whole record.
 *
 * **Details**
 *
 * `healed` says that the next writer has set the fragment apart with a resync line: what a killed process leaves of a
 * record that it never acknowledged. `preview` is the beginning of the line, escaped, for people.
 *
 * @category models
 * @since 0.1.0
 */
export interface Damage extends Place {
  readonly _tag: "Damage"
  readonly kind: Codec.DamageKind
  readonly healed: boolean
  readonly preview: string
}

/**
 * A transaction that never became whole; its records do not count. `offset` is where its first part stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface Incomplete {
  readonly _tag: "Incomplete"
  readonly file: string
  readonly offset: number
  readonly writer: string
  readonly transaction: string
  readonly found: number
  readonly expected: number
}

/**
 * Bytes after the last newline: a write in progress, or one that its process did not live to finish.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pending {
  readonly _tag: "Pending"
  readonly file: string
  readonly offset: number
  readonly length: number
}

/**
 * What reading a log yields.
 *
 * @category models
 * @since 0.1.0
 */
export type LogEntry = AuditRecord | Foreign | Damage | Incomplete | Pending
