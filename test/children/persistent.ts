/**
 * A program that goes on appending whatever happens to the log, until its stdin ends or it is killed, and says on stdout
 * how each attempt ended, one line an attempt, after the first line `ready`:
 *
 *     + FIBER N ID...          acknowledged, with the ids of its records
 *     - FIBER N PARTS REASON   reported as not in the log
 *     ? FIBER N PARTS REASON   reported as possibly in the log
 *
 * An attempt is a transaction of one to three records, and is never made again: N goes up with each. A failure that may
 * pass is waited out; after another one the fiber tries three times more, since a stopped log must refuse them all.
 *
 * Usage: persistent.ts LOG NAME [--fibers N] [--seed N] [--sync always|never] [--rotate BYTES] [--pause MILLIS]
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { writeSync } from "node:fs"
import { parseArgs } from "node:util"
import { AuditLog, AuditRecord, FileAppender } from "../../src/index.ts"
import { generator } from "../simulation/run.ts"

const { positionals: [path = "", name = ""], values } = parseArgs({
  allowPositionals: true,
  options: {
    fibers: { type: "string", default: "4" },
    seed: { type: "string", default: "0" },
    sync: { type: "string", default: "always" },
    rotate: { type: "string" },
    pause: { type: "string", default: "0" }
  }
})

class Audit extends AuditLog.Service<Audit>()("test/Persistent", {
  schema: Schema.Struct({
    name: Schema.String,
    fiber: Schema.Int,
    n: Schema.Int,
    part: Schema.Int,
    parts: Schema.Int,
    text: Schema.String
  })
}) {}

const say = (text: string): void => {
  writeSync(1, `${text}\n`)
}

const state = { isStopping: false }

/** Mostly short records; one in ten fills most of a page, one in a hundred several. */
const textLength = (random: () => number): number => {
  const kind = random()
  return Math.floor(random() * (kind < 0.01 ? 20_000 : kind < 0.1 ? 3000 : 300))
}

const work = Effect.fnUntraced(function*(fiber: number) {
  const audit = yield* Audit
  const random = generator(Number(values.seed) * 1000 + fiber)
  let refusals = 0
  for (let n = 0; !state.isStopping && refusals < 4; n++) {
    const parts = 1 + Math.floor(random() * 3)
    // the text says whose it is, so that a reader can tell it from anything else
    const records = Array.from({ length: parts }, (_, part) => {
      const key = `${name}/${fiber}/${n}/${part};`
      return { name, fiber, n, part, parts, text: key.repeat(1 + textLength(random) / key.length) }
    })
    const result = yield* Effect.result(audit.appendAll(records))
    if (Result.isSuccess(result)) {
      const ids = result.success.map((receipt) => receipt.seq === undefined ? "" : AuditRecord.id(receipt))
      say(`+ ${fiber} ${n} ${ids.join(" ")}`)
      if (values.pause !== "0") yield* Effect.sleep(`${Number(values.pause)} millis`)
      continue
    }
    const { committed, isRetryable, reason } = result.failure
    say(`${committed === "no" ? "-" : "?"} ${fiber} ${n} ${parts} ${reason._tag}`)
    if (!isRetryable) refusals++
    yield* Effect.sleep(isRetryable ? "3 millis" : "1 millis")
  }
})

process.stdin.resume().once("end", () => {
  state.isStopping = true
})

const program = Effect.gen(function*() {
  yield* Audit
  say("ready")
  yield* Effect.forEach(Array.from({ length: Number(values.fibers) }, (_, fiber) => fiber), work, {
    concurrency: "unbounded",
    discard: true
  })
})

const sync = values.sync === "never" ? "never" : "always"
const rotate = values.rotate === undefined ? undefined : { size: Number(values.rotate) }
const layer = Audit.layer.pipe(
  Layer.provide(FileAppender.layer({ path, sync, rotate })),
  // stdout is for the reports alone: a logger would also make it non-blocking
  Layer.provideMerge(Logger.layer([], { mergeWithExisting: false }))
)
await Effect.runPromise(Effect.provide(program, layer))
process.stdin.destroy()
