/**
 * What a shell value or the output of a command looks like: a text in which every part that the script does not show is
 * one mark, a character that says what is known of it. Joining values is joining texts, and so is printing several.
 */
import type { Payload } from "../Site.ts"

/** A part of which nothing is known. */
export const unknownMark = "\uE000"

/** JSON on one line. */
export const recordMark = "\uE001"

/** JSON over several lines. */
export const prettyMark = "\uE002"

/** Something that is no JSON: a date, a number, a path. */
export const textMark = "\uE003"

/** Lines of other files, copied. */
export const copyMark = "\uE004"

/** JSON of which the script shows neither the shape nor the number of lines. */
export const looseMark = "\uE005"

const marks = "\uE000-\uE005"

/** Longer values are cut: no record that people write into a script is as long. */
const shapeMax = 20_000

/** Leaves out the middle of a long value: what it is shows at its ends. */
export const cut = (shape: string): string =>
  shape.length > shapeMax ? shape.slice(0, shapeMax / 2) + shape.slice(-shapeMax / 2) : shape

/** Whether nothing in the text is left open. */
export const isKnown = (shape: string): boolean => !new RegExp(`[${marks}]`).test(shape)

/** Whether the text says nothing at all of the value. */
export const isUnknown = (shape: string): boolean => shape !== "" && shape.replaceAll(unknownMark, "").trim() === ""

/** The first member of a JSON object: a key in quotes, or an expansion, and a colon. */
const firstMember = new RegExp(`^\\{\\s*(?:"(?:[^"\\\\]|\\\\.)*"|[${marks}]+)\\s*:`)
const escapedMember = /^\{\s*\\"(?:[^"\\])*\\"\s*:/
const openEnd = new RegExp(`[${marks}]$`)

/** Whether the text, with something put in for the marks, is a JSON array. */
const isArray = (line: string): boolean => {
  if (!/^\[\s*["{[\uE001]/.test(line) || !line.endsWith("]")) return false
  let filled = ""
  let quoted = false
  for (let index = 0; index < line.length; index++) {
    const char = line.charAt(index)
    if (char === "\\" && quoted) {
      filled += char + line.charAt(++index)
      continue
    }
    if (char === "\"") quoted = !quoted
    filled += isMark(char) ? (quoted ? "x" : "1") : char
  }
  try {
    JSON.parse(filled)
    return true
  } catch {
    return false
  }
}

const isMark = (char: string): boolean => char >= "\uE000" && char <= "\uE005"

export type LineShape = "record" | "array" | "pretty" | "loose" | "copy" | "unknown" | "text" | "empty"

/** What one line of output is. */
export const shapeOfLine = (source: string): LineShape => {
  const line = source.trim()
  if (line === "") return "empty"
  // A mark may stand in for an expansion of several characters.
  if (/^\uE001+$/.test(line)) return "record"
  if (/^\uE002+$/.test(line)) return "pretty"
  if (line === copyMark) return "copy"
  if (line === looseMark) return "loose"
  if (line.replaceAll(/[\uE000\uE001]/g, "") === "") return "unknown"
  if (line.startsWith("{")) {
    const isObject = firstMember.test(line) || escapedMember.test(line) || line.startsWith(`{${recordMark}`)
    if (isObject && (line.endsWith("}") || openEnd.test(line))) return "record"
    if (line.endsWith("}") && line.slice(1, -1).replaceAll(/[\uE000\uE001,\s]/g, "") === "" && line !== "{}") {
      return "unknown"
    }
    // An empty object is how people start a JSON file, seldom a record.
    return "text"
  }
  if (line.startsWith(unknownMark) && /^\uE000\s*,?\s*"[^"]*"\s*:.*\}$/s.test(line)) return "record"
  if (line.startsWith("[") && isArray(line)) return "array"
  return "text"
}

/** A JSON object written over several lines of literal text. */
const isPrettyText = (lines: ReadonlyArray<string>): boolean => {
  const first = lines[0]?.trim() ?? ""
  const last = lines[lines.length - 1]?.trim() ?? ""
  return /^\{\s*(?:"[^"]*"\s*:.*)?,?$/.test(first) && last.endsWith("}") && !last.startsWith("{") &&
    lines.every((line) => /^\s*(?:"[^"]*"\s*:|[{}[\]",\d\uE000-\uE005]|true|false|null|-\d)/.test(line))
}

/** What is known beside the shape: whether the file's name says that it holds records. */
export interface Evidence {
  readonly isRecordFile: boolean
}

/** What a text is that is appended to a file. */
export const payloadOf = (shape: string, evidence: Evidence): Payload => {
  const lines = shape.split("\n").filter((line) => line.trim() !== "")
  if (lines.length === 0) return "text"
  const shapes = new Set(lines.map(shapeOfLine))
  const has = (wanted: LineShape): boolean => shapes.has(wanted)
  if (has("text")) return evidence.isRecordFile && isPrettyText(lines) ? "multiLineRecord" : "text"
  if (has("pretty")) return "multiLineRecord"
  if (has("record")) return "record"
  if (has("loose")) return evidence.isRecordFile ? "multiLineRecord" : "unknown"
  if (has("array")) return evidence.isRecordFile ? "record" : "text"
  if (has("copy")) return "unknown"
  return evidence.isRecordFile ? "record" : "unknown"
}

/** A source text as a report shows it: marks that stand in for an outer shell's expansions as `…`. */
export const readable = (source: string): string => source.replaceAll(/[\uE000-\uE005]+/g, "…")

/** Whether the path of a file says that it holds one record a line. */
export const isRecordPath = (path: string): boolean =>
  /\.(?:jsonl|ndjson|ldjson|jsonlines)(?![a-z])|_?(?:JSONL|NDJSON)\b/i.test(path)

/** How much a value says: used to prefer one of several possible ones. 3 is JSON, 2 unknown, 1 text, 0 empty. */
export const rank = (shape: string): number => {
  const payload = payloadOf(shape, { isRecordFile: false })
  if (payload === "record" || payload === "multiLineRecord") return 3
  if (payload === "unknown") return 2
  return shape === "" ? 0 : 1
}
