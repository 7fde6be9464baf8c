/**
 * Lines of a log as OTLP log records, in the JSON encoding of the protocol.
 */
import * as Codec from "../Codec.ts"

interface Attribute {
  readonly key: string
  readonly value: { readonly [type: string]: unknown }
}

const attribute = (key: string, value: unknown): Attribute | undefined => {
  if (typeof value === "string") return { key, value: { stringValue: value } }
  if (typeof value === "boolean") return { key, value: { boolValue: value } }
  if (typeof value !== "number") return undefined
  return Number.isSafeInteger(value)
    ? { key, value: { intValue: String(value) } }
    : { key, value: { doubleValue: value } }
}

const present = <A>(value: A | undefined): value is A => value !== undefined

/** INFO: what happened was allowed to. */
const severity = { severityNumber: 9, severityText: "INFO" }

const utf8 = new TextDecoder()

/**
 * A line as a log record: the whole line is its body, so that its hash can still be checked, and the fields that are no
 * objects are its attributes.
 */
const record = (line: Uint8Array, observedNano: string): unknown => {
  const body = { stringValue: utf8.decode(line) }
  const parsed = Codec.parse(Codec.trim(line))
  if (parsed._tag !== "Record") return { observedTimeUnixNano: observedNano, ...severity, body }
  const { fields, stamp } = parsed
  const [traceId, spanId] = stamp.trace?.split("-") ?? []
  const tag = fields["_tag"]
  return {
    timeUnixNano: `${Date.parse(stamp.at)}000000`,
    observedTimeUnixNano: observedNano,
    ...severity,
    ...(typeof tag === "string" ? { eventName: tag } : {}),
    ...(traceId === undefined || spanId === undefined ? {} : { traceId, spanId }),
    body,
    attributes: [
      attribute("auditlog.id", `${stamp.writer}:${stamp.seq}`),
      attribute("auditlog.transaction", stamp.tx?.id),
      ...Object.entries(fields).map(([key, value]) => attribute(`audit.${key}`, value))
    ].filter(present)
  }
}

/** The body of a request. */
export const request = (
  lines: ReadonlyArray<Uint8Array>,
  resource: Readonly<Record<string, string>>,
  observedMillis: number
): string =>
  JSON.stringify({
    resourceLogs: [{
      resource: { attributes: Object.entries(resource).map(([key, value]) => attribute(key, value)).filter(present) },
      scopeLogs: [{
        scope: { name: "effect-auditlog" },
        logRecords: lines.map((line) => record(line, `${observedMillis}000000`))
      }]
    }]
  })

/** How many records a response says were rejected, and why; `undefined` if it says so of none. */
export const rejection = (response: string): string | undefined => {
  let body: unknown
  try {
    body = JSON.parse(response)
  } catch {
    // an empty response is a success
    return response.trim() === "" ? undefined : `an answer that is no JSON: ${response.slice(0, 200)}`
  }
  const { partialSuccess } = (body ?? {}) as { readonly partialSuccess?: Readonly<Record<string, unknown>> }
  const rejected = Number(partialSuccess?.["rejectedLogRecords"] ?? 0)
  if (!(rejected > 0)) return undefined
  const reason = partialSuccess?.["errorMessage"]
  return `${rejected} records were rejected: ${typeof reason === "string" ? reason : "no reason was given"}`
}
