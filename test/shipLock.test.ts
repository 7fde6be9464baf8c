import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import { Destination } from "../src/index.ts"
import * as ShipLock from "../src/internal/shipLock.ts"
import { lines } from "./cliSupport.ts"
import { ship, until } from "./shipSupport.ts"
import { temporaryLog, testFile } from "./support.ts"

it.live("the lock of a source goes with the process that held it, also by SIGKILL", () =>
  Effect.gen(function*() {
    const path = yield* temporaryLog
    const holder = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [testFile("children/shipLockHolder.ts"), path], {
          stdio: ["ignore", "pipe", "inherit"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    yield* Effect.promise(() => lines(holder.stdout, 1))
    const { id } = JSON.parse(Fs.readFileSync(`${path}.source`, "utf8"))
    assert.isTrue(yield* ShipLock.isTaken(id))
    const { destination } = Destination.makeMemory()
    const failure = yield* Effect.flip(ship(path, { destinations: [{ destination }] }))
    assert.strictEqual(failure.reason, "busy")
    holder.kill("SIGKILL")
    yield* until("the lock", Effect.map(ShipLock.isTaken(id), (isTaken) => !isTaken))
    yield* ship(path, { destinations: [{ destination }] })
    assert.isTrue(yield* ShipLock.isTaken(id))
  }))
