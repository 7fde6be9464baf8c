/**
 * What the benches that read have in common: one log for all of them, and how a program that reads it is measured.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import {
  type Column,
  type Measured,
  nodePeer,
  peer,
  progress,
  runProgram,
  type Settings,
  type Side
} from "./harness.ts"
import { writeLog } from "./logFile.ts"
import { jq, python } from "./machine.ts"

export const readColumns: ReadonlyArray<Column> = [
  { key: "speed", label: "MB/s", digits: 0 },
  { key: "seconds", label: "seconds", digits: 2 },
  { key: "cpu", label: "CPU s, with the start", digits: 2 },
  { key: "peak", label: "peak MB", digits: 0 },
  { key: "seen", label: "records", digits: 0 }
]

/** A program that takes a second for 50 MB is given this part of the log. */
const slowPart = 0.1

export interface Log {
  readonly path: string
  readonly bytes: number
}

export interface Logs {
  readonly whole: Log
  readonly part: Log
  /** As long as the part, and each line has a writer of its own: what a verification has to keep in memory grows. */
  readonly writers: Log
}

/** The logs, written once in a run. */
export const logs = ({ directory, megabytes }: Settings): Logs => {
  const make = (name: string, bytes: number, writers: "one" | "many" = "one"): Log => {
    const path = Path.join(directory, name, "audit.jsonl")
    if (Fs.existsSync(path)) return { path, bytes: Fs.statSync(path).size }
    progress(`writing a log of ${Math.round(bytes / 1e6)} MB`)
    Fs.mkdirSync(Path.dirname(path))
    return { path, bytes: writeLog(path, { bytes, writers }) }
  }
  return {
    whole: make("log", megabytes * 1e6),
    part: make("part", megabytes * 1e6 * slowPart),
    writers: make("writers", megabytes * 1e6 * slowPart, "many")
  }
}

/**
 * A program that reads a log. It prints what it has seen, and may print how long that took, without the loading of its
 * modules; the time is that from its start to its exit otherwise.
 */
export const reads = (
  name: string,
  log: Log,
  command: (path: string) => ReadonlyArray<string>,
  seen: (stdout: string) => Measured = (stdout) => JSON.parse(stdout) as Measured
): Side => ({
  name: log.path.includes("/part/")
    ? `${name} (first tenth)`
    : log.path.includes("/writers/")
    ? `${name} (a tenth, a writer for each line)`
    : name,
  run: async () => {
    const { cpu, millis, peak, stdout } = await runProgram(command(log.path), { poll: true })
    const measured = { seconds: millis / 1000, cpu, peak, ...seen(stdout) }
    return { speed: log.bytes / 1e6 / measured.seconds, ...measured }
  }
})

/** A side of `peers/` that takes its options as JSON. */
export const readsIn = (
  name: string,
  log: Log,
  program: string,
  options: Readonly<Record<string, unknown>>
): Side => reads(name, log, (path) => nodePeer(program, { ...options, path }))

/** A shell command that prints a number. */
export const readsWith = (name: string, log: Log, command: (path: string) => string): Side =>
  reads(name, log, (path) => ["sh", "-c", `exec ${command(path)}`], (stdout) => ({ seen: Number.parseInt(stdout, 10) }))

/** jq, if it is there; the filter must give one number. */
export const readsWithJq = (name: string, log: Log, filter: string): ReadonlyArray<Side> =>
  jq === undefined ? [] : [readsWith(name, log, (path) => `${jq} -n '${filter}' '${path}'`)]

/** Python's json, if it is there. */
export const readsWithPython = (name: string, log: Log, ...args: ReadonlyArray<string>): ReadonlyArray<Side> =>
  python === undefined ? [] : [reads(name, log, (path) => [python ?? "", peer("read_json.py"), path, ...args])]
