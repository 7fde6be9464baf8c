/**
 * What a query asks of a line, as far as its bytes tell. It is part of the public types, so that it names no type of Node.
 */

/** Traits of every record and foreign line that is asked for; an absent one is no condition. */
export interface Traits {
  /** Bytes that are somewhere in the line. */
  readonly text?: Uint8Array | undefined
  /** A key in its quotes, and whole digits: each value of the key is this number, or none written in whole digits. */
  readonly number?: { readonly key: Uint8Array; readonly digits: string } | undefined
  /** The stamp's time is this one or later; it is earlier. */
  readonly since?: string | undefined
  readonly until?: string | undefined
  /** How the stamp's ids end. */
  readonly writer?: string | undefined
  readonly transaction?: string | undefined
}
