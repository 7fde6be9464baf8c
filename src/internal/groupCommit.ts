/**
 * Many callers, one commit at a time: everything that waits when a commit ends goes into the next one. No timer.
 *
 * Plain code instead of a Queue and a Deferred for each append: an entry and one resume cost 306 ns, and a Deferred
 * each 15 % of the throughput at 64 callers.
 */
import * as Effect from "effect/Effect"

/** One caller's work, and the way to answer it. */
export interface Entry<Item, Done, Failed> {
  readonly item: Item
  readonly bytes: number
  /** When it was submitted, in milliseconds of `performance.now()`. */
  readonly since: number
  /** Called by {@link answer} only. */
  readonly resume: (result: Effect.Effect<Done, Failed>) => void
  cancelled: boolean
}

/** Bytes after which a batch is closed: bounds how long one commit holds the event loop, to about 3 ms. */
const batchBytesMax = 1024 * 1024

export interface GroupCommitOptions<Item, Done, Failed> {
  /** Stores a batch, answers every entry of it, and then calls `done`. */
  readonly commit: (batch: ReadonlyArray<Entry<Item, Done, Failed>>, done: () => void) => void
  /** Bytes that may be admitted and unanswered; callers beyond it wait, in their order. */
  readonly pendingBytesMax: number
  /** What a caller gets after {@link GroupCommit.close}. */
  readonly closed: () => Failed
}

export interface GroupCommit<Item, Done, Failed> {
  /**
   * Waits for an item to be stored, which is made when the effect runs. Interrupted before its commit begins, it is not
   * stored; after that it is.
   */
  readonly submit: (item: () => Item, bytes: number) => Effect.Effect<Done, Failed>
  /** Refuses further items and waits until the admitted ones are answered. */
  readonly close: Effect.Effect<void>
}

/**
 * Answers a caller. Its fiber runs on at once, in this call: what an observer of that fiber throws is its own affair and
 * must not keep the others from their answers.
 */
export const answer = <Item, Done, Failed>(
  entry: Entry<Item, Done, Failed>,
  result: Effect.Effect<Done, Failed>
): void => guarded(entry.resume, result)

const guarded = <A>(resume: (value: A) => void, value: A): void => {
  try {
    resume(value)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

export const make = <Item, Done, Failed>(
  options: GroupCommitOptions<Item, Done, Failed>
): GroupCommit<Item, Done, Failed> => {
  type Queued = Entry<Item, Done, Failed>
  let admitted: Array<Queued> = []
  let waiting: Array<Queued> = []
  let pendingBytes = 0
  let committing = false
  let scheduled = false
  let cooling = false
  let closing = false
  let cancellations = 0
  let onIdle: Array<(nothing: undefined) => void> = []

  const admit = (): void => {
    let taken = 0
    for (const entry of waiting) {
      if (!entry.cancelled) {
        if (pendingBytes > 0 && pendingBytes + entry.bytes > options.pendingBytesMax) break
        pendingBytes += entry.bytes
        admitted.push(entry)
      }
      taken++
    }
    if (taken > 0) waiting = waiting.slice(taken)
  }

  // While a commit hangs, callers that give up must not be kept in memory. Each sweep halves the line, so its cost is
  // shared by the callers that left.
  const forgetCancelled = (): void => {
    if (++cancellations * 2 <= waiting.length) return
    cancellations = 0
    waiting = waiting.filter((entry) => !entry.cancelled)
  }

  const takeBatch = (): ReadonlyArray<Queued> => {
    const batch: Array<Queued> = []
    let bytes = 0
    let taken = 0
    while (taken < admitted.length && bytes < batchBytesMax) {
      const entry = admitted[taken++]!
      if (entry.cancelled) {
        pendingBytes -= entry.bytes
        continue
      }
      bytes += entry.bytes
      batch.push(entry)
    }
    admitted = taken === admitted.length ? [] : admitted.slice(taken)
    return batch
  }

  const run = (): void => {
    scheduled = false
    admit()
    const batch = takeBatch()
    if (batch.length === 0) return next()
    committing = true
    let returned = false
    options.commit(batch, () => {
      committing = false
      for (const entry of batch) pendingBytes -= entry.bytes
      if (returned) return next()
      // The commit did not leave this turn of the event loop. Starting the next one in it would starve everything else
      // in the process, since the callers it answers may append again at once.
      cooling = true
      setImmediate(() => {
        cooling = false
        next()
      })
    })
    returned = true
  }

  const next = (): void => {
    if (committing || cooling || scheduled) return
    if (admitted.length > 0 || waiting.length > 0) {
      scheduled = true
      // after every fiber that is ready to run has run: they share the batch
      queueMicrotask(run)
      return
    }
    const idle = onIdle
    onIdle = []
    for (const resume of idle) guarded(resume, undefined)
  }

  return {
    submit: (item, bytes) =>
      Effect.callback<Done, Failed>((resume) => {
        if (closing) return resume(Effect.fail(options.closed()))
        const entry: Queued = {
          item: item(),
          bytes,
          since: performance.now(),
          resume,
          cancelled: false
        }
        waiting.push(entry)
        next()
        return Effect.sync(() => {
          entry.cancelled = true
          forgetCancelled()
        })
      }),
    close: Effect.callback<void>((resume) => {
      closing = true
      onIdle.push(() => resume(Effect.void))
      next()
    })
  }
}
