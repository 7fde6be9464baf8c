/**
 * What the library tells through Effect's logger, as a program that uses the log sees it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Metric, References } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { AuditError, FileAppender, SizePolicy } from "../src/index.ts"
import { Audit, granted, openFileLog, openMemoryLog, temporaryLog } from "./support.ts"

const wide = granted("x".repeat(5000))

/** The value of a counter in the registry of the running program. */
const total = (name: string) =>
  Effect.map(Metric.snapshot, (snapshots) => {
    const found = snapshots.find(({ id }) => id === name)
    return found?.type === "Counter" ? found.state.count : 0
  })

describe("the warnings", () => {
  interface Logged {
    readonly level: string
    readonly message: string
    readonly annotations: { readonly [key: string]: unknown }
  }

  /** Runs an effect and returns what it logged, but for what the test machine's own temporary directory calls for. */
  const loggedBy = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.map(allLoggedBy(self), (logged) => logged.filter(({ message }) => !message.includes("it is on ")))

  const allLoggedBy = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const logged: Array<Logged> = []
      const logger = Logger.make(({ fiber, logLevel, message }) => {
        logged.push({
          level: logLevel,
          message: String(Array.isArray(message) ? message.join(" ") : message),
          annotations: fiber.getRef(References.CurrentLogAnnotations)
        })
      })
      yield* Effect.provide(self, Logger.layer([logger]))
      return logged
    })

  it.effect("tell of a record over the limit: its tag, size and limit", () =>
    Effect.gen(function*() {
      const { log, size } = yield* openFileLog({ sizePolicy: SizePolicy.warn({ limit: 5000 }) })
      const logged = yield* loggedBy(Effect.andThen(log.append(wide), log.append(granted("small"))))
      assert.strictEqual(logged.length, 1)
      const { annotations, level, message } = logged[0]!
      const sizeBytes = annotations["auditlog.size_bytes"] as number
      assert.deepStrictEqual(annotations, {
        "auditlog.size_bytes": sizeBytes,
        "auditlog.limit_bytes": 5000,
        "auditlog.tag": "RoleGranted"
      })
      assert.isAtLeast(sizeBytes, 5000)
      assert.isBelow(sizeBytes, size() + 1000)
      assert.strictEqual(level, "Warn")
      assert.include(message, `audit record "RoleGranted" is ${sizeBytes} bytes; the limit is 5000`)
    }))

  it.effect("do not speak of a record that was not written, nor under the other policies", () =>
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog()
      yield* memory.failNext(new AuditError.Closed({ path: "nowhere" }))
      assert.deepStrictEqual(yield* loggedBy(Effect.flip(log.append(wide))), [])
      const allows = yield* openMemoryLog({ sizePolicy: SizePolicy.allow() })
      assert.deepStrictEqual(yield* loggedBy(allows.log.append(wide)), [])
      const rejects = yield* openMemoryLog({ sizePolicy: SizePolicy.reject() })
      assert.deepStrictEqual(yield* loggedBy(Effect.flip(rejects.log.append(wide))), [])
    }))

  it.effect("do not say that a record is written which its transaction takes back", () =>
    Effect.gen(function*() {
      const { log } = yield* openMemoryLog()
      const body = log.transaction(Effect.andThen(log.append(wide), Effect.fail("refused")))
      assert.deepStrictEqual(yield* loggedBy(Effect.flip(body)), [])
    }))

  const open = (options: FileAppender.Options) =>
    Effect.scoped(Layer.build(Layer.provide(Audit.layer, FileAppender.layer(options))))

  it.effect("tell of a file whose mode is wider than asked, with its path", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, "")
      Fs.chmodSync(path, 0o644)
      assert.deepStrictEqual(yield* loggedBy(open({ path })), [{
        level: "Warn",
        message: "audit log: its mode is 0644, wider than 0600",
        annotations: { "auditlog.path": path }
      }])
      assert.deepStrictEqual(yield* loggedBy(open({ path, mode: 0o644 })), [])
      assert.deepStrictEqual(yield* loggedBy(open({ path: Path.join(Path.dirname(path), "new.jsonl") })), [])
    }))

  // statfs(2) of a tmpfs
  const tmpfs = Fs.existsSync("/dev/shm") && Fs.statfsSync("/dev/shm").type === 0x01021994
  it.effect.skipIf(!tmpfs)("tell of a file that does not survive a restart", () =>
    Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => Fs.mkdtempSync("/dev/shm/auditlog-")),
        (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true }))
      )
      const path = Path.join(directory, "audit.jsonl")
      assert.deepStrictEqual(yield* allLoggedBy(open({ path })), [{
        level: "Warn",
        message: "audit log: it is on tmpfs: it does not survive a restart",
        annotations: { "auditlog.path": path }
      }])
    }))

  it.effect("tell of bytes that were cut off from outside, as an error, and count it", () =>
    Effect.gen(function*() {
      const logged = yield* loggedBy(Effect.gen(function*() {
        const { log, path, size } = yield* openFileLog()
        yield* log.append(granted("a"))
        const before = size()
        Fs.truncateSync(path, 0)
        yield* log.append(granted("b"))
        assert.strictEqual(yield* total("auditlog_truncations_total"), 1)
        return before
      })).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
      assert.deepStrictEqual(logged.map(({ level }) => level), ["Error"])
      assert.match(logged[0]!.message, /^the log was cut from outside, from \d+ to 0 bytes: records are lost/)
      assert.match(String(logged[0]!.annotations["auditlog.path"]), /audit\.jsonl$/)
    }))

  it.effect("tell of a log that was removed, as an error, and not of one that was renamed or repaired", () =>
    Effect.gen(function*() {
      const removals: ReadonlyArray<readonly [string, (path: string) => void, number]> = [
        ["removed", (path) => Fs.unlinkSync(path), 1],
        ["renamed", (path) => Fs.renameSync(path, `${path}.1`), 0],
        ["replaced by a copy", (path) => {
          Fs.copyFileSync(path, `${path}~`)
          Fs.renameSync(`${path}~`, path)
        }, 0],
        ["renamed and removed, with another segment left", (path) => {
          Fs.writeFileSync(`${path}.1`, "{}\n")
          Fs.unlinkSync(path)
        }, 0]
      ]
      for (const [name, remove, errors] of removals) {
        const path = yield* temporaryLog
        const logged = yield* loggedBy(Effect.gen(function*() {
          const { log } = yield* openFileLog({ path })
          yield* log.append(granted("a"))
          remove(path)
          yield* log.append(granted("b"))
          yield* log.append(granted("c"))
          assert.strictEqual(yield* total("auditlog_truncations_total"), errors, name)
        })).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
        assert.deepStrictEqual(logged.map(({ level }) => level), Array.from({ length: errors }, () => "Error"), name)
        if (errors > 0) assert.match(logged[0]!.message, /^the log was removed from outside, with \d+ bytes of records/)
      }
    }))

  it.effect("tell of a torn tail that was set apart, as information, and count it", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, `{"torn`, { mode: 0o600 })
      const logged = yield* loggedBy(Effect.gen(function*() {
        const { log } = yield* openFileLog({ path })
        yield* log.append(granted("a"))
        yield* log.append(granted("b"))
        assert.strictEqual(yield* total("auditlog_healed_total"), 1)
      })).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
      assert.deepStrictEqual(logged, [{
        level: "Info",
        message: "a torn line before byte 6 was set apart by a resync line; nothing acknowledged is lost",
        annotations: { "auditlog.path": path }
      }])
    }))
})
