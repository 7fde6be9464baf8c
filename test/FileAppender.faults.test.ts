/**
 * Each row of the failure table of design section 3: a fault at the file port, what the callers are told, and that a
 * reader finds every acknowledged record afterwards and none that was reported as not written.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Logger, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import { type AuditError, AuditLog, type AuditRecord, FileAppender, type LogReader } from "../src/index.ts"
import { FilePort } from "../src/internal/filePort.ts"
import { failWith, type FaultyPort, faultyPort, realPort } from "./faultyFileSystem.ts"
import { readEntries, temporaryLog } from "./support.ts"

class Audit extends AuditLog.Service<Audit>()("test/Faults", { schema: Schema.Struct({ name: Schema.String }) }) {}

interface Session {
  readonly audit: AuditLog.AuditLog<{ readonly name: string }>
  readonly faults: FaultyPort
  readonly path: string
  readonly logged: ReadonlyArray<string>
}

/** Opens a log on the faulty port, runs the test, closes the log, and returns what was acknowledged and what is read. */
const session = <A, E>(
  options: Partial<FileAppender.Options>,
  use: (session: Session) => Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    const path = yield* temporaryLog
    const faults = faultyPort()
    const logged: Array<string> = []
    const logger = Logger.make(({ message }) => {
      logged.push(String(Array.isArray(message) ? message.join(" ") : message))
    })
    const acknowledged: Array<string> = []
    const layer = Audit.layer.pipe(Layer.provide(FileAppender.layer({ path, ...options })))
    const value = yield* Audit.use((audit) =>
      use({
        faults,
        path,
        logged,
        audit: {
          ...audit,
          append: (record) => Effect.tap(audit.append(record), () => Effect.sync(() => acknowledged.push(record.name))),
          appendAll: (records) => {
            const all = Array.from(records)
            return Effect.tap(
              audit.appendAll(all),
              () => Effect.sync(() => acknowledged.push(...all.map((record) => record.name)))
            )
          }
        }
      })
    ).pipe(
      Effect.provide(layer),
      Effect.provideService(FilePort, faults.port),
      Effect.provide(Logger.layer([logger], { mergeWithExisting: false }))
    )
    const entries = Fs.existsSync(path) ? yield* readEntries(path, { only: true }) : []
    const names = namesOf(entries)
    const missing = acknowledged.filter((name) => names.filter((found) => found === name).length !== 1)
    return { value, path, entries, names, acknowledged, missing, faults, logged }
  })

const namesOf = (entries: ReadonlyArray<LogReader.Entry>): ReadonlyArray<unknown> =>
  entries.flatMap((entry) => entry._tag === "Record" ? [entry.fields["name"]] : [])

const reasonOf = <A>(effect: Effect.Effect<A, AuditError.AuditError>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason)

const seqs = (receipts: ReadonlyArray<AuditRecord.Receipt>) => receipts.map(({ seq }) => seq)

/** Another program appends a line between two system calls of ours. */
const intrude = (path: string, text: string): void => Fs.appendFileSync(path, text)

describe("no room", () => {
  for (const [code, errno] of [["ENOSPC", -28], ["Unknown system error -122", -122], ["EFBIG", -27]] as const) {
    it.effect(`${code} with nothing written: StorageFull, not in the log, and the next append goes on without a gap`, () =>
      Effect.gen(function*() {
        const result = yield* session({}, ({ audit, faults }) =>
          Effect.gen(function*() {
            const before = yield* audit.append({ name: "before" })
            faults.next("write", failWith(code, errno))
            const reason = yield* reasonOf(audit.append({ name: "refused" }))
            const after = yield* audit.append({ name: "after" })
            assert.strictEqual(after.writer, before.writer)
            assert.deepStrictEqual(seqs([before, after]), [0, 1])
            return reason
          }))
        assert.strictEqual(result.value._tag, "StorageFull")
        assert.strictEqual(result.value.committed, "no")
        assert.isTrue(result.value.isRetryable)
        assert.include(result.value.message, errno === -122 ? "EDQUOT" : code)
        assert.deepStrictEqual(result.names, ["before", "after"])
        assert.deepStrictEqual(result.missing, [])
      }))
  }

  it.effect("a short write: StorageFull, unknown; the fragment is set apart and the writer goes on under a new id", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, faults }) =>
        Effect.gen(function*() {
          const before = yield* audit.append({ name: "before" })
          faults.next("write", (real, fd, bytes) => real(fd, bytes.subarray(0, 50)))
          const reason = yield* reasonOf(audit.append({ name: "cut" }))
          const after = yield* audit.append({ name: "after" })
          assert.notStrictEqual(after.writer, before.writer)
          assert.strictEqual(after.seq, 0)
          return reason
        }))
      assert.strictEqual(result.value._tag, "StorageFull")
      assert.strictEqual(result.value.committed, "unknown")
      assert.deepStrictEqual(result.names, ["before", "after"])
      assert.deepStrictEqual(result.missing, [])
      const damages = result.entries.filter((entry) => entry._tag === "Damage")
      assert.strictEqual(damages.length, 1)
      assert.isTrue(damages[0]?.healed)
      // never cut off: the 50 bytes still stand there, followed by the resync line
      const text = Fs.readFileSync(result.path, "utf8")
      assert.match(
        text,
        /\n\{"_audit":\{"v":1,"writer":"[0-9A-Z]{23}\{"_audit":\{"v":1,"writer":"[^"]+","resync":true\}/
      )
    }))

  it.effect("a write cut in the second of two transactions: the first is acknowledged, the second is unknown", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, faults }) =>
        Effect.gen(function*() {
          yield* audit.append({ name: "before" })
          // the first append occupies the log, the two transactions meet in the batch after it
          faults.next("write", (real, fd, bytes) => real(fd, bytes.subarray(0, bytes.length - 10)), { after: 1 })
          const occupying = yield* Effect.forkChild(audit.append({ name: "occupying" }), { startImmediately: true })
          yield* Effect.yieldNow
          const first = yield* Effect.forkChild(Effect.result(audit.appendAll([{ name: "1a" }, { name: "1b" }])))
          const second = yield* Effect.forkChild(Effect.result(audit.appendAll([{ name: "2a" }, { name: "2b" }])))
          yield* Fiber.join(occupying)
          const results = [yield* Fiber.join(first), yield* Fiber.join(second)] as const
          yield* audit.append({ name: "after" })
          return results
        }))
      assert.isTrue(Result.isSuccess(result.value[0]))
      const failure = Result.isFailure(result.value[1]) ? result.value[1].failure.reason : undefined
      assert.strictEqual(failure?._tag, "StorageFull")
      assert.strictEqual(failure?.committed, "unknown")
      assert.deepStrictEqual(result.names, ["before", "occupying", "1a", "1b", "after"])
      assert.deepStrictEqual(result.missing, [])
    }))

  it.effect("no room at the second attempt: unknown, since the first attempt may have left a part", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, faults, path }) =>
        Effect.gen(function*() {
          yield* audit.append({ name: "before" })
          faults.next("write", splice(path))
          faults.next("write", failWith("ENOSPC"))
          const reason = yield* reasonOf(audit.append({ name: "lost" }))
          yield* audit.append({ name: "after" })
          return reason
        }))
      assert.strictEqual(result.value._tag, "StorageFull")
      assert.strictEqual(result.value.committed, "unknown")
      assert.deepStrictEqual(result.names, ["before", "after"])
      assert.deepStrictEqual(result.missing, [])
    }))
})

/** What libuv does with a short write under O_APPEND: the rest goes after the line of another writer. */
const splice = (path: string) => (real: FilePort["write"], fd: number, bytes: Uint8Array): number => {
  const half = Math.floor(bytes.length / 2)
  real(fd, bytes.subarray(0, half))
  intrude(path, `{"intruder":true}\n`)
  real(fd, bytes.subarray(half))
  return bytes.length
}

describe("read-back", () => {
  it.effect("a record torn by a re-issued write is appended again and acknowledged once", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, faults, path }) =>
        Effect.gen(function*() {
          yield* audit.append({ name: "before" })
          faults.next("write", splice(path))
          const receipt = yield* audit.append({ name: "torn" })
          assert.strictEqual(receipt.seq, 1)
          yield* audit.append({ name: "after" })
        }))
      assert.deepStrictEqual(result.names, ["before", "torn", "after"])
      assert.deepStrictEqual(result.missing, [])
      assert.include(Fs.readFileSync(result.path, "utf8"), `"try":1`)
    }))

  it.effect("a line of another program in front of ours is no damage, and does not make us append again", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, faults, path }) =>
        Effect.gen(function*() {
          faults.next("write", (real, fd, bytes) => {
            intrude(path, `{"foreign":1}\n`)
            const written = real(fd, bytes)
            intrude(path, `{"foreign":2}\n`)
            return written
          })
          yield* audit.append({ name: "ours" })
          return faults.count("write")
        }))
      assert.strictEqual(result.value, 1)
      assert.deepStrictEqual(result.entries.map((entry) => entry._tag), ["Foreign", "Record", "Foreign"])
      assert.deepStrictEqual(result.missing, [])
    }))

  it.effect("a record that is never found again: NotVerified after 5 attempts, and no append after it", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, faults }) =>
        Effect.gen(function*() {
          yield* audit.append({ name: "before" })
          const writesBefore = faults.count("write")
          // the read-back sees other bytes than were written
          faults.next("write", (real, fd, bytes) => real(fd, Buffer.from(bytes).fill(0x78)), { times: 5 })
          const reason = yield* reasonOf(audit.append({ name: "never" }))
          assert.strictEqual(faults.count("write") - writesBefore, 5)
          const refused = yield* reasonOf(audit.append({ name: "refused" }))
          assert.strictEqual(faults.count("write") - writesBefore, 5)
          return { reason, refused }
        }))
      assert.strictEqual(result.value.reason._tag, "NotVerified")
      assert.strictEqual(result.value.reason.committed, "unknown")
      assert.strictEqual(result.value.refused._tag, "Unavailable")
      assert.strictEqual(result.value.refused.committed, "no")
      assert.include(result.value.refused.message, "cannot be read back")
      assert.deepStrictEqual(result.names, ["before"])
      assert.isTrue(result.logged.some((line) => line.includes("the audit log stops")))
    }))

  it.effect("a log that is deleted between the check and the write: the record goes into the new file", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, faults, path }) =>
        Effect.gen(function*() {
          faults.next("write", (real, fd, bytes) => {
            Fs.rmSync(path)
            return real(fd, bytes)
          })
          yield* audit.append({ name: "kept" })
        }))
      assert.deepStrictEqual(result.names, ["kept"])
      assert.deepStrictEqual(result.missing, [])
    }))

  it.effect("an error of the read-back itself stops the log", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, faults }) =>
        Effect.gen(function*() {
          faults.next("read", failWith("EIO"))
          const reason = yield* reasonOf(audit.append({ name: "unread" }))
          const refused = yield* reasonOf(audit.append({ name: "refused" }))
          return { reason, refused }
        }))
      assert.strictEqual(result.value.reason._tag, "Unavailable")
      assert.strictEqual(result.value.reason.committed, "unknown")
      assert.strictEqual(result.value.refused.committed, "no")
    }))
})

describe("a tail that others have torn", () => {
  it.effect("is set apart by a resync line, in the same write", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, faults, path }) =>
        Effect.gen(function*() {
          yield* audit.append({ name: "before" })
          intrude(path, `{"torn":`)
          yield* audit.append({ name: "after" })
          return faults.count("write")
        }))
      assert.strictEqual(result.value, 2)
      assert.deepStrictEqual(result.names, ["before", "after"])
      assert.deepStrictEqual(result.missing, [])
      assert.deepStrictEqual(
        result.entries.flatMap((entry) => entry._tag === "Damage" ? [entry.healed] : []),
        [true]
      )
    }))

  it.effect("is set apart also when it appears between our check and our write", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, faults, path }) =>
        Effect.gen(function*() {
          yield* audit.append({ name: "before" })
          faults.next("write", (real, fd, bytes) => {
            intrude(path, `{"torn":`)
            return real(fd, bytes)
          })
          yield* audit.append({ name: "after" })
        }))
      assert.deepStrictEqual(result.names, ["before", "after"])
      assert.deepStrictEqual(result.missing, [])
    }))
})

describe("an I/O error of the write", () => {
  for (const code of ["EIO", "EROFS"]) {
    it.effect(`${code}: unknown, and every further append is refused at once with the first cause`, () =>
      Effect.gen(function*() {
        const result = yield* session({}, ({ audit, faults }) =>
          Effect.gen(function*() {
            yield* audit.append({ name: "before" })
            faults.next("write", failWith(code))
            const reason = yield* reasonOf(audit.append({ name: "broken" }))
            const writes = faults.count("write")
            const refused = yield* reasonOf(audit.append({ name: "refused" }))
            assert.strictEqual(faults.count("write"), writes)
            return { reason, refused }
          }))
        assert.strictEqual(result.value.reason._tag, "Unavailable")
        assert.strictEqual(result.value.reason.committed, "unknown")
        assert.include(result.value.reason.message, code)
        assert.strictEqual(result.value.refused._tag, "Unavailable")
        assert.strictEqual(result.value.refused.committed, "no")
        assert.isFalse(result.value.refused.isRetryable)
        assert.include(result.value.refused.message, code)
        assert.deepStrictEqual(result.missing, [])
      }))
  }
})

describe("a failed flush", () => {
  it.effect("tells none of those who waited of success, and is never tried again", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, faults }) =>
        Effect.gen(function*() {
          yield* audit.append({ name: "before" })
          const flushesBefore = faults.count("fdatasync") + faults.count("fsync")
          faults.next("fdatasync", (_real, _fd, done) => setImmediate(() => done(new Error("EIO"))))
          const exits = yield* Effect.forEach(
            Array.from({ length: 64 }, (_, i) => `waiting ${i}`),
            (name) => Effect.exit(audit.append({ name })),
            { concurrency: "unbounded" }
          )
          const refused = yield* reasonOf(audit.append({ name: "refused" }))
          return { exits, refused, flushesBefore }
        }))
      const { exits, flushesBefore, refused } = result.value
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 0)
      const reasons = exits.map((exit) => Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : undefined)
        .map((error) => error?._tag === "Some" ? error.value.reason : undefined)
      // the first caller was alone in the batch whose flush failed, or all were in it: none is acknowledged
      assert.isTrue(reasons.some((reason) => reason?._tag === "DurabilityUnknown"))
      for (const reason of reasons) {
        assert.include(["DurabilityUnknown", "Unavailable"], reason?._tag)
        assert.strictEqual(reason?.committed, reason?._tag === "DurabilityUnknown" ? "unknown" : "no")
      }
      assert.strictEqual(refused._tag, "Unavailable")
      assert.strictEqual(refused.committed, "no")
      // one flush, and none more until the file was closed: neither a retry nor one at the end
      assert.strictEqual(result.faults.count("fdatasync") + result.faults.count("fsync"), flushesBefore + 1)
      assert.deepStrictEqual(result.acknowledged, ["before"])
      assert.deepStrictEqual(result.missing, [])
    }))

  it.effect("of a deferred policy refuses what comes after it", () =>
    Effect.gen(function*() {
      const result = yield* session({ sync: { every: "1 hour" } }, ({ audit, faults }) =>
        Effect.gen(function*() {
          const receipt = yield* audit.append({ name: "deferred" })
          assert.strictEqual(receipt.durability, "deferred")
          faults.next("fdatasync", (_real, _fd, done) => done(new Error("EIO")))
          yield* TestClock.adjust("1 hour")
          return yield* reasonOf(audit.append({ name: "refused" }))
        }))
      assert.strictEqual(result.value._tag, "Unavailable")
      assert.strictEqual(result.value.committed, "no")
      assert.strictEqual(result.faults.count("fdatasync"), 1)
    }))
})

describe("a file that changes under the writer", () => {
  it.effect("renamed: the next append goes into a new file, and the chain goes on across both", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, path }) =>
        Effect.gen(function*() {
          const first = yield* audit.append({ name: "old" })
          Fs.renameSync(path, `${path}.1`)
          const second = yield* audit.append({ name: "new" })
          assert.strictEqual(second.writer, first.writer)
          assert.strictEqual(second.seq, 1)
          return first.hash
        }))
      assert.deepStrictEqual(result.names, ["new"])
      assert.deepStrictEqual(namesOf(yield* readEntries(`${result.path}.1`, { only: true })), ["old"])
      const record = result.entries[0]
      assert.strictEqual(record?._tag === "Record" ? record.stamp.prev : undefined, result.value)
      assert.strictEqual(Fs.statSync(result.path).mode & 0o777, 0o600)
    }))

  for (const flush of ["succeeds", "fails"] as const) {
    it.effect(`renamed when half of a batch is in the old file, whose flush ${flush}: acknowledges accordingly`, () =>
      Effect.gen(function*() {
        const result = yield* session({}, ({ audit, faults, path }) =>
          Effect.gen(function*() {
            faults.next("write", (real, fd, bytes) => {
              // the first transaction lands, the second is torn, and then the file is rotated
              const second = Buffer.from(bytes).indexOf("\n") + 50
              real(fd, bytes.subarray(0, second))
              intrude(path, `{"intruder":true}\n`)
              real(fd, bytes.subarray(second))
              Fs.renameSync(path, `${path}.1`)
              return bytes.length
            })
            // opening the new file flushes that one first, then the old one is flushed
            if (flush === "fails") faults.next("fsync", failWith("EIO"), { after: 1 })
            const flushesBefore = faults.count("fsync")
            const exits = yield* Effect.forEach(["first", "second"], (name) => Effect.exit(audit.append({ name })), {
              concurrency: "unbounded"
            })
            assert.strictEqual(faults.count("fsync"), flushesBefore + 2)
            return exits
          }))
        const [first, second] = result.value
        if (flush === "succeeds") {
          assert.isTrue(first !== undefined && Exit.isSuccess(first) && second !== undefined && Exit.isSuccess(second))
          assert.deepStrictEqual(namesOf(yield* readEntries(`${result.path}.1`, { only: true })), ["first"])
          assert.deepStrictEqual(result.names, ["second"])
        } else {
          assert.deepStrictEqual(result.acknowledged, [])
        }
      }))
  }

  it.effect("cut from outside: says so, counts it, and goes on", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, path }) =>
        Effect.gen(function*() {
          yield* audit.append({ name: "cut 1" })
          yield* audit.append({ name: "cut 2" })
          Fs.truncateSync(path, 100)
          yield* audit.append({ name: "after" })
        }))
      assert.deepStrictEqual(result.names, ["after"])
      assert.isTrue(result.logged.some((line) => line.includes("cut from outside") && line.includes("copytruncate")))
    }))

  it.effect("whose directory is gone: Unavailable, nothing written, and it recovers when the directory is back", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, path }) =>
        Effect.gen(function*() {
          const directory = path.slice(0, path.lastIndexOf("/"))
          yield* audit.append({ name: "before" })
          Fs.renameSync(directory, `${directory}-away`)
          const reason = yield* reasonOf(audit.append({ name: "refused" }))
          Fs.renameSync(`${directory}-away`, directory)
          yield* audit.append({ name: "after" })
          return reason
        }))
      assert.strictEqual(result.value._tag, "Unavailable")
      assert.strictEqual(result.value.committed, "no")
      assert.include(result.value.message, "create it")
      assert.deepStrictEqual(result.names, ["before", "after"])
      assert.deepStrictEqual(result.missing, [])
    }))
})

describe("a look at the file that fails before anything is written", () => {
  it.effect("costs that append alone: not in the log, and a retry can help", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, faults }) =>
        Effect.gen(function*() {
          faults.next("identity", failWith("EACCES"))
          const reason = yield* reasonOf(audit.append({ name: "refused" }))
          yield* audit.append({ name: "after" })
          return reason
        }))
      assert.strictEqual(result.value._tag, "Unavailable")
      assert.strictEqual(result.value.committed, "no")
      assert.isTrue(result.value.isRetryable)
      assert.deepStrictEqual(result.names, ["after"])
    }))

  it.effect("a FIFO in the place of the file is not written to", () =>
    Effect.gen(function*() {
      const result = yield* session({}, ({ audit, faults, path }) =>
        Effect.gen(function*() {
          yield* audit.append({ name: "before" })
          Fs.renameSync(path, `${path}.1`)
          execFileSync("mkfifo", [path])
          const reader = Fs.openSync(path, Fs.constants.O_RDONLY | Fs.constants.O_NONBLOCK)
          const writes = faults.count("write")
          const reason = yield* reasonOf(audit.append({ name: "refused" }))
          assert.strictEqual(faults.count("write"), writes)
          Fs.closeSync(reader)
          Fs.rmSync(path)
          yield* audit.append({ name: "after" })
          return reason
        }))
      assert.strictEqual(result.value._tag, "UnsafeTarget")
      assert.deepStrictEqual(result.names, ["after"])
    }))
})

describe("a background flush", () => {
  it.effect("that is under way when the file is rotated keeps its descriptor, which is closed after it", () =>
    Effect.gen(function*() {
      let release: (() => void) | undefined
      const result = yield* session({ sync: { every: "1 hour" } }, ({ audit, faults, path }) =>
        Effect.gen(function*() {
          yield* audit.append({ name: "old" })
          let flushed: number | undefined
          faults.next("fdatasync", (real, fd, done) => {
            flushed = fd
            release = () => real(fd, done)
          })
          yield* TestClock.adjust("1 hour")
          assert.isDefined(release)
          Fs.renameSync(path, `${path}.1`)
          yield* audit.append({ name: "new" })
          const closed = () => faults.calls.filter(([member, fd]) => member === "close" && fd === flushed).length
          assert.strictEqual(closed(), 0)
          release?.()
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
          assert.strictEqual(closed(), 1)
          yield* audit.append({ name: "newer" })
        }))
      assert.deepStrictEqual(result.names, ["new", "newer"])
    }))
})

describe("a fiber whose observer throws", () => {
  it.effect("does not keep the other callers of its batch, or the end of the log, from their answers", () =>
    Effect.gen(function*() {
      const uncaught: Array<unknown> = []
      const listeners = process.listeners("uncaughtException")
      process.removeAllListeners("uncaughtException")
      process.on("uncaughtException", (error) => uncaught.push(error))
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          process.removeAllListeners("uncaughtException")
          for (const listener of listeners) process.on("uncaughtException", listener)
        })
      )
      const result = yield* session({}, ({ audit }) =>
        Effect.gen(function*() {
          const rude = yield* Effect.forkChild(audit.append({ name: "rude" }), { startImmediately: true })
          rude.addObserver(() => {
            throw new Error("rude")
          })
          yield* Effect.all([audit.append({ name: "second" }), audit.append({ name: "third" })], {
            concurrency: "unbounded"
          })
          yield* audit.append({ name: "later" })
        }))
      assert.strictEqual(uncaught.length, 1)
      assert.deepStrictEqual(result.names, ["rude", "second", "third", "later"])
    }))
})

describe("interruption", () => {
  it.effect("of a caller whose write is under way leaves the record in the log, and of one that waits does not", () =>
    Effect.gen(function*() {
      let release: (() => void) | undefined
      const result = yield* session({}, ({ audit, faults }) =>
        Effect.gen(function*() {
          faults.next("fdatasync", (real, fd, done) => {
            release = () => real(fd, done)
          })
          const underWay = yield* Effect.forkChild(audit.append({ name: "under way" }), { startImmediately: true })
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
          const waiting = yield* Effect.forkChild(audit.append({ name: "waiting" }), { startImmediately: true })
          yield* Fiber.interrupt(waiting)
          yield* Fiber.interrupt(underWay)
          release?.()
          yield* audit.append({ name: "after" })
        }))
      assert.isDefined(release)
      assert.deepStrictEqual(result.names, ["under way", "after"])
    }))
})

describe("the end of the scope", () => {
  it.effect("writes what waits, flushes, closes the file once, and refuses what comes later", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const faults = faultyPort()
      const closed = yield* Effect.scoped(Effect.gen(function*() {
        const appender = yield* FileAppender.make({ path })
        const context = yield* Layer.build(Audit.layer).pipe(
          Effect.provideService((yield* Effect.promise(() => import("../src/index.ts"))).Appender.Appender, appender)
        )
        const audit = yield* Audit.pipe(Effect.provide(context))
        yield* Effect.forEach(
          Array.from({ length: 100 }, (_, i) => `late ${i}`),
          (name) => Effect.forkDetach(audit.append({ name }), { startImmediately: true })
        )
        return audit
      })).pipe(Effect.provideService(FilePort, faults.port))
      const reason = yield* reasonOf(closed.append({ name: "too late" }))
      assert.strictEqual(reason._tag, "Closed")
      assert.strictEqual(reason.committed, "no")
      assert.strictEqual(namesOf(yield* readEntries(path)).length, 100)
      assert.strictEqual(faults.count("close"), 1)
      assert.isTrue(realPort !== faults.port)
    }))
})
