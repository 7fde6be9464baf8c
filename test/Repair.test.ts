/**
 * Damage, repair, and what is there afterwards, judged by bytes: the reader finds no damage, every whole record stands
 * where it stood among the others, and the bytes that were moved lead back to the file that was.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import NodeFs, * as Fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import * as Path from "node:path"
import { type FileAppender, Repair, Segment } from "../src/index.ts"
import { OpenWriters } from "../src/internal/openWriters.ts"
import { only, putBack, quarantined, repair, repairSearching } from "./repairSupport.ts"
import {
  granted,
  openFileLog,
  readEntries,
  readRecords,
  run,
  temporaryDirectory,
  temporaryLog,
  testFile
} from "./support.ts"

const writeLog = (path: string, roles: ReadonlyArray<string>, options: Partial<FileAppender.Options> = {}) =>
  Effect.scoped(Effect.gen(function*() {
    const { log } = yield* openFileLog({ ...options, path })
    for (const role of roles) yield* log.append(granted(role))
  }))

/** A log of three records, a transaction of two, and one more. */
const writeSample = (path: string) =>
  Effect.scoped(Effect.gen(function*() {
    const { log } = yield* openFileLog({ path })
    for (const role of ["one", "two", "three"]) yield* log.append(granted(role))
    yield* log.appendAll([granted("four"), granted("five")])
    yield* log.append(granted("six"))
  }))

const sampleRoles = ["one", "two", "three", "four", "five", "six"]

const roles = (path: string) =>
  Effect.map(readRecords(path), (records): ReadonlyArray<unknown> => records.map(({ fields }) => fields["role"]))

const damageIn = (path: string) =>
  Effect.map(readEntries(path), (entries) => entries.filter(({ _tag }) => _tag === "Damage" || _tag === "Pending"))

const lineAt = (bytes: Buffer, line: number): { readonly start: number; readonly end: number } => {
  let start = 0
  for (let i = 0; i < line; i++) start = bytes.indexOf(0x0a, start) + 1
  return { start, end: bytes.indexOf(0x0a, start) + 1 }
}

const insert = (bytes: Buffer, offset: number, text: string | Uint8Array): Buffer =>
  Buffer.concat([bytes.subarray(0, offset), Buffer.from(text as Uint8Array), bytes.subarray(offset)])

const text = (value: string) => Buffer.from(value, "latin1")

/** Numbers below a limit, the same for the same seed (mulberry32). */
const generator = (seed: number) => {
  let state = seed
  return (limit: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % limit
  }
}

const damageAtRandom = (bytes: Buffer, random: (limit: number) => number): Buffer => {
  const at = random(bytes.length + 1)
  const to = Math.min(bytes.length, at + random(300))
  const around = (middle: Uint8Array): Buffer => Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(to)])
  switch (random(6)) {
    case 0:
      return around(Buffer.alloc(0))
    case 1:
      return around(Buffer.alloc(to - at))
    case 2:
      return around(Buffer.from(Array.from({ length: random(50) }, () => random(256))))
    case 3:
      return insert(bytes, at, bytes.subarray(at, to))
    case 4:
      return insert(bytes, at, "\n")
    default:
      return bytes.subarray(0, Math.max(1, at))
  }
}

interface Case {
  readonly name: string
  readonly damage: (bytes: Buffer) => Buffer
  /** The whole file after the repair, where it is not told by the roles alone. */
  readonly after?: (bytes: Buffer) => Buffer
  /** The roles of the records that are readable before and after. */
  readonly roles?: ReadonlyArray<string>
  readonly damages: { readonly [kind: string]: number }
  readonly healed?: number
  readonly suspects?: number
}

const withoutLine = (line: number) => sampleRoles.filter((_, i) => i !== line)

const cases: ReadonlyArray<Case> = [
  {
    name: "a torn tail",
    damage: (bytes) => Buffer.concat([bytes, text(`{"_audit":{"v":1,"wri`)]),
    damages: { torn: 1 }
  },
  {
    name: "a tail that lacks nothing but its newline",
    damage: (bytes) => bytes.subarray(0, -1),
    roles: withoutLine(5),
    damages: { torn: 1 },
    suspects: 1
  },
  {
    name: "a line that is cut in the middle",
    damage: (bytes) => {
      const { end } = lineAt(bytes, 1)
      return Buffer.concat([bytes.subarray(0, end - 40), bytes.subarray(end - 1)])
    },
    roles: withoutLine(1),
    damages: { torn: 1 },
    suspects: 1
  },
  {
    name: "an altered record",
    damage: (bytes) => {
      const altered = Buffer.from(bytes)
      altered.write("b", altered.indexOf(`"ada"`) + 1)
      return altered
    },
    roles: withoutLine(0),
    damages: { hash: 1 },
    suspects: 1
  },
  {
    name: "one record in the middle of another",
    damage: (bytes) => {
      const { start } = lineAt(bytes, 1)
      return insert(
        bytes,
        start + 30,
        bytes.subarray(...[lineAt(bytes, 2)].flatMap(({ end, start }) => [start, end - 1]))
      )
    },
    roles: withoutLine(1),
    damages: { glued: 1 },
    suspects: 1
  },
  {
    name: "NUL bytes around a record, on lines of their own and at the end",
    damage: (bytes) => {
      const { end, start } = lineAt(bytes, 2)
      return Buffer.concat([
        insert(insert(bytes, end - 1, text("\0\0")), start, text("\0\0\0\n\0\0")),
        text("\0".repeat(50))
      ])
    },
    damages: { nul: 4 }
  },
  {
    name: "a NUL hole inside a record",
    damage: (bytes) => {
      const holed = Buffer.from(bytes)
      holed.fill(0, lineAt(bytes, 2).start + 50, lineAt(bytes, 2).start + 90)
      return holed
    },
    roles: withoutLine(2),
    damages: { nul: 1 },
    suspects: 1
  },
  {
    name: "bytes that are not UTF-8",
    damage: (bytes) => insert(bytes, lineAt(bytes, 3).start, text("\xff\xfe\n")),
    damages: { utf8: 1 },
    suspects: 1
  },
  {
    name: "a line that is no JSON, one that is no object, and a stamp that is none",
    damage: (bytes) => insert(bytes, lineAt(bytes, 1).start, text(`hello\n[1]\n{"_audit":{"v":1}}\n`)),
    damages: { notJson: 1, notObject: 1, stamp: 1 },
    suspects: 3
  },
  {
    name: "a byte order mark in front of the first record",
    damage: (bytes) => insert(bytes, 0, text("\xef\xbb\xbf")),
    roles: withoutLine(0),
    damages: { glued: 1 },
    suspects: 1
  },
  {
    name: "lines that end in CR LF, one of them with NUL bytes",
    damage: (bytes) => text(bytes.toString("latin1").replaceAll("\n", "\r\n").replace("\r\n", "\0\0\r\n")),
    after: (bytes) => text(bytes.toString("latin1").replaceAll("\n", "\r\n")),
    damages: { nul: 1 }
  },
  {
    name: "a file of NUL bytes",
    damage: () => Buffer.alloc(5000),
    roles: [],
    damages: { nul: 1 }
  },
  {
    name: "a part of a transaction that is gone: the rest of it stays",
    damage: (bytes) => {
      const { end, start } = lineAt(bytes, 3)
      return Buffer.concat([bytes.subarray(0, start), text("gone\n"), bytes.subarray(end)])
    },
    roles: ["one", "two", "three", "six"],
    damages: { notJson: 1 },
    suspects: 1
  }
]

describe("a damaged log", () => {
  for (
    const { after: expectedAfter, damage, damages, healed = 0, name, roles: expected = sampleRoles, suspects = 0 }
      of cases
  ) {
    it.effect(`is sound after the repair, appended to, and read again: ${name}`, () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        yield* writeSample(path)
        const sample = Fs.readFileSync(path)
        const before = damage(sample)
        Fs.writeFileSync(path, before)
        const isPadding = damages["nul"] !== undefined && suspects === 0
        if (!isPadding) assert.isNotEmpty(yield* damageIn(path), "it is not damaged")
        assert.deepStrictEqual(yield* roles(path), [...expected])

        const dry = only(yield* repair(path, { dryRun: true }))
        assert.strictEqual(dry.outcome, "damaged")
        assert.isTrue(Fs.readFileSync(path).equals(before), "a dry run changed the file")
        assert.deepStrictEqual(Fs.readdirSync(Path.dirname(path)), ["audit.jsonl"])

        const report = only(yield* repair(path))
        assert.strictEqual(report.outcome, "repaired")
        assert.deepStrictEqual(report.damages, damages)
        assert.strictEqual(report.healed, healed)
        assert.strictEqual(report.suspects, suspects)
        assert.deepStrictEqual(yield* damageIn(path), [])
        assert.deepStrictEqual(yield* roles(path), [...expected])
        assert.isTrue(putBack(path).equals(before))
        assert.deepStrictEqual(Fs.readdirSync(Path.dirname(path)).sort(), ["audit.jsonl", "audit.jsonl.quarantine"])
        assert.isFalse(Fs.readFileSync(path).includes(0))

        const after = Fs.readFileSync(path)
        if (expectedAfter !== undefined) assert.isTrue(after.equals(expectedAfter(sample)))
        const evidence = Fs.readFileSync(`${path}.quarantine`)
        assert.strictEqual(only(yield* repair(path)).outcome, "sound")
        assert.isTrue(Fs.readFileSync(path).equals(after), "the second repair changed the file")
        assert.isTrue(
          Fs.readFileSync(`${path}.quarantine`).equals(evidence),
          "the second repair wrote to the quarantine"
        )

        yield* writeLog(path, ["seven"])
        assert.deepStrictEqual(yield* roles(path), [...expected, "seven"])
        assert.deepStrictEqual(yield* damageIn(path), [])
      }))
  }

  it.effect("at random, in many ways: the reader finds the same records and no damage, and the bytes lead back", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      Fs.appendFileSync(path, `{"foreign":1}\n`)
      const sample = Fs.readFileSync(path)
      for (let seed = 1; seed <= 120; seed++) {
        const random = generator(seed)
        let bytes: Buffer = sample
        for (let i = 0; i <= random(4); i++) bytes = damageAtRandom(bytes, random)
        Fs.writeFileSync(path, bytes)
        Fs.rmSync(`${path}.quarantine`, { force: true })
        const texts = Effect.map(
          readEntries(path),
          (entries): ReadonlyArray<string> =>
            entries.flatMap((entry) => entry._tag === "Record" || entry._tag === "Foreign" ? [entry.text] : [])
        )
        const before = yield* texts
        const { outcome } = only(yield* repair(path, { force: true }))
        assert.deepStrictEqual(yield* texts, [...before], `seed ${seed}`)
        assert.deepStrictEqual(yield* damageIn(path), [], `seed ${seed}`)
        if (outcome === "repaired") assert.isTrue(putBack(path).equals(bytes), `seed ${seed}`)
        assert.strictEqual(only(yield* repair(path)).outcome, "sound", `seed ${seed}`)
      }
    }))

  it.effect("loses its healed fragments together with their resync lines", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeLog(path, ["one"])
      Fs.appendFileSync(path, `{"_audit":{"v":1,"wri`)
      yield* writeLog(path, ["two"])
      Fs.appendFileSync(path, "{")
      yield* writeLog(path, ["three"])
      const before = Fs.readFileSync(path)
      const report = only(yield* repair(path))
      assert.deepInclude(report, { damages: { glued: 2 }, healed: 2, suspects: 0, rangeCount: 2 })
      assert.isFalse(Fs.readFileSync(path).includes("resync"))
      assert.deepStrictEqual(yield* roles(path), ["one", "two", "three"])
      assert.isTrue(putBack(path).equals(before))
    }))

  it.effect("keeps resync lines of their own, blank lines and foreign objects byte for byte", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeLog(path, ["one"])
      Fs.appendFileSync(path, `{"_audit":{"v":1,"wri`)
      yield* writeLog(path, ["two"])
      // the resync line of the healed fragment, now alone
      const healed = Fs.readFileSync(path).toString().replace(`{"_audit":{"v":1,"wri{`, "{")
      const whole = `${healed}\n \t\r\n{ "foreign" : "\u2028" }\r\n`
      Fs.writeFileSync(path, `${whole}x\n`)
      assert.deepInclude(only(yield* repair(path)), { rangeCount: 1, wholeLines: 4 })
      assert.strictEqual(Fs.readFileSync(path, "utf8"), whole)
    }))

  it.effect("keeps its mode, its owner and its times; so does the quarantine its mode and owner", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      Fs.appendFileSync(path, "x\n")
      Fs.chmodSync(path, 0o640)
      const isRoot = process.getuid?.() === 0
      if (isRoot) Fs.chownSync(path, 1234, 2345)
      Fs.utimesSync(path, 1_700_000_000, 1_600_000_000)
      const before = Fs.statSync(path)
      yield* repair(path)
      const after = Fs.statSync(path)
      assert.notStrictEqual(after.ino, before.ino)
      assert.strictEqual(after.mtimeMs, 1_600_000_000_000)
      for (const stat of [after, Fs.statSync(`${path}.quarantine`)]) {
        assert.strictEqual(stat.mode & 0o7777, 0o640)
        assert.deepStrictEqual([stat.uid, stat.gid], [before.uid, before.gid])
      }
    }))

  it.effect("with 10 000 damages is repaired; all are counted, the first 100 listed, and each is in the quarantine", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeLog(path, ["one"])
      const record = Fs.readFileSync(path, "utf8")
      const lines = Array.from({ length: 10_000 }, (_, i) => i % 2 === 0 ? `broken ${i}\n` : `{"n":${i}\n${record}`)
      Fs.writeFileSync(path, lines.join(""))
      const before = Fs.readFileSync(path)
      const report = only(yield* repair(path))
      assert.deepInclude(report, { damages: { notJson: 5000, torn: 5000 }, rangeCount: 10_000 })
      assert.strictEqual(report.ranges.length, 100)
      assert.strictEqual(quarantined(`${path}.quarantine`).length, 10_002)
      assert.strictEqual(Fs.readFileSync(path, "utf8"), record.repeat(5000))
      assert.isTrue(putBack(path).equals(before))
    }))

  it.effect("that is larger than a block, with a damage larger than an entry and holes across blocks, leads back to itself", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      const record = Fs.readFileSync(path)
      const filler = Buffer.concat(Array.from({ length: 1200 }, () => record))
      const before = Buffer.concat([
        filler,
        Buffer.from(`${"garbage ".repeat(200_000)}\n`),
        filler,
        Buffer.alloc(3_000_000),
        Buffer.from("\n"),
        record,
        Buffer.alloc(1_100_000)
      ])
      Fs.writeFileSync(path, before)
      const report = only(yield* repair(path))
      assert.deepStrictEqual(report.damages, { notJson: 1, nul: 2 })
      assert.isTrue(Fs.readFileSync(path).equals(Buffer.concat([filler, filler, record])))
      assert.isTrue(putBack(path).equals(before))
      const entries = quarantined(`${path}.quarantine`)
      assert.isBelow(Math.max(...entries.map(({ base64 }) => base64?.length ?? 0)), 1024 * 1024)
      assert.isBelow(Fs.statSync(`${path}.quarantine`).size, 3_000_000, "NUL bytes are not written out")
    }))

  it.effect("with a line over the reader's limit loses that line alone", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      const before = Fs.readFileSync(path)
      Fs.writeFileSync(path, insert(before, lineAt(before, 2).start, `{"long":"${"x".repeat(100_000)}"}\n`))
      const report = only(yield* repair(path, { lineBytesMax: 50_000 }))
      assert.deepInclude(report, { damages: { tooLong: 1 }, suspects: 1 })
      assert.isTrue(Fs.readFileSync(path).equals(before))
    }))
})

describe("records with an HMAC", () => {
  const key = { id: "k1", secret: Redacted.make("correct horse battery staple 123") }
  const other = { id: "k2", secret: Redacted.make("another secret of sufficient length") }

  it.effect("that are altered are moved when the key is given, and stay when it is not", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeLog(path, ["one", "two"], { key })
      const altered = Fs.readFileSync(path, "utf8").replace("ada", "bob")
      Fs.writeFileSync(path, altered)
      assert.deepInclude(only(yield* repair(path)), { outcome: "sound", unchecked: 2 })
      assert.deepInclude(only(yield* repair(path, { keys: [other] })), { outcome: "sound", unchecked: 2 })
      const report = only(yield* repair(path, { keys: [key], key }))
      assert.deepInclude(report, { outcome: "repaired", unchecked: 0, damages: { hash: 1 } })
      assert.strictEqual(putBack(path).toString(), altered)
      const evidence = yield* readRecords(`${path}.quarantine`, { keys: [key] })
      assert.deepStrictEqual(evidence.map(({ verified }) => verified), [true, true, true])
    }))
})

describe("records under a key whose secret is another one", () => {
  const key = { id: "k1", secret: Redacted.make("correct horse battery staple 123") }
  const wrong = { id: "k1", secret: Redacted.make("another secret of sufficient length") }

  it.effect("are not taken for altered ones, with force neither, and stay where they are", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeLog(path, ["one", "two", "three"], { key })
      const before = Fs.readFileSync(path)
      for (const force of [false, true]) {
        const { message, reason } = yield* Effect.flip(repair(path, { keys: [wrong], force }))
        assert.strictEqual(reason._tag, "Unsuitable")
        assert.include(message, `none of its 3 records under the key "k1" has the HMAC that the given secret makes`)
      }
      assert.isTrue(Fs.readFileSync(path).equals(before))
      assert.deepStrictEqual(Fs.readdirSync(Path.dirname(path)), ["audit.jsonl"])
    }))

  it.effect("are altered ones if an older segment shows that the secret is right", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeLog(path, ["one", "two"], { key })
      Fs.renameSync(path, `${path}.1`)
      yield* writeLog(path, ["three", "four"], { key })
      Fs.writeFileSync(path, Fs.readFileSync(path, "utf8").replaceAll("ada", "bob"))
      const { files } = yield* repair(path, { keys: [key], key })
      assert.deepStrictEqual(files.map(({ damages, outcome }) => [outcome, damages]), [
        ["sound", {}],
        ["repaired", { hash: 2 }]
      ])
    }))
})

describe("what is nothing to do", () => {
  it.effect("leaves the directory as it is: a sound log, an empty file", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      const before = Fs.statSync(path, { bigint: true })
      assert.deepInclude(only(yield* repair(path)), { outcome: "sound", wholeLines: 6 })
      const after = Fs.statSync(path, { bigint: true })
      assert.deepStrictEqual([after.ino, after.mtimeNs], [before.ino, before.mtimeNs])
      Fs.writeFileSync(path, "")
      assert.deepInclude(only(yield* repair(path)), { outcome: "sound", wholeLines: 0 })
      assert.deepStrictEqual(Fs.readdirSync(Path.dirname(path)), ["audit.jsonl"])
    }))
})

describe("what cannot be repaired", () => {
  const refusal = (path: string, options?: Repair.Options) =>
    Effect.map(Effect.flip(repair(path, options)), ({ message, reason }) => ({ tag: reason._tag, message }))

  it.effect("is refused with a reason, and left alone", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const at = (name: string) => Path.join(directory, name)
      const log = at("audit.jsonl")
      yield* writeSample(log)
      Fs.appendFileSync(log, "x\n")
      Fs.symlinkSync(log, at("link"))
      yield* Effect.promise(() => run("mkfifo", [at("fifo")]))
      Fs.writeFileSync(at("audit.jsonl.gz.x"), Buffer.from([0x1f, 0x8b, 8, 0, 0]))
      Fs.writeFileSync(at("garbage"), Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 251)))
      Fs.copyFileSync(log, at("linked"))
      Fs.linkSync(at("linked"), at("twice"))
      Fs.writeFileSync(at("newer"), `{"_audit":{"v":2,"new":true},"a":1,"_hash":"x"}\nx\n`)
      const expected = {
        [directory]: "it is a directory",
        [at("link")]: "it is a symbolic link",
        [at("fifo")]: "it is no regular file",
        [at("missing")]: "there is no such file",
        [at("missing/audit.jsonl")]: "there is no such file",
        [at("audit.jsonl.gz.x")]: "it is compressed (gzip)",
        [at("garbage")]: "probably no log",
        [at("linked")]: "2 hard links",
        [at("newer")]: "line 1 is in a newer version of the format"
      }
      for (const [path, problem] of Object.entries(expected)) {
        const { message, tag } = yield* refusal(path)
        assert.strictEqual(tag, "Unsuitable", path)
        assert.include(message, problem)
        assert.include(message, path)
      }
      assert.deepStrictEqual(Fs.readdirSync(directory).filter((name) => /quarantine|copy/.test(name)), [])
    }))

  it.effect("a copy that does not read back as it was written takes nobody's place", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      Fs.appendFileSync(path, "x\n")
      const before = Fs.readFileSync(path)
      const { message, tag } = yield* refusal(path, {
        onProgress: ({ phase }) => {
          if (phase !== "checking") return
          const fd = Fs.openSync(`${path}.repair-copy`, "r+")
          Fs.writeSync(fd, "!", 10)
          Fs.closeSync(fd)
        }
      })
      assert.strictEqual(tag, "Unfinished")
      assert.include(message, "does not read back")
      assert.isTrue(Fs.readFileSync(path).equals(before))
      assert.deepStrictEqual(Fs.readdirSync(Path.dirname(path)).sort(), ["audit.jsonl", "audit.jsonl.quarantine"])
      assert.strictEqual(only(yield* repair(path)).outcome, "repaired")
      putBack(path)
    }))

  it.effect("garbage is moved as a whole when it is forced", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const garbage = Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * 7919) % 251))
      Fs.writeFileSync(path, garbage)
      assert.strictEqual(only(yield* repair(path, { force: true })).sizeAfter, 0)
      assert.isTrue(putBack(path).equals(garbage))
    }))

  it.effect("a quarantine that cannot be written stops the repair before anything is replaced", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      Fs.appendFileSync(path, "x\n")
      const before = Fs.readFileSync(path)
      Fs.symlinkSync("/nowhere", `${path}.quarantine`)
      const { message, tag } = yield* refusal(path)
      assert.strictEqual(tag, "Unfinished")
      assert.include(message, "symbolic link")
      assert.include(message, "The file is as it was")
      assert.isTrue(Fs.readFileSync(path).equals(before))
      assert.deepStrictEqual(Fs.readdirSync(Path.dirname(path)).sort(), ["audit.jsonl", "audit.jsonl.quarantine"])
    }))
})

describe("a file that others may write", () => {
  const damaged = Effect.gen(function*() {
    const path = yield* temporaryLog
    yield* writeSample(path)
    Fs.appendFileSync(path, "x\n")
    return path
  })

  it.effect("is refused while another process has it open for writing, and named with its number", () =>
    Effect.gen(function*() {
      const path = yield* damaged
      const before = Fs.readFileSync(path)
      const child = spawn("sh", ["-c", `exec 9>>"$0"; echo ready; read line`, path], {
        stdio: ["pipe", "pipe", "inherit"]
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => child.kill("SIGKILL")))
      yield* Effect.promise(() => once(child.stdout, "data"))
      const { message, reason } = yield* Effect.flip(repairSearching(path))
      assert.strictEqual(reason._tag, "OpenForWriting")
      assert.include(message, `${child.pid} (sh)`)
      assert.include(message, "force")
      assert.isTrue(Fs.readFileSync(path).equals(before))

      const forced = only(yield* repairSearching(path, { force: true }))
      assert.deepStrictEqual(forced.writers, [{ pid: child.pid!, command: "sh" }])
      assert.strictEqual(forced.outcome, "repaired")
    }))

  it.effect("is not refused because of readers", () =>
    Effect.gen(function*() {
      const path = yield* damaged
      const child = spawn("sh", ["-c", `exec 9<"$0"; echo ready; read line`, path], {
        stdio: ["pipe", "pipe", "inherit"]
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => child.kill("SIGKILL")))
      yield* Effect.promise(() => once(child.stdout, "data"))
      const result = yield* Effect.result(repairSearching(path))
      if (result._tag === "Failure") assert.strictEqual(result.failure.reason._tag, "WritersUnknown")
      else assert.strictEqual(only(result.success).outcome, "repaired")
    }))

  it.effect("is refused while this process itself has it open", () =>
    Effect.gen(function*() {
      const path = yield* damaged
      yield* openFileLog({ path })
      const { reason } = yield* Effect.flip(repairSearching(path))
      assert.deepInclude(reason, { _tag: "OpenForWriting" })
      assert.include(reason.message, `${process.pid} (`)
    }))

  it.effect("is refused when processes cannot be looked into, and says how to go on", () =>
    Effect.gen(function*() {
      const path = yield* damaged
      const unseen = { pid: 1, command: "init" }
      const { message, reason } = yield* repairSearching(path).pipe(
        Effect.provideService(OpenWriters, () => ({ writers: [], unseen: [unseen], blind: undefined, notes: [] })),
        Effect.flip
      )
      assert.strictEqual(reason._tag, "WritersUnknown")
      assert.include(message, "1 process cannot be looked into: 1 (init)")
      assert.include(message, "force")
    }))

  it.effect("is repaired under a log of this library when it is forced, and nothing appended is lost", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const { log } = yield* openFileLog({ path })
      yield* log.append(granted("before"))
      Fs.appendFileSync(path, "x\n")
      assert.strictEqual(only(yield* repairSearching(path, { force: true })).outcome, "repaired")
      yield* log.append(granted("after"))
      assert.deepStrictEqual(yield* roles(path), ["before", "after"])
      assert.deepStrictEqual(yield* damageIn(path), [])
    }))

  it.effect("that is written to meanwhile is not replaced; forced, it is tried again", () =>
    Effect.gen(function*() {
      const path = yield* damaged
      const writing = (times: number) => {
        let left = times
        return (progress: Repair.Progress): void => {
          if (progress.phase === "checking" && left-- > 0) Fs.appendFileSync(path, `{"late":${left}}\n`)
        }
      }
      const { reason } = yield* Effect.flip(repair(path, { onProgress: writing(1) }))
      assert.strictEqual(reason._tag, "Changed")
      assert.include(Fs.readFileSync(path, "utf8"), `x\n{"late":0}\n`)
      const again = yield* repair(path, { onProgress: writing(2), force: true })
      assert.strictEqual(only(again).outcome, "repaired")
      const text = Fs.readFileSync(path, "utf8")
      assert.isTrue(text.endsWith(`{"late":0}\n{"late":1}\n{"late":0}\n`), text.slice(-60))
      putBack(path)
      assert.deepStrictEqual(Fs.readdirSync(Path.dirname(path)).sort(), ["audit.jsonl", "audit.jsonl.quarantine"])
    }))

  it.effect("gets what a writer appended to the old file at the last moment", () =>
    Effect.gen(function*() {
      const path = yield* damaged
      const fd = Fs.openSync(path, "a")
      // nothing can be observed from outside between the last look at the file and the rename
      const { renameSync } = NodeFs
      NodeFs.renameSync = (from, to) => {
        Fs.writeSync(fd, `{"late":1}\n`)
        renameSync(from, to)
      }
      syncBuiltinESMExports()
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          NodeFs.renameSync = renameSync
          syncBuiltinESMExports()
          Fs.closeSync(fd)
        })
      )
      const report = only(yield* repair(path))
      assert.strictEqual(report.lateBytes, 11)
      assert.strictEqual(report.sizeAfter, Fs.statSync(path).size)
      assert.isTrue(Fs.readFileSync(path, "utf8").endsWith(`\n{"late":1}\n`))
      assert.deepStrictEqual(yield* roles(path), sampleRoles)
    }))
})

describe("a log of several segments", () => {
  const at = "2026-11-23T09:15:02.114Z"
  const writer = "01JDAWK6GQ3T9V4N2RZ8X5YB7C"

  it.effect("is repaired oldest first, into one quarantine beside the live file", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      const sealed = Segment.sealedPath(path, at, writer)
      Fs.renameSync(path, sealed)
      Fs.appendFileSync(sealed, "x\n")
      yield* writeLog(path, ["seven"])
      Fs.copyFileSync(path, `${path}.1`)
      Fs.appendFileSync(path, "y\n")
      Fs.writeFileSync(`${path}.2.gz`, Buffer.from([0x1f, 0x8b]))
      const packed = `${Segment.sealedPath(path, "2026-11-23T09:15:02.113Z", writer)}.xz`
      Fs.writeFileSync(packed, "")
      const report = yield* repair(path)
      assert.deepStrictEqual(report.files.map(({ file, outcome }) => [file, outcome]), [
        [`${path}.1`, "sound"],
        [sealed, "repaired"],
        [path, "repaired"]
      ])
      assert.deepStrictEqual(report.skipped.map(({ file }) => file), [`${path}.2.gz`, packed])
      assert.strictEqual(report.quarantine, `${path}.quarantine`)
      const names = quarantined(`${path}.quarantine`).map(({ _tag, file }) => `${_tag} ${file}`)
      assert.deepStrictEqual(names, [
        ...["RepairStarted", "BytesMoved", "RepairFinished"].map((tag) => `${tag} ${Path.basename(sealed)}`),
        ...["RepairStarted", "BytesMoved", "RepairFinished"].map((tag) => `${tag} audit.jsonl`)
      ])
      putBack(path)
      putBack(sealed)
    }))

  it.effect("is repaired in one file alone with `only`, into the same quarantine", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      const sealed = Segment.sealedPath(path, at, writer)
      Fs.copyFileSync(path, sealed)
      for (const file of [path, sealed]) Fs.appendFileSync(file, "x\n")
      assert.strictEqual((yield* repair(sealed, { only: true })).quarantine, `${path}.quarantine`)
      assert.isNotEmpty(yield* damageIn(path))
      putBack(sealed)
    }))

  it.effect("is repaired as far as it can be: a segment in use does not keep the others damaged", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      const sealed = Segment.sealedPath(path, at, writer)
      Fs.copyFileSync(path, sealed)
      for (const file of [path, sealed]) Fs.appendFileSync(file, "x\n")
      const live = Fs.statSync(path).ino
      const { reason, report } = yield* repairSearching(path).pipe(
        Effect.provideService(OpenWriters, (fd) => ({
          writers: Fs.fstatSync(fd).ino === live ? [{ pid: 7, command: "app" }] : [],
          unseen: [],
          blind: undefined,
          notes: []
        })),
        Effect.flip
      )
      assert.deepInclude(reason, { _tag: "OpenForWriting", file: path })
      assert.deepStrictEqual(report.files.map(({ file, outcome }) => [file, outcome]), [[sealed, "repaired"]])
    }))

  it("has one quarantine, whatever file of it is named", () => {
    assert.strictEqual(Repair.quarantinePath("/l/audit.jsonl"), "/l/audit.jsonl.quarantine")
    assert.strictEqual(Repair.quarantinePath("/l/audit.jsonl.1"), "/l/audit.jsonl.quarantine")
    assert.strictEqual(Repair.quarantinePath("/l/audit.jsonl-20261123"), "/l/audit.jsonl.quarantine")
    assert.strictEqual(
      Repair.quarantinePath("/l/audit.20261123T091502.114Z.01JDAWK6GQ3T9V4N2RZ8X5YB7C.jsonl"),
      "/l/audit.jsonl.quarantine"
    )
    assert.strictEqual(Repair.quarantinePath("audit.2026.jsonl"), "audit.2026.jsonl.quarantine")
  })
})

describe("the quarantine", () => {
  it.effect("is a log of its own, which a reader finds sound", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      Fs.appendFileSync(path, "x\n")
      yield* repair(path)
      const entries = yield* readEntries(`${path}.quarantine`)
      assert.deepStrictEqual(entries.map(({ _tag }) => _tag), ["Record", "Record", "Record"])
      assert.deepStrictEqual(entries.map((entry) => entry._tag === "Record" && entry.fields["_tag"]), [
        "RepairStarted",
        "BytesMoved",
        "RepairFinished"
      ])
    }))

  it.effect("that a killed repair has left, cut anywhere, is continued: nothing is in it twice, and nothing is missing", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      const sample = Fs.readFileSync(path)
      const damaged = Buffer.concat([text("x\n"), sample, text("y\n"), sample, text("z")])
      Fs.writeFileSync(path, damaged)
      yield* repair(path)
      const clean = Fs.readFileSync(path)
      const evidence = Fs.readFileSync(`${path}.quarantine`)
      const expected = quarantined(`${path}.quarantine`)
      // up to the last line: that one is written after the file was replaced
      const finishedAt = evidence.lastIndexOf(0x0a, evidence.length - 2) + 1
      for (let cut = 0; cut <= finishedAt; cut += 29) {
        Fs.writeFileSync(path, damaged)
        Fs.writeFileSync(`${path}.quarantine`, evidence.subarray(0, cut))
        yield* repair(path)
        assert.isTrue(Fs.readFileSync(path).equals(clean), `cut at ${cut}`)
        const records = yield* readRecords(`${path}.quarantine`)
        const entries = records.map(({ text }): unknown => {
          const { _audit, _hash, ...entry } = JSON.parse(text)
          return entry
        })
        assert.deepStrictEqual(entries, [...expected], `cut at ${cut}`)
      }
      for (let cut = finishedAt; cut < evidence.length; cut += 29) {
        Fs.writeFileSync(path, clean)
        Fs.writeFileSync(`${path}.quarantine`, evidence.subarray(0, cut))
        yield* repair(path)
        assert.strictEqual((yield* readRecords(`${path}.quarantine`)).length, expected.length, `cut at ${cut}`)
      }
    }))

  it.effect("of a repair that was killed is not continued when the file has changed since: both states are in it", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      Fs.appendFileSync(path, "x\n")
      const damaged = Fs.readFileSync(path)
      yield* repair(path)
      const evidence = Fs.readFileSync(`${path}.quarantine`)
      Fs.writeFileSync(`${path}.quarantine`, evidence.subarray(0, evidence.lastIndexOf(0x0a, evidence.length - 2) + 1))
      const changed = Buffer.concat([damaged, text("y\n")])
      Fs.writeFileSync(path, changed)
      yield* repair(path)
      assert.deepStrictEqual(quarantined(`${path}.quarantine`).map(({ _tag, length }) => [_tag, length]), [
        ["RepairStarted", undefined],
        ["BytesMoved", 2],
        ["RepairStarted", undefined],
        ["BytesMoved", 4],
        ["RepairFinished", undefined]
      ])
      assert.isTrue(putBack(path).equals(changed))
    }))

  it.effect("leads back to the damaged file with the program of docs/repair.md alone", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      const damaged = Buffer.concat([text("x\n"), Fs.readFileSync(path), Buffer.alloc(600_000), text("\n{\"torn\":")])
      Fs.writeFileSync(path, damaged)
      yield* repair(path)
      const document = Fs.readFileSync(testFile("../docs/repair.md"), "utf8")
      const program = /```python\n(.*?)```/s.exec(document)?.[1] ?? ""
      const rebuilt = `${path}.rebuilt`
      const python = ["python3", "-c", program, path, `${path}.quarantine`]
      const ended = yield* Effect.promise(() => run("sh", ["-c", `"$@" > "$0"`, rebuilt, ...python]))
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.isTrue(Fs.readFileSync(rebuilt).equals(damaged))
    }))

  it.effect("keeps what was moved before: the same damage at the same place, twice, is there twice", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      for (let i = 0; i < 2; i++) {
        Fs.appendFileSync(path, `{"a":`)
        yield* repair(path)
      }
      const moved = quarantined(`${path}.quarantine`).filter(({ _tag }) => _tag === "BytesMoved")
      assert.strictEqual(moved.length, 2)
      assert.deepStrictEqual(moved[0], moved[1])
    }))

  it.effect("gets the moved bytes before the file is replaced, with the clean file beside it", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeSample(path)
      Fs.appendFileSync(path, "x\n")
      const before = Fs.readFileSync(path)
      let seen = 0
      yield* repair(path, {
        onProgress: ({ phase }) => {
          if (phase !== "checking") return
          seen++
          assert.isTrue(Fs.readFileSync(path).equals(before))
          assert.deepStrictEqual(
            quarantined(`${path}.quarantine`).map(({ _tag }) => _tag),
            ["RepairStarted", "BytesMoved"]
          )
        }
      })
      assert.isAbove(seen, 0)
    }))
})
