/**
 * The programs that append, as sides of a bench.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import {
  type Column,
  freshFile,
  measurers,
  nodePeer,
  peer,
  root,
  runProgram,
  type Settings,
  type Side,
  startMeasurer
} from "./harness.ts"
import { cc, python } from "./machine.ts"
import type { Options } from "./peers/ours.ts"
import { record } from "./record.ts"

export const appendColumns: ReadonlyArray<Column> = [
  { key: "rate", label: "records/s", digits: 0 },
  { key: "p50", label: "p50 ms", digits: 2 },
  { key: "p99", label: "p99 ms", digits: 2 },
  { key: "cpu", label: "CPU µs/record", digits: 1 },
  { key: "loop", label: "event loop p99 ms", digits: 1 },
  { key: "peak", label: "peak MB", digits: 0 }
]

/** How long one run of a side measures. */
export const millisOf = ({ quick }: Settings): number => quick ? 100 : 700

export const roundsOf = ({ quick, rounds }: Settings, otherwise: number): number => rounds ?? (quick ? 1 : otherwise)

type Without<A> = Omit<A, "path" | "millis">

/** The makers of the sides of one run. */
export interface AppendSides {
  readonly ours: (name: string, options: Without<Options>, where?: {
    readonly from?: string
    readonly node?: ReadonlyArray<string>
    /** A log that is there already. */
    readonly path?: string
  }) => Side
  /** A program of `peers/` that takes its options as JSON. */
  readonly node: (name: string, program: string, options: Readonly<Record<string, unknown>>) => Side
  /** One write and one fdatasync for each group, in C where there is a compiler. */
  readonly limit: (group: number) => Side
  /** None where there is no Python. */
  readonly python: (name: string) => ReadonlyArray<Side>
  /** The command lines, for several processes on one path. */
  readonly commands: {
    readonly ours: (path: string, options: Without<Options>) => ReadonlyArray<string>
    readonly limit: (path: string, group: number) => ReadonlyArray<string>
    readonly python: (path: string) => ReadonlyArray<string>
  }
}

/** The least that is possible, as it is called in the tables. */
export const limitName = (group: number): string =>
  `limit: one write + fdatasync ${group === 1 ? "a record" : `per ${group}`}`

/** The least in Effect, as it is called in the tables. */
export const leastName = (fibers: number): string =>
  `least in Effect: schema, SHA-256, group commit, ${fibers} ${fibers === 1 ? "fiber" : "fibers"}`

export const make = async (settings: Settings): Promise<AppendSides> => {
  const millis = millisOf(settings)
  const binary = Path.join(settings.directory, "groupCommit")
  if (cc !== undefined && !Fs.existsSync(binary)) await runProgram([cc, "-O2", "-o", binary, peer("groupCommit.c")])
  const line = JSON.stringify(record)
  const side = (name: string, command: (path: string) => ReadonlyArray<string>, path?: string, cwd = root): Side =>
    measurers(name, async () => [await startMeasurer(command(path ?? freshFile(settings)), { cwd })])
  const commands: AppendSides["commands"] = {
    ours: (path, options) => nodePeer("ours.ts", { ...options, path, millis }),
    limit: (path, group) =>
      cc === undefined
        ? nodePeer("rawLoop.ts", { path, group, millis })
        : [binary, path, String(group), String(millis), line],
    python: (path) => [python ?? "python3", peer("atomic_append_jsonl.py"), path, String(millis), line]
  }
  return {
    ours: (name, options, { from = root, node = [], path } = {}) =>
      side(
        name,
        (path) => {
          const [program = "", ...args] = nodePeer("ours.ts", { ...options, path, millis }, from)
          return [program, ...node, ...args]
        },
        path,
        from
      ),
    node: (name, program, options) => side(name, (path) => nodePeer(program, { ...options, path, millis })),
    limit: (group) => side(limitName(group), (path) => commands.limit(path, group)),
    python: (name) => python === undefined ? [] : [side(name, commands.python)],
    commands
  }
}
