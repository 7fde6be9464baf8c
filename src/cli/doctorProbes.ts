/**
 * The probes of `auditlog doctor`: each asks the file system one question that a log depends on, and gives the answer in
 * plain words. They work on files of their own in a directory of their own.
 *
 * Plain `node:fs`, synchronous: what is measured are system calls, as the appender makes them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import { join } from "node:path"
import { errorCode } from "../internal/filePort.ts"
import { fileSystemKind } from "../internal/fileSystemKind.ts"

/**
 * The answer of a probe. `fails`: a log here would break a promise. `warning`: it would keep them, with a limit that
 * somebody should know of. `values` are what was measured.
 *
 * @category models
 * @since 0.1.0
 */
export interface Finding {
  readonly probe: string
  readonly status: "holds" | "warning" | "fails"
  readonly says: string
  readonly values?: { readonly [name: string]: string | number }
}

/**
 * A probe: its name, and its answer for a directory of its own. What it throws is an answer too.
 *
 * @category models
 * @since 0.1.0
 */
export interface Probe {
  readonly name: string
  readonly run: (directory: string) => Effect.Effect<Omit<Finding, "probe">>
}

type Answer = Omit<Finding, "probe">

const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR } = Fs.constants

const create = (path: string): number => Fs.openSync(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW, 0o600)

const using = <A>(fd: number, run: (fd: number) => A): A => {
  try {
    return run(fd)
  } finally {
    Fs.closeSync(fd)
  }
}

const failed = (cause: unknown): Answer => ({
  status: "fails",
  says: `the system refused it: ${errorCode(cause)}`
})

const answer = (run: () => Answer): Effect.Effect<Answer> =>
  Effect.try({ try: run, catch: failed }).pipe(Effect.catch(Effect.succeed))

const sync = (name: string, run: (directory: string) => Answer): Probe => ({
  name,
  run: (directory) => answer(() => run(directory))
})

const mebibyte = 1024 * 1024

const kind = sync("file system", (directory) => {
  const { type } = Fs.statfsSync(directory)
  const found = fileSystemKind(type)
  const values = { name: found.name, magic: `0x${(type >>> 0).toString(16)}` }
  switch (found._tag) {
    case "network":
      return {
        status: "fails",
        says: `${found.name}, a network file system: each host picks the place of an append for itself, so that ` +
          `several hosts overwrite each other's records. A log is refused here, unless allowNetworkFileSystem says ` +
          `that one host alone writes it`,
        values
      }
    case "memory":
      return { status: "warning", says: `${found.name}: what is on it is gone when the machine restarts`, values }
    case "unknown":
      return {
        status: "warning",
        says: `${found.name}: whether appends and flushes hold depends on the program behind it`,
        values
      }
    case "local":
      break
  }
  return { status: "holds", says: `${found.name}, a local file system`, values }
})

/** Less than this is soon written by a busy program; nothing breaks when it is full. */
const freeBytesMin = 64 * mebibyte

const space = sync("free space", (directory) => {
  const { bavail, bsize, ffree, files } = Fs.statfsSync(directory)
  const freeBytes = bavail * bsize
  const values = { freeBytes, freeFiles: ffree }
  const says = `${Math.floor(freeBytes / mebibyte)} MiB are free`
  if (freeBytes === 0) return { status: "fails", says: "nothing is free: no append can succeed", values }
  // some file systems, btrfs among them, have no fixed number of files and say 0 of 0
  if (files > 0 && ffree === 0) return { status: "fails", says: "no further file can be created (no inodes)", values }
  return freeBytes < freeBytesMin
    ? { status: "warning", says: `only ${says}; appends fail with StorageFull when it is full`, values }
    : { status: "holds", says, values }
})

const privateMode = sync("private files", (directory) =>
  using(create(join(directory, "mode")), (fd) => {
    const mode = (Fs.fstatSync(fd).mode & 0o777).toString(8).padStart(4, "0")
    return mode === "0600"
      ? {
        status: "holds",
        says: "a file created with mode 0600 has it: only its owner reads the log",
        values: { mode }
      }
      : {
        status: "warning",
        says: `a file created with mode 0600 gets ${mode}: others may be able to read the log`,
        values: { mode }
      }
  }))

const readBack = sync("read-back", (directory) =>
  using(create(join(directory, "read-back")), (fd) => {
    // more than one page, and more than PIPE_BUF
    const bytes = Buffer.from(`${JSON.stringify({ text: "read-back ".repeat(1000) })}\n`)
    for (let i = 1; i <= 10; i++) {
      const written = Fs.writeSync(fd, bytes)
      const { size } = Fs.fstatSync(fd)
      const back = Buffer.alloc(bytes.length)
      Fs.readSync(fd, back, 0, back.length, size - bytes.length)
      if (written !== bytes.length || size !== i * bytes.length || !back.equals(bytes)) {
        return {
          status: "fails",
          says: "what was appended did not stand at the end of the file when it was read again"
        }
      }
    }
    return { status: "holds", says: "what was appended is read back, whole and at the end of the file" }
  }))

/** How many flushes are timed. */
const flushes = 50

/** A flush that takes longer limits a program that waits for each record to a few a second. */
const slowFlushMillis = 100

const flush = sync("flush", (directory) =>
  using(create(join(directory, "flush")), (fd) => {
    const bytes = Buffer.from(`${"x".repeat(299)}\n`)
    const millis: Array<number> = []
    for (let i = 0; i < flushes; i++) {
      Fs.writeSync(fd, bytes)
      const start = performance.now()
      Fs.fdatasyncSync(fd)
      millis.push(performance.now() - start)
    }
    millis.sort((a, b) => a - b)
    const at = (quantile: number): number => Number(millis[Math.ceil(quantile * flushes) - 1]!.toFixed(3))
    const values = { medianMillis: at(0.5), p99Millis: at(0.99), flushes }
    const says = `a flush to the device takes ${values.medianMillis} ms (median of ${flushes}), ` +
      `${values.p99Millis} ms at worst`
    return values.medianMillis > slowFlushMillis
      ? { status: "warning", says: `${says}: slow; let many callers share a flush, or look at sync`, values }
      : { status: "holds", says, values }
  }))

const directoryFlush = sync("directory flush", (directory) => {
  using(Fs.openSync(directory, O_RDONLY), (fd) => Fs.fsyncSync(fd))
  return { status: "holds", says: "a directory can be flushed: the name of a new file survives a power cut" }
})

const identity = (stat: Fs.BigIntStats): string => `${stat.dev}:${stat.ino}`

const rename = sync("rename", (directory) => {
  const path = join(directory, "rename")
  return using(create(path), (fd) => {
    const own = identity(Fs.fstatSync(fd, { bigint: true }))
    Fs.renameSync(path, `${path}.1`)
    const gone = Fs.statSync(path, { throwIfNoEntry: false }) === undefined
    const other = using(create(path), (fd) => identity(Fs.fstatSync(fd, { bigint: true })))
    const followed = identity(Fs.statSync(`${path}.1`, { bigint: true })) === own
    return gone && followed && other !== own
      ? { status: "holds", says: "a writer sees that its file was renamed, and can follow a rotation" }
      : { status: "fails", says: "a writer cannot see that its file was renamed: after a rotation it loses records" }
  })
})

const removal = sync("removal", (directory) => {
  const path = join(directory, "removal")
  return using(create(path), (fd) => {
    Fs.unlinkSync(path)
    return Fs.fstatSync(fd).nlink === 0
      ? { status: "holds", says: "a writer sees that its file was removed" }
      : {
        status: "fails",
        says: "a writer cannot see that its file was removed: what it appends then is lost without an error"
      }
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Appends of several processes
// ---------------------------------------------------------------------------------------------------------------------

const racers = 2
const recordsEach = 300

/** Appends lines of 200 to 8200 bytes, one write each, as soon as it reads a byte on stdin. */
const racer = `
const fs = require("node:fs"), [file, name, records] = process.argv.slice(1)
const fd = fs.openSync(file, fs.constants.O_WRONLY | fs.constants.O_APPEND)
fs.writeSync(1, "ready\\n")
fs.readSync(0, Buffer.alloc(1))
for (let n = 0; n < Number(records); n++) {
  const line = Buffer.from(JSON.stringify({ name, n, text: name.repeat(160 + (n * 523) % 8000) }) + "\\n")
  if (fs.writeSync(fd, line) !== line.length) process.exit(3)
}
`

const appendRace: Probe = {
  name: "appends",
  run: (directory) =>
    Effect.callback<Answer>((resume) => {
      const path = join(directory, "appends")
      try {
        Fs.closeSync(create(path))
      } catch (cause) {
        return resume(Effect.succeed(failed(cause)))
      }
      let ready = 0
      let ended = 0
      let problem: string | undefined
      const children = Array.from({ length: racers }, (_, i) =>
        spawn(process.execPath, ["-e", racer, path, "ab"[i]!, String(recordsEach)], {
          stdio: ["pipe", "pipe", "ignore"],
          env: { ...process.env, NODE_OPTIONS: "" }
        }))
      for (const child of children) {
        child.stdin.on("error", () => {})
        child.stdout.once("data", () => {
          // all of them start together: without a race there is nothing to see
          if (++ready === racers) {
            for (const { stdin } of children) {
              stdin.end("g")
            }
          }
        })
        child.on("error", (cause) => {
          problem = errorCode(cause)
        })
        child.on("close", (code) => {
          if (code !== 0) {
            problem ??= `a process ended with code ${code}`
            for (const other of children) {
              other.kill("SIGKILL")
            }
          }
          if (++ended === racers) {
            resume(answer(() =>
              judge(path, problem)
            ))
          }
        })
      }
      return Effect.sync(() => {
        for (const child of children) child.kill("SIGKILL")
      })
    })
}

const judge = (path: string, problem: string | undefined): Answer => {
  if (problem !== undefined) return { status: "fails", says: `several processes could not append: ${problem}` }
  const next = new Map<string, number>()
  let torn = 0
  let lines = 0
  for (const line of Fs.readFileSync(path, "latin1").split("\n").slice(0, -1)) {
    lines++
    const whole = /^\{"name":"([ab])","n":(\d+),"text":"(\1*)"\}$/.exec(line)
    if (whole === null || Number(whole[2]) !== (next.get(whole[1]!) ?? 0)) torn++
    else next.set(whole[1]!, Number(whole[2]) + 1)
  }
  const expected = racers * recordsEach
  const values = { processes: racers, appended: expected, lines, torn }
  return torn === 0 && lines === expected
    ? {
      status: "holds",
      says: `${racers} processes appended ${expected} lines at once: each is whole, none is lost, all are in order`,
      values
    }
    : {
      status: "fails",
      says:
        `${racers} processes appended ${expected} lines at once, and ${lines - torn} of them are whole and in order: ` +
        `records of several writers are mixed or lost here`,
      values
    }
}

/**
 * All probes, in the order in which they are run and told.
 *
 * @category probes
 * @since 0.1.0
 */
export const probes: ReadonlyArray<Probe> = [
  kind,
  space,
  privateMode,
  appendRace,
  readBack,
  flush,
  directoryFlush,
  rename,
  removal
]
