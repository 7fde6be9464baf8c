/**
 * Runs the command of `auditlog exec`: with the terminal, the streams and the process group of this program, so that it
 * behaves as it does without it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import { isatty } from "node:tty"
import { errorCode } from "../internal/filePort.ts"
import * as Output from "./output.ts"

/**
 * What became of the command: the exit code to pass on, and how it ended, in words. `problem` says why it could not run.
 *
 * @category models
 * @since 0.1.0
 */
interface Ended {
  readonly code: number
  readonly how: string
  readonly problem?: string
}

/**
 * A command that can be run once. Signals that come before that keep it from starting.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChildCommand {
  readonly run: (env: NodeJS.ProcessEnv) => Effect.Effect<Ended>
}

const passedOn = ["SIGINT", "SIGTERM", "SIGHUP"] as const

/**
 * Takes over the signals of this program until the scope closes: they are for the command.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (words: ReadonlyArray<string>) => Effect.Effect<ChildCommand, never, Scope.Scope> = Effect
  .fnUntraced(function*(words) {
    let child: ChildProcess | undefined
    let early: NodeJS.Signals | undefined
    const onSignal = (signal: NodeJS.Signals): void => {
      if (child === undefined) early ??= signal
      else if (signal !== "SIGINT" || !isForeground()) child.kill(signal)
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => passedOn.forEach((signal) => process.on(signal, onSignal))),
      () => Effect.sync(() => passedOn.forEach((signal) => process.off(signal, onSignal)))
    )
    const run = (env: NodeJS.ProcessEnv): Effect.Effect<Ended> =>
      Effect.callback((resume) => {
        if (early !== undefined) return resume(Effect.succeed(killed(early)))
        const [file = "", ...args] = words
        const failed = (cause: unknown): void => resume(Effect.succeed(notStarted(file, errorCode(cause))))
        try {
          child = spawn(file, args, { stdio: "inherit", env })
          child.on("error", failed)
          child.on("exit", (code, signal) =>
            resume(Effect.succeed(
              signal === null ? { code: code ?? 1, how: `exited with ${code ?? 1}` } : killed(signal)
            )))
        } catch (cause) {
          // too many or too long arguments: spawn throws what it does not report
          failed(cause)
        }
      })
    return { run }
  })

const killed = (signal: NodeJS.Signals): Ended => ({
  code: 128 + Os.constants.signals[signal],
  how: `was ended by ${signal}`
})

/** The exit codes of shells and of env(1). */
const notStarted = (file: string, code: string): Ended => ({
  code: code === "ENOENT" ? 127 : 126,
  how: "did not start",
  problem: `cannot run ${Output.printable(file)}: ${
    code === "ENOENT"
      ? "there is no such command, or its interpreter is missing"
      : code === "EACCES"
      ? "permission denied; is it executable?"
      : code
  }`
})

/**
 * Whether this program is in the foreground of a terminal. Then a SIGINT is Ctrl-C, which the terminal has sent to the
 * command as well; many programs take a second one for "stop at once, without cleaning up".
 */
const isForeground = (): boolean => {
  try {
    // proc(5): after the name in parentheses come state, parent, group, session, terminal, foreground group
    const stat = Fs.readFileSync("/proc/self/stat", "latin1")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return fields[2] === fields[5]
  } catch {
    return isatty(0) || isatty(2)
  }
}
