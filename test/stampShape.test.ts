/**
 * The fast test of a stamp says what the schema says.
 */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { AuditRecord } from "../src/index.ts"
import { isStamp } from "../src/internal/stampShape.ts"

const hash = "0123456789_-abcdefghijklmnopqrstuvwxyzABCDE"
const ulid = "01JDAWK6GQ3T9V4N2RZ8X5YB7C"

const full = {
  v: 1,
  writer: ulid,
  seq: 41,
  at: "2026-11-23T09:15:02.114Z",
  prev: hash,
  seen: hash,
  tx: { id: ulid, i: 0, n: 2 },
  try: 1,
  trace: `${"a".repeat(32)}-${"b".repeat(16)}`,
  key: "2026-11",
  src: "a1:7"
}

/** What JSON can hold in the place of a value. */
const values: ReadonlyArray<unknown> = [
  ...Object.values(full),
  null,
  "",
  0,
  -1,
  -0,
  1.5,
  2,
  2 ** 53,
  2 ** 53 - 1,
  true,
  [],
  {},
  [ulid],
  `${hash}\n`,
  hash.slice(1),
  `${ulid}\n`,
  ulid.toLowerCase(),
  "2026-11-23T09:15:02.114Z\n",
  "2026-11-23T09:15:02Z",
  { id: ulid, i: 0, n: -1 },
  { id: ulid, i: 0 },
  { id: ulid, i: 0, n: 1, more: 1 },
  { id: "x", i: 0, n: 1 }
]

describe("isStamp", () => {
  const isSchema = Schema.is(AuditRecord.Stamp)

  it("agrees with the schema on every field with every kind of value, or without it", () => {
    let accepted = 0
    const agree = (stamp: unknown): void => {
      const expected = isSchema(stamp)
      if (expected) accepted++
      assert.strictEqual(isStamp(stamp), expected, JSON.stringify(stamp))
    }
    for (const key of [...Object.keys(full), "more", "toString"]) {
      for (const value of values) agree({ ...full, [key]: value })
      agree(Object.fromEntries(Object.entries(full).filter(([name]) => name !== key)))
    }
    for (const value of values) agree(value)
    agree(JSON.parse(`{"__proto__":${JSON.stringify(full)}}`))
    assert.isAbove(accepted, 60)
  })
})
