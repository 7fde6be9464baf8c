/**
 * Other programs read the log as it is: `jq`, and `json.loads` of Python for each line.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { AuditLog, FileAppender, SizePolicy } from "../src/index.ts"
import { characters } from "./fixtures/make.ts"
import { plainLines, run, temporaryLog, testFile } from "./support.ts"

class Log extends AuditLog.Service<Log>()("test/jq", { schema: Schema.Record(Schema.String, Schema.Json) }) {}

const noJq = spawnSync("jq", ["--version"]).error === undefined ? undefined : "jq is not installed; apt-get install jq"
if (noJq !== undefined) process.stderr.write(`test/jq.test.ts skips what needs jq: ${noJq}\n`)

/** jq 1.6 stops reading at a line with a lone surrogate, however it is written; the other readers take it. */
const { surrogates: _, ...portable } = characters

/** What each record of the log holds, foreign lines and the torn tail of a killed writer apart. */
const records: ReadonlyArray<{ readonly [key: string]: Schema.Json }> = [
  portable,
  {},
  JSON.parse("{\"__proto__\":{\"__proto__\":[1]},\"constructor\":null}"),
  { _tag: "Numbers", n: [0, -1, 0.1, 1e21, 1.7976931348623157e308, 123456789012345680, 2 ** 53 - 1, 1e-7] },
  { _tag: "Nested", a: [[[{ b: { c: [true, false, null] } }]]] },
  { _tag: "Long", text: "é\u2028".repeat(10_000) }
]
const foreign = ["{\"source\":\"python\",\"text\":\"é\\u2028\"}", "{ \"spaces\" : [ 1 , 2 ] }"]

/** A log with records, transactions of two writers, foreign lines, and a resync line of its own. */
const writeLog = Effect.gen(function*() {
  const path = yield* temporaryLog
  const layer = Layer.fresh(Log.layer).pipe(
    Layer.provide(FileAppender.layer({ path, sizePolicy: SizePolicy.allow() }))
  )
  const inLog = (body: (log: Log["Service"]) => Effect.Effect<void, unknown>) =>
    Effect.provide(Effect.flatMap(Log, body), layer, { local: true })
  yield* inLog((log) => Effect.forEach(records, log.append, { discard: true }))
  Fs.appendFileSync(path, foreign.map((line) => `${line}\n`).join(""))
  yield* inLog((log) => log.transaction(Effect.forEach(records, log.append, { discard: true })))
  yield* inLog((log) => Effect.asVoid(log.appendAll([portable, {}])))
  return path
})

const expected = [...records, ...foreign.map((line) => JSON.parse(line)), ...records, portable, {}]

/** The lines without stamp and hash. */
const contents = (text: string): ReadonlyArray<unknown> => plainLines(text).map(({ record }) => record)

describe("a log is read by", () => {
  it.effect("JSON.parse for each line, which gives what was appended", () =>
    Effect.gen(function*() {
      const path = yield* writeLog
      assert.deepStrictEqual(contents(Fs.readFileSync(path, "utf8")), expected)
    }))

  it.effect.skipIf(noJq)("jq, which gives the same values", () =>
    Effect.gen(function*() {
      const path = yield* writeLog
      const { code, stderr, stdout } = yield* Effect.promise(() => run("jq", ["-c", ".", path]))
      assert.deepStrictEqual([code, stderr], [0, ""])
      const text = Fs.readFileSync(path, "utf8")
      assert.deepStrictEqual(
        stdout.trimEnd().split("\n").map((line) => JSON.parse(line)),
        text.trimEnd().split("\n").map((line) => JSON.parse(line))
      )
      const filter = "select(._audit.tx != null) | [._audit.tx.i, ._audit.tx.n, ._tag]"
      const selected = yield* Effect.promise(() => run("jq", ["-c", filter, path]))
      assert.deepStrictEqual(selected.stdout.trim().split("\n").map((line) => JSON.parse(line)), [
        ...records.map((record, i) => [i, records.length, record["_tag"] ?? null]),
        [0, 2, "Characters"],
        [1, 2, null]
      ])
    }))

  it.effect.skipIf(noJq)(
    "jq -R, also behind a healed fragment, where plain jq would stop",
    () =>
      Effect.gen(function*() {
        const path = testFile("fixtures/log-v1-plain.jsonl")
        const filter = "select(contains(\"surrogates\") | not) | fromjson? | select(._audit.seq != null) | ._audit.seq"
        const { code, stdout } = yield* Effect.promise(() => run("jq", ["-Rc", filter, path]))
        assert.deepStrictEqual([code, stdout], [0, "0\n1\n0\n2\n2\n3\n4\n5\n6\n2\n"])
      })
  )

  it.effect("json.loads of Python for each line, which gives the same values, lone surrogates too", () =>
    Effect.gen(function*() {
      const path = yield* writeLog
      yield* Effect.provide(
        Log.use((log) => log.append({ lone: characters.surrogates })),
        Layer.fresh(Log.layer).pipe(Layer.provide(FileAppender.layer({ path }))),
        { local: true }
      )
      const program = "import json, sys\n" +
        "for line in open(sys.argv[1], 'rb'): print(json.dumps(json.loads(line.decode('utf-8'))))"
      const { code, stderr, stdout } = yield* Effect.promise(() => run("python3", ["-c", program, path]))
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.deepStrictEqual(contents(stdout), [...expected, { lone: characters.surrogates }])
    }))
})
