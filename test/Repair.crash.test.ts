/**
 * A repair that is killed at each of its system calls that open, change or flush a file, and run again: the log, the
 * quarantine and the directory are those of a repair that nothing has disturbed. The program that is killed is the real
 * one, under strace.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { auditlog, bin, environment } from "./cliSupport.ts"
import { type Moved, putBack, quarantined, repair } from "./repairSupport.ts"
import { canTrace, granted, openFileLog, run, temporaryLog } from "./support.ts"

const skip = canTrace()
if (skip !== undefined) console.log(`skipped: ${skip}`)

/** The system calls that change something, and those that come before them. */
const systemCalls = ["openat", "write", "fsync", "fdatasync", "rename", "unlink", "fchmod", "fchown", "utimensat"]

const pathsOf = (path: string) => ({
  log: path,
  copy: `${path}.repair-copy`,
  quarantine: `${path}.quarantine`,
  directory: Path.dirname(path)
})

type Target = keyof ReturnType<typeof pathsOf>

/** Where a repair is killed: at the n-th call of this name that has to do with this path. */
interface Point {
  readonly call: string
  readonly target: Target
  readonly n: number
}

const strace = (path: string, args: ReadonlyArray<string>) =>
  run("strace", ["-f", "-qq", "-y", ...args, process.execPath, bin, "repair", path, "--force"], {
    // the count of calls is one for each thread
    env: environment({ UV_THREADPOOL_SIZE: "1" })
  })

const killAt = async (path: string, { call, n, target }: Point): Promise<boolean> => {
  const inject = ["-e", `trace=${call}`, "-e", `inject=${call}:signal=SIGKILL:when=${n}`, "-P", pathsOf(path)[target]]
  const { code, signal, stderr } = await strace(path, ["-o", "/dev/null", ...inject])
  assert.isTrue(code === 0 || signal === "SIGKILL" || code === 137, stderr)
  return code !== 0
}

const isOf = (line: string, path: string): boolean =>
  /(?:"([^"]*)"|\(\d+<([^>]*)>)/.exec(line)?.slice(1).includes(path) ?? false

/** The calls of an undisturbed repair, as points at which one can be killed. */
const pointsOf = async (path: string): Promise<{
  readonly points: ReadonlyArray<Point>
  readonly order: ReadonlyArray<string>
}> => {
  const order: Array<string> = []
  const points: Array<Point> = []
  const paths = Object.entries(pathsOf(path)) as ReadonlyArray<[Target, string]>
  const output = `${Path.dirname(path)}.strace`
  const only = paths.flatMap(([, at]) => ["-P", at])
  const { code, stderr } = await strace(path, ["-o", output, "-e", `trace=${systemCalls.join(",")}`, ...only])
  assert.strictEqual(code, 0, stderr)
  const trace = Fs.readFileSync(output, "utf8")
  Fs.rmSync(output)
  for (const [target, at] of paths) {
    const counts = new Map<string, number>()
    for (const line of trace.split("\n")) {
      const [, thread, call] = /^(\d+) +(\w+)\(/.exec(line) ?? []
      // as strace -P has it: the descriptor, or the first path of the arguments
      if (thread === undefined || call === undefined || !isOf(line, at)) continue
      const n = (counts.get(`${thread} ${call}`) ?? 0) + 1
      counts.set(`${thread} ${call}`, n)
      if (!points.some((point) => point.call === call && point.target === target && point.n === n)) {
        points.push({ call, target, n })
      }
    }
  }
  for (const line of trace.split("\n")) {
    const [, call] = /^\d+ +(\w+)\(/.exec(line) ?? []
    const target = paths.find(([, at]) => isOf(line, at))?.[0]
    if (call !== undefined && target !== undefined) order.push(`${call} ${target}`)
  }
  return { points, order }
}

/** Several kinds of damage, so that each step of a repair takes more than one call. */
const writeDamaged = Effect.fnUntraced(function*(path: string) {
  yield* Effect.scoped(Effect.gen(function*() {
    const { log } = yield* openFileLog({ path })
    yield* log.append(granted("one"))
    yield* log.appendAll([granted("two"), granted("three")])
  }))
  const record = Fs.readFileSync(path)
  Fs.appendFileSync(path, "garbage\n")
  Fs.appendFileSync(path, record)
  Fs.appendFileSync(path, Buffer.concat([Buffer.alloc(20), Buffer.from(`{"foreign":1}\n{"torn":`)]))
  Fs.chmodSync(path, 0o640)
})

interface Outcome {
  readonly log: string
  readonly quarantine: ReadonlyArray<Moved>
  readonly names: ReadonlyArray<string>
  readonly modes: ReadonlyArray<number>
}

const outcomeOf = (path: string): Outcome => ({
  log: Fs.readFileSync(path, "latin1"),
  quarantine: quarantined(`${path}.quarantine`),
  names: Fs.readdirSync(Path.dirname(path)).sort(),
  modes: [path, `${path}.quarantine`].map((file) => Fs.statSync(file).mode & 0o7777)
})

describe.skipIf(skip !== undefined)("a repair that is killed and run again", () => {
  let damaged: Buffer
  let expected: Outcome
  let points: ReadonlyArray<Point>
  let order: ReadonlyArray<string>

  const restore = (path: string): void => {
    Fs.writeFileSync(path, damaged)
    Fs.chmodSync(path, 0o640)
  }

  beforeAll(() =>
    Effect.runPromise(Effect.scoped(Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeDamaged(path)
      damaged = Fs.readFileSync(path)
      ;({ order, points } = yield* Effect.promise(() => pointsOf(path)))
      expected = outcomeOf(path)
    })))
  )

  it("is killed at every kind of step", () => {
    const steps = points.filter(({ n }) => n === 1).map(({ call, target }) => `${call} ${target}`)
    for (
      const step of [
        "openat copy",
        "write copy",
        "fsync copy",
        "fchmod copy",
        "utimensat copy",
        "openat quarantine",
        "write quarantine",
        "fdatasync quarantine",
        "rename copy",
        "fsync directory"
      ]
    ) assert.include(steps, step)
    assert.isAbove(points.length, 20)
    assert.deepStrictEqual(expected.names, ["audit.jsonl", "audit.jsonl.quarantine"])
    assert.deepStrictEqual(expected.modes, [0o640, 0o640])
    assert.deepStrictEqual(expected.quarantine.map(({ _tag }) => _tag), [
      "RepairStarted",
      "BytesMoved",
      "BytesMoved",
      "BytesMoved",
      "RepairFinished"
    ])
  })

  it("makes the quarantine and the copy durable before the rename, and the rename before it says that it is done", () => {
    const renamed = order.indexOf("rename copy")
    assert.isAbove(renamed, 0)
    const before = order.slice(0, renamed)
    for (const target of ["quarantine", "copy"]) {
      const flushed = Math.max(before.lastIndexOf(`fsync ${target}`), before.lastIndexOf(`fdatasync ${target}`))
      assert.isAbove(flushed, before.lastIndexOf(`write ${target}`), target)
    }
    const after = order.slice(renamed)
    assert.isAbove(after.indexOf("fsync directory"), 0)
    assert.isBelow(after.indexOf("fsync directory"), after.indexOf("write quarantine"))
    assert.isAbove(after.lastIndexOf("fdatasync quarantine"), after.lastIndexOf("write quarantine"))
  })

  it.effect("comes to the same end from each system call at which it was killed", () =>
    Effect.forEach(points, (point) =>
      Effect.scoped(Effect.gen(function*() {
        const path = yield* temporaryLog
        restore(path)
        assert.isTrue(yield* Effect.promise(() => killAt(path, point)), `not killed at ${JSON.stringify(point)}`)
        // before the rename the file is the damaged one, and after it the clean one: never anything else
        const between = Fs.readFileSync(path, "latin1")
        assert.include([damaged.toString("latin1"), expected.log], between)
        if (between === expected.log) {
          assert.strictEqual(quarantined(`${path}.quarantine`).filter(({ _tag }) => _tag === "BytesMoved").length, 3)
        }
        yield* repair(path)
        assert.deepStrictEqual(outcomeOf(path), expected, `killed at ${JSON.stringify(point)}`)
        assert.isTrue(putBack(path).equals(damaged))
        yield* repair(path)
        assert.deepStrictEqual(outcomeOf(path), expected, `a third run, after ${JSON.stringify(point)}`)
      })), { concurrency: 2, discard: true }))

  it.effect("comes to the same end when the second run is killed too", () =>
    Effect.forEach(
      [
        { call: "unlink", target: "copy", n: 1 },
        { call: "openat", target: "copy", n: 2 },
        { call: "write", target: "copy", n: 2 },
        { call: "rename", target: "copy", n: 1 },
        { call: "fsync", target: "directory", n: 1 },
        { call: "fdatasync", target: "quarantine", n: 1 }
      ] as const,
      (point) =>
        Effect.scoped(Effect.gen(function*() {
          const path = yield* temporaryLog
          restore(path)
          yield* Effect.promise(() => killAt(path, { call: "rename", target: "copy", n: 1 }))
          assert.include(Fs.readdirSync(Path.dirname(path)), "audit.jsonl.repair-copy")
          assert.isTrue(yield* Effect.promise(() => killAt(path, point)), `not killed at ${JSON.stringify(point)}`)
          const third = yield* Effect.promise(() => auditlog(["repair", path, "--force"]))
          assert.strictEqual(third.code, 0, third.stderr)
          assert.deepStrictEqual(outcomeOf(path), expected, `killed at ${JSON.stringify(point)}`)
        })),
      { concurrency: 2, discard: true }
    ))
})
