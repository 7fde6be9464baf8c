/**
 * Writers and relays are killed at random and at planned points, connections are cut and the server crashes: every order
 * that committed has its record in the log once, no other has one, and each writer's are in its order.
 *
 * AUDITLOG_TEST_SEED=N and AUDITLOG_FAULTS_SECONDS=N as for all of this suite.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { childProgram } from "../childPrograms.ts"
import { type Kind, kinds } from "../sqlSupport.ts"
import { readRecords, temporaryDirectory } from "../support.ts"
import { below, replay, seconds, seed, tell, timeoutMillis } from "./campaign.ts"

/** How long the loop runs, where nobody asks for more. */
const secondsDefault = 20

/** How long anything may take that is waited for: more is a hang, and a fault. */
const patienceMillis = 30_000

/** How long a relay may drain before it comes to its point, and how long one lives that stands by. */
const drainMillis = 2000
const standbyMillis = 15_000

/** How much longer the loop goes on, on a machine so slow that a point has not been hit. */
const extraSeconds = 60

const points = ["mid-write", "after-write", "after-fsync", "before-commit", "during-commit", "after-commit", "none"]

/** On SQLite a COMMIT is one call: nothing can happen during it. */
const canHit = (kind: Kind["name"], point: string): boolean =>
  point !== "none" && (kind === "pg" || point !== "during-commit")

/** A child whose output is kept, for the message of a wait that is in vain. */
class Child {
  output = ""
  /** When it began to drain: until then it stands by. */
  draining: number | undefined
  readonly born = performance.now()
  errors = ""
  readonly process: ChildProcess
  readonly closed: Promise<void>

  constructor(script: string, args: ReadonlyArray<string>) {
    this.process = spawn(process.execPath, [script, ...args], {
      stdio: ["ignore", "pipe", "pipe"]
    })
    this.process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.output = (this.output + text).slice(-4000)
      if (this.draining === undefined && this.output.includes("draining to")) this.draining = performance.now()
    })
    this.process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.errors = (this.errors + text).slice(-4000)
    })
    // "close" waits for the pipes too, which would stay open if a child of this child held them
    this.closed = new Promise((resolve) => this.process.on("close", () => resolve()))
  }

  get isOver(): boolean {
    const now = performance.now()
    return this.isGone || now - this.born > standbyMillis ||
      (this.draining !== undefined && now - this.draining > drainMillis)
  }

  get isGone(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null
  }

  kill(): void {
    this.process.kill("SIGKILL")
  }
}

/** Runs until the time is over, then lets a relay drain what is left, and returns how many died where. */
const campaign = async (
  kind: Kind["name"],
  url: string,
  log: string,
  fault: () => Promise<string>,
  state: () => string
) => {
  const within = async (what: string, children: ReadonlyArray<Child>, done: () => boolean): Promise<void> => {
    const deadline = performance.now() + patienceMillis
    while (!done()) {
      if (performance.now() > deadline) {
        const said = children.map(({ errors, output }) => `${output}\n${errors}`).join("\n---\n")
        throw new Error(`${what} did not happen in ${patienceMillis / 1000} s; ${replay}\n${said}\n${state()}`)
      }
      await sleep(20)
    }
  }
  const hits: Record<string, number> = {}
  const count = (what: string): void => {
    hits[what] = (hits[what] ?? 0) + 1
  }
  let generation = 0
  let plan = below(points.length)
  const newWriter = (): Child =>
    new Child(childProgram("outboxWriter"), [url, `w${generation}`, String(seed + generation++)])
  const newRelay = (): Child =>
    new Child(childProgram("outboxRelay"), [url, log, points[plan++ % points.length]!, String(below(3))])
  const writers = [newWriter(), newWriter()]
  const relays = [newRelay(), newRelay()]
  try {
    const end = performance.now() + 1000 * Math.max(secondsDefault, seconds)
    let nextFault = performance.now() + 3000
    const missed = () => points.some((point) => canHit(kind, point) && hits[point] === undefined)
    while (performance.now() < end || (missed() && performance.now() < end + 1000 * extraSeconds)) {
      await sleep(10 + below(30))
      for (const [i, writer] of writers.entries()) {
        if (!writer.isGone && below(60) > 0) continue
        writer.kill()
        await within("the end of a writer", [writer], () => writer.isGone)
        count("writer")
        writers[i] = newWriter()
      }
      for (const [i, relay] of relays.entries()) {
        if (!relay.isOver) continue
        relay.kill()
        await within("the end of a relay", [relay], () => relay.isGone)
        count(/hit (\S+)/.exec(relay.output)?.[1] ?? "random")
        relays[i] = newRelay()
      }
      if (performance.now() > nextFault) {
        count(await fault())
        nextFault = performance.now() + 1500 + below(2000)
      }
    }
  } finally {
    for (const child of [...writers, ...relays]) child.kill()
  }
  const last = new Child(childProgram("outboxRelay"), [url, log, "none"])
  try {
    await within("an empty outbox", [last], () => last.output.endsWith("empty\n"))
  } finally {
    last.kill()
  }
  tell(`outbox on ${kind}: ${Object.entries(hits).map(([what, n]) => `${n} ${what}`).join(", ")}`)
  return hits
}

/** Orders of one writer in the order in which it made them. */
const byWriter = (ids: ReadonlyArray<string>): Map<string, Array<string>> => {
  const writers = new Map<string, Array<string>>()
  for (const id of ids) {
    const [writer = ""] = id.split(":")
    writers.set(writer, [...(writers.get(writer) ?? []), id])
  }
  return writers
}

const inOrder = (a: string, b: string): number => {
  const [, n = "", i = ""] = /:(\d+)\.(\d+)$/.exec(a) ?? []
  const [, m = "", j = ""] = /:(\d+)\.(\d+)$/.exec(b) ?? []
  return Number(n) - Number(m) || Number(i) - Number(j)
}

describe("an outbox under kills", () => {
  for (const kind of kinds({ settings: { fsync: "on" } })) {
    it.live(`keeps orders and records together on ${kind.name}`, () =>
      Effect.gen(function*() {
        const { server, sql, url } = yield* kind.make
        const log = Path.join(yield* temporaryDirectory, "audit.jsonl")
        let turn = below(3)
        const fault = async (): Promise<string> => {
          if (server === undefined) return "no fault"
          if (turn++ % 3 < 2) {
            server.terminate("application_name = '@effect/sql-pg'")
            return "terminated backends"
          }
          await server.crash()
          await server.start()
          return "server crash"
        }
        const hits = yield* Effect.promise(() => campaign(kind.name, url, log, fault, () => server?.describe() ?? ""))

        const rows = yield* Effect.retry(sql<{ id: string }>`SELECT id FROM orders`, { times: 5 })
        const committed = rows.map(({ id }) => id)
        const records = yield* readRecords(log)
        const logged = records.map(({ fields }) => String(fields["order"]))
        const copies = Fs.readFileSync(log, "utf8").match(/"src":"[^"]+"\}/g)?.length
        tell(`outbox on ${kind.name}: ${committed.length} orders, ${logged.length} records, about ${copies} lines`)
        assert.deepStrictEqual([...logged].sort(), [...committed].sort())
        for (const [writer, ids] of byWriter(logged)) assert.deepStrictEqual(ids, [...ids].sort(inOrder), writer)
        for (const point of points) {
          if (!canHit(kind.name, point)) continue
          assert.isAbove(hits[point] ?? 0, 0, `no relay died at ${point}; ${replay}`)
        }
      }), timeoutMillis)
  }
})
