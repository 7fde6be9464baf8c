/**
 * The transactions of one `auditlog exec`: its own, and those that are open inside it. Plain values; what goes over the
 * socket is in transactionServer.ts.
 *
 * Nothing that a program inside sends is trusted: a record is parsed and measured again here, so that whatever lands is a
 * record.
 *
 * @since 0.1.0
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Result from "effect/Result"
import { type AuditErrorReason, InvalidRecord, TransactionClosed, Unavailable } from "../AuditError.ts"
import type * as Codec from "../Codec.ts"
import * as JsonText from "../internal/jsonText.ts"
import * as SizePolicy from "../SizePolicy.ts"
import * as Transaction from "../Transaction.ts"
import type * as Protocol from "./transactionProtocol.ts"

/**
 * One connection: it answers requests, and rolls back what is open when it closes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Session {
  readonly handle: (request: Protocol.Request | undefined) => Protocol.Answer
  readonly close: () => void
}

/**
 * The open transactions. `end` closes the outermost for good and takes its records.
 *
 * @category models
 * @since 0.1.0
 */
export interface Hub {
  readonly id: string
  readonly connect: () => Session
  readonly end: () => ReadonlyArray<Codec.Encoded>
}

/** A transaction that a connection has begun, and why it cannot succeed any more. */
interface Own {
  readonly id: string
  readonly transaction: Transaction.Transaction
  fault: AuditErrorReason | undefined
}

const ok: Protocol.Answer = { ok: true }
const refuse = (reason: AuditErrorReason): Protocol.Answer => ({ ok: false, reason })

/**
 * Opens the outermost transaction.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (file: string, limits: SizePolicy.Limits, settings: Protocol.Settings): Hub => {
  const open = new Map<string, Transaction.Transaction>()
  const begin = (parent: Transaction.Transaction | undefined): Own => {
    const own: Own = { id: SecureRandom.ulidUnsafe(), transaction: Transaction.begin(parent), fault: undefined }
    open.set(own.id, own.transaction)
    return own
  }
  const root = begin(undefined)

  const add = (
    to: Transaction.Transaction,
    text: string,
    at: string
  ): Result.Result<void, AuditErrorReason> =>
    JsonText.encode(text, at).pipe(
      Result.mapError(({ problem }): AuditErrorReason => new InvalidRecord({ path: [], problem })),
      Result.flatMap((encoded) =>
        Result.flatMap(SizePolicy.admit(limits, encoded), ({ sizeBytes }) =>
          // the parsed value would be held for nothing: the appender writes the text
          Transaction.add(to, [{ ...encoded, value: undefined }], sizeBytes, limits))
      )
    )

  const connect = (): Session => {
    let joined: Transaction.Transaction | undefined
    let own: Own | undefined

    const end = () => {
      const ended = own!
      own = undefined
      open.delete(ended.id)
      return { fault: ended.fault, ...Transaction.end(ended.transaction) }
    }

    const handleJoined = (to: Transaction.Transaction, request: Protocol.Request): Protocol.Answer | undefined => {
      switch (request.op) {
        case "append": {
          const added = add(own?.transaction ?? to, request.record, request.at)
          if (Result.isSuccess(added)) return ok
          // the rest of the batch is already on its way: it must not land without this record
          if (own !== undefined) own.fault ??= added.failure
          return refuse(added.failure)
        }
        case "begin":
          if (own !== undefined) return undefined
          own = begin(to)
          return { ok: true, id: own.id }
        case "rollback":
          if (own === undefined) return undefined
          return { ok: true, records: end().records.length }
        case "commit": {
          if (own === undefined) return undefined
          const { fault, records, sizeBytes } = end()
          if (fault !== undefined) return refuse(fault)
          const added = Transaction.add(to, records, sizeBytes, limits)
          return Result.isSuccess(added) ? { ok: true, records: records.length } : refuse(added.failure)
        }
        case "join":
          return undefined
        default:
          return request satisfies never
      }
    }

    return {
      handle: (request) => {
        if (request?.op === "join" && joined === undefined) {
          joined = open.get(request.id)
          return joined === undefined ? refuse(new TransactionClosed()) : { ok: true, settings }
        }
        const answer = request === undefined || joined === undefined ? undefined : handleJoined(joined, request)
        return answer ?? refuse(notUnderstood(file))
      },
      close: () => {
        if (own !== undefined) end()
      }
    }
  }

  return {
    id: root.id,
    connect,
    end: () => {
      open.delete(root.id)
      return Transaction.end(root.transaction).records
    }
  }
}

/**
 * The answer to something that is no request.
 *
 * @category errors
 * @since 0.1.0
 */
export const notUnderstood = (file: string): Unavailable =>
  new Unavailable({
    path: file,
    problem: "auditlog exec does not understand this request; use the same version of auditlog inside and outside",
    committed: "no",
    isRetryable: false
  })
