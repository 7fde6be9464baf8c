/**
 * The flags of the commands that read a log: which entries, and how they are printed.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Query from "../Query.ts"
import * as Output from "./output.ts"

/**
 * The log to read.
 *
 * @category arguments
 * @since 0.1.0
 */
export const file = Argument.String("file").pipe(
  Argument.withDescription("The log: its live file, or one segment"),
  Argument.filter((file) => file !== "", () => "a file name")
)

const text = (name: string, metavar: string, description: string): Flag.Flag<Option.Option<string>> =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)

const on = (name: string, description: string): Flag.Flag<boolean> =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

/**
 * Which entries.
 *
 * @category flags
 * @since 0.1.0
 */
export const queryFlags = {
  where: Flag.String("where").pipe(
    Flag.withMetavar("condition"),
    Flag.withDescription(
      "Only entries for which this holds, such as actor=ada, role!=admin, amount>=100, tag~^Role, user.id=7; several, " +
        "in one text or in several flags, must all hold"
    ),
    Flag.atLeast(0)
  ),
  since: text("since", "time", "Only records from this time on: RFC 3339, or how long ago, such as \"2 hours\""),
  until: text("until", "time", "Only records before this time"),
  tx: text("tx", "id", "Only the records of this transaction: its id, or the end of it"),
  writer: text("writer", "id", "Only the records of this writer: its id, or the end of it")
}

/**
 * How to print them.
 *
 * @category flags
 * @since 0.1.0
 */
export const outputFlags = {
  json: on("json", "Print the lines as they stand in the file: the default if stdout is no terminal"),
  pretty: on("pretty", "Print aligned lines for people: the default on a terminal"),
  all: on("all", "List every damaged line, not only the first 100"),
  only: on("only", "Read this file alone, and no rotated ones beside it")
}

/**
 * The query of the {@link queryFlags}; a bad one is shown with its place marked.
 *
 * @category parsing
 * @since 0.1.0
 */
export const predicate = Effect.fnUntraced(function*({ since, tx, until, where, writer }: {
  readonly where: ReadonlyArray<string>
  readonly since: Option.Option<string>
  readonly until: Option.Option<string>
  readonly tx: Option.Option<string>
  readonly writer: Option.Option<string>
}) {
  const query: Query.Query = {
    where,
    since: Option.getOrUndefined(since),
    until: Option.getOrUndefined(until),
    transaction: Option.getOrUndefined(tx),
    writer: Option.getOrUndefined(writer)
  }
  // only now: the commands that write do not need it
  const { make } = yield* Effect.promise(() => import("../Query.ts"))
  const made = make(query, yield* Clock.currentTimeMillis)
  if (Result.isSuccess(made)) return made.success
  const { offset, part, problem, text } = made.failure
  const flag = part === "transaction" ? "--tx" : `--${part}`
  return yield* Output.failure(
    `auditlog: ${flag}, character ${offset + 1}: ${Output.printable(problem)}`,
    `  ${Output.printable(text)}`,
    `  ${" ".repeat(Output.printable(text.slice(0, offset)).length)}^`
  )
})

/**
 * The format that `--json` and `--pretty` choose.
 *
 * @category parsing
 * @since 0.1.0
 */
export const format = (
  { json, pretty }: { readonly json: boolean; readonly pretty: boolean }
): Effect.Effect<"json" | "pretty" | undefined, Output.Failure> =>
  json && pretty
    ? Effect.fail(Output.failure("auditlog: --json and --pretty exclude each other"))
    : Effect.succeed(json ? "json" : pretty ? "pretty" : undefined)
