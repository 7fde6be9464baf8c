/**
 * The target of a log: what is created, what is refused, and what a person is warned about.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { AuditLog, FileAppender } from "../src/index.ts"
import { FilePort } from "../src/internal/filePort.ts"
import { faultyPort, realPort } from "./faultyFileSystem.ts"
import { readEntries, readRecords, run, temporaryDirectory, temporaryLog } from "./support.ts"

class Audit extends AuditLog.Service<Audit>()("test/Target", { schema: Schema.Struct({ name: Schema.String }) }) {}

/** Appends one record to a log opened with these options, and returns what was logged. */
const appendTo = (path: string, options: Partial<FileAppender.Options> = {}) =>
  Effect.gen(function*() {
    const logged: Array<string> = []
    const logger = Logger.make(({ message }) => {
      logged.push(String(message))
    })
    yield* Audit.use((audit) => audit.append({ name: "x" })).pipe(
      Effect.provide(
        Audit.layer.pipe(
          Layer.provide(FileAppender.layer({ path, ...options })),
          Layer.provideMerge(Logger.layer([logger], { mergeWithExisting: false }))
        )
      )
    )
    // warnings are logged by fibers of their own
    yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    return logged
  })

const refusal = (path: string, options: Partial<FileAppender.Options> = {}) =>
  Effect.map(Effect.flip(appendTo(path, options)), (error) => error.reason)

describe("a new log", () => {
  it.effect("has mode 0600, whatever the umask admits, and its file and directory are flushed before the first record", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const faults = faultyPort()
      yield* appendTo(path).pipe(Effect.provideService(FilePort, faults.port))
      assert.strictEqual(Fs.statSync(path).mode & 0o777, 0o600)
      const order = faults.calls.map(([member]) => member).filter((member) => !["fstat", "identityOf"].includes(member))
      assert.deepStrictEqual(order, [
        "fileSystemType",
        "lstat",
        "open",
        "fsync",
        "fsyncDirectory",
        "identity",
        "write",
        "read",
        "fdatasync",
        "close"
      ])
    }))

  it.effect("keeps its path when the process changes its directory", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const before = process.cwd()
      process.chdir(directory)
      yield* Audit.use((audit) =>
        Effect.gen(function*() {
          yield* audit.append({ name: "1" })
          process.chdir("/")
          yield* audit.append({ name: "2" })
        })
      ).pipe(
        Effect.provide(Audit.layer.pipe(Layer.provide(FileAppender.layer({ path: "relative.jsonl" })))),
        Effect.ensuring(Effect.sync(() => process.chdir(before)))
      )
      assert.strictEqual((yield* readRecords(Path.join(directory, "relative.jsonl"))).length, 2)
    }))
})

describe("a target that is refused", () => {
  it.effect("a symbolic link, also a dangling one", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const target = Path.join(directory, "target")
      const link = Path.join(directory, "link")
      Fs.symlinkSync(target, link)
      assert.include((yield* refusal(link)).message, "symbolic link")
      Fs.writeFileSync(target, "")
      const reason = yield* refusal(link)
      assert.strictEqual(reason._tag, "UnsafeTarget")
      assert.strictEqual(reason.committed, "no")
      assert.strictEqual(Fs.statSync(target).size, 0)
    }))

  it.effect("a symbolic link that appears between the look and the open", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const link = Path.join(directory, "link")
      const faults = faultyPort()
      faults.next("lstat", (real, path) => {
        const before = real(path)
        Fs.symlinkSync(Path.join(directory, "target"), path)
        return before
      })
      const reason = yield* refusal(link).pipe(Effect.provideService(FilePort, faults.port))
      assert.strictEqual(reason._tag, "UnsafeTarget")
      assert.isFalse(Fs.existsSync(Path.join(directory, "target")))
    }))

  it.effect("a directory and a device, by name", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      assert.include((yield* refusal(directory)).message, "it is a directory")
      assert.include((yield* refusal("/dev/null")).message, "device")
      assert.strictEqual((yield* refusal("/dev/full"))._tag, "UnsafeTarget")
    }))

  it.effect("a file with a second hard link, whose descriptor is closed again", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, "", { mode: 0o600 })
      Fs.linkSync(path, `${path}.other`)
      const faults = faultyPort()
      const reason = yield* refusal(path).pipe(Effect.provideService(FilePort, faults.port))
      assert.strictEqual(reason._tag, "UnsafeTarget")
      assert.include(reason.message, "2 hard links")
      assert.strictEqual(faults.count("close"), 1)
    }))

  it.effect("a file with a wider mode, if asked to", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, "")
      Fs.chmodSync(path, 0o644)
      const reason = yield* refusal(path, { widerMode: "refuse" })
      assert.strictEqual(reason._tag, "UnsafeTarget")
      assert.include(reason.message, "0644")
      assert.include(reason.message, "chmod 0600")
    }))

  for (
    const [name, type] of [["NFS", 0x6969], ["SMB", 0x517b], ["CIFS", 0xff534d42 | 0], ["9p", 0x01021997]] as const
  ) {
    it.effect(`a file on ${name}, unless it is allowed`, () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        const port = Object.assign({}, realPort, { fileSystemType: () => type })
        const reason = yield* refusal(path).pipe(Effect.provideService(FilePort, port))
        assert.strictEqual(reason._tag, "UnsafeTarget")
        assert.include(reason.message, name)
        assert.isFalse(Fs.existsSync(path))
        yield* appendTo(path, { allowNetworkFileSystem: true }).pipe(Effect.provideService(FilePort, port))
        assert.strictEqual((yield* readRecords(path)).length, 1)
      }))
  }

  it.effect("a file in a directory that does not exist: Unavailable, and the message names the directory", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const reason = yield* refusal(Path.join(directory, "missing", "audit.jsonl"))
      assert.strictEqual(reason._tag, "Unavailable")
      assert.include(reason.message, `there is no directory ${directory}/missing; create it`)
    }))
})

describe("a target that is accepted with a warning", () => {
  it.effect("a file with a wider mode", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, "")
      Fs.chmodSync(path, 0o640)
      assert.isTrue((yield* appendTo(path)).some((line) => line.includes("0640, wider than 0600")))
      assert.deepStrictEqual(yield* appendTo(path, { mode: 0o640 }), [])
    }))

  it.effect("a file on tmpfs", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const port = Object.assign({}, realPort, { fileSystemType: () => 0x01021994 })
      const logged = yield* appendTo(path).pipe(Effect.provideService(FilePort, port))
      assert.isTrue(logged.some((line) => line.includes("tmpfs")))
    }))

  it.effect("a log whose records have been written with another secret under the same id, once", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const key = { id: "k1", secret: Redacted.make("correct horse battery staple 123") }
      const other = { id: "k1", secret: Redacted.make("another secret of sufficient length") }
      for (let i = 0; i < 3; i++) assert.deepStrictEqual(yield* appendTo(path, { key }), [])
      assert.deepStrictEqual(yield* appendTo(path, { key: { ...other, id: "k2" } }), [])
      const logged = yield* appendTo(path, { key: other })
      assert.deepStrictEqual(logged.length, 1)
      assert.include(logged[0], `a record under the key "k1" has not the HMAC that the given secret makes`)
      // it is a warning: whoever alters the last line must not be able to stop the log
      assert.strictEqual((yield* readRecords(path)).length, 5)
    }))
})

describe("a log that exists", () => {
  it.effect("is continued by a new writer, whose first record has seen the last one of the writer before", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* appendTo(path)
      yield* appendTo(path)
      const [first, second] = yield* readRecords(path)
      assert.notStrictEqual(first?.stamp.writer, second?.stamp.writer)
      assert.strictEqual(second?.stamp.seq, 0)
      assert.isUndefined(second?.stamp.prev)
      assert.strictEqual(second?.stamp.seen, JSON.parse(first?.text ?? "")._hash)
    }))

  it.effect("whose last line is torn is continued behind a resync line", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* appendTo(path)
      Fs.appendFileSync(path, `{"_audit":{"v":1,"wri`)
      yield* appendTo(path)
      const entries = yield* readEntries(path)
      assert.deepStrictEqual(
        entries.map((entry) => entry._tag === "Damage" ? entry.kind : entry._tag),
        ["Record", "glued", "Record"]
      )
    }))

  it.effect("has seen the newest record behind a foreign line, a resync line and a record over 64 KiB", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* Audit.use((audit) => audit.append({ name: "x".repeat(200_000) })).pipe(
        Effect.provide(
          Audit.layer.pipe(
            Layer.provide(FileAppender.layer({ path })),
            Layer.provideMerge(Logger.layer([], { mergeWithExisting: false }))
          )
        )
      )
      Fs.appendFileSync(path, `{"foreign":1}\n`)
      yield* appendTo(path)
      const [first, second] = yield* readRecords(path)
      assert.strictEqual(second?.stamp.seen, JSON.parse(first?.text ?? "")._hash)
    }))
})

describe("the sync policy", () => {
  it.effect("always: one flush an append, and the receipt says synced", () =>
    Effect.gen(function*() {
      const { faults, receipts } = yield* appendThree("always")
      assert.strictEqual(faults.count("fdatasync"), 3)
      assert.deepStrictEqual(receipts, ["synced", "synced", "synced"])
    }))

  it.effect("never: no flush at all, and the receipt says unsynced", () =>
    Effect.gen(function*() {
      const { faults, receipts } = yield* appendThree("never")
      assert.strictEqual(faults.count("fdatasync"), 0)
      assert.deepStrictEqual(receipts, ["unsynced", "unsynced", "unsynced"])
    }))

  it.effect("every second: one flush a second while there is something to flush, and one at the end", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const faults = faultyPort()
      yield* Audit.use((audit) =>
        Effect.gen(function*() {
          assert.strictEqual((yield* audit.append({ name: "1" })).durability, "deferred")
          yield* audit.append({ name: "2" })
          assert.strictEqual(faults.count("fdatasync"), 0)
          yield* TestClock.adjust("1 second")
          assert.strictEqual(faults.count("fdatasync"), 1)
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual(faults.count("fdatasync"), 1)
          yield* audit.append({ name: "3" })
        })
      ).pipe(
        Effect.provide(Audit.layer.pipe(Layer.provide(FileAppender.layer({ path, sync: { every: "1 second" } })))),
        Effect.provideService(FilePort, faults.port)
      )
      assert.strictEqual(faults.count("fdatasync"), 2)
    }))

  const appendThree = Effect.fnUntraced(function*(sync: FileAppender.SyncPolicy) {
    const path = yield* temporaryLog
    const faults = faultyPort()
    const receipts = yield* Audit.use((audit) =>
      Effect.forEach(["1", "2", "3"], (name) => Effect.map(audit.append({ name }), ({ durability }) => durability))
    ).pipe(
      Effect.provide(Audit.layer.pipe(Layer.provide(FileAppender.layer({ path, sync })))),
      Effect.provideService(FilePort, faults.port)
    )
    return { faults, receipts }
  })
})

describe("a key", () => {
  const key = { id: "k1", secret: Redacted.make("0123456789abcdef0123456789abcdef") }

  it.effect("authenticates every line; another key, or none, is noticed", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* appendTo(path, { key })
      yield* appendTo(path, { key })
      const trusted = yield* readRecords(path, { keys: [key] })
      assert.deepStrictEqual(trusted.map(({ stamp, verified }) => [stamp.key, verified]), [["k1", true], ["k1", true]])
      assert.deepStrictEqual((yield* readRecords(path)).map(({ verified }) => verified), [false, false])
      const wrong = yield* readEntries(path, { keys: [{ id: "k1", secret: Redacted.make("another secret") }] })
      assert.deepStrictEqual(wrong.map((entry) => entry._tag === "Damage" ? entry.kind : entry._tag), ["hash", "hash"])
      const unknown = yield* readEntries(path, { keys: [{ ...key, id: "k2" }] })
      assert.deepStrictEqual(unknown.map((entry) => entry._tag === "Damage" ? entry.kind : entry._tag), ["key", "key"])
    }))

  it.effect("is computed as openssl computes it", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* appendTo(path, { key })
      const line = Fs.readFileSync(path, "utf8").trimEnd()
      const cut = line.lastIndexOf(`,"_hash":"`)
      const openssl = yield* Effect.promise(() =>
        run("openssl", ["dgst", "-sha256", "-hmac", "0123456789abcdef0123456789abcdef", "-hex"], {
          input: line.slice(0, cut)
        })
      )
      const hex = openssl.stdout.trim().split(" ").at(-1) ?? ""
      assert.strictEqual(JSON.parse(line)._hash, Buffer.from(hex, "hex").toString("base64url"))
    }))
})
