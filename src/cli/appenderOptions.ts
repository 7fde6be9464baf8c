/**
 * How a command opens the log that it was given: its flags first, then the environment, then the defaults.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FileAppender from "../FileAppender.ts"
import * as SizePolicy from "../SizePolicy.ts"
import * as Output from "./output.ts"

/**
 * The arguments that decide how a log is written. What is `undefined` comes from the environment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments {
  readonly file: string
  readonly sync: FileAppender.SyncPolicy | undefined
  readonly sizePolicy: SizePolicy.SizePolicy["_tag"] | undefined
  readonly limitBytes: number | undefined
}

/**
 * The options of an appender whose flush and size policies are decided.
 *
 * @category models
 * @since 0.1.0
 */
export interface AppenderOptions extends FileAppender.Options {
  readonly sync: FileAppender.SyncPolicy
  readonly sizePolicy: SizePolicy.SizePolicy
}

/**
 * The options of the appender.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (args: Arguments) => Effect.Effect<AppenderOptions, Output.Failure> = Effect.fnUntraced(function*(
  args
) {
  const environment = yield* ConfigProvider.ConfigProvider
  const file = ConfigProvider.fromEnv({ env: { AUDITLOG_PATH: args.file } })
  const options = yield* FileAppender.config.pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.orElse(file, environment)),
    Effect.mapError(({ cause }: Config.ConfigError) => {
      const problem = cause.message.replace(/\n\s*/g, " ")
      return Output.failure(`auditlog: the environment is not usable: ${Output.printable(problem)}`)
    })
  )
  const policy = options.sizePolicy ?? SizePolicy.limitsDefault.sizePolicy
  const sizePolicy: SizePolicy.SizePolicy = {
    _tag: args.sizePolicy ?? policy._tag,
    limitBytes: args.limitBytes ?? policy.limitBytes
  }
  return { ...options, sync: args.sync ?? options.sync ?? "always", sizePolicy }
})
