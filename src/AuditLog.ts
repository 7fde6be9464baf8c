/**
 * The audit log as programs use it: a typed service that validates records with a schema, appends them, and groups
 * appends into transactions.
 *
 * **Example**
 *
 * ```ts
 * const Event = Schema.TaggedUnion({ RoleGranted: { actor: Schema.String, role: Schema.String } })
 *
 * class Audit extends AuditLog.Service<Audit>()("app/Audit", { schema: Event }) {}
 *
 * const AuditLive = Audit.layer.pipe(Layer.provide(FileAppender.layer({ path: "audit.jsonl" })))
 * ```
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { Appender, makeMemory } from "./Appender.ts"
import * as AuditError from "./AuditError.ts"
import type { Buffered, Receipt } from "./AuditRecord.ts"
import type * as Codec from "./Codec.ts"
import * as AppendContext from "./internal/appendContext.ts"
import * as CurrentTransaction from "./internal/currentTransaction.ts"
import * as RecordEncoder from "./internal/recordEncoder.ts"
import { Outbox } from "./Outbox.ts"
import * as SizePolicy from "./SizePolicy.ts"
import * as Transaction from "./Transaction.ts"

/**
 * Appends records.
 *
 * @category models
 * @since 0.1.0
 */
export interface Writer<in A> {
  /**
   * Appends one record. Outside a transaction it succeeds only when the record's line is in the log, whole and as
   * durable as the sync policy asks. Inside one it succeeds when the record is valid and buffered.
   */
  readonly append: (record: A) => Effect.Effect<Receipt, AuditError.AuditError>
  /**
   * Appends records as a transaction of their own, or as part of the one that is open: a reader sees all of them or
   * none. The receipts are in the order of the records. No records, no write.
   */
  readonly appendAll: (records: Iterable<A>) => Effect.Effect<ReadonlyArray<Receipt>, AuditError.AuditError>
}

/**
 * An audit log for records of type `A`.
 *
 * @category models
 * @since 0.1.0
 */
export interface AuditLog<in A> extends Writer<A> {
  /**
   * Runs an effect and lands the appends of it, of its children and of what it calls, all together, when it succeeds.
   * When it fails, dies or is interrupted, nothing of it is written.
   *
   * **Details**
   *
   * A failure of the write fails the result, after the effect itself has succeeded. Waiting for the write cannot be
   * interrupted: an interrupt that comes then takes effect after it, and the records have landed. An inner transaction joins the outer one when it succeeds, and disappears when it fails. An append by
   * a fiber that outlives the transaction fails with `TransactionClosed`. A transaction without appends writes nothing.
   */
  readonly transaction: <B, E, R>(effect: Effect.Effect<B, E, R>) => Effect.Effect<B, E | AuditError.AuditError, R>
  /**
   * A transaction bound to the current scope: what is appended through the returned writer lands when the scope closes
   * with success, and is discarded otherwise.
   *
   * **Gotchas**
   *
   * Finalizers have no typed errors: a failure of the write becomes a defect of the scope. Prefer `transaction`, unless
   * the code already has a scope that decides.
   */
  readonly scoped: Effect.Effect<Writer<A>, never, Scope.Scope>
}

/**
 * What a test reads from, and does to, the log of `layerTest`.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestLog<out A> {
  /** The records that landed, in the order of the log, decoded. */
  readonly records: Effect.Effect<ReadonlyArray<A>>
  /** What a log file would hold, to the byte. */
  readonly text: Effect.Effect<string>
  /** Makes the next writes (`times`, 1 by default) fail with a reason; nothing of them lands. */
  readonly failNext: (
    reason: AuditError.AuditErrorReason,
    options?: { readonly times?: number }
  ) => Effect.Effect<void>
}

/**
 * The identifier of the {@link TestLog} of one service.
 *
 * @category models
 * @since 0.1.0
 */
export interface Test<in out Self> {
  readonly "~effect-auditlog/AuditLog/Test": (_: Self) => Self
}

/**
 * The schemas an audit log takes: they encode without services, to an object that has neither of the reserved keys
 * `_audit` and `_hash`.
 *
 * @category models
 * @since 0.1.0
 */
export type RecordSchema<S extends Schema.ConstraintEncoder<unknown>> = [Unfit<S["Encoded"]>] extends [never] ? S
  : { readonly "a record must encode to a JSON object without the keys _audit and _hash": Unfit<S["Encoded"]> }

type Unfit<Encoded> = 0 extends 1 & Encoded ? never
  : Encoded extends
    | string
    | number
    | boolean
    | bigint
    | symbol
    | null
    | undefined
    | ReadonlyArray<unknown>
    | Date
    | Uint8Array
    | ReadonlyMap<unknown, unknown>
    | ReadonlySet<unknown> ? Encoded
  : string extends keyof Encoded ? never
  : Extract<keyof Encoded, "_audit" | "_hash">

/**
 * The class that {@link Service} returns, to be extended.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceClass<Self, Name extends string, S extends Schema.ConstraintEncoder<unknown>>
  extends Context.ServiceClass<Self, `effect-auditlog/${Name}`, AuditLog<S["Type"]>>
{
  /** The schema of the records. */
  readonly schema: S
  /**
   * The log on top of an appender. Built anew wherever it is provided, so that a layer provided inside another one
   * writes to its own file; logs of this class on one appender share their transactions.
   */
  readonly layer: Layer.Layer<Self, never, Appender>
  /**
   * The log on top of an outbox: an append inside a SQL transaction stages its record there, so that it reaches the log
   * if and only if the transaction commits. Code that appends is the same as with {@link ServiceClass.layer}.
   *
   * **Details**
   *
   * Without an open SQL transaction an append fails with `NoTransaction`. `transaction` runs its effect in a SQL
   * transaction of the client, or in a savepoint of the one that is open. What is appended through `scoped` is staged when
   * the scope closes, which has to be inside the SQL transaction.
   */
  readonly layerOutbox: Layer.Layer<Self, never, Outbox>
  /** The log in memory, and the {@link TestLog} that shows what landed. */
  readonly layerTest: Layer.Layer<Self | Test<Self>>
  /** `layerTest` with limits of its own, such as a size policy that rejects. */
  readonly layerTestWith: (limits: Partial<SizePolicy.Limits>) => Layer.Layer<Self | Test<Self>>
  /** The key of the test log that `layerTest` provides. */
  readonly Test: Context.Service<Test<Self>, TestLog<S["Type"]>>
  /** {@link AuditLog.transaction} of the log in the context. */
  readonly transaction: <B, E, R>(
    effect: Effect.Effect<B, E, R>
  ) => Effect.Effect<B, E | AuditError.AuditError, R | Self>
}

/**
 * Makes the service of an audit log: a class to extend, so that each log is a type of its own.
 *
 * **Gotchas**
 *
 * Names identify services at run time: two logs of one name in one program share a slot, whatever their schemas.
 *
 * @category constructors
 * @since 0.1.0
 */
export const Service = <Self>() =>
<const Name extends string, S extends Schema.ConstraintEncoder<unknown>>(
  name: Name,
  options: { readonly schema: S & RecordSchema<S> }
): ServiceClass<Self, Name, S> => {
  const schema: S = options.schema
  const key = Context.Service<Self, AuditLog<S["Type"]>>()(`effect-auditlog/${name}` as const)
  const Test = Context.Service<Test<Self>, TestLog<S["Type"]>>(`effect-auditlog/${name}/Test`)
  const encoder = RecordEncoder.make(schema)
  // One reference for each appender, so that a transaction of one log never takes the records of another.
  const references = new WeakMap<Appender["Service"], CurrentTransaction.CurrentTransaction>()
  const build = (appender: Appender["Service"]): AuditLog<S["Type"]> => {
    const reference = references.get(appender) ?? CurrentTransaction.make(name)
    references.set(appender, reference)
    return make(encoder, appender, reference)
  }
  const staging = (outbox: Outbox["Service"]): AuditLog<S["Type"]> => ({
    ...make(encoder, outbox, CurrentTransaction.make(name), outbox.refuse),
    transaction: outbox.transaction
  })
  // What landed, not what was passed in: the schema may have left keys out, and the caller may have changed its object
  // since. A schema that only encodes, or needs services to decode, gives the value of the caller.
  const fromJson = Schema.decodeUnknownEffect(Schema.toCodecJson(schema)) as (
    json: unknown
  ) => Effect.Effect<S["Type"], Schema.SchemaError>
  const decode = ({ fields, value }: Codec.Encoded): Effect.Effect<S["Type"]> =>
    Effect.suspend(() => fromJson(JSON.parse(`{${fields}}`))).pipe(
      Effect.catchCause(() => Effect.succeed(value as S["Type"]))
    )
  const layerTestWith = (limits: Partial<SizePolicy.Limits>): Layer.Layer<Self | Test<Self>> =>
    Layer.effectContext(Effect.sync(() => {
      const { appender, memory } = makeMemory(limits)
      return Context.make(key, build(appender)).pipe(
        Context.add(Test, {
          records: Effect.flatMap(memory.records, (records) => Effect.forEach(records, decode)),
          text: memory.text,
          failNext: memory.failNext
        })
      )
    }))
  return Object.assign(key, {
    schema,
    Test,
    // A layer value is built once for all nested provides of it: without `fresh` the log of an outer one would stand in
    // for that of an inner one, on another file.
    layer: Layer.fresh(Layer.effect(key, Effect.map(Appender, build))),
    layerOutbox: Layer.fresh(Layer.effect(key, Effect.map(Outbox, staging))),
    layerTest: layerTestWith({}),
    layerTestWith,
    transaction: <B, E, R>(effect: Effect.Effect<B, E, R>) => key.use((log) => log.transaction(effect))
  })
}

const make = <A>(
  encoder: RecordEncoder.RecordEncoder,
  appender: Appender["Service"] | Outbox["Service"],
  Current: CurrentTransaction.CurrentTransaction,
  /** What the outbox does about an append that failed. */
  refuse?: Outbox["Service"]["refuse"]
): AuditLog<A> => {
  const watched = AppendContext.watching(refuse)
  const watchedByOutbox: typeof watched = refuse === undefined ? identity : watched
  const { limits } = appender
  // out of an outbox a line is longer by the identity of its row
  const source = refuse === undefined ? undefined : ""
  const store = (
    span: string,
    records: ReadonlyArray<Codec.Encoded>,
    fiber: Fiber.Fiber<unknown, unknown>
  ): Effect.Effect<ReadonlyArray<Receipt>, AuditError.AuditError> => {
    const append: Effect.Effect<ReadonlyArray<Receipt>, AuditError.AuditError> = appender.append(records)
    const stored = AppendContext.traced(span, fiber, records.length, append)
    return limits.sizePolicy._tag === "Warn" && records.some((record) => SizePolicy.isOversize(limits, record))
      ? Effect.tap(stored, () => Effect.ignoreCause(AppendContext.warnOversize(records, limits)))
      : stored
  }

  const admit = (encoded: Codec.Encoded): Exit.Exit<Prepared, AuditError.AuditError> => {
    const admitted = SizePolicy.admit(limits, encoded)
    if (Result.isFailure(admitted)) return Exit.fail(AuditError.make(admitted.failure))
    const { oversize, sizeBytes } = admitted.success
    return Exit.succeed({ encoded, sizeBytes, oversize })
  }

  const prepare = (record: A, fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<Prepared, AuditError.AuditError> => {
    const encoded = encoder(record, { at: AppendContext.timestamp(fiber), trace: AppendContext.trace(fiber), source })
    return RecordEncoder.isReady(encoded) ? admit(encoded.value) : Effect.flatMap(encoded, admit)
  }

  const prepareAll = (
    records: Iterable<A>,
    fiber: Fiber.Fiber<unknown, unknown>
  ): Effect.Effect<ReadonlyArray<Prepared>, AuditError.AuditError> => {
    const prepared: Array<Prepared> = []
    const rest = records[Symbol.iterator]()
    for (let next = rest.next(); next.done !== true; next = rest.next()) {
      const one = prepare(next.value, fiber)
      if (!RecordEncoder.isReady(one)) {
        const others = Array.from({ [Symbol.iterator]: () => rest })
        return Effect.flatMap(
          one,
          (first) =>
            Effect.map(
              Effect.forEach(others, (record) => prepare(record, fiber)),
              (following) => [...prepared, first, ...following]
            )
        )
      }
      prepared.push(one.value)
    }
    return Exit.succeed(prepared)
  }

  const write = (
    records: ReadonlyArray<Prepared>,
    fiber: Fiber.Fiber<unknown, unknown>,
    tx: Transaction.Transaction | undefined
  ): Effect.Effect<ReadonlyArray<Receipt>, AuditError.AuditError> => {
    let sizeBytes = 0
    for (const record of records) sizeBytes += record.sizeBytes
    const encoded = records.map((record) => record.encoded)
    const fit = tx === undefined
      ? Transaction.checkSize(records.length, sizeBytes, limits)
      : Transaction.add(tx, encoded, sizeBytes, limits)
    if (Result.isFailure(fit)) return Effect.fail(AuditError.make(fit.failure))
    return tx === undefined
      ? store("AuditLog.append", encoded, fiber)
      : Effect.succeed(records.map(buffered))
  }

  /** What becomes of an append of one record: one node of Effect for success and failure. */
  const oneReceipt = {
    onSuccess: (receipts: ReadonlyArray<Receipt>) => Exit.succeed(receipts[0]!),
    onFailure: refuse === undefined
      ? (cause: Cause.Cause<AuditError.AuditError>) => watched(Effect.failCause(cause))
      : Effect.failCause<AuditError.AuditError>
  }

  const writer = (
    current: (fiber: Fiber.Fiber<unknown, unknown>) => Transaction.Transaction | undefined
  ): Writer<A> => ({
    append: (record) =>
      watchedByOutbox(Effect.matchCauseEffect(
        Effect.withFiber<ReadonlyArray<Receipt>, AuditError.AuditError>((fiber) => {
          const prepared = prepare(record, fiber)
          return RecordEncoder.isReady(prepared)
            ? write([prepared.value], fiber, current(fiber))
            : Effect.flatMap(prepared, (one) => write([one], fiber, current(fiber)))
        }),
        oneReceipt
      )),
    appendAll: (records) =>
      Effect.withFiber<ReadonlyArray<Receipt>, AuditError.AuditError>((fiber) =>
        Effect.flatMap(prepareAll(records, fiber), (prepared) => write(prepared, fiber, current(fiber)))
      ).pipe(watched)
  })

  const land = (tx: Transaction.Transaction): Effect.Effect<void, AuditError.AuditError> =>
    Effect.withFiber<void, AuditError.AuditError>((fiber) => {
      const { records, sizeBytes } = Transaction.end(tx)
      if (records.length === 0) return Effect.void
      if (tx.parent === undefined) {
        return Effect.asVoid(store("AuditLog.commit", records, fiber))
      }
      const joined = Transaction.add(tx.parent, records, sizeBytes, limits)
      return Result.isFailure(joined) ? Effect.fail(AuditError.make(joined.failure)) : Effect.void
    }).pipe(watched, Effect.uninterruptible)

  return {
    ...writer((fiber) => fiber.getRef(Current)),
    transaction: (effect) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Current, (parent) => {
          const tx = Transaction.begin(parent)
          return Effect.matchCauseEffect(restore(Effect.provideService(effect, Current, tx)), {
            onFailure: (cause) => {
              Transaction.end(tx)
              return Effect.failCause(cause)
            },
            onSuccess: (value) => Effect.as(land(tx), value)
          })
        })
      ),
    scoped: Effect.uninterruptible(Effect.gen(function*() {
      const tx = Transaction.begin(yield* Current)
      yield* Scope.addFinalizerExit(yield* Effect.scope, (exit) =>
        Exit.isSuccess(exit)
          ? Effect.orDie(land(tx))
          : Effect.sync(() => Transaction.end(tx)))
      return writer(() => tx)
    }))
  }
}

interface Prepared {
  readonly encoded: Codec.Encoded
  readonly sizeBytes: number
  readonly oversize: boolean
}

const buffered = ({ oversize, sizeBytes }: Prepared): Buffered => ({
  writer: undefined,
  seq: undefined,
  bytes: sizeBytes,
  hash: undefined,
  durability: "buffered",
  oversize
})
