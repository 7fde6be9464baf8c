/**
 * The language of conditions: its parser, and what each operator means.
 */
import * as Result from "effect/Result"
import type { Stamp } from "../AuditRecord.ts"
import type { Traits } from "./lineTraits.ts"

/** Where a text is no condition, and why. */
export interface Fault {
  readonly offset: number
  readonly problem: string
}

type Fields = { readonly [key: string]: unknown }

/** A condition, and what each line has in it for which it holds, if anything can be said of that. */
export interface Condition {
  /** Whether it holds for the fields of a record, and its stamp if it has one. */
  readonly holds: (fields: Fields, stamp: Stamp | undefined) => boolean
  readonly traits: ValueTraits | undefined
}

export type ValueTraits = Pick<Traits, "text" | "number">

type Operator = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~"

interface Literal {
  readonly text: string
  readonly quoted: boolean
}

const space = /\s*/y
const key = /[\p{L}\p{M}\p{N}_$-]+/uy
const operator = /!=|!~|<=|>=|=|<|>|~/y
const bare = /[^\s]+/y

/** Parses conditions that are separated by space. There is at least one. */
export const parse = (text: string): Result.Result<ReadonlyArray<Condition>, Fault> => {
  let at = 0
  const fault = (problem: string, offset = at) => Result.fail<Fault>({ offset, problem })
  const match = (token: RegExp): string | undefined => {
    token.lastIndex = at
    const found = token.exec(text)?.[0]
    if (found !== undefined) at = token.lastIndex
    return found
  }
  const found = (): string =>
    at < text.length ? `found ${JSON.stringify(String.fromCodePoint(text.codePointAt(at)!))}` : "the text ends here"

  const quoted = (): Result.Result<string, Fault> => {
    const start = at
    const quote = text[at++]
    let value = ""
    for (; at < text.length; at++) {
      const char = text[at]!
      if (char === quote) {
        at++
        return Result.succeed(value)
      }
      const next = text[at + 1]
      // other backslashes stay: regular expressions are full of them
      if (quote === "\"" && char === "\\" && (next === "\"" || next === "\\")) {
        value += next
        at++
      } else value += char
    }
    return fault("this quote is never closed", start)
  }
  const isQuote = (): boolean => text[at] === "\"" || text[at] === "'"

  const path = (): Result.Result<ReadonlyArray<string>, Fault> => {
    const keys: Array<string> = []
    for (;;) {
      if (isQuote()) {
        const name = quoted()
        if (Result.isFailure(name)) return Result.fail(name.failure)
        keys.push(name.success)
      } else {
        const name = match(key)
        if (name === undefined) return fault(`expected the name of a field, ${found()}`)
        keys.push(name)
        if (name === "tag" && keys.length === 1 && text[at] !== ".") return Result.succeed(["_tag"])
      }
      if (text[at] !== ".") return Result.succeed(keys)
      at++
    }
  }

  const conditions: Array<Condition> = []
  match(space)
  do {
    const keys = path()
    if (Result.isFailure(keys)) return Result.fail(keys.failure)
    match(space)
    const sign = match(operator) as Operator | undefined
    if (sign === undefined) {
      const hint = conditions.length > 0 ? "; a value with spaces needs quotes" : ""
      return fault(`expected one of = != < <= > >= ~ !~ after the field, ${found()}${hint}`)
    }
    match(space)
    const start = at
    let literal: Literal
    if (isQuote()) {
      const value = quoted()
      if (Result.isFailure(value)) return Result.fail(value.failure)
      if (at < text.length && !/\s/.test(text[at]!)) return fault(`expected a space after the quoted value, ${found()}`)
      literal = { text: value.success, quoted: true }
    } else {
      const value = match(bare)
      if (value === undefined) return fault(`expected a value, ${found()}; the empty text is ""`)
      literal = { text: value, quoted: false }
    }
    const test = testOf(sign, literal)
    if (typeof test === "string") return fault(test, start)
    conditions.push({ holds: conditionOf(keys.success, sign, test), traits: traitsOf(keys.success, sign, literal) })
    match(space)
  } while (at < text.length)
  return Result.succeed(conditions)
}

type Test = (value: unknown) => boolean

/** What an operator and a value ask of one value of a record; a text says why they ask nothing. */
const testOf = (operator: Operator, literal: Literal): Test | string => {
  if (operator === "~" || operator === "!~") {
    let pattern: RegExp
    try {
      pattern = new RegExp(literal.text, "u")
    } catch (error) {
      return `not a regular expression: ${(error as Error).message.replace(/^Invalid regular expression: /, "")}`
    }
    return (value) => {
      const text = textOf(value)
      return text !== undefined && pattern.test(text)
    }
  }
  const number = literal.quoted ? Number.NaN : numberOf(literal.text)
  const accept = accepts[operator]
  const isEquality = operator === "=" || operator === "!="
  return (value) => {
    if (typeof value === "number") {
      if (!Number.isNaN(number)) return accept(value < number ? -1 : value > number ? 1 : 0)
      return false
    }
    // only text has an order
    const text = typeof value === "string" || (isEquality && !literal.quoted) ? textOf(value) : undefined
    return text !== undefined && accept(text < literal.text ? -1 : text > literal.text ? 1 : 0)
  }
}

const accepts: { readonly [O in Exclude<Operator, "~" | "!~">]: (order: number) => boolean } = {
  "=": (order) => order === 0,
  // the opposite is made where the elements of an array are known
  "!=": (order) => order === 0,
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0
}

/** A JSON number as text; NaN for any other text. */
const numberOf = (text: string): number =>
  /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : Number.NaN

const textOf = (value: unknown): string | undefined =>
  typeof value === "string"
    ? value
    : typeof value === "number" || typeof value === "boolean" || value === null
    ? String(value)
    : undefined

const conditionOf = (path: ReadonlyArray<string>, operator: Operator, test: Test): Condition["holds"] => {
  const isOpposite = operator === "!=" || operator === "!~"
  const holds = (value: unknown, depth: number): boolean => {
    const key = path[depth]
    const isObject = typeof value === "object" && value !== null
    if (key !== undefined && isObject && Object.hasOwn(value, key)) return holds((value as Fields)[key], depth + 1)
    if (Array.isArray(value)) return value.some((element) => holds(element, depth))
    return key === undefined && test(value)
  }
  return (fields, stamp) => (path[0] === "_audit" ? holds(stamp, 1) : holds(fields, 0)) !== isOpposite
}

/** A run of characters that JSON writes as they are or as `\uXXXX`: not those with a short escape, nor half characters. */
const plain = /[^"\\/\p{Cc}\p{Cs}]+/gu

/** Whole numbers that no other number written in whole digits is equal to. */
const isExact = (number: number): boolean => Number.isSafeInteger(number) && number !== 0

/** What values other than text can look like as text. */
const otherText = /^[-+.\deInfityNa]*$|^t(r(u(e)?)?)?$|^f(a(l(s(e)?)?)?)?$|^n(u(l(l)?)?)?$/

const traitsOf = (path: ReadonlyArray<string>, operator: Operator, literal: Literal): ValueTraits | undefined => {
  if (path[0] === "_audit") return undefined
  const { quoted, text } = literal
  if (operator === "~") {
    const [, word] = /^\^?([\p{L}\p{N}_ @:-]+)$/u.exec(text) ?? []
    if (word === undefined || otherText.test(word) || "true false null".includes(word)) return undefined
    return { text: Buffer.from(word) }
  }
  if (operator !== "=") return undefined
  if (!quoted && /^(?:true|false|null)$/.test(text)) return undefined
  const number = quoted ? Number.NaN : numberOf(text)
  const key = path.at(-1)!
  if (!Number.isNaN(number)) {
    if (!isExact(number) || key.match(plain)?.[0] !== key) return undefined
    return { number: { key: Buffer.from(`"${key}"`), digits: String(number) } }
  }
  if (text === "") return undefined
  let longest = ""
  for (const { 0: run, index } of text.matchAll(plain)) {
    // without the quote before it: a search for so frequent a byte takes four times as long
    const quotedRun = `${run}${index + run.length === text.length ? "\"" : ""}`
    if (quotedRun.length > longest.length) longest = quotedRun
  }
  return longest === "" ? undefined : { text: Buffer.from(longest) }
}
