/**
 * What `auditlog exec` does: runs a command, buffers the appends inside it, and lands them all when the command has
 * succeeded. They are in this program's memory and nowhere else until then, so whatever ends it, nothing has landed.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import type * as AuditError from "../AuditError.ts"
import * as FileAppender from "../FileAppender.ts"
import * as AppenderOptions from "./appenderOptions.ts"
import * as ChildCommand from "./childCommand.ts"
import { describe, join, type Joined } from "./joinTransaction.ts"
import * as Output from "./output.ts"
import * as Hub from "./transactionHub.ts"
import * as Protocol from "./transactionProtocol.ts"
import * as Server from "./transactionServer.ts"

/**
 * The arguments of `auditlog exec`. `command` has one word at least.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments extends AppenderOptions.Arguments {
  readonly command: ReadonlyArray<string>
}

/** The transaction of this command, from its opening to its end. */
interface Transaction {
  readonly membership: Protocol.Membership
  /** How many records have landed, or joined the transaction around this one. */
  readonly commit: Effect.Effect<number, CommitFailed>
  /** How many records were discarded. */
  readonly discard: Effect.Effect<number>
  /** Where records go, in words. */
  readonly place: string
}

interface CommitFailed {
  readonly error: AuditError.AuditError
  /** Absent where the transaction around this one can no longer say. */
  readonly records: number | undefined
}

/** How this program ends: with the exit code, after these lines on stderr. */
interface Outcome {
  readonly code: number
  readonly lines: ReadonlyArray<string>
}

/**
 * Runs the command, then ends the process with its exit code.
 *
 * **Details**
 *
 * It is not interrupted by signals: they are for the command, and what becomes of it decides. Nor does it return, since a
 * runtime that has been signalled would exit with a code of its own.
 *
 * @category running
 * @since 0.1.0
 */
export const run = (args: Arguments) =>
  Effect.suspend(() => {
    // The last flush of a sync interval happens when the log closes, where its failure can only be logged.
    let failed = false
    const logger = Output.logger(() => {
      failed = true
    })
    return Effect.scoped(execute(args)).pipe(
      Effect.catchTag("Failure", ({ exitCode, lines }) => Effect.succeed<Outcome>({ code: exitCode, lines })),
      Effect.provide(Logger.layer([logger])),
      Effect.map((outcome): Outcome =>
        failed && outcome.code === 0
          ? { code: 2, lines: [`auditlog: records may be missing from ${args.file}: see the error above`] }
          : outcome
      ),
      Effect.tap(({ lines }) => lines.length > 0 ? Output.stderr(lines) : Effect.void),
      Effect.flatMap(({ code }) => Effect.sync(() => process.exit(code))),
      Effect.uninterruptible
    )
  })

const execute = Effect.fnUntraced(function*(args: Arguments) {
  const child = yield* ChildCommand.make(args.command)
  const variable = yield* Effect.orElseSucceed(Config.NonEmptyString(Protocol.variable), () => undefined)
  const joined = variable === undefined ? undefined : yield* join(args, variable)
  const transaction = joined === undefined ? yield* openTransaction(args) : yield* openNested(joined)
  const around = variable === undefined ? [] : Protocol.memberships(variable) ?? []
  const ended = yield* child.run({
    ...process.env,
    [Protocol.variable]: JSON.stringify([...around, transaction.membership])
  })
  const name = Output.printable(args.command[0]!)
  if (ended.code === 0) {
    return yield* transaction.commit.pipe(
      Effect.match({
        onSuccess: (): Outcome => ({ code: 0, lines: [] }),
        onFailure: (failed): Outcome => ({ code: 2, lines: [notCommitted(name, transaction.place, failed)] })
      })
    )
  }
  const discarded = yield* transaction.discard
  const lines = ended.problem === undefined ? [] : [`auditlog: ${ended.problem}`]
  if (discarded > 0) {
    lines.push(`auditlog: ${name} ${ended.how}; ${countOf(discarded)} discarded, nothing was appended`)
  }
  return { code: ended.code, lines }
})

const countOf = (records: number): string => records === 1 ? "1 record was" : `${records} records were`

const notCommitted = (name: string, place: string, { error, records }: CommitFailed): string => {
  const which = records === undefined ? "its records" : records === 1 ? "its record" : `its ${records} records`
  const are = records === 1 ? "is" : "are"
  const standing = error.committed === "no"
    ? `${which} ${are} not in ${place}`
    : records === 1
    ? `${which} may be in ${place} or not`
    : `${which} may be in ${place} or not, all of them or none`
  return `auditlog: ${name} succeeded, but ${standing}: ${Output.printable(describe(error.reason))}`
}

/** The log is opened before the command is started, so that a run whose records could not land does not begin. */
const openTransaction = Effect.fnUntraced(function*(args: Arguments) {
  const options = yield* AppenderOptions.make(args)
  const { append, limits } = yield* FileAppender.make(options).pipe(
    Effect.mapError((error) =>
      Output.failure(`auditlog: ${Output.printable(error.message)}; the command was not started`)
    )
  )
  const file = Protocol.resolve(args.file)
  const settings = Protocol.settingsOf(options.sync, limits)
  const hub = Hub.make(file, limits, settings)
  const socket = yield* Server.listen(hub, file, settings)
  return {
    membership: { file, socket, id: hub.id },
    commit: Effect.suspend(() => {
      const records = hub.end()
      return append(records).pipe(
        Effect.as(records.length),
        Effect.mapError((error): CommitFailed => ({ error, records: records.length }))
      )
    }),
    discard: Effect.sync(() => hub.end().length),
    place: Output.printable(args.file)
  } satisfies Transaction
})

/** A transaction inside that of the `auditlog exec` around this one, which buffers its records. */
const openNested: (joined: Joined) => Effect.Effect<Transaction, Output.Failure, Scope.Scope> = Effect
  .fnUntraced(function*({ begin, finish, membership: { file } }) {
    const membership = yield* begin.pipe(
      Effect.mapError(({ reason }) =>
        Output.failure(`auditlog: ${Output.printable(describe(reason))}; the command was not started`)
      )
    )
    return {
      membership,
      commit: Effect.mapError(finish("commit"), (error): CommitFailed => ({ error, records: undefined })),
      discard: Effect.orElseSucceed(finish("rollback"), () => 0),
      place: `the transaction of the auditlog exec around it on ${Output.printable(file)}`
    }
  })
