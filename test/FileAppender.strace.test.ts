/**
 * What the kernel sees, by strace on a real program: flags, one write a batch, the read-back, and the flush before the
 * acknowledgement leaves the process.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import { childProgram } from "./childPrograms.ts"
import { canTrace, readEntries, readRecords, run, temporaryLog } from "./support.ts"

const skip = canTrace()
if (skip !== undefined) console.log(`skipped: ${skip}`)

/** A system call of the trace: on the log, or a write to stdout. */
interface Call {
  readonly name: string
  readonly text: string
  readonly result: string
}

/** Runs the writer under strace and returns its system calls on the log and on stdout, in the order they ended. */
const trace = (path: string, writer: ReadonlyArray<string>, inject: ReadonlyArray<string> = []) =>
  Effect.promise(async () => {
    const output = `${path}.strace`
    // -y names the file behind each descriptor; one worker thread, so that injections count in one place
    const calls = "trace=openat,write,pread64,fsync,fdatasync,pwrite64,writev,ftruncate"
    const args = ["-f", "-qq", "-y", "-s", "120", "-o", output, "-e", calls, ...inject.flatMap((rule) => ["-e", rule])]
    // injections apply to the log alone, and -P would hide stdout
    if (inject.length > 0) args.push("-P", path)
    const ended = await run("strace", [...args, process.execPath, childProgram("writer"), path, ...writer], {
      env: { ...process.env, UV_THREADPOOL_SIZE: "1" }
    })
    return { ended, calls: parse(Fs.readFileSync(output, "utf8"), path) }
  })

const parse = (text: string, path: string): ReadonlyArray<Call> => {
  const unfinished = new Map<string, string>()
  const calls: Array<Call> = []
  for (const line of text.split("\n")) {
    const [, pid = "", rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? []
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)
    if (rest.endsWith("<unfinished ...>")) {
      unfinished.set(pid, rest.slice(0, -"<unfinished ...>".length))
      continue
    }
    const whole = resumed === null ? rest : `${unfinished.get(pid) ?? ""}${resumed[1]}`
    const [, name = "", text = "", result = ""] = /^(\w+)\((.*)\) += (.*)$/.exec(whole) ?? []
    if (text.includes(path) && !text.includes(`${path}.strace`) || (name === "write" && text.startsWith("1<"))) {
      calls.push({ name, text, result })
    }
  }
  return calls
}

const isAcknowledgement = ({ name, text }: Call): boolean => name === "write" && /^1<.*>, "[0-9A-Z]{26}:/.test(text)

describe.skipIf(skip !== undefined)("the system calls of an append", () => {
  it.effect("open with O_APPEND and O_NOFOLLOW and mode 0600, then write, read back, flush, acknowledge, each time", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const { calls, ended } = yield* trace(path, ["one", "20", "1"])
      assert.strictEqual(ended.code, 0, ended.stderr)
      const open = calls.find(({ name }) => name === "openat")
      for (const flag of ["O_RDWR", "O_CREAT", "O_APPEND", "O_NOFOLLOW", "O_CLOEXEC", "0600"]) {
        assert.include(open?.text, flag)
      }
      const appends = calls.slice(calls.findIndex(({ name, text }) => name === "write" && text.includes(path)))
      const steps = appends.map((call) => isAcknowledgement(call) ? "acknowledge" : call.name)
      const expected = Array.from({ length: 20 }, () => ["write", "pread64", "fdatasync", "acknowledge"]).flat()
      assert.deepStrictEqual(steps, expected)
    }))

  it.effect("write once for each batch of many fibers, and never acknowledge before the flush of the batch", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const { calls, ended } = yield* trace(path, ["many", "2000", "100", "transactions"])
      assert.strictEqual(ended.code, 0, ended.stderr)
      const writes = calls.filter(({ name, text }) => name === "write" && text.includes(path))
      const flushes = calls.filter(({ name }) => name === "fdatasync")
      assert.strictEqual(writes.length, flushes.length)
      assert.isBelow(writes.length, 200)
      assert.deepStrictEqual(calls.filter(({ name }) => /pwrite|writev|truncate/.test(name)), [])
      // one writer alone: record `seq` is line `seq`, and each is durable when a flush covers its last byte
      const lines = Fs.readFileSync(path, "utf8").split("\n").slice(0, -1)
      let end = 0
      const ends = lines.map((line) => end += Buffer.byteLength(line) + 1)
      let acknowledgements = 0
      let writtenBytes = 0
      let flushedBytes = 0
      for (const call of calls) {
        if (call.name === "write" && call.text.includes(path)) writtenBytes += Number(call.result)
        if (call.name === "fdatasync") flushedBytes = writtenBytes
        if (!isAcknowledgement(call)) continue
        for (const [, seq] of call.text.matchAll(/[0-9A-Z]{26}:(\d+)(?=[ \\])/g)) {
          assert.isAtMost(ends[Number(seq)]!, flushedBytes, `${seq} was acknowledged before its flush`)
          acknowledgements++
        }
      }
      assert.strictEqual(flushedBytes, end)
      const acknowledged = ended.stdout.match(/[0-9A-Z]{26}:\d+/g) ?? []
      const found = new Set((yield* readRecords(path)).map(({ id }) => id))
      assert.strictEqual(found.size, acknowledged.length)
      assert.isTrue(acknowledged.every((id) => found.has(id)))
      assert.strictEqual(acknowledgements, acknowledged.length)
    }))
})

describe.skipIf(skip !== undefined)("system calls that fail", () => {
  it.effect("fdatasync with EIO: not retried, and nobody who waited for it is told success", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const { calls, ended } = yield* trace(path, ["sync", "400", "8"], ["inject=fdatasync:error=EIO:when=5"])
      assert.notStrictEqual(ended.code, 0)
      assert.include(ended.stderr, "DurabilityUnknown")
      const flushes = calls.filter(({ name }) => name === "fdatasync" || name === "fsync")
      assert.include(flushes.at(-1)?.result, "EIO")
      const failedAt = calls.findIndex(({ result }) => result.includes("EIO"))
      assert.deepStrictEqual(calls.slice(failedAt + 1).filter(({ name }) => name === "write"), [])
      yield* assertAcknowledgedAreFound(path, ended.stdout)
    }))

  it.effect("write with ENOSPC: the program is told, and the log stays whole", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const { ended } = yield* trace(path, ["full", "400", "8"], ["inject=write:error=ENOSPC:when=3"])
      assert.notStrictEqual(ended.code, 0)
      assert.include(ended.stderr, "StorageFull")
      yield* assertAcknowledgedAreFound(path, ended.stdout)
      assert.deepStrictEqual((yield* readEntries(path)).filter(({ _tag }) => _tag !== "Record"), [])
    }))

  // the injected result is a lie: the kernel wrote nothing, so libuv re-issues all but 7 bytes
  it.effect("a write that claims 7 bytes of a batch: found missing by the read-back, and appended again", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const { calls, ended } = yield* trace(path, ["short", "400", "8"], ["inject=write:retval=7:when=3"])
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.isTrue(calls.some(({ name, result }) => name === "write" && result.startsWith("7 ")))
      yield* assertAcknowledgedAreFound(path, ended.stdout)
      const damages = (yield* readEntries(path)).filter(({ _tag }) => _tag !== "Record")
      assert.isAtMost(damages.length, 1)
    }))

  it.effect("SIGKILL in the middle of a write: every acknowledged record is in the log", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const { ended } = yield* trace(path, ["killed", "4000", "8"], ["inject=write:signal=SIGKILL:when=20"])
      assert.notStrictEqual(ended.code, 0)
      assert.isAbove(ended.stdout.split("\n").length, 20)
      yield* assertAcknowledgedAreFound(path, ended.stdout)
    }))
})

const assertAcknowledgedAreFound = Effect.fnUntraced(function*(path: string, stdout: string) {
  const acknowledged = stdout.match(/[0-9A-Z]{26}:\d+/g) ?? []
  const found = (yield* readRecords(path)).map(({ id }) => id)
  assert.strictEqual(new Set(found).size, found.length, "a record twice")
  assert.deepStrictEqual(acknowledged.filter((id) => !found.includes(id)), [], "acknowledged records that are lost")
})
