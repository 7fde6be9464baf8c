/**
 * What `auditlog verify` does: verifies logs, one after the other, and prints a report of each.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Verifier from "../Verifier.ts"
import * as AppenderOptions from "./appenderOptions.ts"
import * as Output from "./output.ts"
import * as ProgressLine from "./progressLine.ts"
import * as VerifyText from "./verifyText.ts"

/**
 * The arguments of `auditlog verify`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments {
  readonly files: ReadonlyArray<string>
  readonly only: boolean
  readonly json: boolean
  readonly all: boolean
  readonly workers: number | "auto"
}

/**
 * Verifies the logs and prints the reports. Fails with exit code 1 if one of them has faults, with 2 if one of them
 * cannot be verified.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*(args: Arguments) {
  let exitCode: 0 | 1 | 2 = 0
  for (const file of args.files) {
    const { key } = yield* AppenderOptions.make({
      file,
      sync: undefined,
      sizePolicy: undefined,
      limitBytes: undefined
    })
    const result = yield* Effect.result(Effect.scoped(Effect.gen(function*() {
      const show = yield* ProgressLine.make
      return yield* Verifier.verify(file, {
        keys: key === undefined ? undefined : [key],
        segments: args.only ? "one" : "all",
        listedMax: args.all ? Number.POSITIVE_INFINITY : undefined,
        workers: args.workers,
        onProgress: ({ bytesDone, bytesTotal }) =>
          show(() =>
            `verifying ${file}: ${Math.floor(100 * bytesDone / bytesTotal)} % of ${VerifyText.size(bytesTotal)}`
          )
      })
    })))
    if (result._tag === "Failure") {
      exitCode = 2
      yield* Output.stderr([`auditlog: ${Output.printable(result.failure.message)}`])
      continue
    }
    const report = result.success
    const text = args.json
      ? `${JSON.stringify(report)}\n`
      : VerifyText.render(report, args.files.length > 1, report.log)
    yield* Effect.catchTag(Output.stdout(text), "StdoutClosed", () => Effect.void)
    if (VerifyText.isNewer(report)) {
      exitCode = 2
      yield* Output.stderr([
        `auditlog: cannot verify ${
          Output.printable(file)
        }: it is in a newer version of the format; use a newer auditlog`
      ])
    } else if (!report.sound && exitCode === 0) exitCode = 1
  }
  return yield* exitCode === 0 ? Effect.void : new Output.Failure({ exitCode, lines: [] })
})
