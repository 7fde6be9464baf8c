/**
 * Whether an append costs more in a large log, with many callers, or with large records.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as AppendSides from "./appendSides.ts"
import { type Bench, interleave, measuredBy, nodePeer, progress, type Settings, type Side } from "./harness.ts"
import { writeLog } from "./logFile.ts"

const named = (count: number): string =>
  count >= 1e6 ? `${count / 1e6} M` : count >= 1000 ? `${count / 1000} k` : String(count)

/** Appends to a log that has so many records already; every round appends to the same one. */
const grown = (settings: Settings, records: number, sync: "always" | "never"): Side => {
  const path = Path.join(settings.directory, `grown-${records}`, "audit.jsonl")
  if (!Fs.existsSync(path)) {
    progress(`writing a log of ${named(records)} records`)
    Fs.mkdirSync(Path.dirname(path))
    writeLog(path, { records })
    // what is dirty in the page cache would be written during the first run
    const fd = Fs.openSync(path, "r")
    Fs.fsyncSync(fd)
    Fs.closeSync(fd)
  }
  const options = { path, millis: AppendSides.millisOf(settings), fibers: 64, sync }
  return {
    name: `${named(records)} records in the file, 64 fibers${sync === "never" ? ", not synced" : ""}`,
    run: () => measuredBy(nodePeer("ours.ts", options))
  }
}

export const scale: Bench = {
  name: "scale",
  title: "Larger logs, more callers, larger records",
  columns: AppendSides.appendColumns,
  run: async (settings) => {
    const { ours } = await AppendSides.make(settings)
    const rounds = AppendSides.roundsOf(settings, 3)
    const sizes = settings.quick ? [1000, 100_000] : [1000, 1_000_000, 10_000_000]
    const rows = await interleave([
      ...sizes.map((records) => grown(settings, records, "never")),
      ...sizes.map((records) => grown(settings, records, "always")),
      ...[1, 100, 10_000].map((fibers) => ours(`${named(fibers)} waiting fibers`, { fibers })),
      ...[100, 1000, 10_000, 100_000].map((recordBytes) =>
        ours(`records of ${named(recordBytes)}B, 64 fibers`, { fibers: 64, recordBytes })
      )
    ], rounds)
    for (const records of sizes) Fs.rmSync(Path.join(settings.directory, `grown-${records}`), { recursive: true })
    return { rows, rounds, findings: [] }
  }
}
