/**
 * The shapes of text that is written, and what becomes of them in a row or as alternatives.
 */

/** `line`: JSON without line breaks inside. `newline`: it begins or ends with a line break. */
export interface Shape {
  readonly kind: "line" | "multi" | "text" | "blank" | "unknown"
  readonly newline: boolean
}

export const unknown: Shape = { kind: "unknown", newline: false }
export const text: Shape = { kind: "text", newline: false }

/** True if the shape is JSON. */
export const isJson = (shape: Shape): boolean => shape.kind === "line" || shape.kind === "multi"

/** What stands in Python inside a shell string for an expansion of the shell. */
const filler = /^x{2,}$/

/** The shape of a constant. */
export const literalShape = (value: string): Shape => {
  const newline = value.startsWith("\n") || value.endsWith("\n")
  const trimmed = value.trim()
  if (trimmed === "") return { kind: "blank", newline: value.includes("\n") }
  if (filler.test(trimmed)) return { kind: "unknown", newline }
  const json = trimmed.split("\n").every((line) => /^\s*\{/.test(line) && isJsonText(line))
  return { kind: json ? "line" : "text", newline }
}

const isJsonText = (line: string): boolean => {
  try {
    JSON.parse(line.replaceAll(/\bx{2,}\b/g, "0"))
    return true
  } catch {
    return false
  }
}

/** One of several values: the JSON among them counts, as the others are what is written when there is none. */
export const oneOf = (shapes: ReadonlyArray<Shape>): Shape => {
  const newline = shapes.some((shape) => (isJson(shape) || shape.kind === "blank") && shape.newline)
  const json = shapes.filter(isJson)
  if (json.length > 0) return { kind: json.some(({ kind }) => kind === "line") ? "line" : "multi", newline }
  const full = shapes.filter(({ kind }) => kind !== "blank")
  if (full.length === 0) return shapes[0] ?? unknown
  if (full.some(({ kind }) => kind === "unknown")) {
    return {
      kind: "unknown",
      newline: shapes.some((shape) => shape.newline)
    }
  }
  return { kind: "text", newline: shapes.some((shape) => shape.newline) }
}

/** A literal, or a part that is only known by its shape. */
export type Part = string | Shape

/** Parts one after the other. Text around JSON makes it text, unless the text is JSON syntax itself. */
export const sequence = (parts: ReadonlyArray<Part>): Shape => {
  const used = parts.filter((part) => part !== "")
  const breaks = (part: Part | undefined, last: boolean): boolean =>
    part !== undefined &&
    (typeof part === "string" ? (last ? /\n[ \t]*$/ : /^[ \t]*\n/).test(part) : part.newline)
  const newline = breaks(used[0], false) || breaks(used.at(-1), true)
  const literal = used.map((part) => typeof part === "string" ? part : "").join("").trim()
  const shapes = used.filter((part) => typeof part !== "string")
  const json = shapes.filter(isJson)
  if (shapes.length === 0) return literalShape(used.map((part) => typeof part === "string" ? part : "").join(""))
  const first = used.find((part) => typeof part !== "string" || part.trim() !== "")
  const last = used.findLast((part) => typeof part !== "string" || part.trim() !== "")
  const isTemplate = typeof first === "string" && /^\s*[{[]/.test(first) && /^\s*(\{\s*["'}]|\[)/.test(literal) &&
    typeof last === "string" && /[}\]]\s*$/.test(last)
  if (isTemplate) {
    const inner = used.slice(0, -1).some((part) => typeof part === "string" && part.trimStart().includes("\n"))
    // A list of encoded values, or an object with encoded or plain values; only objects are records by themselves.
    if (literal.startsWith("{") || json.length > 0) return { kind: inner ? "multi" : "line", newline }
    return { kind: "text", newline }
  }
  if (literal !== "" || shapes.some(({ kind }) => kind === "text")) return { kind: "text", newline }
  if (json.length > 0) {
    if (shapes[0] === undefined || shapes[0].kind === "unknown") return { kind: "text", newline }
    const kind = json.some((shape) => shape.kind === "multi") ? "multi" : "line"
    return { kind, newline: newline || shapes.some((shape) => shape.newline || shape.kind === "unknown") }
  }
  return shapes.every(({ kind }) => kind === "blank")
    ? { kind: "blank", newline: newline || shapes.some((shape) => shape.newline) }
    : { kind: "unknown", newline }
}
