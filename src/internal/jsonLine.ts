/**
 * JSON text that is safe on one line: what JSON cannot hold is found before it is lost, and what a terminal, a log
 * viewer or a naive reader would act on is escaped.
 */
import * as Redacted from "effect/Redacted"

/** Nesting admitted in a record. Deeper values exhaust the stack of many JSON readers (jq stops at 256 by default). */
export const nestingDepthMax = 64

/** A value that JSON cannot hold, and where it is. */
export interface JsonFault {
  readonly path: ReadonlyArray<string | number>
  readonly problem: string
}

/** Whether a value is JSON text that `JSON.stringify` writes as it is, made by `JSON.rawJSON`. */
export const isRawJson: (value: unknown) => boolean =
  (JSON as unknown as { isRawJSON?: (value: unknown) => boolean }).isRawJSON ?? (() => false)

/** The numbers of RFC 8259: as many digits as one likes, which a double may not hold. */
const numberText = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

const scalarFault = (value: unknown): string | undefined => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined
    case "number":
      return Number.isFinite(value) ? undefined : `${value} is not a JSON number`
    case "undefined":
      return "undefined is not a JSON value; leave the key out"
    case "bigint":
      return "a BigInt is not a JSON value; encode it as a string"
    default:
      return `a ${typeof value} is not a JSON value`
  }
}

const objectFault = (value: object): string | undefined => {
  const kind = Object.prototype.toString.call(value).slice(8, -1)
  if (kind !== "Object") return `a ${kind} is not a JSON value; give the schema an encoding for it`
  return hasToJson(value) ? toJsonProblem("an object") : undefined
}

const hasToJson = (value: object): boolean => typeof (value as { toJSON?: unknown }).toJSON === "function"
const toJsonProblem = (what: string): string =>
  `${what} with a toJSON method is not a JSON value; give the schema an encoding for it`

/**
 * Whether a value surely has no {@link findFault fault}: most have none, and to know that takes a third of the time and no
 * memory. False says nothing.
 */
const isFaultless = (value: unknown, depth: number): boolean => {
  if (typeof value === "string" || typeof value === "boolean" || value === null) return true
  if (typeof value === "number") return Number.isFinite(value)
  if (typeof value !== "object" || depth >= nestingDepthMax || hasToJson(value)) return false
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isFaultless(value[i], depth + 1)) return false
    return true
  }
  if (Object.prototype.toString.call(value) !== "[object Object]" || isRawJson(value)) return false
  // inherited keys too, if there are any: they can only make it less sure
  for (const key in value) if (!isFaultless((value as Record<string, unknown>)[key], depth + 1)) return false
  return true
}

/** Returns the first value that `JSON.stringify` would drop, change or throw on, depth first. */
export const findFault = (root: unknown): JsonFault | undefined => {
  if (isFaultless(root, 0)) return undefined
  const path: Array<string | number> = []
  const visit = (value: unknown): string | undefined => {
    if (value === null) return undefined
    if (typeof value !== "object") return scalarFault(value)
    if (isRawJson(value)) {
      return numberText.test((value as { readonly rawJSON: string }).rawJSON)
        ? undefined
        : "raw JSON text is admitted for numbers only"
    }
    if (path.length >= nestingDepthMax) return `nested deeper than ${nestingDepthMax} levels`
    if (Array.isArray(value)) {
      if (hasToJson(value)) return toJsonProblem("an array")
      for (let i = 0; i < value.length; i++) {
        path.push(i)
        const problem = visit(value[i])
        if (problem !== undefined) return problem
        path.pop()
      }
      return undefined
    }
    const own = objectFault(value)
    if (own !== undefined) return own
    for (const key of Object.keys(value)) {
      path.push(key)
      const problem = visit((value as Record<string, unknown>)[key])
      if (problem !== undefined) return problem
      path.pop()
    }
    return undefined
  }
  const problem = visit(root)
  return problem === undefined ? undefined : { path, problem }
}

const nonFiniteText = /"(?:NaN|-?Infinity)"/

/** Whether a JSON text holds a string that a schema's JSON codec writes for a number which JSON cannot hold. */
export const mayHideNonFinite = (json: string): boolean => nonFiniteText.test(json)

/** Returns the first number that is NaN or infinite, also inside maps, sets and class instances. */
export const findNonFinite = (root: unknown): JsonFault | undefined => {
  const path: Array<string | number> = []
  const visit = (value: unknown): string | undefined => {
    if (typeof value === "number") return Number.isFinite(value) ? undefined : `${value} is not a JSON number`
    if (typeof value !== "object" || value === null || path.length >= nestingDepthMax) return undefined
    if (Redacted.isRedacted(value)) return visit(Redacted.value(value))
    const entries: Array<readonly [string | number, unknown]> = Array.isArray(value)
      ? Array.from(value.entries())
      : Object.entries(value)
    // not every iterable: an Option yields itself
    if (value instanceof Map || value instanceof Set) entries.push(...Array.from<unknown>(value).entries())
    for (const [key, child] of entries) {
      path.push(key)
      const problem = visit(child)
      if (problem !== undefined) return problem
      path.pop()
    }
    return undefined
  }
  const problem = visit(root)
  return problem === undefined ? undefined : { path, problem }
}

/**
 * Characters that are legal inside a JSON string and yet dangerous in a log: DEL and C1 controls (terminal escapes),
 * U+2028/2029 (line ends to Node's readline and others), bidi and invisible marks, the BOM, interlinear annotations.
 */
// oxlint-disable-next-line no-control-regex -- the point of this expression is to match control characters
const dangerous = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/
const dangerousAll = new RegExp(dangerous, "g")

/** JSON text has no control characters, and DEL is the only other one of ASCII: this takes a third of the search's time. */
const isPrintableAscii = (json: string): boolean => Buffer.byteLength(json) === json.length && !json.includes("\u007f")

/** Escapes the dangerous characters of a JSON text; its value stays the same, since they stand only inside strings. */
export const escape = (json: string): string =>
  !isPrintableAscii(json) && dangerous.test(json)
    ? json.replace(dangerousAll, (char) => "\\u" + char.charCodeAt(0).toString(16).padStart(4, "0"))
    : json

/** JSON text of a value that has no {@link findFault fault}, escaped. Throws a RangeError if no string can be so long. */
export const stringify = (value: unknown): string => escape(JSON.stringify(value))
