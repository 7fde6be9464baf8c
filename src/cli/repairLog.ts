/**
 * What `auditlog repair` does: repairs, and says what it found, what it moved where, and what is to be done next.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Repair from "../Repair.ts"
import type { FileReport, RepairErrorReason, Report } from "../RepairReport.ts"
import * as AppenderOptions from "./appenderOptions.ts"
import * as Output from "./output.ts"
import * as ProgressLine from "./progressLine.ts"

/**
 * The arguments of `auditlog repair`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments {
  readonly file: string
  readonly dryRun: boolean
  readonly only: boolean
  readonly force: boolean
  readonly json: boolean
  readonly all: boolean
}

/**
 * Repairs a log and prints the report. Fails with exit code 1 if something is left to do, with 2 if a file cannot be
 * repaired at all.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*(args: Arguments) {
  const { key } = yield* AppenderOptions.make({
    file: args.file,
    sync: undefined,
    sizePolicy: undefined,
    limitBytes: undefined
  })
  const report = yield* Effect.scoped(Effect.gen(function*() {
    const show = yield* ProgressLine.make
    return yield* Repair.repair(args.file, {
      only: args.only,
      dryRun: args.dryRun,
      force: args.force,
      key,
      keys: key === undefined ? undefined : [key],
      rangesMax: args.all ? Number.POSITIVE_INFINITY : undefined,
      onProgress: (progress) => show(() => progressText(progress))
    })
  })).pipe(Effect.catchTag("RepairError", ({ report }) => Effect.succeed(report)))

  const text = args.json ? `${JSON.stringify(jsonOf(report))}\n` : textOf(report)
  yield* Effect.catchTag(Output.stdout(text), "StdoutClosed", () => Effect.void)
  const lines = [
    ...report.notes.map((note) => `auditlog: note: ${note}`),
    ...report.failures.map(({ message }) => `auditlog: ${Output.printable(message.replaceAll(`"force"`, "--force"))}`)
  ]
  if (report.failures.length > 0) {
    return yield* new Output.Failure({
      exitCode: report.failures.some(({ _tag }) => _tag === "Unsuitable") ? 2 : 1,
      lines
    })
  }
  if (lines.length > 0) yield* Output.stderr(lines)
  return yield* isDamaged(report) ? new Output.Failure({ exitCode: 1, lines: [] }) : Effect.void
})

const isDamaged = ({ files }: Report): boolean => files.some(({ outcome }) => outcome === "damaged")

const progressText = ({ bytes, file, phase, totalBytes }: Repair.Progress): string =>
  `${phase} ${Math.floor(100 * bytes / Math.max(1, totalBytes))} % of ${file}, ${count(totalBytes, "byte")}`

const jsonOf = ({ failures, ...report }: Report): object => ({
  ...report,
  failures: failures.map(failureJson)
})

const failureJson = (failure: RepairErrorReason): object => ({
  reason: failure._tag,
  file: failure.file,
  message: failure.message,
  ...("writers" in failure ? { writers: failure.writers } : {}),
  ...("unseen" in failure ? { unseen: failure.unseen } : {})
})

// ---------------------------------------------------------------------------------------------------------------------
// For people
// ---------------------------------------------------------------------------------------------------------------------

const count = (number: number, noun: string): string =>
  `${number.toLocaleString("en-US").replaceAll(",", " ")} ${noun}${number === 1 ? "" : "s"}`

const textOf = (report: Report): string =>
  [
    ...report.files.flatMap((file) => fileLines(file, report)),
    ...report.skipped.map(({ file, problem }) => `${file}: skipped: ${problem}`)
  ].map((line) => `${Output.printable(line)}\n`).join("")

const fileLines = (file: FileReport, report: Report): ReadonlyArray<string> => {
  const kept = count(file.wholeLines, "whole line")
  const unchecked = file.unchecked === 0
    ? []
    : [`  unchecked: ${count(file.unchecked, "record")} with an HMAC of a key that is not known here; they stay`]
  if (file.outcome === "sound") return [`${file.file}: sound: ${kept}, nothing to do`, ...unchecked]
  const isRepaired = file.outcome === "repaired"
  const what = `${count(file.damagedBytes, "byte")} in ${count(file.rangeCount, "range")}`
  return [
    `${file.file}: ${file.outcome}: ${kept} ${isRepaired ? "kept" : "to keep"}, ${file.sizeBefore} bytes` +
    (isRepaired ? ` before, ${file.sizeAfter} after` : ""),
    `  ${isRepaired ? "moved" : "would move"} ${what} to ${report.quarantine}`,
    `  damage: ${kindsOf(file)}`,
    ...file.ranges.map((range) =>
      `    byte ${range.offset}: ${count(range.length, "byte")}, ${range.kind}${range.healed ? ", healed" : ""}` +
      (range.lines > 1 ? `, ${count(range.lines, "line")}` : "")
    ),
    ...(file.rangeCount > file.ranges.length
      ? [`    and ${count(file.rangeCount - file.ranges.length, "more range")}; --all lists them`]
      : []),
    ...unchecked,
    ...(file.writers.length === 0
      ? []
      : [`  open for writing in: ${file.writers.map(({ command, pid }) => `${pid} (${command})`).join(", ")}`]),
    ...(file.lateBytes === 0
      ? []
      : [`  ${count(file.lateBytes, "byte")} were written to the old file meanwhile, and appended to the new one`]),
    ...adviceOf(file, report).map((line) => `  ${line}`)
  ]
}

const kindsOf = ({ damages, healed, suspects }: FileReport): string =>
  Object.entries(damages).map(([kind, lines]) => `${kind} ${lines}`).join(", ") +
  (healed === 0
    ? ""
    : `; ${healed} of them healed, which ${suspects === 0 ? "held" : "mostly hold"} nothing acknowledged`)

const adviceOf = (file: FileReport, { quarantine }: Report): ReadonlyArray<string> => {
  const evidence = file.suspects === 0
    ? "next: nothing acknowledged was in these bytes, as far as can be known"
    : `next: ${count(file.suspects, "line")} of it may have been acknowledged records: look for them in a backup, or ` +
      `where the log is shipped to`
  return file.outcome === "repaired"
    ? [evidence, `auditlog cat ${quarantine} shows what was moved`]
    : [evidence, "without --dry-run they are moved aside"]
}
