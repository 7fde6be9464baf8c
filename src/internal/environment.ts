/**
 * Reads the variables `AUDITLOG_*` that are more than a plain word or number.
 */
import * as ByteSize from "effect/ByteSize"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as HashChain from "../HashChain.ts"

/** A variable that is parsed from text; what is wrong with it is said with its full name. */
export const variable = <A, B>(
  name: string,
  otherwise: B,
  expected: string,
  parse: (text: string) => A | undefined
): Config.Config<A | B> =>
  Config.NonEmptyString(name).pipe(
    Config.withDefault(undefined),
    Config.flatMap((text): Config.Config<A | B> => {
      if (text === undefined) return Config.succeed(otherwise)
      const value = parse(text)
      return value === undefined
        ? Config.fail(
          new ConfigProvider.SourceError({
            message: `AUDITLOG_${name} is ${JSON.stringify(text)}; expected ${expected}`
          })
        )
        : Config.succeed(value)
    })
  )

/** A variable that must be set. */
export const required = (name: string, advice: string): Config.Config<string> =>
  Config.NonEmptyString(name).pipe(
    Config.withDefault(undefined),
    Config.flatMap((text) =>
      text === undefined
        ? Config.fail(new ConfigProvider.SourceError({ message: `AUDITLOG_${name} is not set; ${advice}` }))
        : Config.succeed(text)
    )
  )

/** A variable that is one of some words; the first one if it is not set. */
export const oneOf = <const Word extends string>(
  name: string,
  words: readonly [Word, ...ReadonlyArray<Word>]
): Config.Config<Word> => variable(name, words[0], words.join(" or "), (text) => words.find((word) => word === text))

export const expectedSize = "a number of bytes such as 4096 or 8 KiB"

export const parseSize = (text: string): number | undefined =>
  Option.getOrUndefined(
    Option.flatMap(ByteSize.fromString(/^\d+$/.test(text) ? `${text} B` : text), ByteSize.toNumber)
  )

export const parseSync = (
  text: string
): "always" | "never" | { readonly every: Duration.Duration } | undefined => {
  if (text === "always" || text === "never") return text
  const every = parseAge(text)
  return every === undefined ? undefined : { every }
}

export const expectedAge = "a duration such as 7 days"

export const parseAge = (text: string): Duration.Duration | undefined => {
  const age = Option.getOrUndefined(Duration.fromInput(text as Duration.Input))
  return age !== undefined && Duration.toMillis(age) > 0 ? age : undefined
}

export const parseMode = (text: string): number | undefined =>
  /^0?[0-7]{3}$/.test(text) ? Number.parseInt(text, 8) : undefined

export const parseKeyId = (text: string): string | undefined => HashChain.keyIdPattern.test(text) ? text : undefined
