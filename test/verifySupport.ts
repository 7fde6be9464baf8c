/**
 * Verifies a log twice: in one thread as users do, and with a worker thread and blocks that are so small that lines
 * cross them everywhere. Both must say the same to the last letter.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert } from "@effect/vitest"
import { Effect, Exit, Redacted, Scope } from "effect"
import { createSecretKey } from "node:crypto"
import { statSync } from "node:fs"
import { afterAll } from "vitest"
import { type HashChain, Verifier } from "../src/index.ts"
import * as LogVerification from "../src/internal/logVerification.ts"
import { ScanPool } from "../src/internal/scanPool.ts"

/** Two lines of a chain, or less than one; for a log of megabytes blocks that still are some hundreds. */
const tinyBlockBytes = 700
const blockBytesFor = (path: string): number => {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  return size < 1024 * 1024 ? tinyBlockBytes : 16 * 1024
}

const scope = Effect.runSync(Scope.make())
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const pools = new Map<string, ScanPool>()

/** A pool of one worker for these keys, which ends when the tests of the file have ended. */
const poolFor = (
  keys: ReadonlyArray<HashChain.Key> = [],
  { blockBytes, lineBytesMax }: { readonly blockBytes: number; readonly lineBytesMax: number }
): ScanPool => {
  const secrets = keys.map(({ id, secret }) => [id, String(Redacted.value(secret))] as const)
  const name = JSON.stringify([secrets, lineBytesMax, blockBytes])
  const pool = pools.get(name) ?? Effect.runSync(Scope.provide(
    ScanPool.make({
      workers: 1,
      blockBytes,
      keys: new Map(secrets.map(([id, secret]) => [id, createSecretKey(Buffer.from(secret))])),
      lineBytesMax
    }),
    scope
  ))
  pools.set(name, pool)
  return pool
}

/** The report of a log, the same with and without a worker. */
export const verifyBoth = (path: string, options: Verifier.VerifyOptions = {}) =>
  Effect.gen(function*() {
    const report = yield* Verifier.verify(path, { ...options, workers: 0 })
    const lineBytesMax = options.lineBytesMax ?? 64 * 1024 * 1024
    const blockBytes = blockBytesFor(path)
    const again = yield* Effect.orDie(LogVerification.run(path, {
      keys: options.keys,
      isPart: options.segments === "one",
      listedMax: options.listedMax ?? 100,
      lineBytesMax,
      workers: poolFor(options.keys, { blockBytes, lineBytesMax }),
      blockBytes,
      onProgress: () => {}
    }))
    assert.deepStrictEqual(again, report)
    return report
  }).pipe(Effect.provide(NodeFileSystem.layer))
