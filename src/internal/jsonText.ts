/**
 * From the text of one line to a record that says exactly what the text says. `JSON.parse` alone is not enough for an
 * audit log: of two equal keys it keeps the last, it rounds 12345678901234567890 and makes 1e400 infinite, and its
 * errors often do not say where.
 */
import * as Result from "effect/Result"
import * as Codec from "../Codec.ts"
import * as JsonLine from "./jsonLine.ts"

/**
 * What is wrong with a text, and the offset of the character that shows it, where there is one.
 */
export interface TextFault {
  readonly problem: string
  readonly offset: number | undefined
}

type Reviver = (this: unknown, key: string, value: unknown, context: { readonly source?: string }) => unknown

const json = JSON as unknown as {
  readonly parse: (text: string, reviver: Reviver) => unknown
  readonly rawJSON: (text: string) => unknown
}

/**
 * Parses JSON and keeps the digits of numbers that JavaScript would write in another way.
 */
export const parseExact = (text: string): unknown =>
  json.parse(
    text,
    (_, value, { source }) =>
      typeof value === "number" && source !== undefined && String(value) !== source ? json.rawJSON(source) : value
  )

const attempt = (parse: () => unknown): { readonly value: unknown } | { readonly error: string } => {
  try {
    return { value: parse() }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}

/** Whether a text that is an object consists of these fields and the two braces, which are not joined for it. */
const isSame = (fields: string, text: string): boolean =>
  text.length === fields.length + 2 && text.startsWith(fields, 1)

/**
 * Encodes the text of a JSON object, or says what is wrong with it.
 *
 * **Details**
 *
 * Besides what `Codec.encode` refuses: anything but one JSON object, and a key that an object has twice.
 */
export const encode = (text: string, at: string): Result.Result<Codec.Encoded, TextFault> => {
  const plain = attempt(() => JSON.parse(text))
  if ("value" in plain) {
    // most lines are compact JSON: if writing the value gives the same text again, nothing was lost in between
    const encoded = Codec.encode(plain.value, { at, value: plain.value })
    if (Result.isSuccess(encoded) && isSame(encoded.success.fields, text)) return Result.succeed(encoded.success)
  }
  const fault = explain(text)
  if (fault !== undefined) return Result.fail(fault)
  const exact = attempt(() => parseExact(text))
  if ("error" in exact) return Result.fail({ problem: exact.error, offset: undefined })
  return Result.mapError(Codec.encode(exact.value, { at, value: exact.value }), ({ path, problem }) => ({
    problem: path.length === 0 ? problem : `${path.map((key) => `[${JSON.stringify(key)}]`).join("")}: ${problem}`,
    offset: undefined
  }))
}

/** A string as people are shown it: quoted, and safe to print. */
const shown = (text: string): string => JsonLine.escape(JSON.stringify(text))

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const word = /true|false|null/y
const escapeSequence = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y

const reserved: { readonly [key: string]: string } = {
  _audit: `the key "_audit" is reserved for the log's own stamp`,
  _hash: `the key "_hash" is reserved for the log's own hash`
}

/**
 * Finds why a text is not a record: the first place at which it is not JSON, not one object, has a key twice or a
 * reserved one, or is nested too deeply. `undefined` if it finds nothing.
 */
export const explain = (text: string): TextFault | undefined => {
  let at = 0

  const fault = (problem: string, offset = at): TextFault => ({ problem, offset })
  const found = (expected: string): TextFault => {
    const code = text.codePointAt(at)
    return code === undefined
      ? fault(`it ends where ${expected} should follow`)
      : fault(`expected ${expected}, found ${shown(String.fromCodePoint(code))}`)
  }
  const skipSpace = (): void => {
    while (text[at] === " " || text[at] === "\t" || text[at] === "\r" || text[at] === "\n") at++
  }
  const match = (token: RegExp): boolean => {
    token.lastIndex = at
    if (!token.test(text)) return false
    at = token.lastIndex
    return true
  }

  const string = (): TextFault | undefined => {
    const start = at++
    for (;;) {
      const char = text[at]
      if (char === undefined) return fault("this string has no end", start)
      if (char === "\"") {
        at++
        return undefined
      }
      if (char < " ") return fault(`the control character ${shown(char).slice(1, -1)} must be escaped in a string`)
      if (char !== "\\") at++
      else if (!match(escapeSequence)) return fault("a backslash begins no escape that JSON knows")
    }
  }

  const members = (close: "}" | "]", member: () => TextFault | undefined): TextFault | undefined => {
    at++
    skipSpace()
    if (text[at] === close) {
      at++
      return undefined
    }
    for (;;) {
      const wrong = member()
      if (wrong !== undefined) return wrong
      skipSpace()
      if (text[at] === close) {
        at++
        return undefined
      }
      if (text[at] !== ",") return found(`"," or "${close}"`)
      at++
      skipSpace()
    }
  }

  const object = (depth: number): TextFault | undefined => {
    const keys = new Set<string>()
    return members("}", () => {
      const start = at
      if (text[at] !== "\"") return found(keys.size === 0 ? `a key in double quotes or "}"` : "a key in double quotes")
      const wrong = string()
      if (wrong !== undefined) return wrong
      const key = JSON.parse(text.slice(start, at)) as string
      if (keys.has(key)) {
        return fault(`the key ${shown(key)} stands here for the second time`, start)
      }
      if (depth === 0 && Object.hasOwn(reserved, key)) return fault(reserved[key]!, start)
      keys.add(key)
      skipSpace()
      if (text[at] !== ":") return found(`":"`)
      at++
      skipSpace()
      return value(depth + 1)
    })
  }

  const value = (depth: number): TextFault | undefined => {
    const char = text[at]
    if (char === "\"") return string()
    if (char !== "{" && char !== "[") return match(number) || match(word) ? undefined : found("a value")
    if (depth >= JsonLine.nestingDepthMax) return fault(`nested deeper than ${JsonLine.nestingDepthMax} levels`)
    return char === "{" ? object(depth) : members("]", () => value(depth + 1))
  }

  skipSpace()
  if (text[at] !== "{") return notObject(text, at) ?? found("a JSON object")
  const wrong = value(0)
  if (wrong !== undefined) return wrong
  skipSpace()
  if (at === text.length) return undefined
  return text[at] === "{" ? fault("a second object begins here; one object a line") : found("the end of the line")
}

const notObject = (text: string, offset: number): TextFault | undefined => {
  const parsed = attempt(() => JSON.parse(text))
  if (!("value" in parsed)) return undefined
  const { value } = parsed
  const kind = value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`
  return { problem: `a record is a JSON object, and this is ${kind}`, offset }
}
