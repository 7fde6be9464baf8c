/**
 * The metrics of shipping, one of each for a destination.
 */
import * as Metric from "effect/Metric"

const byDestination = <A>(make: (attributes: { readonly destination: string }) => A): (destination: string) => A => {
  const made = new Map<string, A>()
  return (destination) => {
    const metric = made.get(destination) ?? make({ destination })
    made.set(destination, metric)
    return metric
  }
}

const counter = (name: string, description: string) =>
  byDestination((attributes) => Metric.counter(name, { description, incremental: true, attributes }))

const gauge = (name: string, description: string) =>
  byDestination((attributes) => Metric.gauge(name, { description, attributes }))

export const chunks = counter("auditlog_ship_chunks_total", "Chunks that the destination has acknowledged")

export const lines = counter("auditlog_ship_lines_total", "Lines that the destination has acknowledged")

export const bytes = counter("auditlog_ship_bytes_total", "Bytes that the destination has acknowledged")

export const retries = counter("auditlog_ship_retries_total", "Attempts to ship that failed or had no answer")

export const degraded = counter(
  "auditlog_ship_degraded_total",
  "Appends that asked for a replicated acknowledgement and succeeded without it"
)

export const lagBytes = gauge("auditlog_ship_lag_bytes", "Bytes in the log that the destination does not have")

export const lagSeconds = gauge(
  "auditlog_ship_lag_seconds",
  "Age of the oldest record that the destination does not have, in seconds"
)
