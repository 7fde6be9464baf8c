/**
 * What several tests need: temporary files, reading a log, and running programs.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Context, Deferred, Effect, Latch, Layer, Schema, Stream } from "effect"
import { spawn, type SpawnOptions, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { Appender, AuditLog, FileAppender, LogReader, type SizePolicy } from "../src/index.ts"

/** A directory that is removed when the test's scope closes. */
export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-"))),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
)

/** The path of a log that does not exist yet. */
export const temporaryLog = Effect.map(temporaryDirectory, (directory) => Path.join(directory, "audit.jsonl"))

/** All entries of a log. */
export const readEntries = (path: string, options?: LogReader.ReadOptions) =>
  LogReader.read(path, options).pipe(Stream.runCollect, Effect.provide(NodeFileSystem.layer))

/** The records of a log. */
export const readRecords = (path: string, options?: LogReader.ReadOptions) =>
  Effect.map(readEntries(path, options), (entries) => entries.filter((entry) => entry._tag === "Record"))

/** What a program that has ended leaves. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end. */
export const run = (
  command: string,
  args: ReadonlyArray<string>,
  options: SpawnOptions & { readonly input?: string | Uint8Array } = {}
): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: "pipe" })
    let stdout = ""
    let stderr = ""
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      stdout += text
    })
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text
    })
    child.on("error", reject)
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }))
    child.stdin?.on("error", () => undefined)
    child.stdin?.end(options.input)
  })

/** The path of a file of this directory. */
export const testFile = (name: string): string => Path.join(import.meta.dirname, name)

/** A log whose records are a few short words. */
export class Audit extends AuditLog.Service<Audit>()("test/Audit", {
  schema: Schema.TaggedUnion({
    RoleGranted: { actor: Schema.String, role: Schema.String },
    Noted: { text: Schema.String }
  })
}) {}

/** A record that is told apart by its role. */
export const granted = (role: string) => ({ _tag: "RoleGranted", actor: "ada", role }) as const

/** The log on top of an appender, built anew: two logs of one service class share nothing. */
export const openLog = (appender: Appender.Appender["Service"]) =>
  Layer.fresh(Audit.layer).pipe(
    Layer.provide(Layer.succeed(Appender.Appender, appender)),
    Layer.build,
    Effect.map(Context.get(Audit))
  )

/** A log in memory, and what it holds. */
export const openMemoryLog = Effect.fnUntraced(function*(limits?: Partial<SizePolicy.Limits>) {
  const { appender, memory } = Appender.makeMemory(limits)
  return { log: yield* openLog(appender), memory }
})

/** A log in a file of a directory of its own, closed with the scope. */
export const openFileLog = Effect.fnUntraced(function*(options: Partial<FileAppender.Options> = {}) {
  const path = options.path ?? (yield* temporaryLog)
  const appender = yield* FileAppender.make({ ...options, path })
  return { log: yield* openLog(appender), path, size: () => Fs.statSync(path).size }
})

/** A log in memory whose writes wait at a gate; `entered` is done when the first of them stands there. */
export const openGatedLog = Effect.gen(function*() {
  const { appender, memory } = Appender.makeMemory()
  const entered = yield* Deferred.make<void>()
  const gate = yield* Latch.make(false)
  const log = yield* openLog({
    ...appender,
    append: (records) =>
      Deferred.succeed(entered, undefined).pipe(
        Effect.andThen(gate.await),
        Effect.andThen(appender.append(records))
      )
  })
  return { log, memory, entered, gate }
})

/** A line of a log as any JSON parser sees it. */
export interface PlainLine {
  readonly line: string
  readonly stamp: { readonly [key: string]: unknown; readonly tx?: { id: string; i: number; n: number } }
  readonly record: { readonly [key: string]: unknown }
  readonly hash: string
}

/** The lines of a log's text, parsed without any code of the library. */
export const plainLines = (text: string): ReadonlyArray<PlainLine> =>
  text.split("\n").slice(0, -1).map((line) => {
    const { _audit, _hash, ...record } = JSON.parse(line)
    return { line, stamp: _audit, record, hash: _hash }
  })

/** The roles of the {@link granted} records of a log's text, in the order of its lines. */
export const rolesIn = (text: string): ReadonlyArray<unknown> => plainLines(text).map(({ record }) => record["role"])

/** The roles of the {@link granted} records in a file, in the order of its lines. */
export const rolesAt = (path: string): ReadonlyArray<unknown> => rolesIn(Fs.readFileSync(path, "utf8"))

/** Whether strace can be used here; why not, otherwise. */
export const canTrace = (): string | undefined => {
  const { error, status, stderr } = spawnSync("strace", ["-qq", "-e", "trace=none", "true"], { encoding: "utf8" })
  if (error !== undefined) return "strace is not installed; apt-get install strace"
  return status === 0 ? undefined : `strace cannot trace here: ${stderr.trim()}`
}
