/**
 * One simulated run: a seed decides what every process does, who takes the next step, and which faults happen.
 */
import * as Effect from "effect/Effect"
import { Worker } from "node:worker_threads"
import { LogDecoder } from "../../src/internal/logDecoder.ts"
import { Disk, type Faults, type Unfinished } from "./disk.ts"
import { awaitTurn, type Channel, makeChannel, type Request, resume } from "./port.ts"
import type { Life } from "./process.ts"

/** A generator of numbers in [0, 1) that a seed determines (mulberry32). */
export const generator = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

/** Threads that run simulated processes, one after the other. */
export const startThreads = async (count: number, script = new URL("process.ts", import.meta.url)) => {
  const threads = await Promise.all(Array.from({ length: count }, async () => {
    const channel = makeChannel()
    const worker = new Worker(script, { workerData: channel.shared })
    await new Promise((resolve, reject) => {
      worker.once("online", resolve).once("error", reject)
    })
    awaitTurn(channel)
    return { channel, worker }
  }))
  return {
    channels: threads.map(({ channel }) => channel),
    stop: Effect.promise(() => Promise.all(threads.map(({ worker }) => worker.terminate())))
  }
}

export interface Result {
  readonly violations: ReadonlyArray<string>
  readonly acknowledged: number
  readonly disk: Disk
}

interface Running {
  readonly channel: Channel
  waiting: Request | Unfinished
}

export const run = (seed: number, faults: Faults, channels: ReadonlyArray<Channel>, restartsMax: number): Result => {
  const random = generator(seed)
  const disk = new Disk(random, faults)
  const outcomes: Array<Outcome> = []
  let lives = 0
  const start = (channel: Channel): Running | undefined => {
    const life: Life = {
      name: `p${lives++}`,
      rotateBytes: [0, 0, 1500][disk.below(3)] ?? 0,
      fibers: Array.from(
        { length: 1 + disk.below(3) },
        () => Array.from({ length: 1 + disk.below(3) }, () => 1 + disk.below(3))
      )
    }
    const waiting = resume(channel, life)
    return waiting === undefined ? undefined : { channel, waiting }
  }
  let restarts = restartsMax
  let running = channels.map(start).filter((process) => process !== undefined)
  const end = (process: Running): void => {
    running = running.filter((other) => other !== process)
    if (restarts-- <= 0) return
    const next = start(process.channel)
    if (next !== undefined) running.push(next)
  }
  const kill = ({ channel }: Running): void => {
    for (let next = resume(channel, { killed: true }); next !== undefined;) next = resume(channel, { killed: true })
  }

  while (running.length > 0) {
    const process = running[disk.below(running.length)]
    if (process === undefined) break
    disk.disturb()
    if (disk.happens("power")) {
      running.forEach(kill)
      disk.cutPower()
      break
    }
    const { waiting } = process
    if ("call" in waiting && waiting.call === "outcome") {
      const [outcome, records] = waiting.args.map(String)
      const submitted: ReadonlyArray<Submitted> = JSON.parse(records ?? "[]")
      const readable = outcome === "unknown" && submitted.some(({ name }) => recordsOn(disk).has(name))
      outcomes.push({ outcome: outcome ?? "", records: submitted, readable })
    }
    const step = "call" in waiting && waiting.call === "outcome"
      ? { _tag: "Answer", answer: { value: null } } as const
      : disk.step(waiting)
    if (step._tag === "Continue") process.waiting = step.unfinished
    else if (step._tag === "Killed") {
      kill(process)
      end(process)
    } else {
      const next = resume(process.channel, step.answer)
      if (next === undefined) end(process)
      else process.waiting = next
    }
  }
  const acknowledged = outcomes.filter(({ outcome }) => outcome === "ack").length
  return { violations: check(disk, outcomes), acknowledged, disk }
}

interface Submitted {
  readonly name: string
  readonly text: string
}

/** How an append ended for its caller, and whether its records could be read at that moment. */
interface Outcome {
  readonly outcome: string
  readonly records: ReadonlyArray<Submitted>
  readonly readable: boolean
}

/** The texts that a reader finds for each record. */
const recordsOn = (disk: Disk): ReadonlyMap<string, ReadonlyArray<string>> => {
  const found = new Map<string, Array<string>>()
  const decoder = new LogDecoder({})
  const entries = disk.inodes.flatMap((inode) => {
    decoder.begin(`segment ${inode.id}`)
    return [...decoder.feed(inode.bytes), ...decoder.endOfFile()]
  })
  for (const entry of [...entries, ...decoder.end()]) {
    if (entry._tag !== "Record") continue
    const name = String(entry.fields["name"])
    found.set(name, [...found.get(name) ?? [], String(entry.fields["text"])])
  }
  return found
}

/** What design section 2 promises, checked against what the reader finds. */
const check = (disk: Disk, outcomes: ReadonlyArray<Outcome>): ReadonlyArray<string> => {
  const found = recordsOn(disk)
  const violations: Array<string> = []
  for (const { outcome, readable, records } of outcomes) {
    const present = records.filter(({ name }) => found.has(name)).length
    if (outcome === "ack" && present < records.length) violations.push(`acknowledged and lost: ${records[0]?.name}`)
    if (outcome === "no" && present > 0) violations.push(`reported as not written, and readable: ${records[0]?.name}`)
    // whoever is told "unknown" can settle the question by reading the log
    if (outcome === "unknown" && !readable && present > 0) violations.push(`appeared later: ${records[0]?.name}`)
  }
  const sizes = new Map<string, number>()
  for (const [name, texts] of found) {
    if (texts.length > 1) violations.push(`readable ${texts.length} times: ${name}`)
    const transaction = name.slice(0, name.lastIndexOf("/"))
    sizes.set(transaction, (sizes.get(transaction) ?? 0) + 1)
  }
  for (const { records } of outcomes) {
    const transaction = records[0]?.name.slice(0, records[0].name.lastIndexOf("/")) ?? ""
    const size = sizes.get(transaction) ?? 0
    if (size !== 0 && size !== records.length) violations.push(`${size} of ${records.length} records: ${transaction}`)
    for (const { name, text } of records) {
      if (found.has(name) && found.get(name)?.[0] !== text) violations.push(`altered: ${name}`)
    }
  }
  return violations
}
