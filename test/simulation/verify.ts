/**
 * Many simulated runs, and what the verifier says of the files they leave:
 * `node test/simulation/verify.ts [--from SEED] [--seeds N] [--seconds N] [--stop-at N] [--workers]`.
 *
 * Prints one JSON object; exit 1 if it found a fault in a log that only the simulated disk has hurt, or if it does not
 * count as the reader does. `--workers`: also if it says something else with a worker thread and tiny blocks. A failing seed replays: `--from SEED --seeds 1 --keep DIRECTORY` writes its files there.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { isDeepStrictEqual, parseArgs } from "node:util"
import { HashSearch } from "../../src/internal/hashSearch.ts"
import { Block, blockBytesDefault, type Cut, LineBlocks } from "../../src/internal/lineBlocks.ts"
import { LogDecoder } from "../../src/internal/logDecoder.ts"
import * as LogVerification from "../../src/internal/logVerification.ts"
import * as RecordContent from "../../src/internal/recordContent.ts"
import { ScanPool } from "../../src/internal/scanPool.ts"
import { Verification } from "../../src/internal/verification.ts"
import type { Report } from "../../src/VerifyReport.ts"
import { type Faults, none } from "./disk.ts"
import { generator, run, startThreads } from "./run.ts"

const { values } = parseArgs({
  options: {
    from: { type: "string", default: "0" },
    seeds: { type: "string", default: "500" },
    seconds: { type: "string", default: "3600" },
    "stop-at": { type: "string", default: "5" },
    keep: { type: "string" },
    workers: { type: "boolean", default: false }
  }
})

/** Trouble that the protocol handles; in the last two, another program leaves torn lines of its own. */
const scenarios: ReadonlyArray<Faults> = [
  { ...none, short: 0.1, full: 0.05, kill: 0.01, writeError: 0.005, flushError: 0.01, rotate: 0.005, power: 0.002 },
  { ...none, short: 0.3, full: 0.1, kill: 0.02, writeError: 0.01, flushError: 0.02, rotate: 0.01, power: 0.004 },
  { ...none, short: 0.3 },
  { ...none, short: 0.3, full: 0.25 },
  { ...none, kill: 0.03, short: 0.1 },
  { ...none, power: 0.01, kill: 0.01 },
  { ...none, rotate: 0.03, short: 0.2, flushError: 0.02, power: 0.004 },
  none,
  { ...none, short: 0.3, foreign: 0.05 },
  { ...none, short: 0.2, full: 0.05, kill: 0.02, writeError: 0.005, foreign: 0.03 }
]

const options = { isPart: false, keys: undefined, lineBytesMax: 1 << 26, listedMax: 100 }

const feed = (blocks: LineBlocks, bytes: Uint8Array, take: (cut: Cut) => void): void => {
  blocks.begin()
  for (let at = 0; at < bytes.length;) {
    const into = blocks.space()
    const part = bytes.subarray(at, at + into.length)
    into.set(part)
    at += part.length
    const cut = blocks.take(part.length)
    if (cut === undefined) continue
    take(cut)
    blocks.next(cut.block)
  }
}

/** What `Verifier.verify` does with files, with bytes. */
export const verify = (segments: ReadonlyArray<Uint8Array>): Report => {
  const verification = new Verification(options)
  const blocks = new LineBlocks(options.lineBytesMax, Block.make(blockBytesDefault))
  const slice = ({ length, offset, segment }: { length: number; offset: number; segment: number }) =>
    segments[segment]!.subarray(offset, offset + length)
  for (const [i, bytes] of segments.entries()) {
    verification.begin(`segment ${i}`)
    feed(blocks, bytes, (cut) => verification.take(cut))
    verification.endOfFile(blocks.rest)
  }
  for (const comparison of verification.takeComparisons()) {
    verification.compared(comparison, RecordContent.compare(slice(comparison.first), slice(comparison.again)))
  }
  verification.end()
  if (verification.suspects.size > 0) {
    const search = new HashSearch(verification.suspects, options)
    for (const bytes of segments) {
      search.begin()
      feed(blocks, bytes, (cut) => search.take(cut))
    }
    verification.resolve(search.found)
  }
  return verification.report("simulated")
}

const names = (segments: number): ReadonlyArray<string> =>
  Array.from(
    { length: segments },
    (_, i) =>
      i === segments - 1 ? "audit.jsonl" : `audit.20261123T09${String(i + 10)}00.000Z.01JD0000000000000000000000.jsonl`
  )

const blockBytes = 700

/** Whether a worker, and blocks that nearly every line crosses, change the report. */
const isOtherWithWorkers = (segments: ReadonlyArray<Uint8Array>, pool: ScanPool) =>
  Effect.gen(function*() {
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-"))
    try {
      const files = names(segments.length).map((name) => Path.join(directory, name))
      for (const [i, file] of files.entries()) Fs.writeFileSync(file, segments[i]!)
      const live = files.at(-1)!
      const [one, other] = yield* Effect.forEach([0, pool], (workers) =>
        LogVerification.run(live, { ...options, workers, blockBytes, onProgress: () => {} }))
      return !isDeepStrictEqual(one, other)
    } finally {
      Fs.rmSync(directory, { recursive: true })
    }
  }).pipe(Effect.provide(NodeFileSystem.layer))

/** Faults that nobody explains, in words. */
const faultsOf = (report: Report, hasForeign: boolean): ReadonlyArray<string> => {
  const kinds = ["missing", "conflicts", "broken", "dangling", "unauthenticated", "unchecked"] as const
  const faults = kinds.filter((kind) => report[kind].count > 0).map((kind) =>
    `${kind}: ${JSON.stringify(report[kind])}`
  )
  // a torn line of another program is damage, whoever did it
  if (report.damages.count > 0 && !hasForeign) faults.push(`damages: ${JSON.stringify(report.damages)}`)
  return faults
}

/** Records and transactions as the reader shows them. */
const countsOf = (segments: ReadonlyArray<Uint8Array>): { readonly records: number; readonly foreign: number } => {
  const decoder = new LogDecoder({})
  const entries = segments.flatMap((bytes) => {
    decoder.begin("")
    return decoder.feed(bytes)
  })
  const count = (tag: string): number => entries.filter(({ _tag }) => _tag === tag).length
  return { records: count("Record"), foreign: count("Foreign") }
}

const from = Number(values.from)
const seeds = Number(values.seeds)
const until = performance.now() + Number(values.seconds) * 1000
const failures: Array<{ readonly seed: number; readonly faults: ReadonlyArray<string> }> = []
const totals = { runs: 0, records: 0, fragments: 0, unhealed: 0, unfinished: 0, incomplete: 0, repeats: 0, pending: 0 }

const scope = Effect.runSync(Scope.make())
const pool = values.workers
  ? Effect.runSync(Scope.provide(
    ScanPool.make({ workers: 1, blockBytes, keys: new Map(), lineBytesMax: options.lineBytesMax }),
    scope
  ))
  : undefined
const threads = await startThreads(6)
for (let seed = from; seed < from + seeds && performance.now() < until; seed++) {
  const writers = 1 + Math.floor(generator(seed ^ 0x5eed)() * threads.channels.length)
  const scenario = scenarios[seed % scenarios.length] ?? none
  const { disk } = run(seed, scenario, threads.channels.slice(0, writers), 3)
  const segments = disk.inodes.map(({ bytes }) => bytes)
  const report = verify(segments)
  const faults = [...faultsOf(report, scenario.foreign > 0)]
  const counts = countsOf(segments)
  if (counts.records !== report.records) faults.push(`${report.records} records, the reader has ${counts.records}`)
  if (counts.foreign !== report.foreign) faults.push(`${report.foreign} foreign, the reader has ${counts.foreign}`)
  if (pool !== undefined && segments.length > 0 && (await Effect.runPromise(isOtherWithWorkers(segments, pool)))) {
    faults.push("with a worker the report is another one")
  }
  totals.runs++
  totals.records += report.records
  totals.fragments += report.fragments.count
  totals.unhealed += report.fragments.first.filter(({ healed }) => !healed).length
  totals.unfinished += report.unfinished.count
  totals.incomplete += report.incomplete.count
  totals.repeats += report.repeats
  totals.pending += report.pending.length
  if (faults.length > 0) failures.push({ seed, faults })
  if (values.keep !== undefined) {
    for (const [i, bytes] of segments.entries()) Fs.writeFileSync(Path.join(values.keep, `segment.${i}.jsonl`), bytes)
  }
  if (failures.length >= Number(values["stop-at"])) break
}
await Effect.runPromise(threads.stop)
await Effect.runPromise(Scope.close(scope, Exit.void))
console.log(JSON.stringify({ ...totals, failures }))
process.exitCode = failures.length > 0 ? 1 : 0
