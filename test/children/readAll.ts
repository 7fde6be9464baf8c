/**
 * Reads a whole log, or verifies it, and prints how many records it has.
 *
 * Usage: readAll.ts LOG read|verify
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { LogReader, Verifier } from "../../src/index.ts"

const [path = "", way = ""] = process.argv.slice(2)

const read = Stream.runFold(
  LogReader.read(path),
  () => 0,
  (records, entry) => records + (entry._tag === "Record" ? 1 : 0)
)
const verified = Effect.map(Verifier.verify(path), (report) => report.records)

console.log(
  way === "verify"
    ? await Effect.runPromise(Effect.provide(verified, NodeFileSystem.layer))
    : await Effect.runPromise(Effect.provide(read, NodeFileSystem.layer))
)
