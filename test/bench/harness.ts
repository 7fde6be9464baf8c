/**
 * What all benches share: sides that run in turn, each in a process of its own, in several rounds; medians and spread.
 */
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Readline from "node:readline"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("../..", import.meta.url))

/** How a run of `npm run bench` was asked for. */
export interface Settings {
  /** Seconds instead of minutes: to see that the benches work. Its figures mean nothing. */
  readonly quick: boolean
  /** Instead of the rounds that a bench takes by itself. */
  readonly rounds: number | undefined
  /** The size of the log that is read. */
  readonly megabytes: number
  /** An empty directory, on the file system that is measured. */
  readonly directory: string
}

/** What one run of a side gave, by the key of the column. */
export type Measured = Readonly<Record<string, number>>

/** One program of a comparison. */
export interface Side {
  readonly name: string
  readonly run: () => Promise<Measured>
  /** Ends what the side keeps from round to round. */
  readonly close?: () => Promise<void>
  /** Rounds of a side that takes long, at most. */
  readonly roundsMax?: number
}

export interface Column {
  readonly key: string
  readonly label: string
  readonly digits: number
}

export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
}

export interface Row {
  readonly name: string
  readonly values: Readonly<Record<string, Summary>>
}

/** One table, and what else was seen. */
export interface Report {
  readonly bench: string
  readonly title: string
  readonly columns: ReadonlyArray<Column>
  readonly rows: ReadonlyArray<Row>
  readonly rounds: number
  readonly findings: ReadonlyArray<string>
}

export interface Bench {
  readonly name: string
  readonly title: string
  readonly columns: ReadonlyArray<Column>
  readonly run: (settings: Settings) => Promise<Pick<Report, "rows" | "rounds" | "findings">>
}

/** Says on a terminal what is being done. */
export const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
}

const median = (sorted: ReadonlyArray<number>): number => {
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

const summarize = (values: ReadonlyArray<number>): Summary => {
  const sorted = values.toSorted((a, b) => a - b)
  return { median: median(sorted), min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN }
}

/**
 * Runs all sides in turn, several times, so that a slow moment of the machine meets all of them. Each round begins with
 * another side, so that none always follows the same one.
 */
export const interleave = async (sides: ReadonlyArray<Side>, rounds: number): Promise<ReadonlyArray<Row>> => {
  const taken = new Map<string, Array<Measured>>(sides.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < sides.length; i++) {
      const side = sides[(i + round) % sides.length]!
      if (round >= (side.roundsMax ?? rounds)) continue
      progress(`round ${round + 1} of ${rounds}: ${side.name}`)
      taken.get(side.name)?.push(await side.run())
    }
  }
  progress("")
  await Promise.all(sides.map((side) => side.close?.() ?? Promise.resolve()))
  return sides.map(({ name }) => {
    const runs = taken.get(name) ?? []
    const keys = Object.keys(runs[0] ?? {})
    return { name, values: Object.fromEntries(keys.map((key) => [key, summarize(runs.map((run) => run[key] ?? NaN))])) }
  })
}

/** The peak resident size of a process in MB, as far as it is known: `VmHWM`, which a fork does not inherit. */
export const peakMegabytes = (pid: number | "self"): number => {
  try {
    const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(Fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
    return Number(kibibytes ?? Number.NaN) * 1024 / 1e6
  } catch {
    return Number.NaN
  }
}

/** CPU seconds of a process so far, with all its threads, in the steps of 10 ms in which the kernel counts them. */
const cpuSeconds = (pid: number): number => {
  try {
    // the second field, a name in parentheses, may hold anything
    const fields = Fs.readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /s, "").split(" ")
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return Number.NaN
  }
}

export interface Ended {
  readonly stdout: string
  readonly millis: number
  /** Peak memory in MB and CPU seconds, as they were at most {@link pollMillis} before the end; 0 without `poll`. */
  readonly peak: number
  readonly cpu: number
}

/** How often a program that does not tell its memory and CPU time is looked at. */
const pollMillis = 10

/** Runs a program to its end, and fails if it exits with another code than 0, or than those given. */
export const runProgram = (
  command: ReadonlyArray<string>,
  options: {
    readonly env?: Readonly<Record<string, string>>
    readonly cwd?: string
    readonly poll?: boolean
    readonly exits?: ReadonlyArray<number>
  } = {}
): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const [program = "", ...args] = command
    const start = performance.now()
    const child = spawn(program, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let stdout = ""
    let stderr = ""
    let peak = 0
    let cpu = 0
    const look = () => {
      const pid = child.pid ?? 0
      peak = Math.max(peak, peakMegabytes(pid) || 0)
      cpu = Math.max(cpu, cpuSeconds(pid) || 0)
    }
    const timer = options.poll === true ? setInterval(look, pollMillis) : undefined
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text
    })
    child.on("error", (error) => {
      clearInterval(timer)
      reject(error)
    })
    child.on("close", (code, signal) => {
      const millis = performance.now() - start
      clearInterval(timer)
      if ((options.exits ?? [0]).includes(code ?? -1)) resolve({ stdout, millis, peak, cpu })
      else reject(new Error(`${command.join(" ")}: ${signal ?? `exit ${code}`}\n${stderr}`))
    })
  })

/** Runs a program of `peers/` that prints what it measured as its last line of JSON. */
export const measuredBy = async (command: ReadonlyArray<string>): Promise<Measured> => {
  const { stdout } = await runProgram(command)
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Measured
}

/** A program of `peers/` that measures once for each line of its input. */
export interface Measurer {
  readonly measure: () => Promise<Measured>
  readonly close: () => Promise<void>
}

/**
 * Starts a program of `peers/`, waits until it has warmed up and says `ready`, and lets it measure as often as asked. It
 * lives from round to round: code is compiled once, as in a program that runs for days.
 */
export const startMeasurer = async (
  command: ReadonlyArray<string>,
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {}
): Promise<Measurer> => {
  const [program = "", ...args] = command
  const child = spawn(program, args, {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: ["pipe", "pipe", "inherit"]
  })
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve())
  })
  const lines = Readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async (): Promise<string> => {
    const { done, value } = await lines.next()
    if (done === true) throw new Error(`${command.join(" ")} ended`)
    return value
  }
  const ready = await line()
  if (ready !== "ready") throw new Error(`${command.join(" ")} said ${ready}`)
  return {
    measure: async () => {
      child.stdin.write("\n")
      return JSON.parse(await line()) as Measured
    },
    close: () => {
      child.stdin.end()
      return ended
    }
  }
}

/** A side whose programs are started before its first round, and measure at the same time. */
export const measurers = (
  name: string,
  start: () => Promise<ReadonlyArray<Measurer>>,
  join: (all: ReadonlyArray<Measured>) => Measured = ([first = {}]) => first
): Side => {
  let started: Promise<ReadonlyArray<Measurer>> | undefined
  return {
    name,
    run: async () => {
      started ??= start()
      return join(await Promise.all((await started).map(({ measure }) => measure())))
    },
    close: async () => {
      await Promise.all((await started ?? []).map(({ close }) => close()))
    }
  }
}

/** A file of `peers/`. */
export const peer = (name: string, from = root): string => Path.join(from, "test/bench/peers", name)

/** The command as it is published, which {@link bundle} makes. */
export const bin = Path.join(root, "dist/cli/bin.js")

let bundling: Promise<unknown> | undefined

/** Bundles the command, once in a run: the one that is measured is the one of these sources. */
export const bundle = async (): Promise<void> => {
  bundling ??= runProgram([process.execPath, Path.join(root, "node_modules/rolldown/bin/cli.mjs"), "-c"])
  await bundling
}

/** The command line of a TypeScript program of `peers/`. */
export const nodePeer = (name: string, options: unknown, from = root): ReadonlyArray<string> => [
  process.execPath,
  peer(name, from),
  JSON.stringify(options)
]

let files = 0

/** A path in the directory that nothing else has. */
export const freshFile = ({ directory }: Settings): string => {
  const own = Path.join(directory, `run-${files++}`)
  Fs.mkdirSync(own)
  return Path.join(own, "audit.jsonl")
}

/** Runs with such a path, and removes what is there afterwards. */
export const withFile = async <A>(settings: Settings, use: (path: string) => Promise<A>): Promise<A> => {
  const path = freshFile(settings)
  try {
    return await use(path)
  } finally {
    Fs.rmSync(Path.dirname(path), { recursive: true, force: true })
  }
}
