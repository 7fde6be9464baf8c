/**
 * What `auditlog ship` does: ships a log until it is interrupted, or once.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import { dirname, resolve } from "node:path"
import * as Destination from "../Destination.ts"
import * as FileAppender from "../FileAppender.ts"
import * as SourceFile from "../internal/sourceFile.ts"
import * as Segment from "../Segment.ts"
import * as Shipper from "../Shipper.ts"
import * as AppenderOptions from "./appenderOptions.ts"
import * as DestinationUrl from "./destinationUrl.ts"
import * as LateDestination from "./lateDestination.ts"
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
  readonly json: boolean
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

/**
 * A destination that is down when the command starts is tried again and holds up no other, unless it is to ship once. One
 * that nobody depends on holds up no other in any case, also when it refuses.
 */
const open = Effect.fnUntraced(function*(
  url: string,
  { file, once, setup }: Arguments,
  durability: Destination.Durability | undefined,
  isRequired: boolean
) {
  const connect = DestinationUrl.open(url, { log: file, setup })
  return yield* connect.pipe(
    Effect.catch((error) =>
      error._tag !== "Failure" && (!isRequired || (error._tag === "DestinationUnavailable" && !once))
        ? LateDestination.make({ name: error.destination, connect, durability })
        : Effect.fail(failure(error))
    )
  )
})

/** As much of a file as shows whether it is a log. */
const sampleBytes = 64 * 1024

const isObject = (line: string): boolean => {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === "object" && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

/** Whether a file begins as JSON lines do. Damage among them is shipped: it is evidence too. */
const isLog = (file: string): boolean => {
  const fd = Fs.openSync(file, "r")
  try {
    const sample = new Uint8Array(sampleBytes)
    const text = Buffer.from(sample.buffer, 0, Fs.readSync(fd, sample)).toString("utf8")
    const lines = text.split("\n")
    return text === "" || lines.some(isObject) || (lines.length === 1 && text.startsWith("{"))
  } finally {
    Fs.closeSync(fd)
  }
}

/**
 * Whether there is a log: its live file, or a segment of it.
 *
 * @category checks
 * @since 0.1.0
 */
export const isThere = (file: string): boolean => {
  const folder = dirname(resolve(file))
  return Fs.existsSync(folder) && Segment.pick(file, Fs.readdirSync(folder)).length > 0
}

/** What is there is looked at before anything is made beside it. */
const inspect = (file: string): Effect.Effect<void, Output.Failure> =>
  Effect.suspend(() => {
    const shown = Output.printable(file)
    const stat = Fs.statSync(file, { throwIfNoEntry: false })
    if (stat !== undefined && !stat.isFile()) return Effect.fail(Output.failure(`auditlog: ${shown} is no file`))
    if (stat !== undefined) {
      // what was shipped before goes on, whatever has become of its beginning
      if (SourceFile.exists(resolve(file)) || isLog(file)) return Effect.void
      return Effect.fail(Output.failure(
        `auditlog: ${shown} is no log: there is no JSON object in its first ${sampleBytes / 1024} KiB. ` +
          `Nothing was shipped; name the file that is appended to`
      ))
    }
    const folder = dirname(resolve(file))
    if (!Fs.existsSync(folder)) {
      return Effect.fail(Output.failure(`auditlog: ${shown}: there is no directory ${Output.printable(folder)}`))
    }
    return isThere(file)
      ? Effect.void
      : Output.stderr([`auditlog: warning: there is no log ${shown} yet`])
  })

/** How long `--once` waits for what nobody depends on. */
const othersMillis = 10_000

const pollMillis = 20

/** Waits a little for the destinations of `--also`, so that a run from cron reaches them too. */
const awaitOthers = (shipper: Shipper.Shipper): Effect.Effect<void> =>
  Effect.map(
    shipper.status,
    (all) => all.every(({ required, state }) => required || state === "idle" || state === "stopped")
  ).pipe(
    Effect.repeat({ until: (isOver) => isOver, schedule: Schedule.spaced(pollMillis) }),
    Effect.timeoutOption(othersMillis),
    Effect.asVoid
  )

const standing = (source: string) => ({ destination, lagBytes, offset, problem, state }: Shipper.Status): string => {
  const rest = state === "idle" ? "" : `, and not the last ${lagBytes}${problem === "" ? "" : `: ${problem}`}`
  return `auditlog: ${Output.printable(`${destination} has ${offset ?? 0} bytes of ${source}${rest}`)}`
}

/** How all destinations stand, as one line of JSON. */
const report = (source: string, all: ReadonlyArray<Shipper.Status>): string => {
  const destinations = all.map(({ destination, lagBytes, lagMillis, offset, problem, required, state }) => ({
    destination,
    required,
    state,
    shippedBytes: offset ?? null,
    unshippedBytes: lagBytes,
    lagSeconds: lagMillis / 1000,
    problem
  }))
  return `${JSON.stringify({ source, destinations })}\n`
}

const watchMillis = 250

/** What a monitor wants to be told: not each chunk. */
const conditions = (source: string, all: ReadonlyArray<Shipper.Status>): string =>
  JSON.stringify([source, ...all.map(({ problem, state }) => [problem !== "", state === "stopped"])])

/** Prints a line when it begins, and whenever a destination begins to fail, goes on, or stops, for ever. */
const announce = (
  shipper: Shipper.Shipper,
  print: Effect.Effect<void>
): Effect.Effect<never> => {
  let before = ""
  return Effect.all([shipper.source, shipper.status]).pipe(
    Effect.flatMap(([source, all]) => {
      const now = conditions(Destination.formatSource(source), all)
      if (now === before) return Effect.void
      before = now
      return print
    }),
    Effect.andThen(Effect.sleep(watchMillis)),
    Effect.forever
  )
}

/**
 * Ships. Fails with exit code 1 when a destination refuses the log, with 2 when it cannot begin.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*(args: Arguments): Effect.fn.Return<void, Output.Failure, Scope.Scope> {
  const { also, durability, file, json, linger, once, retain, to } = args
  const appenderOptions = yield* AppenderOptions.make({
    file,
    sync: undefined,
    sizePolicy: undefined,
    limitBytes: undefined
  })
  yield* inspect(file)
  const all = { concurrency: "unbounded" } as const
  const [required, others] = yield* Effect.all([
    Effect.forEach(to, (url) => open(url, args, durability, true), all),
    Effect.forEach(also, (url) => open(url, args, undefined, false), all)
  ], all)
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
  const current = Effect.all([Effect.map(shipper.source, Destination.formatSource), shipper.status])
  if (once) {
    const print = json
      ? Effect.flatMap(current, (now) => Output.stdout(report(...now)))
      : Effect.flatMap(current, ([source, all]) => Output.stderr(all.map(standing(source))))
    const told = Effect.catchTag(print, "StdoutClosed", () => Effect.void)
    const shipped = Effect.mapError(shipper.awaitShipped, stopped)
    // the record of a removed segment is shipped as well
    const pruned = retain === undefined ? Effect.void : Effect.andThen(shipper.prune, shipped)
    yield* shipped.pipe(
      Effect.andThen(pruned),
      Effect.andThen(awaitOthers(shipper)),
      Effect.onError(() => json ? Effect.ignore(told) : Effect.void)
    )
    return yield* told
  }
  const [source] = yield* current
  const names = [...required, ...others].map(({ name }) => Output.printable(name)).join(", ")
  yield* Output.stderr([`auditlog: shipping ${Output.printable(file)} as ${source} to ${names}`])
  const ended = Effect.mapError(shipper.ended, stopped)
  if (!json) return yield* ended
  // what is printed is second to what is shipped: without a reader it goes on
  const print = Effect.flatMap(current, (now) => Output.stdout(report(...now))).pipe(
    Effect.catch((error) => error._tag === "Failure" ? Output.stderr(error.lines) : Effect.void)
  )
  return yield* Effect.raceFirst(Effect.onError(ended, () => print), announce(shipper, print))
})
