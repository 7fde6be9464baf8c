/**
 * The side of a program that runs inside `auditlog exec`: it sends its records to the transaction there instead of
 * writing them. Loaded only where the environment names a transaction.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import * as AuditError from "../AuditError.ts"
import type { Buffered, Receipt } from "../AuditRecord.ts"
import * as Codec from "../Codec.ts"
import { errorCode } from "../internal/filePort.ts"
import { LineScanner } from "../internal/lineScanner.ts"
import * as SizePolicy from "../SizePolicy.ts"
import type * as AppenderOptions from "./appenderOptions.ts"
import * as Output from "./output.ts"
import * as Protocol from "./transactionProtocol.ts"

/**
 * A connection to the transaction around this program.
 *
 * **Details**
 *
 * `append` buffers all of the records there, or none of them. `begin` opens a transaction inside it, which `finish`
 * commits or rolls back; `finish` returns how many records it had.
 *
 * @category models
 * @since 0.1.0
 */
export interface Joined {
  readonly membership: Protocol.Membership
  readonly limits: SizePolicy.Limits
  readonly append: (
    records: ReadonlyArray<Codec.Encoded>
  ) => Effect.Effect<ReadonlyArray<Receipt>, AuditError.AuditError>
  readonly begin: Effect.Effect<Protocol.Membership, AuditError.AuditError>
  readonly finish: (op: "commit" | "rollback") => Effect.Effect<number, AuditError.AuditError>
}

/**
 * Joins the transaction that {@link Protocol.variable} names for this log; `undefined` if it names none. Until the scope
 * closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const join: (
  args: AppenderOptions.Arguments,
  variable: string
) => Effect.Effect<Joined | undefined, Output.Failure, Scope.Scope> = Effect.fnUntraced(function*(args, variable) {
  const memberships = Protocol.memberships(variable)
  if (memberships === undefined) {
    return yield* Effect.fail(
      Output.failure(`auditlog: ${Protocol.variable} is not what auditlog exec has set; unset it, or do not change it`)
    )
  }
  const membership = memberships.findLast((membership) => Protocol.isSameFile(args.file, membership))
  if (membership === undefined) return undefined
  const refused = (error: AuditError.AuditError) =>
    Output.failure(`auditlog: ${Output.printable(describe(error.reason))}`)
  const { exchange } = yield* connect(membership).pipe(Effect.mapError(refused))
  const request = (...requests: ReadonlyArray<Protocol.Request>) =>
    Effect.map(exchange(requests), (answers) => answers[answers.length - 1]!)
  const { settings } = yield* request({ op: "join", version: Protocol.version, id: membership.id }).pipe(
    Effect.mapError(refused)
  )
  if (settings === undefined) return yield* Effect.fail(refused(AuditError.make(lost(membership.file, "no"))))
  const conflict = conflicting(args, settings)
  if (conflict !== undefined) {
    return yield* Effect.fail(Output.failure(
      `auditlog: ${conflict} differs from what auditlog exec was told, which writes this log in the end. ` +
        `Nothing was appended; give the flag to auditlog exec, or leave it out here`
    ))
  }
  const { file, socket } = membership
  const { key, sync: _, ...limitsOfLog } = settings
  const limits: SizePolicy.Limits = { ...limitsOfLog, key }
  return {
    membership,
    limits,
    append: (records) => {
      const appends = records.map(toRequest)
      const all: ReadonlyArray<Protocol.Request> = records.length < 2
        ? appends
        : [{ op: "begin" }, ...appends, { op: "commit" }]
      return Effect.as(exchange(all), records.map((record) => buffered(record, limits)))
    },
    begin: Effect.map(request({ op: "begin" }), ({ id = "" }) => ({ file, socket, id })),
    finish: (op) => Effect.map(request({ op }), ({ records = 0 }) => records)
  }
})

/**
 * What an error of a transaction means to somebody in a shell.
 *
 * @category showing
 * @since 0.1.0
 */
export const describe = (reason: AuditError.AuditErrorReason): string =>
  reason._tag === "TransactionClosed"
    ? `${reason.message.split(";")[0]!}; let the command of auditlog exec wait for what it starts, ` +
      `or start what is to outlive it with env -u ${Protocol.variable}`
    : reason.message

const toRequest = ({ at, fields }: Codec.Encoded): Protocol.Request => ({ op: "append", at, record: `{${fields}}` })

const buffered = (record: Codec.Encoded, limits: SizePolicy.Limits): Buffered => ({
  writer: undefined,
  seq: undefined,
  bytes: Codec.lineBytesMax(record.fieldsBytes, limits.key),
  hash: undefined,
  durability: "buffered",
  oversize: SizePolicy.isOversize(limits, record)
})

/** The first flag that asks for something else than what the transaction is written with. */
const conflicting = (args: AppenderOptions.Arguments, settings: Protocol.Settings): string | undefined =>
  args.sync !== undefined && Protocol.syncSetting(args.sync) !== settings.sync
    ? "--sync"
    : args.sizePolicy !== undefined && args.sizePolicy !== settings.sizePolicy._tag
    ? "--size-policy"
    : args.limitBytes !== undefined && args.limitBytes !== settings.sizePolicy.limitBytes
    ? "--limit"
    : undefined

// ---------------------------------------------------------------------------------------------------------------------
// The connection
// ---------------------------------------------------------------------------------------------------------------------

type Success = Extract<Protocol.Answer, { readonly ok: true }>
type Answers = Effect.Effect<ReadonlyArray<Success>, AuditError.AuditError>

/** Requests that were sent together, and the answers that have come. */
interface Exchange {
  readonly count: number
  readonly answers: Array<Protocol.Answer>
  readonly resume: (result: Answers) => void
}

interface Connection {
  /** Sends requests together and waits for all answers. Fails with the first that is no success. */
  readonly exchange: (requests: ReadonlyArray<Protocol.Request>) => Answers
}

const lost = (file: string, committed: AuditError.Committed): AuditError.Unavailable =>
  new AuditError.Unavailable({
    path: file,
    problem: "auditlog exec ended before it answered",
    committed,
    isRetryable: false
  })

const connect = (membership: Protocol.Membership): Effect.Effect<Connection, AuditError.AuditError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(open(membership), (socket) => Effect.sync(() => socket.destroy())),
    (socket) => converse(socket, membership.file)
  )

const open = ({ file, socket: path }: Protocol.Membership): Effect.Effect<Net.Socket, AuditError.AuditError> =>
  Effect.callback((resume) => {
    const socket = Net.connect({ path })
    const onError = (cause: unknown): void => {
      const code = errorCode(cause)
      resume(Effect.fail(AuditError.make(
        // the socket is gone, or its program is
        code === "ENOENT" || code === "ECONNREFUSED"
          ? new AuditError.TransactionClosed()
          : new AuditError.Unavailable({
            path: file,
            problem: `auditlog exec cannot be reached at ${path} (${code})`,
            committed: "no",
            isRetryable: false
          })
      )))
    }
    socket.once("error", onError)
    socket.once("connect", () => {
      socket.off("error", onError)
      resume(Effect.succeed(socket))
    })
    return Effect.sync(() => socket.destroy())
  })

/** Requests and answers are in the same order. */
const converse = (socket: Net.Socket, file: string): Connection => {
  const scanner = new LineScanner({ offset: 0, lineBytesMax: Protocol.answerBytesMax })
  const waiting: Array<Exchange> = []
  let isOpen = true

  const take = (answer: Protocol.Answer): void => {
    const exchange = waiting[0]
    if (exchange === undefined) return
    exchange.answers.push(answer)
    if (exchange.answers.length < exchange.count) return
    waiting.shift()
    exchange.resume(successes(exchange.answers))
  }
  const end = (): void => {
    isOpen = false
    for (const exchange of waiting.splice(0)) {
      const failure = exchange.answers.find((answer) => !answer.ok)
      exchange.resume(
        failure === undefined
          ? Effect.fail(AuditError.make(lost(file, "unknown")))
          : successes([failure])
      )
    }
  }

  socket.on("error", () => {})
  socket.on("close", end)
  socket.on("data", (block: Buffer) =>
    scanner.feed(block, ({ bytes }) => {
      const answer = bytes === undefined ? undefined : Protocol.readAnswer(bytes)
      if (answer === undefined) socket.destroy()
      else take(answer)
    }))

  return {
    exchange: (requests) =>
      Effect.callback((resume) => {
        if (requests.length === 0) return resume(Effect.succeed([]))
        if (!isOpen) return resume(Effect.fail(AuditError.make(new AuditError.TransactionClosed())))
        waiting.push({ count: requests.length, answers: [], resume })
        if (socket.writableCorked === 0) {
          // the requests of all fibers that are ready to run go in one write
          socket.cork()
          process.nextTick(() => socket.uncork())
        }
        for (const request of requests) socket.write(Protocol.writeRequest(request))
      })
  }
}

const successes = (answers: ReadonlyArray<Protocol.Answer>): Answers => {
  const taken: Array<Success> = []
  for (const answer of answers) {
    if (!answer.ok) return Effect.fail(AuditError.make(answer.reason))
    taken.push(answer)
  }
  return Effect.succeed(taken)
}
