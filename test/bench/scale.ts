/**
 * Whether an append costs more in a large log, with many callers, or with large records.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as AppendSides from "./appendSides.ts"
import { type Bench, interleave, progress, type Settings } from "./harness.ts"
import { writeLog } from "./logFile.ts"

const named = (count: number): string =>
  count >= 1e6 ? `${count / 1e6} M` : count >= 1000 ? `${count / 1000} k` : String(count)

/** A log that has so many records already. */
const grown = (settings: Settings, records: number): string => {
  const path = Path.join(settings.directory, `grown-${records}`, "audit.jsonl")
  progress(`writing a log of ${named(records)} records`)
  Fs.mkdirSync(Path.dirname(path))
  writeLog(path, { records })
  // what is dirty in the page cache would be written during the first run
  const fd = Fs.openSync(path, "r")
  Fs.fsyncSync(fd)
  Fs.closeSync(fd)
  return path
}

export const scale: Bench = {
  name: "scale",
  title: "Larger logs, more callers, larger records",
  columns: AppendSides.appendColumns,
  run: async (settings) => {
    const { ours } = await AppendSides.make(settings)
    const rounds = AppendSides.roundsOf(settings, 3)
    const sizes = settings.quick ? [1000, 100_000] : [1000, 1_000_000, 10_000_000]
    const logs = sizes.map((records) => ({
      path: grown(settings, records),
      name: `${named(records)} records in the file`
    }))
    const rows = await interleave([
      ...logs.map(({ name, path }) => ours(`${name}, 64 fibers, not synced`, { fibers: 64, sync: "never" }, { path })),
      ...logs.map(({ name, path }) => ours(`${name}, 64 fibers`, { fibers: 64 }, { path })),
      ...[1, 100, 10_000].map((fibers) => ours(`${named(fibers)} waiting fibers`, { fibers })),
      ...[100, 1000, 10_000, 100_000].map((recordBytes) =>
        ours(`records of ${named(recordBytes)}B, 64 fibers`, { fibers: 64, recordBytes })
      )
    ], rounds)
    for (const { path } of logs) Fs.rmSync(path)
    return { rows, rounds, findings: [] }
  }
}
