import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { testFile } from "../support.ts"
import { Postgres, whyNoPostgres } from "./postgres.ts"

const why = whyNoPostgres()
if (why !== undefined) console.warn(`skipped: the PostgreSQL server of the tests (${why})`)

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe.skipIf(why !== undefined)("the PostgreSQL server of the tests", () => {
  it("keeps what was committed through a crash, and leaves nothing when it is stopped", async () => {
    const server = await Postgres.make()
    server.query("CREATE TABLE t(n int); INSERT INTO t VALUES (7)")
    const [directory = ""] = server.query("SHOW unix_socket_directories")
    await server.crash()
    expect(() => server.query("SELECT 1")).toThrow(/psql/)
    await server.start()
    expect(server.query("SELECT n FROM t")).toEqual(["7"])
    await server.stop()
    expect(Fs.existsSync(directory)).toBe(false)
  })

  it("goes with the process that started it, also when that is killed", async () => {
    const child = spawn(process.execPath, [testFile("children/postgresHolder.ts")], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    const [pid, directory] = await new Promise<[number, string]>((resolve) => {
      child.stdout.setEncoding("utf8").once("data", (text: string) => resolve(JSON.parse(text)))
    })
    expect(isAlive(pid)).toBe(true)
    child.kill("SIGKILL")
    const deadline = performance.now() + 20_000
    while ((isAlive(pid) || Fs.existsSync(directory)) && performance.now() < deadline) await sleep(20)
    expect([isAlive(pid), Fs.existsSync(directory)]).toEqual([false, false])
  })
})
