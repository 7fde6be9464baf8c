/**
 * What `auditlog status` does: says who a log is, whether it is being shipped, and what each destination has of it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { resolve } from "node:path"
import * as Destination from "../Destination.ts"
import { errorCode, FilePort } from "../internal/filePort.ts"
import * as ShipLock from "../internal/shipLock.ts"
import * as SourceFile from "../internal/sourceFile.ts"
import { SourceReader } from "../internal/sourceReader.ts"
import { Diverged, SourceUnreadable } from "../internal/sourceSegments.ts"
import * as DestinationUrl from "./destinationUrl.ts"
import * as Output from "./output.ts"
import { failure, isThere } from "./shipLog.ts"

/**
 * The arguments of `auditlog status`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments {
  readonly file: string
  readonly to: ReadonlyArray<string>
  readonly json: boolean
}

/** What one destination has. */
interface Standing {
  readonly destination: string
  /** `null` where it could not be asked. */
  readonly shippedBytes: number | null
  readonly unshippedBytes: number | null
  /** Why shipping would not go on from there, or why that is not known; empty if it would. */
  readonly problem: string
}

const problemOf = (error: unknown): string =>
  error instanceof Diverged
    ? `the log is another one: ${error.problem}`
    : `the log cannot be read: ${error instanceof SourceUnreadable ? error.problem : errorCode(error)}`

const standingOf = Effect.fnUntraced(function*(
  destination: Destination.Destination,
  source: Destination.Source,
  live: string
) {
  const head = yield* destination.head(source)
  const port = yield* FilePort
  return yield* Effect.acquireUseRelease(
    Effect.sync(() => new SourceReader({ port, live, chunkBytes: 1, holdMillis: 0, nowMillis: () => 0 })),
    (reader) =>
      Effect.sync((): Standing => {
        const standing = { destination: destination.name, shippedBytes: head?.offset ?? 0 }
        try {
          reader.seek(head?.resume)
          return { ...standing, unshippedBytes: reader.unread(), problem: "" }
        } catch (error) {
          return { ...standing, unshippedBytes: null, problem: problemOf(error) }
        }
      }),
    (reader) => Effect.sync(() => reader.close())
  )
})

/**
 * Prints how the log stands. Fails with exit code 1 when it is not what a destination has of it, with 2 when a
 * destination cannot be asked.
 *
 * @category running
 * @since 0.1.0
 */
export const run: (
  args: Arguments
) => Effect.Effect<void, Output.Failure, Scope.Scope> = Effect.fnUntraced(function*(args) {
  const live = resolve(args.file)
  const source = yield* Effect.try({
    try: () => SourceFile.load(live),
    catch: (error) =>
      Output.failure(
        `auditlog: ${error instanceof SourceFile.SourceFileError ? `${error.file}: ${error.problem}` : String(error)}`
      )
  })
  const tell = (text: string) => Effect.catchTag(Output.stdout(text), "StdoutClosed", () => Effect.void)
  if (source === undefined && !isThere(live)) {
    return yield* Output.failure(`auditlog: there is no log ${Output.printable(args.file)}`)
  }
  const shipping = source !== undefined && (yield* ShipLock.isTaken(source.id))
  const destinations: Array<Standing> = []
  const unasked: Array<string> = []
  for (const url of args.to) {
    const asked = yield* DestinationUrl.open(url, { log: live, setup: false }).pipe(
      Effect.flatMap((
        destination
      ): Effect.Effect<Standing, Destination.DestinationUnavailable | Destination.DestinationRejected> =>
        source === undefined
          // there is no name to ask for; that it answers is all that can be said
          ? Effect.succeed({ destination: destination.name, shippedBytes: null, unshippedBytes: null, problem: "" })
          : standingOf(destination, source, live)
      ),
      Effect.catchTag(["DestinationUnavailable", "DestinationRejected"], (error) => {
        unasked.push(...failure(error).lines)
        return Effect.succeed<Standing>({
          destination: error.destination,
          shippedBytes: null,
          unshippedBytes: null,
          problem: error.message
        })
      })
    )
    destinations.push(asked)
  }
  const report = {
    source: source === undefined ? null : Destination.formatSource(source),
    shipping,
    destinations
  }
  yield* tell(args.json ? `${JSON.stringify(report)}\n` : text(report))
  if (unasked.length > 0) return yield* Output.failure(...unasked)
  const isOther = destinations.some(({ problem }) => problem !== "")
  return yield* isOther ? new Output.Failure({ exitCode: 1, lines: [] }) : Effect.void
})

const text = (report: {
  readonly source: string | null
  readonly shipping: boolean
  readonly destinations: ReadonlyArray<Standing>
}): string =>
  [
    ...(report.source === null
      ? ["it was never shipped: there is no .source file beside it"]
      : [
        `source ${report.source}`,
        report.shipping ? "a shipper is running on this machine" : "no shipper is running on this machine"
      ]),
    // what could not be asked is told on stderr
    ...report.destinations.filter(({ shippedBytes }) => shippedBytes !== null).map((
      { destination, problem, shippedBytes, unshippedBytes }
    ) =>
      `${Output.printable(destination)}: ${shippedBytes} bytes shipped, ` +
      (problem === "" ? `${unshippedBytes} to ship` : `and ${Output.printable(problem)}`)
    )
  ].map((line) => `${line}\n`).join("")
