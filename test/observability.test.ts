/**
 * Metrics and spans, as a program that uses the log sees them. Its warnings are in warnings.test.ts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Logger, Metric, Schema, type Scope, Tracer } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import { AuditError, AuditLog, FileAppender, SizePolicy } from "../src/index.ts"
import { FilePort } from "../src/internal/filePort.ts"
import { faultyPort } from "./faultyFileSystem.ts"
import { granted, openFileLog, openMemoryLog, temporaryLog } from "./support.ts"

/** The metrics of this library in the registry of the running program: `name` or `name{reason}` and its state. */
const metrics = Effect.map(Metric.snapshot, (snapshots) =>
  new Map(
    snapshots.filter(({ id }) => id.startsWith("auditlog_")).map(({ attributes, id, state }) => {
      const reason = attributes?.["reason"]
      return [reason === undefined ? id : `${id}{${reason}}`, state as unknown as { [key: string]: unknown }] as const
    })
  ))

const total = (name: string) => Effect.map(metrics, (all) => all.get(name)?.["count"] ?? 0)

/** A test with a metric registry of its own. */
const measured = <E>(title: string, body: Effect.Effect<void, E, Scope.Scope>) =>
  it.effect(title, () => Effect.provideService(body, Metric.MetricRegistry, new Map()))

const wide = granted("x".repeat(5000))

describe("the metrics", () => {
  measured(
    "count the records and bytes that stand in the file, exactly",
    Effect.gen(function*() {
      const { log, size } = yield* openFileLog()
      yield* log.append(granted("a"))
      yield* log.appendAll([granted("ü"), granted("\u2028"), granted("c")])
      yield* log.transaction(Effect.andThen(log.append(granted("d")), log.append(granted("e"))))
      yield* Effect.ignore(log.transaction(Effect.andThen(log.append(granted("lost")), Effect.fail("refused"))))
      assert.strictEqual(yield* total("auditlog_appends_total"), 6)
      assert.strictEqual(yield* total("auditlog_bytes_total"), size())
    })
  )

  measured(
    "count only what this program wrote to a file that it found",
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, `{"foreign":1}\n`, { mode: 0o600 })
      const { log, size } = yield* openFileLog({ path })
      yield* log.append(granted("a"))
      assert.strictEqual(yield* total("auditlog_bytes_total"), size() - `{"foreign":1}\n`.length)
    })
  )

  measured(
    "show how many records shared a write, and one flush for each write",
    Effect.gen(function*() {
      const { log } = yield* openFileLog()
      yield* log.append(granted("a"))
      yield* log.appendAll([granted("b"), granted("c"), granted("d")])
      const { count, max, min, sum } = (yield* metrics).get("auditlog_batch_records")!
      assert.deepStrictEqual({ count, max, min, sum }, { count: 2, max: 3, min: 1, sum: 4 })
      assert.strictEqual(yield* total("auditlog_fsyncs_total"), 2)
    })
  )

  measured(
    "show that callers who append together share writes and flushes",
    Effect.gen(function*() {
      const { log } = yield* openFileLog()
      yield* Effect.forEach(Array.from({ length: 100 }, (_, i) => granted(`${i}`)), log.append, {
        concurrency: "unbounded"
      })
      const { count, sum } = (yield* metrics).get("auditlog_batch_records")!
      assert.strictEqual(sum, 100)
      assert.isBelow(count as number, 10)
      assert.strictEqual(yield* total("auditlog_fsyncs_total"), count)
    })
  )

  measured(
    "time every append once, a transaction as one",
    Effect.gen(function*() {
      const { log } = yield* openFileLog()
      yield* log.append(granted("a"))
      yield* log.append(granted("b"))
      yield* log.transaction(Effect.andThen(log.append(granted("c")), log.append(granted("d"))))
      const { count, max, min } = (yield* metrics).get("auditlog_append_seconds")!
      assert.strictEqual(count, 3)
      assert.isAbove(min as number, 0)
      assert.isBelow(max as number, 60)
    })
  )

  measured(
    "count no flush where none was asked for",
    Effect.gen(function*() {
      const { log } = yield* openFileLog({ sync: "never" })
      yield* log.append(granted("a"))
      assert.strictEqual(yield* total("auditlog_appends_total"), 1)
      assert.strictEqual(yield* total("auditlog_fsyncs_total"), 0)
    })
  )

  measured(
    "count one flush for what an interval has gathered, one for what is left at the end, and none for nothing",
    Effect.gen(function*() {
      const flushed = yield* Deferred.make<void>()
      const faults = faultyPort()
      faults.next("fdatasync", (real, fd, done) =>
        real(fd, (error) => {
          done(error)
          Deferred.doneUnsafe(flushed, Exit.void)
        }))
      const flushes = Effect.gen(function*() {
        const { log } = yield* openFileLog({ sync: { every: "1 second" } })
        yield* TestClock.adjust("5 seconds")
        yield* log.append(granted("a"))
        yield* log.append(granted("b"))
        assert.strictEqual(yield* total("auditlog_fsyncs_total"), 0)
        yield* TestClock.adjust("1 second")
        yield* Deferred.await(flushed)
        assert.strictEqual(yield* total("auditlog_fsyncs_total"), 1)
        yield* TestClock.adjust("5 seconds")
        yield* log.append(granted("c"))
      }).pipe(Effect.provideService(FilePort, faults.port))
      yield* Effect.scoped(flushes)
      assert.strictEqual(yield* total("auditlog_fsyncs_total"), 2)
      assert.strictEqual(faults.count("fdatasync"), 2)
    })
  )

  measured(
    "count each failure once, under its reason",
    Effect.gen(function*() {
      const { log, memory } = yield* openMemoryLog({ sizePolicy: SizePolicy.reject(), transactionRecordsMax: 1 })
      const full = new AuditError.StorageFull({ path: "nowhere", code: "ENOSPC", committed: "no" })
      yield* Effect.flip(log.append(wide))
      yield* Effect.flip(log.transaction(log.append(wide)))
      yield* Effect.flip(log.appendAll([granted("a"), granted("b")]))
      yield* Effect.flip(log.append({ _tag: "RoleGranted", actor: "ada", role: 1 as unknown as string }))
      yield* memory.failNext(full, { times: 3 })
      yield* Effect.flip(log.append(granted("a")))
      yield* Effect.flip(log.transaction(log.append(granted("a"))))
      yield* Effect.exit(Effect.scoped(Effect.flatMap(log.scoped, (writer) => writer.append(granted("a")))))
      yield* log.append(granted("a"))
      const errors = Array.from(yield* metrics)
        .filter(([name]) => name.startsWith("auditlog_errors_total"))
        .map(([name, { count }]) => [name, count])
      assert.sameDeepMembers(errors, [
        ["auditlog_errors_total{RecordTooLarge}", 2],
        ["auditlog_errors_total{TransactionTooLarge}", 1],
        ["auditlog_errors_total{InvalidRecord}", 1],
        ["auditlog_errors_total{StorageFull}", 3]
      ])
    })
  )

  measured(
    "count the records over the limit of a policy that warns, and of no other",
    Effect.gen(function*() {
      const log = (policy: SizePolicy.SizePolicy) => Effect.map(openFileLog({ sizePolicy: policy }), (_) => _.log)
      const warns = yield* log(SizePolicy.warn())
      yield* warns.append(granted("a"))
      yield* warns.append(wide)
      yield* warns.appendAll([wide, granted("b"), wide])
      assert.strictEqual(yield* total("auditlog_oversize_total"), 3)
      yield* Effect.flatMap(log(SizePolicy.allow()), (_) => _.append(wide))
      yield* Effect.flatMap(log(SizePolicy.reject()), (_) => Effect.flip(_.append(wide)))
      assert.strictEqual(yield* total("auditlog_oversize_total"), 3)
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("show that no more shares a write than may be pending, also of records without fields", () =>
    Effect.gen(function*() {
      class Empty extends AuditLog.Service<Empty>()("test/Empty", { schema: Schema.Struct({}) }) {}
      yield* Effect.gen(function*() {
        const log = yield* Empty
        yield* Effect.forEach(Array.from({ length: 2000 }, () => ({})), log.append, { concurrency: "unbounded" })
      }).pipe(Effect.provide(Layer.provide(
        Empty.layer,
        FileAppender.layer({ path: yield* temporaryLog, pendingBytesMax: "100 KiB" })
      )))
      // a line has more than 100 bytes
      assert.isBelow((yield* metrics).get("auditlog_batch_records")!["max"] as number, 1024)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  measured(
    "belong to the program that opened the log, whoever appends",
    Effect.gen(function*() {
      const { log } = yield* openFileLog()
      yield* Effect.provideService(log.append(granted("a")), Metric.MetricRegistry, new Map())
      assert.strictEqual(yield* total("auditlog_appends_total"), 1)
    })
  )
})

describe("the spans", () => {
  /** Runs an effect with a tracer that keeps the spans it makes. */
  const spansOf = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const spans: Array<Tracer.NativeSpan> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      yield* Effect.provideService(self, Tracer.Tracer, tracer)
      return spans
    })

  it.effect("of an append and of a commit are children of the span that is current", () =>
    Effect.gen(function*() {
      const { log } = yield* openFileLog()
      const spans = yield* spansOf(
        Effect.gen(function*() {
          yield* log.append(granted("a"))
          yield* log.appendAll([granted("b"), granted("c")])
          yield* log.transaction(Effect.gen(function*() {
            yield* log.append(granted("d"))
            yield* log.transaction(log.appendAll([granted("e"), granted("f")]))
          }))
        }).pipe(Effect.withSpan("request"))
      )
      assert.deepStrictEqual(spans.map(({ attributes, name }) => [name, attributes.get("auditlog.records")]), [
        ["request", undefined],
        ["AuditLog.append", 1],
        ["AuditLog.append", 2],
        ["AuditLog.commit", 3]
      ])
      for (const span of spans.slice(1)) {
        assert.strictEqual(span.parent?._tag === "Some" ? span.parent.value.spanId : "", spans[0]!.spanId)
        assert.strictEqual(span.status._tag, "Ended")
      }
    }))

  it.effect("are not made where no span is current", () =>
    Effect.gen(function*() {
      const { log } = yield* openFileLog()
      const spans = yield* spansOf(
        Effect.andThen(log.append(granted("a")), log.transaction(log.append(granted("b"))))
      )
      assert.deepStrictEqual(spans, [])
    }))
})
