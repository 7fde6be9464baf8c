/**
 * Where the time goes: CPU profiles of the sides that the targets speak of, as parts of the time in which the main thread
 * was not idle. Time belongs to the function that runs, not to those that called it.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import * as AppendSides from "./appendSides.ts"
import {
  type Bench,
  nodePeer,
  progress,
  root,
  type Row,
  runProgram,
  type Settings,
  startMeasurer,
  withFile
} from "./harness.ts"
import { profileVariable } from "./peers/measure.ts"
import { logs } from "./reading.ts"

/** What V8 writes, as far as it is read here. */
interface Profile {
  readonly nodes: ReadonlyArray<{
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string }
  }>
  readonly samples: ReadonlyArray<number>
  readonly timeDeltas: ReadonlyArray<number>
}

/** Parts that are smaller than this in every profile are counted together. */
const percentMin = 2

const sources = pathToFileURL(Path.join(root, "src")).href
const benches = pathToFileURL(Path.join(root, "test/bench")).href

/** Which part of the program a function belongs to; `undefined` while nothing runs, or the profiler itself starts. */
const partOf = ({ functionName, url }: Profile["nodes"][number]["callFrame"]): string | undefined => {
  if (functionName === "(idle)" || url === "node:inspector") return undefined
  if (functionName === "(garbage collector)") return "garbage collection"
  if (functionName.startsWith("(")) return "native code"
  if (url.startsWith(sources)) return `src${url.slice(sources.length)}`
  if (url.startsWith(benches)) return "the bench itself"
  if (url.includes("/node_modules/effect/")) {
    return url.includes("Schema")
      ? "Effect: Schema"
      : "Effect: fibers and others"
  }
  if (url.includes("crypto")) return "Node: crypto"
  if (url.includes("fs")) return "Node: fs"
  if (url.startsWith("node:")) return "Node: others"
  return url === "" ? `native: ${functionName === "" ? "no name" : functionName}` : "others"
}

const percentOf = ({ nodes, samples, timeDeltas }: Profile): ReadonlyMap<string, number> => {
  const parts = new Map(nodes.map(({ callFrame, id }) => [id, partOf(callFrame)]))
  const times = new Map<string, number>()
  let whole = 0
  for (const [i, sample] of samples.entries()) {
    const part = parts.get(sample)
    if (part === undefined) continue
    const micros = timeDeltas[i] ?? 0
    times.set(part, (times.get(part) ?? 0) + micros)
    whole += micros
  }
  return new Map([...times].map(([part, micros]) => [part, micros / whole * 100]))
}

interface Profiled {
  readonly command: ReadonlyArray<string>
  /** Whether it measures when it is told to, or once. */
  readonly isMeasurer: boolean
}

/** Runs a program of `peers/` with V8's profiler on while it measures. */
const profile = (settings: Settings, { command, isMeasurer }: Profiled) =>
  withFile(settings, async (path) => {
    const file = `${path}.cpuprofile`
    const env = { [profileVariable]: file }
    const words = command.map((word) => word.replace("PATH", path))
    if (isMeasurer) {
      const measurer = await startMeasurer(words, { env })
      await measurer.measure()
      await measurer.close()
    } else {
      await runProgram(words, { env })
    }
    return percentOf(JSON.parse(Fs.readFileSync(file, "utf8")) as Profile)
  })

export const profiles: Bench = {
  name: "profile",
  title: "Where the time goes, % of what is not idle",
  columns: [
    { key: "append64", label: "append, 64 fibers", digits: 1 },
    { key: "append1024", label: "append, 1024 fibers", digits: 1 },
    { key: "append1", label: "append, 1 fiber", digits: 1 },
    { key: "verify", label: "verify", digits: 1 },
    { key: "read", label: "read", digits: 1 },
    { key: "query", label: "query", digits: 1 }
  ],
  run: async (settings) => {
    const { part } = logs(settings)
    const millis = AppendSides.millisOf(settings) * 2
    const appends = (fibers: number): Profiled => ({
      command: nodePeer("ours.ts", { path: "PATH", millis, fibers }),
      isMeasurer: true
    })
    const reads = (way: string): Profiled => ({
      command: nodePeer("reader.ts", { path: part.path, way }),
      isMeasurer: false
    })
    const profiled: Readonly<Record<string, Profiled>> = {
      append64: appends(64),
      append1024: appends(1024),
      append1: appends(1),
      verify: reads("verify"),
      read: reads("read"),
      query: reads("query")
    }
    const taken = new Map<string, ReadonlyMap<string, number>>()
    for (const [key, program] of Object.entries(profiled)) {
      progress(`profile of ${key}`)
      taken.set(key, await profile(settings, program))
    }
    progress("")
    const of = (part: string): Row["values"] =>
      Object.fromEntries([...taken].map(([key, percents]) => {
        const percent = percents.get(part) ?? 0
        return [key, { median: percent, min: percent, max: percent }]
      }))
    const greatest = (part: string): number =>
      Math.max(...[...taken.values()].map((percents) => percents.get(part) ?? 0))
    const parts = [...new Set([...taken.values()].flatMap((percents) => [...percents.keys()]))]
      .toSorted((a, b) => greatest(b) - greatest(a))
    const rows = parts.filter((part) => greatest(part) >= percentMin).map((part) => ({ name: part, values: of(part) }))
    const rest = parts.filter((part) => greatest(part) < percentMin).map(of)
    const others = Object.fromEntries(
      [...taken.keys()].map((key) => {
        const percent = rest.reduce((sum, values) => sum + (values[key]?.median ?? 0), 0)
        return [key, { median: percent, min: percent, max: percent }]
      })
    )
    return { rows: [...rows, { name: "everything else", values: others }], rounds: 1, findings: [] }
  }
}
