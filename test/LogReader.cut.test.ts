/**
 * A log cut at every byte, as a crash or a copy can leave it: each transaction reads as all or none, each record before
 * the cut is there, and a writer that continues the log loses nothing of either side.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import * as Fs from "node:fs"
import { AuditLog, FileAppender } from "../src/index.ts"
import { readEntries, readRecords, temporaryLog } from "./support.ts"

class Audit extends AuditLog.Service<Audit>()("test/Cut", {
  schema: Schema.Struct({ tx: Schema.Int, part: Schema.Int, text: Schema.String })
}) {}

const writeLog = (path: string, sizes: ReadonlyArray<number>, firstTx = 0) =>
  Audit.use((audit) =>
    Effect.forEach(
      sizes,
      (size, tx) =>
        audit.appendAll(
          Array.from({ length: size }, (_, part) => ({ tx: firstTx + tx, part, text: "a\u2028{\"_audit\":é" }))
        )
    )
  ).pipe(Effect.provide(Audit.layer.pipe(Layer.provide(FileAppender.layer({ path })))))

/** How many records each transaction of the log has. */
const sizes = [1, 3, 1, 2]

const countByTransaction = (records: ReadonlyArray<{ readonly fields: { readonly [key: string]: unknown } }>) => {
  const counts = new Map<number, number>()
  for (const { fields } of records) counts.set(Number(fields["tx"]), (counts.get(Number(fields["tx"])) ?? 0) + 1)
  return counts
}

/** The transactions whose last line ends, with its newline, at or before an offset. */
const wholeBefore = (bytes: Buffer, cut: number): ReadonlyArray<number> => {
  const whole: Array<number> = []
  let offset = 0
  for (const [tx, size] of sizes.entries()) {
    for (let part = 0; part < size; part++) offset = bytes.indexOf("\n", offset) + 1
    if (offset <= cut) whole.push(tx)
  }
  return whole
}

describe("a log cut at every byte", () => {
  it.effect(
    "yields each transaction before the cut as a whole, and nothing of the one that is cut",
    () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        yield* writeLog(path, sizes)
        const bytes = Fs.readFileSync(path)
        const cutPath = `${path}.cut`
        for (let cut = 0; cut <= bytes.length; cut++) {
          Fs.writeFileSync(cutPath, bytes.subarray(0, cut))
          const entries = yield* readEntries(cutPath, { only: true })
          const counts = countByTransaction(entries.filter((entry) => entry._tag === "Record"))
          const expected = wholeBefore(bytes, cut).map((tx) => [tx, sizes[tx]] as const)
          assert.deepStrictEqual([...counts], expected, `cut at ${cut}`)
          const pending = entries.filter((entry) => entry._tag === "Pending")
          const lastNewline = bytes.subarray(0, cut).lastIndexOf("\n") + 1
          assert.deepStrictEqual(
            pending.map(({ length, offset }) => [offset, length]),
            lastNewline < cut ? [[lastNewline, cut - lastNewline]] : []
          )
        }
        assert.isAbove(bytes.length, 1500)
      }),
    120_000
  )

  it.effect(
    "is continued: what stood whole before the cut and what is appended after it are both there",
    () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        yield* writeLog(path, sizes)
        const bytes = Fs.readFileSync(path)
        const cutPath = `${path}.cut`
        // every byte of the last two transactions
        const from = bytes.lastIndexOf("\n", bytes.lastIndexOf(`"tx":2,`)) + 1
        for (let cut = from; cut <= bytes.length; cut += 3) {
          Fs.writeFileSync(cutPath, bytes.subarray(0, cut), { mode: 0o600 })
          yield* writeLog(cutPath, [1, 2], 100)
          const counts = countByTransaction(yield* readRecords(cutPath))
          const expected = [...wholeBefore(bytes, cut).map((tx) => [tx, sizes[tx]] as const), [100, 1], [101, 2]]
          assert.deepStrictEqual([...counts], expected, `cut at ${cut}`)
        }
      }),
    120_000
  )
})
