/**
 * Who waits for a commit, and who is told of it.
 */
import type * as AuditError from "../AuditError.ts"
import type { Written } from "../AuditRecord.ts"
import type * as HashChain from "../HashChain.ts"
import type { Answer, Entry } from "./groupCommit.ts"

/** A transaction that waits to be stored. */
export type Pending = Entry<HashChain.Group, ReadonlyArray<Written>, AuditError.AuditError>

/** Says what the caller of a transaction gets. */
export type Answering = Answer<HashChain.Group, ReadonlyArray<Written>, AuditError.AuditError>

/** What has happened, for logs and metrics. Called from the middle of a commit: must not throw. */
export interface Observer {
  readonly stored: (
    groups: ReadonlyArray<{ readonly entry: Pending }>,
    records: number,
    bytes: number
  ) => void
  readonly flushed: () => void
  /** What stood before the offset was set apart; `whole`: it is all of a record but its newline. */
  readonly healed: (offset: number, whole: boolean) => void
  readonly truncated: (fromBytes: number, toBytes: number) => void
  /** The file was removed from outside, with so many bytes. */
  readonly removed: (bytes: number) => void
  /** A record is under this key, and has not the HMAC that it makes. */
  readonly doubted: (key: string) => void
  readonly warned: (problem: string) => void
  readonly sealed: (path: string) => void
  readonly poisoned: (reason: AuditError.AuditErrorReason) => void
}
