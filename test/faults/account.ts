/**
 * The promises of design section 2, counted: what the writers reported against what a reader finds.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Stream } from "effect"
import { LogReader } from "../../src/index.ts"
import type { Report, Writer } from "./writers.ts"

type Entries = ReadonlyArray<LogReader.Entry>

export interface Account {
  readonly acknowledged: number
  readonly found: number
  /** Broken promises, in words. */
  readonly faults: ReadonlyArray<string>
  /** Lines that are no records. */
  readonly damages: ReadonlyArray<LogReader.Entry & { readonly _tag: "Damage" }>
}

/** Who a report or a record is from, and which attempt it was. */
const keyOf = (name: string, fiber: unknown, n: unknown): string => `${name}/${String(fiber)}/${String(n)}`

/** The attempts that a reader must find: of all that was reported, or of what had been when `noted` was taken. */
export const note = (writers: ReadonlyArray<Writer>): Map<string, ReadonlyArray<string>> =>
  new Map(
    writers.flatMap(({ name, reports }) =>
      reports.flatMap(({ fiber, ids, n, outcome }) =>
        outcome === "acknowledged" ? [[keyOf(name, fiber, n), ids] as const] : []
      )
    )
  )

/**
 * Compares a log with what its writers have reported until now; they must have ended.
 *
 * Every acknowledged record is there once, under its id and with its content; nothing reported as "no" is there; a
 * transaction is there whole or not at all; nothing is there that nobody tried to append; the records of a fiber stand
 * in their order.
 */
export const compare = (
  entries: Entries,
  writers: ReadonlyArray<Writer>,
  acknowledged: ReadonlyMap<string, ReadonlyArray<string>> = note(writers)
): Account => {
  const faults: Array<string> = []
  const reports = new Map<string, Report>()
  const lastOf = new Map<string, number>()
  const isCut = new Map(writers.map(({ cut, name }) => [name, cut]))
  for (const { name, reports: all } of writers) {
    for (const report of all) {
      reports.set(keyOf(name, report.fiber, report.n), report)
      lastOf.set(`${name}/${report.fiber}`, report.n)
    }
  }

  const ids = new Set<string>()
  const attempts = new Map<string, Array<string>>()
  const partsOf = new Map<string, number>()
  const place = new Map<string, number>()
  for (const entry of entries) {
    if (entry._tag !== "Record") continue
    const { fiber, n, name, part, parts, text } = entry.fields
    const who = `${String(name)}/${String(fiber)}`
    const key = keyOf(String(name), fiber, n)
    if (ids.has(entry.id)) faults.push(`twice: ${entry.id} (${key})`)
    ids.add(entry.id)
    const unit = `${key}/${String(part)};`
    if (String(text).replaceAll(unit, "") !== "") faults.push(`not the content that was appended: ${unit}`)
    if (Number(n) < (place.get(who) ?? 0)) faults.push(`out of order: ${key}`)
    place.set(who, Number(n))
    const found = attempts.get(key) ?? []
    if (found[Number(part)] !== undefined) faults.push(`twice: ${unit}`)
    found[Number(part)] = entry.id
    attempts.set(key, found)
    partsOf.set(key, Number(parts))
  }
  for (const [key, found] of attempts) {
    if (Object.keys(found).length !== partsOf.get(key)) faults.push(`a part of a transaction: ${key}`)
    const report = reports.get(key)
    if (report?.outcome === "no") faults.push(`reported as not in the log (${report.reason}), and readable: ${key}`)
    if (report !== undefined) continue
    const [, name = "", fiber = "", n = ""] = /^(.*)\/(\d+)\/(\d+)$/.exec(key) ?? []
    const isInFlight = isCut.get(name) === true && Number(n) === (lastOf.get(`${name}/${fiber}`) ?? -1) + 1
    if (!isInFlight) faults.push(`nobody appended ${key}`)
  }
  let expected = 0
  for (const [key, expectedIds] of acknowledged) {
    expected += expectedIds.length
    const found = attempts.get(key) ?? []
    if (expectedIds.some((id, part) => found[part] !== id)) faults.push(`acknowledged and lost: ${key}`)
  }
  const damages = entries.filter((entry) => entry._tag === "Damage")
  return { acknowledged: expected, found: ids.size, faults: faults.slice(0, 20), damages }
}

/** Reads all segments of a log. */
export const readLog = (log: string): Promise<Entries> =>
  Stream.runCollect(LogReader.read(log)).pipe(Effect.provide(NodeFileSystem.layer), Effect.runPromise)
