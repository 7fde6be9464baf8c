/**
 * What `auditlog ship` does: ships a log until it is interrupted, or once.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Destination from "../Destination.ts"
import * as FileAppender from "../FileAppender.ts"
import * as Shipper from "../Shipper.ts"
import * as AppenderOptions from "./appenderOptions.ts"
import * as DestinationUrl from "./destinationUrl.ts"
import * as Output from "./output.ts"

/**
 * The arguments of `auditlog ship`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments {
  readonly file: string
  readonly to: ReadonlyArray<string>
  readonly also: ReadonlyArray<string>
  readonly durability: Destination.Durability
  readonly once: boolean
  readonly setup: boolean
  readonly retain: Duration.Duration | undefined
  readonly linger: Duration.Duration | undefined
}

/**
 * The failure of a destination, as a command ends with it.
 *
 * @category errors
 * @since 0.1.0
 */
export const failure = (
  error: Destination.DestinationUnavailable | Destination.DestinationRejected | Output.Failure
): Output.Failure => error._tag === "Failure" ? error : Output.failure(`auditlog: ${Output.printable(error.message)}`)

/** A destination that is down when the command starts is waited for, unless it is to ship once. */
const open = (url: string, { file, once, setup }: Arguments) =>
  DestinationUrl.open(url, { log: file, setup }).pipe(
    Effect.tapError((error) =>
      error._tag === "DestinationUnavailable" && !once
        ? Output.stderr([`auditlog: warning: ${Output.printable(error.message)}; trying again`])
        : Effect.void
    ),
    Effect.retry({
      while: (error) => error._tag === "DestinationUnavailable" && !once,
      schedule: Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("10 seconds")])
    }),
    Effect.mapError(failure)
  )

/**
 * Ships. Fails with exit code 1 when a destination refuses the log, with 2 when it cannot begin.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*(args: Arguments): Effect.fn.Return<void, Output.Failure, Scope.Scope> {
  const { also, durability, file, linger, once, retain, to } = args
  const appenderOptions = yield* AppenderOptions.make({
    file,
    sync: undefined,
    sizePolicy: undefined,
    limitBytes: undefined
  })
  const required = yield* Effect.forEach(to, (url) => open(url, args))
  const others = yield* Effect.forEach(also, (url) => open(url, args))
  const stopped = (error: Shipper.ShipperError): Output.Failure =>
    new Output.Failure({
      exitCode: error.reason === "stopped" ? 1 : 2,
      lines: [`auditlog: ${Output.printable(error.message)}`]
    })
  const shipper = yield* Effect.mapError(
    Shipper.make({
      path: file,
      destinations: [
        ...required.map((destination) => ({ destination })),
        ...others.map((destination) => ({ destination, required: false }))
      ],
      durability,
      linger,
      retain: retain === undefined
        ? undefined
        // what is to be kept is decided here
        : { age: retain, appender: FileAppender.make({ ...appenderOptions, retain: undefined }) }
    }),
    stopped
  )
  const names = [...required, ...others].map(({ name }) => Output.printable(name)).join(", ")
  if (once) {
    yield* Effect.mapError(shipper.awaitShipped, stopped)
    const source = Destination.formatSource(yield* shipper.source)
    return yield* Output.stderr(
      (yield* shipper.status).map(({ destination, offset }) =>
        `auditlog: ${Output.printable(destination)} has ${offset ?? 0} bytes of ${source}`
      )
    )
  }
  const source = Destination.formatSource(yield* shipper.source)
  yield* Output.stderr([`auditlog: shipping ${Output.printable(file)} as ${source} to ${names}`])
  return yield* Effect.mapError(shipper.ended, stopped)
})
