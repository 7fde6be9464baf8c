/**
 * Destinations by their URLs. The adapter and its driver are loaded only here, when one is asked for.
 *
 * @since 0.1.0
 */
import type { PgClientConfig } from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { hash } from "node:crypto"
import type * as Destination from "../Destination.ts"
import * as Output from "./output.ts"

/**
 * How a destination is opened.
 *
 * **Details**
 *
 * `log` is the log that is shipped, beside which a collector's head is kept. `setup` creates what is missing there.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly log: string | undefined
  readonly setup: boolean
}

/** How a URL may look like, for messages. */
const expected =
  "expected postgres://…, nats://…/STREAM, or http(s)://…/v1/logs; or env:NAME, to take it from a variable"

/**
 * A destination by its URL: `postgres://user@host/database?schema=auditlog`, `nats://host:4222,host:4222/STREAM` with
 * `subject`, `replicas`, `creds`, `ca`, `cert`, `key`, `sync=always`, or the URL of a collector. `env:NAME` takes the URL
 * from a variable, so that no password stands on the command line.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = (
  text: string,
  options: Options
): Effect.Effect<
  Destination.Destination,
  Destination.DestinationUnavailable | Destination.DestinationRejected | Output.Failure,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const given = text.startsWith("env:") ? process.env[text.slice(4)] ?? "" : text
    const shown = text.startsWith("env:") ? `the variable ${text.slice(4)}` : Output.printable(withoutPassword(text))
    const [, scheme] = /^([a-z]+):\/\//.exec(given) ?? []
    switch (scheme) {
      case "postgres":
      case "postgresql":
        return yield* postgres(given, options)
      case "nats":
      case "tls":
        return yield* nats(given, options)
      case "http":
      case "https":
        return yield* otlp(given, options)
      default:
        return yield* Output.failure(`auditlog: ${shown} is no destination; ${expected}`)
    }
  })

/** A URL without its password. */
const withoutPassword = (url: string): string => url.replace(/(:\/\/[^/@:]*):[^/@]*@/, "$1@")

const noUrl = (text: string): Output.Failure =>
  Output.failure(`auditlog: ${Output.printable(withoutPassword(text))} is no URL of a destination; ${expected}`)

const parse = (text: string): Effect.Effect<URL, Output.Failure> =>
  Effect.try({ try: () => new URL(text), catch: () => noUrl(text) })

const wrongParameter = (name: string, value: string, allowed: string): Output.Failure =>
  Output.failure(`auditlog: ${name} of the destination is ${JSON.stringify(value)}; it must be ${allowed}`)

/** Takes a parameter of our own out of a URL. */
const take = (url: URL, name: string): string | undefined => {
  const value = url.searchParams.get(name)
  url.searchParams.delete(name)
  return value ?? undefined
}

const postgres = Effect.fnUntraced(function*(text: string, { setup }: Options) {
  const url = yield* parse(text)
  // the driver would find out each time it tries to connect
  if (url.username === "" && process.env["USER"] === undefined && process.env["USERNAME"] === undefined) {
    return yield* Output.failure(`auditlog: ${Output.printable(url.href)} names no user; ${expected}`)
  }
  const schema = take(url, "schema")
  const [PgClient, PostgresDestination, PostgresErrors, { namePattern }] = yield* Effect.promise(() =>
    Promise.all([
      import("@effect/sql-pg/PgClient"),
      import("../PostgresDestination.ts"),
      import("../internal/postgresErrors.ts"),
      import("../internal/postgresSchema.ts")
    ])
  )
  if (schema !== undefined && !namePattern.test(schema)) {
    return yield* wrongParameter("schema", schema, "lower-case letters, digits and _")
  }
  const config: PgClientConfig = { url: Redacted.make(url.href), applicationName: "auditlog" }
  const client = yield* Effect.orDie(Layer.build(PgClient.layer({ ...config, maxConnections: 2 })))
  const options = { name: `postgres://${url.host}${url.pathname}`, schema }
  if (setup) {
    yield* Effect.provide(PostgresDestination.setup(options), client).pipe(
      Effect.mapError(PostgresErrors.failure(options.name))
    )
  }
  return yield* Effect.provide(PostgresDestination.make(options), client)
})

const natsParameters: ReadonlySet<string> = new Set(["subject", "replicas", "creds", "ca", "cert", "key", "sync"])

const nats = Effect.fnUntraced(function*(text: string, { setup }: Options) {
  const parts = /^([a-z]+):\/\/(?:([^@/]*)@)?([^/?]+)(?:\/([^?]*))?(?:\?(.*))?$/.exec(text)
  if (parts === null) return yield* noUrl(text)
  const [, scheme = "", userinfo, hosts = "", path = "", query = ""] = parts
  const stream = path === "" ? undefined : path
  const parameters = new URLSearchParams(query)
  // all of them are our own, unlike those of PostgreSQL, whose drivers pass over what they do not know
  const unknown = Array.from(parameters.keys()).find((name) => !natsParameters.has(name))
  if (unknown !== undefined) {
    return yield* Output.failure(
      `auditlog: a destination nats:// has no parameter ${JSON.stringify(unknown)}; it has ` +
        Array.from(natsParameters).join(", ")
    )
  }
  const parameter = (name: string): string | undefined => parameters.get(name) ?? undefined
  const sync = parameter("sync")
  if (sync !== undefined && sync !== "always") return yield* wrongParameter("sync", sync, "always, or left out")
  const replicas = parameter("replicas") ?? "3"
  if (!/^[1-5]$/.test(replicas)) return yield* wrongParameter("replicas", replicas, "a number from 1 to 5")
  const [user, password] = userinfo?.split(":").map(decodeURIComponent) ?? []
  const NatsDestination = yield* Effect.promise(() => import("../NatsDestination.ts"))
  return yield* NatsDestination.make({
    name: `nats://${hosts}/${stream ?? "AUDITLOG"}`,
    servers: hosts.split(",").map((host) => `${scheme}://${host}`),
    stream,
    subject: parameter("subject"),
    create: setup ? { replicas: Number(replicas) } : undefined,
    // a name without a password is a token
    user: password === undefined ? undefined : user,
    password: password === undefined ? undefined : Redacted.make(password),
    token: user === undefined || password !== undefined ? undefined : Redacted.make(user),
    credentialsFile: parameter("creds"),
    caFile: parameter("ca"),
    certFile: parameter("cert"),
    keyFile: parameter("key"),
    syncAlways: sync === "always"
  })
})

const otlp = Effect.fnUntraced(function*(text: string, { log }: Options) {
  const url = yield* parse(text)
  if (log === undefined) {
    return yield* Output.failure("auditlog: a collector cannot be read back, and keeps no head of its own")
  }
  const headers = Object.fromEntries(
    (process.env["OTEL_EXPORTER_OTLP_HEADERS"] ?? "").split(",").filter((pair) => pair.includes("=")).map((pair) => {
      const at = pair.indexOf("=")
      return [pair.slice(0, at).trim(), Redacted.make(decodeURIComponent(pair.slice(at + 1).trim()))]
    })
  )
  const OtlpDestination = yield* Effect.promise(() => import("../OtlpDestination.ts"))
  const name = `${url.protocol}//${url.host}${url.pathname}`
  return OtlpDestination.make({
    url: url.href,
    name,
    headers,
    headFile: `${log}.otlp-${hash("sha256", name, "hex").slice(0, 12)}`
  })
})
