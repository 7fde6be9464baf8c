/**
 * Many simulated runs: `node test/simulation/campaign.ts [--from SEED] [--seeds N] [--seconds N] [--stop-at N]`.
 *
 * Prints one JSON object; exit 1 if a run broke a promise. A failing seed replays: `--from SEED --seeds 1`.
 */
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import { type Faults, none } from "./disk.ts"
import { generator, run, startThreads } from "./run.ts"

const { values } = parseArgs({
  options: {
    from: { type: "string", default: "0" },
    seeds: { type: "string", default: "1000" },
    seconds: { type: "string", default: "3600" },
    "stop-at": { type: "string", default: "5" }
  }
})

/** What kinds of trouble a seed meets; each of them alone is the easier to understand when it fails. */
const scenarios: ReadonlyArray<Faults> = [
  {
    short: 0.1,
    full: 0.05,
    kill: 0.01,
    writeError: 0.005,
    flushError: 0.01,
    rotate: 0.005,
    foreign: 0.02,
    power: 0.002
  },
  { short: 0.3, full: 0.1, kill: 0.02, writeError: 0.01, flushError: 0.02, rotate: 0.01, foreign: 0.05, power: 0.004 },
  { ...none, short: 0.3, foreign: 0.05 },
  { ...none, short: 0.3, full: 0.25 },
  { ...none, kill: 0.03, short: 0.1 },
  { ...none, power: 0.01, kill: 0.01 },
  { ...none, rotate: 0.06, short: 0.3, flushError: 0.02, power: 0.01 },
  none
]

const from = Number(values.from)
const seeds = Number(values.seeds)
const until = performance.now() + Number(values.seconds) * 1000
const failures: Array<{ readonly seed: number; readonly violations: ReadonlyArray<string> }> = []
let runs = 0
let acknowledged = 0

const threads = await startThreads(6)
for (let seed = from; seed < from + seeds && performance.now() < until; seed++) {
  const writers = 1 + Math.floor(generator(seed ^ 0x5eed)() * threads.channels.length)
  const faults = scenarios[seed % scenarios.length] ?? none
  const result = run(seed, faults, threads.channels.slice(0, writers), 3)
  runs++
  acknowledged += result.acknowledged
  if (result.violations.length > 0) failures.push({ seed, violations: result.violations.slice(0, 5) })
  if (failures.length >= Number(values["stop-at"])) break
}
await Effect.runPromise(threads.stop)
console.log(JSON.stringify({ runs, acknowledged, failures }))
process.exitCode = failures.length > 0 ? 1 : 0
