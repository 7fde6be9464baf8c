/**
 * The metrics of design section 6. Names follow Prometheus: totals end in `_total`, times are in seconds.
 */
import * as Metric from "effect/Metric"

export const appends = Metric.counter("auditlog_appends_total", {
  description: "Records stored in the log",
  incremental: true
})

export const bytes = Metric.counter("auditlog_bytes_total", {
  description: "Bytes of the records stored in the log",
  incremental: true
})

// From 50 µs (no fsync) to 3.3 s (a device in trouble), doubling.
export const appendSeconds = Metric.histogram("auditlog_append_seconds", {
  description: "Time from the call of an append to its success, in seconds",
  boundaries: Metric.exponentialBoundaries({ start: 50e-6, factor: 2, count: 17 })
})

export const batchRecords = Metric.histogram("auditlog_batch_records", {
  description: "Records that shared one write and one fsync",
  boundaries: Metric.exponentialBoundaries({ start: 1, factor: 2, count: 15 })
})

export const fsyncs = Metric.counter("auditlog_fsyncs_total", {
  description: "Flushes of the log to the device",
  incremental: true
})

export const oversize = Metric.counter("auditlog_oversize_total", {
  description: "Records longer than the limit of a size policy that warns",
  incremental: true
})

export const healed = Metric.counter("auditlog_healed_total", {
  description: "Torn tails that this process separated from its own records by a resync line",
  incremental: true
})

export const truncations = Metric.counter("auditlog_truncations_total", {
  description: "Times the log was found shorter than this process had left it, or removed",
  incremental: true
})

export const rotations = Metric.counter("auditlog_rotations_total", {
  description: "Times this process sealed the live file",
  incremental: true
})

export const outboxDrained = Metric.counter("auditlog_outbox_drained_total", {
  description: "Rows that this process has taken from an outbox to the log",
  incremental: true
})

export const outboxRetries = Metric.counter("auditlog_outbox_retries_total", {
  description: "Times that a relay of this process has begun anew after a failure of the database or of the log",
  incremental: true
})

export const outboxDead = Metric.counter("auditlog_outbox_dead_total", {
  description: "Rows that can never be records, which this process has set aside with the reason",
  incremental: true
})

export const outboxBacklog = Metric.gauge("auditlog_outbox_backlog", {
  description: "Rows that wait in the outbox; counted up to 100 000"
})

export const outboxOldest = Metric.gauge("auditlog_outbox_oldest_seconds", {
  description: "Age of the row that waits longest in the outbox, in seconds; 0 when it is empty"
})

const errorsByReason = new Map<string, Metric.Counter<number>>()

/** The counter of failed appends with this reason. */
export const errors = (reason: string): Metric.Counter<number> => {
  let counter = errorsByReason.get(reason)
  if (counter === undefined) {
    counter = Metric.counter("auditlog_errors_total", {
      description: "Failed appends and transactions",
      incremental: true,
      attributes: { reason }
    })
    errorsByReason.set(reason, counter)
  }
  return counter
}
