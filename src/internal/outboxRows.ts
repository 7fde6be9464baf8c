/**
 * From rows of the outbox to records of the log. A row that can never be one is told apart here, before it can hold up
 * those behind it.
 */
import * as Result from "effect/Result"
import type * as Codec from "../Codec.ts"
import * as SizePolicy from "../SizePolicy.ts"
import * as JsonText from "./jsonText.ts"
import type { WaitingRow } from "./outboxSession.ts"

const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const trace = /^[0-9a-f]{32}-[0-9a-f]{16}$/

/** The record of a row, or why it cannot be one. */
export const toRecord = (
  row: WaitingRow,
  outbox: string,
  limits: SizePolicy.Limits
): Result.Result<Codec.Encoded, string> => {
  if (row.record === null) {
    return Result.fail(`the record is ${row.bytes} bytes long; the limit of a line is ${limits.recordBytesMax}`)
  }
  if (!time.test(row.at)) return Result.fail(`"at" is not a time such as 2026-11-23T09:15:02.114Z`)
  if (row.trace !== null && !trace.test(row.trace)) {
    return Result.fail(`"trace" is not 32 hex digits, "-" and 16 hex digits`)
  }
  const encoded = JsonText.encode(row.record, row.at)
  if (Result.isFailure(encoded)) {
    const { offset, problem } = encoded.failure
    return Result.fail(offset === undefined ? problem : `at character ${offset}: ${problem}`)
  }
  const { at, fields, fieldsBytes, tag, value } = encoded.success
  const source = `${outbox}:${row.id}`
  const record: Codec.Encoded = { fields, fieldsBytes, at, trace: row.trace ?? undefined, tag, value, source }
  const admitted = SizePolicy.admit(limits, record)
  return Result.isFailure(admitted) ? Result.fail(admitted.failure.message) : Result.succeed(record)
}
