import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { AuditError } from "../src/index.ts"

const path = "/var/log/audit.jsonl"

/** Each reason, the two answers it gives, and what its message must tell: what happened, and what to do. */
const cases: ReadonlyArray<{
  readonly reason: AuditError.AuditErrorReason
  readonly committed: AuditError.Committed
  readonly isRetryable: boolean
  readonly message: string
}> = [
  {
    reason: new AuditError.InvalidRecord({ path: ["lines", 1, "amount"], problem: "NaN is not a JSON number" }),
    committed: "no",
    isRetryable: false,
    message:
      `invalid record at ["lines"][1]["amount"]: NaN is not a JSON number. Nothing was written; correct the record`
  },
  {
    reason: new AuditError.RecordTooLarge({ sizeBytes: 4097, limitBytes: 4096, recordTag: "RoleGranted" }),
    committed: "no",
    isRetryable: false,
    message: `record "RoleGranted" is 4097 bytes; the limit is 4096. Nothing was written; ` +
      `shorten the record, or store the bulk elsewhere and record its hash`
  },
  {
    reason: new AuditError.TransactionTooLarge({ sizeBytes: 9, limitBytes: 8, records: 2, limitRecords: 3 }),
    committed: "no",
    isRetryable: false,
    message: "the transaction has 2 records of 9 bytes; the limits are 3 records and 8 bytes. " +
      "Nothing was written; split the transaction"
  },
  {
    reason: new AuditError.TransactionClosed(),
    committed: "no",
    isRetryable: false,
    message: "the transaction of this append has already ended. Nothing was written; " +
      "wait for the fibers forked inside a transaction before it ends"
  },
  {
    reason: new AuditError.NotReplicated({ path, destinations: ["a", "b"], problem: "no acknowledgement within 5 ms" }),
    committed: "unknown",
    isRetryable: false,
    message: `the record is in ${path}, but not acknowledged by a, b: no acknowledgement within 5 ms. ` +
      "It is shipped when that is possible again; do not append it a second time"
  },
  {
    reason: new AuditError.StorageFull({ path, code: "ENOSPC", committed: "no" }),
    committed: "no",
    isRetryable: true,
    message: `no room to append to ${path} (ENOSPC). Nothing was written; make room and try again`
  },
  {
    reason: new AuditError.StorageFull({ path, code: "short write", committed: "unknown" }),
    committed: "unknown",
    isRetryable: true,
    message: `no room to append to ${path} (short write). The record may be in the log or not; ` +
      "make room and try again"
  },
  {
    reason: new AuditError.NotVerified({ path, attempts: 5 }),
    committed: "unknown",
    isRetryable: false,
    message: `appended to ${path} 5 times, but the record cannot be read back whole. The record may be in the log ` +
      "or not; the file system or another program damages this file: check both, then reopen the log"
  },
  {
    reason: new AuditError.DurabilityUnknown({ path, code: "EIO" }),
    committed: "unknown",
    isRetryable: false,
    message: `fsync of ${path} failed (EIO). The record may be in the log or not; ` +
      "check the device, then reopen the log"
  },
  {
    reason: new AuditError.UnsafeTarget({ path, problem: "it is a directory; name a file in it" }),
    committed: "no",
    isRetryable: false,
    message: `${path} cannot hold an audit log: it is a directory; name a file in it. Nothing was written`
  },
  {
    reason: new AuditError.Unavailable({ path, problem: "permission denied", committed: "no", isRetryable: false }),
    committed: "no",
    isRetryable: false,
    message: `cannot append to ${path}: permission denied. Nothing was written`
  },
  {
    reason: new AuditError.Unavailable({
      path,
      problem: "write failed (EIO)",
      committed: "unknown",
      isRetryable: true,
      cause: new Error("EIO: i/o error")
    }),
    committed: "unknown",
    isRetryable: true,
    message: `cannot append to ${path}: write failed (EIO). The record may be in the log or not`
  },
  {
    reason: new AuditError.NoTransaction(),
    committed: "no",
    isRetryable: false,
    message: "no SQL transaction is open here on the client of this audit log. Nothing was written; " +
      "append inside sql.withTransaction of that client, or use the transaction of the log"
  },
  {
    reason: new AuditError.NotStaged({ problem: "invalid record" }),
    committed: "no",
    isRetryable: false,
    message: "the transaction is rolled back, since an audit record of it was not staged: invalid record. " +
      "Let the failure of an append fail the transaction, or try it inside a savepoint (a nested withTransaction)"
  },
  {
    reason: new AuditError.Closed({ path }),
    committed: "no",
    isRetryable: false,
    message: `the log ${path} is closed. Nothing was written; append before the scope of its layer ends`
  }
]

const tags = Array.from(new Set(cases.map(({ reason }) => reason._tag)))

describe("AuditError", () => {
  it("has a case here for each of its reasons", () => {
    const all = AuditError.AuditErrorReason.members.map((member) => member.fields._tag.schema.literal)
    assert.sameMembers(tags, all)
  })

  it.each(cases)("of $reason._tag says what happened, what is in the log, and what next", (expected) => {
    const error = AuditError.make(expected.reason)
    assert.deepStrictEqual(
      { committed: error.committed, isRetryable: error.isRetryable, message: error.message },
      { committed: expected.committed, isRetryable: expected.isRetryable, message: expected.message }
    )
    assert.strictEqual(error.reason, expected.reason)
    assert.strictEqual(expected.reason.message, expected.message)
    assert.instanceOf(error, Error)
  })

  it.effect.each(cases)(
    "of $reason._tag is recovered from by that reason, and by no other",
    ({ reason }) =>
      Effect.gen(function*() {
        const failing = Effect.fail(AuditError.make(reason))
        const caught = yield* Effect.catchReason(failing, "AuditError", reason._tag, (it) => Effect.succeed(it))
        assert.strictEqual(caught, reason)
        for (const tag of tags) {
          if (tag === reason._tag) continue
          const missed = yield* Effect.flip(
            Effect.catchReason(failing, "AuditError", tag, () => Effect.succeed("caught"))
          )
          assert.strictEqual(missed.reason, reason)
        }
      })
  )

  it.each(cases)("of $reason._tag crosses a boundary as JSON and comes back as itself", ({ reason }) => {
    const codec = Schema.toCodecJson(AuditError.AuditError)
    const error = AuditError.make(reason)
    const json = JSON.stringify(Schema.encodeSync(codec)(error))
    const back = Result.getOrThrow(Schema.decodeUnknownResult(codec)(JSON.parse(json)))
    assert.instanceOf(back, AuditError.AuditError)
    assert.instanceOf(back.reason, reason.constructor as new() => AuditError.AuditErrorReason)
    assert.strictEqual(back.message, error.message)
    assert.strictEqual(back.committed, error.committed)
    assert.strictEqual(back.isRetryable, error.isRetryable)
    assert.strictEqual(JSON.stringify(Schema.encodeSync(codec)(back)), json)
  })

  it("names the record and not its tag when there is none", () => {
    assert.match(new AuditError.RecordTooLarge({ sizeBytes: 2, limitBytes: 1 }).message, /^record is 2 bytes; /)
    assert.match(new AuditError.InvalidRecord({ path: [], problem: "no object" }).message, /^invalid record: no object/)
  })
})
