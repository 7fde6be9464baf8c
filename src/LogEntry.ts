/**
 * What reading a log yields: records, foreign lines, and damage as values.
 *
 * @since 0.1.0
 */
import type { Stamp } from "./AuditRecord.ts"
import type * as Codec from "./Codec.ts"
import type { Traits } from "./internal/lineTraits.ts"

/**
 * Where an entry stands: the file as it was named, the offset of its first byte, its length without the newline, and
 * its line number from 1; 0 where reading began in the middle of a file and nobody knows it.
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
 * record that it never acknowledged. `whole` says that it begins with all of a record but its newline, and goes on with
 * a resync line or one of another program: the write of that record lost its last byte, or a program has taken the
 * newline away from an acknowledged record. `preview` is the beginning of the line,
 * escaped, for people.
 *
 * @category models
 * @since 0.1.0
 */
export interface Damage extends Place {
  readonly _tag: "Damage"
  readonly kind: Codec.DamageKind
  readonly healed: boolean
  readonly whole: boolean
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
 * Bytes after the last newline: a write in progress, or one that its process did not live to finish. `whole` says that
 * they are all of a record but its newline, which a program may have taken away from an acknowledged record.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pending {
  readonly _tag: "Pending"
  readonly file: string
  readonly offset: number
  readonly length: number
  readonly whole: boolean
}

/**
 * A record that stands whole inside a damaged line. It never counts as committed: an acknowledged record that was
 * damaged has been appended again, and one that was not acknowledged was reported as failed. For forensics only.
 *
 * @category models
 * @since 0.1.0
 */
export interface Salvaged extends Place {
  readonly _tag: "Salvaged"
  readonly id: string
  readonly stamp: Stamp
  readonly fields: { readonly [key: string]: unknown }
  readonly text: string
  readonly verified: boolean
}

/**
 * A record whose identity another record with other content has. No writer produces it: somebody has.
 *
 * **Details**
 *
 * The record that stands first is the one that was yielded; `first` says where. Only repeats near each other are
 * compared, so that memory stays bounded.
 *
 * @category models
 * @since 0.1.0
 */
export interface Conflict extends Place {
  readonly _tag: "Conflict"
  readonly id: string
  readonly stamp: Stamp
  readonly fields: { readonly [key: string]: unknown }
  readonly text: string
  readonly first: { readonly file: string; readonly offset: number }
}

/**
 * A gap in the numbers of a writer: `count` records from `seq` on are not in what was read, although later ones of the
 * same writer are. `file` and `offset` are where the first record after the gap stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface Missing {
  readonly _tag: "Missing"
  readonly file: string
  readonly offset: number
  readonly writer: string
  readonly seq: number
  readonly count: number
}

/**
 * The file has become shorter than what had been read of it, or begins with other bytes: logrotate's `copytruncate`, or
 * somebody's hand. What was appended just before it is lost. Reading goes on at the start of the file.
 *
 * @category models
 * @since 0.1.0
 */
export interface Truncated {
  readonly _tag: "Truncated"
  readonly file: string
  readonly offset: number
}

/**
 * What reading a log yields.
 *
 * @category models
 * @since 0.1.0
 */
export type LogEntry =
  | AuditRecord
  | Foreign
  | Damage
  | Salvaged
  | Conflict
  | Missing
  | Incomplete
  | Pending
  | Truncated

/**
 * Whether a record or a foreign line is asked for: what `Query.make` makes, or a function of your own.
 *
 * **Details**
 *
 * `traits` is what the lines of all that is asked for have in common; those without it need not be read. A function of
 * your own has none.
 *
 * @category models
 * @since 0.1.0
 */
export interface Predicate {
  (entry: AuditRecord | Foreign | Salvaged): boolean
  readonly traits?: Traits | undefined
}
