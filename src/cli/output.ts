/**
 * What the command line prints: data on stdout, and everything for people on stderr, one line each, with nothing in it
 * that a terminal would act on.
 *
 * Node's own streams are not enough: a full disk behind stdout must be an error and not a shortened file, a reader that
 * goes away is no error, and what is printed must have left before `process.exit`.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Runtime from "effect/Runtime"
import * as Fs from "node:fs"
import { isatty } from "node:tty"
import { errorCode } from "../internal/filePort.ts"
import * as JsonLine from "../internal/jsonLine.ts"

/**
 * Why a command ends with another code than 0. Its lines are printed once, on stderr; without lines, the command has
 * already said everything.
 *
 * **Details**
 *
 * 1: there are findings. 2: the command was called wrongly, or could not do its work.
 *
 * @category errors
 * @since 0.1.0
 */
export class Failure extends Data.TaggedError("Failure")<{
  readonly exitCode: 1 | 2
  readonly lines: ReadonlyArray<string>
}> {
  /** The exit code of the process. */
  override readonly [Runtime.errorExitCode] = this.exitCode
  /** It has been printed, so it is not logged. */
  override readonly [Runtime.errorReported] = false
}

/**
 * The failure of a command that was called wrongly or could not do its work.
 *
 * @category errors
 * @since 0.1.0
 */
export const failure = (...lines: ReadonlyArray<string>): Failure => new Failure({ exitCode: 2, lines })

const isDirectoryGone = (defect: unknown): boolean =>
  defect instanceof Error && "syscall" in defect && defect.syscall === "uv_cwd"

/**
 * Makes a failure with one line of what Node throws where a path has to be resolved, and the directory in which the
 * program was started has been removed. Everything else is left as it is.
 *
 * @category errors
 * @since 0.1.0
 */
export const failWithoutDirectory = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | Failure, R> =>
  Effect.catchCause(
    effect,
    (cause): Effect.Effect<never, E | Failure> =>
      cause.reasons.some((reason) => Cause.isDieReason(reason) && isDirectoryGone(reason.defect))
        ? Effect.fail(failure("auditlog: the working directory is gone; change to one that exists"))
        : Effect.failCause(cause)
  )

/**
 * The reader of stdout has gone away, as `head` does: nobody is interested in the rest.
 *
 * @category errors
 * @since 0.1.0
 */
export class StdoutClosed extends Data.TaggedError("StdoutClosed")<{}> {}

// oxlint-disable-next-line no-control-regex -- the point of this expression is to match control characters
const controls = /[\u0000-\u001f]/g

/**
 * A text as it can be shown on one line of a terminal: control characters (C0, DEL, C1), bidi and invisible marks are
 * written as `\uXXXX`.
 *
 * @category escaping
 * @since 0.1.0
 */
export const printable = (text: string): string =>
  JsonLine.escape(text).replace(controls, (char) => "\\u" + char.charCodeAt(0).toString(16).padStart(4, "0"))

/** Whether a write to stdout can block: then it goes through the event loop, else straight to the file. */
const stdoutIsStream = (): boolean => {
  const stat = Fs.fstatSync(1)
  return stat.isFIFO() || stat.isSocket() || isatty(1)
}

let isStream: boolean | undefined

const stdoutError = (cause: unknown): StdoutClosed | Failure => {
  const code = errorCode(cause)
  return code === "EPIPE" || code === "ERR_STREAM_DESTROYED"
    ? new StdoutClosed()
    : failure(`auditlog: cannot write to standard output (${code})`)
}

/**
 * Writes to stdout and waits until it is written: all of it, or an error.
 *
 * @category printing
 * @since 0.1.0
 */
export const stdout = (text: string): Effect.Effect<void, StdoutClosed | Failure> =>
  Effect.callback((resume) => {
    if (text === "") return resume(Effect.void)
    if (isStream === undefined) {
      isStream = stdoutIsStream()
      // the callback of the write has the error; without a listener it would also end the process
      if (isStream) process.stdout.on("error", () => {})
    }
    if (isStream) {
      process.stdout.write(text, (error) => resume(error ? Effect.fail(stdoutError(error)) : Effect.void))
      return
    }
    // Node's stream for files takes a short write on a full disk for a whole one
    try {
      const bytes = Buffer.from(text)
      for (let at = 0; at < bytes.length;) at += Fs.writeSync(1, bytes, at)
      resume(Effect.void)
    } catch (cause) {
      resume(Effect.fail(stdoutError(cause)))
    }
  })

/**
 * Writes lines to stderr and waits until they are written. If stderr is gone there is nobody to tell.
 *
 * @category printing
 * @since 0.1.0
 */
export const stderr = (lines: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const text = lines.map((line) => `${line}\n`).join("")
    listenToStderr()
    process.stderr.write(text, () => resume(Effect.void))
  })

let listening = false

const listenToStderr = (): void => {
  if (listening) return
  listening = true
  process.stderr.on("error", () => {})
}

const levelNames: { readonly [level: string]: string } = { Fatal: "error", Error: "error", Warn: "warning" }

/**
 * A logger that prints one plain line on stderr. `onError` is told of errors: the appender logs what it can no longer
 * tell a caller.
 *
 * @category logging
 * @since 0.1.0
 */
export const logger = (onError: () => void = () => {}): Logger.Logger<unknown, void> =>
  Logger.make(({ cause, fiber, logLevel, message }) => {
    const path = fiber.getRef(References.CurrentLogAnnotations)["auditlog.path"]
    const parts = (Array.isArray(message) ? message : [message]).map((part) =>
      typeof part === "string" ? part : part instanceof Error ? part.message : JSON.stringify(part)
    )
    if (cause.reasons.length > 0) parts.push(Cause.pretty(cause))
    const text = parts.join(" ").replace(/^audit log: /, typeof path === "string" ? `${path}: ` : "")
    listenToStderr()
    process.stderr.write(`auditlog: ${levelNames[logLevel] ?? "note"}: ${printable(text)}\n`)
    if (levelNames[logLevel] === "error") onError()
  })
