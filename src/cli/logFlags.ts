/**
 * The flags of the commands that write a log: `append` and `exec`.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import type * as FileAppender from "../FileAppender.ts"
import type * as AppenderOptions from "./appenderOptions.ts"
import { parseLimit, parseSync, sizePolicies } from "./flagValues.ts"

const problem = (error: unknown): string => error instanceof Error ? error.message : String(error)

/**
 * The log to write. `description` says what is special about it in the command.
 *
 * @category arguments
 * @since 0.1.0
 */
export const file = (description: string): Argument.Argument<string> =>
  Argument.String("file").pipe(
    Argument.withDescription(description),
    Argument.filter((file) => file !== "", () => "a file name")
  )

/**
 * When to flush, and what becomes of a long record.
 *
 * @category flags
 * @since 0.1.0
 */
export const flags = {
  sync: Flag.String("sync").pipe(
    Flag.withMetavar("always|never|1s"),
    Flag.withDescription("When to flush to the device: before each acknowledgement, never, or in an interval"),
    Flag.mapTryCatch(parseSync, problem),
    Flag.optional
  ),
  sizePolicy: Flag.ChoiceWithValue("size-policy", sizePolicies)
    .pipe(
      Flag.withMetavar("warn|reject|allow"),
      Flag.withDescription("What to do with a record whose line is over the limit"),
      Flag.optional
    ),
  limit: Flag.String("limit").pipe(
    Flag.withMetavar("bytes"),
    Flag.withDescription("The limit of the size policy, such as 4096 (the default) or \"8 KiB\""),
    Flag.mapTryCatch(parseLimit, problem),
    Flag.optional
  )
}

/**
 * The values of {@link flags} as the commands take them.
 *
 * @category flags
 * @since 0.1.0
 */
export const toArguments = ({ limit, sizePolicy, sync }: {
  readonly limit: Option.Option<number>
  readonly sizePolicy: Option.Option<"Warn" | "Reject" | "Allow">
  readonly sync: Option.Option<FileAppender.SyncPolicy>
}): Omit<AppenderOptions.Arguments, "file"> => ({
  sync: Option.getOrUndefined(sync),
  sizePolicy: Option.getOrUndefined(sizePolicy),
  limitBytes: Option.getOrUndefined(limit)
})
