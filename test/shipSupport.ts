/**
 * What the tests of shipping need: logs that are written by hand, shippers that look often, and waits that end.
 */
import { type Duration, Effect, Exit, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Destination, Segment, Shipper } from "../src/index.ts"

/** Waits until a condition holds, and says what it was waiting for if that takes too long. */
export const until = <E, R>(
  what: string,
  condition: Effect.Effect<boolean, E, R>,
  options: {
    readonly millis?: number
    readonly diagnosis?: () => unknown
    readonly pause?: Effect.Effect<void>
  } = {}
): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    const { millis = 15_000 } = options
    const deadline = performance.now() + millis
    while (!(yield* condition)) {
      const diagnosis = options.diagnosis === undefined ? "" : `: ${JSON.stringify(options.diagnosis())}`
      yield* performance.now() > deadline
        ? Effect.die(new Error(`waited ${millis} ms for ${what}${diagnosis}`))
        : options.pause ?? Effect.sleep(5)
    }
  })

/** Everything in the segments of a log, oldest first. */
export const logText = (live: string): string =>
  Segment.pick(live, Fs.readdirSync(Path.dirname(live)))
    .map(({ path }) => Fs.readFileSync(path, "utf8"))
    .join("")

/** A shipper that looks often and, unless told otherwise, may ship to memory. */
export const ship = (path: string, options: Partial<Shipper.Options> & Pick<Shipper.Options, "destinations">) =>
  Shipper.make({ path, durability: "process", poll: 5, linger: 0, retryMax: 20, ...options })

/** The same with a scope of its own, and how to end it. */
export const shipUntilStopped = Effect.fnUntraced(
  function*(path: string, options: Partial<Shipper.Options> & Pick<Shipper.Options, "destinations">) {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const shipper = yield* Scope.provide(ship(path, options), scope)
    return { shipper, stop: Scope.close(scope, Exit.void) }
  }
)

/** Fails instead of waiting for ever. */
export const within = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>, millis = 15_000) =>
  Effect.timeoutOrElse(effect, {
    duration: millis,
    orElse: () => Effect.die(new Error(`waited ${millis} ms for ${what}`))
  })

/** A destination whose appends do what a function says, around those of another one. */
export const around = (
  destination: Destination.Destination,
  append: (
    chunk: Destination.Chunk,
    inner: Destination.Destination["append"]
  ) => ReturnType<Destination.Destination["append"]>,
  more: Partial<Destination.Destination> = {}
): Destination.Destination => ({ ...destination, append: (chunk) => append(chunk, destination.append), ...more })

/** A line of a transaction, or of none. */
export const txLine = (
  writer: string,
  seq: number,
  tx?: { readonly id: string; readonly i: number; readonly n: number }
) =>
  `{"_audit":{"v":1,"writer":"${writer}","seq":${seq},"at":"2026-11-23T09:15:02.114Z"` +
  `${tx === undefined ? "" : `,"tx":{"id":"${tx.id}","i":${tx.i},"n":${tx.n}}`}},"k":${seq},"_hash":"${
    "h".repeat(43)
  }"}\n`

export const unavailable = new Destination.DestinationUnavailable({
  destination: "memory",
  problem: "the test says so"
})

export const rejected = new Destination.DestinationRejected({
  destination: "memory",
  reason: "full",
  problem: "the test says so"
})

/** The same under a test's clock, which stands still meanwhile. */
export const eventually = <E, R>(what: string, condition: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  until(what, condition, { pause: TestClock.withLive(Effect.sleep(1)) })

/** Lets a test's clock go on, step by step, until a condition holds. */
export const passing = <E, R>(
  what: string,
  step: Duration.Input,
  condition: Effect.Effect<boolean, E, R>
): Effect.Effect<void, E, R> => eventually(what, Effect.andThen(TestClock.adjust(step), condition))

/** What the log of a program says, line by line. */
export const logged = (messages: Array<string>) =>
  Logger.layer([Logger.make(({ logLevel, message }) => {
    messages.push(`${logLevel} ${String(message)}`)
  })], { mergeWithExisting: false })

/** A destination in memory that takes chunks only while its gate is open; what it is asked is counted. */
export const gated = (options: Parameters<typeof Destination.makeMemory>[0] = {}) => {
  const { destination, memory } = Destination.makeMemory(options)
  const gate = { isOpen: true, heads: 0, appends: 0 }
  return {
    gate,
    memory,
    destination: around(destination, (chunk, inner) => {
      gate.appends++
      return gate.isOpen ? inner(chunk) : Effect.fail(unavailable)
    }, {
      head: (source) => {
        gate.heads++
        return destination.head(source)
      }
    })
  }
}
