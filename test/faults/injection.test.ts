/**
 * System calls that fail, by strace, in three processes that append to one log at the same time.
 */
import { assert, describe, it } from "vitest"
import { canTrace } from "../support.ts"
import { type Account, compare, readLog } from "./account.ts"
import { below, replay, rounds, seed, tell, timeoutMillis } from "./campaign.ts"
import { withDirectory } from "./mounts.ts"
import { afterFailedFlush, oneThread, traced } from "./trace.ts"
import { until, withWriters, type Writer } from "./writers.ts"

const skip = canTrace()
if (skip !== undefined) console.log(`skipped: injected failures: ${skip}`)

/** Lets three processes append, each with its injections, until each has ended or has made so many attempts. */
const round = (log: string, name: string, rules: ReadonlyArray<ReadonlyArray<string>>, attempts: number) =>
  withWriters(async (start) => {
    const writers = rules.map((rules, i) =>
      start({
        log,
        name: `${name}.${i}`,
        seed: seed + i,
        command: traced(log, `${log}.${name}.${i}.strace`, rules),
        environment: oneThread
      })
    )
    const isDone = (writer: Writer): boolean => writer.hasEnded || writer.reports.length >= attempts
    await Promise.all(writers.map((writer) => until([writer], "it is done", () => isDone(writer))))
    await Promise.all(writers.map((writer) => writer.stop()))
    return writers
  })

const describeAccount = ({ acknowledged, damages, found }: Account): string =>
  `${acknowledged} acknowledged records, ${found} found, ${damages.length} lines damaged`

/** The failures of write(2): none, no room for a while or now and then, a part that was not written, an error, a kill. */
const writeRules: ReadonlyArray<() => ReadonlyArray<string>> = [
  () => [],
  () => {
    const from = 1 + below(10)
    return [`write:error=ENOSPC:when=${from}..${from + below(5)}`]
  },
  () => [`write:error=ENOSPC:when=${1 + below(5)}+${2 + below(4)}`],
  () => [`write:error=EDQUOT:when=${1 + below(5)}+${2 + below(4)}`],
  () => [`write:retval=${1 + below(200)}:when=${1 + below(5)}+${2 + below(4)}`],
  () => [`write:error=EIO:when=${1 + below(20)}`],
  () => [`write:signal=SIGKILL:when=${1 + below(30)}`]
]

/** The failures of fdatasync(2): none, an error, a slow disk, a kill while it waits. */
const flushRules: ReadonlyArray<() => ReadonlyArray<string>> = [
  () => [],
  () => [`fdatasync:error=EIO:when=${1 + below(20)}`],
  () => [`fdatasync:error=EIO:when=${1 + below(20)}`],
  () => [`fdatasync:delay_enter=${1000 * (1 + below(20))}`],
  () => [`fdatasync:signal=SIGKILL:when=${1 + below(20)}`]
]

const pick = (rules: ReadonlyArray<() => ReadonlyArray<string>>): ReadonlyArray<string> => rules[below(rules.length)]!()

describe.skipIf(skip !== undefined)("three processes on one log", () => {
  it(
    "each killed at one of its first 30 writes: every acknowledged record is there, and no part of a transaction",
    () =>
      withDirectory(async (directory) => {
        const log = `${directory}/audit.jsonl`
        const writers: Array<Writer> = []
        for (let at = 1; at <= 30; at += 3) {
          const rules = [at, at + 1, at + 2].map((when) => [`write:signal=SIGKILL:when=${when}`])
          writers.push(...await round(log, `kill${at}`, rules, Number.POSITIVE_INFINITY))
        }
        for (const { cut, name } of writers) assert.isTrue(cut, `${name} was not killed`)
        const account = compare(await readLog(log), writers)
        tell(`30 kills in a write: ${describeAccount(account)}`)
        assert.deepStrictEqual(account.faults, [], replay)
        assert.isAbove(account.acknowledged, 100)
      }),
    timeoutMillis
  )

  it(
    "with failures of every kind: what is told of an attempt is true, and no flush is repeated after one failed",
    () =>
      withDirectory(async (directory) => {
        const log = `${directory}/audit.jsonl`
        const writers: Array<Writer> = []
        let flushes = 0
        for (const number of rounds(8)) {
          const rules = Array.from({ length: 3 }, () => [...pick(writeRules), ...pick(flushRules)])
          const which = `round ${number}: ${rules.map((rule) => rule.join(" ") || "none").join(" | ")}; ${replay}`
          const these = await round(log, `mix${number}`, rules, 60)
          writers.push(...these)
          for (const [i, { name, reports }] of these.entries()) {
            const calls = afterFailedFlush(`${log}.${name}.strace`)
            if (calls === undefined) continue
            flushes++
            assert.deepStrictEqual(calls.filter((call) => /write|sync/.test(call)), [], `${which}: ${i}`)
            const failed = reports.findIndex(({ reason }) => reason === "DurabilityUnknown")
            assert.isAtLeast(failed, 0, `${which}: ${i}`)
            assert.isFalse(reports.slice(failed).some(({ outcome }) => outcome === "acknowledged"), `${which}: ${i}`)
          }
          const account = compare(await readLog(log), writers)
          assert.deepStrictEqual(account.faults, [], which)
        }
        const count = (outcome: "no" | "unknown") => writers.reduce((sum, writer) => sum + writer.count(outcome), 0)
        tell(
          `${writers.length} processes with injections, ${flushes} failed flushes: ` +
            `${describeAccount(compare(await readLog(log), writers))}; ` +
            `${count("no")} attempts told "no" and ${count("unknown")} "unknown"`
        )
      }),
    timeoutMillis
  )
})
