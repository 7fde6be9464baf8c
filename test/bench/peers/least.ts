/**
 * The least that appends in Effect can do: a fiber for each caller, the schema, SHA-256, and one write and one flush for
 * all that wait. No stamp but a constant one, no check of what JSON cannot hold, no reading back, no receipts, no limits,
 * no metrics, no interruption, one process. It shows which part of a target is the machine's and which is ours.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { hash } from "node:crypto"
import * as Fs from "node:fs"
import { record } from "../record.ts"
import { schema } from "../schema.ts"
import { type Clock, measure } from "./measure.ts"

interface Entry {
  readonly text: string
  readonly resume: (done: Effect.Effect<void>) => void
}

const { fibers, millis, path } = JSON.parse(process.argv[2] ?? "") as {
  readonly path: string
  readonly fibers: number
  readonly millis: number
}
const fd = Fs.openSync(path, "a")
const encode = Schema.encodeUnknownEffect(Schema.toCodecJson(schema))
const buffer = Buffer.allocUnsafeSlow(4 * 1024 * 1024)
const stamp = `{"_audit":{"v":1,"writer":"01ARZ3NDEKTSV4RRFFQ69G5FAV","seq":1,"at":"2026-01-01T00:00:00.000Z","prev":"`

let waiting: Array<Entry> = []
let committing = false
let prev = "0".repeat(43)

const commit = (): void => {
  if (committing || waiting.length === 0) return
  committing = true
  queueMicrotask(() => {
    const batch = waiting
    waiting = []
    let end = 0
    for (const { text } of batch) {
      const start = end
      end += buffer.write(`${stamp}${prev}"},${text.slice(1, -1)}`, end, "latin1")
      prev = hash("sha256", buffer.subarray(start, end), "base64url")
      end += buffer.write(`,"_hash":"${prev}"}\n`, end, "latin1")
    }
    Fs.writeSync(fd, buffer, 0, end)
    Fs.fdatasync(fd, (error) => {
      committing = false
      for (const { resume } of batch) resume(error === null ? Effect.void : Effect.die(error))
      commit()
    })
  })
}

const append = Effect.flatMap(Effect.suspend(() => encode(record)), (json) =>
  Effect.callback<void>((resume) => {
    waiting.push({ text: JSON.stringify(json), resume })
    commit()
  }))

const caller = (clock: Clock) =>
  Effect.gen(function*() {
    while (performance.now() < clock.end) {
      const since = performance.now()
      yield* append
      clock.done(since)
    }
  })

await measure(millis, (clock) =>
  Effect.runPromise(
    Effect.forEach(Array.from({ length: fibers }), () => caller(clock), { concurrency: "unbounded", discard: true })
  ))
