/**
 * Power cuts: the image of a file system is cloned in the middle of the appends, mounted from the clone, and compared with
 * what had been acknowledged before. Mounting replays the journal, as after a crash.
 *
 * The clone is a reflink (FICLONE) on an outer file system that is made for it: it holds the lock of the image file, so it
 * is the state of the disk at one instant, with no write of the loop device in halves. What it has not is the page cache
 * of the inner file system: all that was written and not flushed. What it proves is that a record is on the disk when it
 * is acknowledged, that the name of a new log is, and that a log which a crash left is read and continued. What it does
 * not show is a disk that loses its own cache, for the loop device has stored whatever it was sent, in order; that a flush
 * empties that cache is the word of the kernel and the disk.
 *
 * A log with `sync: "never"` has to lose records in the same cut: else the cut was none.
 */
import * as Fs from "node:fs"
import { setTimeout } from "node:timers/promises"
import { assert, describe, it } from "vitest"
import { compare, note, readLog } from "./account.ts"
import { below, replay, rounds, seed, tell, timeoutMillis } from "./campaign.ts"
import { cannotMountImage, type FileSystem, type Mounts, withMounts } from "./mounts.ts"
import { eachReports, until, withWriters, type Writer } from "./writers.ts"

/** What xfs needs to mount a file system a second time. */
const cloneOptions: Record<FileSystem, ReadonlyArray<string>> = { ext4: [], xfs: ["nouuid"] }

interface Disk {
  readonly at: string
  /** Cuts the power, and shows the disk to a block as the next start of the machine finds it. */
  readonly cut: <A>(use: (at: string) => Promise<A>) => Promise<A>
}

/** A file system whose disk can be cloned in an instant. */
const cloneable = (mounts: Mounts, type: FileSystem, sizeMiB: number): Disk => {
  const outer = mounts.loop(mounts.image(mounts.path("outer"), "xfs", 2048), "disks")
  const image = mounts.image(`${outer}/image`, type, sizeMiB)
  const at = mounts.loop(image, "log")
  return {
    at,
    cut: async (use) => {
      const clone = `${outer}/clone`
      Fs.copyFileSync(mounts.seen(image), mounts.seen(clone), Fs.constants.COPYFILE_FICLONE_FORCE)
      const restarted = mounts.loop(clone, "restarted", cloneOptions[type])
      try {
        return await use(restarted)
      } finally {
        mounts.unmount(restarted)
        Fs.rmSync(mounts.seen(clone))
      }
    }
  }
}

const types: ReadonlyArray<readonly [type: FileSystem, sizeMiB: number, cuts: number]> = [
  ["ext4", 256, 8],
  ["xfs", 320, 4]
]

for (const [type, sizeMiB, cuts] of types) {
  const skip = cannotMountImage("xfs") ?? cannotMountImage(type)
  if (skip !== undefined) console.log(`skipped: power cuts with ${type}: ${skip}`)

  describe.skipIf(skip !== undefined)(`power cuts while 3 processes append to a log on ${type}`, () => {
    it(
      "lose no acknowledged record, leave transactions whole, and a log that can be continued",
      () =>
        withMounts((mounts) =>
          withWriters(async (start) => {
            const disk = cloneable(mounts, type, sizeMiB)
            const log = `${disk.at}/audit.jsonl`
            const { enter } = mounts
            const writers = [0, 1, 2].map((i) => start({ log, name: `w${i}`, seed: seed + i, command: enter }))
            const found: Array<{ noted: ReturnType<typeof note>; entries: Awaited<ReturnType<typeof readLog>> }> = []
            const restarts: Array<Writer> = []
            // at once: the log itself is new
            await until(writers, "it has begun", () => writers.some((writer) => writer.count("acknowledged") > 0))
            for (const round of rounds(cuts)) {
              if (round > 0) await setTimeout(below(150))
              const noted = note(writers)
              await disk.cut(async (at) => {
                const restarted = `${at}/audit.jsonl`
                found.push({ noted, entries: await readLog(mounts.seen(restarted)) })
                const next = start({ log: restarted, name: `next${round}`, seed: seed + round, command: enter })
                await until([next], "it goes on", eachReports([next], "acknowledged", 5))
                await next.stop()
                found.push({
                  noted: new Map([...noted, ...note([next])]),
                  entries: await readLog(mounts.seen(restarted))
                })
                restarts.push(next)
              })
              if (Fs.statSync(mounts.seen(log)).size > 64 * 1024 * 1024) break
            }
            await Promise.all(writers.map((writer) => writer.stop()))
            const accounts = found.map(({ entries, noted }) => compare(entries, [...writers, ...restarts], noted))
            assert.deepStrictEqual(accounts.flatMap(({ faults }) => faults), [], replay)
            const acknowledged = accounts.filter((_, i) => i % 2 === 0).map((account) => account.acknowledged)
            tell(`power cuts with ${type}: ${acknowledged.join(", ")} records were acknowledged, and all found`)
            assert.isAbove(Math.max(...acknowledged), 100)
          })
        ),
      timeoutMillis
    )

    it(
      "do lose records of a log that is not flushed: the cut is real",
      () =>
        withMounts((mounts) =>
          withWriters(async (start) => {
            const disk = cloneable(mounts, type, sizeMiB)
            const log = `${disk.at}/audit.jsonl`
            const writer = start({ log, name: "unsynced", seed, command: mounts.enter, sync: "never" })
            await until([writer], "it has begun", eachReports([writer], "acknowledged", 100))
            const noted = note([writer])
            const entries = await disk.cut((at) => readLog(mounts.seen(`${at}/audit.jsonl`)))
            await writer.stop()
            const { acknowledged, faults, found } = compare(entries, [writer], noted)
            assert.isTrue(faults.some((fault) => fault.startsWith("acknowledged and lost")), replay)
            tell(`power cut with ${type}, not flushed: ${acknowledged} records acknowledged, ${found} found`)
          })
        ),
      timeoutMillis
    )
  })
}
