/**
 * What `auditlog doctor` does: runs the probes in a directory, and says whether a log is safe there. It leaves nothing
 * behind.
 *
 * @since 0.1.0
 */
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import * as Fs from "node:fs"
import { join } from "node:path"
import { errorCode } from "../internal/filePort.ts"
import * as DoctorProbes from "./doctorProbes.ts"
import * as Output from "./output.ts"

/**
 * The arguments of `auditlog doctor`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments {
  readonly directory: string
  readonly json: boolean
}

/**
 * Probes the directory and prints what holds. Fails with exit code 1 if something does not hold, with 2 if the
 * directory cannot be probed.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*({ directory, json }: Arguments) {
  const findings = yield* Effect.scoped(Effect.gen(function*() {
    const own = yield* makeDirectory(directory)
    return yield* Effect.forEach(
      DoctorProbes.probes,
      ({ name, run }) => Effect.map(run(own), (answer): DoctorProbes.Finding => ({ probe: name, ...answer }))
    )
  }))
  const holds = findings.every(({ status }) => status !== "fails")
  const text = json
    ? `${JSON.stringify({ directory, holds, findings })}\n`
    : yield* textOf(directory, findings)
  yield* Effect.catchTag(Output.stdout(text), "StdoutClosed", () => Effect.void)
  return yield* holds ? Effect.void : new Output.Failure({ exitCode: 1, lines: [] })
})

const problemOf = (code: string): string => {
  switch (code) {
    case "ENOENT":
      return "there is no such directory"
    case "ENOTDIR":
      return "it is no directory; name the directory of the log"
    case "EACCES":
    case "EPERM":
      return "permission denied; run it as the user that writes the log"
    case "EROFS":
      return "the file system is mounted read-only"
    case "ENOSPC":
    case "EDQUOT":
      return "the file system is full"
    default:
      return code
  }
}

/** A directory in the one to be probed, removed with the scope. */
const makeDirectory = (directory: string) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const real = Fs.realpathSync(directory)
        try {
          return Fs.mkdtempSync(join(real, ".auditlog-doctor-"))
        } catch (cause) {
          // some special file systems, /proc among them, say so of files that they do not let be created
          throw errorCode(cause) === "ENOENT"
            ? Object.assign(new Error(), { code: "no file can be created in it" })
            : cause
        }
      },
      catch: (cause) =>
        Output.failure(`auditlog: cannot probe ${Output.printable(directory)}: ${problemOf(errorCode(cause))}`)
    }),
    (own) => Effect.sync(() => Fs.rmSync(own, { recursive: true, force: true }))
  )

const signs = { holds: ["ok", "32"], warning: ["warning", "33"], fails: ["FAILS", "31"] } as const

const textOf = Effect.fnUntraced(function*(directory: string, findings: ReadonlyArray<DoctorProbes.Finding>) {
  const stdio = yield* Stdio.Stdio
  const colors = (yield* stdio.stdoutIsTerminal) && (yield* TerminalCapabilities).canColor
  const width = Math.max(...findings.map(({ probe }) => probe.length))
  const lines = findings.map(({ probe, says, status }) => {
    const [word, color] = signs[status]
    const padded = word.padEnd("warning".length)
    return `${colors ? `\u001b[${color}m${padded}\u001b[0m` : padded}  ${probe.padEnd(width)}  ${says}`
  })
  const count = (status: DoctorProbes.Finding["status"]): number =>
    findings.filter((finding) => finding.status === status).length
  const verdict = count("fails") > 0
    ? "do not keep a log here: what is marked FAILS does not hold"
    : count("warning") > 0
    ? "a log can be kept here, if you can live with the warnings"
    : "a log is safe here"
  return [...lines, `${Output.printable(directory)}: ${verdict}`].map((line) => `${line}\n`).join("")
})
