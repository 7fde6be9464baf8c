/**
 * This library, as users run it: Schema, chain, read-back, and a flush before each success, unless told otherwise.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as FileAppender from "../../../src/FileAppender.ts"
import * as SizePolicy from "../../../src/SizePolicy.ts"
import { numbered, recordBytes, recordOf } from "../record.ts"
import { Audit } from "../schema.ts"
import { Acknowledged, type Clock, measure } from "./measure.ts"

export interface Options {
  readonly path: string
  readonly millis: number
  readonly fibers: number
  /** Default "always". */
  readonly sync?: "always" | "never"
  /** Records of an `appendAll`. */
  readonly batch?: number
  /** Records of a `transaction`, appended one by one. */
  readonly transaction?: number
  readonly recordBytes?: number
  /** Numbers the records and goes on for ever; where the number of acknowledged ones stands. */
  readonly acknowledge?: string
}

const options = JSON.parse(process.argv[2] ?? "") as Options
const { acknowledge, batch, fibers, millis, path, sync = "always", transaction } = options
const record = recordOf(options.recordBytes ?? recordBytes)

const program = Effect.gen(function*() {
  const audit = yield* Audit
  const records = Array.from({ length: batch ?? transaction ?? 1 }, () => record)
  const append = batch !== undefined
    ? audit.appendAll(records)
    : transaction !== undefined
    ? audit.transaction(Effect.forEach(records, audit.append))
    : audit.append(record)
  const caller = (clock: Clock) =>
    Effect.gen(function*() {
      while (performance.now() < clock.end) {
        const since = performance.now()
        yield* append
        clock.done(since, records.length)
      }
    })
  if (acknowledge !== undefined) {
    const acknowledged = new Acknowledged(acknowledge)
    let number = 0
    const next = Effect.suspend(() => audit.append(numbered(number++)))
    const forever = Effect.forever(Effect.tap(next, () => Effect.sync(() => acknowledged.add())))
    yield* Effect.forEach(Array.from({ length: fibers }), () => forever, { concurrency: "unbounded", discard: true })
  }
  const context = yield* Effect.context()
  yield* Effect.promise(async () => {
    await Effect.runPromiseWith(context)(audit.append(record))
    await measure(millis, (clock) =>
      Effect.runPromiseWith(context)(
        Effect.forEach(Array.from({ length: fibers }), () => caller(clock), { concurrency: "unbounded", discard: true })
      ))
  })
})

await Effect.runPromise(
  program.pipe(
    Effect.provide(
      Audit.layer.pipe(
        Layer.provide(
          FileAppender.layer({
            path,
            sync,
            ...(options.recordBytes === undefined ? {} : { sizePolicy: SizePolicy.allow() })
          })
        ),
        Layer.provideMerge(Logger.layer([], { mergeWithExisting: false }))
      )
    )
  )
)
