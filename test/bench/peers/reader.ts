/**
 * This library's ways to read a log: `{ way, path, workers }`. Prints how many records it has seen, and its peak memory.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as LogReader from "../../../src/LogReader.ts"
import * as Query from "../../../src/Query.ts"
import * as Verifier from "../../../src/Verifier.ts"
import { peakMegabytes } from "../harness.ts"
import { needleActor } from "../record.ts"
import { schema } from "../schema.ts"
import { measured } from "./measure.ts"

export type Way = "read" | "decode" | "query" | "verify"

const { path, way, workers } = JSON.parse(process.argv[2] ?? "") as {
  readonly path: string
  readonly way: Way
  readonly workers?: number
}

const counted = <A extends { readonly _tag: string }, E, R>(entries: Stream.Stream<A, E, R>) =>
  Effect.gen(function*() {
    let count = 0
    yield* Stream.runForEachArray(entries, (chunk) =>
      Effect.sync(() => {
        for (const { _tag } of chunk) if (_tag === "Record" || _tag === "Decoded") count++
      }))
    return count
  })

const query = Result.getOrThrow(Query.make({ where: [`actor=${needleActor}`] }, 0))

const ways: { readonly [_ in Way]: () => Effect.Effect<number, unknown, FileSystem.FileSystem> } = {
  read: () => counted(LogReader.read(path)),
  decode: () => counted(LogReader.read(path).pipe(LogReader.decode(schema))),
  query: () => {
    // the reader passes over what is not asked for, where it can
    const options = { only: false, matching: query }
    return counted(LogReader.read(path, options).pipe(Stream.filter((entry) => !Query.hides(query, entry))))
  },
  verify: () => {
    const options = { segments: "all" as const, workers }
    return Effect.map(Verifier.verify(path, options), (report) => report.sound ? report.records : 0)
  }
}

const start = performance.now()
const seen = await measured(() => Effect.runPromise(Effect.provide(ways[way](), NodeFileSystem.layer)))
console.log(JSON.stringify({ seen, seconds: (performance.now() - start) / 1000, peak: peakMegabytes("self") }))
