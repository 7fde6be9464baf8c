/**
 * Appends to a FIFO. Here `PIPE_BUF` is real: a write of up to that many bytes is atomic, a longer one may be mixed with
 * those of other writers. So a transaction must fit it as a whole, and is one write. Nothing can be read back or
 * flushed; the receipt says `pipe`.
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import { receipts } from "../Appender.ts"
import * as AuditError from "../AuditError.ts"
import * as HashChain from "../HashChain.ts"
import { errorCode, type FilePort } from "./filePort.ts"
import type { LogFile } from "./logFile.ts"
import type { Answering, Observer, Pending } from "./logObserver.ts"
import type { LogWriterOptions } from "./logWriter.ts"

/** How long a full pipe is waited for: a reader that takes nothing for so long has stopped reading. */
const waitMillisMax = 5000
const waitMillisStep = 5

export class PipeWriter {
  private head: HashChain.Head = { writer: SecureRandom.ulidUnsafe(), seq: 0, prev: undefined }
  private closed = false
  private readonly port: FilePort
  private readonly options: LogWriterOptions
  private readonly observer: Observer
  private readonly file: LogFile
  private readonly digest: HashChain.Digest

  constructor(port: FilePort, options: LogWriterOptions, observer: Observer, file: LogFile) {
    this.port = port
    this.options = options
    this.observer = observer
    this.file = file
    this.digest = options.digest
  }

  /** Writes the transactions of a batch one after the other, and answers each. */
  commit(batch: ReadonlyArray<Pending>, answer: Answering, done: () => void): void {
    this.writeFrom(batch, { from: 0, waitedMillis: 0 }, answer, done)
  }

  flush(done: () => void): void {
    done()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.port.close(this.file.fd)
  }

  /** `waitedMillis` counts for the whole batch: a reader that has stopped is waited for once. */
  private writeFrom(
    batch: ReadonlyArray<Pending>,
    { from, waitedMillis }: { readonly from: number; readonly waitedMillis: number },
    answer: Answering,
    done: () => void
  ): void {
    for (let i = from; i < batch.length; i++) {
      const entry = batch[i]!
      const { head, lines } = HashChain.link(this.head, entry.item, {
        seen: undefined,
        attempt: 0,
        key: this.options.key?.id,
        digest: this.digest
      })
      const bytes = Buffer.from(lines.map((line) => line.text).join(""))
      try {
        this.port.write(this.file.fd, bytes)
      } catch (cause) {
        const code = errorCode(cause)
        if (code === "EAGAIN" && waitedMillis < waitMillisMax) {
          const next = { from: i, waitedMillis: waitedMillis + waitMillisStep }
          setTimeout(() => this.writeFrom(batch, next, answer, done), waitMillisStep)
          return
        }
        answer(entry, Effect.fail(AuditError.make(this.unwritten(code, cause))))
        continue
      }
      this.head = head
      this.observer.stored([{ entry }], lines.length, bytes.length)
      answer(entry, Effect.succeed(receipts(lines, head.writer, "pipe", () => false)))
    }
    done()
  }

  // A write of up to PIPE_BUF bytes happens as a whole or not at all.
  private unwritten(code: string, cause: unknown): AuditError.Unavailable {
    const problem = code === "EAGAIN"
      ? `the FIFO is full and its reader has taken nothing for ${waitMillisMax / 1000} seconds`
      : code === "EPIPE"
      ? "no program reads the FIFO any more"
      : `write failed (${code})`
    return new AuditError.Unavailable({ path: this.options.path, problem, committed: "no", isRetryable: true, cause })
  }
}
