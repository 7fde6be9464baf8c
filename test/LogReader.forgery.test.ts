/**
 * What somebody who can edit the file, and has no key, cannot make a reader believe or overlook.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import { AuditLog, FileAppender } from "../src/index.ts"
import { readEntries, temporaryLog } from "./support.ts"

class Audit extends AuditLog.Service<Audit>()("test/Forgery", { schema: Schema.Struct({ cents: Schema.Int }) }) {}

const key = { id: "k1", secret: Redacted.make("0123456789abcdef0123456789abcdef") }

const writeLog = (path: string, options: Partial<FileAppender.Options>) =>
  Audit.use((audit) => Effect.forEach([1, 2, 3], (cents) => audit.append({ cents }))).pipe(
    Effect.provide(Audit.layer.pipe(Layer.provide(FileAppender.layer({ path, ...options }))))
  )

/** Hashes the head of an edited line anew, without any key. */
const rehash = (line: string): string => {
  const head = line.slice(0, line.lastIndexOf(`,"_hash":"`))
  return `${head},"_hash":"${createHash("sha256").update(head).digest("base64url")}"}`
}

const edit = (path: string, at: number, change: (line: string) => string) => {
  const lines = Fs.readFileSync(path, "utf8").split("\n")
  lines[at] = change(lines[at] ?? "")
  Fs.writeFileSync(path, lines.join("\n"))
}

const shape = (entries: Effect.Success<ReturnType<typeof readEntries>>) =>
  entries.map((entry) =>
    entry._tag === "Record"
      ? [entry.fields["cents"], entry.verified]
      : entry._tag === "Damage"
      ? entry.kind
      : entry._tag
  )

describe("a forged line", () => {
  it.effect("whose key was taken off is not vouched for by a reader with keys", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeLog(path, { key })
      edit(path, 1, (line) => rehash(line.replace(`,"key":"k1"`, "").replace(`"cents":2`, `"cents":2000000`)))
      assert.deepStrictEqual(shape(yield* readEntries(path, { keys: [key] })), [
        [1, true],
        [2000000, false],
        [3, true]
      ])
    }))

  it.effect("cannot hide a record behind the stamp of a resync line", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeLog(path, {})
      const hide = (line: string) => line.replace(/"seq":1/, `"resync":true`)
      edit(path, 1, hide)
      assert.include(shape(yield* readEntries(path)), "stamp")
      edit(path, 1, rehash)
      assert.include(shape(yield* readEntries(path)), "stamp")
    }))

  it.effect("that is a resync line with another hash is damage", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeLog(path, {})
      const resync = `{"_audit":{"v":1,"writer":"01JD3V9GR0AAAAAAAAAAAAAAAA","resync":true},"_hash":"x"}`
      Fs.appendFileSync(path, `${rehash(resync)}\n`)
      assert.deepStrictEqual(shape(yield* readEntries(path)), [[1, true], [2, true], [3, true]])
      Fs.appendFileSync(path, `${rehash(resync).replace("01JD", "01JE")}\n`)
      assert.deepStrictEqual(shape(yield* readEntries(path)), [[1, true], [2, true], [3, true], "hash"])
    }))

  it.effect("whose stamp was renamed is damage, not a line of another program", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      yield* writeLog(path, {})
      edit(path, 1, (line) => line.replace("_audit", "_audot"))
      assert.include(shape(yield* readEntries(path)), "hash")
    }))
})
