/**
 * Reads the files of a log into blocks, has them scanned, and their lines judged in the order of the log.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Os from "node:os"
import type * as HashChain from "../HashChain.ts"
import type { Report } from "../VerifyReport.ts"
import type { Comparison, LineRange } from "./chainCheck.ts"
import { HashSearch } from "./hashSearch.ts"
import { Block, type Cut, LineBlocks } from "./lineBlocks.ts"
import * as LogSnapshot from "./logSnapshot.ts"
import * as RecordContent from "./recordContent.ts"
import { type Scan, ScanPool } from "./scanPool.ts"
import { Verification } from "./verification.ts"

export interface LogOptions {
  readonly keys: ReadonlyArray<HashChain.Key> | undefined
  readonly isPart: boolean
  readonly listedMax: number
  readonly lineBytesMax: number
  /** How many, or those of a pool that is free, and was made for the same keys and limits. */
  readonly workers: number | "auto" | ScanPool
  readonly blockBytes: number
  readonly onProgress: (progress: { readonly bytesDone: number; readonly bytesTotal: number }) => void
}

/** A worker starts in about 40 ms: the time in which one thread scans some 20 MB. */
const autoBytesMin = 64 * 1024 * 1024

/** Two keep the memory within the promise of 150 MB. */
const autoWorkers = 2

/** More only wait for the judging thread. */
const workersMax = 16

const workersFor = (workers: number | "auto", bytes: number): number => {
  if (workers !== "auto") return workers > 0 ? Math.min(Math.ceil(workers), workersMax) : 0
  return bytes >= autoBytesMin && Os.availableParallelism() > 1 ? autoWorkers : 0
}

/** What is next to be judged, when the worker has scanned it. */
interface Step {
  readonly scan: Scan | undefined
  readonly judge: () => void
}

/** Verifies the files of a log, as they are at one moment. */
export const run: (path: string, options: LogOptions) => Effect.Effect<
  Report,
  LogSnapshot.Unreadable | LogSnapshot.Moved,
  FileSystem.FileSystem
> = Effect.fnUntraced(function*(path, options) {
  const { blockBytes, isPart, keys, lineBytesMax, onProgress } = options
  const files = yield* isPart ? LogSnapshot.single(path) : LogSnapshot.take(path)
  let bytesTotal = files.reduce((sum, { bytes }) => sum + bytes, 0)
  let bytesDone = 0
  const progress = (count: number): void => {
    bytesDone += count
    onProgress({ bytesDone, bytesTotal: Math.max(bytesTotal, bytesDone) })
  }

  const verification = new Verification(options)
  const workers = options.workers instanceof ScanPool ? 0 : workersFor(options.workers, bytesTotal)
  const pool = options.workers instanceof ScanPool
    ? options.workers
    : workers > 0
    ? yield* ScanPool.make({ workers, blockBytes, keys: verification.keys, lineBytesMax })
    : undefined
  const free = [...pool?.blocks ?? [Block.make(blockBytes)]]
  const blocks = new LineBlocks(lineBytesMax, free.pop()!)
  const steps: Array<Step> = []
  const blockCount = { all: 0, byWorkers: 0 }

  const compareRepeats = (comparisons: ReadonlyArray<Comparison>) =>
    Effect.forEach(comparisons, (comparison) =>
      Effect.zipWith(
        lineAt(files, path, comparison.first),
        lineAt(files, path, comparison.again),
        (first, again) => verification.compared(comparison, RecordContent.compare(first, again))
      ), { discard: true })

  const judgeNext = Effect.fnUntraced(function*() {
    const { judge, scan } = steps.shift()!
    if (scan !== undefined) yield* ScanPool.await(scan)
    judge()
    const comparisons = verification.takeComparisons()
    if (comparisons.length > 0) yield* compareRepeats(comparisons)
  })

  const take = Effect.fnUntraced(function*(cut: Cut, count: number) {
    const scan = pool?.give(cut)
    const judge = (): void => {
      verification.take(cut, scan?.scannedTo)
      blockCount.all++
      if (scan?.scannedTo !== undefined) blockCount.byWorkers++
      progress(count)
      free.push(cut.block)
    }
    steps.push({ scan, judge })
    while (free.length === 0) yield* judgeNext()
    blocks.next(free.pop()!)
  })

  for (const file of files) {
    yield* Effect.scoped(Effect.gen(function*() {
      const handle = yield* LogSnapshot.open(file, path)
      steps.push({ scan: undefined, judge: () => verification.begin(file.path) })
      blocks.begin()
      yield* LogSnapshot.read(file, handle, () => blocks.space(), (count) => {
        const cut = blocks.take(count)
        if (cut !== undefined) return take(cut, count)
        progress(count)
        return undefined
      })
      const { bytes, length } = blocks.rest
      const rest = { bytes: bytes.slice(), length }
      steps.push({ scan: undefined, judge: () => verification.endOfFile(rest) })
    }))
  }
  while (steps.length > 0) yield* judgeNext()
  verification.end()
  if (pool !== undefined) {
    yield* Effect.logDebug(`workers have scanned ${blockCount.byWorkers} of ${blockCount.all} blocks of ${path}`)
  }

  const { suspects } = verification
  if (suspects.size > 0) {
    bytesTotal *= 2
    const search = new HashSearch(suspects, { keys, lineBytesMax })
    for (const file of files) {
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* LogSnapshot.open(file, path)
        search.begin()
        blocks.begin()
        yield* LogSnapshot.read(file, handle, () => blocks.space(), (count) => {
          const cut = blocks.take(count)
          progress(count)
          if (cut === undefined) return undefined
          search.take(cut)
          blocks.next(cut.block)
          return undefined
        })
      }))
    }
    verification.resolve(search.found)
  }
  return verification.report(path)
}, Effect.scoped)

/** The bytes of a line that was read before. */
const lineAt = (
  files: ReadonlyArray<LogSnapshot.SnapshotFile>,
  live: string,
  { length, offset, segment }: LineRange
) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* LogSnapshot.open(files[segment]!, live)
    const bytes = new Uint8Array(length)
    const count = yield* Effect.orElseSucceed(handle.read(bytes, { position: BigInt(offset) }), () => 0)
    return bytes.subarray(0, count)
  }))
