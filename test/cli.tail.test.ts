/**
 * `auditlog tail` from outside: the last records over all segments, and those to come, across rotations.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe, expect, it } from "vitest"
import { Segment } from "../src/index.ts"
import {
  auditlog,
  because,
  directory,
  ended,
  lines,
  newLog,
  noTerminal,
  onTerminal,
  recordLine,
  stackTrace,
  start
} from "./cliSupport.ts"

const one = (n: number, more = ""): string => `${recordLine(`"_tag":"Noted","n":${n}${more}`, { seq: n })}\n`

const sealedPath = (live: string, n: number): string =>
  Segment.sealedPath(live, `2026-11-23T09:15:${String(10 + n)}.000Z`, "01JD0000000000000000ABCDEF")

/** Three segments with records 0 to 29. */
const threeSegments = (): string => {
  const live = newLog()
  const part = (from: number) => Array.from({ length: 10 }, (_, i) => one(from + i)).join("")
  Fs.writeFileSync(sealedPath(live, 0), part(0))
  Fs.writeFileSync(sealedPath(live, 1), part(10))
  Fs.writeFileSync(live, part(20))
  return live
}

const numbersOf = (stdout: string): ReadonlyArray<number> =>
  stdout.split("\n").slice(0, -1).map((line) => (JSON.parse(line) as { readonly n: number }).n)

const range = (from: number, to: number): ReadonlyArray<number> => Array.from({ length: to - from }, (_, i) => from + i)

describe("auditlog tail", () => {
  it("prints the last ten records, or as many as are asked for, over all segments", async () => {
    const log = threeSegments()
    const tail = async (...args: ReadonlyArray<string>) => {
      const { code, stderr, stdout } = await auditlog(["tail", log, ...args])
      expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: "" })
      return numbersOf(stdout)
    }
    expect(await tail()).toEqual(range(20, 30))
    expect(await tail("-n", "13")).toEqual(range(17, 30))
    expect(await tail("-n13")).toEqual(range(17, 30))
    expect(await tail("-2")).toEqual([28, 29])
    expect((await auditlog(["tail", "--", "-2"])).stderr).toContain("-2: there is no such file")
    expect(await tail("-n", "100")).toEqual(range(0, 30))
    expect(await tail("-n", "0")).toEqual([])
    expect(await tail("-n", "100", "--only")).toEqual(range(20, 30))
    expect(await tail("-n", "2", "--where", "n<15")).toEqual([13, 14])
    expect((await auditlog(["tail", log, "-n", "1", "--pretty"])).stdout).toBe(
      "2026-11-23T09:15:02.114Z Noted    n=29 ABCDEF:29\n"
    )
  })

  it("finds the last records of a log that is much longer than its first look", async () => {
    const log = newLog()
    Fs.writeFileSync(log, range(0, 6000).map((n) => one(n, `,"x":"${"x".repeat(200)}"`)).join(""))
    expect(numbersOf((await auditlog(["tail", log, "-n", "3"])).stdout)).toEqual([5997, 5998, 5999])
    expect(numbersOf((await auditlog(["tail", log, "-n", "4", "--where", "n<20"])).stdout)).toEqual([16, 17, 18, 19])
    expect(numbersOf((await auditlog(["tail", log, "-n", "5990"])).stdout)).toEqual(range(10, 6000))
  })

  it("reports the damage among what it shows, and no other", async () => {
    const log = newLog()
    Fs.writeFileSync(log, `prose\n${range(0, 20).map((n) => one(n)).join("")}`)
    expect(await auditlog(["tail", log])).toMatchObject({ code: 0, stderr: "" })
    Fs.appendFileSync(log, `prose\n${one(20)}half`)
    const { code, stderr, stdout } = await auditlog(["tail", log])
    expect({ code, numbers: numbersOf(stdout) }).toEqual({ code: 1, numbers: range(11, 21) })
    expect(stderr).toMatch(/^auditlog: damage: .*: notJson: .*\nauditlog: note: .*: pending: 4 bytes .*\n$/)
  })

  it("of what is no log ends with 2 and one line", async () => {
    const at = directory()
    for (
      const args of [["no"], ["no", "-f"], ["."], ["no", "-f", "--only"], ["no", "-n", "-1"], ["no", "--where", "x"]]
    ) {
      const { code, stderr, stdout } = await auditlog(["tail", ...args], { cwd: at })
      expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: "" })
      expect(stderr).not.toMatch(stackTrace)
      expect(stderr).toMatch(/^auditlog: /)
    }
  })

  it.skipIf(because(noTerminal()))("prints lines for people on a terminal", async () => {
    const { stdout } = await onTerminal(["tail", threeSegments(), "-n", "1"], { env: { NO_COLOR: "1" } })
    expect(stdout).toBe("2026-11-23T09:15:02.114Z Noted    n=29 ABCDEF:29\n")
  })
})

describe("auditlog tail -f", () => {
  it("goes on with what is appended, across rotations, each once, and ends quietly with 130 on SIGINT", async () => {
    const log = threeSegments()
    const child = start(["tail", "-f", "-n", "2", log])
    let [stdout, stderr] = ["", ""]
    child.stdout.on("data", (chunk) => {
      stdout += String(chunk)
    })
    child.stderr.on("data", (chunk) => {
      stderr += String(chunk)
    })
    const until = async (count: number) => {
      while (stdout.split("\n").length - 1 < count) {
        expect(child.exitCode).toBe(null)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
    await until(2)
    for (let n = 30; n < 36; n++) {
      const text = one(n)
      // never half a line
      Fs.appendFileSync(log, text.slice(0, 50))
      Fs.appendFileSync(log, text.slice(50))
      await until(n - 27)
      Fs.renameSync(log, sealedPath(log, n - 20))
      Fs.writeFileSync(log, "")
    }
    const code = ended(child)
    child.kill("SIGINT")
    expect(await code).toBe(130)
    expect({ numbers: numbersOf(stdout), stderr }).toEqual({ numbers: range(28, 36), stderr: "" })
  })

  it("applies the filters to what comes, and says when the file was cut", async () => {
    const log = newLog()
    Fs.writeFileSync(log, `${one(0)}half`)
    const child = start(["tail", "-f", log, "--where", "n!=2"])
    const complaint = lines(child.stderr, 1)
    await lines(child.stdout, 1)
    Fs.writeFileSync(log, "")
    expect(await complaint).toEqual([expect.stringMatching(/^auditlog: damage: .*: truncated: the file was cut/)])
    const rest = lines(child.stdout, 2)
    Fs.appendFileSync(log, one(1) + one(2) + one(3))
    expect((await rest).map((line) => (JSON.parse(line) as { readonly n: number }).n)).toEqual([1, 3])
  })

  it("begins with what comes if no earlier records are wanted", async () => {
    const log = threeSegments()
    const child = start(["tail", "-f", "-n", "0", log])
    // it has begun when it shows something; a record that comes before that may or may not be shown
    const first = lines(child.stdout, 1)
    let n = 100
    const writing = setInterval(() => Fs.appendFileSync(log, one(n++)), 50)
    const [shown] = await first
    clearInterval(writing)
    expect((JSON.parse(shown!) as { readonly n: number }).n).toBeGreaterThanOrEqual(100)
    expect(Fs.readdirSync(Path.dirname(log))).toHaveLength(3)
  })
})
