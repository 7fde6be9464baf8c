/**
 * No room, for real: file systems that are filled and freed, and a limit on the size of a file, while several processes
 * append. They are told "no" or "unknown", stay alive, and go on by themselves when there is room.
 */
import * as Fs from "node:fs"
import { setTimeout } from "node:timers/promises"
import { assert, describe, it } from "vitest"
import { type Account, compare, readLog } from "./account.ts"
import { below, replay, rounds, seed, tell, timeoutMillis } from "./campaign.ts"
import {
  cannotMountImage,
  cannotMountTmpfs,
  type FileSystem,
  type Mounts,
  withDirectory,
  withMounts
} from "./mounts.ts"
import { eachReports, until, withWriters, type Writer } from "./writers.ts"

const KiB = 1024

/**
 * A fragment is set apart by the next writer, unless that one had looked at the end of the file before: then its batch is
 * glued to the fragment, not found by its read-back, and appended again.
 */
const describeAccount = ({ acknowledged, damages, found }: Account, writers: ReadonlyArray<Writer>): string => {
  const count = (outcome: "no" | "unknown") => writers.reduce((sum, writer) => sum + writer.count(outcome), 0)
  const healed = damages.filter((damage) => damage.healed).length
  return `${acknowledged} acknowledged records, ${found} found; ${count("no")} attempts told "no" and ` +
    `${count("unknown")} "unknown"; ${healed} fragments set apart and ${damages.length - healed} glued`
}

/** Waits until every process has been told that there is no room. */
const allRefused = (writers: ReadonlyArray<Writer>): Promise<void> =>
  until(writers, "all are refused", eachReports(writers, "no", 5))

/** Makes room until every process has been acknowledged something again: the quick ones may take all of it at first. */
const allGoOn = async (writers: ReadonlyArray<Writer>, makeRoom: () => Promise<void>): Promise<void> => {
  const goesOn = eachReports(writers, "acknowledged", 5)
  while (!goesOn()) {
    await makeRoom()
    const isFull = eachReports(writers, "no", 5)
    await until(writers, "all go on", () => goesOn() || isFull())
  }
}

/** Fills a file system with one file until there is room for about `freeBytes`, while others take room too. */
const fill = (mounts: Mounts, at: string, freeBytes: number): void => {
  Fs.appendFileSync(mounts.seen(`${at}/ballast`), "")
  const room = (): number => {
    const { bavail, bsize } = Fs.statfsSync(mounts.seen(at))
    return bavail * bsize - freeBytes
  }
  for (let step = room(); step >= 4096;) {
    try {
      mounts.run("fallocate", "--length", String(ballastBytes(mounts, at) + step), `${at}/ballast`)
      step = room()
    } catch {
      // not all that statfs calls free can be had: xfs needs some of it for its own blocks
      step = Math.floor(Math.min(room(), step / 2))
    }
  }
}

const ballastBytes = (mounts: Mounts, at: string): number => Fs.statSync(mounts.seen(`${at}/ballast`)).size

/** Makes room again. */
const free = (mounts: Mounts, at: string, bytes: number): void =>
  Fs.truncateSync(mounts.seen(`${at}/ballast`), Math.max(0, ballastBytes(mounts, at) - bytes))

/** Waits until no writer has a file open any more that was renamed: each stats the path before it writes. */
const isReleased = async (file: string, writers: ReadonlyArray<Writer>): Promise<void> => {
  const opened = (pid: number): ReadonlyArray<string> => {
    const directory = `/proc/${pid}/fd`
    return Fs.readdirSync(directory).map((fd) => {
      try {
        return Fs.readlinkSync(`${directory}/${fd}`)
      } catch {
        return ""
      }
    })
  }
  const end = performance.now() + 30_000
  while (writers.some(({ pid }) => opened(pid).includes(file))) {
    assert.isBelow(performance.now(), end, `a writer keeps ${file} open`)
    await setTimeout(5)
  }
}

const withFour = (
  log: string,
  command: ReadonlyArray<string>,
  use: (writers: ReadonlyArray<Writer>) => Promise<void>
): Promise<ReadonlyArray<Writer>> =>
  withWriters(async (start) => {
    const writers = Array.from({ length: 4 }, (_, i) => start({ log, name: `w${i}`, seed: seed + i, command }))
    await use(writers)
    await Promise.all(writers.map((writer) => writer.stop()))
    for (const { name, process, stderr } of writers) assert.strictEqual(process.exitCode, 0, `${name}: ${stderr}`)
    return writers
  })

const noTmpfs = cannotMountTmpfs()
if (noTmpfs !== undefined) console.log(`skipped: a full tmpfs: ${noTmpfs}`)

describe.skipIf(noTmpfs !== undefined)("a tmpfs of 1 MiB that 4 processes fill", () => {
  // as operators do it: the log is renamed, moved to another disk, and deleted
  it(
    "is emptied again and again: all of them go on, and nothing acknowledged is lost",
    () =>
      withMounts(async (mounts) => {
        const at = mounts.tmpfs("full", "1m")
        const log = `${at}/audit.jsonl`
        const archived = mounts.path("audit.jsonl")
        const writers = await withFour(log, mounts.enter, async (writers) => {
          let segments = 20_000_000
          for (const _ of rounds(12)) {
            await allRefused(writers)
            await allGoOn(writers, async () => {
              const segment = `audit.jsonl-${segments++}`
              Fs.renameSync(mounts.seen(log), mounts.seen(`${at}/${segment}`))
              await isReleased(`${at}/${segment}`, writers)
              Fs.copyFileSync(mounts.seen(`${at}/${segment}`), mounts.path(segment))
              Fs.rmSync(mounts.seen(`${at}/${segment}`))
            })
          }
        })
        Fs.copyFileSync(mounts.seen(log), archived)
        const account = compare(await readLog(archived), writers)
        tell(`tmpfs: ${describeAccount(account, writers)}`)
        assert.deepStrictEqual(account.faults, [], replay)
      }),
    timeoutMillis
  )
})

const images: ReadonlyArray<readonly [type: FileSystem, sizeMiB: number]> = [["ext4", 64], ["xfs", 320]]

for (const [type, sizeMiB] of images) {
  const noImage = cannotMountImage(type)
  if (noImage !== undefined) console.log(`skipped: a full ${type}: ${noImage}`)

  describe.skipIf(noImage !== undefined)(`${type} in an image that 4 processes fill`, () => {
    it(
      "gets room again and again: all go on, and it is all there after unmounting and mounting",
      () =>
        withMounts(async (mounts) => {
          const image = mounts.image(mounts.path("image"), type, sizeMiB)
          const at = mounts.loop(image, "full")
          const log = `${at}/audit.jsonl`
          const writers = await withFour(log, mounts.enter, async (writers) => {
            await until(writers, "all have begun", eachReports(writers, "acknowledged", 5))
            for (const _ of rounds(6)) {
              fill(mounts, at, below(64 * KiB))
              await allRefused(writers)
              if (ballastBytes(mounts, at) < 2048 * KiB) break
              await allGoOn(writers, async () => free(mounts, at, 128 * KiB + below(256 * KiB)))
            }
          })
          mounts.unmount(at)
          mounts.loop(image, "full")
          const account = compare(await readLog(mounts.seen(log)), writers)
          tell(`${type}: ${describeAccount(account, writers)}`)
          assert.deepStrictEqual(account.faults, [], replay)
        }),
      timeoutMillis
    )
  })
}

describe("a limit on the size of a file (ulimit -f)", () => {
  it(
    "stops who has it with StorageFull and no signal; the others go on, and after a rotation all do",
    () =>
      withDirectory((directory) =>
        withWriters(async (start) => {
          const log = `${directory}/audit.jsonl`
          // in blocks of 1024 bytes
          const limited = ["bash", "-c", "ulimit -f 256 && exec \"$@\"", "limited"]
          const bound = [0, 1].map((i) => start({ log, name: `limited${i}`, seed: seed + i, command: limited }))
          const unbound = start({ log, name: "unlimited", seed: seed + 2 })
          const writers = [...bound, unbound]
          let segments = 20_000_000
          for (const _ of rounds(4)) {
            await allRefused(bound)
            assert.isAtLeast(Fs.statSync(log).size, 256 * KiB)
            await until([unbound], "it goes on beyond the limit", eachReports([unbound], "acknowledged", 5))
            await allGoOn(bound, async () => Fs.renameSync(log, `${log}-${segments++}`))
          }
          await Promise.all(writers.map((writer) => writer.stop()))
          for (const { name, process } of writers) assert.strictEqual(process.exitCode, 0, name)
          for (const { reports } of bound) {
            const failed = reports.filter(({ outcome }) => outcome !== "acknowledged")
            assert.deepStrictEqual(new Set(failed.map(({ reason }) => reason)), new Set(["StorageFull"]))
          }
          assert.deepStrictEqual(unbound.reports.filter(({ outcome }) => outcome !== "acknowledged"), [])
          const account = compare(await readLog(log), writers)
          tell(`ulimit -f: ${describeAccount(account, writers)}`)
          assert.deepStrictEqual(account.faults, [], replay)
        })
      ),
    timeoutMillis
  )
})
