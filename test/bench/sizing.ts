/**
 * The sizing of a fleet in docs/distribution.md: what the bench `ship` measured, and what follows from it.
 */
import type { Report } from "./harness.ts"
import { lineBytes } from "./ship.ts"
import { number, table } from "./tables.ts"

const daySeconds = 86_400

/** What came together in an outage of a day is to be made up for in a night. */
const recoverySeconds = 8 * 3600

/**
 * Of what one log that is behind was measured to do, half is planned with: 64 logs at once, in chunks of 50 records, came to
 * 0.8 of it in PostgreSQL and to 0.7 in NATS; records may be larger, and servers have other work.
 */
const planned = 0.5

interface Engine {
  /** The row of the bench. */
  readonly row: string
  readonly head: string
}

const postgres: Engine = { row: "PostgreSQL, fsync", head: "PostgreSQL 15, fsync on" }
const nats: Engine = { row: "NATS, 3 replicas", head: "NATS 2.9, 3 servers, 3 replicas" }
const engines: ReadonlyArray<Engine> = [{ row: "memory", head: "memory" }, postgres, nats]

const two = (value: number): string => Number(value.toPrecision(2)).toLocaleString("en-US")

const bytes = (value: number): string => {
  const [unit = "", size = 1] = ([["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]] as const)
    .find(([, size]) => value >= size) ?? ["B", 1]
  return `${two(value / size)} ${unit}`
}

const measuredTable = (value: (engine: Engine, key: string) => number): string => {
  const pair = (engine: Engine, name: string, digits: readonly [number, number]): string =>
    [50, 99].map((part, i) => number(value(engine, `${name}${part}`), digits[i] ?? 0)).join(" / ") + " ms"
  return table(["", ...engines.map(({ head }) => head)], [
    ["a log that is behind, records/s", ...engines.map((engine) => two(value(engine, "rate")))],
    ["… the same in bytes a second", ...engines.map((engine) => bytes(value(engine, "rate") * lineBytes))],
    ["lag at 10,000 appends a second, p50 / p99", ...engines.map((engine) => pair(engine, "lag", [0, 0]))],
    ["a replicated append, p50 / p99", ...engines.map((engine) => pair(engine, "replicated", [2, 1]))],
    ["the same append, local only, p50 / p99", ...engines.map((engine) => pair(engine, "local", [2, 1]))]
  ])
}

const fleets: ReadonlyArray<readonly [hosts: number, recordsPerSecond: number]> = [
  [100, 5],
  [1000, 5],
  [1000, 50],
  [10_000, 5],
  [10_000, 50]
]

const fleetTable = (rates: readonly [postgres: number, nats: number]): string =>
  table(
    [
      "hosts × records/s of each",
      "records/s",
      "bytes/s",
      "a month in one place",
      "databases",
      "streams"
    ],
    fleets.map(([hosts, each]) => {
      const records = hosts * each
      // what comes in while what came together meanwhile is brought over
      const needed = records * (1 + daySeconds / recoverySeconds)
      return [
        `${number(hosts, 0)} × ${each}`,
        number(records, 0),
        bytes(records * lineBytes),
        bytes(records * lineBytes * daySeconds * 30),
        ...rates.map((rate) => number(Math.ceil(needed / (rate * planned)), 0))
      ]
    })
  )

const diskTable = (): string =>
  table(
    ["records/s of a host", "a day", "disk for 24 h of `retain` and an outage of a day"],
    [5, 50, 1000].map((records) => {
      const day = records * lineBytes * daySeconds
      return [number(records, 0), bytes(day), bytes(2 * day)]
    })
  )

/** The figures; empty where they were not measured. */
export const sizing = (reports: ReadonlyArray<Report>): string => {
  const rows = reports.find(({ bench }) => bench === "ship")?.rows ?? []
  const value = ({ row }: Engine, key: string): number =>
    rows.find(({ name }) => name === row)?.values[key]?.median ?? Number.NaN
  const rates = [value(postgres, "rate"), value(nats, "rate")] as const
  if (rates.some(Number.isNaN)) return ""
  return [
    measuredTable(value),
    [
      `How many databases or streams a fleet needs, with lines of ${lineBytes} bytes as in the bench. Half of what was measured is`,
      "planned with: 64 logs at once, in chunks of 50 records, came to 0.8 of that in PostgreSQL and to 0.7 in NATS. What came",
      "together in an outage of a day is made up for in the 8 hours after it, beside what comes in."
    ].join("\n"),
    fleetTable(rates),
    "What the disk of a host must hold:",
    diskTable()
  ].join("\n\n")
}
