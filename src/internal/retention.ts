/**
 * Removes the oldest sealed segments of a log, and leaves a record of each in the log before it does.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { constants } from "node:fs"
import { basename, dirname } from "node:path"
import * as Segment from "../Segment.ts"
import { errorCode, type FilePort } from "./filePort.ts"
import { LogDecoder } from "./logDecoder.ts"

interface Limits {
  /** Sealed segments older than this go, by the time of their sealing. */
  readonly ageMillis: number
  /** The oldest go until the segments together have at most so many bytes. */
  readonly bytes: number
}

/** What a writer has left in a removed segment: where its chain went on from there. */
interface WriterSummary {
  readonly writer: string
  readonly from: number
  readonly to: number
  readonly hash: string
}

/** The record that stands in the log for a removed segment. */
export interface SegmentRemoved {
  readonly _tag: "auditlog/SegmentRemoved"
  readonly segment: string
  readonly bytes: number
  readonly records: number
  /**
   * At most {@link writersMax}. The record of a segment that was removed earlier goes with the segment it stands in, so
   * this one says of its writers as well where they were.
   */
  readonly writers: ReadonlyArray<WriterSummary>
}

/** About 120 bytes each, so that the record stays within the hard limit of 1 MiB. */
const writersMax = 5000

/** Read in one turn of the event loop: about a millisecond of work. */
const blockBytes = 256 * 1024

interface Candidate {
  readonly path: string
  readonly bytes: number
  readonly sealedMillis: number
}

/** The sealed segments that the limits say should go, oldest first. */
const due = (
  port: FilePort,
  live: string,
  limits: Limits,
  nowMillis: number,
  mayRemove: (path: string) => boolean
): ReadonlyArray<Candidate> => {
  const segments = Segment.pick(live, port.list(dirname(live)))
  const sized = segments.map((segment) => ({ ...segment, bytes: port.lstat(segment.path)?.size ?? 0 }))
  let total = sized.reduce((sum, { bytes }) => sum + bytes, 0)
  const candidates: Array<Candidate> = []
  for (const { bytes, kind, path } of sized) {
    if (kind !== "sealed") continue
    const sealedMillis = Segment.sealedMillis(live, path)
    if (total <= limits.bytes && nowMillis - sealedMillis <= limits.ageMillis) continue
    // the ones after it stay too, so that what is left has no hole
    if (!mayRemove(path)) break
    total -= bytes
    candidates.push({ path, bytes, sealedMillis })
  }
  return candidates
}

/** Whether the fields are those of a {@link SegmentRemoved}, as far as they are read here. */
const isRemoval = Schema.is(Schema.Struct({
  _tag: Schema.Literal("auditlog/SegmentRemoved"),
  writers: Schema.Array(Schema.Struct({
    writer: Schema.String,
    from: Schema.Number,
    to: Schema.Number,
    hash: Schema.String
  }))
}))

/**
 * Which writers a record names if they are too many: those that have written more than once, since a writer of one
 * record is mostly a command that has ended, and of these the last ones.
 */
const mostAlive = (writers: ReadonlyArray<WriterSummary>): ReadonlyArray<WriterSummary> =>
  writers.length <= writersMax
    ? writers
    : [...writers.filter(({ to }) => to === 0), ...writers.filter(({ to }) => to > 0)].slice(-writersMax)

/** The `_hash` of a line, which stands at its end: 43 characters before `"}`. */
const hashOf = (line: string): string => line.slice(-45, -2)

/** Reads a segment through, a block in each turn of the event loop. */
const summarize = Effect.fnUntraced(function*(port: FilePort, { bytes, path }: Candidate) {
  const decoder = new LogDecoder({})
  const writers = new Map<string, WriterSummary>()
  let records = 0
  const fd = port.open(path, constants.O_RDONLY | constants.O_NOFOLLOW, 0)
  const block = new Uint8Array(blockBytes)
  const scan = Effect.gen(function*() {
    for (let position = 0;;) {
      const count = port.read(fd, block, position)
      const entries = count === 0 ? decoder.end() : decoder.feed(block.subarray(0, count))
      for (const entry of entries) {
        if (entry._tag !== "Record") continue
        records++
        for (const earlier of isRemoval(entry.fields) ? entry.fields.writers : []) {
          if (earlier.to > (writers.get(earlier.writer)?.to ?? -1)) writers.set(earlier.writer, earlier)
        }
        const { stamp: { seq, writer } } = entry
        const from = Math.min(seq, writers.get(writer)?.from ?? seq)
        writers.delete(writer)
        writers.set(writer, { writer, from, to: seq, hash: hashOf(entry.text) })
      }
      if (count === 0) return
      position += count
      yield* Effect.yieldNow
    }
  })
  yield* Effect.ensuring(scan, Effect.sync(() => port.close(fd)))
  return {
    _tag: "auditlog/SegmentRemoved",
    segment: basename(path),
    bytes,
    records,
    writers: mostAlive(Array.from(writers.values()))
  } satisfies SegmentRemoved
})

/**
 * Removes what is due. Each removal is in the log, durably, before it happens; a failure leaves the rest for next time.
 * An interruption waits for the segment that is being removed.
 */
export const apply = <E>(options: {
  readonly port: FilePort
  readonly live: string
  readonly limits: Limits
  readonly nowMillis: () => number
  /** Whether nobody needs a segment any more; by default nobody does. */
  readonly mayRemove?: (path: string) => boolean
  /** Whether to begin with another segment; by default until none is due. */
  readonly goesOn?: () => boolean
  readonly append: (record: SegmentRemoved) => Effect.Effect<unknown, E>
  readonly warned: (problem: string) => void
}): Effect.Effect<void, E> => {
  const { append, goesOn = () => true, limits, live, mayRemove = () => true, nowMillis, port, warned } = options
  const isGone = (candidate: Candidate): boolean => port.lstat(candidate.path) === undefined
  // another process may be faster at any moment; that both say so in the log does no harm
  const remove = Effect.fnUntraced(function*(candidate: Candidate) {
    if (isGone(candidate)) return
    const summary = yield* summarize(port, candidate)
    if (isGone(candidate)) return
    yield* append(summary)
    port.unlink(candidate.path)
    port.fsyncDirectory(dirname(live))
  }, (removal, candidate) =>
    removal.pipe(
      Effect.catchDefect((cause) => isGone(candidate) ? Effect.void : Effect.die(cause)),
      Effect.uninterruptible
    ))
  return Effect.gen(function*() {
    for (const candidate of due(port, live, limits, nowMillis(), mayRemove)) {
      yield* remove(candidate)
      if (!goesOn()) return
    }
  }).pipe(
    Effect.catchDefect((cause) =>
      Effect.sync(() => warned(`old segments cannot be removed (${errorCode(cause)}); they stay`))
    )
  )
}
