import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Destination } from "../src/index.ts"
import { destinationSuite } from "./destinationSuite.ts"

const { destination: shared } = Destination.makeMemory()

destinationSuite("memory", { make: Effect.succeed(shared) })

const source: Destination.Source = { id: "0197c1de-5c2a-4c1b-8f5e-0123456789ab", generation: 3 }

describe("reading back", () => {
  const reading = (chunks: ReadonlyArray<readonly [from: number, text: string]>, from = 0) => {
    const { destination } = Destination.makeMemory()
    const read = () =>
      Stream.fromIterable(
        chunks.map(([from, text]) => ({ from, to: from + text.length, bytes: Buffer.from(text) }))
      )
    return Effect.map(
      Stream.runCollect(Destination.bytes({ ...destination, read }, source, from)),
      (parts) => Buffer.concat([...parts]).toString()
    )
  }

  it.effect("leaves out what chunks repeat", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* reading([[0, "ab\ncd\n"], [0, "ab\n"], [3, "cd\nef\n"], [6, "ef\n"]]), "ab\ncd\nef\n")
      assert.strictEqual(yield* reading([[0, "ab\ncd\n"], [6, "ef\n"]], 4), "d\nef\n")
    }))

  it.effect("fails at a hole, and says where it is", () =>
    Effect.gen(function*() {
      const failure = yield* Effect.flip(reading([[0, "ab\n"], [6, "ef\n"]]))
      assert.strictEqual(failure._tag, "DestinationGap")
      assert.strictEqual(failure.message, "memory has lost the bytes from offset 3 to 6 of this source")
    }))
})

describe("a source", () => {
  it("is the same after a round through its text", () => {
    assert.strictEqual(Destination.formatSource(source), "0197c1de-5c2a-4c1b-8f5e-0123456789ab.3")
    assert.deepStrictEqual(Destination.parseSource(Destination.formatSource(source)), source)
    for (const text of ["", "a.1", `${source.id}.0`, source.id, `${source.id}.1.2`, `x${source.id}.1`]) {
      assert.isUndefined(Destination.parseSource(text), text)
    }
  })
})

describe("durability", () => {
  it("is ordered from the process to a quorum of disks", () => {
    assert.isTrue(Destination.isAtLeast("quorum", "fsync"))
    assert.isTrue(Destination.isAtLeast("fsync", "fsync"))
    assert.isFalse(Destination.isAtLeast("pageCache", "fsync"))
  })
})
