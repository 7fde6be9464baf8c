/**
 * Runs the command line inside the test's process: for what it prints and how it ends, where a process of its own would
 * only cost its start. Signals, streams and locks are for `cliSupport`.
 */
import { Effect, Runtime } from "effect"
import * as Process from "node:process"
import { vi } from "vitest"
import { run } from "../src/cli/Cli.ts"
import { environment, type Options } from "./cliSupport.ts"
import type { Ended } from "./support.ts"

type Write = typeof process.stdout.write

/** Sees what is written to a stream of the process, instead of the stream. */
const captured = (stream: NodeJS.WriteStream): { readonly text: () => string; readonly restore: () => void } => {
  let text = ""
  const write = ((chunk: string | Uint8Array, encodingOrDone?: unknown, done?: unknown) => {
    text += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString()
    const callback = typeof encodingOrDone === "function" ? encodingOrDone : done
    if (typeof callback === "function") callback()
    return true
  }) as Write
  const spy = vi.spyOn(stream, "write").mockImplementation(write)
  return { text: () => text, restore: () => spy.mockRestore() }
}

/** Gives the process other variables, and takes them back. */
const withVariables = (variables: NodeJS.ProcessEnv): () => void => {
  const before = { ...Process.env }
  const set = (wanted: NodeJS.ProcessEnv): void => {
    for (const name of Object.keys(Process.env)) if (wanted[name] === undefined) delete Process.env[name]
    Object.assign(Process.env, wanted)
  }
  set(variables)
  return () => set(before)
}

/** Runs an effect as the command does: what it prints, and the exit code that it would end with. */
export const inProcess = async <A, E>(
  effect: Effect.Effect<A, E>,
  { cwd, env }: Pick<Options, "cwd" | "env"> = {}
): Promise<Ended> => {
  const directory = Process.cwd()
  const restore = withVariables(environment(env))
  if (cwd !== undefined) Process.chdir(cwd)
  const [stdout, stderr] = [captured(process.stdout), captured(process.stderr)]
  try {
    const exit = await Effect.runPromiseExit(effect)
    const code = await new Promise<number>((resolve) => Runtime.defaultTeardown(exit, resolve))
    return { code, signal: null, stdout: stdout.text(), stderr: stderr.text() }
  } finally {
    stdout.restore()
    stderr.restore()
    restore()
    Process.chdir(directory)
  }
}

/** Runs `auditlog …` to its end. */
export const auditlog = (args: ReadonlyArray<string>, options: Pick<Options, "cwd" | "env"> = {}): Promise<Ended> =>
  inProcess(run(args), options)
