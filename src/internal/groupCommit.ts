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
  readonly resume: (result: Effect.Effect<Done, Failed>) => void
  cancelled: boolean
}

/** Bytes after which a batch is closed: bounds how long one commit holds the event loop, to about 3 ms. */
const batchBytesMax = 1024 * 1024

/**
 * Callers that are answered in one turn of the event loop; the others follow in the next turns. Each of them runs on in
 * that turn, and most append again: some 10 µs each. Meanwhile the next commit is on its way to the device. Twice as many
 * are no faster and keep timers waiting for twice as long.
 */
const answersPerTurn = 32

/** Says what a caller gets. */
export type Answer<Item, Done, Failed> = (
  entry: Entry<Item, Done, Failed>,
  result: Effect.Effect<Done, Failed>
) => void

export interface GroupCommitOptions<Item, Done, Failed> {
  /** Stores a batch, answers every entry of it, and then calls `done`. Answers reach their callers in their order. */
  readonly commit: (
    batch: ReadonlyArray<Entry<Item, Done, Failed>>,
    answer: Answer<Item, Done, Failed>,
    done: () => void
  ) => void
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
 * Resumes a caller. Its fiber runs on at once, in this call: what an observer of that fiber throws is its own affair and
 * must not keep the others from their answers.
 */
const guarded = <A>(resume: (value: A) => void, value: A): void => {
  try {
    resume(value)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

/** `setImmediate`: after the input and output that is ready, so that it gets its turn too. */
const laterTurn = (run: () => void): void => {
  setImmediate(run)
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
  /** A commit has ended in the turn it began in: nothing more happens in this turn. */
  let resting = false
  /** More callers are to be answered in the next turn. */
  let settling = false
  let answers: Array<{ readonly entry: Queued; readonly result: Effect.Effect<Done, Failed> }> = []
  /** Entries of the last commit. */
  let lastBatch = 0
  /** How many of `answers` have been given. */
  let answered = 0
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
    lastBatch = batch.length
    let returned = false
    options.commit(batch, (entry, result) => answers.push({ entry, result }), () => {
      committing = false
      for (const entry of batch) pendingBytes -= entry.bytes
      if (returned) {
        settle()
        return next()
      }
      // The commit did not leave this turn of the event loop. Answering its callers in it, who may append again at once,
      // or starting the next one, would starve everything else in the process.
      resting = true
      laterTurn(() => {
        resting = false
        settle()
        next()
      })
    })
    returned = true
    if (committing) settle()
  }

  /** Answers callers, as many as one turn of the event loop takes. */
  const settle = (): void => {
    if (resting || settling) return
    const end = Math.min(answered + answersPerTurn, answers.length)
    while (answered < end) {
      const { entry, result } = answers[answered++]!
      guarded(entry.resume, result)
    }
    // The queue may never be empty under load. Each cut is at least half of it, so its cost is shared by the answers.
    if (answered * 2 >= answers.length) {
      answers = answers.slice(answered)
      answered = 0
    }
    if (answers.length === 0) return
    settling = true
    laterTurn(() => {
      settling = false
      settle()
      next()
    })
  }

  const next = (): void => {
    // While the second half of a batch is answered, the first half's next appends are on their way to the device.
    if (committing || resting || scheduled || (answers.length - answered) * 2 > lastBatch) return
    if (admitted.length > 0 || waiting.length > 0) {
      scheduled = true
      // after every fiber that is ready to run has run: they share the batch
      queueMicrotask(run)
      return
    }
    if (answers.length > 0) return
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
