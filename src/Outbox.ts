/**
 * Where records wait that belong to a transaction of a database: the port between the audit log and the outbox table.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as AuditError from "./AuditError.ts"
import type { Buffered } from "./AuditRecord.ts"
import type * as Codec from "./Codec.ts"
import type * as SizePolicy from "./SizePolicy.ts"

/**
 * Stages records in the transaction that is open in the calling fiber.
 *
 * **Details**
 *
 * `append` succeeds when the records are rows of the transaction: they reach the log if and only if it commits. It fails
 * with `NoTransaction` if none is open, and with `TransactionClosed` if the one of this fiber has ended.
 *
 * `refuse` keeps the open transaction from committing, whatever its code makes of the failure, because a record of it
 * could not be staged; a savepoint that is rolled back takes the refusal with it. Callers call it, uninterruptibly, after
 * every failure, defect and interruption of their own or of `append`.
 *
 * `transaction` runs an effect in a transaction of the database, or in a savepoint of the one that is open.
 *
 * `limits` are those of the log that a relay appends the records to; callers check records against them first.
 *
 * @category services
 * @since 0.1.0
 */
export class Outbox extends Context.Service<Outbox, {
  readonly limits: SizePolicy.Limits
  readonly append: (
    records: ReadonlyArray<Codec.Encoded>
  ) => Effect.Effect<ReadonlyArray<Buffered>, AuditError.AuditError>
  readonly refuse: (cause: Cause.Cause<AuditError.AuditError>) => Effect.Effect<void>
  readonly transaction: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | AuditError.AuditError, R>
}>()("effect-auditlog/Outbox") {}
