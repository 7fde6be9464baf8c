/**
 * Appends that nobody flushes, and what is left of the acknowledged ones after a SIGKILL.
 */
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as AppendSides from "./appendSides.ts"
import { type Bench, interleave, type Measured, nodePeer, root, type Settings, type Side, withFile } from "./harness.ts"
import type { Kind } from "./peers/unsynced.ts"

const peers: ReadonlyArray<readonly [name: string, kind: Kind]> = [
  ["pino, asynchronous", "pino"],
  ["winston, File transport", "winston"],
  ["Effect Logger.toFile", "Logger.toFile"],
  ["fs.createWriteStream", "write stream"],
  ["fs.writeSync, a call a record", "writeSync"]
]

export const appendNosync: Bench = {
  name: "append-nosync",
  title: "Appends that are not flushed, `sync: \"never\"`",
  columns: AppendSides.appendColumns.filter(({ key }) => !key.startsWith("p") || key === "peak"),
  run: async (settings) => {
    const { node, ours } = await AppendSides.make(settings)
    const rounds = AppendSides.roundsOf(settings, 5)
    const rows = await interleave([
      ours("auditlog, 1 fiber", { fibers: 1, sync: "never" }),
      ours("auditlog, 64 fibers", { fibers: 64, sync: "never" }),
      ours("auditlog, appendAll of 64", { fibers: 1, batch: 64, sync: "never" }),
      ...peers.map(([name, kind]) => node(name, "unsynced.ts", { kind }))
    ], rounds)
    return { rows, rounds, findings: [] }
  }
}

/** How long a program appends before it is killed. */
const killMillis = { min: 50, max: 500 }

/** Kills a program at a random moment and counts what it had acknowledged, and what of that is not in the file. */
const killed = (settings: Settings, command: (path: string, acknowledge: string) => ReadonlyArray<string>) =>
  withFile(settings, async (path): Promise<Measured> => {
    const acknowledge = Path.join(Path.dirname(path), "acknowledged")
    const [program = "", ...args] = command(path, acknowledge)
    const child = spawn(program, args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] })
    const ended = new Promise((resolve) => {
      child.once("exit", resolve)
    })
    const begun = () => Fs.existsSync(acknowledge) && Fs.statSync(acknowledge).size > 0
    const deadline = performance.now() + 20_000
    while (!begun() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5))
    await new Promise((resolve) =>
      setTimeout(resolve, killMillis.min + Math.random() * (killMillis.max - killMillis.min))
    )
    child.kill("SIGKILL")
    await ended
    const acknowledged = Fs.readFileSync(acknowledge).readDoubleLE(0)
    const found = new Uint8Array(acknowledged)
    const text = Fs.existsSync(path) ? Fs.readFileSync(path, "latin1") : ""
    for (const line of text.slice(0, text.lastIndexOf("\n") + 1).split("\n")) {
      const number = Number(/"rev":(\d+)/.exec(line)?.[1] ?? Number.NaN)
      if (number < acknowledged) found[number] = 1
    }
    return { acknowledged, lost: found.reduce((lost, there) => lost - there, acknowledged) }
  })

export const kill: Bench = {
  name: "kill",
  title: "SIGKILL at a random moment, nothing flushed",
  columns: [
    { key: "acknowledged", label: "acknowledged", digits: 0 },
    { key: "lost", label: "of these lost", digits: 0 }
  ],
  run: async (settings) => {
    const rounds = AppendSides.roundsOf(settings, 5)
    const side = (name: string, program: string, options: Readonly<Record<string, unknown>>): Side => ({
      name,
      run: () => killed(settings, (path, acknowledge) => nodePeer(program, { ...options, path, acknowledge }))
    })
    const rows = await interleave([
      side("auditlog, 64 fibers", "ours.ts", { fibers: 64, sync: "never" }),
      ...peers.map(([name, kind]) => side(name, "unsynced.ts", { kind }))
    ], rounds)
    return { rows, rounds, findings: [] }
  }
}
