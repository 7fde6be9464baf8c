/**
 * A program that appends to a log until it is done or killed, and says on stdout what was acknowledged: one line with
 * the ids of the records an append or a transaction was answered for.
 *
 * Usage: writer.ts LOG NAME APPENDS FIBERS [transactions] [start-on-stdin] [rotate=SIZE]
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { once } from "node:events"
import { writeSync } from "node:fs"
import { AuditLog, AuditRecord, FileAppender } from "../../src/index.ts"

const [path = "", name = "", appends = "0", fibers = "1", ...flags] = process.argv.slice(2)

class Audit extends AuditLog.Service<Audit>()("test/Writer", {
  schema: Schema.Struct({ name: Schema.String, fiber: Schema.Int, n: Schema.Int, part: Schema.Int })
}) {}

const acknowledge = (receipts: ReadonlyArray<AuditRecord.Receipt>): void => {
  const ids = receipts.map((receipt) => receipt.seq === undefined ? "" : AuditRecord.id(receipt))
  writeSync(1, `${ids.join(" ")}\n`)
}

const rotateSize = flags.find((flag) => flag.startsWith("rotate="))?.slice("rotate=".length)
const rotate = rotateSize === undefined ? undefined : { size: ByteSize.fromStringUnsafe(rotateSize) }

const perFiber = Math.floor(Number(appends) / Number(fibers))

const work = Effect.fnUntraced(function*(fiber: number) {
  const audit = yield* Audit
  for (let n = 0; n < perFiber; n++) {
    // transactions of one to three records, so that there are single appends among them
    const parts = flags.includes("transactions") ? 1 + (n % 3) : 1
    const records = Array.from({ length: parts }, (_, part) => ({ name, fiber, n, part }))
    acknowledge(yield* audit.appendAll(records))
  }
})

const program = Effect.gen(function*() {
  yield* Audit
  writeSync(1, "ready\n")
  if (flags.includes("start-on-stdin")) yield* Effect.promise(() => once(process.stdin, "data"))
  yield* Stream.range(0, Number(fibers) - 1).pipe(
    Stream.mapEffect(work, { concurrency: "unbounded" }),
    Stream.runDrain
  )
})

await Effect.runPromise(
  program.pipe(
    Effect.provide(
      Audit.layer.pipe(
        Layer.provide(FileAppender.layer({ path, rotate })),
        // stdout is for acknowledgements
        Layer.provideMerge(Logger.layer([], { mergeWithExisting: false }))
      )
    )
  )
)
process.stdin.destroy()
