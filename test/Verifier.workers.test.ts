/**
 * The verifier with worker threads: they do the work, the report is the same whatever is damaged, and nothing that
 * happens to them makes it another one.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Logger, References } from "effect"
import * as Fs from "node:fs"
import { Verifier } from "../src/index.ts"
import { recordLine } from "./cliSupport.ts"
import { generator } from "./simulation/run.ts"
import { run, temporaryDirectory, temporaryLog, testFile } from "./support.ts"
import { verifyBoth } from "./verifySupport.ts"

const verify = (path: string, options?: Verifier.VerifyOptions) =>
  Effect.provide(Verifier.verify(path, options), NodeFileSystem.layer)

const writerOf = (n: number): string => `01JD${String(n).padStart(22, "0")}`

const hashOf = (line: string): string => line.slice(-45, -2)

/** Lines of several writers that see each other, with transactions, repeats, other programs and long lines. */
const logLines = (random: () => number, count: number): Array<string> => {
  const heads = new Map<number, { seq: number; prev: string }>()
  const lines: Array<string> = []
  let newest = ""
  for (let i = 0; i < count; i++) {
    const number = Math.floor(random() * 4)
    const { prev, seq } = heads.get(number) ?? { seq: 0, prev: "" }
    const sees = newest !== "" && newest !== prev && random() < 0.4
    const tx = random() < 0.3 ? `,"tx":{"id":"${writerOf(100 + Math.floor(i / 3))}","i":0,"n":2}` : ""
    const more = (prev === "" ? "" : `,"prev":"${prev}"`) + (sees ? `,"seen":"${newest}"` : "") + tx
    // short ones, and few damages: what may be torn is put together in every way, which takes seconds
    const size = random() < 0.03 ? 500 : random() * 40
    const line = recordLine(`"x":"${"é".repeat(size)}"`, { writer: writerOf(number), seq, more })
    lines.push(line)
    newest = hashOf(line)
    heads.set(number, { seq: seq + 1, prev: newest })
    if (random() < 0.1) lines.push(`{"other":${i}}`)
    if (random() < 0.03) lines.push(line)
  }
  return lines
}

/** Hurts the bytes of a log in some places. */
const hurt = (bytes: Buffer, random: () => number): Buffer => {
  let hurt = bytes
  for (let left = Math.floor(random() * 4); left > 0; left--) {
    const at = Math.floor(random() * hurt.length)
    const length = Math.min(Math.floor(random() * 400), hurt.length - at)
    const kind = Math.floor(random() * 6)
    if (kind === 0) hurt[at] = Math.floor(random() * 256)
    else if (kind === 1) hurt = Buffer.concat([hurt.subarray(0, at), hurt.subarray(at + length)])
    else if (kind === 2) hurt.fill(0, at, at + length)
    else if (kind === 3) hurt[at] = 0x0a
    else if (kind === 4) {
      hurt = Buffer.concat([hurt.subarray(0, at + length), hurt.subarray(at)])
    } else hurt = Buffer.concat([hurt.subarray(0, at), Buffer.from("\r\n\n  \n"), hurt.subarray(at)])
  }
  return random() < 0.3 ? hurt.subarray(0, Math.floor(random() * hurt.length)) : hurt
}

/** Blocks that the workers have scanned, and all of them. */
const scanned = (path: string, options: Verifier.VerifyOptions) =>
  Effect.gen(function*() {
    const messages: Array<string> = []
    const logger = Logger.make(({ message }) => void messages.push(String(message)))
    const report = yield* verify(path, options).pipe(
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "Debug")
    )
    const [, byWorkers, all] = /have scanned (\d+) of (\d+) blocks/.exec(messages.join("\n")) ?? []
    return { report, byWorkers: Number(byWorkers ?? 0), all: Number(all ?? 0) }
  })

/** Workers of verifications that this process has; other threads come and go. */
const workerCount = (): number =>
  Fs.readdirSync("/proc/self/task").filter((task) => {
    try {
      return Fs.readFileSync(`/proc/self/task/${task}/comm`, "utf8") === "auditlog-verify\n"
    } catch {
      return false // it has ended
    }
  }).length

const bigLog = (path: string, megabytes: number): void => {
  const line = `${JSON.stringify({ other: "x".repeat(1000) })}\n`
  Fs.writeFileSync(path, line.repeat(Math.ceil(megabytes * 1e6 / line.length)))
}

describe("a log that is verified with workers", () => {
  /** More: `AUDITLOG_WORKER_SEEDS=N`; one again: `AUDITLOG_WORKER_FROM=SEED AUDITLOG_WORKER_SEEDS=1`. */
  const from = Number(process.env["AUDITLOG_WORKER_FROM"] ?? 0)
  const seeds = Number(process.env["AUDITLOG_WORKER_SEEDS"] ?? 40)
  it.live(
    `has the same report as with none, in ${seeds} damaged logs, where lines cross blocks everywhere`,
    () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        const found = { damages: 0, missing: 0, conflicts: 0, broken: 0, dangling: 0, fragments: 0 }
        for (let seed = from; seed < from + seeds; seed++) {
          const random = generator(seed)
          const lines = logLines(random, 10 + random() * 30)
          Fs.writeFileSync(path, hurt(Buffer.from(lines.map((line) => `${line}\n`).join("")), random))
          const lineBytesMax = seed % 3 === 0 ? 2500 : undefined
          const report = yield* verifyBoth(path, { lineBytesMax, listedMax: seed % 2 === 0 ? 2 : 100 }).pipe(
            Effect.catchCause((cause) => Effect.die(new Error(`seed ${seed}`, { cause })))
          )
          for (const kind of Object.keys(found) as Array<keyof typeof found>) found[kind] += report[kind].count
        }
        // the logs hold what there is to be judged
        if (seeds >= 40) { for (const [kind, count] of Object.entries(found)) assert.isAbove(count, 0, kind) }
      }),
    120_000
  )

  /** More: `node test/simulation/verify.ts --workers --seeds N --from SEED`. */
  it.live("has the same report as with none after 60 simulated runs", () =>
    Effect.gen(function*() {
      const { stderr, stdout } = yield* Effect.promise(() =>
        run(process.execPath, [testFile("simulation/verify.ts"), "--workers", "--seeds", "60"])
      )
      assert.notStrictEqual(stdout, "", stderr)
      const { failures, runs } = JSON.parse(stdout)
      assert.deepStrictEqual([failures, runs], [[], 60])
    }), 120_000)

  it.live("is scanned by them, all of it, and they end with it", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      bigLog(path, 8)
      const before = workerCount()
      const { all, byWorkers, report } = yield* scanned(path, { workers: 2 })
      assert.isTrue(report.sound)
      assert.isAbove(all, 10)
      assert.strictEqual(byWorkers, all)
      assert.strictEqual(workerCount(), before)
    }))

  it.live("leaves no thread behind when it is interrupted", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      bigLog(path, 60)
      const before = workerCount()
      const started = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(verify(path, {
        workers: 2,
        onProgress: () => void Deferred.doneUnsafe(started, Exit.void)
      }))
      yield* Deferred.await(started)
      assert.strictEqual(workerCount(), before + 2)
      const exit = yield* Fiber.interrupt(fiber).pipe(Effect.andThen(Fiber.await(fiber)))
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.strictEqual(workerCount(), before)
    }))

  it.live("needs none by default where it is small", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      bigLog(path, 8)
      assert.strictEqual((yield* scanned(path, {})).all, 0)
      Fs.truncateSync(path, 0)
      assert.isTrue((yield* verify(path, { workers: 2 })).sound)
    }))

  it.live("is read to its end by one thread where workers cannot start", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      bigLog(path, 4)
      const program = `
        import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
        import { Effect } from "effect"
        import { Verifier } from ${JSON.stringify(testFile("../src/index.ts"))}
        const report = await Effect.runPromise(
          Effect.provide(Verifier.verify(process.argv[1], { workers: 2 }), NodeFileSystem.layer)
        )
        console.log(report.sound, report.lines)`
      const lines = Fs.readFileSync(path, "latin1").split("\n").length - 1
      // by the permission model, and by a program that is not there
      const args = ["--permission", "--allow-fs-read=*", "--input-type=module", "-e", program, path]
      const forbidden = yield* Effect.promise(() => run(process.execPath, args, { cwd: import.meta.dirname }))
      assert.strictEqual(forbidden.stdout, `true ${lines}\n`, forbidden.stderr)

      const directory = yield* temporaryDirectory
      const copy = `${directory}/src`
      Fs.cpSync(testFile("../src"), copy, { recursive: true })
      Fs.symlinkSync(testFile("../node_modules"), `${directory}/node_modules`)
      Fs.copyFileSync(testFile("../package.json"), `${directory}/package.json`)
      const start = program.replace(testFile("../src/index.ts"), `${copy}/index.ts`)
      const runBroken = () => run(process.execPath, ["--input-type=module", "-e", start, path], { cwd: directory })
      // no program, one that throws, one that ends, one that takes all memory, one that dies at its third block
      const real = Fs.readFileSync(`${copy}/internal/scanWorker.ts`, "utf8")
      const dying = real.replace("const block = own", "if (--left < 0) process.exit(1)\n  const block = own")
      const broken = [
        undefined,
        "throw new Error('no')",
        "process.exit(3)",
        "for (const all = [];;) all.push([...new Array(1e5)])",
        `let left = 2\n${dying}`
      ]
      assert.notStrictEqual(dying, real)
      for (const text of broken) {
        if (text === undefined) Fs.rmSync(`${copy}/internal/scanWorker.ts`)
        else Fs.writeFileSync(`${copy}/internal/scanWorker.ts`, text)
        const ended = yield* Effect.promise(runBroken)
        assert.strictEqual(ended.stdout, `true ${lines}\n`, `${text}: ${ended.stderr}`)
      }
    }), 60_000)
})
