/**
 * A FIFO as the target: here `PIPE_BUF` is real. The reader is a real process, `cat` into a file.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, Schedule, Scope } from "effect"
import { execFileSync, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type AuditError, type FileAppender, SizePolicy } from "../src/index.ts"
import { openFileLog, plainLines, readEntries, temporaryDirectory } from "./support.ts"

const fifo = Effect.map(temporaryDirectory, (directory) => {
  const path = Path.join(directory, "audit.fifo")
  execFileSync("mkfifo", ["-m", "600", path])
  return path
})

/** A process that reads a FIFO into a file until its writers are gone. */
const reader = Effect.fnUntraced(function*(path: string) {
  const sink = `${path}.out`
  const out = Fs.openSync(sink, "w", 0o600)
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn("cat", [path], { stdio: ["ignore", out, "inherit"] })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  Fs.closeSync(out)
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()))
  return { sink, pid: child.pid!, kill: () => child.kill("SIGKILL"), ended: Effect.promise(() => ended) }
})

/** Opens the log once the reader is there: until then opening fails with a reason that says to try again. */
const openPipe = (options: FileAppender.Options) =>
  openFileLog(options).pipe(
    Effect.retry({ while: (error) => error.isRetryable, schedule: Schedule.spaced("10 millis"), times: 1000 }),
    Effect.provide(Logger.layer([]))
  )

const note = (text: string) => ({ _tag: "Noted", text }) as const

/** The bytes of the widest line around an empty `Noted`; SizePolicy.test.ts takes it apart. */
const emptyBytes = Buffer.byteLength(
  `{"_audit":{"v":1,"writer":"${"W".repeat(26)}","seq":${"9".repeat(16)},"at":"2026-11-23T09:15:02.114Z",` +
    `"prev":"${"h".repeat(43)}","seen":"${"h".repeat(43)}",` +
    `"tx":{"id":"${"X".repeat(26)}","i":${"9".repeat(7)},"n":${"9".repeat(7)}},` +
    `"try":9,"trace":"${"a".repeat(32)}-${"b".repeat(16)}"},"_tag":"Noted","text":"","_hash":"${"h".repeat(43)}"}\n`
)

const noteOf = (bytes: number) => note("x".repeat(bytes - emptyBytes))

/** The reason an effect fails with, as a plain object, and its message. */
const reasonOf = <A, R>(effect: Effect.Effect<A, AuditError.AuditError, R>) =>
  Effect.map(Effect.flip(effect), ({ message, reason }) => Object.assign({ message }, reason))

describe("a FIFO", () => {
  it.live("gets records of up to 4096 bytes and whole transactions of up to 4096, each as one piece", () =>
    Effect.gen(function*() {
      const path = yield* fifo
      const { ended, sink } = yield* reader(path)
      const receipts = yield* Effect.scoped(Effect.gen(function*() {
        const { log } = yield* openPipe({ path, sizePolicy: SizePolicy.allow({ limit: "1 MiB" }) })
        const one = yield* log.append(noteOf(4096))
        const two = yield* log.transaction(log.appendAll([noteOf(2048), noteOf(2048)]))
        return [one, ...two, yield* log.append(note("last"))]
      }))
      yield* ended
      const text = Fs.readFileSync(sink, "utf8")
      const lines = plainLines(text)
      assert.deepStrictEqual(lines.map(({ record }) => (record["text"] as string).length), [
        4096 - emptyBytes,
        2048 - emptyBytes,
        2048 - emptyBytes,
        4
      ])
      for (const { hash, line } of lines) {
        assert.strictEqual(
          hash,
          createHash("sha256").update(line.slice(0, line.lastIndexOf(",\"_hash\":"))).digest("base64url")
        )
      }
      assert.deepStrictEqual(lines.map(({ stamp }) => [stamp["seq"], stamp.tx?.i, stamp.tx?.n]), [
        [0, undefined, undefined],
        [1, 0, 2],
        [2, 1, 2],
        [3, undefined, undefined]
      ])
      assert.deepStrictEqual(
        lines.slice(1).map(({ stamp }) => stamp["prev"]),
        lines.slice(0, -1).map(({ hash }) => hash)
      )
      assert.deepStrictEqual((yield* readEntries(sink)).map((entry) => entry._tag), Array.from(lines, () => "Record"))
      assert.strictEqual(receipts[0]!.durability, "pipe")
      assert.strictEqual(receipts[0]!.hash, lines[0]!.hash)
      assert.strictEqual(receipts[3]!.bytes, Buffer.byteLength(lines[3]!.line) + 1)
    }))

  for (
    const sizePolicy of [SizePolicy.allow, SizePolicy.warn, SizePolicy.reject].map((make) => make({ limit: "1 MiB" }))
  ) {
    it.live(`refuses a record of 4097 bytes also under ${sizePolicy._tag}, and a transaction of more than 4096 in total`, () =>
      Effect.gen(function*() {
        const path = yield* fifo
        const { ended, sink } = yield* reader(path)
        yield* Effect.scoped(Effect.gen(function*() {
          const { log } = yield* openPipe({ path, sizePolicy })
          assert.deepInclude(yield* reasonOf(log.append(noteOf(4097))), {
            _tag: "RecordTooLarge",
            sizeBytes: 4097,
            limitBytes: 4096,
            committed: "no"
          })
          const both = log.transaction(Effect.andThen(log.append(noteOf(2048)), log.append(noteOf(2049))))
          for (const effect of [Effect.asVoid(log.appendAll([noteOf(2048), noteOf(2049)])), Effect.asVoid(both)]) {
            assert.deepInclude(yield* reasonOf(effect), {
              _tag: "TransactionTooLarge",
              sizeBytes: 4097,
              limitBytes: 4096,
              records: 2,
              committed: "no"
            })
          }
          yield* log.append(note("still usable"))
        }))
        yield* ended
        assert.deepStrictEqual(
          plainLines(Fs.readFileSync(sink, "utf8")).map(({ record }) => record["text"]),
          ["still usable"]
        )
      }))
  }

  it.live("keeps a smaller limit of the policy", () =>
    Effect.gen(function*() {
      const path = yield* fifo
      yield* reader(path)
      const { log } = yield* openPipe({ path, sizePolicy: SizePolicy.warn({ limit: 1000 }) })
      yield* log.append(noteOf(1000))
      const reason = yield* reasonOf(log.append(noteOf(1001)))
      assert.deepInclude(reason, { _tag: "RecordTooLarge", sizeBytes: 1001, limitBytes: 1000 })
    }))

  it.live("that nobody reads cannot be opened, at once and with the advice to try again", () =>
    Effect.gen(function*() {
      const path = yield* fifo
      const reason = yield* reasonOf(openFileLog({ path }))
      assert.deepInclude(reason, { _tag: "Unavailable", committed: "no", isRetryable: true })
      assert.match(reason.message, /FIFO that no program reads; start the reader/)
    }))

  it.live("whose reader has gone refuses records: Unavailable, not in the log, worth a retry with a new reader", () =>
    Effect.gen(function*() {
      const path = yield* fifo
      const first = yield* reader(path)
      const { log } = yield* openPipe({ path })
      yield* log.append(note("one"))
      while (Fs.statSync(first.sink).size === 0) yield* Effect.sleep("5 millis")
      first.kill()
      yield* first.ended
      const reason = yield* reasonOf(log.append(note("two")))
      assert.deepInclude(reason, { _tag: "Unavailable", committed: "no", isRetryable: true })
      const second = yield* reader(path)
      yield* Effect.retry(log.append(note("two")), {
        while: (error) => error.isRetryable,
        schedule: Schedule.spaced("10 millis"),
        times: 1000
      })
      while (Fs.statSync(second.sink).size === 0) yield* Effect.sleep("5 millis")
      const [{ record, stamp }] = plainLines(Fs.readFileSync(second.sink, "utf8")) as [ReturnType<typeof plainLines>[0]]
      assert.deepStrictEqual([record["text"], stamp["seq"]], ["two", 1])
    }))

  it.live("that is full is waited for, and its records arrive in order and whole when the reader goes on", () =>
    Effect.gen(function*() {
      const path = yield* fifo
      const { ended, pid, sink } = yield* reader(path)
      const scope = yield* Scope.make()
      const { log } = yield* Scope.provide(openPipe({ path }), scope)
      process.kill(pid, "SIGSTOP")
      const texts = Array.from({ length: 60 }, (_, i) => `${i} ${"y".repeat(3000)}`)
      const waiting = yield* Effect.forkChild(Effect.forEach(texts, (text) => log.append(note(text))))
      yield* Effect.sleep("200 millis")
      assert.isUndefined(waiting.pollUnsafe(), "a pipe holds 64 KiB, this is three times as much")
      process.kill(pid, "SIGCONT")
      yield* Fiber.join(waiting)
      yield* Scope.close(scope, Exit.void)
      yield* ended
      assert.deepStrictEqual(plainLines(Fs.readFileSync(sink, "utf8")).map(({ record }) => record["text"]), texts)
    }))
})
