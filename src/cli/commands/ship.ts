/**
 * `auditlog ship FILE --to URL`.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Destination from "../../Destination.ts"
import { parseAge } from "../../internal/environment.ts"

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** As people type them in a shell; the longer forms of `Duration` are understood too. */
const parseDuration = (text: string): Duration.Duration => {
  const [, count, unit = ""] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? []
  const duration = count === undefined ? parseAge(text) : Duration.millis(Number(count) * (units[unit] ?? 0))
  if (duration === undefined) throw new Error("a duration such as 500ms, 1s, 24h or \"7 days\"")
  return duration
}

const problem = (error: unknown): string => error instanceof Error ? error.message : String(error)

/**
 * Ships a log to destinations that replicate.
 *
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make(
  "ship",
  {
    file: Argument.String("file").pipe(
      Argument.withDescription("The log; its rotated segments are shipped with it"),
      Argument.filter((file) => file !== "", () => "a file name")
    ),
    to: Flag.String("to").pipe(
      Flag.withMetavar("url"),
      Flag.withDescription(
        "Where to ship to: postgres://…, nats://…/STREAM, or env:NAME to take the URL from a variable; may be repeated"
      ),
      Flag.atLeast(0)
    ),
    also: Flag.String("also").pipe(
      Flag.withMetavar("url"),
      Flag.withDescription(
        "Ship there too, but keep no segment for it: also http://…/v1/logs, a collector of OpenTelemetry; may be repeated"
      ),
      Flag.atLeast(0)
    ),
    durability: Flag.Literals("durability", Destination.Durability.literals).pipe(
      Flag.withDescription("What a destination of --to must promise at least; fsync by default"),
      Flag.withDefault("fsync" as const)
    ),
    once: Flag.Boolean("once").pipe(
      Flag.withDescription("Ship what is there, and end"),
      Flag.withDefault(false)
    ),
    setup: Flag.Boolean("setup").pipe(
      Flag.withDescription("Create the tables or the stream first, where they are missing"),
      Flag.withDefault(false)
    ),
    retain: Flag.String("retain").pipe(
      Flag.withMetavar("24h"),
      Flag.withDescription("Remove sealed segments that are older and that every destination of --to has"),
      Flag.mapTryCatch(parseDuration, problem),
      Flag.optional
    ),
    linger: Flag.String("linger").pipe(
      Flag.withMetavar("5ms"),
      Flag.withDescription("How long to wait for more when there was nothing to do; 1s spares a large fleet's servers"),
      Flag.mapTryCatch(parseDuration, problem),
      Flag.optional
    ),
    json: Flag.Boolean("json").pipe(
      Flag.withDescription(
        "Print how all destinations stand, as a line of JSON: with --once at the end, else at the start and whenever one " +
          "begins to fail, goes on, or stops"
      ),
      Flag.withDefault(false)
    )
  },
  (args) =>
    Effect.flatMap(
      Effect.promise(() => import("../shipLog.ts")),
      ({ run }) =>
        Effect.scoped(
          run({ ...args, retain: Option.getOrUndefined(args.retain), linger: Option.getOrUndefined(args.linger) })
        )
    )
).pipe(
  Command.withShortDescription("Ship a log to destinations that replicate"),
  Command.withDescription(
    "Ship a log, with its segments and whatever is appended, to PostgreSQL or NATS JetStream: every line once and in " +
      "order, whatever crashes, and only what is on this machine's disk. It goes on until it is interrupted; " +
      "destinations that are down are tried again. Exits with 1 when a destination refuses the log, with 2 when it " +
      "cannot begin, and with 130 when it is interrupted. docs/distribution.md says what each destination promises."
  ),
  Command.withExamples([
    {
      command: "auditlog ship audit.jsonl --to nats://n1:4222,n2:4222,n3:4222/AUDITLOG",
      description: "Follow and ship"
    },
    { command: "auditlog ship audit.jsonl --to env:AUDIT_DB --setup --once", description: "From cron, to PostgreSQL" },
    {
      command: "auditlog ship audit.jsonl --to env:AUDIT_DB --also http://localhost:4318/v1/logs --retain 24h",
      description: "And show it on a dashboard"
    }
  ])
)
