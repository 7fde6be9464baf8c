/**
 * Rotation and retention: sealing by size and age, several processes, logrotate, and what stays in the log of a segment
 * that is removed.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Schema } from "effect"
import { TestClock } from "effect/testing"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { AuditLog, FileAppender, Segment, Verifier } from "../src/index.ts"
import { FilePort } from "../src/internal/filePort.ts"
import { LogDecoder } from "../src/internal/logDecoder.ts"
import { childProgram } from "./childPrograms.ts"
import { failWith, faultyPort } from "./faultyFileSystem.ts"
import { run, temporaryDirectory, temporaryLog } from "./support.ts"

class Audit extends AuditLog.Service<Audit>()("test/Rotation", {
  schema: Schema.Struct({ n: Schema.Int, text: Schema.String })
}) {}

const segmentsOf = (path: string) => Segment.pick(path, Fs.readdirSync(Path.dirname(path)))

/** What a reader finds in all segments, oldest first, with one state for all of them. */
const readAll = (path: string) => {
  const decoder = new LogDecoder({})
  const entries = segmentsOf(path).flatMap((segment) => {
    decoder.begin(segment.path)
    return [...decoder.feed(Fs.readFileSync(segment.path)), ...decoder.endOfFile()]
  })
  return [...entries, ...decoder.end()]
}

const recordsIn = (path: string) => readAll(path).filter((entry) => entry._tag === "Record")

const quiet = Logger.layer([], { mergeWithExisting: false })

const logOn = (options: FileAppender.Options, logger = quiet) =>
  Audit.layer.pipe(Layer.provide(FileAppender.layer(options)), Layer.provideMerge(logger))

const appendTo = (path: string, options: Partial<FileAppender.Options>, count: number, from = 0) =>
  Audit.use((audit) =>
    Effect.forEach(
      Array.from({ length: count }, (_, i) => from + i),
      (n) => audit.append({ n, text: "x".repeat(100) })
    )
  ).pipe(Effect.provide(logOn({ path, ...options })))

/** A logger, and what it is told. */
const logged = () => {
  const messages: Array<string> = []
  const logger = Logger.make(({ message }) => void messages.push(String(message)))
  return { messages, logger: Logger.layer([logger], { mergeWithExisting: false }) }
}

describe("names", () => {
  const sealed = "audit.20261123T091502.114Z.01JD0000000000000000ABCDEF.jsonl"

  it("of sealed and rotated segments are known with the endings of five compressors, and in their order", () => {
    for (const ending of ["gz", "bz2", "xz", "zst", "Z"]) {
      const names = ["audit.jsonl", `${sealed}.${ending}`, `audit.jsonl.2.${ending}`, "audit.jsonl.1"]
      assert.deepStrictEqual(Segment.pick("audit.jsonl", names), [
        { kind: "compressed", path: `audit.jsonl.2.${ending}` },
        { kind: "rotated", path: "audit.jsonl.1" },
        { kind: "compressed", path: `${sealed}.${ending}` },
        { kind: "live", path: "audit.jsonl" }
      ])
    }
  })

  it("that only look similar are nothing of the log's", () => {
    const names = ["audit.jsonl.gz", `${sealed}.gz.gz`, `${sealed}.zip`, `${sealed}.gz.1`, `x${sealed}.gz`, "audit.gz"]
    assert.deepStrictEqual(Segment.pick("audit.jsonl", names), [])
  })

  it("of a log that has no extension, or that of a compressor, are told apart", () => {
    const plain = sealed.replace(".jsonl", "")
    assert.deepStrictEqual(Segment.pick("audit", ["audit.gz", `${plain}.gz`, plain, "audit"]).map(({ kind }) => kind), [
      "compressed",
      "sealed",
      "live"
    ])
    assert.deepStrictEqual(Segment.pick("audit.gz", [`${plain}.gz`, "audit.gz"]).map(({ kind }) => kind), [
      "sealed",
      "live"
    ])
  })
})

describe("rotation by size", () => {
  it.effect("seals the file before the append that finds it full, and the chain goes on in the next", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* appendTo(path, { rotate: { size: "2 KiB" } }, 50)
      const segments = segmentsOf(path)
      assert.isAbove(segments.length, 4)
      assert.deepStrictEqual(segments.map(({ kind }) => kind), [...segments.slice(1).map(() => "sealed"), "live"])
      for (const segment of segments.slice(0, -1)) {
        assert.match(Path.basename(segment.path), /^audit\.\d{8}T\d{6}\.\d{3}Z\.[0-9A-Z]{26}\.jsonl$/)
        const { mode, size } = Fs.statSync(segment.path)
        assert.isAtLeast(size, 2048)
        assert.strictEqual(mode & 0o777, 0o600)
      }
      const records = recordsIn(path)
      assert.deepStrictEqual(records.map(({ fields }) => fields["n"]), Array.from({ length: 50 }, (_, n) => n))
      records.forEach(({ stamp }, i) => {
        assert.strictEqual(stamp.prev, i === 0 ? undefined : JSON.parse(records[i - 1]?.text ?? "")._hash)
      })
    }))

  it.effect("makes the new name durable, and flushes the sealed file before its descriptor is closed", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const faults = faultyPort()
      yield* appendTo(path, { rotate: { size: "300 B" } }, 3).pipe(Effect.provideService(FilePort, faults.port))
      const renamed = faults.calls.findIndex(([member]) => member === "rename")
      const after = faults.calls.slice(renamed, renamed + 14).map(([member]) => member)
      assert.deepStrictEqual(after.slice(0, 2), ["rename", "fsyncDirectory"])
      const sealed = faults.calls.find(([member]) => member === "write")?.[1]
      const flushed = faults.calls.findIndex(([member, fd], i) => i > renamed && member === "fsync" && fd === sealed)
      const closed = faults.calls.findIndex(([member, fd], i) => i > renamed && member === "close" && fd === sealed)
      assert.isTrue(flushed > renamed && closed > flushed, after.join(" "))
    }))

  it.effect("that fails costs no append: it is reported and tried again later", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const faults = faultyPort()
      faults.next("rename", failWith("EACCES"), { times: 1000 })
      const receipts = yield* appendTo(path, { rotate: { size: "300 B" } }, 20).pipe(
        Effect.provideService(FilePort, faults.port)
      )
      assert.strictEqual(receipts.length, 20)
      assert.strictEqual(recordsIn(path).length, 20)
      assert.strictEqual(faults.count("rename"), 1)
    }))

  it.live("by 8 processes at once loses and doubles no record of 16 000", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const ended = yield* Effect.promise(() =>
        Promise.all(Array.from({ length: 8 }, (_, i) =>
          run(process.execPath, [childProgram("writer"), path, `p${i}`, "2000", "20", "rotate=64 KiB"])))
      )
      for (const { code, stderr } of ended) {
        assert.strictEqual(code, 0, stderr)
      }
      const acknowledged = ended.flatMap(({ stdout }) =>
        stdout.match(/[0-9A-Z]{26}:\d+/g) ?? []
      )
      const found = recordsIn(path).map(({ id }) => id)
      assert.strictEqual(acknowledged.length, 16_000)
      assert.deepStrictEqual(found.toSorted(), acknowledged.toSorted())
      assert.isAbove(segmentsOf(path).length, 10)
      assert.deepStrictEqual(readAll(path).filter(({ _tag }) => _tag !== "Record"), [])
    }), 60_000)
})

describe("the lock of a sealing", () => {
  it.effect("that a killed process has left is removed after ten seconds, and the next append seals", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* appendTo(path, {}, 10)
      const locks = [`${path}.sealing`, `${path}.sealing.stale`]
      for (const lock of locks) Fs.writeFileSync(lock, "")
      const append = (n: number) =>
        Audit.use((audit) => audit.append({ n, text: "" })).pipe(
          Effect.provide(logOn({ path, rotate: { size: "1 KiB" } }))
        )
      const state = () => [segmentsOf(path).length, locks.filter((lock) => Fs.existsSync(lock)).length]
      yield* TestClock.setTime(Date.now() + 5000)
      yield* append(10)
      assert.deepStrictEqual(state(), [1, 2])
      yield* TestClock.setTime(Date.now() + 15_000)
      // the lock of the removal was left as well: first that, then the other one
      yield* append(11)
      assert.deepStrictEqual(state(), [1, 1])
      yield* append(12)
      assert.deepStrictEqual(state(), [1, 0])
      yield* append(13)
      assert.deepStrictEqual(state(), [2, 0])
      assert.deepStrictEqual(recordsIn(path).map(({ fields }) => fields["n"]), Array.from({ length: 14 }, (_, n) => n))
    }))

  it.live("is not removed by a process that was slower than the one that has removed it, and than the next", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* appendTo(path, {}, 10)
      const lock = `${path}.sealing`
      Fs.writeFileSync(lock, "")
      const faults = faultyPort()
      let looks = 0
      // what it sees is the lock that was left; the one that is there is new
      faults.next("lstat", (real, target) => {
        const stat = real(target)
        return target !== lock || stat === undefined || looks++ > 0 ? stat : { ...stat, bornMillis: 1 }
      }, { times: 1000 })
      yield* Audit.use((audit) => audit.append({ n: 10, text: "" })).pipe(
        Effect.provide(logOn({ path, rotate: { size: "1 KiB" } })),
        Effect.provideService(FilePort, faults.port)
      )
      assert.deepStrictEqual([looks, Fs.existsSync(lock), segmentsOf(path).length], [2, true, 1])
    }))
})

describe("a segment in the middle", () => {
  const hashOf = (entry: { readonly text: string } | undefined) => JSON.parse(entry?.text ?? "{}")._hash as string

  /** Four programs, one after the other; all but the first find the file full and begin with sealing it. */
  const fourPrograms = (path: string, options: Partial<FileAppender.Options> = {}) =>
    Effect.forEach([0, 2, 4, 6], (from) => appendTo(path, { rotate: { size: "400 B" }, ...options }, 2, from))

  it.live("is tied to the next one although that begins with a new writer, so its removal is a fault", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* fourPrograms(path)
      const segments = segmentsOf(path)
      assert.strictEqual(segments.length, 4)
      const records = recordsIn(path)
      assert.deepStrictEqual(
        [2, 4, 6].map((at) => records[at]?.stamp.seen),
        [1, 3, 5].map((at) => hashOf(records[at]))
      )
      const untouched = yield* Verifier.verify(path)
      assert.deepStrictEqual([untouched.sound, untouched.records, untouched.earlier], [true, 8, 0])
      for (const { path: gone } of segments.slice(0, 3)) {
        Fs.renameSync(gone, `${gone}.away`)
        const { dangling, sound } = yield* Verifier.verify(path)
        assert.deepStrictEqual([sound, dangling.count, dangling.first[0]?.stands], [false, 1, "nowhere"])
        Fs.renameSync(`${gone}.away`, gone)
      }
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("is tied to the next one when another program seals it between our opening and our first append", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* appendTo(path, {}, 3)
      yield* Audit.use((audit) =>
        Effect.gen(function*() {
          Fs.renameSync(path, Segment.sealedPath(path, "2026-11-23T09:15:02.114Z", "01JDAWM0E1S6H8P4KB2Q7D3FGZ"))
          yield* audit.append({ n: 3, text: "" })
        })
      ).pipe(Effect.provide(logOn({ path })))
      const records = recordsIn(path)
      assert.strictEqual(records[3]?.stamp.seen, hashOf(records[2]))
      assert.isTrue((yield* Verifier.verify(path)).sound)
      Fs.unlinkSync(segmentsOf(path)[0]?.path ?? "")
      assert.isFalse((yield* Verifier.verify(path)).sound)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("that retention removes leaves a sound log", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* fourPrograms(path, { retain: { size: "700 B" } })
      const report = yield* Verifier.verify(path)
      assert.deepStrictEqual([report.sound, report.removed > 0, report.earlier > 0], [true, true, true])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("whose end cannot be read costs no append: a warning says that no record names it", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* appendTo(path, {}, 20)
      const faults = faultyPort()
      faults.next("read", failWith("EIO"))
      const { logger, messages } = logged()
      yield* Audit.use((audit) => audit.append({ n: 20, text: "" })).pipe(
        Effect.provide(logOn({ path, rotate: { size: "2 KiB" } }, logger)),
        Effect.provideService(FilePort, faults.port)
      )
      assert.strictEqual(recordsIn(path).length, 21)
      assert.isTrue(messages.some((message) => message.includes("cannot be read (EIO)")), messages.join("\n"))
    }))
})

describe("rotation by age", () => {
  it.effect("keeps the order of the segments when the clock is set back between two of them", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const start = Date.now()
      for (const [n, millis] of [0, -3_600_000, -7_200_000, 1000].entries()) {
        yield* TestClock.setTime(start + millis)
        // a program of its own each time
        yield* Audit.use((audit) => audit.append({ n, text: "x".repeat(1100) })).pipe(
          Effect.provide(logOn({ path, rotate: { size: "1 KiB" } }))
        )
      }
      assert.strictEqual(segmentsOf(path).length, 4)
      assert.deepStrictEqual(recordsIn(path).map(({ fields }) => fields["n"]), [0, 1, 2, 3])
    }))

  it.effect("seals later than a segment that was compressed since, also when the clock is set back", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const start = Date.now()
      for (const [n, millis] of [0, 0, -3_600_000].entries()) {
        yield* TestClock.setTime(start + millis)
        if (n === 2) Fs.renameSync(segmentsOf(path)[0]!.path, `${segmentsOf(path)[0]!.path}.gz`)
        yield* Audit.use((audit) => audit.append({ n, text: "x".repeat(1100) })).pipe(
          Effect.provide(logOn({ path, rotate: { size: "1 KiB" } }))
        )
      }
      const [first, second, third] = segmentsOf(path)
      assert.deepStrictEqual([first?.kind, second?.kind, third?.kind], ["compressed", "sealed", "live"])
      assert.isBelow(Segment.sealedMillis(path, first!.path), Segment.sealedMillis(path, second!.path))
    }))

  it.effect("seals the file before the first append after the age, by the clock of the program", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* TestClock.setTime(Date.now())
      yield* Audit.use((audit) =>
        Effect.gen(function*() {
          yield* audit.append({ n: 0, text: "" })
          yield* TestClock.adjust("23 hours")
          yield* audit.append({ n: 1, text: "" })
          assert.strictEqual(segmentsOf(path).length, 1)
          yield* TestClock.adjust("2 hours")
          yield* audit.append({ n: 2, text: "" })
          assert.strictEqual(segmentsOf(path).length, 2)
        })
      ).pipe(
        Effect.provide(logOn({ path, rotate: { age: "1 day" } }))
      )
      assert.deepStrictEqual(recordsIn(path).map(({ fields }) => fields["n"]), [0, 1, 2])
    }))
})

describe("retention", () => {
  it.live("removes the oldest sealed segments over the size, and the log says which and where their chains ended", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* appendTo(path, { rotate: { size: "2 KiB" } }, 60)
      const before = segmentsOf(path)
      const firstSegment = before[0]?.path ?? ""
      const firstBytes = Fs.statSync(firstSegment).size
      const decoder = new LogDecoder({})
      const firstRecords = decoder.feed(Fs.readFileSync(firstSegment)).filter((entry) => entry._tag === "Record")
      // opening the log applies the retention; the scope stays open until it is done
      yield* Audit.use((audit) =>
        Effect.gen(function*() {
          yield* audit.append({ n: 60, text: "" })
          yield* Effect.suspend(() => segmentsOf(path).length <= 3 ? Effect.void : Effect.fail("not yet")).pipe(
            Effect.delay("10 millis"),
            Effect.retry({ times: 500 })
          )
        })
      ).pipe(Effect.provide(logOn({ path, retain: { size: "6 KiB" } })))
      const total = segmentsOf(path).reduce((sum, segment) => sum + Fs.statSync(segment.path).size, 0)
      const removals = recordsIn(path).filter(({ fields }) => fields["_tag"] === "auditlog/SegmentRemoved")
      assert.strictEqual(removals.length, before.length - segmentsOf(path).length)
      const last = firstRecords.at(-1)
      assert.deepStrictEqual(removals[0]?.fields, {
        _tag: "auditlog/SegmentRemoved",
        segment: Path.basename(firstSegment),
        bytes: firstBytes,
        records: firstRecords.length,
        writers: [{
          writer: last?.stamp.writer,
          from: 0,
          to: last?.stamp.seq,
          hash: JSON.parse(last?.text ?? "{}")._hash
        }]
      })
      // what the removals themselves add comes on top
      assert.isBelow(total, 6 * 1024 + removals.length * 600 + 300)
    }))

  it.live("leaves a log that verifies, also for a writer that is idle while all it wrote is removed", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const others = (from: number) =>
        appendTo(path, { rotate: { size: "2 KiB" }, retain: { size: "700 B" } }, 60, from)
      yield* Audit.use((idle) =>
        Effect.gen(function*() {
          yield* idle.append({ n: 0, text: "" })
          // each round removes the records of the round before, also the one that says where the idle writer was
          for (let round = 0; round < 4; round++) yield* others(1000 * round)
          yield* idle.append({ n: 1, text: "" })
        })
      ).pipe(Effect.provide(logOn({ path })))
      const entries = recordsIn(path)
      assert.isUndefined(entries.find(({ fields }) => fields["n"] === 0))
      assert.isDefined(entries.find(({ fields }) => fields["n"] === 1))
      assert.isUndefined(entries.find(({ fields }) => (fields["n"] as number) === 1000))
      const report = yield* Verifier.verify(path)
      assert.deepStrictEqual([report.sound, report.missing, report.removed > 0], [true, { count: 0, first: [] }, true])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("goes on where another process was faster at any of its steps", () =>
    Effect.gen(function*() {
      for (const call of ["open", "unlink"] as const) {
        const path = yield* temporaryLog
        yield* appendTo(path, { rotate: { size: "1 KiB" } }, 40)
        const faults = faultyPort()
        const removed: Array<string> = []
        // each of the sealed segments, just before this process comes to it
        faults.next(call, (real: (...args: ReadonlyArray<never>) => unknown, ...args: ReadonlyArray<unknown>) => {
          const target = String(args[0])
          if (target !== path && removed.length < 3) {
            removed.push(target)
            Fs.unlinkSync(target)
          }
          return real(...args as ReadonlyArray<never>) as never
        }, { times: 1000 })
        const { logger, messages } = logged()
        yield* Audit.use((audit) => audit.append({ n: 40, text: "" })).pipe(
          Effect.provide(logOn({ path, retain: { size: "1 B" } }, logger)),
          Effect.provideService(FilePort, faults.port)
        )
        assert.strictEqual(removed.length, 3, call)
        assert.deepStrictEqual(segmentsOf(path).map(({ path }) => path), [path], call)
        assert.deepStrictEqual(messages, [], call)
      }
    }))

  it.effect("never removes the live file or those of logrotate, and stops where the log cannot take its record", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(`${path}.1`, `{"old":1}\n`.repeat(1000), { mode: 0o600 })
      yield* appendTo(path, { rotate: { size: "1 KiB" } }, 20)
      const faults = faultyPort()
      faults.next("write", failWith("ENOSPC"), { times: 1000 })
      const before = segmentsOf(path).length
      yield* Effect.scoped(Effect.gen(function*() {
        yield* FileAppender.make({ path, retain: { size: "1 B" } })
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 50)))
      })).pipe(Effect.provideService(FilePort, faults.port), Effect.provide(quiet))
      assert.strictEqual(segmentsOf(path).length, before)
      assert.isTrue(Fs.existsSync(`${path}.1`))
    }))

  it.live("leaves a compressed segment, whose records it cannot name, and counts its bytes", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* appendTo(path, { rotate: { size: "1 KiB" } }, 20)
      const [first, ...others] = segmentsOf(path)
      const packed = `${first!.path}.gz`
      Fs.rmSync(first!.path)
      Fs.writeFileSync(packed, Buffer.alloc(100_000))
      yield* Audit.use(() =>
        Effect.suspend(() => segmentsOf(path).length === 2 ? Effect.void : Effect.fail("not yet")).pipe(
          Effect.delay("10 millis"),
          Effect.retry({ times: 500 })
        )
      ).pipe(Effect.provide(logOn({ path, retain: { size: "100 kB" } })))
      assert.deepStrictEqual(segmentsOf(path).map(({ path }) => path), [packed, path])
      assert.isAbove(others.length, 2)
    }))
})

const logrotate = spawnSync("logrotate", ["--version"], { encoding: "utf8" })
const noLogrotate = logrotate.error === undefined ? undefined : "logrotate is not installed; apt-get install logrotate"
if (noLogrotate !== undefined) console.log(`skipped: ${noLogrotate}`)

describe.skipIf(noLogrotate !== undefined)("the real logrotate", () => {
  const rotateWith = (mode: string) =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const path = Path.join(directory, "audit.jsonl")
      const config = Path.join(directory, "logrotate.conf")
      Fs.chmodSync(directory, 0o700)
      Fs.writeFileSync(config, `"${path}" {\n  rotate 9\n  ${mode}\n}\n`, { mode: 0o600 })
      const messages: Array<string> = []
      const logger = Logger.make(({ message }) => {
        messages.push(String(message))
      })
      yield* Audit.use((audit) =>
        Effect.gen(function*() {
          for (let round = 0; round < 3; round++) {
            yield* Effect.forEach([0, 1, 2, 3, 4], (i) => audit.append({ n: round * 5 + i, text: "" }))
            const { code, stderr } = yield* Effect.promise(() =>
              run("logrotate", ["--force", "--state", `${config}.state`, config])
            )
            assert.strictEqual(code, 0, stderr)
          }
          yield* audit.append({ n: 15, text: "" })
        })
      ).pipe(Effect.provide(logOn({ path }, Logger.layer([logger], { mergeWithExisting: false }))))
      return { path, messages }
    })

  it.live("in create mode: every record is there once, in order, across its files", () =>
    Effect.gen(function*() {
      const { path } = yield* rotateWith("create 0600")
      assert.deepStrictEqual(recordsIn(path).map(({ fields }) => fields["n"]), Array.from({ length: 16 }, (_, n) => n))
      assert.deepStrictEqual(segmentsOf(path).map(({ kind }) => kind), ["rotated", "rotated", "rotated", "live"])
    }))

  it.live("in copytruncate mode: the cut is noticed and said", () =>
    Effect.gen(function*() {
      const { messages } = yield* rotateWith("copytruncate")
      assert.isTrue(messages.some((message) => message.includes("cut from outside")), messages.join("\n"))
    }))
})
