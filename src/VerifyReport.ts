/**
 * What a verification says about a log. It is plain data: `JSON.stringify` of it is its JSON form, and what
 * `auditlog verify --json` prints.
 *
 * **Faults** mean that the log is not what its writers wrote: something was altered, removed, put in or lost. **Notes**
 * are what a sound log can hold after crashes, full disks and power cuts.
 *
 * @since 0.1.0
 */
import type * as LogEntry from "./LogEntry.ts"

/**
 * Findings of one kind: all are counted, the first ones are listed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Findings<A> {
  readonly count: number
  readonly first: ReadonlyArray<A>
}

/**
 * A file of the log that was read: how many bytes, and how many whole records it has.
 *
 * @category models
 * @since 0.1.0
 */
export interface SegmentRead {
  readonly file: string
  readonly bytes: number
  readonly records: number
}

/**
 * A record, and where it stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecordPlace extends LogEntry.Place {
  readonly writer: string
  readonly seq: number
}

/**
 * A damaged line, or a fragment. `healed`: the next writer has set it apart with a resync line; `whole`: it begins with
 * all of a record but its newline. `preview` is its beginning, escaped.
 *
 * @category models
 * @since 0.1.0
 */
export type Damage = Omit<LogEntry.Damage, "_tag">

/**
 * Records `from` to `to` of a writer are not in the log. `file`, `offset` and `line` are where the next record of that
 * writer stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface Missing {
  readonly writer: string
  readonly from: number
  readonly to: number
  readonly file: string
  readonly offset: number
  readonly line: number
}

/**
 * A record whose `writer:seq` stands in the log before, in a way that no writer produces.
 *
 * **Details**
 *
 * `content`: that of the first one is the `"same"` (a line was copied), an `"other"` one (a record was put in, or two
 * processes wrote under one id), or `"unknown"`, since it stands too far back to be compared. `first` says where.
 *
 * @category models
 * @since 0.1.0
 */
export interface Conflict extends RecordPlace {
  readonly content: "same" | "other" | "unknown"
  readonly first: { readonly file: string; readonly offset: number } | null
}

/**
 * A record that does not continue its writer's chain.
 *
 * **Details**
 *
 * `problem`: `"prev"`, its `prev` is not the hash of the record before it; `"transaction"`, it follows a transaction of
 * the same writer that is not complete.
 *
 * @category models
 * @since 0.1.0
 */
export interface BrokenLink extends RecordPlace {
  readonly problem: "prev" | "transaction"
}

/**
 * A record whose `seen` names no record before it: that one was removed or altered, or (`stands` is `"later"`) moved.
 *
 * @category models
 * @since 0.1.0
 */
export interface DanglingSeen extends RecordPlace {
  readonly seen: string
  readonly stands: "nowhere" | "later"
}

/**
 * A transaction that never became whole, so that none of its records counts.
 *
 * @category models
 * @since 0.1.0
 */
export type Incomplete = Omit<LogEntry.Incomplete, "_tag">

/**
 * Bytes after the last newline of a file: a write in progress, or one that was cut off.
 *
 * @category models
 * @since 0.1.0
 */
export type Pending = Omit<LogEntry.Pending, "_tag">

/**
 * The report of one log.
 *
 * **Details**
 *
 * Sizes: `bytes` and `lines` of all `segments`; `records` that count, each identity once; `writers`; `transactions` of
 * several records; `foreign` lines of other programs; `resyncs`, lines that set a fragment apart.
 *
 * Faults: `damages`, and how many of each kind; `doubtfulKeys`, under which there are records, and none of them has the
 * HMAC that the given secret makes, as if it was not the writer's; `unknownKeys`, the ids in lines whose damage is of the
 * kind `key`: 100 ids at most, with the number of their lines; `missing` records; `conflicts`; `broken` links of chains; `dangling` links to other writers;
 * `unauthenticated`, lines without an HMAC although a key was given; `unchecked`, lines with an HMAC although no key was
 * given, so that nothing is known of them. `sound` is true if there are none of these.
 *
 * Notes: `fragments` of writes that nobody acknowledged; `unended`, lines that begin with a whole record without its
 * newline, so that it does not count: its write lost the last byte, or a program has taken the newline away from an
 * acknowledged record; `unfinished`, records that a writer did not get whole into the
 * file before it ended; `incomplete` transactions; `repeats`, records that were appended again because the first attempt
 * was not found; `pending` tails; `removed`, segments that retention has removed with a record of it; `earlier`, writers
 * and links that begin before the oldest file that was read: in removed ones, or in those that were left out.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  readonly log: string
  readonly sound: boolean
  readonly segments: ReadonlyArray<SegmentRead>
  readonly bytes: number
  readonly lines: number
  readonly records: number
  readonly writers: number
  readonly transactions: number
  readonly foreign: number
  readonly resyncs: number

  readonly damages: Findings<Damage>
  readonly damageKinds: Readonly<Record<string, number>>
  readonly doubtfulKeys: ReadonlyArray<{ readonly key: string; readonly records: number }>
  readonly unknownKeys: ReadonlyArray<{ readonly key: string; readonly lines: number }>
  readonly missing: Findings<Missing>
  readonly conflicts: Findings<Conflict>
  readonly broken: Findings<BrokenLink>
  readonly dangling: Findings<DanglingSeen>
  readonly unauthenticated: Findings<LogEntry.Place>
  readonly unchecked: Findings<LogEntry.Place>

  readonly fragments: Findings<Damage>
  readonly unended: Findings<Damage>
  readonly unfinished: Findings<Missing>
  readonly incomplete: Findings<Incomplete>
  readonly repeats: number
  readonly pending: ReadonlyArray<Pending>
  readonly removed: number
  readonly earlier: number
}
