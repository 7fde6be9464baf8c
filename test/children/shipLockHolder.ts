/**
 * Ships a log to memory and says so on stdout, until it is killed: for the test of the lock.
 *
 * Usage: shipLockHolder.ts LOG
 */
import { Effect } from "effect"
import { writeSync } from "node:fs"
import { Destination, Shipper } from "../../src/index.ts"

const { destination } = Destination.makeMemory()
await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  yield* Shipper.make({ path: process.argv[2] ?? "", destinations: [{ destination }], durability: "process" })
  writeSync(1, "shipping\n")
  return yield* Effect.never
})))
