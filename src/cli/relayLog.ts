/**
 * What `auditlog relay` does: runs a relay in the foreground, until it is told to stop.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as OutboxRelay from "../OutboxRelay.ts"
import * as AppenderOptions from "./appenderOptions.ts"
import * as OpenDatabase from "./openDatabase.ts"
import * as Output from "./output.ts"

/**
 * The arguments of `auditlog relay`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments {
  readonly file: string
  readonly database: Option.Option<string>
  readonly poll: Option.Option<Duration.Duration>
  readonly listen: boolean
  readonly once: boolean
}

/**
 * Drains until it is interrupted; with `once`, until nothing waits.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*(args: Arguments) {
  const { sync: _, ...appender } = yield* AppenderOptions.make({
    file: args.file,
    sync: "always",
    sizePolicy: undefined,
    limitBytes: undefined
  })
  const { layer, notifications } = yield* OpenDatabase.open(args.database)
  if (args.listen && notifications === undefined) {
    return yield* Output.failure("auditlog: --listen is for PostgreSQL; SQLite is polled")
  }
  const options: OutboxRelay.Options = {
    ...appender,
    poll: Option.getOrUndefined(args.poll),
    notifications: args.listen ? notifications : undefined
  }
  const work: Effect.Effect<unknown, OutboxRelay.RelayError, Effect.Services<ReturnType<typeof OutboxRelay.run>>> =
    args.once
      ? Effect.tap(OutboxRelay.drain(options), (rows) => Output.stderr([`auditlog: ${rows} drained`]))
      : OutboxRelay.run(options)
  return yield* work.pipe(
    Effect.asVoid,
    Effect.provide(layer),
    Effect.catch((error) => Effect.fail(Output.failure(`auditlog: ${OpenDatabase.describe(error)}`)))
  )
})
