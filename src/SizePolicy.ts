/**
 * How long a record's line may be, and what becomes of a longer one.
 *
 * `PIPE_BUF` (4096 bytes on Linux) is a rule for pipes, not for files: it is not what makes appends atomic here. A
 * record within it stays portable: it passes whole through a FIFO, through shell tools that write in blocks of 4096,
 * and it fits one page. docs/durability.md has the measurements.
 *
 * @since 0.1.0
 */
import * as ByteSize from "effect/ByteSize"
import * as Result from "effect/Result"
import { RecordTooLarge } from "./AuditError.ts"
import * as Codec from "./Codec.ts"

/**
 * The default limit in bytes: `PIPE_BUF` of Linux (`limits.h`). A line of 4096 bytes is fine, 4097 is over.
 *
 * @category constants
 * @since 0.1.0
 */
export const limitBytesDefault = 4096

/**
 * What happens to a record whose line is longer than `limitBytes`: it is written and warned about (`Warn`), refused
 * (`Reject`), or written silently (`Allow`).
 *
 * @category models
 * @since 0.1.0
 */
export interface SizePolicy {
  readonly _tag: "Warn" | "Reject" | "Allow"
  readonly limitBytes: number
}

/**
 * The options of the three policies. `limit` defaults to {@link limitBytesDefault}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly limit?: ByteSize.Input | undefined
}

const policy = (_tag: SizePolicy["_tag"]) => (options?: Options): SizePolicy => ({
  _tag,
  limitBytes: options?.limit === undefined
    ? limitBytesDefault
    : ByteSize.toNumberUnsafe(ByteSize.fromInputUnsafe(options.limit))
})

/**
 * Writes a longer record, logs a warning with its size, limit and `_tag`, counts it in `auditlog_oversize_total`, and
 * says `oversize` in its receipt. The default.
 *
 * @category constructors
 * @since 0.1.0
 */
export const warn: (options?: Options) => SizePolicy = policy("Warn")

/**
 * Refuses a longer record with `RecordTooLarge` before anything is written. Inside a transaction the append fails at
 * once, so the transaction rolls back.
 *
 * @category constructors
 * @since 0.1.0
 */
export const reject: (options?: Options) => SizePolicy = policy("Reject")

/**
 * Writes a longer record as any other; its receipt still says `oversize`. The hard limit of the appender holds.
 *
 * @category constructors
 * @since 0.1.0
 */
export const allow: (options?: Options) => SizePolicy = policy("Allow")

/**
 * The limits of an appender. `recordBytesMax` holds for one line and `transactionBytesMax` for the lines of one
 * transaction together, under every policy. `key` is the id of the key that lines are authenticated with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limits {
  readonly sizePolicy: SizePolicy
  readonly recordBytesMax: number
  readonly transactionBytesMax: number
  readonly transactionRecordsMax: number
  readonly key: string | undefined
}

/**
 * 1 MiB a record and 16 MiB a transaction: what one write still carries in milliseconds, and what a reader has to
 * hold before it can release a transaction. 100 000 records a transaction follows from 16 MiB and short records.
 *
 * @category constants
 * @since 0.1.0
 */
export const limitsDefault: Limits = {
  sizePolicy: warn(),
  recordBytesMax: 1024 * 1024,
  transactionBytesMax: 16 * 1024 * 1024,
  transactionRecordsMax: 100_000,
  key: undefined
}

/**
 * Whether the longest line a record can become is over the policy's limit.
 *
 * @category checks
 * @since 0.1.0
 */
export const isOversize = (limits: Limits, record: Codec.Encoded): boolean =>
  Codec.lineBytesMax(record.fieldsBytes, limits.key, record.source) > limits.sizePolicy.limitBytes

/**
 * Measures a record: the longest line it can become, in bytes, and whether that is over the policy's limit. Fails if
 * the policy or the hard limit refuses it.
 *
 * @category checks
 * @since 0.1.0
 */
export const admit = (
  limits: Limits,
  record: Codec.Encoded
): Result.Result<{ readonly sizeBytes: number; readonly oversize: boolean }, RecordTooLarge> => {
  const sizeBytes = Codec.lineBytesMax(record.fieldsBytes, limits.key, record.source)
  const oversize = sizeBytes > limits.sizePolicy.limitBytes
  const limitBytes = oversize && limits.sizePolicy._tag === "Reject"
    ? Math.min(limits.sizePolicy.limitBytes, limits.recordBytesMax)
    : limits.recordBytesMax
  if (sizeBytes <= limitBytes) return Result.succeed({ sizeBytes, oversize })
  return Result.fail(
    new RecordTooLarge({ sizeBytes, limitBytes, ...(record.tag === undefined ? {} : { recordTag: record.tag }) })
  )
}
