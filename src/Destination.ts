/**
 * Where a log is shipped to: the port that every engine behind an adapter implements, a destination in memory, and how a
 * log is read back from any of them.
 *
 * A destination keeps a copy of the log as one run of bytes for each source. It is its own checkpoint: a chunk says where
 * it begins, and is taken only if that is where the destination stands.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

/**
 * Which log it is: a UUID that is kept beside the log, and a number that goes up when the log was restored, cut or
 * rewritten, so that what follows does not continue what was shipped before.
 *
 * @category models
 * @since 0.1.0
 */
export interface Source {
  readonly id: string
  readonly generation: number
}

/**
 * A source as text, `<uuid>.<generation>`.
 *
 * @category models
 * @since 0.1.0
 */
export const formatSource = ({ generation, id }: Source): string => `${id}.${generation}`

const sourcePattern = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([1-9]\d{0,8})$/

/**
 * The source that a text of {@link formatSource} names; `undefined` if it names none.
 *
 * @category models
 * @since 0.1.0
 */
export const parseSource = (text: string): Source | undefined => {
  const [, id, generation] = sourcePattern.exec(text) ?? []
  return id === undefined ? undefined : { id, generation: Number(generation) }
}

/**
 * How far a destination has a source.
 *
 * **Details**
 *
 * `offset` counts the bytes that were shipped of this generation. `resume` says where reading the local log goes on
 * after them; to a destination it is a text of at most {@link resumeBytesMax} ASCII characters that it stores and gives
 * back.
 *
 * @category models
 * @since 0.1.0
 */
export interface Head {
  readonly offset: number
  readonly resume: string
}

/**
 * A run of whole lines of one source, byte for byte as they stand in its log: never a part of a transaction, and never
 * lines of two segments.
 *
 * **Details**
 *
 * `from` is the offset that the destination must have now, `to` the one after it: `from` and the length of `bytes`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Chunk {
  readonly source: Source
  readonly from: number
  readonly to: number
  readonly lines: number
  readonly bytes: Uint8Array
  readonly resume: string
}

/**
 * The length that a `resume` has at most: four segments with a name, an inode, an offset and a check each.
 *
 * @category constants
 * @since 0.1.0
 */
export const resumeBytesMax = 1024

/**
 * What survives what after an acknowledgement, weakest first.
 *
 * **Details**
 *
 * `process`: nothing but the client's own crash. `pageCache`: the death of the server's process, not of its machine.
 * `fsync`: a power cut. `quorum`: the loss of a machine and its disk; not a power cut of all of them at once.
 * `quorumFsync`: both.
 *
 * @category models
 * @since 0.1.0
 */
export const Durability = Schema.Literals(["process", "pageCache", "fsync", "quorum", "quorumFsync"])

/**
 * The type of {@link Durability}.
 *
 * @category models
 * @since 0.1.0
 */
export type Durability = typeof Durability.Type

/**
 * Whether a durability is at least as strong as another one.
 *
 * @category models
 * @since 0.1.0
 */
export const isAtLeast = (durability: Durability, wanted: Durability): boolean =>
  Durability.literals.indexOf(durability) >= Durability.literals.indexOf(wanted)

/**
 * What a destination really promises.
 *
 * **Details**
 *
 * - `dedupe`: `compareAndAppend`: a chunk is taken once, whoever appends it how often. `byPosition`: two appends that cross
 *   can both be taken, and {@link bytes} leaves the repeat out. `none`: a chunk may arrive again, and nobody can tell.
 * - `ordering`: whether the lines of a source keep their order.
 * - `atomicChunk`: whether a reader can see a part of a chunk.
 * - `chunkBytesMax`: larger chunks are refused.
 * - `immutability`: `none`: clients can change what is there. `guarded`: only an administrator can. `writeOnce`: nobody.
 *
 * @category models
 * @since 0.1.0
 */
export interface Capabilities {
  readonly durability: Durability
  readonly dedupe: "compareAndAppend" | "byPosition" | "none"
  readonly ordering: "perSource" | "none"
  readonly atomicChunk: boolean
  readonly chunkBytesMax: number
  readonly immutability: "none" | "guarded" | "writeOnce"
}

/**
 * The destination does not stand where the chunk begins: an acknowledgement was lost, or somebody else has shipped.
 * Nothing of the chunk was taken. Read the head and go on from there.
 *
 * @category errors
 * @since 0.1.0
 */
export class HeadMismatch extends Schema.TaggedError<HeadMismatch>("effect-auditlog/Destination/HeadMismatch")(
  "HeadMismatch",
  { destination: Schema.String, expected: Schema.Natural }
) {
  override get message(): string {
    return `${this.destination} does not stand at offset ${this.expected}: another shipper has moved it, or the ` +
      `acknowledgement of the chunk before was lost`
  }
}

/**
 * The destination did not answer as it should: it may have taken the chunk or not. Read the head again, then retry.
 *
 * @category errors
 * @since 0.1.0
 */
export class DestinationUnavailable extends Schema.TaggedError<DestinationUnavailable>(
  "effect-auditlog/Destination/DestinationUnavailable"
)("DestinationUnavailable", {
  destination: Schema.String,
  problem: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `${this.destination} cannot be reached or does not answer: ${this.problem}`
  }
}

/**
 * The destination will not do this, today or tomorrow, until somebody changes something. Of a chunk, nothing was taken.
 *
 * @category errors
 * @since 0.1.0
 */
export class DestinationRejected extends Schema.TaggedError<DestinationRejected>(
  "effect-auditlog/Destination/DestinationRejected"
)("DestinationRejected", {
  destination: Schema.String,
  reason: Schema.Literals(["tooLarge", "denied", "full", "invalid"]),
  problem: Schema.String
}) {
  override get message(): string {
    const advice = {
      tooLarge: "raise its limit, or lower the limit of transactions and records of the log",
      denied:
        "check the user and the password, and what that user may do there: a shipper appends and reads, others read",
      full: "make room there",
      invalid: "see docs/distribution.md for what it needs"
    }
    return `${this.destination} refuses: ${this.problem}; ${advice[this.reason]}`
  }
}

/**
 * What is read back from a destination lacks bytes between two chunks.
 *
 * @category errors
 * @since 0.1.0
 */
export class DestinationGap extends Schema.TaggedError<DestinationGap>("effect-auditlog/Destination/DestinationGap")(
  "DestinationGap",
  { destination: Schema.String, offset: Schema.Natural, next: Schema.Natural }
) {
  override get message(): string {
    return `${this.destination} has lost the bytes from offset ${this.offset} to ${this.next} of this source`
  }
}

/**
 * An engine that keeps a copy of logs.
 *
 * **Details**
 *
 * `append` takes a chunk only if the destination stands at its `from`, whole, and succeeds only when it is kept as
 * `capabilities` say. It must be safe to call again after any failure. `head` must see every acknowledged chunk: where
 * copies may lag, it asks the one that decides. `read` gives the chunks that end after `from`, in order; they may
 * overlap, see {@link bytes}. `sources` lists what there is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Destination {
  readonly name: string
  readonly capabilities: Capabilities
  readonly head: (source: Source) => Effect.Effect<Head | undefined, DestinationUnavailable | DestinationRejected>
  readonly append: (
    chunk: Chunk
  ) => Effect.Effect<void, HeadMismatch | DestinationUnavailable | DestinationRejected>
  readonly read: (
    source: Source,
    from: number
  ) => Stream.Stream<Pick<Chunk, "from" | "to" | "bytes">, DestinationUnavailable | DestinationRejected>
  readonly sources: Effect.Effect<ReadonlyArray<Source>, DestinationUnavailable | DestinationRejected>
}

/**
 * The bytes of a source from an offset on, each once and in order, whatever the chunks are: what a chunk repeats is left
 * out, and a hole between two chunks is a {@link DestinationGap}.
 *
 * @category reading
 * @since 0.1.0
 */
export const bytes = (
  destination: Destination,
  source: Source,
  from = 0
): Stream.Stream<Uint8Array, DestinationUnavailable | DestinationRejected | DestinationGap> =>
  Stream.suspend(() => {
    let offset = from
    return destination.read(source, from).pipe(
      Stream.mapEffect((chunk) => {
        if (chunk.from > offset) {
          return Effect.fail(new DestinationGap({ destination: destination.name, offset, next: chunk.from }))
        }
        const fresh = chunk.bytes.subarray(Math.min(offset - chunk.from, chunk.bytes.length))
        offset = Math.max(offset, chunk.to)
        return Effect.succeed(fresh)
      }),
      Stream.filter((fresh) => fresh.length > 0)
    )
  })

/**
 * What a destination in memory holds, and how to make it fail.
 *
 * **Details**
 *
 * `text` is what it has of a source. `failNext` makes the next `times` appends (1 by default) fail; with `taken` the chunk
 * is taken all the same, as when an acknowledgement is lost.
 *
 * @category models
 * @since 0.1.0
 */
export interface Memory {
  readonly text: (source: Source) => string
  readonly chunks: (source: Source) => ReadonlyArray<Chunk>
  readonly failNext: (
    failure: DestinationUnavailable | DestinationRejected,
    options?: { readonly times?: number; readonly taken?: boolean }
  ) => void
}

/**
 * Keeps what is shipped in memory: for tests.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeMemory = (
  options: { readonly name?: string; readonly capabilities?: Partial<Capabilities> } = {}
): { readonly destination: Destination; readonly memory: Memory } => {
  const { name = "memory" } = options
  const stored = new Map<string, Array<Chunk>>()
  const failures: Array<{ readonly failure: DestinationUnavailable | DestinationRejected; readonly taken: boolean }> =
    []
  const chunks = (source: Source): ReadonlyArray<Chunk> => stored.get(formatSource(source)) ?? []
  const capabilities: Capabilities = {
    durability: "process",
    dedupe: "compareAndAppend",
    ordering: "perSource",
    atomicChunk: true,
    chunkBytesMax: 16 * 1024 * 1024,
    immutability: "none",
    ...options.capabilities
  }
  const destination: Destination = {
    name,
    capabilities,
    head: (source) =>
      Effect.sync(() => {
        const last = chunks(source).at(-1)
        return last === undefined ? undefined : { offset: last.to, resume: last.resume }
      }),
    append: (chunk) =>
      Effect.suspend((): Effect.Effect<void, HeadMismatch | DestinationUnavailable | DestinationRejected> => {
        const failed = failures.shift()
        if (failed !== undefined && !failed.taken) return Effect.fail(failed.failure)
        if (chunk.bytes.length > capabilities.chunkBytesMax) return Effect.fail(tooLarge(name, chunk, capabilities))
        if (chunk.from !== (chunks(chunk.source).at(-1)?.to ?? 0)) {
          return Effect.fail(new HeadMismatch({ destination: name, expected: chunk.from }))
        }
        stored.set(formatSource(chunk.source), [
          ...chunks(chunk.source),
          { ...chunk, bytes: Uint8Array.from(chunk.bytes) }
        ])
        return failed === undefined ? Effect.void : Effect.fail(failed.failure)
      }),
    read: (source, from) => Stream.fromIterable(chunks(source).filter(({ to }) => to > from)),
    sources: Effect.sync(() => [...stored.keys()].map(parseSource).filter((source) => source !== undefined))
  }
  const memory: Memory = {
    text: (source) => Buffer.concat(chunks(source).map((chunk) => chunk.bytes)).toString(),
    chunks,
    failNext: (failure, { taken = false, times = 1 } = {}) => {
      for (let i = 0; i < times; i++) failures.push({ failure, taken })
    }
  }
  return { destination, memory }
}

/**
 * The failure of a chunk that is larger than a destination takes.
 *
 * @category errors
 * @since 0.1.0
 */
export const tooLarge = (destination: string, chunk: Chunk, { chunkBytesMax }: Capabilities): DestinationRejected =>
  new DestinationRejected({
    destination,
    reason: "tooLarge",
    problem: `a transaction or record of ${chunk.bytes.length} bytes is over its limit of ${chunkBytesMax}`
  })
