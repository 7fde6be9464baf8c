/**
 * The buffer of an audit transaction: all of its records, or none.
 *
 * A transaction buffers in memory and writes once, when it succeeds. A rolled-back transaction has never touched the
 * file. An inner transaction has a buffer of its own, which joins the outer one when it succeeds and is dropped when it
 * fails, as a savepoint does.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { TransactionClosed, TransactionTooLarge } from "./AuditError.ts"
import type * as Codec from "./Codec.ts"
import type * as SizePolicy from "./SizePolicy.ts"

/**
 * A transaction's buffer. It is open until {@link end} takes its records, and refuses records from then on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Transaction {
  readonly parent: Transaction | undefined
  state: "open" | "ended"
  records: Array<Codec.Encoded>
  sizeBytes: number
}

/**
 * Opens a transaction, inside another one if `parent` is given.
 *
 * @category constructors
 * @since 0.1.0
 */
export const begin = (parent: Transaction | undefined): Transaction => ({
  parent,
  state: "open",
  records: [],
  sizeBytes: 0
})

/**
 * Buffers records, all or none of them. Fails if this transaction or one around it has ended, and if the records of all
 * of them together would be too large for one write.
 *
 * @category buffering
 * @since 0.1.0
 */
export const add = (
  self: Transaction,
  records: ReadonlyArray<Codec.Encoded>,
  sizeBytes: number,
  limits: SizePolicy.Limits
): Result.Result<void, TransactionClosed | TransactionTooLarge> => {
  let totalBytes = sizeBytes
  let totalRecords = records.length
  for (let tx: Transaction | undefined = self; tx !== undefined; tx = tx.parent) {
    if (tx.state === "ended") return Result.fail(new TransactionClosed())
    totalBytes += tx.sizeBytes
    totalRecords += tx.records.length
  }
  const fit = checkSize(totalRecords, totalBytes, limits)
  if (Result.isFailure(fit)) return fit
  for (const record of records) self.records.push(record)
  self.sizeBytes += sizeBytes
  return fit
}

/**
 * Checks that so many records of so many bytes fit one transaction.
 *
 * @category checks
 * @since 0.1.0
 */
export const checkSize = (
  records: number,
  sizeBytes: number,
  limits: SizePolicy.Limits
): Result.Result<void, TransactionTooLarge> =>
  sizeBytes <= limits.transactionBytesMax && records <= limits.transactionRecordsMax
    ? Result.succeed(undefined)
    : Result.fail(
      new TransactionTooLarge({
        sizeBytes,
        limitBytes: limits.transactionBytesMax,
        records,
        limitRecords: limits.transactionRecordsMax
      })
    )

/**
 * Ends a transaction and takes its records. Discard them to roll back.
 *
 * @category ending
 * @since 0.1.0
 */
export const end = (
  self: Transaction
): { readonly records: ReadonlyArray<Codec.Encoded>; readonly sizeBytes: number } => {
  const taken = { records: self.records, sizeBytes: self.sizeBytes }
  self.state = "ended"
  self.records = []
  self.sizeBytes = 0
  return taken
}
