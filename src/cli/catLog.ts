/**
 * What `auditlog cat` does: the records of a log on stdout, what is wrong with it on stderr.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as LogReader from "../LogReader.ts"
import * as EntryPrinter from "./entryPrinter.ts"
import * as Output from "./output.ts"

/**
 * The arguments of `auditlog cat`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments extends Omit<EntryPrinter.Options, "command"> {
  readonly only: boolean
  readonly thorough: boolean
}

/**
 * Prints the log. Fails with exit code 1 if it has damage that is not healed, with 2 if it cannot be read.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*({ only, thorough, ...options }: Arguments) {
  const printer = yield* EntryPrinter.make({ ...options, command: "cat" })
  const { predicate, salvaged } = options
  // without traits all lines are read in any case, and the printer asks the predicate itself
  const matching = thorough || predicate.traits === undefined ? undefined : predicate
  const entries = LogReader.read(options.file, { only, salvage: salvaged, matching })
  yield* Stream.runForEachArray(entries, printer.print).pipe(
    Effect.catchTag(
      ["LogReaderError", "SegmentCompressed", "CursorLost"],
      (error) => Effect.fail(EntryPrinter.readFailure(error))
    ),
    Effect.catchTag("StdoutClosed", () => Effect.void)
  )
  if (matching === undefined || salvaged) return yield* printer.end
  // there is damage: so it matters that not every line was looked at
  return yield* Effect.mapError(printer.end, ({ exitCode, lines }) =>
    new Output.Failure({
      exitCode,
      lines: [
        ...lines,
        `auditlog: note: ${Output.printable(options.file)}: lines that cannot match were not checked; --thorough ` +
        "checks them, and so does auditlog verify"
      ]
    }))
})
