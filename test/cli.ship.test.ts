/**
 * `auditlog ship`, `fetch` and `status` from outside: what is printed, exit codes, and what arrives on real servers.
 */
import { Effect, Exit, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { run as runShip } from "../src/cli/shipLog.ts"
import { auditlog, inProcess } from "./cliInProcess.ts"
import {
  auditlog as auditlogProcess,
  bash,
  because,
  cannotMount,
  directory,
  ended,
  lines,
  newLog,
  recordLine,
  sealed,
  smallFileSystem,
  start
} from "./cliSupport.ts"
import { type Collector, collector } from "./servers/collector.ts"
import { Nats, whyNoNats } from "./servers/nats.ts"
import { Postgres, whyNoPostgres } from "./servers/postgres.ts"
import { passing } from "./shipSupport.ts"

const hashOf = (line: string): string => line.slice(-45, -2)
const zero = recordLine(`"_tag":"RoleGranted","actor":"ada"`)
const one = recordLine(`"_tag":"RoleGranted","actor":"bob"`, { seq: 1, more: `,"prev":"${hashOf(zero)}"` })

const logOf = (...texts: ReadonlyArray<string>): string => {
  const log = newLog()
  Fs.writeFileSync(log, texts.map((text) => `${text}\n`).join(""))
  return log
}

const idOf = (log: string): string => JSON.parse(Fs.readFileSync(`${log}.source`, "utf8")).id

const listen = (server: Net.Server, port: number): Promise<Net.Server> =>
  new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)))

/** A port on which nobody listens. */
const deadPort = async (): Promise<number> => {
  const probe = await listen(Net.createServer(), 0)
  const { port } = probe.address() as Net.AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}

/** Makes a server answer on another port too. */
const forward = (port: number, to: number): Promise<Net.Server> =>
  listen(
    Net.createServer((near) => {
      const far = Net.connect(to, "127.0.0.1")
      for (const socket of [near, far]) socket.on("error", () => undefined)
      near.pipe(far).pipe(near)
    }),
    port
  )

const noPostgres = because(whyNoPostgres())
const noNats = because(whyNoNats())

describe.skipIf(noPostgres)("to PostgreSQL", () => {
  let server: Postgres | undefined
  let AUDIT_DB = ""
  beforeAll(async () => {
    server = await Postgres.make({ settings: { fsync: "on" } })
    AUDIT_DB = server.url()
  })
  afterAll(() => server?.stop())

  /** Waits until a database has so many lines of a log. */
  const arrived = async (log: string, count: number, database = "postgres"): Promise<void> => {
    const deadline = performance.now() + 20_000
    for (;; await sleep(20)) {
      const found = linesAt(log, database)
      if (found >= count) return
      expect(performance.now(), `${found} lines have arrived`).toBeLessThan(deadline)
    }
  }

  const linesAt = (log: string, database: string): number => {
    try {
      const text = `SELECT count(*) FROM auditlog.line WHERE source = '${idOf(log)}'`
      return Number(server?.query(text, database)[0])
    } catch {
      return 0
    }
  }

  it("ships once, fetches the same bytes back verified, and says how it stands", async () => {
    const log = logOf(zero, one)
    const env = { AUDIT_DB }
    const before = await auditlog(["status", log])
    expect([before.code, before.stdout]).toEqual([0, "it was never shipped: there is no .source file beside it\n"])
    const unasked = await auditlog([
      "status",
      log,
      "--to",
      `http://127.0.0.1:${await deadPort()}/v1/logs`,
      "--to",
      "env:AUDIT_DB"
    ], { env })
    expect([unasked.code, unasked.stderr]).toEqual([2, expect.stringContaining("run the setup first")])

    const scope = Effect.runSync(Scope.make())
    onTestFinished(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    const other = await Effect.runPromise(Scope.provide(collector, scope))
    const both = ["--to", other.url, "--durability", "process", "--also", "env:AUDIT_DB", "--once"]
    const also = await auditlog(["ship", log, ...both], { env })
    expect(also.stderr).toMatch(/postgres has 0 bytes of .*run the setup first/)
    expect([also.code, other.records.length]).toEqual([0, 2])

    const missing = await auditlog(["ship", log, "--to", "env:AUDIT_DB", "--once"], { env })
    expect(missing.code).toBe(2)
    expect(missing.stderr).toContain("run the setup first")

    const shipped = await auditlogProcess(["ship", log, "--to", "env:AUDIT_DB", "--setup", "--once"], { env })
    const source = `${idOf(log)}.1`
    const bytes = Fs.statSync(log).size
    expect(shipped.stderr).toContain(`has ${bytes} bytes of ${source}`)
    expect([shipped.code, shipped.stdout]).toEqual([0, ""])
    expect(shipped.stderr).not.toContain(server?.password)

    const fetched = await auditlogProcess(["fetch", "env:AUDIT_DB"], { env })
    expect(fetched.stdout).toBe(Fs.readFileSync(log, "utf8"))
    expect(fetched.stderr).toContain(": sound\n")
    expect(fetched.code).toBe(0)

    Fs.appendFileSync(log, `{"foreign":1}\n`)
    const status = await auditlog(["status", "--json", log, "--to", "env:AUDIT_DB"], { env })
    expect(JSON.parse(status.stdout)).toMatchObject({
      source,
      shipping: false,
      destinations: [{ shippedBytes: bytes, unshippedBytes: 14, problem: "" }]
    })
    expect(status.code).toBe(0)
  })

  it("fetches a source by its name into a new file, and lists what there is", async () => {
    const env = { AUDIT_DB }
    const [first, second] = [logOf(zero), logOf(zero, one)]
    for (const log of [first, second]) {
      expect((await auditlog(["ship", log, "--to", "env:AUDIT_DB", "--setup", "--once"], { env })).code).toBe(0)
    }
    const list = await auditlog(["fetch", "env:AUDIT_DB", "--list"], { env })
    const sources = list.stdout.trimEnd().split("\n").map((line) => JSON.parse(line).source)
    expect(sources).toEqual(expect.arrayContaining([`${idOf(first)}.1`, `${idOf(second)}.1`]))
    const which = await auditlog(["fetch", "env:AUDIT_DB"], { env })
    expect([which.code, which.stdout]).toEqual([2, ""])
    expect(which.stderr).toContain(`--source ${idOf(first)}.1`)
    const copy = Path.join(directory(), "copy.jsonl")
    expect((await auditlog(["fetch", "env:AUDIT_DB", "--source", idOf(second), "-o", copy], { env })).code).toBe(0)
    expect(Fs.readFileSync(copy, "utf8")).toBe(Fs.readFileSync(second, "utf8"))
  })

  it("does not replace a file with what it fetches, and says where it cannot write", async () => {
    const env = { AUDIT_DB }
    const log = logOf(zero)
    await auditlog(["ship", log, "--to", "env:AUDIT_DB", "--setup", "--once"], { env })
    const source = ["--source", idOf(log)]
    const there = await auditlog(["fetch", "env:AUDIT_DB", ...source, "-o", log], { env })
    expect([there.code, there.stderr]).toEqual([
      2,
      `auditlog: ${log} is there already, and is not replaced; give another name\n`
    ])
    expect(Fs.readdirSync(Path.dirname(log)).sort()).toEqual(["audit.jsonl", "audit.jsonl.source"])
    const folder = Path.join(Path.dirname(log), "nowhere")
    const nowhere = await auditlog(["fetch", "env:AUDIT_DB", ...source, "-o", Path.join(folder, "copy")], { env })
    expect([nowhere.code, nowhere.stderr]).toEqual([2, `auditlog: nothing can be written in ${folder} (ENOENT)\n`])
  })

  it.each([
    ["a wrong password", (url: string) => url.replace(/:[0-9a-f]+@/, ":wrong@"), "check the user and the password"],
    ["no such database", (url: string) => url.replace(/postgres$/, "nowhere"), `database "nowhere" does not exist`],
    ["a schema that is none", (url: string) => `${url}?schema=A-b`, "it must be lower-case letters"]
  ])("ends with 2 and says what is wrong: %s", async (_, change, message) => {
    const env = { AUDIT_DB: change(AUDIT_DB) }
    const log = logOf(zero)
    for (const more of [[], ["--setup"]]) {
      const { code, stderr } = await auditlog(["ship", log, "--to", "env:AUDIT_DB", ...more], { env })
      expect(stderr).toContain(message)
      expect(stderr).not.toMatch(/\n\s+at |wrong@/)
      expect(code).toBe(2)
    }
  })

  it("ships to the others while one is not there, and to that one when it comes", async () => {
    const database = server?.url("late") ?? ""
    const log = logOf(zero)
    const env = { AUDIT_DB, LATE: database.replace(/:\d+\//, `:${await deadPort()}/`) }
    const shipper = start(["ship", log, "--to", "env:LATE", "--to", "env:AUDIT_DB", "--setup"], { env })
    await arrived(log, 1)
    // the one that is not there is told of once, and asked for by status
    const status = await auditlog(["status", "--json", log, "--to", "env:LATE", "--to", "env:AUDIT_DB"], { env })
    expect(status.code).toBe(2)
    expect(status.stderr).toContain("cannot be reached or does not answer")
    const { destinations, shipping } = JSON.parse(status.stdout)
    expect(shipping).toBe(true)
    expect(destinations).toMatchObject([{ shippedBytes: null }, {
      shippedBytes: Fs.statSync(log).size,
      unshippedBytes: 0
    }])
    const proxy = await forward(Number(/:(\d+)\//.exec(env.LATE)?.[1]), server?.port ?? 0)
    server?.query(`CREATE DATABASE "late"`)
    Fs.appendFileSync(log, `${one}\n`)
    await arrived(log, 2)
    await arrived(log, 2, "late")
    shipper.kill("SIGINT")
    expect(await ended(shipper)).toBe(130)
    proxy.close()
  })

  it("removes a segment only when it is old enough and every required destination has it", async () => {
    const env = { AUDIT_DB, LATE: (server?.url("kept") ?? "").replace(/:\d+\//, `:${await deadPort()}/`) }
    const log = logOf(zero)
    const hour = 3_600_000
    let segment = log
    // the name says when it was sealed
    const sealedBefore = (millis: number): void => {
      const at = new Date(Date.now() - millis).toISOString().replaceAll(/[-:]/g, "")
      const name = log.replace(".jsonl", `.${at}.01JD0000000000000000000000.jsonl`)
      Fs.renameSync(segment, name)
      segment = name
    }
    sealedBefore(23 * hour)
    Fs.writeFileSync(log, `${one}\n`)
    const once = (...more: ReadonlyArray<string>) =>
      auditlog(["ship", log, "--to", "env:AUDIT_DB", ...more, "--setup", "--once", "--retain", "24h"], { env })
    expect((await once()).code).toBe(0)
    expect(Fs.existsSync(segment)).toBe(true)
    sealedBefore(25 * hour)
    expect((await once("--to", "env:LATE")).code).toBe(2)
    expect(Fs.existsSync(segment)).toBe(true)
    expect(await once()).toMatchObject({
      code: 0,
      stderr: expect.stringContaining(`removing ${Path.basename(segment)}, which every destination has (1 record)`)
    })
    expect(Fs.existsSync(segment)).toBe(false)
    // the record of that is in the log, and there
    expect(Fs.readFileSync(log, "utf8")).toContain(`"_tag":"auditlog/SegmentRemoved"`)
    expect(linesAt(log, "postgres")).toBe(3)
  })

  it("prints what it has found as JSON, if asked to, and the exit codes are the same", async () => {
    const env = { AUDIT_DB }
    const log = logOf(zero, one)
    const bytes = Fs.statSync(log).size
    const shipped = await auditlog(["ship", log, "--to", "env:AUDIT_DB", "--setup", "--once", "--json"], { env })
    const source = `${idOf(log)}.1`
    expect([shipped.code, shipped.stderr]).toEqual([0, ""])
    expect(jsonLines(shipped.stdout)).toMatchObject([{
      source,
      destinations: [{
        required: true,
        state: "idle",
        shippedBytes: bytes,
        unshippedBytes: 0,
        lagSeconds: 0,
        problem: ""
      }]
    }])

    const copy = Path.join(directory(), "copy.jsonl")
    const fetch = ["fetch", "env:AUDIT_DB", "--source", source, "--json"]
    const fetched = await auditlog([...fetch, "-o", copy], { env })
    expect([fetched.code, fetched.stderr]).toEqual([0, ""])
    const found = { source, log: copy, sound: true, records: 2, destination: expect.stringContaining("postgres://") }
    expect(jsonLines(fetched.stdout)).toMatchObject([found])
    expect(Fs.readFileSync(copy, "utf8")).toBe(Fs.readFileSync(log, "utf8"))
    // where the log is on stdout, the report is beside it
    const printed = await auditlog(fetch, { env })
    expect([printed.code, printed.stdout]).toEqual([0, Fs.readFileSync(log, "utf8")])
    expect(jsonLines(printed.stderr)).toMatchObject([{ source, log: null, sound: true }])

    Fs.writeFileSync(log, `${zero}\n`)
    const status = await auditlog(["status", log, "--to", "env:AUDIT_DB", "--json"], { env })
    expect([status.code, status.stderr]).toEqual([1, ""])
    expect(jsonLines(status.stdout)).toMatchObject([{
      source,
      shipping: false,
      destinations: [{ shippedBytes: bytes, problem: expect.stringContaining("the log is another one") }]
    }])
    server?.query(`UPDATE auditlog.line SET line = replace(line, 'ada', 'eve') WHERE source = '${idOf(log)}'`)
    const altered = await auditlog([...fetch, "-o", `${copy}.2`], { env })
    expect(altered.code).toBe(1)
    expect(jsonLines(altered.stdout)).toMatchObject([{ source, sound: false }])
  })

  it.each([
    [
      "the user is not let in",
      (url: string) => url.replace(/:[0-9a-f]+@/, ":wrong@"),
      "check the user and the password"
    ],
    ["nothing was ever shipped there", (url: string) => `${url}?schema=nowhere`, "its tables are not there"]
  ])("says why it cannot be read where %s, and nothing of shipping", async (_, change, message) => {
    const env = { AUDIT_DB: change(AUDIT_DB) }
    const log = logOf(zero)
    Fs.writeFileSync(`${log}.source`, `{"v":1,"id":"${crypto.randomUUID()}","generation":1}\n`)
    for (const args of [["fetch", "env:AUDIT_DB"], ["status", log, "--to", "env:AUDIT_DB"]]) {
      const { code, stderr } = await auditlog(args, { env })
      expect(stderr).toContain(message)
      expect(stderr).not.toMatch(/the log|skipped|right to append|\n\s+at /)
      expect([args[0], code]).toEqual([args[0], 2])
    }
  })

  it.skipIf(because(cannotMount()))("does not take a full disk for a copy, and leaves nothing on it", async () => {
    const log = logOf(...Array.from({ length: 400 }, (_, i) => `{"n":${i},"text":"${"x".repeat(400)}"}`))
    const small = smallFileSystem("64k")
    const env = { AUDIT_DB, TMPDIR: small }
    const shipped = await auditlog(["ship", log, "--to", "env:AUDIT_DB", "--setup", "--once"], { env: { AUDIT_DB } })
    expect(shipped.code).toBe(0)
    const fetch = ["fetch", "env:AUDIT_DB", "--source", idOf(log)]
    for (const args of [[...fetch, "-o", Path.join(small, "copy.jsonl")], fetch]) {
      const { code, stderr, stdout } = await auditlog(args, { env })
      expect(stderr).toMatch(new RegExp(`^auditlog: the copy cannot be written to ${small}\\S* \\(ENOSPC\\)\n$`))
      expect([code, stdout]).toEqual([2, ""])
      expect(Fs.readdirSync(small)).toEqual([])
    }
    const redirected = await bash(
      `$AUDITLOG fetch env:AUDIT_DB --source ${idOf(log)} > ${small}/copy.jsonl; echo "exit $?"`,
      { env: { AUDIT_DB } }
    )
    expect(redirected.stderr).toContain("cannot write to standard output (ENOSPC)")
    expect(redirected.stdout).toBe("exit 2\n")
  })

  it("says that a copy which was altered there is not sound", async () => {
    const env = { AUDIT_DB }
    const log = logOf(zero, one)
    await auditlog(["ship", log, "--to", "env:AUDIT_DB", "--setup", "--once"], { env })
    server?.query(
      `UPDATE auditlog.line SET line = replace(line, 'ada', 'eve') WHERE source = '${idOf(log)}' AND position = 0`
    )
    const fetched = await auditlog(["fetch", "env:AUDIT_DB", "--source", idOf(log)], { env })
    expect(fetched.code).toBe(1)
    expect(fetched.stderr).toContain("NOT SOUND")
    // a name that `repair` would take is only that of a file
    expect(fetched.stderr).not.toContain(`auditlog repair ${idOf(log)}`)
    expect(fetched.stderr).toContain(
      "auditlog repair moves damage out of the log, or out of a file fetched with --output"
    )
    const copy = Path.join(directory(), "copy.jsonl")
    const written = await auditlog(["fetch", "env:AUDIT_DB", "--source", idOf(log), "--output", copy], { env })
    expect(written.stderr).toContain(`auditlog repair ${copy}`)
    server?.query(`DELETE FROM auditlog.line WHERE source = '${idOf(log)}' AND position = 0`)
    const hole = await auditlog(["fetch", "env:AUDIT_DB", "--source", idOf(log)], { env })
    expect([hole.code, hole.stdout]).toEqual([1, ""])
    expect(hole.stderr).toContain("has lost the bytes from offset 0")
  })

  it("says that a log is another one than was shipped, and ships it as a new generation", async () => {
    const env = { AUDIT_DB }
    const log = logOf(zero, one)
    await auditlog(["ship", log, "--to", "env:AUDIT_DB", "--setup", "--once"], { env })
    const restored = sealed(
      `{"_audit":{"v":1,"writer":"01JD0000000000000000ABCDEF","seq":0,"at":"2026-11-23T09:15:02.114Z"}`
    )
    Fs.writeFileSync(log, `${restored}\n`)
    const status = await auditlog(["status", log, "--to", "env:AUDIT_DB"], { env })
    expect(status.code).toBe(1)
    expect(status.stdout).toContain("and the log is another one")
    const again = await auditlog(["ship", log, "--to", "env:AUDIT_DB", "--once"], { env })
    expect(again.stderr).toContain("restored, cut or repaired")
    expect([again.code, again.stderr.includes(`${idOf(log)}.2`)]).toEqual([0, true])
    const fetched = await auditlog(["fetch", "env:AUDIT_DB", "--source", idOf(log)], { env })
    expect(fetched.stdout).toBe(`${restored}\n`)
    expect(fetched.stderr).toContain("there are earlier generations")
  })

  it("follows, keeps a second shipper out, and ends when it is interrupted", async () => {
    const env = { AUDIT_DB }
    const log = logOf(zero)
    const shipper = start(["ship", log, "--to", "env:AUDIT_DB", "--setup"], { env })
    const [said] = await lines(shipper.stderr, 1)
    expect(said).toContain(`shipping ${log} as ${idOf(log)}.1 to postgres://`)
    Fs.appendFileSync(log, `${one}\n`)
    await arrived(log, 2)
    const second = await auditlogProcess(["ship", log, "--to", "env:AUDIT_DB"], { env })
    expect(second.code).toBe(2)
    expect(second.stderr).toContain("another process of this machine ships it")
    expect((await auditlog(["status", log])).stdout).toContain("a shipper is running")
    shipper.kill("SIGTERM")
    expect(await ended(shipper)).toBe(130)
  })
})

describe.skipIf(noNats)("to NATS JetStream", () => {
  let server: Nats | undefined
  let url = ""
  beforeAll(async () => {
    server = await Nats.make(1)
    url = `${server.urls[0]}/AUDIT?replicas=1&subject=audit`
  })
  afterAll(() => server?.stop())

  it("refuses what promises too little, and ships where that is asked for", async () => {
    const log = logOf(zero, one)
    const weak = await auditlog(["ship", log, "--to", url, "--setup", "--once"])
    expect(weak.code).toBe(2)
    expect(weak.stderr).toContain("promises only pageCache and fsync is asked for")
    const other = url.replace("/AUDIT", "/OTHER")
    const overlap = await auditlog(["ship", log, "--to", other, "--setup"])
    expect([overlap.code, overlap.stderr]).toEqual([2, expect.stringContaining("subjects overlap")])
    const replicated = await auditlog([
      "ship",
      log,
      "--to",
      other.replace("replicas=1&subject=audit", "subject=b"),
      "--setup"
    ])
    expect([replicated.code, replicated.stderr]).toEqual([2, expect.stringContaining("replicas > 1 not supported")])
    expect(replicated.stderr).toContain("?replicas=1 for a single one")
    const shipped = await auditlog(["ship", log, "--to", url, "--durability", "pageCache", "--once"])
    expect([shipped.code, shipped.stdout]).toEqual([0, ""])
    const fetched = await auditlog(["fetch", url])
    expect([fetched.code, fetched.stdout]).toEqual([0, Fs.readFileSync(log, "utf8")])
  })
})

/** The rows of `--json`. */
const jsonLines = (text: string): ReadonlyArray<unknown> => text.trimEnd().split("\n").map((line) => JSON.parse(line))

describe("to collectors", () => {
  const started = async (): Promise<Collector> => {
    const scope = Effect.runSync(Scope.make())
    onTestFinished(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    return Effect.runPromise(Scope.provide(collector, scope))
  }

  const required = ({ url }: Collector): ReadonlyArray<string> => ["--to", url, "--durability", "process"]

  it("brings it to those of --also too when it ships once, before it ends", async () => {
    const log = logOf(zero, one)
    const [first, second] = [await started(), await started()]
    // it has to be tried again
    second.answers.push([503, ""])
    const { code, stderr } = await auditlog(["ship", log, ...required(first), "--also", second.url, "--once"])
    for (const { records } of [first, second]) {
      expect(records.map(({ body }) => body.stringValue)).toEqual([zero, one])
    }
    expect(stderr).toContain(`${second.url} has ${Fs.statSync(log).size} bytes of ${idOf(log)}.1\n`)
    expect(code).toBe(0)
  })

  it("does not wait for those of --also for ever, and does not fail for them, but says what they lack", async () => {
    const log = logOf(zero)
    const first = await started()
    const args = {
      file: log,
      to: [first.url],
      also: [`http://127.0.0.1:${await deadPort()}/v1/logs`],
      durability: "process",
      once: true,
      setup: false,
      retain: undefined,
      linger: undefined,
      json: true
    } as const
    const { code, stdout } = await inProcess(
      Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(Effect.scoped(runShip(args)))
        yield* passing("the end", 500, Effect.sync(() => fiber.pollUnsafe() !== undefined))
      }).pipe(Effect.provide([TestClock.layer(), Logger.layer([])]))
    )
    expect(first.records.length).toBe(1)
    expect(jsonLines(stdout)).toMatchObject([{
      destinations: [
        { destination: first.url, state: "idle", unshippedBytes: 0, problem: "" },
        {
          destination: args.also[0],
          required: false,
          state: "retrying",
          shippedBytes: null,
          problem: expect.stringContaining("ECONNREFUSED")
        }
      ]
    }])
    expect(code).toBe(0)
  })

  it("ends with 1 where one of --to refuses, and with 0 where one of --also does; both are told", async () => {
    const log = logOf(zero)
    const [good, strict] = [await started(), await started()]
    strict.otherwise = [403, "no"]
    const also = await auditlog(["ship", log, ...required(good), "--also", strict.url, "--once"])
    expect(also.stderr).toContain(
      `and not the last ${Fs.statSync(log).size}: ${strict.url} refuses: the answer was 403 no`
    )
    expect(also.code).toBe(0)
    const to = await auditlog(["ship", log, ...required(strict), "--once", "--json"])
    expect(to.stderr).toContain(`cannot ship ${log}: ${strict.url} refuses: the answer was 403 no`)
    expect(to.stderr).toContain("Nothing is skipped")
    expect(jsonLines(to.stdout)).toMatchObject([{ destinations: [{ state: "stopped", shippedBytes: null }] }])
    expect(to.code).toBe(1)
  })

  it("does not take a file for a log that is none, and says where there is no log", async () => {
    const log = newLog()
    const to = ["--to", `http://127.0.0.1:${await deadPort()}/v1/logs`, "--durability", "process", "--once"]
    for (const text of ["# Notes\n\nof a meeting\n", "SQLite format 3\0\x10\0", "\n\n"]) {
      Fs.writeFileSync(log, text)
      const { code, stderr } = await auditlog(["ship", log, ...to])
      expect(stderr).toContain(
        `auditlog: ${log} is no log: there is no JSON object in its first 64 KiB. Nothing was shipped`
      )
      expect([code, Fs.existsSync(`${log}.source`)]).toEqual([2, false])
    }
    Fs.unlinkSync(log)
    const { code, stderr } = await auditlog(["status", log])
    expect([code, stderr]).toEqual([2, `auditlog: there is no log ${log}\n`])
  })

  it("ships on when nobody reads its JSON any more", async () => {
    const log = logOf(zero)
    const to = await started()
    const shipper = start(["ship", log, ...required(to), "--json"])
    await lines(shipper.stdout, 1)
    shipper.stdout.destroy()
    // it has something to say, and cannot: four attempts take longer than it waits between two looks at how it stands
    to.otherwise = [503, ""]
    const asked = to.headers.length
    Fs.appendFileSync(log, `${one}\n`)
    const deadline = performance.now() + 20_000
    while (to.headers.length < asked + 4 && performance.now() < deadline) await sleep(20)
    to.otherwise = [200, "{}"]
    while (to.records.length < 2 && performance.now() < deadline) await sleep(20)
    expect(to.records.map(({ body }) => body.stringValue)).toEqual([zero, one])
    shipper.kill("SIGTERM")
    expect(await ended(shipper)).toBe(130)
  })

  it("says as JSON when a destination begins to fail, goes on, and stops", async () => {
    const log = logOf(zero)
    const to = await started()
    const shipper = start(["ship", log, ...required(to), "--json"])
    const said = (count: number) => lines(shipper.stdout, count)
    const append = (answer: Collector["otherwise"]): void => {
      to.otherwise = answer
      Fs.appendFileSync(log, `{"n":1}\n`)
    }
    const first = said(1)
    const second = first.then(() => said(1))
    const third = second.then(() => said(1))
    const fourth = third.then(() => said(1))
    expect(jsonLines((await first)[0] ?? "")).toMatchObject([{ source: `${idOf(log)}.1` }])
    append([503, ""])
    expect((await second)[0]).toContain(`"problem":"${to.url} cannot be reached`)
    to.otherwise = [200, "{}"]
    expect((await third)[0]).toContain(`"problem":""`)
    append([403, "no"])
    expect((await fourth)[0]).toContain(`"state":"stopped"`)
    expect(await ended(shipper)).toBe(1)
  })
})

describe("wrong usage", () => {
  it.each([
    [["ship", "audit.jsonl"], "there is no destination"],
    [["ship", "audit.jsonl", "--to", "mysql://host/db"], "expected postgres://…"],
    [["ship", "audit.jsonl", "--to", "env:NOT_SET"], "the variable NOT_SET is no destination"],
    [["ship", "audit.jsonl", "--to", "nats://"], "nats:// is no URL of a destination"],
    [["ship", "audit.jsonl", "--to", "nats://x/A?replicas=x", "--setup"], "it must be a number from 1 to 5"],
    [["ship", "audit.jsonl", "--to", "nats://x/A?subject=a%20b"], "it must be letters, digits"],
    [["ship", "audit.jsonl", "--to", "nats://x/A?creds=/nowhere/a.creds"], "/nowhere/a.creds cannot be read (ENOENT)"],
    [["ship", "audit.jsonl", "--to", "nats://x/A?replica=1"], "no parameter \"replica\"; it has subject, replicas"],
    [["ship", "audit.jsonl", "--to", "nats://x/A?sync=yes"], "it must be always"],
    [["ship", ".", "--to", "nats://127.0.0.1:1/AUDIT"], ". is no file"],
    [["ship", "no/audit.jsonl", "--to", "nats://127.0.0.1:1/AUDIT"], "there is no directory"],
    [["ship", "audit.jsonl", "--to", "https://x/v1/logs", "--once"], "promises only process"],
    [["fetch", "https://x/v1/logs"], "a collector cannot be read back"],
    [["ship", "audit.jsonl", "--to", "nats://127.0.0.1:1/AUDIT", "--once"], "cannot be reached"]
  ])("%j ends with 2 and says what is wrong", async (args, message) => {
    const { code, stderr, stdout } = await auditlog(args, { cwd: directory() })
    expect(stderr).toContain(message)
    expect([code, stdout]).toEqual([2, ""])
    expect(stderr).not.toMatch(/\n\s+at /)
  })
})
