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
import type * as HashChain from "./HashChain.ts"
import { LogDecoder } from "./internal/logDecoder.ts"
import type * as LogEntry from "./LogEntry.ts"

/**
 * What {@link read} yields.
 *
 * @category models
 * @since 0.1.0
 */
export type Entry = LogEntry.LogEntry

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

/** Larger blocks read no faster, smaller ones cost more calls: 1 MiB, measured on ext4. */
const blockBytes = 1024 * 1024

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
    const decoder = new LogDecoder(options)
    decoder.begin(file)
    const block = new Uint8Array(blockBytes)
    return Stream.paginate(undefined, () =>
      Effect.map(
        Effect.mapError(handle.read(block), unreadable(file)),
        (count) =>
          count === 0
            ? [[...decoder.endOfFile(), ...decoder.end()], Option.none<undefined>()] as const
            : [decoder.feed(block.subarray(0, count)), Option.some(undefined)] as const
      ))
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
