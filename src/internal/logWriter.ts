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
import * as HashChain from "../HashChain.ts"
import { errorCode, type FilePort } from "./filePort.ts"
import type { Entry } from "./groupCommit.ts"
import * as LogFile from "./logFile.ts"
import * as LogTail from "./logTail.ts"

/** Attempts to append a batch whose lines are not found again, as in design section 3 step 7. */
const attemptsMax = 5

/** What has happened, for logs and metrics. Called from the middle of a commit: must not throw. */
export interface Observer {
  readonly stored: (entries: ReadonlyArray<Pending>, records: number, bytes: number) => void
  readonly flushed: () => void
  readonly healed: (offset: number) => void
  readonly truncated: (fromBytes: number, toBytes: number) => void
  readonly warned: (problem: string) => void
  readonly poisoned: (reason: AuditError.AuditErrorReason) => void
}

export interface LogWriterOptions extends LogFile.LogFileOptions {
  readonly sync: "always" | "deferred" | "never"
  readonly key: HashChain.Key | undefined
  readonly oversize: (record: HashChain.Group["records"][number]) => boolean
}

/** A transaction that waits to be stored. */
export type Pending = Entry<HashChain.Group, ReadonlyArray<Written>, AuditError.AuditError>

type State =
  | { readonly _tag: "Usable" }
  | { readonly _tag: "Poisoned"; readonly first: AuditError.AuditErrorReason }

/** A transaction whose lines stand in the file, found by reading back. */
interface Stored {
  readonly entry: Pending
  readonly writer: string
  readonly lines: ReadonlyArray<HashChain.Line>
}

/** The lines of a batch as one buffer. */
interface Batch {
  readonly bytes: Buffer
  /** Bytes of the resync line in front, 0 without one. */
  readonly lead: number
  readonly groups: ReadonlyArray<{
    readonly entry: Pending
    readonly lines: ReadonlyArray<HashChain.Line>
    readonly head: HashChain.Head
  }>
}

/** Error codes of a file system that has no room. */
const isFull = (code: string): boolean => code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG"

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
  private unflushed = false
  private closed = false
  private file: LogFile.LogFile
  private readonly port: FilePort
  private readonly options: LogWriterOptions
  private readonly observer: Observer
  private readonly digest: HashChain.Digest
  private readonly digests: HashChain.Digests

  constructor(port: FilePort, options: LogWriterOptions, observer: Observer, file: LogFile.LogFile) {
    this.port = port
    this.options = options
    this.observer = observer
    this.file = file
    this.lastEnd = file.size
    this.digest = HashChain.digest(options.key)
    this.digests = HashChain.digests(options.key === undefined ? [] : [options.key])
  }

  /** Stores a batch and answers all of its entries, in order, before it calls `done`. */
  commit(batch: ReadonlyArray<Pending>, done: () => void): void {
    const stored: Array<Stored> = []
    let failure: AuditError.AuditErrorReason | undefined
    try {
      failure = this.state._tag === "Poisoned" ? this.refusal(this.state.first) : this.store(batch, stored)
    } catch (cause) {
      // No call is expected to throw here: whatever did, the file is in a state that nobody has looked at.
      failure = this.poison(this.unavailable(`unexpected ${errorCode(cause)}`, "unknown", cause))
    }
    if (failure?._tag === "DurabilityUnknown") {
      // the flush of a file that was rotated away failed: lines of this batch may have been in it
      reject(batch, failure)
      return done()
    }
    const finish = (durability: Written["durability"]): void => {
      this.answer(stored, durability)
      if (failure !== undefined) reject(batch.slice(stored.length), failure)
      done()
    }
    if (stored.length === 0 || this.options.sync === "never") return finish("unsynced")
    if (this.options.sync === "deferred") {
      this.unflushed = true
      return finish("deferred")
    }
    this.port.fdatasync(this.file.fd, (error) => {
      if (!error) {
        this.observer.flushed()
        return finish("synced")
      }
      const lost = this.flushFailed(error)
      reject(batch.slice(0, stored.length), lost)
      reject(batch.slice(stored.length), failure ?? lost)
      done()
    })
  }

  /** Flushes what a deferred policy has left. A failure poisons the log and is never retried. */
  flush(done: () => void): void {
    if (!this.unflushed || this.closed || this.state._tag === "Poisoned") return done()
    this.unflushed = false
    this.port.fdatasync(this.file.fd, (error) => {
      if (error) this.flushFailed(error)
      else this.observer.flushed()
      done()
    })
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.port.close(this.file.fd)
  }

  /** Appends, reads back, and appends again what was not found. Returns why the rest of the batch failed, if it did. */
  private store(batch: ReadonlyArray<Pending>, stored: Array<Stored>): AuditError.AuditErrorReason | undefined {
    let touched = false
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const unusable = this.reopenIfReplaced()
      if (unusable !== undefined) return this.failed(unusable, touched)
      const size = this.port.fstat(this.file.fd).size
      const ends = this.lookAtTail(size)
      const lead = size > 0 && (attempt > 0 || !ends)
      const encoded = this.encode(batch.slice(stored.length), attempt, lead)

      const dirtyBefore = this.dirty
      this.dirty = true
      let written: number
      try {
        written = this.port.write(this.file.fd, encoded.bytes)
      } catch (cause) {
        const code = errorCode(cause)
        if (!isFull(code)) return this.poison(this.unavailable(`write failed (${code})`, "unknown", cause))
        // write(2) failed as a whole, so nothing of this attempt is in the file
        if (!touched) this.dirty = dirtyBefore
        return this.failed(new AuditError.StorageFull({ path: this.options.path, code, committed: "no" }), touched)
      }
      touched = true
      if (lead && written > 0) this.observer.healed(size)

      const found = this.readBack(encoded, size)
      for (const group of encoded.groups.slice(0, found)) {
        stored.push({ entry: group.entry, writer: group.head.writer, lines: group.lines })
        this.head = group.head
      }
      if (stored.length === batch.length) {
        this.dirty = false
        return undefined
      }
      if (written < encoded.bytes.length) {
        return this.failed(
          new AuditError.StorageFull({ path: this.options.path, code: "short write", committed: "unknown" }),
          true
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
    const before = this.file
    this.file = opened.success
    try {
      // lines of this commit, or of a deferred flush, may still be in the old file's cache only
      if (this.options.sync !== "never") this.port.fsync(before.fd)
    } catch (cause) {
      return this.flushFailed(cause)
    } finally {
      this.port.close(before.fd)
    }
    for (const problem of opened.success.warnings) this.observer.warned(problem)
    this.lastEnd = opened.success.size
    this.seenEnd = 0
    this.dirty = true
    return undefined
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
    if (size > this.seenEnd) {
      const { digests, head: { writer } } = this
      this.seen = LogTail.newestHash(this.port, this.file.fd, this.seenEnd, size, { writer, digests }) ?? this.seen
      this.seenEnd = size
      return LogTail.endsInNewline(this.port, this.file.fd, size)
    }
    return !this.dirty || LogTail.endsInNewline(this.port, this.file.fd, size)
  }

  private encode(batch: ReadonlyArray<Pending>, attempt: number, lead: boolean): Batch {
    const key = this.options.key?.id
    const resync = lead ? HashChain.resync(this.head.writer, key, this.digest) : ""
    const groups: Array<Batch["groups"][number]> = []
    let head = this.head
    let text = resync
    for (const entry of batch) {
      const linked = HashChain.link(head, entry.item, { seen: this.seen, attempt, key, digest: this.digest })
      head = linked.head
      for (const line of linked.lines) text += line.text
      groups.push({ entry, lines: linked.lines, head })
    }
    return { bytes: Buffer.from(text), lead: resync.length, groups }
  }

  /** Step 6: how many transactions, from the first, stand in the file whole and at line starts. */
  private readBack(batch: Batch, sizeBefore: number): number {
    const after = this.port.fstat(this.file.fd)
    // deleted between the stat and the write: what was written has no name any more
    if (after.links === 0) return 0
    const region = LogTail.region(this.port, this.file.fd, sizeBefore, after.size, batch.bytes.length)
    if (region === undefined) return 0
    let at = region.linesFrom + batch.lead
    let offset = batch.lead
    for (let i = 0; i < batch.groups.length; i++) {
      for (const line of batch.groups[i]!.lines) {
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

  private answer(stored: ReadonlyArray<Stored>, durability: Written["durability"]): void {
    let records = 0
    let bytes = 0
    const entries: Array<Pending> = []
    for (const { entry, lines } of stored) {
      entries.push(entry)
      records += lines.length
      for (const line of lines) bytes += line.bytes
    }
    if (records > 0) this.observer.stored(entries, records, bytes)
    for (const { entry, lines, writer } of stored) {
      entry.resume(Effect.succeed(lines.map((line, i) => ({
        writer,
        seq: line.seq,
        bytes: line.bytes,
        hash: line.hash,
        durability,
        oversize: this.options.oversize(entry.item.records[i]!)
      }))))
    }
  }

  /** A failure after which the log stays usable. If lines may be in the file, no identity of theirs is used again. */
  private failed(reason: AuditError.AuditErrorReason, touched: boolean): AuditError.AuditErrorReason {
    if (!touched && reason.committed === "no") return reason
    this.seen = this.head.prev ?? this.seen
    this.head = { writer: SecureRandom.ulidUnsafe(), seq: 0, prev: undefined }
    return reason.committed === "unknown" ? reason : uncertain(reason, this.options.path)
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
    return this.unavailable(`this writer has stopped for good; reopen the log. First: ${first.message}`, "no", first)
  }

  private unavailable(problem: string, committed: AuditError.Committed, cause: unknown): AuditError.Unavailable {
    return new AuditError.Unavailable({ path: this.options.path, problem, committed, isRetryable: false, cause })
  }
}

const reject = (entries: ReadonlyArray<Pending>, reason: AuditError.AuditErrorReason): void => {
  if (entries.length === 0) return
  const failure = Effect.fail(AuditError.make(reason))
  for (const entry of entries) entry.resume(failure)
}

/** The same reason for a caller whose record may be in the file since an earlier attempt of the same commit. */
const uncertain = (reason: AuditError.AuditErrorReason, path: string): AuditError.AuditErrorReason =>
  reason._tag === "StorageFull"
    ? new AuditError.StorageFull({ path, code: reason.code, committed: "unknown" })
    : new AuditError.Unavailable({
      path,
      problem: reason.message,
      committed: "unknown",
      isRetryable: reason.isRetryable,
      cause: reason
    })
