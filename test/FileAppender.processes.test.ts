/**
 * Several processes on one file: nothing lost, nothing doubled, nothing torn; also when they are killed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import { childProgram } from "./childPrograms.ts"
import { readEntries, run, temporaryLog, testFile } from "./support.ts"

const processes = 4
const appendsEach = 5000

describe("four Node processes and a Python process on one file", () => {
  it.live(
    "every line of everyone is there once and whole, and each writer's order is kept",
    () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        Fs.writeFileSync(path, "", { mode: 0o600 })
        const ended = yield* Effect.promise(() =>
          Promise.all([
            ...Array.from(
              { length: processes },
              (_, i) => run(process.execPath, [childProgram("writer"), path, `node-${i}`, String(appendsEach), "50"])
            ),
            run("python3", [testFile("children/foreign.py"), path, "python", String(appendsEach)])
          ])
        )
        for (const { code, stderr } of ended) {
          assert.strictEqual(code, 0, stderr)
        }

        const entries = yield* readEntries(path)
        const records = entries.filter((entry) => entry._tag === "Record")
        const foreign = entries.filter((entry) => entry._tag === "Foreign")
        assert.deepStrictEqual(entries.filter(({ _tag }) => _tag !== "Record" && _tag !== "Foreign"), [])
        assert.deepStrictEqual(foreign.map(({ value }) => value["n"]), Array.from({ length: appendsEach }, (_, n) => n))

        const found = records.map(({ id }) => id)
        const acknowledged = ended.flatMap(({ stdout }) => stdout.match(/[0-9A-Z]{26}:\d+/g) ?? [])
        assert.strictEqual(acknowledged.length, processes * appendsEach)
        assert.strictEqual(new Set(found).size, found.length)
        assert.deepStrictEqual(found.toSorted(), acknowledged.toSorted())

        const lastOf = new Map<string, number>()
        const lastOfFiber = new Map<string, number>()
        for (const { fields, stamp } of records) {
          assert.strictEqual(stamp.seq, (lastOf.get(stamp.writer) ?? -1) + 1)
          lastOf.set(stamp.writer, stamp.seq)
          const fiber = `${String(fields["name"])}/${String(fields["fiber"])}`
          assert.strictEqual(fields["n"], (lastOfFiber.get(fiber) ?? -1) + 1)
          lastOfFiber.set(fiber, Number(fields["n"]))
        }
        assert.strictEqual(lastOf.size, processes)
        // the writers have seen each other: that is what makes the removal of a whole writer visible
        assert.isTrue(records.some(({ stamp }) => stamp.seen !== undefined))
      }),
    120_000
  )
})

/** Rounds of the campaign; each starts three writers and kills each at a moment of its own. */
const rounds = 50
const writers = 3

describe(`SIGKILL at random moments, ${rounds} rounds of ${writers} writers`, () => {
  it.live(
    "every acknowledged record is found, and every transaction is there as a whole or not at all",
    () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        const seed = Number(process.env["AUDITLOG_TEST_SEED"] ?? Date.now() % 1_000_000)
        const random = generator(seed)
        const acknowledged: Array<ReadonlyArray<string>> = []
        yield* Effect.promise(async () => {
          for (let round = 0; round < rounds; round++) {
            const outputs = await Promise.all(
              Array.from({ length: writers }, (_, i) => runAndKill(path, `${round}-${i}`, random() * 40))
            )
            for (const output of outputs) acknowledged.push(...acknowledgedIn(output))
          }
        })
        const replay = `replay with AUDITLOG_TEST_SEED=${seed}`
        const entries = yield* readEntries(path)
        const found = new Set(entries.flatMap((entry) => entry._tag === "Record" ? [entry.id] : []))
        assert.isAbove(acknowledged.length, rounds, replay)
        assert.deepStrictEqual(acknowledged.flat().filter((id) => !found.has(id)), [], `lost: ${replay}`)

        const parts = new Map<string, Array<number>>()
        const ids = new Set<string>()
        for (const entry of entries) {
          if (entry._tag !== "Record") continue
          assert.isFalse(ids.has(entry.id), `twice: ${entry.id}; ${replay}`)
          ids.add(entry.id)
          const { tx } = entry.stamp
          if (tx !== undefined) parts.set(tx.id, [...parts.get(tx.id) ?? [], tx.i])
          if (tx !== undefined && tx.i === tx.n - 1) {
            assert.deepStrictEqual(parts.get(tx.id), Array.from({ length: tx.n }, (_, i) => i), replay)
            parts.delete(tx.id)
          }
        }
        assert.strictEqual(parts.size, 0, `partial transactions: ${replay}`)
        // A kill leaves at most one fragment. What comes next is glued to it: a resync line, or a write that was under way
        // in another process, whose record was then appended again.
        const damages = entries.filter((entry) => entry._tag === "Damage")
        const torn = damages.length
        assert.isAtMost(torn, rounds * writers, replay)
        for (const { kind, preview } of damages) assert.strictEqual(kind, "glued", `${preview}; ${replay}`)
        console.log(
          `${acknowledged.flat().length} acknowledged records, ${found.size} found, ${torn} torn; seed ${seed}`
        )
      }),
    180_000
  )
})

const acknowledgedIn = (output: string): ReadonlyArray<ReadonlyArray<string>> =>
  // the last line may be cut: its write was under way when the process died
  output.split("\n").slice(0, -1).filter((line) => line.includes(":")).map((line) => line.split(" "))

const runAndKill = async (path: string, name: string, afterMillis: number): Promise<string> => {
  const child: ChildProcess = spawn(
    process.execPath,
    [childProgram("writer"), path, name, "1000000", "20", "transactions"],
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  let output = ""
  const started = new Promise<void>((resolve) => {
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      output += text
      if (output.includes(":")) resolve()
    })
  })
  const closed = once(child, "close")
  await started
  setTimeout(() => child.kill("SIGKILL"), afterMillis)
  await closed
  return output
}

/** A small seeded generator (mulberry32), so that a campaign can be replayed. */
const generator = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}
