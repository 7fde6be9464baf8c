/**
 * `explain` finds a fault exactly where `JSON.parse`, which knows nothing of records, finds one too; and `encode` loses
 * nothing.
 */
import * as Result from "effect/Result"
import { expect, it } from "vitest"
import { encode, explain } from "../src/internal/jsonText.ts"

/** A small generator of numbers, so that a failing text can be made again. */
const random = (seed: number) => (below: number): number => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((seed / 2 ** 32) * below)
}

const seeds: ReadonlyArray<string> = [
  `{"a":1,"b":[true,false,null,-0.5e+10],"c":{"d":"x\\u00e9\\n\\"","":{}}}`,
  ` { "k" : [ ] , "l" : [ [ 0 ] , { } ] , "m" : 12345678901234567890 } `,
  `{"s":"\\ud83d\\ude00 \u2028 \\/","t":1.0,"u":1E400}`
]
const pieces = `{}[]:,"\\0123456789.-+eE tfnulrasx\n\t\u0001é😀`

const mutated = (seed: number): string => {
  const pick = random(seed)
  let text = seeds[pick(seeds.length)]!
  for (let changes = 1 + pick(3); changes > 0; changes--) {
    const at = pick(text.length + 1)
    const piece = pick(3) === 0 ? "" : pieces[pick(pieces.length)]!
    text = text.slice(0, at) + piece + text.slice(at + pick(2))
  }
  return text
}

const isJsonObject = (text: string): boolean => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

it("accepts what JSON.parse accepts as an object, except for what records must not have", () => {
  const verdicts = Array.from({ length: 50_000 }, (_, seed) => {
    const text = mutated(seed)
    const fault = explain(text)
    return { seed, text, fault, isObject: isJsonObject(text), isDuplicate: fault?.problem.includes("second time") }
  })
  const accepted = verdicts.filter(({ fault }) => fault === undefined)
  expect(accepted.filter(({ isObject }) => !isObject)).toEqual([])
  const refused = verdicts.filter(({ fault }) => fault !== undefined)
  expect(refused.filter(({ isDuplicate, isObject }) => isObject && isDuplicate !== true)).toEqual([])
  expect(refused.filter(({ fault, text }) => fault!.offset === undefined || fault!.offset > text.length)).toEqual([])
  expect(accepted.length).toBeGreaterThan(5000)
  expect(refused.length).toBeGreaterThan(5000)
  expect(refused.some(({ isObject }) => isObject)).toBe(true)
})

it("encodes the same value with the same digits, and no other spelling", () => {
  for (let seed = 0; seed < 20_000; seed++) {
    const text = mutated(seed)
    const encoded = encode(text, "2026-11-23T00:00:00.000Z")
    if (Result.isFailure(encoded)) continue
    const line = `{${encoded.success.fields}}`
    expect(JSON.parse(line)).toEqual(JSON.parse(text))
    const numbers = (json: string) => json.replaceAll(/"(?:[^"\\]|\\.)*"/g, "").match(/-?\d[\d.eE+-]*/g)?.toSorted()
    expect(numbers(line)).toEqual(numbers(text))
  }
})
