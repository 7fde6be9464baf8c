/**
 * Several processes that append to one file, durable, with no lock between them.
 */
import * as Fs from "node:fs"
import * as AppendSides from "./appendSides.ts"
import { type Bench, interleave, type Measured, measuredBy, type Side, withFile } from "./harness.ts"
import { python } from "./machine.ts"

/** By then every process has started and loaded its modules. */
const startMillis = 2500

export const processes: Bench = {
  name: "processes",
  title: "Several processes on one file, durable",
  columns: [
    { key: "rate", label: "records/s, all together", digits: 0 },
    { key: "p50", label: "p50 ms", digits: 2 },
    { key: "p99", label: "p99 ms, worst process", digits: 2 },
    { key: "cpu", label: "CPU µs/record", digits: 1 },
    { key: "whole", label: "whole lines, %", digits: 1 }
  ],
  run: async (settings) => {
    const { commands } = await AppendSides.make(settings)
    const rounds = AppendSides.roundsOf(settings, 3)
    const together = (
      name: string,
      count: number,
      command: (path: string, startAt: number) => ReadonlyArray<string>
    ): Side => ({
      name: `${name}, ${count} ${count === 1 ? "process" : "processes"}`,
      run: () =>
        withFile(settings, async (path) => {
          const startAt = Date.now() + startMillis
          const all = await Promise.all(
            Array.from({ length: count }, () => measuredBy(command(path, startAt)))
          )
          const sum = (key: string) => all.reduce((total, measured) => total + (measured[key] ?? Number.NaN), 0)
          const worst = (key: string) => Math.max(...all.map((measured) => measured[key] ?? Number.NaN))
          const measured: Measured = {
            rate: sum("rate"),
            p50: sum("p50") / count,
            p99: worst("p99"),
            cpu: sum("cpu") / count,
            whole: wholeLines(path) * 100
          }
          return measured
        })
    })
    const counts = [1, 2, 4]
    const rows = await interleave([
      ...counts.map((count) =>
        together("auditlog, 16 fibers", count, (path, startAt) => commands.ours(path, { fibers: 16, startAt }))
      ),
      ...counts.map((count) =>
        together(AppendSides.limitName(1), count, (path, startAt) => commands.limit(path, 1, startAt))
      ),
      ...(python === undefined ? [] : counts).map((count) =>
        together("Python atomic_append_jsonl", count, (path, startAt) => commands.python(path, startAt))
      )
    ], rounds)
    return { rows, rounds, findings: [] }
  }
}

/** How many of the lines are JSON objects, from 0 to 1. */
const wholeLines = (path: string): number => {
  const lines = Fs.readFileSync(path, "utf8").split("\n")
  const last = lines.pop()
  const whole = lines.filter((line) => {
    try {
      return line.startsWith("{") && JSON.parse(line) !== null
    } catch {
      return false
    }
  })
  return last === "" ? whole.length / lines.length : 0
}
