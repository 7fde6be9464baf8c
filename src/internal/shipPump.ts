/**
 * Ships one log to one destination, for ever: reads a run, flushes it, hands it over, and asks the destination where it
 * stands whenever an answer is missing. What the destination says is the truth; nothing is remembered here.
 */
import type * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import {
  type Chunk,
  type Destination,
  type DestinationRejected,
  DestinationUnavailable,
  type Head,
  type HeadMismatch,
  type Source,
  tooLarge
} from "../Destination.ts"
import { errorCode, type FilePort } from "./filePort.ts"
import * as Metrics from "./shipMetrics.ts"
import { type Run, SourceReader } from "./sourceReader.ts"
import * as SourceSegments from "./sourceSegments.ts"

export interface Settings {
  readonly live: string
  readonly port: FilePort
  readonly chunkBytes: number
  readonly lingerMillis: number
  readonly pollMillis: number
  readonly attemptMillis: number
  readonly retryMillisMax: number
  readonly unshippedBytesMax: number
  readonly clock: Clock.Clock
}

/** Shipping to this destination is over until somebody has changed something. */
export class Stopped extends Data.TaggedError("Stopped")<{ readonly problem: string }> {}

export type State = "starting" | "idle" | "shipping" | "retrying" | "stopped"

interface Waiter {
  /** The look after which it asked. */
  readonly after: number
  readonly resume: (effect: Effect.Effect<void, Stopped>) => void
}

const refused = ({ message }: DestinationRejected): Stopped =>
  new Stopped({ problem: `${message}. Nothing is skipped: start the shipper again when that is done` })

const retryMillisMin = 100

/** How long the rest of a transaction is waited for: writes take microseconds, unless their process was stopped. */
const holdMillis = 1000

/** How often the unshipped bytes are counted, which lists the directory. */
const countMillis = 250

export class Pump {
  readonly destination: Destination
  readonly required: boolean
  state: State = "starting"
  problem = ""
  /** What the destination has acknowledged; `undefined` as long as it has not been asked. */
  head: Head | undefined
  lagBytes = 0
  /** When the oldest record was appended that is not there; `undefined` if there is none. */
  oldestMillis: number | undefined
  /** Open as long as less than the maximum is unshipped, or shipping is over. */
  readonly room: Latch.Latch
  /** After which look an append asked in vain and went on: others do not wait until a later look has been shipped. */
  private degradedAfter: number | undefined
  private readonly settings: Settings
  private readonly changed: Latch.Latch
  private readonly reader: SourceReader
  private readonly waiters: Array<Waiter> = []
  private countedMillis = Number.NEGATIVE_INFINITY
  /** Since when this destination is asked where it stands; nobody knows before how old what it lacks is. */
  private askedMillis = 0
  /** Bytes that were read and are not acknowledged. */
  private handedOut = 0
  private failures = 0
  private isWarned = false
  private isAlarmed = false

  constructor(destination: Destination, required: boolean, settings: Settings) {
    this.destination = destination
    this.required = required
    this.settings = settings
    this.changed = Latch.makeUnsafe(false)
    this.room = Latch.makeUnsafe(true)
    this.reader = new SourceReader({
      port: settings.port,
      live: settings.live,
      chunkBytes: settings.chunkBytes,
      holdMillis,
      nowMillis: () => settings.clock.currentTimeMillisUnsafe()
    })
  }

  /** Whether appends that may degrade do not wait for this one. */
  get isDegraded(): boolean {
    return this.degradedAfter !== undefined
  }

  /** Lets appends that may degrade go on without waiting, until what is in the log now has been shipped. */
  degrade(): void {
    this.degradedAfter ??= this.reader.looks
  }

  /** How old the oldest record is that the destination does not have. */
  lagMillis(nowMillis: number): number {
    return this.oldestMillis === undefined || this.lagBytes === 0 ? 0 : Math.max(0, nowMillis - this.oldestMillis)
  }

  /** Says that something may have been appended. */
  wake(): void {
    this.changed.openUnsafe()
  }

  /** Succeeds when the destination has everything that is in the log now. */
  readonly caughtUp: Effect.Effect<void, Stopped> = Effect.callback((resume) => {
    if (this.state === "stopped") return resume(Effect.fail(new Stopped({ problem: this.problem })))
    const waiter: Waiter = { after: this.reader.looks, resume }
    this.waiters.push(waiter)
    this.wake()
    return Effect.sync(() => {
      const at = this.waiters.indexOf(waiter)
      if (at >= 0) this.waiters.splice(at, 1)
    })
  })

  /** Ends when shipping has stopped; fails when the log is not what was shipped. */
  run(source: Source): Effect.Effect<void, SourceSegments.Diverged> {
    return Effect.raceFirst(this.ship(source), this.counting).pipe(
      Effect.catchTag("Stopped", (stopped) => this.stop(stopped.problem)),
      Effect.ensuring(Effect.sync(() => this.reader.close()))
    )
  }

  private readonly ship = Effect.fnUntraced(function*(this: Pump, source: Source) {
    const { destination } = this
    this.askedMillis = this.nowMillis()
    let pending: Chunk | undefined
    for (;;) {
      const asked = yield* Effect.result(this.attempt(destination.head(source)))
      if (Result.isFailure(asked)) {
        yield* this.failed(asked.failure)
        continue
      }
      const head = asked.success
      if (pending !== undefined && head?.offset === pending.to && head.resume === pending.resume) {
        // it was taken, and the answer was lost
        yield* this.acknowledged(pending)
        pending = undefined
      } else if (pending === undefined || head?.resume !== this.head?.resume || (head?.offset ?? 0) !== pending.from) {
        pending = undefined
        this.handedOut = 0
        this.head = head
        yield* this.reading(() => this.reader.seek(head?.resume))
      }
      for (;;) {
        pending ??= yield* this.nextChunk(source)
        this.state = "shipping"
        const given = yield* Effect.result(this.attempt(destination.append(pending)))
        if (Result.isFailure(given)) {
          yield* this.failed(given.failure)
          break
        }
        yield* this.acknowledged(pending)
        pending = undefined
      }
    }
  })

  /** Waits for whole lines, and for their being on the device. */
  private readonly nextChunk = Effect.fnUntraced(function*(this: Pump, source: Source) {
    const { capabilities } = this.destination
    const from = this.head?.offset ?? 0
    for (;;) {
      this.changed.closeUnsafe()
      const run = yield* this.reading(() => this.reader.next(capabilities.chunkBytesMax))
      // who is answered may ask at once how it stands
      if (run === undefined) this.state = "idle"
      this.answer()
      if (run === undefined) {
        yield* this.idle
        continue
      }
      yield* this.flush(run)
      const { bytes, lines, resume } = run
      const chunk: Chunk = { source, from, to: from + bytes.length, lines, bytes, resume }
      const at = Date.parse(run.at)
      this.oldestMillis = Number.isNaN(at) ? this.nowMillis() : at
      this.handedOut = bytes.length
      this.lagBytes = Math.max(this.lagBytes, bytes.length)
      yield* this.count
      if (bytes.length > capabilities.chunkBytesMax) {
        return yield* refused(tooLarge(this.destination.name, chunk, capabilities))
      }
      return chunk
    }
  })

  private readonly idle: Effect.Effect<void> = Effect.suspend(() => {
    this.oldestMillis = undefined
    this.countedMillis = Number.NEGATIVE_INFINITY
    const { lingerMillis, pollMillis } = this.settings
    return this.count.pipe(
      Effect.andThen(Effect.raceFirst(this.changed.await, Effect.sleep(pollMillis))),
      // an append that waits for its acknowledgement is shipped at once, with all that came with it
      Effect.andThen(
        Effect.suspend(() => this.waiters.length > 0 || lingerMillis === 0 ? Effect.void : Effect.sleep(lingerMillis))
      )
    )
  })

  /** Only bytes that are on the device leave it: else a power cut could leave the copy ahead of the log. */
  private flush(run: Run): Effect.Effect<void, Stopped> {
    return Effect.suspend(() => {
      const unsynced = this.reader.unsynced(run)
      if (unsynced === undefined) return Effect.void
      return Effect.uninterruptible(Effect.callback<void, Stopped>((resume) => {
        this.settings.port.fdatasync(unsynced.fd, (error) => {
          if (error === null || error === undefined) {
            unsynced.done()
            resume(Effect.void)
            return
          }
          const problem = `the flush of the log failed (${errorCode(error)}); check the device, then start again`
          resume(Effect.fail(new Stopped({ problem })))
        })
      }))
    })
  }

  private attempt<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | DestinationUnavailable> {
    const { attemptMillis } = this.settings
    return Effect.timeoutOrElse(effect, {
      duration: attemptMillis,
      orElse: () =>
        Effect.fail(
          new DestinationUnavailable({
            destination: this.destination.name,
            problem: `no answer within ${attemptMillis} ms`
          })
        )
    })
  }

  private readonly failed = Effect.fnUntraced(function*(
    this: Pump,
    failure: DestinationRejected | DestinationUnavailable | HeadMismatch
  ) {
    if (failure._tag === "DestinationRejected") return yield* refused(failure)
    this.failures++
    this.problem = failure.message
    // one that has not answered since the start may lack all that is there
    this.oldestMillis ??= this.askedMillis
    yield* Metric.update(Metrics.retries(this.destination.name), 1)
    yield* this.count
    // one mismatch is what a lost acknowledgement looks like
    const isExpected = failure._tag === "HeadMismatch" && this.failures === 1
    if (isExpected) return yield* Effect.void
    if (!this.isWarned) yield* this.log("Warn", `${failure.message}; trying again until it does`)
    this.isWarned = true
    this.state = "retrying"
    const most = Math.min(this.settings.retryMillisMax, retryMillisMin * 2 ** Math.min(this.failures - 1, 20))
    // spread, so that a thousand shippers do not come back in the same moment
    return yield* Effect.sleep(most * (0.5 + (yield* Random.next) / 2))
  })

  private readonly acknowledged = Effect.fnUntraced(function*(this: Pump, { bytes, lines, resume, to }: Chunk) {
    const { name } = this.destination
    this.head = { offset: to, resume }
    this.handedOut = 0
    // until it is counted again
    this.lagBytes = Math.max(0, this.lagBytes - bytes.length)
    if (this.isWarned) yield* this.log("Info", `shipping to ${name} goes on`)
    this.isWarned = false
    this.failures = 0
    this.problem = ""
    yield* Metric.update(Metrics.chunks(name), 1)
    yield* Metric.update(Metrics.lines(name), lines)
    yield* Metric.update(Metrics.bytes(name), bytes.length)
  })

  /** Counts for ever: also while the destination takes its time with an answer, or has none. */
  private readonly counting: Effect.Effect<never> = Effect.forever(
    Effect.andThen(Effect.sleep(countMillis), Effect.suspend(() => this.count))
  )

  private readonly count = Effect.suspend(() => {
    const nowMillis = this.nowMillis()
    if (nowMillis - this.countedMillis < countMillis) return Effect.void
    this.countedMillis = nowMillis
    return this.counted(nowMillis)
  })

  private readonly counted = Effect.fnUntraced(function*(this: Pump, nowMillis: number) {
    const { unshippedBytesMax } = this.settings
    const { name } = this.destination
    const unread = yield* Effect.orElseSucceed(Effect.try(() => this.reader.unread()), () => 0)
    this.lagBytes = unread + this.handedOut
    const isOver = this.lagBytes > unshippedBytesMax
    if (isOver) this.room.closeUnsafe()
    else this.room.openUnsafe()
    yield* Metric.update(Metrics.lagBytes(name), this.lagBytes)
    yield* Metric.update(Metrics.lagSeconds(name), this.lagMillis(nowMillis) / 1000)
    if (isOver && !this.isAlarmed) {
      yield* this.log(
        "Error",
        `${this.lagBytes} bytes are not shipped to ${name}; the alarm is at ${unshippedBytesMax}`
      )
    }
    this.isAlarmed = isOver
  })

  /** Answers all who wait, now and from now on, that it is over. */
  end(problem: string): void {
    this.state = "stopped"
    this.problem = problem
    this.room.openUnsafe()
    for (const { resume } of this.waiters.splice(0)) resume(Effect.fail(new Stopped({ problem })))
  }

  private stop(problem: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.end(problem)
      return this.log("Error", `shipping to ${this.destination.name} has stopped: ${problem}`)
    })
  }

  private answer(): void {
    const { completed } = this.reader
    if (this.degradedAfter !== undefined && this.degradedAfter < completed) this.degradedAfter = undefined
    const due = this.waiters.filter(({ after }) => after < completed)
    if (due.length === 0) return
    const left = this.waiters.filter(({ after }) => after >= completed)
    this.waiters.splice(0, this.waiters.length, ...left)
    for (const { resume } of due) resume(Effect.void)
  }

  /** What reading throws, as a failure: the log is another one, or cannot be read. */
  private reading<A>(read: () => A): Effect.Effect<A, Stopped | SourceSegments.Diverged> {
    return Effect.try({
      try: read,
      catch: (error) =>
        error instanceof SourceSegments.Diverged
          ? error
          : new Stopped({
            problem: `cannot read ${this.settings.live}: ${
              error instanceof SourceSegments.SourceUnreadable ? error.problem : errorCode(error)
            }`
          })
    })
  }

  private nowMillis(): number {
    return this.settings.clock.currentTimeMillisUnsafe()
  }

  private log(level: "Info" | "Warn" | "Error", text: string): Effect.Effect<void> {
    const log = { Info: Effect.logInfo, Warn: Effect.logWarning, Error: Effect.logError }[level]
    return Effect.annotateLogs(log(`audit log: ${text}`), { "auditlog.path": this.settings.live })
  }
}
