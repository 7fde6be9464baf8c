/**
 * Durable appends: each caller waits until its record is on the disk. Ours with Schema, chain and read-back, as users
 * run it.
 */
import * as AppendSides from "./appendSides.ts"
import { type Bench, interleave, measuredBy, nodePeer, withFile } from "./harness.ts"
import { copyWithout, edits } from "./without.ts"

/** What loads before the program, where an application chooses Effect's Schema JIT. */
const jit = ["--import", "effect/schema/SchemaJITCompiler/enable"]

/** Room for the objects that live until their batch is flushed: V8 begins with 1 MB and grows by what survives. */
const young = ["--min-semi-space-size=64", "--max-semi-space-size=64"]

export const append: Bench = {
  name: "append",
  title: "Durable appends, `sync: \"always\"`",
  columns: AppendSides.appendColumns,
  run: async (settings) => {
    const { limit, node, ours, python } = await AppendSides.make(settings)
    const noReadBack = copyWithout(settings, "without-read-back", [edits.readBack])
    const noChain = copyWithout(settings, "without-chain", [edits.chain])
    const neither = copyWithout(settings, "without-both", [edits.readBack, edits.chain])
    const rounds = AppendSides.roundsOf(settings, 5)
    const rows = await interleave([
      ours("auditlog, 1 fiber", { fibers: 1 }),
      ours("auditlog, 8 fibers", { fibers: 8 }),
      ours("auditlog, 64 fibers", { fibers: 64 }),
      ours("auditlog, 1024 fibers", { fibers: 1024 }),
      ours("auditlog, appendAll of 64", { fibers: 1, batch: 64 }),
      ours("auditlog, appendAll of 1024", { fibers: 1, batch: 1024 }),
      ours("auditlog, 64 fibers, Schema JIT", { fibers: 64 }, { node: jit }),
      ours("auditlog, 1024 fibers, Schema JIT", { fibers: 1024 }, { node: jit }),
      ours("auditlog, 64 fibers, young generation of 64 MB", { fibers: 64 }, { node: young }),
      ours("auditlog, 1024 fibers, young generation of 64 MB", { fibers: 1024 }, { node: young }),
      ours("auditlog, 64 fibers, without read-back", { fibers: 64 }, { from: noReadBack }),
      ours("auditlog, 64 fibers, without chain", { fibers: 64 }, { from: noChain }),
      ours("auditlog, 64 fibers, without both", { fibers: 64 }, { from: neither }),
      limit(1),
      limit(8),
      limit(64),
      limit(1024),
      ...[1, 64, 1024].map((fibers) => node(AppendSides.leastName(fibers), "least.ts", { fibers })),
      ...[1, 8, 64, 1024].map((fibers) =>
        node(`pino, fsync, flush(cb), ${fibers} ${fibers === 1 ? "caller" : "callers"}`, "pino.ts", { fibers })
      ),
      ...[1, 64, 1024].map((rows) =>
        node(`node:sqlite WAL FULL, ${rows} ${rows === 1 ? "row" : "rows"} a transaction`, "sqlite.ts", { rows })
      ),
      ...python("Python atomic_append_jsonl, 1 caller")
    ], rounds)
    const records = settings.quick ? 100 : 2000
    const early = async (minLength: number | undefined) => {
      const options = { minLength, records }
      return (await withFile(settings, (path) => measuredBy(nodePeer("pinoFlush.ts", { ...options, path }))))["early"]
    }
    return {
      rows,
      rounds,
      findings: [
        `pino with its default \`minLength\` called back from \`flush(cb)\` before the record was in the file ${await early(
          undefined
        )} of ${records} times; with \`minLength: 1\`, as it runs above, ${await early(1)} times.`
      ]
    }
  }
}
