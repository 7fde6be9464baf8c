/**
 * Transactions of 10 records, durable, each of which is appended by a call of its own.
 */
import * as AppendSides from "./appendSides.ts"
import { type Bench, interleave } from "./harness.ts"

export const transaction: Bench = {
  name: "transaction",
  title: "Transactions of 10 records, durable",
  columns: AppendSides.appendColumns,
  run: async (settings) => {
    const { limit, node, ours } = await AppendSides.make(settings)
    const rounds = AppendSides.roundsOf(settings, 5)
    const rows = await interleave([
      ours("auditlog, 1 transaction at a time", { fibers: 1, transaction: 10 }),
      ours("auditlog, 64 at a time", { fibers: 64, transaction: 10 }),
      ours("auditlog, appendAll of 10, 64 at a time", { fibers: 64, batch: 10 }),
      limit(10),
      limit(640),
      node("node:sqlite WAL FULL, 10 rows a transaction", "sqlite.ts", { rows: 10 })
    ], rounds)
    return { rows, rounds, findings: [] }
  }
}
