/**
 * Reading a log as records: hashes checked, stamps read, transactions whole. Beside it the least that reading records
 * can be, which is cutting at newlines and `JSON.parse`, and less than that.
 */
import * as AppendSides from "./appendSides.ts"
import { type Bench, bin, bundle, interleave } from "./harness.ts"
import { type Log, logs, readColumns, reads, readsIn, readsWith, readsWithJq, readsWithPython } from "./reading.ts"
import { needleActor as actor } from "./record.ts"

export const read: Bench = {
  name: "read",
  title: "Reading a log",
  columns: readColumns,
  run: async (settings) => {
    await bundle()
    const { part, whole } = logs(settings)
    const rounds = AppendSides.roundsOf(settings, 3)
    const rows = await interleave([
      readsIn("auditlog, LogReader.read", whole, "reader.ts", { way: "read" }),
      readsIn("auditlog, LogReader.read and decode with the schema", whole, "reader.ts", { way: "decode" }),
      readsIn("Node, blocks of 1 MiB alone", whole, "reading.ts", { way: "raw" }),
      readsIn("Node, split and JSON.parse", whole, "reading.ts", { way: "parse" }),
      readsWith("wc -l", whole, (path) => `wc -l '${path}'`),
      readsIn("DuckDB read_json, all cores", whole, "duckdb.ts", {}),
      ...readsWithPython("Python json", part),
      ...readsWithJq("jq", part, "reduce inputs as $r (0; . + 1)")
    ], rounds)
    return { rows, rounds, findings: [`The log has ${Math.round(whole.bytes / 1e6)} MB.`] }
  }
}

export const query: Bench = {
  name: "query",
  title: "Finding the records of one actor, one in a thousand",
  columns: readColumns,
  run: async (settings) => {
    await bundle()
    const { part, whole } = logs(settings)
    const rounds = AppendSides.roundsOf(settings, 3)
    const rows = await interleave([
      readsIn("auditlog, LogReader.read and Query", whole, "reader.ts", { way: "query" }),
      reads(
        "auditlog cat --where",
        whole,
        (path) => [process.execPath, bin, "cat", path, "--where", `actor=${actor}`],
        (stdout) => ({ seen: stdout.trimEnd().split("\n").length })
      ),
      readsIn("Node, split and JSON.parse", whole, "reading.ts", { way: "query" }),
      readsWith("grep -c, which knows no fields", whole, (path) => `grep -c '"actor":"${actor}"' '${path}'`),
      readsIn("DuckDB read_json, all cores", whole, "duckdb.ts", { actor }),
      ...readsWithPython("Python json", part, actor),
      ...readsWithJq("jq", part, `reduce inputs as $r (0; if $r.actor == "${actor}" then . + 1 else . end)`)
    ], rounds)
    return { rows, rounds, findings: [] }
  }
}

/** The installed command, as it is called in the table. */
export const commandWith = (workers: number): string => `auditlog verify --workers ${workers}`

export const verify: Bench = {
  name: "verify",
  title: "Verifying a log",
  columns: readColumns,
  run: async (settings) => {
    await bundle()
    const { part, whole, writers } = logs(settings)
    const rounds = AppendSides.roundsOf(settings, 3)
    const side = (name: string, log: Log, workers: number) =>
      readsIn(name, log, "reader.ts", { way: "verify", workers })
    const rows = await interleave([
      side("auditlog, Verifier.verify", whole, 0),
      side("auditlog, Verifier.verify with 2 workers", whole, 2),
      side("auditlog, Verifier.verify", part, 0),
      side("auditlog, Verifier.verify", writers, 0),
      ...[0, 2].map((workers) =>
        reads(
          commandWith(workers),
          whole,
          (path) => [process.execPath, bin, "verify", "--workers", String(workers), "--json", path],
          (stdout) => ({ seen: Number(/"records":\s*(\d+)/.exec(stdout)?.[1]) })
        )
      ),
      readsIn("Node, split and hash", whole, "reading.ts", { way: "hash" }),
      reads("sha256sum, the file as one", whole, (path) => ["sha256sum", path], () => ({ seen: 0 }))
    ], rounds)
    return { rows, rounds, findings: [] }
  }
}
