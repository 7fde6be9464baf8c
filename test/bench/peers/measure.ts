/**
 * What the Node programs here share: run callers for a while, and print a line of JSON about it.
 *
 * CPU time is that of the whole process, with the thread pool. The delay of the event loop is how much later than asked
 * a timer of 1 ms fires; `monitorEventLoopDelay` mixes its own tick into what it says. libuv counts timers in whole
 * milliseconds, so up to 1 ms of it is there in an idle process too.
 */
import * as Fs from "node:fs"
import { Session } from "node:inspector/promises"
import * as Readline from "node:readline"
import { peakMegabytes } from "../harness.ts"

/** Latencies that are kept, of those measured; more would measure the memory they take. */
const latenciesMax = 1 << 20

/** Counts what callers do until the time is over. */
export class Clock {
  readonly end: number
  count = 0
  private readonly latencies = new Float64Array(latenciesMax)
  private filled = 0

  constructor(millis: number) {
    this.end = performance.now() + millis
  }

  /** Whether there is time for another one; `since` is when the last one began, and `records` what it appended. */
  done(since: number, records = 1): void {
    this.count += records
    if (this.filled < latenciesMax) this.latencies[this.filled++] = performance.now() - since
  }

  percentile(part: number): number {
    const sorted = this.latencies.subarray(0, this.filled).sort()
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
  }
}

const probe = (): { readonly stop: () => number } => {
  const late: Array<number> = []
  let due = performance.now() + 1
  let timer = setTimeout(function tick() {
    late.push(performance.now() - due)
    due = performance.now() + 1
    timer = setTimeout(tick, 1)
  }, 1)
  return {
    stop: () => {
      clearTimeout(timer)
      late.sort((a, b) => a - b)
      return late[Math.floor(late.length * 0.99)] ?? Number.NaN
    }
  }
}

/** The file for a CPU profile of what is measured; the figures are worth less then. */
export const profileVariable = "AUDITLOG_BENCH_PROFILE"

/** Runs what is measured, and profiles it if it is asked for. */
export const measured = async <A>(run: () => Promise<A>): Promise<A> => {
  const file = process.env[profileVariable]
  if (file === undefined) return run()
  const session = new Session()
  session.connect()
  await session.post("Profiler.enable")
  await session.post("Profiler.start")
  const result = await run()
  const { profile } = await session.post("Profiler.stop")
  Fs.writeFileSync(file, JSON.stringify(profile))
  return result
}

/**
 * Warms up with twice the time that is measured, says `ready`, and then measures once for each line of its input: runs
 * `work` until its clock is over. The time ends when `work` does, which is when everything is in the file.
 */
export const measure = async (millis: number, work: (clock: Clock) => Promise<void>): Promise<void> => {
  await work(new Clock(millis * 2))
  console.log("ready")
  for await (const _ of Readline.createInterface({ input: process.stdin })) {
    const loop = probe()
    const cpu = process.cpuUsage()
    const start = performance.now()
    const clock = new Clock(millis)
    await measured(() => work(clock))
    const seconds = (performance.now() - start) / 1000
    const { system, user } = process.cpuUsage(cpu)
    console.log(JSON.stringify({
      rate: clock.count / seconds,
      p50: clock.percentile(0.5),
      p99: clock.percentile(0.99),
      cpu: (system + user) / clock.count,
      loop: loop.stop(),
      peak: peakMegabytes("self")
    }))
  }
}

/** So many callers, each of which appends again when its append is answered. */
export const callers = async (
  clock: Clock,
  count: number,
  append: () => Promise<void>,
  records = 1
): Promise<void> => {
  const caller = async () => {
    while (performance.now() < clock.end) {
      const since = performance.now()
      await append()
      clock.done(since, records)
    }
  }
  await Promise.all(Array.from({ length: count }, caller))
}

/**
 * The number of records that callers have been told are taken. It stands in a file at every moment, and survives a
 * SIGKILL as every written byte does.
 */
export class Acknowledged {
  private readonly fd: number
  private readonly bytes = Buffer.alloc(8)
  private count = 0

  constructor(path: string) {
    this.fd = Fs.openSync(path, "w")
  }

  add(): void {
    this.bytes.writeDoubleLE(++this.count)
    Fs.writeSync(this.fd, this.bytes, 0, 8, 0)
  }
}
