/**
 * Prints the entries of a log: records on stdout, what is wrong on stderr.
 *
 * @since 0.1.0
 */
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import type * as LogEntry from "../LogEntry.ts"
import type * as LogReader from "../LogReader.ts"
import type * as Query from "../Query.ts"
import * as EntryNotes from "./entryNotes.ts"
import * as Output from "./output.ts"
import * as PrettyRecord from "./prettyRecord.ts"

/**
 * How to print a log.
 *
 * **Details**
 *
 * `format` is `undefined` where stdout decides: lines for people on a terminal, JSONL otherwise. `salvaged` prints what
 * stands inside damaged lines, and not the records.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly command: string
  readonly file: string
  readonly format: "json" | "pretty" | undefined
  readonly all: boolean
  readonly salvaged: boolean
  readonly predicate: Query.Predicate
}

/**
 * Prints entries, and says at the end what is wrong: fails with exit code 1 if there was damage that is not healed.
 *
 * @category models
 * @since 0.1.0
 */
interface EntryPrinter {
  readonly print: (
    entries: ReadonlyArray<LogEntry.LogEntry>
  ) => Effect.Effect<void, Output.StdoutClosed | Output.Failure>
  readonly end: Effect.Effect<void, Output.Failure>
}

/** Lines of damage that are shown before they are only counted: what a person reads, and no wrong file floods. */
const damageShownMax = 100

/**
 * Makes a printer for the stdout of this process.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(options: Options) {
  const stdio = yield* Stdio.Stdio
  const isTerminal = yield* stdio.stdoutIsTerminal
  const colors = isTerminal && (yield* TerminalCapabilities).canColor
  const format = options.format ?? (isTerminal ? "pretty" : "json")
  const render = format === "pretty" ? PrettyRecord.make({ colors }) : isTerminal ? escapedLine : wholeLine
  let damaged = 0
  let unchecked = 0

  const print = Effect.fnUntraced(function*(entries: ReadonlyArray<LogEntry.LogEntry>) {
    let text = ""
    const notes: Array<string> = []
    for (const entry of entries) {
      if (entry._tag === "Record" || entry._tag === "Foreign" || entry._tag === "Salvaged") {
        if ((entry._tag === "Salvaged") !== options.salvaged || !options.predicate(entry)) continue
        text += `${render(entry._tag === "Salvaged" ? { ...entry, _tag: "Record" } : entry)}\n`
        if (entry._tag !== "Foreign" && !entry.verified) unchecked++
        continue
      }
      if (EntryNotes.isDamage(entry)) damaged++
      if (options.all || damaged <= damageShownMax) notes.push(EntryNotes.render(entry))
    }
    if (text !== "") yield* Output.stdout(text)
    if (notes.length > 0) yield* Output.stderr(notes)
  })

  const end = Effect.gen(function*() {
    const file = Output.printable(options.file)
    if (unchecked > 0) {
      yield* Output.stderr([
        `auditlog: note: ${file}: ${unchecked} ${unchecked === 1 ? "record is" : "records are"} authenticated with a ` +
        `key, which ${options.command} does not check`
      ])
    }
    if (damaged === 0) return yield* Effect.void
    const hidden = damaged - damageShownMax
    return yield* new Output.Failure({
      exitCode: 1,
      lines: hidden > 0 && !options.all
        ? [`auditlog: ${file}: ${damaged} damaged lines in all, ${hidden} of them not listed; --all lists them`]
        : []
    })
  })
  return { print, end } satisfies EntryPrinter
})

/**
 * What a command fails with if the log cannot be read.
 *
 * @category errors
 * @since 0.1.0
 */
export const readFailure = (error: LogReader.ReadError): Output.Failure =>
  Output.failure(
    `auditlog: ${
      Output.printable(error.message).replace("read the live file alone", "--only reads the live file alone")
    }`
  )

const wholeLine = ({ text }: LogEntry.AuditRecord | LogEntry.Foreign): string => text

/** The same value with nothing raw for a terminal: outside of strings, only white space can be a control character. */
const escapedLine = ({ text }: LogEntry.AuditRecord | LogEntry.Foreign): string =>
  Output.printable(text.replace(/[\t\r]/g, " "))
