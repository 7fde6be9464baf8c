/**
 * A disk that really fails to store what it was given: a file system in a sparse image on a tmpfs that is then full, so
 * that the loop device answers the write-back of a flush with an error. The kernel tells the next fsync, once (as ENOSPC or
 * EIO), and forgets the pages: the records are still readable in the page cache, and gone after unmounting.
 *
 * One process writes at a time. A sibling with the file open can be told that its flush succeeded for pages that were
 * lost in a failure only the first one was told of: docs/durability.md has this limit, and no program can do better.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "vitest"
import { canTrace } from "../support.ts"
import { compare, readLog } from "./account.ts"
import { below, replay, rounds, seed, tell, timeoutMillis } from "./campaign.ts"
import { cannotMountImage, type Mounts, withMounts } from "./mounts.ts"
import { afterFailedFlush, traced } from "./trace.ts"
import { eachReports, until, withWriters } from "./writers.ts"

const KiB = 1024

const skip = cannotMountImage("ext4")
if (skip !== undefined) console.log(`skipped: a failing flush: ${skip}`)
const noTrace = canTrace()
if (noTrace !== undefined) console.log(`skipped: that a flush is not repeated: ${noTrace}`)

/**
 * Lets the loop device of a mount pass on one page at a time. When its backing file takes only a part of a request, the
 * loop driver reports success for the whole of it, and the flush that covers it succeeds: a device that lies, against
 * which nothing helps. A page is taken whole or not at all. Returns what undoes it, since the device keeps the setting.
 */
const passOnSinglePages = (mounts: Mounts, at: string): () => void => {
  const device = Path.basename(mounts.run("findmnt", "--noheadings", "--output", "SOURCE", at).trim())
  const setting = `/sys/block/${device}/queue/max_sectors_kb`
  const before = Fs.readFileSync(setting, "utf8")
  Fs.writeFileSync(setting, "4")
  return () => Fs.writeFileSync(setting, before)
}

/** One life of an image, until a flush fails; returns what happened. */
const failFlush = (mounts: Mounts, round: number) =>
  withWriters(async (start) => {
    const under = mounts.tmpfs(`under${round}`, "40m")
    const image = mounts.image(`${under}/image`, "ext4", 24, ["-b", "4096", "-E", "nodiscard"])
    // every block exists, then the free ones are given back: it is the pages of the log that will have none
    mounts.run("fallocate", "--length", "24MiB", image)
    const at = mounts.loop(image, `log${round}`)
    const undo = passOnSinglePages(mounts, at)
    try {
      mounts.run("fstrim", at)
      const log = `${at}/audit.jsonl`
      const output = mounts.path(`trace${round}`)
      const first = start({
        log,
        name: `first${round}`,
        seed: seed + round,
        fibers: 1 + below(8),
        command: [...mounts.enter, ...noTrace === undefined ? traced(log, output) : []]
      })
      await until([first], "it has begun", eachReports([first], "acknowledged", 5))
      mounts.run("sync", "--file-system", at)
      const { bavail, bsize } = Fs.statfsSync(mounts.seen(under))
      mounts.run("fallocate", "--length", String(bavail * bsize - (128 + below(512)) * KiB), `${under}/filler`)

      // a stopped log refuses each fiber until it gives up
      const end = setTimeout(() => void first.stop(), 20_000)
      await first.closed
      clearTimeout(end)
      Fs.rmSync(mounts.seen(`${under}/filler`))
      const visible = compare(await readLog(mounts.seen(log)), [first]).found
      const calls = noTrace === undefined ? afterFailedFlush(output) : []
      mounts.unmount(at)
      mounts.loop(image, `log${round}`)

      const second = start({ log, name: `second${round}`, seed: seed + round, command: mounts.enter })
      await until([second], "it has begun", eachReports([second], "acknowledged", 20))
      await second.stop()
      const account = compare(await readLog(mounts.seen(log)), [first, second])
      return { first, second, account, calls, visible }
    } finally {
      undo()
    }
  })

describe.skipIf(skip !== undefined)("a flush that fails for want of a block under the file system", () => {
  it(
    "is not repeated, nobody is acknowledged after it, and all that was acknowledged is there after mounting again",
    (context) =>
      withMounts(async (mounts) => {
        let failures = 0
        for (const round of rounds(3)) {
          const { account, calls, first, second, visible } = await failFlush(mounts, round)
          const failed = first.reports.findIndex(({ outcome }) => outcome !== "acknowledged")
          if (failed < 0) continue
          failures++
          const reports = first.reports.slice(failed)
          const reasons = new Set(reports.map(({ outcome, reason }) => `${reason} (${outcome})`))
          assert.deepStrictEqual(reports.filter(({ outcome }) => outcome === "acknowledged"), [], replay)
          assert.isTrue(reasons.has("DurabilityUnknown (unknown)"), `${[...reasons].join()}; ${replay}`)
          assert.deepStrictEqual(calls, [], `after the failed flush; ${replay}`)
          assert.deepStrictEqual(account.faults, [], replay)
          for (const { name, process } of [first, second]) assert.strictEqual(process.exitCode, 0, name)
          tell(
            `failing flush: ${[...reasons].join(", ")}; ${first.count("acknowledged")} attempts acknowledged before; ` +
              `${visible} records visible then, ${account.found - second.reports.flatMap(({ ids }) => ids).length} ` +
              `after mounting again`
          )
        }
        if (failures === 0) context.skip("no flush failed here")
      }),
    timeoutMillis
  )
})
