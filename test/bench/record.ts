/**
 * The record that every side of every bench writes: 8 fields, 300 bytes as JSON. What a side adds to it (a level, a
 * time, our stamp and hash) is part of what that side does. Imports nothing, so that nothing is added to a peer's memory.
 */

/** How many bytes the record is as JSON. */
export const recordBytes = 300

const base = {
  _tag: "InvoiceChanged" as const,
  actor: "ada.lovelace@example.org",
  entity: "invoice-2041-0000173",
  field: "state",
  before: "draft, waiting for the approval of the second reader",
  after: "",
  rev: 7,
  ok: true
}

/** A record of so many bytes as JSON, 100 or more; the field `after` makes up the length. */
export const recordOf = (bytes: number): typeof base => {
  const start = bytes < recordBytes ? { ...base, actor: "", entity: "", field: "", before: "" } : base
  const missing = Math.max(0, bytes - JSON.stringify(start).length)
  return { ...start, after: "sent to the customer. ".repeat(missing / 20 + 1).slice(0, missing) }
}

export const record = recordOf(recordBytes)

/** The same with a number of its own, by which it is found again. */
export const numbered = (rev: number): typeof base => ({ ...record, rev })

/** One record in so many is of another actor in the logs that are read: the one that queries ask for. */
export const needleEvery = 1000
export const needleActor = "grace.hopper@example.org"
