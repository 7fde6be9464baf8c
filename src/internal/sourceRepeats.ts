/**
 * Tells the second of two records that come from the same row of an outbox. Pure state, bounded memory.
 *
 * A relay appends a row again only when it cannot rely on what stands in the log (docs/sql.md), and then before any later
 * batch of that outbox is confirmed. So the two stand near each other among the records of their outbox, whatever others
 * have written in between.
 */
import { hash } from "node:crypto"

/** Records of one outbox that are remembered: eight batches of a relay. */
const recordsMax = 4096

/** Outboxes that are remembered; the one not heard of for longest is forgotten first. */
const outboxesMax = 64

export class SourceRepeats {
  private readonly outboxes = new Map<string, Map<string, string | undefined>>()

  /**
   * Whether the row with this `src`, this time of staging and this content was here before. A row with the same number
   * and another time or other content is none: a database that was restored from a backup gives numbers out again.
   */
  isRepeat(source: string, at: string, fields: { readonly [key: string]: unknown }): boolean {
    const rows = this.rowsOf(source)
    const content = hash("sha256", `${at} ${JSON.stringify(fields)}`, "base64url")
    if (rows.get(source) === content) return true
    remember(rows, source, content)
    return false
  }

  /**
   * Takes note of a row that is not looked at. False if that leaves open what a later one repeats: one that was looked at
   * has its number, and this one may be damaged.
   */
  pass(source: string): boolean {
    const rows = this.rowsOf(source)
    if (rows.has(source)) return rows.get(source) === undefined
    remember(rows, source, undefined)
    return true
  }

  private rowsOf(source: string): Map<string, string | undefined> {
    const name = source.slice(0, Math.max(0, source.lastIndexOf(":")))
    const rows = this.outboxes.get(name) ?? new Map<string, string | undefined>()
    this.outboxes.delete(name)
    this.outboxes.set(name, rows)
    if (this.outboxes.size > outboxesMax) forgetFirst(this.outboxes)
    return rows
  }
}

const remember = (rows: Map<string, string | undefined>, source: string, content: string | undefined): void => {
  rows.delete(source)
  rows.set(source, content)
  if (rows.size > recordsMax) forgetFirst(rows)
}

const forgetFirst = <A>(map: Map<string, A>): void => {
  for (const key of map.keys()) {
    map.delete(key)
    return
  }
}
