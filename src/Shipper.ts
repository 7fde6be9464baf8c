/**
 * Ships a log to destinations that replicate: follows its segments, and hands each destination what it does not have, in
 * order, exactly once. The local log stays what programs write to; no append waits for a destination unless it asks to.
 *
 * docs/distribution.md says what each destination promises, and what happens in which failure.
 *
 * @since 0.1.0
 */
import * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { dirname, resolve } from "node:path"
import { Appender } from "./Appender.ts"
import type * as AuditError from "./AuditError.ts"
import * as Destination from "./Destination.ts"
import * as DirectoryWatch from "./internal/directoryWatch.ts"
import { FilePort } from "./internal/filePort.ts"
import { acknowledging } from "./internal/replicatedAppender.ts"
import * as ShipLock from "./internal/shipLock.ts"
import { Pump } from "./internal/shipPump.ts"
import * as ShipRetention from "./internal/shipRetention.ts"
import * as SourceFile from "./internal/sourceFile.ts"
import type { Diverged } from "./internal/sourceSegments.ts"

/**
 * Where to ship to. Unless `required` is false, acknowledgements wait for it, and local segments are kept until it has
 * them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Target {
  readonly destination: Destination.Destination
  readonly required?: boolean | undefined
}

/**
 * Which sealed segments are removed: those that every required destination has, and that were sealed longer than `age`
 * (24 hours by default) ago, or are too many for `size`. `appender` is opened to append the record of each removal.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetainOptions {
  readonly age?: Duration.Input | undefined
  readonly size?: ByteSize.Input | undefined
  readonly appender: Effect.Effect<Appender["Service"], AuditError.AuditError, Scope.Scope>
}

/**
 * The options of a shipper.
 *
 * **Details**
 *
 * - `path`: the live file of the log.
 * - `durability`: what a required destination must promise at least; default `"fsync"`.
 * - `chunkSize`: how much goes at once at most, 256 KiB by default; a transaction or a record that is larger goes as a whole.
 * - `linger`: how long to wait for more when there was nothing to do, 5 ms by default.
 * - `poll`: how often the log is looked at; default 100 ms. Changes the system announces are seen sooner, unless `watch`
 *   is false.
 * - `attemptTimeout`: when to stop waiting for an answer and ask again; default 10 seconds.
 * - `retryMax`: the longest pause between two attempts; default 5 seconds.
 * - `unshippedMax`: when to raise the alarm about bytes that a destination does not have; default 1 GiB.
 * - `retain`: removes segments that are shipped; by default none are. The appender's own `retain` knows nothing of
 *   shipping: leave it out then.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly path: string
  readonly destinations: ReadonlyArray<Target>
  readonly durability?: Destination.Durability | undefined
  readonly chunkSize?: ByteSize.Input | undefined
  readonly linger?: Duration.Input | undefined
  readonly poll?: Duration.Input | undefined
  readonly watch?: boolean | undefined
  readonly attemptTimeout?: Duration.Input | undefined
  readonly retryMax?: Duration.Input | undefined
  readonly unshippedMax?: ByteSize.Input | undefined
  readonly retain?: RetainOptions | undefined
}

/**
 * A log cannot be shipped.
 *
 * **Details**
 *
 * `busy`: another shipper of this machine ships it. `weak`: a required destination promises less than was asked for.
 * `destinations`: there is none, or two have the same name.
 * `source`: the file beside the log that says who it is cannot be used. `stopped`: every destination has stopped.
 *
 * @category errors
 * @since 0.1.0
 */
export class ShipperError extends Data.TaggedError("ShipperError")<{
  readonly reason: "busy" | "weak" | "destinations" | "source" | "stopped"
  readonly path: string
  readonly problem: string
}> {
  override get message(): string {
    return `cannot ship ${this.path}: ${this.problem}`
  }
}

/**
 * How one destination stands.
 *
 * **Details**
 *
 * `offset` is what it has of the source, as far as is known. `lagBytes` and `lagMillis` are what it does not have, and how
 * old the oldest record of that is. `problem` is the last failure while it lasts.
 *
 * @category models
 * @since 0.1.0
 */
export interface Status {
  readonly destination: string
  readonly required: boolean
  readonly state: "starting" | "idle" | "shipping" | "retrying" | "stopped"
  readonly problem: string
  readonly offset: number | undefined
  readonly lagBytes: number
  readonly lagMillis: number
}

/**
 * A shipper at work.
 *
 * **Details**
 *
 * `awaitShipped` succeeds when every required destination (or every one, where none is required) has all that was in the
 * log when it was called; it fails when one of them has stopped. `ended` fails when all destinations have stopped. `wake`
 * looks at the log at once. `prune` removes at once what `retain` no longer keeps, which else is looked for once a minute.
 *
 * @category models
 * @since 0.1.0
 */
export interface Shipper {
  readonly source: Effect.Effect<Destination.Source>
  readonly status: Effect.Effect<ReadonlyArray<Status>>
  readonly awaitShipped: Effect.Effect<void, ShipperError>
  readonly ended: Effect.Effect<never, ShipperError>
  readonly wake: Effect.Effect<void>
  readonly prune: Effect.Effect<void>
}

/**
 * What a log that is behind goes in: with 64 KiB PostgreSQL and JetStream take half as many records a second, since each
 * chunk is a flush or a round of the quorum. A log that is not behind goes in what has come together in the meantime.
 */
const chunkBytesDefault = 256 * 1024

const unshippedBytesDefault = 1024 * 1024 * 1024

/** Ships of one run that may find the log to be another one; more is no restored file, but something at work. */
const generationsMax = 10

const wrong = (option: string, value: unknown): never => {
  throw new Error(`Shipper: ${option} is ${String(value)}; it must be over 0, with a unit such as 64 KiB or 5 millis`)
}

const bytesOf = (option: string, input: ByteSize.Input | undefined, otherwise: number): number => {
  const bytes = input === undefined ? otherwise : Number(ByteSize.fromInputUnsafe(input))
  return bytes > 0 ? bytes : wrong(option, input)
}

const millisOf = (option: string, input: Duration.Input | undefined, otherwise: number): number => {
  const millis = input === undefined ? otherwise : Duration.toMillis(Duration.fromInputUnsafe(input))
  return millis >= 0 ? millis : wrong(option, input)
}

/**
 * Starts shipping a log, until the scope closes.
 *
 * **Details**
 *
 * A destination that cannot be reached is tried again for ever, and holds up neither appends nor other destinations. One
 * that refuses stops, with an error in the log of the program: nothing is ever skipped. What is shipped has been flushed
 * to the local device before. If the log is not what was shipped (restored, cut, repaired), a new generation of the
 * source begins with all that is there, and an error is logged.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<Shipper, ShipperError, Scope.Scope> =>
  Effect.map(start(options), ({ shipper }) => shipper)

const start = Effect.fnUntraced(function*(options: Options) {
  const path = resolve(options.path)
  const fail = (reason: ShipperError["reason"], problem: string) => new ShipperError({ reason, path, problem })
  const { destinations, durability = "fsync" } = options
  for (const { destination: { capabilities, name }, required = true } of destinations) {
    if (required && !Destination.isAtLeast(capabilities.durability, durability)) {
      const problem = `${name} promises only ${capabilities.durability} and ${durability} is asked for; ` +
        `strengthen it, ask for less, or do not require it`
      return yield* fail("weak", problem)
    }
  }
  const names = new Set(destinations.map(({ destination }) => destination.name))
  if (names.size === 0 || names.size < destinations.length) {
    const problem = names.size === 0 ? "there is no destination" : "it is to go to a destination twice"
    return yield* fail("destinations", problem)
  }
  const settle = (use: () => Destination.Source): Effect.Effect<Destination.Source, ShipperError> =>
    Effect.try({
      try: use,
      catch: (error) =>
        fail("source", error instanceof SourceFile.SourceFileError ? `${error.file}: ${error.problem}` : String(error))
    })
  let source = yield* settle(() => SourceFile.loadOrCreate(path))
  if (!(yield* ShipLock.take(source.id))) {
    return yield* fail("busy", "another process of this machine ships it; end that one, or let it go on")
  }
  // it may have gone on to another generation while this one waited to start
  source = yield* settle(() => SourceFile.loadOrCreate(path))

  const clock = yield* Clock.Clock
  const settings = {
    live: path,
    port: yield* FilePort,
    clock,
    chunkBytes: bytesOf("chunkSize", options.chunkSize, chunkBytesDefault),
    lingerMillis: millisOf("linger", options.linger, 5),
    pollMillis: Math.max(1, millisOf("poll", options.poll, 100)),
    attemptMillis: Math.max(1, millisOf("attemptTimeout", options.attemptTimeout, 10_000)),
    retryMillisMax: Math.max(1, millisOf("retryMax", options.retryMax, 5000)),
    unshippedBytesMax: bytesOf("unshippedMax", options.unshippedMax, unshippedBytesDefault)
  }
  const pumps = destinations.map(({ destination, required = true }) => new Pump(destination, required, settings))
  const required = pumps.filter((pump) => pump.required)
  const wake = (): void => {
    for (const pump of pumps) pump.wake()
  }
  if (options.watch !== false) yield* DirectoryWatch.start(dirname(path), wake)

  const over = yield* Deferred.make<never, ShipperError>()
  const supervise = Effect.gen(function*() {
    for (let generation = 0; generation < generationsMax; generation++) {
      const ended = yield* Effect.result(
        Effect.forEach(pumps, (pump) => pump.run(source), { concurrency: "unbounded", discard: true })
      )
      if (ended._tag === "Success") return yield* fail("stopped", pumps.map(({ problem }) => problem).join("; "))
      source = yield* settle(() => SourceFile.nextGeneration(path, source))
      yield* warnDiverged(path, source, ended.failure)
    }
    return yield* fail("stopped", `it was found to be another log ${generationsMax} times; what changes it?`)
  })
  yield* supervise.pipe(
    // however it ends, nobody waits for ever
    Effect.onExit((exit) =>
      Effect.sync(() => {
        const problem = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        for (const pump of pumps) pump.end(problem instanceof ShipperError ? problem.problem : "shipping has ended")
      })
    ),
    (effect) => Deferred.into(effect, over),
    Effect.forkScoped
  )

  const { retain } = options
  let prune = Effect.void
  if (retain !== undefined) {
    const limits = {
      ageMillis: retain.age === undefined && retain.size !== undefined
        ? Number.POSITIVE_INFINITY
        : millisOf("retain.age", retain.age, 24 * 60 * 60 * 1000),
      bytes: bytesOf("retain.size", retain.size, Number.POSITIVE_INFINITY)
    }
    const once = ShipRetention.prune({ ...settings, limits, appender: retain.appender, required })
    // not beside the one that looks once a minute
    const turn = Semaphore.makeUnsafe(1)
    prune = turn.withPermit(once)
    yield* Effect.forkScoped(ShipRetention.keep(required, prune))
  }

  const shipper: Shipper = {
    source: Effect.sync(() => source),
    status: Effect.sync(() => pumps.map((pump) => statusOf(pump, clock.currentTimeMillisUnsafe()))),
    awaitShipped: Effect.forEach(required.length > 0 ? required : pumps, (pump) => pump.caughtUp, {
      concurrency: "unbounded",
      discard: true
    }).pipe(
      Effect.mapError(({ problem }) => fail("stopped", problem))
    ),
    ended: Deferred.await(over),
    wake: Effect.sync(wake),
    prune
  }
  return { shipper, required, path }
})

const warnDiverged = (path: string, source: Destination.Source, { problem }: Diverged): Effect.Effect<void> =>
  Effect.annotateLogs(
    Effect.logError(
      `audit log: ${problem}. The log is not what was shipped: it was restored, cut or repaired. All of it is shipped ` +
        `again, as generation ${source.generation} of ${source.id}; compare it with the generation before`
    ),
    { "auditlog.path": path }
  )

const statusOf = (pump: Pump, nowMillis: number): Status => ({
  destination: pump.destination.name,
  required: pump.required,
  state: pump.state,
  problem: pump.problem,
  offset: pump.head?.offset,
  lagBytes: pump.lagBytes,
  lagMillis: pump.lagMillis(nowMillis)
})

/**
 * The options of an appender whose appends wait for destinations.
 *
 * **Details**
 *
 * `path` is that of the appender. `timeout` is how long an append waits for the acknowledgements, 10 seconds by default.
 * Then, with `onTimeout: "fail"` (default), it fails with `NotReplicated`: the record is in the local log, and is shipped
 * when that is possible. With `"degrade"` it succeeds, its receipt says what was done locally, and appends wait no more
 * for that destination until it has caught up. `atUnshippedMax: "wait"` makes appends wait while more than `unshippedMax`
 * bytes are not shipped; by default only the alarm is raised.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReplicatedOptions extends Omit<Options, "retain"> {
  readonly timeout?: Duration.Input | undefined
  readonly onTimeout?: "fail" | "degrade" | undefined
  readonly atUnshippedMax?: "alarm" | "wait" | undefined
  readonly retain?: Omit<RetainOptions, "appender"> | undefined
}

/**
 * An appender on top of one that writes the log at `path`: an append, or a transaction, succeeds only when all required
 * destinations have it as well; its receipts then say `"replicated"`.
 *
 * **Details**
 *
 * It is the shipper of the log, so one process at a time may use it on a log; other programs may append to that without.
 * Records and transactions that are too large for a required destination are refused before anything is written. An
 * interrupted append may be in the log, and is shipped.
 *
 * @category constructors
 * @since 0.1.0
 */
export const replicated = Effect.fnUntraced(function*(
  inner: Appender["Service"],
  options: ReplicatedOptions
): Effect.fn.Return<
  { readonly appender: Appender["Service"]; readonly shipper: Shipper },
  ShipperError,
  Scope.Scope
> {
  const { required, shipper, path } = yield* start({
    watch: false,
    ...options,
    retain: options.retain === undefined ? undefined : { ...options.retain, appender: Effect.succeed(inner) }
  })
  const appender = acknowledging(inner, {
    path,
    required,
    timeoutMillis: millisOf("timeout", options.timeout, 10_000),
    onTimeout: options.onTimeout ?? "fail",
    waitsForRoom: options.atUnshippedMax === "wait"
  })
  return { appender, shipper }
})

/**
 * The layer of {@link replicated}: takes the appender that writes the log, and gives one that waits for destinations.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerReplicated = (options: ReplicatedOptions): Layer.Layer<Appender, ShipperError, Appender> =>
  Layer.fresh(
    Layer.effect(
      Appender,
      Effect.flatMap(Appender, (inner) => Effect.map(replicated(inner, options), ({ appender }) => appender))
    )
  )

/**
 * The layer of {@link make}: ships as long as the program runs.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<never, ShipperError> => Layer.effectDiscard(make(options))
