/**
 * Short writes under real processes, by a library that is loaded before libc: Node re-issues the rest and reports full
 * success, and under O_APPEND that rest stands after the lines of others. Only the read-back can tell.
 */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { assert, describe, it } from "vitest"
import { compare, readLog } from "./account.ts"
import { replay, rounds, seed, tell, timeoutMillis } from "./campaign.ts"
import { withDirectory } from "./mounts.ts"
import { eachReports, until, withWriters } from "./writers.ts"

const build = (library: string): string | undefined => {
  const source = `${import.meta.dirname}/shim.c`
  const { error, status, stderr } = spawnSync(
    "cc",
    ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl"],
    { encoding: "utf8" }
  )
  if (error !== undefined) return "no C compiler (cc); apt-get install gcc libc6-dev"
  return status === 0 ? undefined : `the shim does not compile: ${stderr}`
}

/** Why the shim cannot be used here, if so: it must come between this Node and its libc. */
const cannotPreload = (): Promise<string | undefined> =>
  withDirectory(async (directory) => {
    const library = `${directory}/shim.so`
    const problem = build(library)
    if (problem !== undefined) return problem
    const log = `${directory}/log`
    const script = `fs.writeSync(fs.openSync(${JSON.stringify(log)}, "a"), "two bytes and more")`
    spawnSync(process.execPath, ["-e", script], {
      env: { ...process.env, LD_PRELOAD: library, SHIM_LOG: log, SHIM_EVERY: "1", SHIM_COUNT: `${directory}/count` }
    })
    return Fs.existsSync(`${directory}/count`)
      ? undefined
      : "a preloaded library does not come between Node and write(2)"
  })

const skip = await cannotPreload()
if (skip !== undefined) console.log(`skipped: short writes: ${skip}`)

describe.skipIf(skip !== undefined)("4 processes of which 3 write only a part every 3rd, 5th and 7th time", () => {
  it(
    "lose no acknowledged record, and show none twice and no part of a transaction",
    () =>
      withDirectory((directory) =>
        withWriters(async (start) => {
          const library = `${directory}/shim.so`
          assert.isUndefined(build(library))
          const log = `${directory}/audit.jsonl`
          const writers = [0, 3, 5, 7].map((every) =>
            start({
              log,
              name: `every${every}`,
              seed: seed + every,
              environment: every === 0 ? {} : {
                LD_PRELOAD: library,
                SHIM_LOG: log,
                SHIM_EVERY: String(every),
                SHIM_COUNT: `${directory}/count`
              }
            })
          )
          for (const _ of rounds(8)) await until(writers, "all go on", eachReports(writers, "acknowledged", 100))
          await Promise.all(writers.map((writer) => writer.stop()))
          const account = compare(await readLog(log), writers)
          const shortened = Fs.statSync(`${directory}/count`).size
          const unknown = writers.reduce((sum, writer) => sum + writer.count("unknown"), 0)
          tell(
            `short writes: ${shortened}; ${account.acknowledged} acknowledged records, ${account.found} found, ` +
              `${account.damages.length} lines damaged, ${unknown} attempts told "unknown"`
          )
          assert.isAbove(shortened, 100, replay)
          assert.isAbove(account.damages.length, 0, "no write met another one: nothing was tested")
          assert.deepStrictEqual(account.faults, [], replay)
          for (const { name, process } of writers) assert.strictEqual(process.exitCode, 0, name)
        })
      ),
    timeoutMillis
  )
})
