/**
 * What was aimed at, as ratios of two rows of one run, and whether it was reached.
 */
import { limitName } from "./appendSides.ts"
import type { Report } from "./harness.ts"
import { commandWith } from "./read.ts"
import { rows as sql } from "./sql.ts"

/** The median of a column of a row; `undefined` if it was not run. */
type Value = (bench: string, row: string, column: string) => number | undefined

interface Target {
  readonly what: string
  readonly atLeast?: number
  readonly atMost?: number
  readonly unit: "×" | "ms" | "MB" | "%" | "records" | "rows"
  readonly measured: (value: Value) => number | undefined
}

const ratio = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? undefined : a / b

const times = (
  bench: string,
  column: string,
  ours: string,
  theirs: string,
  what: string,
  atLeast: number
): Target => ({
  what,
  atLeast,
  unit: "×",
  measured: (value) => ratio(value(bench, ours, column), value(bench, theirs, column))
})

const durable = (ours: string, theirs: string, what: string, atLeast: number) =>
  times("append", "rate", `auditlog, ${ours}`, theirs, what, atLeast)

const pino = (callers: number): string => `pino, fsync, flush(cb), ${callers} callers`

const larger = (sync: string): Target => ({
  what: `CPU of an append to a log of 10 M records${sync}, beside one of 1 k`,
  atMost: 1.1,
  unit: "×",
  measured: (value) =>
    ratio(
      value("scale", `10 M records in the file, 64 fibers${sync}`, "cpu"),
      value("scale", `1 k records in the file, 64 fibers${sync}`, "cpu")
    )
})

const targets: ReadonlyArray<Target> = [
  durable("64 fibers", limitName(64), "durable, 64 fibers, beside the limit at 64", 0.5),
  durable("64 fibers", pino(64), "durable, 64 fibers, beside pino whose callers wait", 2.5),
  durable("64 fibers", limitName(1), "durable, 64 fibers, beside one fsync per record", 25),
  durable("1024 fibers", pino(1024), "durable, 1024 fibers, beside pino whose callers wait", 5),
  durable("1024 fibers", limitName(1), "durable, 1024 fibers, beside one fsync per record", 55),
  durable("appendAll of 1024", limitName(1), "durable, `appendAll` of 1024, beside one fsync per record", 85),
  durable("1 fiber", limitName(1), "durable, 1 fiber, beside one write + fdatasync a record", 0.85),
  times(
    "append-nosync",
    "rate",
    "auditlog, 64 fibers",
    "pino, asynchronous",
    "not synced, 64 fibers, beside pino",
    1.8
  ),
  {
    what: "acknowledged records lost at SIGKILL, not synced",
    atMost: 0,
    unit: "records",
    measured: (value) => value("kill", "auditlog, 64 fibers", "lost")
  },
  {
    what: "part of read-back and chain in the durable throughput at 64",
    atMost: 25,
    unit: "%",
    measured: (value) => {
      const kept = ratio(
        value("append", "auditlog, 64 fibers", "rate"),
        value("append", "auditlog, 64 fibers, without both", "rate")
      )
      return kept === undefined ? undefined : (1 - kept) * 100
    }
  },
  {
    what: "delay of the event loop, p99, 1024 fibers at full speed",
    atMost: 3,
    unit: "ms",
    measured: (value) => value("append", "auditlog, 1024 fibers", "loop")
  },
  times("verify", "speed", "auditlog, Verifier.verify", "Node, split and hash", "verify, beside split and hash", 0.7),
  times(
    "verify",
    "speed",
    "auditlog, Verifier.verify with 2 workers",
    "Node, split and hash",
    "verify with two workers, beside split and hash",
    1.7
  ),
  {
    what: "peak memory of `auditlog verify`, with two workers",
    atMost: 150,
    unit: "MB",
    measured: (value) => value("verify", commandWith(2), "peak")
  },
  times(
    "read",
    "speed",
    "auditlog, LogReader.read",
    "Node, split and JSON.parse",
    "read, beside split and JSON.parse",
    0.8
  ),
  times(
    "query",
    "speed",
    "auditlog, LogReader.read and Query",
    "Node, split and JSON.parse",
    "query with a literal condition, beside split and JSON.parse",
    2
  ),
  times("query", "speed", "auditlog cat --where", "jq (first tenth)", "query from the shell, beside jq", 5),
  {
    what: "`auditlog append` from a shell, beside `node -e 0` (60 ms where that takes 28)",
    atMost: 60 / 28,
    unit: "×",
    measured: (value) => ratio(value("startup", "auditlog append", "millis"), value("startup", "node -e 0", "millis"))
  },
  {
    what: "transactions a second that one audit row costs, PostgreSQL",
    atMost: 30,
    unit: "%",
    measured: (value) => {
      const kept = ratio(value("sql", sql.one, "rate"), value("sql", sql.plain, "rate"))
      return kept === undefined ? undefined : (1 - kept) * 100
    }
  },
  {
    what: "rows a second that a relay drains from PostgreSQL",
    atLeast: 50_000,
    unit: "rows",
    measured: (value) => value("sql", sql.drained, "rate")
  },
  ...(["PostgreSQL, fsync", "NATS, 3 replicas"].map((destination): Target => ({
    what: `records a second shipped to ${destination}`,
    atLeast: 50_000,
    unit: "records",
    measured: (value) => value("ship", destination, "rate")
  }))),
  larger(""),
  larger(", not synced")
]

export interface Outcome {
  readonly target: Target
  readonly measured: number | undefined
  readonly isMet: boolean
}

/** Compares the targets with what was measured, where it was. */
export const outcomes = (reports: ReadonlyArray<Report>): ReadonlyArray<Outcome> => {
  const value: Value = (bench, row, column) =>
    reports.find((report) => report.bench === bench)?.rows.find(({ name }) => name === row)?.values[column]?.median
  return targets.map((target) => {
    const measured = target.measured(value)
    return {
      target,
      measured,
      isMet: measured !== undefined && measured >= (target.atLeast ?? -Infinity) &&
        measured <= (target.atMost ?? Infinity)
    }
  })
}
