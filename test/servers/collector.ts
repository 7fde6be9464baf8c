/**
 * A collector of OpenTelemetry logs that answers what it is told to, and remembers what it was given.
 */
import { Effect, type Scope } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

/** A log record, as OTLP has it in JSON. */
interface LogRecord {
  readonly timeUnixNano?: string
  readonly eventName?: string
  readonly body: { readonly stringValue: string }
  readonly attributes?: ReadonlyArray<{ readonly key: string; readonly value: Record<string, unknown> }>
}

/** An answer: its status and its body. */
type Answer = readonly [status: number, body: string]

export interface Collector {
  readonly url: string
  /** What it has taken. */
  readonly records: Array<LogRecord>
  /** Those of every request. */
  readonly headers: Array<Http.IncomingHttpHeaders>
  /** What it answers to the next requests; then `otherwise`. */
  readonly answers: Array<Answer>
  otherwise: Answer
}

export const collector: Effect.Effect<Collector, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.callback<readonly [Collector, Http.Server]>((resume) => {
      const taken: Answer = [200, "{}"]
      const made: Collector = { url: "", records: [], headers: [], answers: [], otherwise: taken }
      const server = Http.createServer((request, response) => {
        let text = ""
        request.setEncoding("utf8").on("data", (part: string) => {
          text += part
        }).on("end", () => {
          const [status, body] = made.answers.shift() ?? made.otherwise
          made.headers.push(request.headers)
          if (status === 200 && body === "{}") {
            made.records.push(...JSON.parse(text).resourceLogs[0].scopeLogs[0].logRecords)
          }
          response.writeHead(status, { "content-type": "application/json" }).end(body)
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed([Object.assign(made, { url: `http://127.0.0.1:${port}/v1/logs` }), server]))
      })
    }),
    ([, server]) =>
      Effect.callback<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  ),
  ([made]) => made
)
