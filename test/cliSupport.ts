/**
 * Runs the real command line, bundled from these sources, as a child process.
 */
import { type ChildProcessByStdio, spawn, type SpawnOptions, spawnSync } from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import type { Readable, Writable } from "node:stream"
import { onTestFinished } from "vitest"
import { type Ended, run } from "./support.ts"

/** The program, as `bundleCommand.ts` has made it. */
export const bin = Path.resolve(import.meta.dirname, "../dist/cli/bin.js")

/** The environment without what would change the program's behaviour. */
export const environment = (extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(?:AUDITLOG_|NODE_|VITEST|NO_COLOR|FORCE_COLOR)/.test(name))
  ),
  TERM: "xterm-256color",
  // bash takes a stdin that is a socket, as a child's is here, for a network login, and then runs bashrc: not if nested
  SHLVL: "2",
  ...extra
})

/** How to run it: what stdin holds, and variables. */
export interface Options {
  readonly input?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly uid?: number
}

const spawnOptions = ({ cwd, env, uid }: Options): SpawnOptions => ({
  env: environment(env),
  ...(cwd === undefined ? {} : { cwd }),
  ...(uid === undefined ? {} : { uid, gid: uid })
})

/** Runs `auditlog …` to its end. */
export const auditlog = (args: ReadonlyArray<string>, options: Options = {}): Promise<Ended> =>
  run(process.execPath, [bin, ...args], { ...spawnOptions(options), input: options.input ?? "" })

/** Starts `auditlog …` with pipes. It is killed when the test ends. */
export const start = (
  args: ReadonlyArray<string>,
  options: Options = {}
): ChildProcessByStdio<Writable, Readable, Readable> => {
  const child = spawn(process.execPath, [bin, ...args], {
    ...spawnOptions(options),
    stdio: ["pipe", "pipe", "pipe"]
  }) as ChildProcessByStdio<Writable, Readable, Readable>
  child.stdin.on("error", () => undefined)
  onTestFinished(() => {
    child.kill("SIGKILL")
  })
  return child
}

/** How a child ends. */
export const ended = (child: ReturnType<typeof start>): Promise<number | NodeJS.Signals | null> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode ?? child.signalCode)
    child.on("close", (code, signal) => resolve(code ?? signal))
  })

/** Waits until a stream has given so many lines, and returns them all. */
export const lines = (stream: Readable, count: number): Promise<ReadonlyArray<string>> =>
  new Promise((resolve, reject) => {
    let text = ""
    const take = (chunk: string | Buffer): void => {
      text += String(chunk)
      const whole = text.split("\n").slice(0, -1)
      if (whole.length < count) return
      stream.off("data", take)
      resolve(whole)
    }
    stream.on("data", take)
    stream.on("end", () => reject(new Error(`ended after ${JSON.stringify(text)}`)))
  })

/** Runs a line of bash in which `$AUDITLOG` is the program; `${PIPESTATUS[*]}` is what its exit codes are. */
export const bash = (script: string, options: Options = {}): Promise<Ended> =>
  run("bash", ["-c", script], {
    ...spawnOptions({ ...options, env: { ...options.env, AUDITLOG: `${process.execPath} ${bin}` } }),
    input: options.input ?? ""
  })

/** Runs `auditlog …` on a terminal of its own, and returns what that terminal gets: stdout and stderr together. */
export const onTerminal = async (args: ReadonlyArray<string>, options: Options = {}): Promise<Ended> => {
  const quoted = [process.execPath, bin, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ")
  const result = await run("script", ["-qefc", quoted, "/dev/null"], {
    ...spawnOptions(options),
    input: options.input ?? ""
  })
  return { ...result, stdout: result.stdout.replaceAll("\r\n", "\n") }
}

/** A directory that is removed when the test ends. */
export const directory = (): string => {
  const made = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-cli-"))
  onTestFinished(() => Fs.rmSync(made, { recursive: true, force: true }))
  return made
}

/** The path of a log that does not exist yet. */
export const newLog = (): string => Path.join(directory(), "audit.jsonl")

/** Why no small file system can be mounted here; `undefined` if one can. */
export const cannotMount = (): string | undefined => {
  const probe = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-mount-"))
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", probe])
  if (status === 0) spawnSync("umount", [probe])
  Fs.rmdirSync(probe)
  return status === 0 ? undefined : "mounting a tmpfs needs root"
}

/** A file system with so much room, unmounted when the test ends. */
export const smallFileSystem = (size: string): string => {
  const at = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-small-"))
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", at], {
    encoding: "utf8"
  })
  if (status !== 0) throw new Error(stderr)
  onTestFinished(() => {
    spawnSync("umount", ["-l", at])
    Fs.rmSync(at, { recursive: true, force: true })
  })
  return at
}

/** Why a terminal cannot be had here; `undefined` if it can. */
export const noTerminal = (): string | undefined =>
  spawnSync("sh", ["-c", "command -v script"], { stdio: "ignore" }).status === 0
    ? undefined
    : "the program script is not installed; apt-get install bsdutils"

/** For `skipIf`: prints the reason, if there is one. */
export const because = (reason: string | undefined): boolean => {
  if (reason !== undefined) process.stderr.write(`skipped: ${reason}\n`)
  return reason !== undefined
}

/** The greatest resident size that a process has had, in bytes. */
export const peakBytes = (pid: number): number =>
  Number(/VmHWM:\s+(\d+) kB/.exec(Fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024

/** Closes a head with its SHA-256, without the library's code. */
export const sealed = (head: string): string => `${head},"_hash":"${Crypto.hash("sha256", head, "base64url")}"}`

/** A record's line as docs/format.md has it, without its newline. */
export const recordLine = (fields: string, stamp: {
  readonly writer?: string
  readonly seq?: number
  readonly more?: string
} = {}): string =>
  sealed(
    `{"_audit":{"v":1,"writer":"${stamp.writer ?? "01JD0000000000000000ABCDEF"}","seq":${stamp.seq ?? 0},` +
      `"at":"2026-11-23T09:15:02.114Z"${stamp.more ?? ""}}${fields === "" ? "" : `,${fields}`}`
  )

/** What an error must not look like. */
export const stackTrace = /\n\s+at |Error:|\bnode:/
