/**
 * The protocol under a seeded simulation, and the proof that the simulation can fail: with any one of its safeguards
 * taken out of the code, it finds acknowledged records lost, or transactions torn, within the same budget.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { run, temporaryDirectory, testFile } from "../support.ts"

interface Campaign {
  readonly runs: number
  readonly acknowledged: number
  readonly failures: ReadonlyArray<{
    readonly seed: number
    readonly violations?: ReadonlyArray<string>
    readonly faults?: ReadonlyArray<string>
  }>
}

const campaign = (script: string, args: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const { stderr, stdout } = await run(process.execPath, [script, ...args])
    if (stdout === "") throw new Error(stderr)
    return JSON.parse(stdout) as Campaign
  })

/** Seeds in CI; set AUDITLOG_SIMULATION_SEEDS for more, and AUDITLOG_SIMULATION_FROM for others. */
const seeds = process.env["AUDITLOG_SIMULATION_SEEDS"] ?? "5000"
const from = process.env["AUDITLOG_SIMULATION_FROM"] ?? "0"

describe("1 to 6 processes on one simulated disk, with kills, full disks, short writes, failing flushes and power cuts", () => {
  it.live(`keep every promise in ${seeds} runs`, () =>
    Effect.gen(function*() {
      const result = yield* campaign(testFile("simulation/campaign.ts"), ["--seeds", seeds, "--from", from])
      const replay = result.failures.map(({ seed, violations }) =>
        `node test/simulation/campaign.ts --from ${seed} --seeds 1: ${violations?.join("; ")}`
      )
      assert.deepStrictEqual(replay, [])
      assert.strictEqual(result.runs, Number(seeds))
      console.log(`${result.runs} runs, ${result.acknowledged} acknowledged transactions, 0 violations`)
    }), 600_000)
})

/** Each safeguard, the file it is in, the edit that takes it out, and the campaign that finds it missing. */
const safeguards: ReadonlyArray<
  readonly [name: string, file: string, code: string, without: string, script?: string]
> = [
  [
    "the read-back",
    "internal/logWriter.ts",
    "if (foundAt < 0) return i",
    "if (foundAt < 0) { at += line.bytes; offset += line.bytes; continue }"
  ],
  [
    "the resync line",
    "internal/logWriter.ts",
    `buffer.close(Codec.resyncHead(this.head.writer, key), "", digest)`,
    `buffer["put"]("\\n")`
  ],
  ["the check of the hash", "HashChain.ts", `parts.hash ? "ok" : "hash"`, `parts.hash ? "ok" : "ok"`],
  [
    "the flush before the acknowledgement",
    "internal/logWriter.ts",
    `if (this.options.sync === "deferred") {`,
    `if (this.options.sync !== "never") {`
  ],
  [
    "the new writer id after an unknown outcome",
    "internal/logWriter.ts",
    "this.head = { writer: SecureRandom.ulidUnsafe(), seq: 0, prev: undefined }\n    return",
    "return"
  ],
  // without it readers, who know an attempt by it, still show each record once; the evidence no longer holds
  [
    "the number of the try",
    "internal/logWriter.ts",
    "{ seen, attempt, key }",
    "{ seen, attempt: 0, key }",
    "verify.ts"
  ],
  [
    "the whole transaction or nothing in the reader",
    "internal/reassembly.ts",
    "if (open.parts.size < open.expected) return",
    ""
  ]
]

describe("the simulation has teeth: it finds a violation without", () => {
  for (const [name, file, code, without, script = "campaign.ts"] of safeguards) {
    it.live(name, () =>
      Effect.gen(function*() {
        const copy = yield* temporaryDirectory
        const root = Path.join(import.meta.dirname, "../..")
        Fs.cpSync(Path.join(root, "src"), Path.join(copy, "src"), { recursive: true })
        Fs.cpSync(testFile("simulation"), Path.join(copy, "test/simulation"), { recursive: true })
        Fs.copyFileSync(Path.join(root, "package.json"), Path.join(copy, "package.json"))
        Fs.symlinkSync(Path.join(root, "node_modules"), Path.join(copy, "node_modules"))
        const path = Path.join(copy, "src", file)
        const text = Fs.readFileSync(path, "utf8")
        assert.strictEqual(text.split(code).length, 2, `the safeguard is not where this test looks for it: ${code}`)
        Fs.writeFileSync(path, text.replace(code, () => without))
        const result = yield* campaign(Path.join(copy, "test/simulation", script), [
          "--seeds",
          "5000",
          "--stop-at",
          "1"
        ])
        assert.strictEqual(result.failures.length, 1, `no violation in ${result.runs} runs`)
        const [failure] = result.failures
        console.log(`without ${name}: run ${result.runs}: ${(failure?.violations ?? failure?.faults ?? [])[0]}`)
      }), 300_000)
  }
})
