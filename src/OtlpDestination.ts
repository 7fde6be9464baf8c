/**
 * Ships logs to a collector by OTLP over HTTP: for dashboards and searches. It has no head and no dedupe, so how far it
 * is stands in a file beside the log, and after a crash some records arrive again.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Destination from "./Destination.ts"
import * as OtlpLogs from "./internal/otlpLogs.ts"
import * as SourceFile from "./internal/sourceFile.ts"

/**
 * The options of a destination that is a collector.
 *
 * **Details**
 *
 * - `url`: where logs are posted to, such as `http://localhost:4318/v1/logs`.
 * - `headFile`: the file that remembers how far the collector is.
 * - `headers`: sent with each request, such as an authorization.
 * - `resource`: attributes of the resource, such as `service.name`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly url: string
  readonly headFile: string
  readonly name?: string | undefined
  readonly headers?: Readonly<Record<string, Redacted.Redacted | string>> | undefined
  readonly resource?: Readonly<Record<string, string>> | undefined
}

/** Larger chunks go in several requests: collectors refuse bodies over some MiB. */
const requestBytesMax = 1024 * 1024

const newline = 0x0a

/**
 * A collector. It is not able to be a required destination: nothing can be read back, and what an answer means is up to
 * what stands behind the collector.
 *
 * **Details**
 *
 * Each record is a log record: the whole line as its body, its plain fields as attributes `audit.<field>`, `auditlog.id`
 * as what duplicates can be told by. An answer other than 2xx, and one that says that records were rejected, is a failure.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Destination.Destination => {
  const { headFile, name = "otlp", resource = { "service.name": "auditlog" }, url } = options
  const headers = Object.fromEntries(
    Object.entries(options.headers ?? {}).map(([key, value]) => [
      key,
      typeof value === "string" ? value : Redacted.value(value)
    ])
  )
  const unavailable = (cause: unknown): Destination.DestinationUnavailable =>
    new Destination.DestinationUnavailable({ destination: name, problem: problemOf(cause), cause })
  const rejected = (reason: Destination.DestinationRejected["reason"], problem: string) =>
    new Destination.DestinationRejected({ destination: name, reason, problem })

  const heads = (): Record<string, Destination.Head> => {
    const text = SourceFile.read(headFile)
    return text === undefined ? {} : JSON.parse(text) as Record<string, Destination.Head>
  }
  const headsFailure = (cause: unknown) =>
    rejected("invalid", `${headFile} cannot be read or written (${problemOf(cause)})`)

  const post = Effect.fnUntraced(function*(lines: ReadonlyArray<Uint8Array>) {
    const body = OtlpLogs.request(lines, resource, yield* Clock.currentTimeMillis)
    const [status, text] = yield* Effect.tryPromise({
      try: async (signal) => {
        const response = await fetch(url, {
          method: "POST",
          headers: { "content-type": "application/json", ...headers },
          body,
          signal
        })
        return [response.status, await response.text()] as const
      },
      catch: unavailable
    })
    if (status >= 200 && status < 300) {
      const problem = OtlpLogs.rejection(text)
      return problem === undefined ? undefined : yield* rejected("invalid", problem)
    }
    const problem = `the answer was ${status} ${text.slice(0, 200)}`.trim()
    if (status === 429 || status === 408 || status >= 500) return yield* unavailable(problem)
    return yield* rejected(
      status === 413 ? "tooLarge" : status === 401 || status === 403 ? "denied" : "invalid",
      problem
    )
  })

  return {
    name,
    capabilities: {
      durability: "process",
      dedupe: "none",
      ordering: "none",
      atomicChunk: false,
      chunkBytesMax: 64 * 1024 * 1024,
      immutability: "none"
    },
    head: (source) => Effect.try({ try: () => heads()[Destination.formatSource(source)], catch: headsFailure }),
    append: Effect.fnUntraced(function*({ bytes, resume, source, to }) {
      for (const lines of requests(bytes)) yield* post(lines)
      yield* Effect.try({
        try: () =>
          SourceFile.replace(
            headFile,
            `${JSON.stringify({ ...heads(), [Destination.formatSource(source)]: { offset: to, resume } })}\n`
          ),
        catch: headsFailure
      })
    }),
    read: () => Stream.fail(rejected("invalid", "a collector cannot be read back")),
    sources: Effect.try({ try: () => Object.keys(heads()), catch: headsFailure }).pipe(
      Effect.map((found) => found.map(Destination.parseSource).filter((source) => source !== undefined))
    )
  }
}

const problemOf = (cause: unknown): string =>
  cause instanceof Error
    ? `${cause.message}${cause.cause instanceof Error ? `: ${cause.cause.message}` : ""}`
    : String(cause)

/** The lines of a chunk, as many at a time as a request may have. */
const requests = function*(bytes: Uint8Array): Generator<ReadonlyArray<Uint8Array>> {
  let lines: Array<Uint8Array> = []
  let size = 0
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(newline, start)
    const line = bytes.subarray(start, end < 0 ? bytes.length : end)
    if (lines.length > 0 && size + line.length > requestBytesMax) {
      yield lines
      lines = []
      size = 0
    }
    lines.push(line)
    size += line.length
    start += line.length + 1
  }
  if (lines.length > 0) yield lines
}
