/**
 * Days of a log in seconds: four processes append and rotate it every megabyte, three of them are killed and started again
 * at random moments, a follower, a reader and a verifier look on all the time.
 *
 * Two minutes, or AUDITLOG_FAULTS_SECONDS: hours, to see whether memory stays flat.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Fiber, Stream } from "effect"
import * as Fs from "node:fs"
import { setTimeout } from "node:timers/promises"
import { assert, describe, it } from "vitest"
import { LogReader, Verifier } from "../../src/index.ts"
import { compare, note, readLog } from "./account.ts"
import { below, replay, seconds, seed, tell } from "./campaign.ts"
import { withDirectory } from "./mounts.ts"
import { eachReports, until, withWriters, type Writer } from "./writers.ts"

const soakSeconds = seconds > 0 ? seconds : 120
const MiB = 1024 * 1024

/** Memory of a process that is in RAM, in MiB. */
const residentMiB = (pid: number): number => {
  const [, kilobytes = "0"] = /^VmRSS:\s+(\d+) kB$/m.exec(Fs.readFileSync(`/proc/${pid}/status`, "utf8")) ?? []
  return Math.round(Number(kilobytes) / 1024)
}

/** Everything that a follower is told, and how often something was wrong with it. */
const follow = (log: string) => {
  const told = { ids: new Set<string>(), twice: new Array<string>() }
  const fiber = LogReader.follow(log).pipe(
    Stream.runForEach((entry) =>
      Effect.sync(() => {
        if (entry._tag !== "Record") return
        if (told.ids.has(entry.id)) told.twice.push(entry.id)
        told.ids.add(entry.id)
      })
    ),
    Effect.provide(NodeFileSystem.layer),
    Effect.runFork
  )
  return { told, stop: () => Effect.runPromise(Fiber.interrupt(fiber)), failure: () => fiber.pollUnsafe() }
}

describe("four processes, rotation every megabyte, kills and restarts", () => {
  it(
    `keep every promise for ${soakSeconds} s, to a follower and to a reader too`,
    () =>
      withDirectory((directory) =>
        withWriters(async (start) => {
          const log = `${directory}/audit.jsonl`
          const writers: Array<Writer> = []
          const begin = (name: string): Writer => {
            const more = ["--rotate", String(MiB), "--pause", "2"]
            const writer = start({ log, name, seed: seed + writers.length, fibers: 8, more })
            writers.push(writer)
            return writer
          }
          const steady = begin("steady")
          await until([steady], "it has begun", eachReports([steady], "acknowledged", 500))
          const residentAtStart = residentMiB(steady.pid)
          const follower = follow(log)
          const end = performance.now() + 1000 * soakSeconds

          let kills = 0
          const killAndRestart = async (place: number): Promise<void> => {
            for (let life = 0; performance.now() < end; life++) {
              const writer = begin(`w${place}.${life}`)
              await until([writer], "it has begun", eachReports([writer], "acknowledged", 1))
              await setTimeout(below(2000))
              kills++
              await writer.kill()
            }
          }
          let readings = 0
          const readAgainAndAgain = async (): Promise<void> => {
            while (performance.now() < end) {
              const noted = note(writers)
              const entries = await readLog(log)
              // what was appended while it was read cannot be judged yet: only what was acknowledged before, and repeats
              const ids = entries.flatMap((entry) => entry._tag === "Record" ? [entry.id] : [])
              const found = new Set(ids)
              assert.strictEqual(found.size, ids.length, `a record twice; ${replay}`)
              const lost = Array.from(noted.values()).flat().filter((id) => !found.has(id))
              assert.deepStrictEqual(lost, [], `acknowledged, and not found by the reader; ${replay}`)
              readings++
              await setTimeout(500)
            }
          }
          let verifications = 0
          const verifyAgainAndAgain = async (): Promise<void> => {
            while (performance.now() < end) {
              const report = await Effect.runPromise(Effect.provide(Verifier.verify(log), NodeFileSystem.layer))
              assert.isTrue(report.sound, `a false alarm: ${JSON.stringify(report)}; ${replay}`)
              verifications++
              await setTimeout(500)
            }
          }
          await Promise.all([
            killAndRestart(1),
            killAndRestart(2),
            killAndRestart(3),
            readAgainAndAgain(),
            verifyAgainAndAgain()
          ])
          const residentAtEnd = residentMiB(steady.pid)
          await steady.stop()

          const entries = await readLog(log)
          const account = compare(entries, writers)
          const ids = entries.flatMap((entry) => entry._tag === "Record" ? [entry.id] : [])
          const deadline = performance.now() + 30_000
          while (ids.some((id) => !follower.told.ids.has(id)) && performance.now() < deadline) await setTimeout(100)
          assert.isUndefined(follower.failure(), "the follower has ended")
          await follower.stop()

          const segments = Fs.readdirSync(directory).length
          tell(
            `soak: ${kills} kills, ${readings} readings, ${verifications} verifications, ${segments} segments, ${account.acknowledged} acknowledged ` +
              `records, ${account.found} found, ${follower.told.ids.size} followed, ${account.damages.length} lines ` +
              `damaged; a writer had ${residentAtStart} MiB in memory at the start and ${residentAtEnd} at the end`
          )
          assert.deepStrictEqual(account.faults, [], replay)
          assert.deepStrictEqual(follower.told.twice, [], `told twice; ${replay}`)
          const known = new Set(ids)
          assert.deepStrictEqual(ids.filter((id) => !follower.told.ids.has(id)), [], `never told; ${replay}`)
          assert.deepStrictEqual(
            [...follower.told.ids].filter((id) => !known.has(id)),
            [],
            `told of nothing; ${replay}`
          )
          assert.isAbove(segments, 2)
          assert.isBelow(residentAtEnd, residentAtStart + 150)
        })
      ),
    1000 * (2 * soakSeconds + 120)
  )
})
