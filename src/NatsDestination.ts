/**
 * Ships logs to NATS JetStream: a message for each chunk, in one stream for many sources, each with a subject of its own.
 *
 * It loads the packages `@nats-io/transport-node` and `@nats-io/jetstream` when it connects; they are not dependencies of
 * this package, so that only programs that use NATS need them.
 *
 * @since 0.1.0
 */
import type { JetStreamManager, MsgRequest, StoredMsg, StreamConfig } from "@nats-io/jetstream"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Destination from "./Destination.ts"
import { errorCode } from "./internal/filePort.ts"
import * as NatsErrors from "./internal/natsErrors.ts"

/**
 * How a stream is created if there is none: replicated three times, kept in files, refusing new messages rather than
 * dropping old ones, and with deleting and purging denied.
 *
 * @category models
 * @since 0.1.0
 */
export interface CreateOptions {
  readonly replicas?: number | undefined
  readonly bytesMax?: number | undefined
}

/**
 * The options of a destination in NATS JetStream.
 *
 * **Details**
 *
 * - `servers`: URLs such as `nats://localhost:4222`.
 * - `stream`: the stream's name, `AUDITLOG` by default; `subject`: what the subjects of the sources begin with, `auditlog`
 *   by default. Two streams cannot have the same subjects.
 * - `create`: creates the stream if it is not there; without it, that is a failure.
 * - `user` and `password`, `token`, or `credentialsFile`: who the shipper is.
 * - `caFile`, `certFile`, `keyFile`: TLS.
 * - `syncAlways`: every server has `sync_interval: always`, which the client cannot see. Without it JetStream
 *   acknowledges before the disk has the message.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly servers: ReadonlyArray<string>
  readonly name?: string | undefined
  readonly stream?: string | undefined
  readonly subject?: string | undefined
  readonly create?: CreateOptions | undefined
  readonly user?: string | undefined
  readonly password?: Redacted.Redacted | undefined
  readonly token?: Redacted.Redacted | undefined
  readonly credentialsFile?: string | undefined
  readonly caFile?: string | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly syncAlways?: boolean | undefined
}

/** What the headers of a message may take of its size. */
const headerBytesMax = 4096

/** How long one request waits; the shipper asks again. */
const requestMillis = 5000

const connectMillis = 5000

const reconnectMillis = 250

const subjectPattern = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/

const headerNames = { from: "Auditlog-From", to: "Auditlog-To", resume: "Auditlog-Resume", lines: "Auditlog-Lines" }

const load = (destination: string) =>
  Effect.tryPromise({
    try: () => Promise.all([import("@nats-io/transport-node"), import("@nats-io/jetstream")]),
    catch: (cause) =>
      new Destination.DestinationRejected({
        destination,
        reason: "invalid",
        problem: "the packages for NATS cannot be loaded; npm install @nats-io/transport-node @nats-io/jetstream " +
          `(${String(cause)})`
      })
  })

type Failure = Destination.DestinationUnavailable | Destination.DestinationRejected

/** Files that cannot be read are no matter of trying again. */
const readable = (
  destination: string,
  { caFile, certFile, credentialsFile, keyFile }: Options
): Effect.Effect<void, Destination.DestinationRejected> =>
  Effect.forEach([credentialsFile, caFile, certFile, keyFile], (file) =>
    file === undefined ? Effect.void : Effect.try({
      try: () => Fs.accessSync(file, Fs.constants.R_OK),
      catch: (cause) =>
        new Destination.DestinationRejected({
          destination,
          reason: "invalid",
          problem: `${file} cannot be read (${errorCode(cause)})`
        })
    }), { discard: true })

/** Where the last message of a source stands. */
interface Last {
  readonly sequence: number
  readonly offset: number
}

/**
 * Connects, until the scope closes.
 *
 * **Details**
 *
 * A chunk is published with the sequence that its subject must have: the server takes it only if nothing came in between.
 * Servers before 2.10.19 do not hold that for publishes that cross in a clustered stream; `dedupe` is `byPosition` then.
 * The message is acknowledged when a majority of the replicas has it, in memory or on disk. `durability` is `quorum` from
 * three replicas on, else `pageCache`. A stream that drops old messages, by age, number or size, is refused.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options
): Effect.Effect<Destination.Destination, Failure, Scope.Scope> =>
  Effect.gen(function*() {
    const { name = "nats", stream = "AUDITLOG", subject = "auditlog" } = options
    if (!subjectPattern.test(subject)) {
      const problem = `its subject is ${JSON.stringify(subject)}; it must be letters, digits, _ and - , joined by dots`
      return yield* new Destination.DestinationRejected({ destination: name, reason: "invalid", problem })
    }
    yield* readable(name, options)
    const [{ connect, credsAuthenticator, headers }, { jetstream, jetstreamManager }] = yield* load(name)
    const request = <A>(send: () => Promise<A>): Effect.Effect<A, Failure> =>
      Effect.tryPromise({ try: send, catch: NatsErrors.failure(name) })
    const { caFile, certFile, credentialsFile, keyFile, password, token, user } = options
    const connection = yield* Effect.acquireRelease(
      request(() =>
        connect({
          servers: [...options.servers],
          name: "effect-auditlog",
          maxReconnectAttempts: -1,
          reconnectTimeWait: reconnectMillis,
          timeout: connectMillis,
          ...(user === undefined ? {} : { user }),
          ...(password === undefined ? {} : { pass: Redacted.value(password) }),
          ...(token === undefined ? {} : { token: Redacted.value(token) }),
          ...(credentialsFile === undefined
            ? {}
            : { authenticator: credsAuthenticator(Fs.readFileSync(credentialsFile)) }),
          ...(caFile === undefined && certFile === undefined ? {} : {
            tls: {
              ...(caFile === undefined ? {} : { caFile }),
              ...(certFile === undefined ? {} : { certFile }),
              ...(keyFile === undefined ? {} : { keyFile })
            }
          })
        })
      ),
      (connection) => Effect.ignore(Effect.tryPromise(() => connection.close()))
    )
    const manager = yield* request(() => jetstreamManager(connection, { timeout: requestMillis, checkAPI: false }))
    const client = jetstream(connection, { timeout: requestMillis })
    const config = yield* openStream(manager, name, stream, subject, options.create)
    const messageBytesMax = config.max_msg_size > 0 ? config.max_msg_size : Number.POSITIVE_INFINITY
    const capabilities: Destination.Capabilities = {
      durability: durabilityOf(config, options.syncAlways ?? false),
      dedupe: isSerialized(connection.info?.version ?? "") ? "compareAndAppend" : "byPosition",
      ordering: "perSource",
      atomicChunk: true,
      chunkBytesMax: Math.min(connection.info?.max_payload ?? 1024 * 1024, messageBytesMax) - headerBytesMax,
      immutability: config.deny_delete && config.deny_purge ? "guarded" : "none"
    }

    const known = new Map<string, Last>()
    const subjectOf = (source: Destination.Source): string => `${subject}.${Destination.formatSource(source)}`
    const message = (
      query: MsgRequest & { readonly next_by_subj?: string }
    ): Effect.Effect<StoredMsg | null, Failure> => request(() => manager.streams.getMessage(stream, query))

    // the request goes to the leader, which has every acknowledged message; a direct read could come from a replica
    const last = Effect.fnUntraced(function*(source: Destination.Source) {
      const key = Destination.formatSource(source)
      const found = yield* message({ last_by_subj: subjectOf(source) })
      const offset = Number(found?.header.get(headerNames.to) ?? 0)
      known.set(key, { sequence: found?.seq ?? 0, offset })
      return found === null ? undefined : { sequence: found.seq, offset, resume: found.header.get(headerNames.resume) }
    })

    const append: Destination.Destination["append"] = Effect.fnUntraced(function*(chunk) {
      const { bytes, from, lines, resume, source, to } = chunk
      if (bytes.length > capabilities.chunkBytesMax) return yield* Destination.tooLarge(name, chunk, capabilities)
      const key = Destination.formatSource(source)
      if (!known.has(key)) yield* last(source)
      const { offset, sequence } = known.get(key)!
      // whatever happens, the next append asks where the source stands, unless this one succeeds
      known.delete(key)
      if (offset !== from) return yield* new Destination.HeadMismatch({ destination: name, expected: from })
      const header = headers()
      header.set(headerNames.from, String(from))
      header.set(headerNames.to, String(to))
      header.set(headerNames.lines, String(lines))
      header.set(headerNames.resume, resume)
      const acknowledged = yield* Effect.tryPromise({
        try: () =>
          client.publish(subjectOf(source), bytes, {
            headers: header,
            expect: { streamName: stream, lastSubjectSequence: sequence }
          }),
        catch: NatsErrors.appendFailure(name, from)
      })
      known.set(key, { sequence: acknowledged.seq, offset: to })
      return undefined
    })

    const read: Destination.Destination["read"] = (source, from) =>
      Stream.unwrap(Effect.map(last(source), (end) => {
        if (end === undefined) return Stream.empty
        return Stream.paginate(1, (sequence: number) =>
          Effect.map(message({ seq: sequence, next_by_subj: subjectOf(source) }), (found) => {
            if (found === null) return [[], Option.none<number>()] as const
            const start = Number(found.header.get(headerNames.from))
            const chunk = { from: start, to: start + found.data.length, bytes: found.data }
            return [[chunk], found.seq < end.sequence ? Option.some(found.seq + 1) : Option.none<number>()] as const
          })).pipe(Stream.filter(({ to }) =>
            to > from
          ))
      }))

    const sources = Effect.map(
      request(() => manager.streams.info(stream, { subjects_filter: `${subject}.>` })),
      ({ state }) =>
        Object.keys(state.subjects ?? {})
          .map((found) => Destination.parseSource(found.slice(subject.length + 1)))
          .filter((source) => source !== undefined)
    )

    return {
      name,
      capabilities,
      head: (source) =>
        Effect.map(
          last(source),
          (found) => found === undefined ? undefined : { offset: found.offset, resume: found.resume }
        ),
      append,
      read,
      sources
    }
  })

const openStream = Effect.fnUntraced(function*(
  manager: JetStreamManager,
  name: string,
  stream: string,
  subject: string,
  create: CreateOptions | undefined
) {
  const rejected = (problem: string) =>
    new Destination.DestinationRejected({ destination: name, reason: "invalid", problem })
  const unless = (isMissing: boolean, cause: unknown): Failure | undefined =>
    isMissing ? undefined : NatsErrors.failure(name)(cause)
  // a missing stream is no failure here
  const found = yield* Effect.tryPromise({
    try: () => manager.streams.info(stream),
    catch: (cause) => unless(NatsErrors.codeOf(cause) === NatsErrors.codes.streamNotFound, cause)
  }).pipe(
    Effect.catch((failure) => {
      if (failure !== undefined) return Effect.fail(failure)
      if (create === undefined) {
        return Effect.fail(rejected(`there is no stream ${stream}; create it (auditlog ship --setup does)`))
      }
      return Effect.tryPromise({
        try: () =>
          manager.streams.add({
            name: stream,
            subjects: [`${subject}.>`],
            storage: "file",
            retention: "limits",
            discard: "new",
            deny_delete: true,
            deny_purge: true,
            num_replicas: create.replicas ?? 3,
            max_bytes: create.bytesMax ?? -1
          }),
        catch: NatsErrors.failure(name)
      })
    })
  )
  const { config } = found
  const problem = dropping(config)
  if (problem !== undefined) return yield* rejected(`the stream ${stream} ${problem}`)
  return config
})

/** Why old messages of a stream would go. */
const dropping = (config: StreamConfig): string | undefined => {
  if (config.retention !== "limits") return `has the retention ${config.retention}, which removes messages`
  if (config.discard !== "new") return "drops old messages when it is full; set discard to new"
  if (config.max_age > 0) return "drops messages by their age; set max_age to 0"
  return config.max_msgs_per_subject > 0 ? "keeps only some messages of a subject" : undefined
}

/**
 * Whether a server lets only one of two crossing publishes with the same expected sequence through. In a clustered stream
 * older ones can take both (nats-server issue 4320, pull request 5794).
 */
const isSerialized = (version: string): boolean => {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number)
  return major > 2 || (major === 2 && (minor > 10 || (minor === 10 && patch >= 19)))
}

const durabilityOf = ({ num_replicas, storage }: StreamConfig, syncAlways: boolean): Destination.Durability => {
  if (storage === "memory") return "process"
  if (num_replicas >= 3) return syncAlways ? "quorumFsync" : "quorum"
  return syncAlways ? "fsync" : "pageCache"
}
