/**
 * Reads a log file: records, foreign lines and damage, all as values, in constant memory.
 *
 * The reader trusts bytes and hashes, and nothing that the writer's code does. Transactions are released whole; the
 * parts of an unfinished one are not shown as records.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { id, type Stamp } from "./AuditRecord.ts"
import * as Codec from "./Codec.ts"
import * as HashChain from "./HashChain.ts"
import * as LineScanner from "./internal/lineScanner.ts"
import * as Reassembly from "./internal/reassembly.ts"

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
export type Entry = AuditRecord | Foreign | Damage | Incomplete | Pending

/**
 * The file cannot be read.
 *
 * @category errors
 * @since 0.1.0
 */
export class LogReaderError extends Schema.TaggedError<LogReaderError>("effect-auditlog/LogReaderError")(
  "LogReaderError",
  {
    file: Schema.String,
    problem: Schema.String,
    cause: Schema.Defect()
  }
) {
  override get message(): string {
    return `cannot read ${this.file}: ${this.problem}`
  }
}

/**
 * The options of {@link read}.
 *
 * **Details**
 *
 * `keys` check lines with an HMAC; a line with another key is damage then. Without `keys` such lines are read unchecked.
 * `lineBytesMax` bounds the memory that one line can take; longer lines are damage. Default 64 MiB.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadOptions {
  readonly keys?: ReadonlyArray<HashChain.Key> | undefined
  readonly lineBytesMax?: number | undefined
}

const lineBytesMaxDefault = 64 * 1024 * 1024

/** Larger blocks read no faster, smaller ones cost more calls: 1 MiB, measured on ext4. */
const blockBytes = 1024 * 1024

/** Characters of a damaged line that people are shown. */
const previewLengthMax = 80

/**
 * Reads a file from its start to the end it has when it gets there.
 *
 * **Details**
 *
 * Entries come in the order of the file, a transaction where its last record stands. Repeats of a record are dropped.
 * Unfinished transactions, then bytes after the last newline, come last.
 *
 * @category reading
 * @since 0.1.0
 */
export const read = (
  file: string,
  options: ReadOptions = {}
): Stream.Stream<Entry, LogReaderError, FileSystem.FileSystem> =>
  Stream.unwrap(Effect.gen(function*() {
    const fileSystem = yield* FileSystem.FileSystem
    const handle = yield* Effect.mapError(fileSystem.open(file, { flag: "r" }), unreadable(file))
    const state = makeState(file, options)
    const block = new Uint8Array(blockBytes)
    return Stream.paginate(undefined, () =>
      Effect.map(Effect.mapError(handle.read(block), unreadable(file)), (count) => {
        return count === 0
          ? [state.end(), Option.none<undefined>()] as const
          : [state.feed(block.subarray(0, count)), Option.some(undefined)] as const
      }))
  }))

const unreadable = (file: string) => (cause: PlatformError): LogReaderError => {
  switch (cause.reason._tag) {
    case "NotFound":
      return new LogReaderError({ file, problem: "there is no such file", cause })
    case "PermissionDenied":
      return new LogReaderError({ file, problem: "permission denied", cause })
    case "BadResource":
      return new LogReaderError({ file, problem: "it is a directory", cause })
    default:
      return new LogReaderError({ file, problem: cause.message, cause })
  }
}

const makeState = (file: string, options: ReadOptions) => {
  const scanner = new LineScanner.LineScanner({ offset: 0, lineBytesMax: options.lineBytesMax ?? lineBytesMaxDefault })
  const reassembly = new Reassembly.Reassembly<AuditRecord>()
  const digests = HashChain.digests(options.keys)

  const readLine = (line: LineScanner.ScannedLine, entries: Array<Entry>): void => {
    const place: Place = { file, offset: line.offset, length: line.length, line: line.number }
    const damage = (kind: Codec.DamageKind, bytes: Uint8Array): void => {
      entries.push({ _tag: "Damage", ...place, kind, healed: endsInResync(bytes, digests), preview: preview(bytes) })
    }
    if (line.bytes === undefined) return damage("tooLong", new Uint8Array(0))
    const bytes = Codec.trim(line.bytes)
    const parsed = Codec.parse(bytes)
    switch (parsed._tag) {
      case "Blank":
      case "Resync":
        return
      case "Foreign":
        entries.push({ _tag: "Foreign", ...place, value: parsed.value, text: parsed.text })
        return
      case "Broken":
        return damage(parsed.kind, bytes)
      case "Record": {
        const { fields, stamp, text } = parsed
        const check = HashChain.check(bytes, stamp.key, digests)
        const unchecked = check === "key" && options.keys === undefined
        if (check !== "ok" && !unchecked) return damage(check, bytes)
        const record: AuditRecord = {
          _tag: "Record",
          ...place,
          id: id(stamp),
          stamp,
          fields,
          text,
          verified: !unchecked
        }
        for (const released of reassembly.add(record)) entries.push(released)
      }
    }
  }

  return {
    feed: (block: Uint8Array): ReadonlyArray<Entry> => {
      const entries: Array<Entry> = []
      scanner.feed(block, (line) => readLine(line, entries))
      return entries
    },
    end: (): ReadonlyArray<Entry> => {
      const entries: Array<Entry> = []
      for (const unfinished of reassembly.end()) entries.push({ _tag: "Incomplete", file, ...unfinished })
      const { length, offset } = scanner.rest
      if (length > 0) entries.push({ _tag: "Pending", file, offset, length })
      return entries
    }
  }
}

/** Whether a damaged line ends in a resync line: the next writer has found the fragment and set it apart. */
const endsInResync = (line: Uint8Array, digests: HashChain.Digests): boolean => {
  const start = Codec.lastStart(line)
  if (start < 0) return false
  const last = line.subarray(start)
  const parsed = Codec.parse(last)
  return parsed._tag === "Resync" && HashChain.check(last, parsed.key, digests) !== "hash"
}

const preview = (line: Uint8Array): string =>
  JSON.stringify(Buffer.from(line.subarray(0, previewLengthMax)).toString("latin1")).slice(1, -1)
    .replace(/[\u007f-\u00ff]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`)
