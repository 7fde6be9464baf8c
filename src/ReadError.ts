/**
 * What can keep a log from being read. Damage inside of it is none of this: that is a value of the stream.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "effect/PlatformError"
import * as Schema from "effect/Schema"

/**
 * A file of the log cannot be read.
 *
 * @category errors
 * @since 0.1.0
 */
export class LogReaderError extends Schema.TaggedError<LogReaderError>("effect-auditlog/LogReaderError")(
  "LogReaderError",
  {
    file: Schema.String,
    problem: Schema.String,
    cause: Schema.optionalKey(Schema.Defect())
  }
) {
  override get message(): string {
    return `cannot read ${this.file}: ${this.problem}`
  }
}

/**
 * A segment that would have to be read is compressed.
 *
 * @category errors
 * @since 0.1.0
 */
export class SegmentCompressed extends Schema.TaggedError<SegmentCompressed>("effect-auditlog/SegmentCompressed")(
  "SegmentCompressed",
  { file: Schema.String }
) {
  override get message(): string {
    return `cannot read ${this.file}: it is compressed; unpack it in its directory (gunzip, bunzip2, unxz, unzstd) and ` +
      `read again, or read the live file alone`
  }
}

/**
 * There is no place any more that a cursor leads to.
 *
 * @category errors
 * @since 0.1.0
 */
export class CursorLost extends Schema.TaggedError<CursorLost>("effect-auditlog/CursorLost")("CursorLost", {
  file: Schema.String,
  segment: Schema.String,
  offset: Schema.Natural,
  problem: Schema.String
}) {
  override get message(): string {
    return `cannot go on reading ${this.file} at this cursor (byte ${this.offset} of the segment ` +
      `${this.segment.slice(0, 8)}…): ${this.problem}`
  }
}

/**
 * Everything that can keep a log from being read.
 *
 * @category errors
 * @since 0.1.0
 */
export type ReadError = LogReaderError | SegmentCompressed | CursorLost

/**
 * What the platform says about a file, for people.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unreadable = (file: string) => (cause: PlatformError): LogReaderError => {
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
