/**
 * That no cut of a record into two pieces is kept back: a verifier finds torn records by these cuts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Beginnings, Ends } from "../src/internal/jsonSeam.ts"
import { recordLine } from "./cliSupport.ts"

const hash = "x".repeat(43)
const fields = [
  "",
  `"n":1`,
  `"text":"a \\" quote, a \\\\, \\u00e9 and {[","list":[1,{"a":["]}"]},"",null],"empty":{}`,
  `"text": "white space" , "é": "ü\\n"`,
  `"copy":"{\\"_audit\\":{\\"v\\":1,\\"writer\\":\\"01JD\\"}}"`
]
const stamps = [
  "",
  `,"prev":"${hash}"`,
  `,"prev":"${hash}","seen":"${hash}","tx":{"id":"t1","i":0,"n":2},"try":1,"key":"k\\"1"`
]
const records = fields.flatMap((text) => stamps.map((more) => Buffer.from(recordLine(text, { more }))))

describe("a cut of a record", () => {
  it("is a candidate that fits, wherever it is, with anything around it", () => {
    for (const record of records) {
      for (let at = 1; at < record.length; at++) {
        const beginning = Buffer.concat([record.subarray(0, at), Buffer.from(`"}{\\ `)])
        const end = Buffer.concat([Buffer.from(`{"a":"\\"]`), record.subarray(at)])
        const [begins, ends] = [new Beginnings(beginning), new Ends(end)]
        const from = end.length - record.length + at
        assert.isTrue(
          ends.candidates(begins, at).includes(from) && ends.fits(begins, at, from),
          `${record.toString()} at ${at}`
        )
      }
    }
  })

  it("is nearly the only one that fits", () => {
    for (const record of records) {
      const [begins, ends] = [new Beginnings(record), new Ends(record)]
      let pairs = 0
      for (let to = 1; to < record.length; to++) {
        pairs += ends.candidates(begins, to).filter((from) => ends.fits(begins, to, from)).length
      }
      assert.isBelow(pairs, record.length ** 2 / 6, record.toString())
    }
  })
})
