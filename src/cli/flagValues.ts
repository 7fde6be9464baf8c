/**
 * The values of the flags of `append` and `exec`, apart from the library that reads flags: `append` is started for every
 * line of a shell script, and mostly does without it.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as FileAppender from "../FileAppender.ts"
import * as Environment from "../internal/environment.ts"
import type * as SizePolicy from "../SizePolicy.ts"

/** As people type them in a shell; the longer forms of `Duration` ("5 seconds") are understood too. */
const units: { readonly [unit: string]: number } = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 }

/**
 * A duration between a millisecond and a day. Throws what is expected instead.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseDuration = (text: string): Duration.Duration => {
  const interval = parseSync(text)
  if (typeof interval !== "object") throw new Error("a duration")
  return Duration.fromInputUnsafe(interval.every)
}

const parseInterval = (text: string): FileAppender.SyncPolicy | undefined => {
  const short = /^(?<count>\d+(?:\.\d+)?) ?(?<unit>ms|s|m|min|h)$/.exec(text)?.groups
  return short === undefined
    ? Environment.parseSync(text)
    : { every: Duration.millis(Number(short["count"]) * units[short["unit"]!]!) }
}

/**
 * When to flush. Throws what is expected instead.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseSync = (text: string): FileAppender.SyncPolicy => {
  const sync = parseInterval(text)
  const millis = typeof sync === "object" ? Duration.toMillis(sync.every) : 1
  // under a millisecond it would flush without a pause, and setTimeout takes no more than 24 days
  if (sync === undefined || millis < 1 || millis > 86_400_000) {
    throw new Error(`"always", "never", or an interval between 1ms and 24h such as "1s"`)
  }
  return sync
}

/**
 * A number of bytes. Throws what is expected instead.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseLimit = (text: string): number => {
  const bytes = Environment.parseSize(text)
  if (bytes === undefined || bytes === 0) throw new Error(Environment.expectedSize)
  return bytes
}

/**
 * The size policies by the names that people type.
 *
 * @category constants
 * @since 0.1.0
 */
export const sizePolicies: ReadonlyArray<readonly [name: string, policy: SizePolicy.SizePolicy["_tag"]]> = [
  ["warn", "Warn"],
  ["reject", "Reject"],
  ["allow", "Allow"]
]
