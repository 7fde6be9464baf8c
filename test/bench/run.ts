/**
 * `npm run bench -- [NAME…] [--quick] [--rounds N] [--megabytes N] [--json] [--write-docs]`: runs the benches of this
 * directory and prints a table each. Absolute figures move from machine to machine; the ratios in one run are the point.
 *
 * - `--quick`: seconds for each bench, to see that it works; its figures mean nothing.
 * - `--rounds`: how often every side runs, instead of what the bench takes by itself.
 * - `--megabytes`: the size of the log that is read; default 1000, with `--quick` 50.
 * - `--json`: JSON on stdout instead of tables.
 * - `--write-docs`: writes docs/performance.md, and the sizing in docs/distribution.md, from this run.
 *
 * AUDITLOG_BENCH_DIRECTORY names the directory to measure in, which has to be on the file system in question.
 */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { parseArgs } from "node:util"
import { benches } from "./benches.ts"
import * as Document from "./document.ts"
import { type Report, type Settings } from "./harness.ts"
import { describe } from "./machine.ts"
import { reportTable, targetTable } from "./tables.ts"

const fail = (problem: string): never => {
  console.error(problem)
  process.exit(2)
}

const positive = (option: string, text: string | undefined): number | undefined => {
  if (text === undefined) return undefined
  const value = Number(text)
  return Number.isInteger(value) && value > 0 ? value : fail(`--${option} is ${text}; it must be a whole number over 0`)
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    megabytes: { type: "string" },
    json: { type: "boolean", default: false },
    "write-docs": { type: "boolean", default: false }
  }
})
const unknown = positionals.filter((name) => !benches.some((bench) => bench.name === name))
if (unknown.length > 0) {
  fail(`no bench named ${unknown.join(", ")}; there are: ${benches.map(({ name }) => name).join(", ")}`)
}
if (values["write-docs"] && values.quick) fail("--quick measures too little for --write-docs")

const directory = Fs.mkdtempSync(Path.join(process.env["AUDITLOG_BENCH_DIRECTORY"] ?? Os.tmpdir(), "auditlog-bench-"))
const settings: Settings = {
  quick: values.quick,
  rounds: positive("rounds", values.rounds),
  megabytes: positive("megabytes", values.megabytes) ?? (values.quick ? 50 : 1000),
  directory
}
// the command keeps its compiled code there; not in the user's own cache, and warm for all starts but the first
process.env["XDG_CACHE_HOME"] = Path.join(directory, "cache")
const machine = describe(directory)
const reports: Array<Report> = []
const start = performance.now()
try {
  if (!values.json) console.log(Object.entries(machine).map(([name, value]) => `${name}: ${value}`).join("\n"))
  for (const bench of benches.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
    const { columns, name, run, title } = bench
    const { findings, rounds, rows } = await run(settings)
    const keys = new Set(columns.map(({ key }) => key))
    const shown = rows.map((row) => ({
      name: row.name,
      values: Object.fromEntries(
        Object.entries(row.values).filter(([key, { median }]) => keys.has(key) && Number.isFinite(median))
      )
    }))
    const report: Report = { bench: name, title, columns, rows: shown, rounds, findings }
    reports.push(report)
    if (!values.json) {
      console.log([`\n${name}: ${title}, medians of ${rounds} rounds`, reportTable(report), ...findings].join("\n"))
    }
  }
} finally {
  Fs.rmSync(directory, { recursive: true, force: true })
}
if (values["write-docs"]) Document.write({ machine, reports }, benches.map(({ name }) => name))
if (values.json) console.log(JSON.stringify({ machine, quick: settings.quick, reports }, undefined, 2))
else {
  if (reports.length > 0) console.log(`\ntargets\n${targetTable(reports)}`)
  console.log(`\n${Math.round((performance.now() - start) / 1000)} s`)
}
