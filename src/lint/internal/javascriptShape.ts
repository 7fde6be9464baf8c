/**
 * What a piece of text will look like when the program runs, as far as the code shows it.
 *
 * A shape is the text with one private character for every part that is not literal: JSON on one line, JSON over several
 * lines, something unknown, or what a file held before. Shapes add up like the strings they stand for, so that
 * `JSON.stringify(x) + "\n"` and `lines.join("\n")` are judged the same way.
 */
import type { Payload } from "../Site.ts"

/** The characters that stand for parts of a shape; of the private use area, so that no source text has them. */
export const json = "\uE000"
export const prettyJson = "\uE001"
export const opaque = "\uE002"
export const earlierContent = "\uE003"
/** Text of which no more is known than that it is not JSON alone. */
export const prose = "\uE004"

/**
 * - `payload`: as of the text alone; `unknown` for text that consists of unknown parts only.
 * - `isWhole`: a newline ends it, or stands before it.
 * - `isBlank`: nothing but white space.
 * - `hasEarlier`: what a file held before is part of it.
 */
export interface Verdict {
  readonly payload: Payload
  readonly isWhole: boolean
  readonly isBlank: boolean
  readonly hasEarlier: boolean
}

/** What RFC 7464 puts before each record. */
const recordSeparator = "\u001E"

type Line = "record" | "multiLineRecord" | "unknown" | "text"

const isJsonObject = (text: string): boolean => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

/** JSON put together by hand: `{"id":…,"at":"…"}`. */
const isTemplateOfJson = (line: string): boolean =>
  /^\{\s*(?:"|\uE002)/.test(line) && line.endsWith("}") && /"\s*:/.test(line)

const judgeLine = (line: string): Line => {
  if (/^[\uE000\uE002]*\uE000\uE002*$/.test(line)) return "record"
  if (/^\uE002?[\uE000\uE001]*\uE001[\uE000\uE001]*\uE002?$/.test(line)) return "multiLineRecord"
  if (/^\uE002+$/.test(line)) return "unknown"
  const isLiteral = !/[\uE000-\uE004]/.test(line)
  return (isLiteral ? isJsonObject(line) : isTemplateOfJson(line)) ? "record" : "text"
}

export const judge = (shape: string): Verdict => {
  const hasEarlier = shape.includes(earlierContent)
  const rest = shape.replaceAll(earlierContent, "")
  const lines = rest.replaceAll(recordSeparator, "\n").split(/[\n\r]/).map((line) => line.trim()).filter((line) =>
    line !== ""
  ).map(judgeLine)
  const payload: Payload = lines.length === 0 || lines.includes("text")
    ? "text"
    : lines.includes("multiLineRecord")
    ? "multiLineRecord"
    : lines.includes("record")
    ? "record"
    : "unknown"
  // An unknown part after JSON is a line end by the name of a constant, `JSON.stringify(x) + EOL`.
  const isWhole = /\n\s*$|^\s*\n|\uE000\uE002$/.test(rest)
  return { payload, isWhole, isBlank: lines.length === 0, hasEarlier }
}

/**
 * One shape for a value that may be either. Empty text is a start value or a fallback and gives way; text and a record
 * in one file are no file of records.
 */
export const either = (shapes: ReadonlyArray<string>): string => {
  const distinct = [...new Set(shapes)]
  const filled = distinct.filter((shape) => shape.trim() !== "")
  if (filled.length === 0) return distinct.reduce((long, shape) => shape.length > long.length ? shape : long, "")
  const [first] = filled
  if (filled.length === 1 && first !== undefined) return first
  const judged = filled.map((shape) => ({ shape, verdict: judge(shape) }))
  const record = judged.find(({ verdict }) => verdict.payload === "record" || verdict.payload === "multiLineRecord")
  const hasText = judged.some(({ verdict }) => verdict.payload === "text")
  if (record !== undefined) return hasText ? opaque : record.shape
  return hasText ? judged.some(({ verdict }) => verdict.payload === "unknown") ? opaque : prose : first ?? opaque
}

/** One shape for the elements of a list: text in one of them makes all of it text. */
export const eachOf = (shapes: ReadonlyArray<string>): string => {
  const distinct = [...new Set(shapes)].filter((shape) => shape.trim() !== "")
  if (distinct.length === 0) return ""
  const filled = distinct.filter((shape) => shape !== earlierContent)
  if (filled.length < distinct.length) return earlierContent + (filled.length === 0 ? "" : "\n" + eachOf(filled))
  const judged = filled.map((shape) => ({ shape, payload: judge(shape).payload }))
  const by = (payload: Payload): string | undefined => judged.find((one) => one.payload === payload)?.shape
  return by("text") !== undefined ? prose : by("multiLineRecord") ?? by("record") ?? filled[0] ?? opaque
}
