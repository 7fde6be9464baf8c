/**
 * What `auditlog fetch` does: reads a log back from a destination, verifies it, and only then hands it out.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import * as Destination from "../Destination.ts"
import { errorCode } from "../internal/filePort.ts"
import * as Verifier from "../Verifier.ts"
import type * as VerifyReport from "../VerifyReport.ts"
import * as AppenderOptions from "./appenderOptions.ts"
import * as DestinationUrl from "./destinationUrl.ts"
import * as Output from "./output.ts"
import { failure } from "./shipLog.ts"
import * as VerifyText from "./verifyText.ts"

/**
 * The arguments of `auditlog fetch`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments {
  readonly url: string
  readonly source: string | undefined
  readonly output: string | undefined
  readonly list: boolean
  readonly json: boolean
}

/** Prints; nobody who has gone away wants the rest. */
const tell = (text: string): Effect.Effect<void, Output.Failure> =>
  Effect.catchTag(Output.stdout(text), "StdoutClosed", () => Effect.void)

/** Printed at a time. */
const blockBytes = 256 * 1024

const exists = (output: string): Output.Failure =>
  Output.failure(`auditlog: ${Output.printable(output)} is there already, and is not replaced; give another name`)

/** Gives the file its name. */
const link = (path: string, output: string): Effect.Effect<void, Output.Failure> =>
  Effect.try({
    try: () => Fs.linkSync(path, resolve(output)),
    catch: (cause) =>
      errorCode(cause) === "EEXIST"
        ? exists(output)
        : Output.failure(`auditlog: ${Output.printable(output)} cannot be made (${errorCode(cause)})`)
  })

/** The newest generation of the source that is asked for, or of the only one there is. */
const choose = (
  sources: ReadonlyArray<Destination.Source>,
  wanted: string | undefined
): Effect.Effect<Destination.Source, Output.Failure> => {
  const exact = wanted === undefined ? undefined : Destination.parseSource(wanted)
  const found = sources.filter(({ generation, id }) =>
    exact === undefined ? wanted === undefined || id === wanted : id === exact.id && generation === exact.generation
  )
  const newest = found.toSorted((a, b) => b.generation - a.generation)[0]
  const ids = new Set(found.map(({ id }) => id))
  if (newest !== undefined && ids.size === 1) return Effect.succeed(newest)
  const listed = sources.map((source) => `  --source ${Destination.formatSource(source)}`).sort()
  return Effect.fail(Output.failure(
    `auditlog: ${
      sources.length === 0 ? "nothing was shipped there" : newest === undefined ? "no such source" : "which source?"
    }`,
    ...listed
  ))
}

/** Reads a source into a file of its own. */
const spool = (destination: Destination.Destination, source: Destination.Source, path: string) =>
  Effect.gen(function*() {
    const writing = <A>(write: () => A): Effect.Effect<A, Output.Failure> =>
      Effect.try({
        try: write,
        catch: (cause) =>
          Output.failure(
            `auditlog: the copy cannot be written to ${Output.printable(dirname(path))} (${errorCode(cause)})`
          )
      })
    const fd = yield* Effect.acquireRelease(
      writing(() => Fs.openSync(path, "wx", 0o600)),
      (fd) => Effect.sync(() => Fs.closeSync(fd))
    )
    yield* Stream.runForEach(Destination.bytes(destination, source), (bytes) =>
      writing(() => {
        for (let at = 0; at < bytes.length;) at += Fs.writeSync(fd, bytes, at)
      }))
    yield* writing(() => Fs.fsyncSync(fd))
  })

const print = Effect.fnUntraced(function*(path: string) {
  const fd = Fs.openSync(path, "r")
  yield* Effect.addFinalizer(() => Effect.sync(() => Fs.closeSync(fd)))
  const decoder = new TextDecoder()
  const block = Buffer.alloc(blockBytes)
  for (;;) {
    const count = Fs.readSync(fd, block, 0, blockBytes, null)
    if (count === 0) return
    yield* Output.stdout(decoder.decode(block.subarray(0, count), { stream: true }))
  }
})

const list = Effect.fnUntraced(function*(
  destination: Destination.Destination,
  sources: ReadonlyArray<Destination.Source>
) {
  for (const source of sources) {
    const head = yield* Effect.mapError(destination.head(source), failure)
    yield* tell(`${JSON.stringify({ source: Destination.formatSource(source), bytes: head?.offset ?? 0 })}\n`)
  }
})

/**
 * Fetches. Fails with exit code 1 when what was read back is not sound or has a hole, with 2 when it cannot be read.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*(args: Arguments) {
  const destination = yield* Effect.mapError(DestinationUrl.open(args.url, { log: undefined, setup: false }), failure)
  const sources = yield* Effect.mapError(destination.sources, failure)
  if (args.list) return yield* list(destination, sources)
  const source = yield* choose(sources, args.source)
  const { key } = yield* AppenderOptions.make({
    file: "fetched",
    sync: undefined,
    sizePolicy: undefined,
    limitBytes: undefined
  })
  const directory = args.output === undefined ? tmpdir() : dirname(resolve(args.output))
  if (args.output !== undefined && Fs.existsSync(args.output)) return yield* exists(args.output)
  const temporary = yield* Effect.acquireRelease(
    Effect.try({
      try: () => Fs.mkdtempSync(join(directory, ".auditlog-")),
      catch: (cause) =>
        Output.failure(`auditlog: nothing can be written in ${Output.printable(directory)} (${errorCode(cause)})`)
    }),
    (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
  )
  const path = join(temporary, "audit.jsonl")
  yield* spool(destination, source, path).pipe(
    Effect.mapError((error) =>
      error._tag === "DestinationGap"
        ? new Output.Failure({ exitCode: 1, lines: [`auditlog: ${Output.printable(error.message)}`] })
        : failure(error)
    )
  )
  const report = yield* Effect.mapError(
    Verifier.verify(path, { segments: "one", keys: key === undefined ? undefined : [key] }),
    (error) => Output.failure(`auditlog: ${Output.printable(error.message)}`)
  )
  yield* say(report, source, destination, args)
  if (args.output === undefined) yield* Effect.catchTag(print(path), "StdoutClosed", () => Effect.void)
  else yield* link(path, args.output)
  return yield* report.sound ? Effect.void : new Output.Failure({ exitCode: 1, lines: [] })
})

const say = (
  report: VerifyReport.Report,
  source: Destination.Source,
  destination: Destination.Destination,
  { json, output }: Arguments
): Effect.Effect<void, Output.Failure> => {
  const earlier = source.generation > 1
    ? [`auditlog: there are earlier generations of this source, from before the log was restored or cut`]
    : []
  const [id, there] = [Destination.formatSource(source), Output.printable(destination.name)]
  if (!json) {
    const named = { ...report, log: `${id} at ${there}` }
    const text = VerifyText.render(named, false, output).trimEnd().split("\n")
    return Output.stderr([...text, ...earlier])
  }
  const line = JSON.stringify({ source: id, destination: destination.name, ...report, log: output ?? null })
  const printed = output === undefined ? Output.stderr([Output.printable(line)]) : tell(`${line}\n`)
  return Effect.andThen(printed, earlier.length === 0 ? Effect.void : Output.stderr(earlier))
}
