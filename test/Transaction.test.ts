import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { Codec, SizePolicy, Transaction } from "../src/index.ts"

const record = (n: number): Codec.Encoded =>
  Result.getOrThrow(Codec.encode({ n }, { at: "2026-11-23T09:15:02.114Z", value: { n } }))

const limits: SizePolicy.Limits = { ...SizePolicy.limitsDefault, transactionBytesMax: 1000, transactionRecordsMax: 4 }

/** Buffers so many records that count as so many bytes together, and says how that ended. */
const add = (tx: Transaction.Transaction, sizeBytes: number, ...numbers: ReadonlyArray<number>) => {
  const result = Transaction.add(tx, numbers.map(record), sizeBytes, limits)
  return Result.isSuccess(result) ? "buffered" : result.failure._tag
}

const take = (tx: Transaction.Transaction) => {
  const { records, sizeBytes } = Transaction.end(tx)
  return { numbers: records.map(({ value }) => (value as { readonly n: number }).n), sizeBytes }
}

describe("Transaction", () => {
  it("buffers in order, and gives what it holds and its size when it ends", () => {
    const tx = Transaction.begin(undefined)
    assert.strictEqual(add(tx, 10, 1), "buffered")
    assert.strictEqual(add(tx, 30, 2, 3), "buffered")
    assert.deepStrictEqual(take(tx), { numbers: [1, 2, 3], sizeBytes: 40 })
  })

  it("starts empty", () => {
    assert.deepStrictEqual(take(Transaction.begin(undefined)), { numbers: [], sizeBytes: 0 })
  })

  it("refuses records after its end, and gives its records only once", () => {
    const tx = Transaction.begin(undefined)
    add(tx, 10, 1)
    Transaction.end(tx)
    assert.strictEqual(add(tx, 10, 2), "TransactionClosed")
    assert.strictEqual(add(tx, 0), "TransactionClosed")
    assert.deepStrictEqual(take(tx), { numbers: [], sizeBytes: 0 })
  })

  it("leaves what it gave away alone when it is ended again", () => {
    const tx = Transaction.begin(undefined)
    add(tx, 10, 1)
    const taken = Transaction.end(tx)
    Transaction.end(tx)
    assert.strictEqual(taken.records.length, 1)
  })

  it("refuses records when one around it has ended, however far out", () => {
    const outer = Transaction.begin(undefined)
    const middle = Transaction.begin(outer)
    const inner = Transaction.begin(middle)
    assert.strictEqual(add(inner, 10, 1), "buffered")
    Transaction.end(outer)
    assert.strictEqual(add(inner, 10, 2), "TransactionClosed")
    assert.strictEqual(add(middle, 10, 2), "TransactionClosed")
    assert.deepStrictEqual(take(inner), { numbers: [1], sizeBytes: 10 })
  })

  it("stays open when one inside it ends", () => {
    const outer = Transaction.begin(undefined)
    Transaction.end(Transaction.begin(outer))
    assert.strictEqual(add(outer, 10, 1), "buffered")
  })

  it("keeps the buffers of inner and outer apart", () => {
    const outer = Transaction.begin(undefined)
    const inner = Transaction.begin(outer)
    add(outer, 10, 1)
    add(inner, 10, 2)
    assert.deepStrictEqual(take(inner), { numbers: [2], sizeBytes: 10 })
    assert.deepStrictEqual(take(outer), { numbers: [1], sizeBytes: 10 })
  })

  it("takes exactly as many bytes as the limit says, and not one more", () => {
    const tx = Transaction.begin(undefined)
    assert.strictEqual(add(tx, 999, 1), "buffered")
    assert.strictEqual(add(tx, 2, 2), "TransactionTooLarge")
    assert.strictEqual(add(tx, 1, 3), "buffered")
    assert.deepStrictEqual(take(tx), { numbers: [1, 3], sizeBytes: 1000 })
  })

  it("takes exactly as many records as the limit says, and of a batch that is too large none", () => {
    const tx = Transaction.begin(undefined)
    assert.strictEqual(add(tx, 1, 1, 2, 3), "buffered")
    assert.strictEqual(add(tx, 1, 4, 5), "TransactionTooLarge")
    assert.strictEqual(add(tx, 1, 6), "buffered")
    assert.deepStrictEqual(take(tx).numbers, [1, 2, 3, 6])
  })

  it("counts what the transactions around it hold, since all of it becomes one write", () => {
    const outer = Transaction.begin(undefined)
    add(outer, 600, 1, 2)
    const inner = Transaction.begin(outer)
    assert.strictEqual(add(inner, 401, 3), "TransactionTooLarge")
    assert.strictEqual(add(inner, 1, 3, 4, 5), "TransactionTooLarge")
    assert.strictEqual(add(inner, 400, 3, 4), "buffered")
  })

  it("gives the room of an inner transaction back when that is dropped", () => {
    const outer = Transaction.begin(undefined)
    const inner = Transaction.begin(outer)
    add(inner, 1000, 1)
    Transaction.end(inner)
    assert.strictEqual(add(outer, 1000, 2), "buffered")
  })

  it("says what the transaction would have been, and both limits", () => {
    const tx = Transaction.begin(undefined)
    add(tx, 900, 1, 2)
    const result = Transaction.add(tx, [record(3)], 101, limits)
    assert(Result.isFailure(result) && result.failure._tag === "TransactionTooLarge")
    const { limitBytes, limitRecords, records, sizeBytes } = result.failure
    assert.deepStrictEqual({ limitBytes, limitRecords, records, sizeBytes }, {
      sizeBytes: 1001,
      limitBytes: 1000,
      records: 3,
      limitRecords: 4
    })
    assert.strictEqual(
      result.failure.message,
      "the transaction has 3 records of 1001 bytes; the limits are 4 records and 1000 bytes. " +
        "Nothing was written; split the transaction"
    )
  })

  it("measures what is appended without a transaction by the same limits", () => {
    assert.isTrue(Result.isSuccess(Transaction.checkSize(4, 1000, limits)))
    assert.isTrue(Result.isFailure(Transaction.checkSize(5, 1000, limits)))
    assert.isTrue(Result.isFailure(Transaction.checkSize(4, 1001, limits)))
  })
})
