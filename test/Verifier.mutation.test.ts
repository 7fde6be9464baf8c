/**
 * Every kind of attack on every record of a log: what the verifier sees, and what it cannot see. docs/integrity.md has
 * the table; here it is checked against a rule that knows nothing of the verifier: a record is *witnessed* if a later
 * line names its hash, as `prev` or as `seen`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import { FileAppender, type HashChain } from "../src/index.ts"
import { granted, openLog, temporaryLog } from "./support.ts"
import { verifyBoth } from "./verifySupport.ts"

const key: HashChain.Key = { id: "2026-11", secret: Redacted.make("correct horse battery staple 123") }

interface Line {
  readonly text: string
  readonly hash: string
  readonly writer: string | undefined
  readonly seq: number | undefined
  readonly names: ReadonlyArray<string>
}

const parse = (text: string): Line => {
  try {
    const { _audit = {}, _hash } = JSON.parse(text)
    return {
      text,
      hash: _hash,
      writer: _audit.writer,
      seq: _audit.seq,
      names: [_audit.prev, _audit.seen].filter((hash) => hash !== undefined)
    }
  } catch {
    return { text, hash: "", writer: undefined, seq: undefined, names: [] }
  }
}

/** Three writers with transactions and links between them; in the middle one of them dies in a write. */
const writeLog = (options: { readonly key: HashChain.Key | undefined; readonly crash: boolean }) =>
  Effect.gen(function*() {
    const path = yield* temporaryLog
    const open = Effect.flatMap(FileAppender.make({ path, key: options.key, sync: "never" }), openLog)
    const one = yield* open
    const two = yield* open
    yield* one.append(granted("1"))
    yield* one.append(granted("2"))
    yield* two.appendAll([granted("3"), granted("4"), granted("5")])
    yield* one.appendAll([granted("6"), granted("7")])
    yield* two.append(granted("8"))
    if (options.crash) {
      const [first] = Fs.readFileSync(path, "utf8").split("\n")
      Fs.appendFileSync(path, first!.replace(/"writer":"01../, "\"writer\":\"01ZZ").slice(0, 150))
    }
    const three = yield* open
    yield* three.append(granted("9"))
    yield* three.append(granted("10"))
    yield* one.append(granted("11"))
    yield* two.append(granted("12"))
    yield* two.append(granted("13"))
    yield* three.appendAll([granted("14"), granted("15")])
    yield* one.append(granted("16"))
    return { path, lines: Fs.readFileSync(path, "utf8").split("\n").slice(0, -1).map(parse) }
  })

type Log = Effect.Success<ReturnType<typeof writeLog>>

const isSound = (path: string, content: string, keys: ReadonlyArray<HashChain.Key> | undefined) =>
  Effect.gen(function*() {
    const copy = `${path}.copy`
    Fs.writeFileSync(copy, content)
    return (yield* verifyBoth(copy, { keys })).sound
  })

const join = (lines: ReadonlyArray<string>): string => lines.map((line) => `${line}\n`).join("")

const isRecord = (line: Line): boolean => line.seq !== undefined

/** Whether a line after `after` names the hash of the record. */
const isWitnessed = ({ lines }: Log, i: number, after = i): boolean =>
  lines.slice(after + 1).some(({ names }) => names.includes(lines[i]!.hash))

/** Closes a head as somebody can who does not know the key. */
const reseal = (text: string): string => {
  const head = text.slice(0, -55).replace(/,"key":"[^"]*"/, "")
  return `${head},"_hash":"${Crypto.hash("sha256", head, "base64url")}"}`
}

/** Writes records from `from` on anew, with fresh hashes and links: what somebody can do who can write the file. */
const rewrite = ({ lines }: Log, from: number, change: (text: string) => string): string => {
  const fresh = new Map<string, string>()
  return join(lines.map((line, i) => {
    if (i < from || !isRecord(line)) return line.text
    let text = i === from ? change(line.text) : line.text
    for (const [before, after] of fresh) text = text.replaceAll(before, after)
    const sealed = reseal(text)
    fresh.set(line.hash, sealed.slice(-45, -2))
    return sealed
  }))
}

const replaceAt = (text: string, at: number, character: string): string =>
  text.slice(0, at) + character + text.slice(at + 1)

/** Where a byte is altered: in each part of a line. */
const places: ReadonlyArray<readonly [part: string, at: (text: string) => number]> = [
  ["its first byte", () => 0],
  ["the key of the stamp", () => 5],
  ["the version", () => 15],
  ["the writer", (text) => text.indexOf("\"writer\":\"") + 20],
  ["the number", (text) => text.indexOf("\"seq\":") + 6],
  ["the time", (text) => text.indexOf("\"at\":\"") + 10],
  ["a quote", (text) => text.indexOf("\"actor\"")],
  ["a field", (text) => text.indexOf("\"ada\"") + 2],
  ["the key of the hash", (text) => text.length - 50],
  ["the hash", (text) => text.length - 30],
  ["its last byte", (text) => text.length - 1]
]

/**
 * After the remains of a crash, what is put into a line, or cut off its beginning, could be another piece of that torn
 * write; so it shows only if the record is witnessed. Such a record is the newest of its writer, and could be gone.
 */
const seenUnlessAfterCrash = (log: Log, i: number): boolean =>
  !log.lines.slice(0, i).some(({ text }) => text.includes("\"resync\"")) || isWitnessed(log, i)

interface Attack {
  readonly name: string
  /** The bytes after the attack on a record; `undefined` where it does not apply. */
  readonly apply: (log: Log, i: number) => string | undefined
  /** Whether a chain without a key, and one with a key, show it. */
  readonly unkeyed: (log: Log, i: number) => boolean
  readonly keyed: (log: Log, i: number) => boolean
}

const always = (): boolean => true
const never = (): boolean => false
const texts = ({ lines }: Log): Array<string> => lines.map(({ text }) => text)

const attack = (
  name: string,
  apply: Attack["apply"],
  unkeyed: Attack["unkeyed"],
  keyed: Attack["keyed"] = unkeyed
): Attack => ({ name, apply, unkeyed, keyed })

/** Of two neighbours, the ones that are no longer records by themselves. */
const isEitherWitnessed = (log: Log, i: number): boolean =>
  isWitnessed(log, i, i + 1) || isWitnessed(log, i + 1) || log.lines[i]!.writer === log.lines[i + 1]!.writer

const attacks: ReadonlyArray<Attack> = [
  ...places.map(([part, at]) =>
    attack(`alter a byte: ${part}`, (log, i) => {
      const lines = texts(log)
      const position = at(lines[i]!)
      lines[i] = replaceAt(lines[i]!, position, lines[i]![position] === "0" ? "1" : "0")
      return join(lines)
    }, always)
  ),
  attack("put a byte into a line", (log, i) => {
    const lines = texts(log)
    lines[i] = `${lines[i]!.slice(0, 120)}x${lines[i]!.slice(120)}`
    return join(lines)
  }, seenUnlessAfterCrash),
  attack(
    "put a byte in front of a line",
    (log, i) => join(texts(log).with(i, `x${log.lines[i]!.text}`)),
    seenUnlessAfterCrash
  ),
  attack("put a byte behind a line", (log, i) => join(texts(log).with(i, `${log.lines[i]!.text}x`)), always),
  attack("cut the end of a line", (log, i) => join(texts(log).with(i, log.lines[i]!.text.slice(0, 150))), always),
  attack(
    "cut the beginning of a line",
    (log, i) => join(texts(log).with(i, log.lines[i]!.text.slice(60))),
    seenUnlessAfterCrash
  ),
  attack("put in a line of garbage", (log, i) => join(texts(log).toSpliced(i, 0, "garbage")), always),
  attack("copy a line behind itself", (log, i) => join(texts(log).toSpliced(i, 0, log.lines[i]!.text)), always),
  attack("copy a line to the end", (log, i) => join([...texts(log), log.lines[i]!.text]), always),
  attack("delete a line", (log, i) => join(texts(log).toSpliced(i, 1)), isWitnessed),
  attack(
    "move a line to the end",
    (log, i) => i === log.lines.length - 1 ? undefined : join([...texts(log).toSpliced(i, 1), log.lines[i]!.text]),
    (log, i) => isWitnessed(log, i)
  ),
  attack(
    "swap two lines",
    ({ lines, ...log }, i) => {
      const next = lines[i + 1]
      if (next === undefined || !isRecord(next)) return undefined
      const swapped = texts({ lines, ...log })
      swapped[i] = next.text
      swapped[i + 1] = lines[i]!.text
      return join(swapped)
    },
    ({ lines }, i) => lines[i + 1]!.names.includes(lines[i]!.hash)
  ),
  attack(
    "splice two lines",
    ({ lines, ...log }, i) =>
      i + 1 === lines.length || !isRecord(lines[i + 1]!)
        ? undefined
        : join(texts({ lines, ...log }).toSpliced(i, 2, lines[i]!.text + lines[i + 1]!.text)),
    isEitherWitnessed
  ),
  attack(
    "splice two lines, and lose what lies between their middles",
    ({ lines, ...log }, i) =>
      i + 1 === lines.length || !isRecord(lines[i + 1]!)
        ? undefined
        : join(
          texts({ lines, ...log }).toSpliced(i, 2, lines[i]!.text.slice(0, 120) + lines[i + 1]!.text.slice(120))
        ),
    always
  ),
  attack("cut the file after a line", (log, i) => join(texts(log).slice(0, i + 1)), never),
  attack(
    "cut the file in a line",
    (log, i) => join(texts(log).slice(0, i)) + log.lines[i]!.text.slice(0, 150),
    never
  ),
  attack(
    "delete all lines before one",
    (log, i) => i === 0 ? undefined : join(texts(log).slice(i)),
    ({ lines }, i) =>
      lines.slice(i).some(({ names }) => names.some((hash) => lines.slice(0, i).some((line) => line.hash === hash)))
  ),
  attack(
    "delete all records of a writer",
    ({ lines }, i) => join(lines.filter(({ writer }) => writer !== lines[i]!.writer).map(({ text }) => text)),
    ({ lines }, i) => {
      const gone = new Set(lines.filter(({ writer }) => writer === lines[i]!.writer).map(({ hash }) => hash))
      return lines.some(({ names, writer }) => writer !== lines[i]!.writer && names.some((hash) => gone.has(hash)))
    }
  ),
  attack(
    "delete the newest records of a writer, from one on",
    ({ lines }, i) => {
      const { seq, writer } = lines[i]!
      return join(lines.filter((line) => line.writer !== writer || !(line.seq! >= seq!)).map(({ text }) => text))
    },
    ({ lines }, i) => {
      const { seq, writer } = lines[i]!
      const gone = new Set(lines.filter((line) => line.writer === writer && line.seq! >= seq!).map(({ hash }) => hash))
      return lines.some((line) => line.writer !== writer && line.names.some((hash) => gone.has(hash)))
    }
  ),
  attack(
    "alter a record and give it a fresh hash",
    (log, i) => join(texts(log).with(i, reseal(log.lines[i]!.text.replace("\"ada\"", "\"eve\"")))),
    isWitnessed,
    always
  ),
  attack(
    "alter a record and write all that follows anew with fresh hashes",
    (log, i) => rewrite(log, i, (text) => text.replace("\"ada\"", "\"eve\"")),
    never,
    always
  ),
  attack(
    "put in a record of a writer that does not exist",
    (log, i) =>
      join(
        texts(log).toSpliced(
          i + 1,
          0,
          reseal(
            `{"_audit":{"v":1,"writer":"01ZZZZZZZZZZZZZZZZZZZZZZZZ","seq":0,"at":"2026-11-23T09:15:02.114Z"},"actor":"eve"` +
              `,"_hash":"${"0".repeat(43)}"}`
          )
        )
      ),
    never,
    always
  ),
  attack(
    "put in a record under the number of another one",
    (log, i) => join(texts(log).toSpliced(i + 1, 0, reseal(log.lines[i]!.text.replace("\"ada\"", "\"eve\"")))),
    always
  )
]

const logs = [
  ["a log without a key", false, undefined],
  ["a log with a key", false, [key]],
  ["a log without a key, with the remains of a crash", true, undefined]
] as const

for (const [what, crash, keys] of logs) {
  describe(`what is seen in ${what}:`, () => {
    it.live("is sound as it was written", () =>
      Effect.gen(function*() {
        const log = yield* writeLog({ key: keys?.[0], crash })
        assert.isTrue(yield* isSound(log.path, Fs.readFileSync(log.path, "utf8"), keys))
        assert.strictEqual(log.lines.filter(isRecord).length, 16)
      }))

    for (const { apply, keyed, name, unkeyed } of attacks) {
      it.live(name, () =>
        Effect.gen(function*() {
          const log = yield* writeLog({ key: keys?.[0], crash })
          const expected: Array<string> = []
          const found: Array<string> = []
          for (const [i, line] of log.lines.entries()) {
            if (!isRecord(line)) continue
            const content = apply(log, i)
            if (content === undefined) continue
            const isSeen = (keys === undefined ? unkeyed : keyed)(log, i)
            expected.push(`${i}: ${isSeen ? "seen" : "not seen"}`)
            found.push(`${i}: ${(yield* isSound(log.path, content, keys)) ? "not seen" : "seen"}`)
          }
          assert.deepStrictEqual(found, expected)
        }))
    }
  })
}
