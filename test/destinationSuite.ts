/**
 * What every backend of the `Destination` port must do: one suite, run once for each of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, type Scope, Stream } from "effect"
import * as Fs from "node:fs"
import { Destination } from "../src/index.ts"
import { ship, within } from "./shipSupport.ts"
import { temporaryLog } from "./support.ts"

/** Chunks of a source: each is a list of lines, without their newlines. */
const chunksOf = (
  source: Destination.Source,
  texts: ReadonlyArray<ReadonlyArray<string | Uint8Array>>
): ReadonlyArray<Destination.Chunk> => {
  let from = 0
  return texts.map((lines, i) => {
    const bytes = Buffer.concat(lines.flatMap((line) => [Buffer.from(line as string), Buffer.from("\n")]))
    const chunk = { source, from, to: from + bytes.length, lines: lines.length, bytes, resume: `[1,"place ${i}"]` }
    from = chunk.to
    return chunk
  })
}

const newSource = (): Destination.Source => ({ id: crypto.randomUUID(), generation: 1 })

const readBack = (destination: Destination.Destination, source: Destination.Source, from = 0) =>
  Effect.map(
    Stream.runCollect(Destination.bytes(destination, source, from)),
    (parts) => Buffer.concat([...parts]).toString("latin1")
  )

const three = [[`{"n":0}`, `{"n":1}`], [`{"n":2}`], [`{"n":3,"text":"ü€𝄞"}`, `{"n":4}`]]

const textOf = (chunks: ReadonlyArray<Destination.Chunk>): string =>
  Buffer.concat(chunks.map(({ bytes }) => bytes)).toString("latin1")

export const destinationSuite = <E>(name: string, backend: {
  /** Connects anew; what was there is kept. */
  readonly make: Effect.Effect<Destination.Destination, E, Scope.Scope>
  /** Why it cannot run here. */
  readonly skip?: boolean
}): void => {
  const test = (
    title: string,
    body: (
      destination: Destination.Destination,
      source: Destination.Source
    ) => Effect.Effect<void, unknown, Scope.Scope>
  ) =>
    it.live(title, () => Effect.flatMap(backend.make, (destination) => body(destination, newSource())), {
      timeout: 30_000
    })

  describe.skipIf(backend.skip === true)(`a destination (${name})`, () => {
    test(
      "has no head of a source that it does not know, and nothing to read",
      (destination, source) =>
        Effect.gen(function*() {
          assert.isUndefined(yield* destination.head(source))
          assert.strictEqual(yield* readBack(destination, source), "")
        })
    )

    test(
      "takes chunks in order, says where it stands, and gives back the same bytes",
      (destination, source) =>
        Effect.gen(function*() {
          const chunks = chunksOf(source, three)
          for (const chunk of chunks) {
            yield* destination.append(chunk)
            assert.deepStrictEqual(yield* destination.head(source), { offset: chunk.to, resume: chunk.resume })
          }
          assert.strictEqual(yield* readBack(destination, source), textOf(chunks))
        })
    )

    test("has nothing of a log that is empty, and all of it when it is not any more", (destination) =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        Fs.writeFileSync(path, "")
        const shipper = yield* ship(path, { destinations: [{ destination }] })
        const source = yield* shipper.source
        yield* within("nothing", shipper.awaitShipped)
        assert.isUndefined(yield* destination.head(source))
        assert.strictEqual(yield* readBack(destination, source), "")
        Fs.writeFileSync(path, `{"n":0}\n`)
        yield* within("the line", shipper.awaitShipped)
        assert.strictEqual(yield* readBack(destination, source), `{"n":0}\n`)
      }))

    test("takes no chunk twice", (destination, source) =>
      Effect.gen(function*() {
        const [first, second] = chunksOf(source, three)
        yield* destination.append(first!)
        assert.strictEqual((yield* Effect.flip(destination.append(first!)))._tag, "HeadMismatch")
        yield* destination.append(second!)
        assert.strictEqual((yield* Effect.flip(destination.append(first!)))._tag, "HeadMismatch")
        assert.strictEqual((yield* Effect.flip(destination.append(second!)))._tag, "HeadMismatch")
        assert.strictEqual(yield* readBack(destination, source), textOf([first!, second!]))
      }))

    test("takes no chunk that begins before its head or behind it", (destination, source) =>
      Effect.gen(function*() {
        const [first, second, third] = chunksOf(source, three)
        assert.strictEqual((yield* Effect.flip(destination.append(second!)))._tag, "HeadMismatch")
        yield* destination.append(first!)
        assert.strictEqual((yield* Effect.flip(destination.append(third!)))._tag, "HeadMismatch")
        const middle = { ...second!, from: first!.to - 8, to: first!.to - 8 + second!.bytes.length }
        assert.strictEqual((yield* Effect.flip(destination.append(middle)))._tag, "HeadMismatch")
        assert.strictEqual(yield* readBack(destination, source), textOf([first!]))
      }))

    test("gives back each place from one of several shippers only", (destination, source) =>
      Effect.gen(function*() {
        const shippers = [destination, ...(yield* Effect.forEach([1, 2, 3], () => backend.make))]
        const lines: Array<Array<string>> = []
        let from = 0
        for (let round = 0; round < 15; round++) {
          const texts = shippers.map((_, i) => `{"round":${round},"shipper":${i}}\n`)
          const to = from + texts[0]!.length
          const results = yield* Effect.forEach(shippers, (shipper, i) => {
            const chunk = { source, from, to, lines: 1, bytes: Buffer.from(texts[i]!), resume: `[1,"${i}"]` }
            return Effect.result(shipper.append(chunk))
          }, { concurrency: "unbounded" })
          const failures = results.flatMap((result) => Result.isFailure(result) ? [result.failure._tag] : [])
          for (const tag of failures) assert.include(["HeadMismatch", "DestinationUnavailable"], tag)
          const winners = results.flatMap((result, i) => Result.isSuccess(result) ? [texts[i]!] : [])
          if (destination.capabilities.dedupe === "compareAndAppend") assert.isAtMost(winners.length, 1)
          const head = yield* destination.head(source)
          // where all were turned away, as they may be, the place is free
          if ((head?.offset ?? 0) === from) assert.deepStrictEqual(winners, [])
          else {
            assert.strictEqual(head?.offset, to)
            lines.push(winners.length > 0 ? winners : texts)
            from = to
          }
        }
        const found = (yield* readBack(destination, source)).split("\n").slice(0, -1)
        assert.strictEqual(found.length, lines.length)
        assert.isAbove(found.length, 0)
        found.forEach((line, i) => assert.isTrue(lines[i]!.includes(`${line}\n`), line))
      }))

    test("refuses a chunk over its limit and takes nothing of it", (destination, source) =>
      Effect.gen(function*() {
        const { chunkBytesMax } = destination.capabilities
        const [chunk] = chunksOf(source, [["x".repeat(chunkBytesMax)]])
        const failure = yield* Effect.flip(destination.append(chunk!))
        assert.strictEqual(failure._tag, "DestinationRejected")
        assert.include(failure.message, String(chunkBytesMax + 1))
        assert.isUndefined(yield* destination.head(source))
        const [within] = chunksOf(source, [["x".repeat(chunkBytesMax - 1)]])
        yield* destination.append(within!)
        assert.strictEqual((yield* destination.head(source))?.offset, chunkBytesMax)
      }))

    test("gives back what is no text to the byte", (destination, source) =>
      Effect.gen(function*() {
        const odd = [Buffer.from("a\0b"), Buffer.from([0xff, 0xfe, 0x20]), Buffer.from([0xed, 0xa0, 0x80]), ""]
        const chunks = chunksOf(source, [[`{"n":0}`, ...odd, `{"n":1}`], [`\\x41 \\000 'quoted' "too" {}`]])
        for (const chunk of chunks) yield* destination.append(chunk)
        assert.strictEqual(yield* readBack(destination, source), textOf(chunks))
      }))

    test("is read from any offset, each byte once", (destination, source) =>
      Effect.gen(function*() {
        const chunks = chunksOf(source, three)
        for (const chunk of chunks) yield* destination.append(chunk)
        const text = textOf(chunks)
        for (const from of [0, 1, 7, 8, 15, 16, 17, 24, text.length - 1, text.length]) {
          assert.strictEqual(yield* readBack(destination, source, from), text.slice(from), `from ${from}`)
        }
      }))

    test("keeps sources and generations apart, and lists them", (destination, source) =>
      Effect.gen(function*() {
        const next = { ...source, generation: 2 }
        const other = newSource()
        const texts = [source, next, other].map((one, i) => chunksOf(one, [[`{"source":${i}}`]])[0]!)
        for (const chunk of texts) yield* destination.append(chunk)
        for (const chunk of texts) {
          assert.strictEqual(yield* readBack(destination, chunk.source), textOf([chunk]))
        }
        const listed = (yield* destination.sources).map(Destination.formatSource)
        assert.includeMembers(listed, [source, next, other].map(Destination.formatSource))
      }))

    test("stands where it stood after a restart of the shipper", (destination, source) =>
      Effect.gen(function*() {
        const [first, second] = chunksOf(source, three)
        yield* destination.append(first!)
        const again = yield* backend.make
        assert.deepStrictEqual(yield* again.head(source), { offset: first!.to, resume: first!.resume })
        yield* again.append(second!)
        assert.strictEqual(yield* readBack(destination, source), textOf([first!, second!]))
      }))
  })
}
