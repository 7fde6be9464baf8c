/**
 * Reading takes the same memory whatever the log's size: 120 MB are read with a heap that holds a fifth of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { writeLog } from "./bench/logFile.ts"
import { run, temporaryLog, testFile } from "./support.ts"

const bytes = 120e6
/** In MB. The programs need 20 with an empty log; all entries of this one together need some hundreds. */
const heapMax = 32

describe("a log of 120 MB, in a process with a heap of 32 MB", () => {
  for (const way of ["read", "verify"]) {
    it.live(`can be ${way === "read" ? "read" : "verified"} whole`, () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        assert.isAtLeast(writeLog(path, { bytes }), bytes * 0.99)
        const lines = execFileSync("wc", ["-l", path], { encoding: "utf8" })
        const program = [`--max-old-space-size=${heapMax}`, testFile("children/readAll.ts"), path, way]
        const { code, stderr, stdout } = yield* Effect.promise(() => run(process.execPath, program))
        assert.strictEqual(code, 0, stderr)
        assert.strictEqual(Number(stdout), Number.parseInt(lines, 10))
      }))
  }
})
