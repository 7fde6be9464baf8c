/**
 * The one error of this library, and the reasons it can have.
 *
 * A caller who reads `AuditError` on a bad day needs three answers: what happened, whether the record may be in the
 * log all the same (`committed`), and whether trying again can help (`isRetryable`). Every reason gives all three.
 * Recover from one reason with `Effect.catchReason("AuditError", "StorageFull", …)`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Whether a record of a failed append is in the log: `"no"`, certainly not; `"unknown"`, it may be there, whole or in
 * part, and a reader may or may not show it.
 *
 * @category models
 * @since 0.1.0
 */
export const Committed = Schema.Literals(["no", "unknown"])

/**
 * The type of {@link Committed}.
 *
 * @category models
 * @since 0.1.0
 */
export type Committed = typeof Committed.Type

const standing = (committed: Committed): string =>
  committed === "no" ? "Nothing was written" : "The record may be in the log or not"

/**
 * The record does not fit its schema, holds a value that JSON cannot hold, or uses a reserved key.
 *
 * `path` leads to the offending value: keys and array indices from the record down.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidRecord extends Schema.TaggedError<InvalidRecord>("effect-auditlog/AuditError/InvalidRecord")(
  "InvalidRecord",
  {
    path: Schema.Array(Schema.Union([Schema.String, Schema.Number])),
    problem: Schema.String
  }
) {
  override get message(): string {
    const at = this.path.length === 0 ? "" : ` at ${this.path.map((key) => `[${JSON.stringify(key)}]`).join("")}`
    return `invalid record${at}: ${this.problem}. Nothing was written; correct the record`
  }
  /** Whether the record may be in the log. */
  readonly committed: Committed = "no"
  /** Whether the same append can succeed when it is tried again. */
  readonly isRetryable: boolean = false
}

/**
 * The record's line is longer than the size policy or the hard limit admits. Both sizes are in bytes and count the
 * longest line the record can become, with its newline.
 *
 * @category reasons
 * @since 0.1.0
 */
export class RecordTooLarge extends Schema.TaggedError<RecordTooLarge>("effect-auditlog/AuditError/RecordTooLarge")(
  "RecordTooLarge",
  {
    sizeBytes: Schema.Int,
    limitBytes: Schema.Int,
    recordTag: Schema.optionalKey(Schema.String)
  }
) {
  override get message(): string {
    const which = this.recordTag === undefined ? "record" : `record ${JSON.stringify(this.recordTag)}`
    return `${which} is ${this.sizeBytes} bytes; the limit is ${this.limitBytes}. Nothing was written; ` +
      `shorten the record, or store the bulk elsewhere and record its hash`
  }
  /** Whether the record may be in the log. */
  readonly committed: Committed = "no"
  /** Whether the same append can succeed when it is tried again. */
  readonly isRetryable: boolean = false
}

/**
 * The records of a transaction are together more than one write may carry, in bytes or in number.
 *
 * @category reasons
 * @since 0.1.0
 */
export class TransactionTooLarge extends Schema.TaggedError<TransactionTooLarge>(
  "effect-auditlog/AuditError/TransactionTooLarge"
)("TransactionTooLarge", {
  sizeBytes: Schema.Int,
  limitBytes: Schema.Int,
  records: Schema.Int,
  limitRecords: Schema.Int
}) {
  override get message(): string {
    return `the transaction has ${this.records} records of ${this.sizeBytes} bytes; the limits are ` +
      `${this.limitRecords} records and ${this.limitBytes} bytes. Nothing was written; split the transaction`
  }
  /** Whether the record may be in the log. */
  readonly committed: Committed = "no"
  /** Whether the same append can succeed when it is tried again. */
  readonly isRetryable: boolean = false
}

/**
 * The append came after its transaction had ended: a fiber forked inside it outlived it.
 *
 * @category reasons
 * @since 0.1.0
 */
export class TransactionClosed extends Schema.TaggedError<TransactionClosed>(
  "effect-auditlog/AuditError/TransactionClosed"
)("TransactionClosed", {}) {
  override get message(): string {
    return "the transaction of this append has already ended. Nothing was written; " +
      "wait for the fibers forked inside a transaction before it ends"
  }
  /** Whether the record may be in the log. */
  readonly committed: Committed = "no"
  /** Whether the same append can succeed when it is tried again. */
  readonly isRetryable: boolean = false
}

/**
 * The log stages its records in the transactions of a SQL database, and no transaction of that client is open in this
 * fiber.
 *
 * @category reasons
 * @since 0.1.0
 */
export class NoTransaction extends Schema.TaggedError<NoTransaction>("effect-auditlog/AuditError/NoTransaction")(
  "NoTransaction",
  {}
) {
  override get message(): string {
    return "no SQL transaction is open here on the client of this audit log. Nothing was written; " +
      "append inside sql.withTransaction of that client, or use the transaction of the log"
  }
  /** Whether the record may be in the log. */
  readonly committed: Committed = "no"
  /** Whether the same append can succeed when it is tried again. */
  readonly isRetryable: boolean = false
}

/**
 * An append inside a SQL transaction failed, and the transaction came to its end all the same: it is rolled back, since
 * it would have committed what nothing in the log speaks of. `problem` is what the append said.
 *
 * @category reasons
 * @since 0.1.0
 */
export class NotStaged extends Schema.TaggedError<NotStaged>("effect-auditlog/AuditError/NotStaged")("NotStaged", {
  problem: Schema.String
}) {
  override get message(): string {
    return `the transaction is rolled back, since an audit record of it was not staged: ${this.problem}. ` +
      `Let the failure of an append fail the transaction, or try it inside a savepoint (a nested withTransaction)`
  }
  /** Whether the record may be in the log. */
  readonly committed: Committed = "no"
  /** Whether the same append can succeed when it is tried again. */
  readonly isRetryable: boolean = false
}

/**
 * The file system has no room: `ENOSPC`, `EDQUOT` or `EFBIG`. The log stays usable and recovers by itself when there
 * is room again.
 *
 * @category reasons
 * @since 0.1.0
 */
export class StorageFull extends Schema.TaggedError<StorageFull>("effect-auditlog/AuditError/StorageFull")(
  "StorageFull",
  {
    path: Schema.String,
    code: Schema.String,
    committed: Committed
  }
) {
  override get message(): string {
    return `no room to append to ${this.path} (${this.code}). ${standing(this.committed)}; make room and try again`
  }
  /** Whether the same append can succeed when it is tried again. */
  readonly isRetryable: boolean = true
}

/**
 * What was written could not be found again by reading the file back, after `attempts` attempts. The log takes no
 * further appends.
 *
 * @category reasons
 * @since 0.1.0
 */
export class NotVerified extends Schema.TaggedError<NotVerified>("effect-auditlog/AuditError/NotVerified")(
  "NotVerified",
  {
    path: Schema.String,
    attempts: Schema.Int
  }
) {
  override get message(): string {
    return `appended to ${this.path} ${this.attempts} times, but the record cannot be read back whole. ` +
      `${standing("unknown")}; the file system or another program damages this file: check both, then reopen the log`
  }
  /** Whether the record may be in the log. */
  readonly committed: Committed = "unknown"
  /** Whether the same append can succeed when it is tried again. */
  readonly isRetryable: boolean = false
}

/**
 * The flush to the device failed, so the record may not survive a power cut. It is never tried a second time: the
 * kernel drops the dirty pages at the first failure, and a second fsync would report a success that is none. The log
 * takes no further appends.
 *
 * @category reasons
 * @since 0.1.0
 */
export class DurabilityUnknown extends Schema.TaggedError<DurabilityUnknown>(
  "effect-auditlog/AuditError/DurabilityUnknown"
)("DurabilityUnknown", {
  path: Schema.String,
  code: Schema.String
}) {
  override get message(): string {
    return `fsync of ${this.path} failed (${this.code}). ${standing("unknown")}; ` +
      `check the device, then reopen the log`
  }
  /** Whether the record may be in the log. */
  readonly committed: Committed = "unknown"
  /** Whether the same append can succeed when it is tried again. */
  readonly isRetryable: boolean = false
}

/**
 * The target is not a file that an audit log may be kept in: a symbolic link, a directory, a device, a file with
 * several links or with too wide a mode, or a file on a network file system.
 *
 * @category reasons
 * @since 0.1.0
 */
export class UnsafeTarget extends Schema.TaggedError<UnsafeTarget>("effect-auditlog/AuditError/UnsafeTarget")(
  "UnsafeTarget",
  {
    path: Schema.String,
    problem: Schema.String
  }
) {
  override get message(): string {
    return `${this.path} cannot hold an audit log: ${this.problem}. Nothing was written`
  }
  /** Whether the record may be in the log. */
  readonly committed: Committed = "no"
  /** Whether the same append can succeed when it is tried again. */
  readonly isRetryable: boolean = false
}

/**
 * The log cannot be opened or written: a missing directory, a missing permission, an I/O error, or an earlier failure
 * after which this writer stopped (then `cause` is that first failure).
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unavailable extends Schema.TaggedError<Unavailable>("effect-auditlog/AuditError/Unavailable")(
  "Unavailable",
  {
    path: Schema.String,
    problem: Schema.String,
    committed: Committed,
    isRetryable: Schema.Boolean,
    cause: Schema.optionalKey(Schema.Defect())
  }
) {
  override get message(): string {
    return `cannot append to ${this.path}: ${this.problem}. ${standing(this.committed)}`
  }
}

/**
 * The record is in the local log, as durable as its sync policy asks, and was not acknowledged in time by the
 * destinations that were asked for. It is shipped as soon as they take it: do not append it again.
 *
 * @category reasons
 * @since 0.1.0
 */
export class NotReplicated extends Schema.TaggedError<NotReplicated>("effect-auditlog/AuditError/NotReplicated")(
  "NotReplicated",
  {
    path: Schema.String,
    destinations: Schema.Array(Schema.String),
    problem: Schema.String
  }
) {
  override get message(): string {
    return `the record is in ${this.path}, but not acknowledged by ${this.destinations.join(", ")}: ${this.problem}. ` +
      `It is shipped when that is possible again; do not append it a second time`
  }
  /** Whether the record may be in the log: it is in the local one. */
  readonly committed: Committed = "unknown"
  /** Whether the same append can succeed when it is tried again: it would be in the log twice. */
  readonly isRetryable: boolean = false
}

/**
 * The layer of this log has been closed, or is closing.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Closed extends Schema.TaggedError<Closed>("effect-auditlog/AuditError/Closed")("Closed", {
  path: Schema.String
}) {
  override get message(): string {
    return `the log ${this.path} is closed. Nothing was written; append before the scope of its layer ends`
  }
  /** Whether the record may be in the log. */
  readonly committed: Committed = "no"
  /** Whether the same append can succeed when it is tried again. */
  readonly isRetryable: boolean = false
}

/**
 * Everything that can go wrong with an append.
 *
 * @category reasons
 * @since 0.1.0
 */
export const AuditErrorReason = Schema.Union([
  InvalidRecord,
  RecordTooLarge,
  TransactionTooLarge,
  TransactionClosed,
  NoTransaction,
  NotStaged,
  StorageFull,
  NotVerified,
  DurabilityUnknown,
  UnsafeTarget,
  Unavailable,
  NotReplicated,
  Closed
])

/**
 * The type of {@link AuditErrorReason}.
 *
 * @category reasons
 * @since 0.1.0
 */
export type AuditErrorReason = typeof AuditErrorReason.Type

/**
 * An append, a transaction or the opening of a log failed; `reason` says how.
 *
 * @category errors
 * @since 0.1.0
 */
export class AuditError extends Schema.TaggedError<AuditError>("effect-auditlog/AuditError")("AuditError", {
  reason: AuditErrorReason
}) {
  override get message(): string {
    return this.reason.message
  }
  /** Whether the record may be in the log. */
  get committed(): Committed {
    return this.reason.committed
  }
  /** Whether the same append can succeed when it is tried again. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}

/**
 * Wraps a reason into the error that effects fail with.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (reason: AuditErrorReason): AuditError => new AuditError({ reason })
