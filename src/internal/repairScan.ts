/**
 * The reading part of a repair: what is damaged in a file, and what a reader makes of it. In constant memory.
 */
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import type * as HashChain from "../HashChain.ts"
import { type DamagedRange, DamageScanner, type Tally } from "./damageScanner.ts"
import { LogDecoder } from "./logDecoder.ts"
import * as Source from "./repairSource.ts"

export interface Settings {
  readonly dryRun: boolean
  readonly force: boolean
  readonly keys: ReadonlyArray<HashChain.Key>
  readonly lineBytesMax: number
  /** Ranges that a report lists, at most. */
  readonly rangesMax: number
  readonly onProgress: (file: string, phase: "reading" | "copying" | "checking", bytes: number, total: number) => void
}

/** What a scan has found; `ranges` are the first of them. */
export interface Scanned {
  readonly ranges: Array<DamagedRange>
  rangeCount: number
  readonly damages: Record<string, number>
  healed: number
  damagedBytes: number
  readonly tally: Tally
  readonly looksLikeLog: boolean
  readonly sha256: string
}

/** Looks for damage, and hands on each range as soon as it is complete. */
export const scan = Effect.fnUntraced(function*<E>(
  source: Source.Source,
  settings: Settings,
  phase: "reading" | "copying",
  onRanges: (ranges: ReadonlyArray<DamagedRange>) => Effect.Effect<void, E>
) {
  const scanner = new DamageScanner(settings)
  const digest = createHash("sha256")
  const found: Pick<Scanned, "ranges" | "rangeCount" | "damages" | "healed" | "damagedBytes"> = {
    ranges: [],
    rangeCount: 0,
    damages: {},
    healed: 0,
    damagedBytes: 0
  }
  const take = (ranges: ReadonlyArray<DamagedRange>): Effect.Effect<void, E> => {
    for (const range of ranges) {
      if (found.rangeCount++ < settings.rangesMax) found.ranges.push(range)
      found.damages[range.kind] = (found.damages[range.kind] ?? 0) + range.lines
      if (range.healed) found.healed += range.lines
      found.damagedBytes += range.length
    }
    return ranges.length === 0 ? Effect.void : onRanges(ranges)
  }
  yield* forEachBlock(source.path, source.fd, source.size, (bytes, end) => {
    digest.update(bytes)
    settings.onProgress(source.path, phase, end, source.size)
    return take(scanner.feed(bytes))
  })
  yield* take(scanner.end())
  const scanned: Scanned = {
    ...found,
    tally: scanner.tally,
    looksLikeLog: scanner.looksLikeLog,
    sha256: digest.digest("hex")
  }
  return scanned
})

/** Reads a file block by block, and lets other fibers run in between. */
const forEachBlock = Effect.fnUntraced(function*<E>(
  path: string,
  fd: number,
  size: number,
  onBlock: (bytes: Uint8Array, end: number) => Effect.Effect<void, E>
) {
  const block = new Uint8Array(Source.blockBytes)
  for (let offset = 0; offset < size;) {
    const bytes = yield* Source.attempt(
      path,
      "read it",
      () => Source.readAt(fd, block.subarray(0, Math.min(block.length, size - offset)), offset)
    )
    // the file was cut meanwhile, which is found out before anything is replaced
    if (bytes.length === 0) return
    offset += bytes.length
    yield* onBlock(bytes, offset)
    yield* Effect.yieldNow
  }
})

/** What a reader makes of a file: a digest of its records in their order, and how much of it is damaged. */
export const readLog = Effect.fnUntraced(function*(path: string, fd: number, size: number, settings: Settings) {
  const decoder = new LogDecoder({
    lineBytesMax: settings.lineBytesMax,
    ...(settings.keys.length === 0 ? {} : { keys: settings.keys })
  })
  decoder.begin(path)
  const raw = createHash("sha256")
  const records = createHash("sha256")
  let damages = 0
  const take = (entries: ReturnType<LogDecoder["feed"]>): void => {
    for (const entry of entries) {
      if (entry._tag === "Record" || entry._tag === "Foreign") records.update(entry.text).update("\n")
      // a line whose key is not known here may be whole: it stays
      else if (entry._tag === "Pending" || (entry._tag === "Damage" && entry.kind !== "key")) damages++
    }
  }
  yield* forEachBlock(path, fd, size, (bytes, end) =>
    Effect.sync(() => {
      raw.update(bytes)
      take(decoder.feed(bytes))
      settings.onProgress(path, "checking", end, size)
    }))
  take(decoder.endOfFile())
  take(decoder.end())
  return { sha256: raw.digest("hex"), records: records.digest("hex"), damages }
})
