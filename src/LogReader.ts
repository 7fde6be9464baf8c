/**
 * Reads a log: all its segments as one stream of records, foreign lines and damage, all as values, in constant memory.
 *
 * The reader trusts bytes and hashes, and nothing that the writer's code does. Transactions are released whole; the
 * parts of an unfinished one are not shown as records.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { dirname } from "node:path"
import type * as Cursor from "./Cursor.ts"
import type * as HashChain from "./HashChain.ts"
import * as LogTape from "./internal/logTape.ts"
import * as ReadPlan from "./internal/readPlan.ts"
import type * as LogEntry from "./LogEntry.ts"
import { LogReaderError, type ReadError } from "./ReadError.ts"

/** @since 0.1.0 */
export { CursorLost, LogReaderError, type ReadError, SegmentCompressed } from "./ReadError.ts"

/**
 * What {@link read} yields.
 *
 * @category models
 * @since 0.1.0
 */
export type Entry = LogEntry.LogEntry

/**
 * An entry, and the cursor from which reading goes on after it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Placed {
  readonly entry: Entry
  readonly cursor: Cursor.Cursor
}

/**
 * The options of {@link read}.
 *
 * **Details**
 *
 * `keys` check lines with an HMAC; a line with another key is damage then. Without `keys` such lines are read unchecked.
 * `lineBytesMax` bounds the memory that one line can take; longer lines are damage. Default 64 MiB.
 * `only` reads the file that is named and no other segment. `salvage` yields the records inside damaged lines too, as
 * `Salvaged`. `matching` yields only the records and foreign lines that are asked for; see {@link read}. `from` is where to begin: at the oldest segment by default, at a {@link Cursor.Cursor}, or at the end.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadOptions {
  readonly keys?: ReadonlyArray<HashChain.Key> | undefined
  readonly lineBytesMax?: number | undefined
  readonly only?: boolean | undefined
  readonly salvage?: boolean | undefined
  readonly matching?: LogEntry.Predicate | undefined
  readonly from?: Cursor.Cursor | "start" | "end" | undefined
}

/**
 * The options of {@link follow}.
 *
 * **Details**
 *
 * `poll` is how long to wait before looking again, 200 milliseconds by default. Changes that the system announces are
 * looked at sooner, unless `watch` is false; nothing depends on them.
 *
 * @category models
 * @since 0.1.0
 */
export interface FollowOptions extends Omit<ReadOptions, "only" | "matching"> {
  readonly poll?: Duration.Input | undefined
  readonly watch?: boolean | undefined
}

const pollDefault = Duration.millis(200)

type OpenOptions = Omit<ReadOptions, "matching"> & { readonly traits?: LogEntry.Predicate["traits"] }

const open = Effect.fnUntraced(function*<A>(
  path: string,
  options: OpenOptions,
  ends: boolean,
  place: ((placed: Placed) => A) | undefined
) {
  const scope = yield* Scope.Scope
  const target = { path, only: options.only ?? false }
  const from = options.from === "end" ? yield* ReadPlan.cursorBeforeEnd(target, 0, scope) : options.from
  const plan = from === undefined || from === "start"
    ? yield* ReadPlan.fromStart(target)
    : yield* ReadPlan.fromCursor(target, from, scope)
  return new LogTape.Tape<A>(target, plan, scope, { ...options, ends }, place)
})

const readAs = <A>(
  path: string,
  options: OpenOptions,
  place: ((placed: Placed) => A) | undefined
): Stream.Stream<A, ReadError | LogTape.Ambiguous, FileSystem.FileSystem> =>
  Stream.unwrap(
    Effect.map(open(path, options, true, place), (tape) =>
      Stream.paginate(undefined, () =>
        Effect.map(tape.next, (entries) =>
          entries === undefined
            ? [tape.end(), Option.none<undefined>()] as const
            : [entries, Option.some(undefined)] as const)))
  )

/** Nothing is ambiguous where no line is passed over. */
const readExactly = <A>(
  path: string,
  { matching: _, ...options }: ReadOptions,
  place: ((placed: Placed) => A) | undefined
): Stream.Stream<A, ReadError, FileSystem.FileSystem> =>
  Stream.catchTag(readAs(path, options, place), "Ambiguous", Stream.die)

const isAnswer = (entry: Entry): entry is LogEntry.AuditRecord | LogEntry.Foreign | LogEntry.Salvaged =>
  entry._tag === "Record" || entry._tag === "Foreign" || entry._tag === "Salvaged"

const readMatching = (
  path: string,
  { matching, ...options }: ReadOptions & { readonly matching: LogEntry.Predicate }
): Stream.Stream<Entry, ReadError, FileSystem.FileSystem> => {
  const isWanted = (entry: Entry): boolean => !isAnswer(entry) || matching(entry)
  const exactly = Stream.filter(readExactly<Entry>(path, options, undefined), isWanted)
  const { traits } = matching
  // what stands inside damaged lines is looked for in all of them
  if (traits === undefined || options.salvage === true || options.from === "end") return exactly
  return Stream.suspend(() => {
    let count = 0
    let last: string | undefined
    return readAs<Entry>(path, { ...options, traits }, undefined).pipe(
      Stream.filter((entry) => {
        if (!isAnswer(entry)) return true
        if (!matching(entry)) return false
        count++
        last = entry.text
        return true
      }),
      Stream.catchTag("Ambiguous", () => Stream.suspend(() => behind(path, exactly, count, last)))
    )
  })
}

/** What comes after so many answers, the last of which is this. */
const behind = <R>(
  path: string,
  entries: Stream.Stream<Entry, ReadError, R>,
  count: number,
  last: string | undefined
): Stream.Stream<Entry, ReadError, R> => {
  let left = count
  const changed = Effect.fail(
    new LogReaderError({ file: path, problem: "its segments were removed while it was read; read it again" })
  )
  return entries.pipe(
    Stream.filterEffect((entry) => {
      if (left === 0) return Effect.succeed(true)
      if (!isAnswer(entry) || --left > 0 || entry.text === last) return Effect.succeed(false)
      return changed
    }),
    Stream.concat(Stream.suspend(() => left > 0 ? Stream.fromEffect(changed) : Stream.empty))
  )
}

/**
 * Reads a log from its oldest segment to the end that it has when reading gets there. `path` is the live file.
 *
 * **Details**
 *
 * Entries come in the order of the files, a transaction where its last record stands. Repeats of a record are dropped.
 * Bytes after a file's last newline come at its end, unfinished transactions and gaps at the end of all. Segments may be
 * renamed, sealed or removed meanwhile: nothing is yielded twice, and what can still be read is not left out.
 *
 * With `matching` it yields the records and foreign lines that are asked for: the same ones, in the same order, as if
 * everything were read and then filtered. Where the predicate is that of a `Query`, lines which cannot be among them are
 * passed over: that is faster by far, and says nothing of what is wrong in those lines. `Verifier.verify` does. A
 * repeat of a record that was passed over makes it read the log once more, in full.
 *
 * @category reading
 * @since 0.1.0
 */
export const read = (
  path: string,
  options: ReadOptions = {}
): Stream.Stream<Entry, ReadError, FileSystem.FileSystem> =>
  options.matching === undefined
    ? readExactly<Entry>(path, options, undefined)
    : readMatching(path, { ...options, matching: options.matching })

/**
 * Reads as {@link read} does, and says with each entry from where to go on after it.
 *
 * **Details**
 *
 * What is read from a cursor on is what stood after its entry, also in the middle of a transaction's records, when
 * transactions of several writers interleave, and after rotations. A cursor whose segment is gone is a `CursorLost`.
 *
 * **Gotchas**
 *
 * `Incomplete` and `Missing` speak of the log as it is at its end, so every reading that gets there says them again; one
 * that begins at a cursor knows of those that began less than 32 MiB before it.
 *
 * @category reading
 * @since 0.1.0
 */
export const readPlaced = (
  path: string,
  options: Omit<ReadOptions, "matching"> = {}
): Stream.Stream<Placed, ReadError, FileSystem.FileSystem> => readExactly(path, options, (placed) => placed)

const followAs = <A>(
  path: string,
  { poll, watch, ...options }: FollowOptions,
  place: ((placed: Placed) => A) | undefined
): Stream.Stream<A, ReadError, FileSystem.FileSystem> =>
  Stream.unwrap(Effect.gen(function*() {
    const changed = yield* Latch.make(false)
    if (watch !== false) yield* Effect.forkScoped(hints(path, changed), { startImmediately: true })
    const tape = yield* open(path, options, false, place)
    const wait = Effect.race(Effect.sleep(poll ?? pollDefault), changed.await)
    return Stream.paginate(undefined, () =>
      Effect.gen(function*() {
        for (;;) {
          yield* changed.close
          const entries = yield* Effect.catchTag(tape.next, "Ambiguous", Effect.die)
          if (entries !== undefined) return [entries, Option.some(undefined)] as const
          yield* wait
        }
      }))
  }))

/** Opens the latch whenever something happens in the directory. What cannot be watched is polled only. */
const hints = (path: string, changed: Latch.Latch): Effect.Effect<void, never, FileSystem.FileSystem> =>
  Effect.ignore(
    FileSystem.FileSystem.use((fileSystem) =>
      Stream.runForEachArray(fileSystem.watch(dirname(path)), () => changed.open)
    )
  )

/**
 * Reads a log and goes on for ever, across rotations by this library and by logrotate.
 *
 * **Details**
 *
 * It never yields half a record or half a transaction: bytes after the last newline are waited for. After a rotation the
 * old segment is looked at again, since a writer may have had a write in flight into it. A file that becomes shorter is
 * a `Truncated` entry, and reading goes on at its start.
 *
 * **Gotchas**
 *
 * It has no end, so it never says that a transaction is incomplete or that a record is missing.
 *
 * @category following
 * @since 0.1.0
 */
export const follow = (
  path: string,
  options: FollowOptions = {}
): Stream.Stream<Entry, ReadError, FileSystem.FileSystem> => followAs<Entry>(path, options, undefined)

/**
 * Follows as {@link follow} does, and says with each entry from where to go on after it.
 *
 * @category following
 * @since 0.1.0
 */
export const followPlaced = (
  path: string,
  options: FollowOptions = {}
): Stream.Stream<Placed, ReadError, FileSystem.FileSystem> => followAs(path, options, (placed) => placed)

/**
 * A cursor at the start of the line that is about so many bytes before the end of the log: where to look for its last
 * records without reading all of it. Lines read from it on have no line number.
 *
 * @category cursors
 * @since 0.1.0
 */
export const cursorBeforeEnd = (
  path: string,
  bytes: number,
  options: Pick<ReadOptions, "only"> = {}
): Effect.Effect<Cursor.Cursor, LogReaderError, FileSystem.FileSystem> =>
  Effect.scoped(
    Effect.flatMap(
      Scope.Scope,
      (scope) => ReadPlan.cursorBeforeEnd({ path, only: options.only ?? false }, bytes, scope)
    )
  )

/**
 * A record whose fields fit the schema, and the value they are decoded to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Decoded<out A> {
  readonly _tag: "Decoded"
  readonly value: A
  readonly record: LogEntry.AuditRecord
}

/**
 * A record whose fields do not fit the schema, as those of an older version of the program may not.
 *
 * @category models
 * @since 0.1.0
 */
export interface Undecodable {
  readonly _tag: "Undecodable"
  readonly record: LogEntry.AuditRecord
  readonly problem: string
}

/**
 * Decodes the records of a stream with a schema, the one that the log was made with. Everything else passes unchanged.
 *
 * **Details**
 *
 * Key order does not matter. Unknown keys are dropped, as `Schema` does, unless the schema says otherwise.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = <A>(schema: Schema.ConstraintDecoder<A>) => {
  const decodeFields = Schema.decodeUnknownResult(Schema.toCodecJson(schema))
  const decodeEntry = (entry: Entry): Decoded<A> | Undecodable | Exclude<Entry, LogEntry.AuditRecord> => {
    if (entry._tag !== "Record") return entry
    // a transformation of the schema may throw
    const decoded = Result.try(() => decodeFields(entry.fields))
    if (Result.isFailure(decoded)) return { _tag: "Undecodable", record: entry, problem: String(decoded.failure) }
    return Result.match(decoded.success, {
      onFailure: ({ message }) => ({ _tag: "Undecodable", record: entry, problem: message }),
      onSuccess: (value) => ({ _tag: "Decoded", value, record: entry })
    })
  }
  return <E, R>(entries: Stream.Stream<Entry, E, R>) => Stream.map(entries, decodeEntry)
}
