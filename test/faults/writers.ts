/**
 * Writer processes for the fault suite: starting them, following what they report, and stopping or killing them.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { childProgram } from "../childPrograms.ts"

/** How one attempt to append ended, as its process reported it. */
export interface Report {
  readonly outcome: "acknowledged" | "no" | "unknown"
  readonly fiber: number
  readonly n: number
  readonly parts: number
  /** The ids of an acknowledged attempt. */
  readonly ids: ReadonlyArray<string>
  /** The tag of the reason of a failed one. */
  readonly reason: string
}

const outcomes = { "+": "acknowledged", "-": "no", "?": "unknown" } as const

const parse = (line: string): Report | undefined => {
  const [mark = "", fiber = "", n = "", ...rest] = line.split(" ")
  if (mark !== "+" && mark !== "-" && mark !== "?") return undefined
  const acknowledged = mark === "+"
  return {
    outcome: outcomes[mark],
    fiber: Number(fiber),
    n: Number(n),
    parts: acknowledged ? rest.length : Number(rest[0]),
    ids: acknowledged ? rest : [],
    reason: acknowledged ? "" : rest[1] ?? ""
  }
}

export interface WriterOptions {
  readonly log: string
  readonly name: string
  readonly seed: number
  readonly fibers?: number
  readonly sync?: "always" | "never"
  /** Further options of persistent.ts. */
  readonly more?: ReadonlyArray<string>
  /** What the process is started with: `strace …`, `nsenter …`, a shell that sets a limit. */
  readonly command?: ReadonlyArray<string>
  readonly environment?: { readonly [name: string]: string }
}

/** Until a process does what is waited for; far above what any of it takes. */
const patienceMillis = 60_000

const child = childProgram("persistent")

/** One process that appends, and all that it has reported so far. */
export class Writer {
  readonly name: string
  readonly reports: Array<Report> = []
  /** Whether it ended in the middle of something: then one attempt of each fiber is without a report. */
  cut = false
  stderr = ""
  readonly process: ChildProcess
  readonly closed: Promise<void>
  private readonly counts = { acknowledged: 0, no: 0, unknown: 0 }
  private ready = false
  private ended = false
  private rest = ""
  private watchers: ReadonlyArray<() => void> = []

  constructor(options: WriterOptions) {
    this.name = options.name
    const [command, ...args] = [...options.command ?? [], process.execPath] as const
    const { environment, fibers = 4, log, name, more = [], seed, sync = "always" } = options
    this.process = spawn(
      command,
      [...args, child, log, name, "--fibers", String(fibers), "--seed", String(seed), "--sync", sync, ...more],
      { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...environment } }
    )
    this.process.stdin?.on("error", () => undefined)
    this.process.stdout?.setEncoding("utf8").on("data", (text: string) => this.take(text))
    this.process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text
    })
    this.closed = once(this.process, "close").then(([code]) => {
      this.ended = true
      // strace and shells turn the signal of their child into an exit code
      if (code !== 0) this.cut = true
      this.changed()
    })
  }

  get pid(): number {
    return this.process.pid ?? 0
  }

  get isReady(): boolean {
    return this.ready
  }

  get hasEnded(): boolean {
    return this.ended
  }

  count(outcome: Report["outcome"]): number {
    return this.counts[outcome]
  }

  /** Calls back at every change; returns what ends that. */
  watch(watcher: () => void): () => void {
    this.watchers = [...this.watchers, watcher]
    return () => {
      this.watchers = this.watchers.filter((other) => other !== watcher)
    }
  }

  /** Lets it finish what it does and close its log. */
  async stop(): Promise<void> {
    this.process.stdin?.end()
    const timer = setTimeout(() => this.process.kill("SIGKILL"), patienceMillis)
    await this.closed
    clearTimeout(timer)
  }

  async kill(): Promise<void> {
    this.process.kill("SIGKILL")
    await this.closed
  }

  private take(text: string): void {
    const lines = (this.rest + text).split("\n")
    this.rest = lines.pop() ?? ""
    for (const line of lines) {
      const report = parse(line)
      if (report !== undefined) {
        this.reports.push(report)
        this.counts[report.outcome]++
      } else if (line === "ready") this.ready = true
    }
    this.changed()
  }

  private changed(): void {
    for (const watcher of this.watchers) watcher()
  }
}

/** Waits until what writers have reported satisfies a condition; rejects if one of them ends before. */
export const until = (writers: ReadonlyArray<Writer>, what: string, condition: () => boolean): Promise<void> =>
  new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      clearTimeout(timer)
      for (const unwatch of watches) unwatch()
      if (error === undefined) resolve()
      else reject(error)
    }
    const check = (): void => {
      const ended = writers.find((writer) => writer.hasEnded)
      if (condition()) settle()
      else if (ended !== undefined) settle(new Error(`${ended.name} ended before ${what}: ${ended.stderr}`))
    }
    const timer = setTimeout(() => settle(new Error(`${what}: did not happen`)), patienceMillis)
    const watches = writers.map((writer) => writer.watch(check))
    check()
  })

/** A condition: each writer has reported so many attempts of this outcome since now. */
export const eachReports = (
  writers: ReadonlyArray<Writer>,
  outcome: Report["outcome"],
  count: number
): () => boolean => {
  const goals = writers.map((writer) => writer.count(outcome) + count)
  return () => writers.every((writer, i) => writer.count(outcome) >= goals[i]!)
}

/** Runs a block with writers that are gone when it ends, however it ends. */
export const withWriters = async <A>(use: (start: (options: WriterOptions) => Writer) => Promise<A>): Promise<A> => {
  const writers: Array<Writer> = []
  try {
    return await use((options) => {
      const writer = new Writer(options)
      writers.push(writer)
      return writer
    })
  } finally {
    await Promise.all(writers.filter((writer) => !writer.hasEnded).map((writer) => writer.kill()))
  }
}
