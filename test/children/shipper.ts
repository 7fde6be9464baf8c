/**
 * Ships a log to one destination, and kills itself inside some appends: before they are sent, while they are under way,
 * and after they were acknowledged. With a seed of 0 it kills itself never, ships what is there, and ends.
 *
 * Usage: shipper.ts LOG URL SEED
 */
import { Effect } from "effect"
import { open } from "../../src/cli/destinationUrl.ts"
import { Shipper } from "../../src/index.ts"
import { generator } from "../simulation/run.ts"

const [, , path = "", url = "", seedText = "0"] = process.argv
const seed = Number(seedText)
const random = generator(seed)

/** One append in so many is the last. */
const appendsPerKill = 12

const kill = Effect.sync(() => process.kill(process.pid, "SIGKILL"))

const killing = (append: Effect.Effect<void, unknown>): Effect.Effect<void, unknown> => {
  if (seed === 0 || random() > 1 / appendsPerKill) return append
  const kind = random()
  if (kind < 0.2) return Effect.andThen(kill, append)
  if (kind < 0.4) return Effect.andThen(append, kill)
  return Effect.raceFirst(append, Effect.andThen(Effect.sleep(random() * 4), kill))
}

await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const destination = yield* Effect.retry(open(url, { log: path, setup: false }), { times: 100 })
  const append: typeof destination.append = (chunk) =>
    killing(destination.append(chunk)) as ReturnType<typeof destination.append>
  const shipper = yield* Shipper.make({
    path,
    destinations: [{ destination: { ...destination, append } }],
    durability: "process",
    attemptTimeout: 2000,
    retryMax: 200,
    linger: 0
  })
  yield* seed === 0 ? shipper.awaitShipped : shipper.ended
})))
process.exit(0)
