/**
 * Worker threads that scan the blocks of a log beside the thread that judges them: hashing is nearly all of the time.
 *
 * They are only ever a help. They write nothing but the tables of blocks; of a block whose table did not come, for
 * whatever reason, the judging thread makes it itself. So a worker that cannot start or dies changes no verdict.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Path from "node:path"
import { Worker } from "node:worker_threads"
import type { Keys } from "./blockScan.ts"
import { Block, type Cut, scratchBytes } from "./lineBlocks.ts"
import { LineTable } from "./lineTable.ts"
import { slackBytes } from "./stampReader.ts"

/** What a worker is started with. */
export interface Setup {
  readonly blocks: ReadonlyArray<{ readonly bytes: SharedArrayBuffer; readonly table: SharedArrayBuffer }>
  readonly keys: Keys
  readonly lineBytesMax: number
}

/** Lines of a block that are to be scanned. */
export interface Task {
  readonly block: number
  readonly start: number
  readonly end: number
}

/** So many lines of a block are in its table, which ends there. */
export interface Done {
  readonly block: number
  readonly scannedTo: number
  readonly lines: number
}

export interface PoolOptions {
  readonly workers: number
  readonly blockBytes: number
  readonly keys: Keys
  readonly lineBytesMax: number
}

/** A block that was given to a worker. `scannedTo` comes with its table; without that the worker is gone. */
export interface Scan {
  isOver: boolean
  scannedTo: number | undefined
}

interface Given extends Scan {
  readonly index: number
  readonly worker: PoolWorker
  resume: (() => void) | undefined
}

interface PoolWorker {
  readonly thread: Worker
  readonly given: Set<Given>
  isGone: boolean
}

/** A worker keeps little: small generations stay in the processor's cache. Megabytes. */
const resourceLimits = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 128 }

/** Beside this file: `.ts` in `src`, else `.js`. */
const program = new URL(`./scanWorker${Path.extname(import.meta.url)}`, import.meta.url)

export class ScanPool {
  /** Two for each worker, so that it need not wait for the next, and one to read into. */
  readonly blocks: ReadonlyArray<Block>
  private readonly workers: ReadonlyArray<PoolWorker>

  private constructor(options: PoolOptions) {
    const { blockBytes, keys, lineBytesMax, workers } = options
    const shared = Array.from({ length: 2 * workers + 1 }, () => ({
      bytes: new SharedArrayBuffer(blockBytes + slackBytes + scratchBytes),
      table: new SharedArrayBuffer(LineTable.bytesFor(LineTable.rowsFor(blockBytes)))
    }))
    const setup: Setup = { blocks: shared, keys, lineBytesMax }
    this.blocks = shared.map(({ bytes, table }) => new Block(Buffer.from(bytes), new LineTable(new Int32Array(table))))
    this.workers = startAll(workers, setup)
    for (const worker of this.workers) this.attend(worker)
  }

  /** Starts workers; they end with the scope. */
  static make(options: PoolOptions): Effect.Effect<ScanPool, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => new ScanPool(options)),
      (pool) => Effect.promise(() => Promise.all(pool.workers.map(({ thread }) => thread.terminate())))
    )
  }

  /** Gives a block to the worker that has the least to do. Nothing if no worker can have it. */
  give({ block, end, start }: Cut): Scan | undefined {
    const index = this.blocks.indexOf(block)
    const [worker] = this.workers.filter(({ isGone }) => !isGone).sort((a, b) => a.given.size - b.given.size)
    if (worker === undefined || index < 0 || block.isGrown) return undefined
    const given: Given = { index, worker, isOver: false, scannedTo: undefined, resume: undefined }
    worker.given.add(given)
    worker.thread.postMessage({ block: index, start, end } satisfies Task)
    return given
  }

  /** Waits until the worker is done with the block, or gone. */
  static await(scan: Scan): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const given = scan as Given
      if (given.isOver) return resume(Effect.void)
      given.resume = () => resume(Effect.void)
    })
  }

  private attend(worker: PoolWorker): void {
    const { given, thread } = worker
    const over = (scan: Given): void => {
      scan.isOver = true
      given.delete(scan)
      scan.resume?.()
    }
    thread.on("message", ({ block, lines, scannedTo }: Done) => {
      for (const scan of given) {
        if (scan.index !== block) continue
        this.blocks[block]!.table.count = lines
        scan.scannedTo = scannedTo
        return over(scan)
      }
    })
    // "exit" follows, and only then is it certain that the worker writes no more
    thread.on("error", () => {})
    thread.on("messageerror", () => void thread.terminate())
    thread.on("exit", () => {
      worker.isGone = true
      given.forEach(over)
    })
  }
}

/** As many as can be had: where threads are forbidden or there is no memory for them, none. */
const startAll = (count: number, workerData: Setup): ReadonlyArray<PoolWorker> => {
  const workers: Array<PoolWorker> = []
  try {
    while (workers.length < count) {
      // what the program was started with, hooks and debuggers, is not for them
      const thread = new Worker(program, { workerData, resourceLimits, execArgv: [], name: "auditlog-verify" })
      workers.push({ thread, given: new Set(), isGone: false })
    }
  } catch {
    // the judging thread does it
  }
  return workers
}
