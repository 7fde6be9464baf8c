/**
 * What `auditlog cat` does: the records of a log on stdout, what is wrong with it on stderr.
 *
 * @since 0.1.0
 */
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import type * as Codec from "../Codec.ts"
import type * as LogEntry from "../LogEntry.ts"
import * as LogReader from "../LogReader.ts"
import * as Output from "./output.ts"
import * as PrettyRecord from "./prettyRecord.ts"

/**
 * The arguments of `auditlog cat`.
 *
 * **Details**
 *
 * `format` is `undefined` where stdout decides: lines for people on a terminal, JSONL otherwise.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments {
  readonly file: string
  readonly format: "json" | "pretty" | undefined
  readonly all: boolean
}

/** Lines of damage that are shown before they are only counted: what a person reads, and no wrong file floods. */
const damageShownMax = 100

/**
 * Prints the log. Fails with exit code 1 if it has damage that is not healed, with 2 if it cannot be read.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*(args: Arguments) {
  const file = Output.printable(args.file)
  yield* requireFile(args.file)
  const stdio = yield* Stdio.Stdio
  const isTerminal = yield* stdio.stdoutIsTerminal
  const colors = isTerminal && (yield* TerminalCapabilities).canColor
  const format = args.format ?? (isTerminal ? "pretty" : "json")
  const render = format === "pretty" ? PrettyRecord.make({ colors }) : isTerminal ? escapedLine : wholeLine

  let damaged = 0
  let unchecked = 0
  const print = Effect.fnUntraced(function*(entries: ReadonlyArray<LogEntry.LogEntry>) {
    let text = ""
    const notes: Array<string> = []
    for (const entry of entries) {
      if (entry._tag === "Record" || entry._tag === "Foreign") {
        text += `${render(entry)}\n`
        if (entry._tag === "Record" && !entry.verified) unchecked++
        continue
      }
      if (entry._tag === "Damage" && !entry.healed) damaged++
      if (args.all || damaged <= damageShownMax) notes.push(describe(file, entry))
    }
    if (text !== "") yield* Output.stdout(text)
    if (notes.length > 0) yield* Output.stderr(notes)
  })

  yield* Stream.runForEachArray(LogReader.read(args.file), print).pipe(
    Effect.catchTag(
      "LogReaderError",
      (error) => Effect.fail(Output.failure(`auditlog: ${Output.printable(error.message)}`))
    ),
    Effect.catchTag("StdoutClosed", () => Effect.void)
  )
  if (unchecked > 0) {
    yield* Output.stderr([
      `auditlog: note: ${file}: ${unchecked} ${unchecked === 1 ? "record is" : "records are"} authenticated with a ` +
      `key, which cat does not check`
    ])
  }
  if (damaged === 0) return yield* Effect.void
  const hidden = damaged - damageShownMax
  return yield* new Output.Failure({
    exitCode: 1,
    lines: hidden > 0 && !args.all
      ? [`auditlog: ${file}: ${damaged} damaged lines in all, ${hidden} of them not listed; --all lists them`]
      : []
  })
})

const requireFile = Effect.fnUntraced(function*(file: string) {
  const fileSystem = yield* FileSystem.FileSystem
  // what cannot be looked at is reported when it is read
  const info = yield* Effect.option(fileSystem.stat(file))
  if (info._tag === "None" || info.value.type === "File" || info.value.type === "Directory") return yield* Effect.void
  return yield* Output.failure(`auditlog: cannot read ${Output.printable(file)}: it is no regular file`)
})

const wholeLine = ({ text }: LogEntry.AuditRecord | LogEntry.Foreign): string => text

/** The same value with nothing raw for a terminal: outside of strings, only white space can be a control character. */
const escapedLine = ({ text }: LogEntry.AuditRecord | LogEntry.Foreign): string =>
  Output.printable(text.replace(/[\t\r]/g, " "))

const meanings: { readonly [K in Codec.DamageKind]: string } = {
  torn: "the line is cut off before its end; if its record was acknowledged, look for it in a copy",
  glued: "a record begins inside another line; two writes are mixed, and a copy may have them apart",
  nul: "it holds NUL bytes, as a power cut leaves them; look for its record in a copy",
  utf8: "it is not UTF-8; another program wrote it, or it was overwritten",
  notJson: "it is not JSON; another program wrote it, or it was overwritten",
  notObject: "it is JSON, but not an object; another program wrote it",
  stamp: "its stamp is not one of this format; it was edited, or another program wrote it",
  version: "it is in a newer version of the format; read it with a newer auditlog",
  hash: "its bytes are not those that were written; it was altered, compare it with a copy",
  key: "it is authenticated with a key that is not known here",
  tooLong: "it is longer than any record; this may be no log"
}

const describe = (file: string, entry: LogEntry.Damage | LogEntry.Incomplete | LogEntry.Pending): string => {
  if (entry._tag === "Incomplete") {
    return `auditlog: note: ${file}: byte ${entry.offset}: incomplete: transaction ${entry.transaction} has ` +
      `${entry.found} of ${entry.expected} records, so none counts; its writer was cut off, or lines were removed`
  }
  if (entry._tag === "Pending") {
    return `auditlog: note: ${file}: byte ${entry.offset}: pending: ${entry.length} bytes after the last newline; ` +
      `a write in progress, or one that was cut off, which the next append sets apart`
  }
  const place = `${file}:${entry.line}: byte ${entry.offset}`
  return entry.healed
    ? `auditlog: note: ${place}: ${entry.kind}, healed: a write that never finished, set apart by the next ` +
      `writer; nothing acknowledged is lost, and nothing is to be done`
    : `auditlog: damage: ${place}: ${entry.kind}: ${meanings[entry.kind]}; it begins ${entry.preview}`
}
