/**
 * Layers of one log class, provided inside one another: each part of a program writes to the file it was given.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { AuditLog, FileAppender, SizePolicy } from "../src/index.ts"
import { readRecords, temporaryDirectory } from "./support.ts"

class Audit extends AuditLog.Service<Audit>()("test/Layers", { schema: Schema.Struct({ name: Schema.String }) }) {}

const append = (name: string) => Audit.use((audit) => audit.append({ name }))
const namesIn = (path: string) =>
  Effect.map(readRecords(path), (records) => records.map(({ fields }) => fields["name"]))

describe("a layer provided inside another one", () => {
  it.effect("writes to its own file, under its own size policy", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const layerFor = (file: string, sizePolicy = SizePolicy.warn()) =>
        Audit.layer.pipe(Layer.provide(FileAppender.layer({ path: `${directory}/${file}`, sizePolicy })))
      yield* Effect.gen(function*() {
        yield* append("outer")
        const inner = layerFor("inner", SizePolicy.reject())
        yield* append("inner").pipe(Effect.provide(inner))
        const error = yield* Effect.flip(append("x".repeat(5000)).pipe(Effect.provide(inner)))
        assert.strictEqual(error.reason._tag, "RecordTooLarge")
      }).pipe(Effect.provide(layerFor("outer")))
      assert.deepStrictEqual(yield* namesIn(`${directory}/outer`), ["outer"])
      assert.deepStrictEqual(yield* namesIn(`${directory}/inner`), ["inner"])
    }))

  it.effect("on the same appender shares its transactions", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const path = `${directory}/log`
      yield* Effect.gen(function*() {
        yield* Audit.transaction(Effect.gen(function*() {
          yield* append("outer")
          yield* append("inner").pipe(Effect.provide(Audit.layer))
          assert.deepStrictEqual(yield* namesIn(path), [])
        }))
        assert.deepStrictEqual(yield* namesIn(path), ["outer", "inner"])
        yield* Effect.ignore(
          Audit.transaction(Effect.andThen(append("gone").pipe(Effect.provide(Audit.layer)), Effect.fail("no")))
        )
      }).pipe(Effect.provide(Audit.layer.pipe(Layer.provideMerge(FileAppender.layer({ path })))))
      assert.deepStrictEqual(yield* namesIn(path), ["outer", "inner"])
    }))
})
