/**
 * The protocol of the file appender, design section 3, steps 2 to 9, as plain code: each step is a few microseconds,
 * and nothing may interrupt it between the write and the answer to its callers.
 *
 * What Node cannot promise is one write(2): libuv re-issues the rest of a short write and reports success, and under
 * O_APPEND that rest stands after other writers' records. So what was written is read back, always.
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as AuditError from "../AuditError.ts"
import type { Written } from "../AuditRecord.ts"
import * as Codec from "../Codec.ts"
import * as HashChain from "../HashChain.ts"
import { BatchBuffer } from "./batchBuffer.ts"
import { errorCode, type FilePort } from "./filePort.ts"
import * as LogFailure from "./logFailure.ts"
import * as LogFile from "./logFile.ts"
import type { Answering, Observer, Pending } from "./logObserver.ts"
import * as LogTail from "./logTail.ts"
import { seal } from "./seal.ts"

/** Attempts to append a batch whose lines are not found again, as in design section 3 step 7. */
const attemptsMax = 5

export interface LogWriterOptions extends LogFile.LogFileOptions {
  readonly sync: "always" | "deferred" | "never"
  readonly key: HashChain.Key | undefined
  readonly digest: HashChain.Digest
  /** When the live file is sealed and a new one begun; `undefined`: never. */
  readonly rotation: Rotation | undefined
  readonly oversize: (record: HashChain.Group["records"][number]) => boolean
}

/** The live file is sealed before an append when it has reached the size or the age. */
interface Rotation {
  readonly bytes: number
  readonly ageMillis: number
  readonly nowMillis: () => number
}

/** How long a rotation that failed is not tried again. */
const rotationRetryMillis = 60_000

type State =
  | { readonly _tag: "Usable" }
  | { readonly _tag: "Poisoned"; readonly first: AuditError.AuditErrorReason }

/** A transaction as it is written, and what its caller is told once its lines are found by reading back. */
interface Linked {
  readonly entry: Pending
  readonly receipts: ReadonlyArray<Written>
  readonly bytes: number
  readonly head: HashChain.Head
}

/** The lines of a batch as one buffer. */
interface Batch {
  readonly bytes: Buffer
  /** Bytes of the resync line in front, 0 without one. */
  readonly lead: number
  readonly groups: ReadonlyArray<Linked>
}

/** What receipts say of a record that is stored. */
const durabilities = { always: "synced", deferred: "deferred", never: "unsynced" } as const

export class LogWriter {
  private state: State = { _tag: "Usable" }
  private head: HashChain.Head = { writer: SecureRandom.ulidUnsafe(), seq: 0, prev: undefined }
  /** The hash of the newest line of another writer. */
  private seen: string | undefined
  /** Where this writer's last line ends; what stands after it was written by others. */
  private lastEnd: number
  /** Bytes before this offset have been searched for lines of other writers. */
  private seenEnd = 0
  /** Whether the file may end in a fragment, of ours or of a writer that died. */
  private dirty = true
  /** Whether the commit in progress has written to the file. */
  private touched = false
  private unflushed = false
  /** The file that a background flush works on: it must not be closed under it. */
  private flushing: LogFile.LogFile | undefined
  private rotationNotBefore = 0
  private closed = false
  private file: LogFile.LogFile
  private readonly port: FilePort
  private readonly options: LogWriterOptions
  private readonly observer: Observer
  private readonly digest: HashChain.Digest
  private readonly digests: HashChain.Digests
  private readonly buffer = new BatchBuffer()
  private readonly durability: Written["durability"]

  constructor(port: FilePort, options: LogWriterOptions, observer: Observer, file: LogFile.LogFile) {
    this.port = port
    this.options = options
    this.observer = observer
    this.file = file
    this.lastEnd = file.size
    this.digest = options.digest
    this.durability = durabilities[options.sync]
    const digests = HashChain.digests(options.key === undefined ? [] : [options.key])
    // with a key, a line without one proves nothing: anybody could have written it
    this.digests = (key) => key === undefined && options.key !== undefined ? undefined : digests(key)
  }

  /** Stores a batch and answers all of its entries, in order, before it calls `done`. */
  commit(batch: ReadonlyArray<Pending>, answer: Answering, done: () => void): void {
    const stored: Array<Linked> = []
    let failure: AuditError.AuditErrorReason | undefined
    try {
      failure = this.state._tag === "Poisoned" ? this.refusal(this.state.first) : this.store(batch, stored)
    } catch (cause) {
      failure = this.touched
        // what was written is in a state that nobody has looked at
        ? this.poison(
          LogFailure.unavailable(this.options.path, `reading it back failed (${errorCode(cause)})`, "unknown", cause)
        )
        : LogFailure.unlooked(this.options.path, cause)
    }
    if (this.state._tag === "Poisoned" && this.state.first._tag === "DurabilityUnknown") {
      // the flush of a file that was rotated away failed: lines of this batch may have been in it
      LogFailure.reject(batch, stored.length > 0 ? this.state.first : failure ?? this.state.first, answer)
      return done()
    }
    const finish = (): void => {
      this.stored(stored, answer)
      if (failure !== undefined) LogFailure.reject(batch.slice(stored.length), failure, answer)
      done()
    }
    if (stored.length === 0 || this.options.sync === "never") return finish()
    if (this.options.sync === "deferred") {
      this.unflushed = true
      return finish()
    }
    this.port.fdatasync(this.file.fd, (error) => {
      if (!error) {
        this.observer.flushed()
        return finish()
      }
      const lost = this.flushFailed(error)
      LogFailure.reject(batch.slice(0, stored.length), lost, answer)
      LogFailure.reject(batch.slice(stored.length), failure ?? lost, answer)
      done()
    })
  }

  /** Flushes what a deferred policy has left. A failure poisons the log and is never retried. */
  flush(done: () => void): void {
    if (!this.unflushed || this.closed || this.state._tag === "Poisoned") return done()
    this.unflushed = false
    const file = this.file
    this.flushing = file
    this.port.fdatasync(file.fd, (error) => {
      this.flushing = undefined
      if (file !== this.file) LogFile.closeQuietly(this.port, file.fd)
      if (error) this.flushFailed(error)
      else this.observer.flushed()
      done()
    })
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    LogFile.closeQuietly(this.port, this.file.fd)
  }

  /** Appends, reads back, and appends again what was not found. Returns why the rest of the batch failed, if it did. */
  private store(batch: ReadonlyArray<Pending>, stored: Array<Linked>): AuditError.AuditErrorReason | undefined {
    this.touched = false
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const unusable = this.reopenIfReplaced() ?? this.sealIfDue()
      if (unusable !== undefined) return this.failed(unusable)
      const size = this.port.fstat(this.file.fd).size
      const ends = this.lookAtTail(size)
      const lead = size > 0 && (attempt > 0 || !ends)
      const encoded = this.encode(stored.length === 0 ? batch : batch.slice(stored.length), attempt, lead)

      const dirtyBefore = this.dirty
      this.dirty = true
      let written: number
      try {
        written = this.port.write(this.file.fd, encoded.bytes)
      } catch (cause) {
        const code = errorCode(cause)
        if (!LogFailure.isFull(code)) {
          return this.poison(LogFailure.unavailable(this.options.path, `write failed (${code})`, "unknown", cause))
        }
        // write(2) failed as a whole, so nothing of this attempt is in the file
        if (!this.touched) this.dirty = dirtyBefore || !ends
        return this.failed(new AuditError.StorageFull({ path: this.options.path, code, committed: "no" }))
      }
      this.touched = true
      if (lead && !ends) this.observer.healed(size, LogTail.endsInRecord(this.port, this.file.fd, size, this.digests))

      const found = this.readBack(encoded, size)
      for (let i = 0; i < found; i++) stored.push(encoded.groups[i]!)
      if (found > 0) this.head = encoded.groups[found - 1]!.head
      if (stored.length === batch.length) {
        this.dirty = false
        return undefined
      }
      if (written < encoded.bytes.length) {
        return this.failed(
          new AuditError.StorageFull({ path: this.options.path, code: "short write", committed: "unknown" })
        )
      }
    }
    return this.poison(new AuditError.NotVerified({ path: this.options.path, attempts: attemptsMax }))
  }

  /** Step 2: follows a rotation by us, by another process or by logrotate. */
  private reopenIfReplaced(): AuditError.AuditErrorReason | undefined {
    if (this.port.identity(this.options.path) === this.file.identity) return undefined
    const opened = LogFile.open(this.port, this.options)
    if (Result.isFailure(opened)) return opened.failure
    if (opened.success.kind !== "file") {
      LogFile.closeQuietly(this.port, opened.success.fd)
      return new AuditError.UnsafeTarget({ path: this.options.path, problem: "it was replaced by a FIFO" })
    }
    this.lookBack()
    const before = this.file
    const removed = LogFile.removedBytes(this.port, this.options.path, before, opened.success)
    this.file = opened.success
    try {
      // lines of this commit, or of a deferred flush, may still be in the old file's cache only
      if (this.options.sync !== "never") this.port.fsync(before.fd)
    } catch (cause) {
      return this.flushFailed(cause)
    } finally {
      if (this.flushing !== before) LogFile.closeQuietly(this.port, before.fd)
    }
    if (removed > 0) this.observer.removed(removed)
    for (const problem of opened.success.warnings) this.observer.warned(problem)
    this.lastEnd = opened.success.size
    this.seenEnd = 0
    this.dirty = true
    return undefined
  }

  /** Design section 5. Whoever comes first seals the live file; the others reopen on the mismatch of step 2. */
  private sealIfDue(): AuditError.AuditErrorReason | undefined {
    const { path, rotation } = this.options
    if (rotation === undefined) return undefined
    const { bornMillis, size } = this.port.fstat(this.file.fd)
    const now = rotation.nowMillis()
    const age = bornMillis > 0 ? now - bornMillis : 0
    if (size === 0 || now < this.rotationNotBefore || (size < rotation.bytes && age < rotation.ageMillis)) {
      return undefined
    }
    try {
      const { file: { identity }, head: { writer } } = this
      const sealed = seal(this.port, path, { identity, writer, nowMillis: now })
      if (sealed !== undefined) this.observer.sealed(sealed)
    } catch (cause) {
      this.rotationNotBefore = now + rotationRetryMillis
      this.observer.warned(`it cannot be rotated (${errorCode(cause)}); appends go on in the same file`)
      return undefined
    }
    return this.reopenIfReplaced()
  }

  /** Step 3: notices what others have done to the file. Returns whether it ends in a newline, as far as need be known. */
  private lookAtTail(size: number): boolean {
    if (size < this.lastEnd) {
      this.observer.truncated(this.lastEnd, size)
      this.lastEnd = size
      this.seenEnd = Math.min(this.seenEnd, size)
      this.dirty = true
    }
    if (size === 0) return true
    return (!this.see(size) && !this.dirty) || LogTail.endsInNewline(this.port, this.file.fd, size)
  }

  /** Looks for the newest record of others up to an offset. False if all of that has been looked at. */
  private see(to: number): boolean {
    const { digests, head: { writer }, observer: { doubted }, seenEnd } = this
    if (to <= seenEnd) return false
    this.seen = LogTail.newestHash(this.port, this.file.fd, seenEnd, to, { writer, digests, doubted }) ?? this.seen
    this.seenEnd = to
    return true
  }

  /**
   * A last look at a file that has been replaced. What is written next names its newest record: if nothing did, the
   * whole file could be removed unseen. The flush before it is closed makes that record as durable as those of ours.
   */
  private lookBack(): void {
    try {
      this.see(this.port.fstat(this.file.fd).size)
    } catch (cause) {
      // the link is evidence, and no reason to stop
      this.observer.warned(`the end of the file before it cannot be read (${errorCode(cause)}): no record will name it`)
    }
  }

  private encode(batch: ReadonlyArray<Pending>, attempt: number, lead: boolean): Batch {
    const { buffer, digest, durability, options: { oversize }, seen } = this
    const key = this.options.key?.id
    buffer.begin()
    if (lead) buffer.close(Codec.resyncHead(this.head.writer, key), "", digest)
    const leadBytes = buffer.bytes
    const groups: Array<Linked> = []
    let head = this.head
    for (const entry of batch) {
      const { writer } = head
      // oxlint-disable-next-line unicorn/no-new-array -- of the right size: a push into an empty array makes room for 17
      const receipts = new Array<Written>(entry.item.records.length)
      let filled = 0
      const start = buffer.bytes
      head = HashChain.chain(head, entry.item, { seen, attempt, key }, (stamp, record, seq) => {
        const from = buffer.bytes
        const hash = buffer.close(stamp, record.fields, digest)
        receipts[filled++] = { writer, seq, bytes: buffer.bytes - from, hash, durability, oversize: oversize(record) }
        return hash
      })
      groups.push({ entry, receipts, bytes: buffer.bytes - start, head })
    }
    return { bytes: buffer.written(), lead: leadBytes, groups }
  }

  /** Step 6: how many transactions, from the first, stand in the file whole and at line starts. */
  private readBack(batch: Batch, sizeBefore: number): number {
    const after = this.port.fstat(this.file.fd)
    // deleted between the stat and the write: what was written has no name any more
    if (after.links === 0) return 0
    const region = LogTail.region(this.port, this.file.fd, sizeBefore, after.size, batch.bytes.length)
    if (region === undefined) return 0
    // Almost always the batch stands there in one piece.
    const together = LogTail.findLines(region, batch.bytes, batch.lead)
    if (together >= 0) {
      this.lastEnd = region.offset + together
      this.seenEnd = Math.max(this.seenEnd, this.lastEnd)
      return batch.groups.length
    }
    let at = region.linesFrom + batch.lead
    let offset = batch.lead
    for (let i = 0; i < batch.groups.length; i++) {
      for (const line of batch.groups[i]!.receipts) {
        const bytes = batch.bytes.subarray(offset, offset + line.bytes)
        const foundAt = LogTail.findLine(region, bytes, at)
        if (foundAt < 0) return i
        at = foundAt + line.bytes
        offset += line.bytes
      }
      this.lastEnd = region.offset + at
      this.seenEnd = Math.max(this.seenEnd, this.lastEnd)
    }
    return batch.groups.length
  }

  private stored(stored: ReadonlyArray<Linked>, answer: Answering): void {
    let records = 0
    let bytes = 0
    for (const group of stored) {
      records += group.receipts.length
      bytes += group.bytes
    }
    if (records > 0) this.observer.stored(stored, records, bytes)
    for (const { entry, receipts } of stored) answer(entry, Effect.succeed(receipts))
  }

  /** A failure after which the log stays usable. If lines may be in the file, no identity of theirs is used again. */
  private failed(reason: AuditError.AuditErrorReason): AuditError.AuditErrorReason {
    if (!this.touched && reason.committed === "no") return reason
    this.seen = this.head.prev ?? this.seen
    this.head = { writer: SecureRandom.ulidUnsafe(), seq: 0, prev: undefined }
    return reason.committed === "unknown" ? reason : LogFailure.uncertain(reason, this.options.path)
  }

  private poison(reason: AuditError.AuditErrorReason): AuditError.AuditErrorReason {
    if (this.state._tag === "Usable") {
      this.state = { _tag: "Poisoned", first: reason }
      this.observer.poisoned(reason)
    }
    return reason
  }

  private flushFailed(cause: unknown): AuditError.AuditErrorReason {
    return this.poison(new AuditError.DurabilityUnknown({ path: this.options.path, code: errorCode(cause) }))
  }

  /** What appends after a poisoning get: the first cause, and that nothing of them was written. */
  private refusal(first: AuditError.AuditErrorReason): AuditError.AuditErrorReason {
    return LogFailure.unavailable(
      this.options.path,
      `this writer has stopped for good; reopen the log. First: ${first.message}`,
      "no",
      first
    )
  }
}
