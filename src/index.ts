/**
 * The audit log for Effect programs: typed, transactional, durable before it is acknowledged.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 */
export * as AuditError from "./AuditError.ts"
/** @since 0.1.0 */
export * as AuditRecord from "./AuditRecord.ts"
/** @since 0.1.0 */
export * as Codec from "./Codec.ts"
/** @since 0.1.0 */
export * as SizePolicy from "./SizePolicy.ts"
/** @since 0.1.0 */
export * as HashChain from "./HashChain.ts"
/** @since 0.1.0 */
export * as Appender from "./Appender.ts"
/** @since 0.1.0 */
export * as Transaction from "./Transaction.ts"
/** @since 0.1.0 */
export * as Outbox from "./Outbox.ts"
/** @since 0.1.0 */
export * as AuditLog from "./AuditLog.ts"
/** @since 0.1.0 */
export * as OutboxSchema from "./OutboxSchema.ts"
/** @since 0.1.0 */
export * as SqlOutbox from "./SqlOutbox.ts"
/** @since 0.1.0 */
export * as SqliteClient from "./SqliteClient.ts"
/** @since 0.1.0 */
export * as Segment from "./Segment.ts"
/** @since 0.1.0 */
export * as FileAppender from "./FileAppender.ts"
/** @since 0.1.0 */
export * as LogEntry from "./LogEntry.ts"
/** @since 0.1.0 */
export * as Cursor from "./Cursor.ts"
/** @since 0.1.0 */
export * as ReadError from "./ReadError.ts"
/** @since 0.1.0 */
export * as LogReader from "./LogReader.ts"
/** @since 0.1.0 */
export * as OutboxError from "./OutboxError.ts"
/** @since 0.1.0 */
export * as OutboxRelay from "./OutboxRelay.ts"
/** @since 0.1.0 */
export * as Query from "./Query.ts"
/** @since 0.1.0 */
export * as RepairReport from "./RepairReport.ts"
/** @since 0.1.0 */
export * as Repair from "./Repair.ts"
/** @since 0.1.0 */
export * as VerifyReport from "./VerifyReport.ts"
/** @since 0.1.0 */
export * as Verifier from "./Verifier.ts"
/** @since 0.1.0 */
export * as Destination from "./Destination.ts"
/** @since 0.1.0 */
export * as Shipper from "./Shipper.ts"
