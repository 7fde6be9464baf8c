/**
 * Several processes that append to one file, durable, with no lock between them.
 */
import * as Fs from "node:fs"
import * as AppendSides from "./appendSides.ts"
import { type Bench, freshFile, interleave, measurers, type Side, startMeasurer } from "./harness.ts"
import { python } from "./machine.ts"

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
    const together = (name: string, count: number, command: (path: string) => ReadonlyArray<string>): Side => {
      const path = freshFile(settings)
      return measurers(
        `${name}, ${count} ${count === 1 ? "process" : "processes"}`,
        () => Promise.all(Array.from({ length: count }, () => startMeasurer(command(path)))),
        (all) => {
          const sum = (key: string) => all.reduce((total, measured) => total + (measured[key] ?? Number.NaN), 0)
          const worst = (key: string) => Math.max(...all.map((measured) => measured[key] ?? Number.NaN))
          return {
            rate: sum("rate"),
            p50: sum("p50") / count,
            p99: worst("p99"),
            cpu: sum("cpu") / count,
            whole: wholeLines(path) * 100
          }
        }
      )
    }
    const counts = [1, 2, 4]
    const rows = await interleave([
      ...counts.map((count) => together("auditlog, 16 fibers", count, (path) => commands.ours(path, { fibers: 16 }))),
      ...counts.map((count) => together(AppendSides.limitName(1), count, (path) => commands.limit(path, 1))),
      ...(python === undefined ? [] : counts).map((count) =>
        together("Python atomic_append_jsonl", count, commands.python)
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
