/**
 * Where encoded records go: the port that every storage backend implements, and a backend in memory.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as AuditError from "./AuditError.ts"
import type { Written } from "./AuditRecord.ts"
import type * as Codec from "./Codec.ts"
import * as HashChain from "./HashChain.ts"
import * as SizePolicy from "./SizePolicy.ts"

/**
 * Stamps, chains and stores records.
 *
 * **Details**
 *
 * `append` takes the records of one transaction, in order, and succeeds only when all of them are stored as `limits`
 * and the backend's sync policy say; a reader sees all of them or none, at every instant. When it fails, the error's
 * `committed` says whether they may be stored all the same. Records of one fiber are stored in the order of its calls.
 * An interrupted `append` may still be stored. An empty batch succeeds and writes nothing.
 *
 * Callers check records against `limits` with `SizePolicy.admit` first, so that a record which is too large is refused
 * where it is appended; backends MAY rely on that.
 *
 * @category services
 * @since 0.1.0
 */
export class Appender extends Context.Service<Appender, {
  readonly limits: SizePolicy.Limits
  readonly append: (
    records: ReadonlyArray<Codec.Encoded>
  ) => Effect.Effect<ReadonlyArray<Written>, AuditError.AuditError>
}>()("effect-auditlog/Appender") {}

/**
 * The receipts of records that have become lines.
 *
 * @category constructors
 * @since 0.1.0
 */
export const receipts = (
  lines: ReadonlyArray<HashChain.Line>,
  writer: string,
  durability: Written["durability"],
  oversize: (index: number) => boolean
): ReadonlyArray<Written> =>
  lines.map(({ bytes, hash, seq }, i) => ({ writer, seq, bytes, hash, durability, oversize: oversize(i) }))

/**
 * The records as a transaction with an id of its own, as {@link HashChain.link} takes them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const group = (records: ReadonlyArray<Codec.Encoded>): HashChain.Group => ({
  id: records.length > 1 ? SecureRandom.ulidUnsafe() : "",
  records
})

/**
 * What a memory appender holds, and how to make it fail.
 *
 * **Details**
 *
 * `text` is what a log file would hold, to the byte. `records` are the records in that order, as they were appended.
 * `failNext` makes the next `times` appends (1 by default) fail with the given reason; nothing of them is stored, also
 * where the reason says that it may be.
 *
 * @category services
 * @since 0.1.0
 */
export class Memory extends Context.Service<Memory, {
  readonly text: Effect.Effect<string>
  readonly records: Effect.Effect<ReadonlyArray<Codec.Encoded>>
  readonly failNext: (reason: AuditError.AuditErrorReason, options?: { readonly times?: number }) => Effect.Effect<void>
}>()("effect-auditlog/Appender/Memory") {}

/**
 * Keeps the log in memory: for tests, and for programs that have no file system. Nothing survives the process.
 *
 * @category layers
 * @since 0.1.0
 */
export const makeMemory = (
  options: Partial<SizePolicy.Limits> = {}
): { readonly appender: Appender["Service"]; readonly memory: Memory["Service"] } => {
  const limits: SizePolicy.Limits = { ...SizePolicy.limitsDefault, ...options, key: undefined }
  const digest = HashChain.digest(undefined)
  const lines: Array<string> = []
  const stored: Array<Codec.Encoded> = []
  const failures: Array<AuditError.AuditErrorReason> = []
  let head: HashChain.Head = { writer: SecureRandom.ulidUnsafe(), seq: 0, prev: undefined }
  const appender = Appender.of({
    limits,
    append: (records) =>
      Effect.suspend(() => {
        const failure = failures.shift()
        if (failure !== undefined) return Effect.fail(AuditError.make(failure))
        const linked = HashChain.link(head, group(records), { seen: undefined, attempt: 0, key: undefined, digest })
        head = linked.head
        for (const line of linked.lines) lines.push(line.text)
        stored.push(...records)
        return Effect.succeed(
          receipts(linked.lines, head.writer, "memory", (i) => SizePolicy.isOversize(limits, records[i]!))
        )
      })
  })
  const memory = Memory.of({
    text: Effect.sync(() => lines.join("")),
    records: Effect.sync(() => stored.slice()),
    failNext: (reason, { times = 1 } = {}) =>
      Effect.sync(() => {
        for (let i = 0; i < times; i++) failures.push(reason)
      })
  })
  return { appender, memory }
}

/**
 * The layer of {@link makeMemory}; every build has a log of its own.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<Appender | Memory> = Layer.effectContext(Effect.sync(() => {
  const { appender, memory } = makeMemory()
  return Context.make(Appender, appender).pipe(Context.add(Memory, memory))
}))
