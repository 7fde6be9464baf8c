/**
 * What `auditlog append` does: lines in, records out, in order. It holds the lines of one block of input, or of one
 * transaction, and never all of the input.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import type * as AuditError from "../AuditError.ts"
import { id, type Receipt } from "../AuditRecord.ts"
import type * as Codec from "../Codec.ts"
import * as FileAppender from "../FileAppender.ts"
import { LineScanner } from "../internal/lineScanner.ts"
import type * as SizePolicy from "../SizePolicy.ts"
import * as Transaction from "../Transaction.ts"
import * as AppenderOptions from "./appenderOptions.ts"
import * as InputLine from "./inputLine.ts"
import * as Output from "./output.ts"

/**
 * The arguments of `auditlog append`. `json` are records given as arguments; without any they are read from stdin.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arguments extends AppenderOptions.Arguments {
  readonly json: ReadonlyArray<string>
  readonly transaction: boolean
  readonly receipts: boolean
}

/**
 * Bytes of records after which a group is closed. A group is one commit of the appender as long as it is under 1 MiB
 * before its last record; so when it fails, what stands in the file is a prefix of it.
 */
const groupBytesMax = 512 * 1024

/**
 * An escaped character takes six bytes of JSON for one of the record; a line that is longer than this many times the
 * greatest record is not worth holding.
 */
const lineToRecordMax = 8

/**
 * Appends the records. Succeeds only when all of them are in the log, as durable as the sync policy asks.
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
    return Effect.scoped(append(args)).pipe(
      Effect.provide(Logger.layer([logger])),
      Effect.andThen(Effect.suspend(() =>
        failed
          ? Effect.fail(Output.failure(`auditlog: records may be missing from ${args.file}: see the error above`))
          : Effect.void
      ))
    )
  })

const append = Effect.fnUntraced(function*(args: Arguments) {
  const log = yield* makeLog(args, (yield* joinTransaction(args)) ?? (yield* openFile(args)))
  const feed = args.json.length > 0 ? feedArguments(args.json, log) : feedStdin(log)
  yield* feed.pipe(
    Effect.andThen(log.finish),
    Effect.onInterrupt(() => Output.stderr([`auditlog: interrupted; ${log.landed()}`]))
  )
})

/** Where records go: an appender, or the transaction of the `auditlog exec` around this program. */
interface Target {
  readonly limits: SizePolicy.Limits
  readonly append: (
    records: ReadonlyArray<Codec.Encoded>
  ) => Effect.Effect<ReadonlyArray<Receipt>, AuditError.AuditError>
  /** Where appended records are, in words. */
  readonly place: string
  readonly describe: (error: AuditError.AuditError) => string
}

const openFile = Effect.fnUntraced(function*(args: Arguments) {
  const options = yield* AppenderOptions.make(args)
  const appender = yield* FileAppender.make(options).pipe(
    Effect.mapError((error) => Output.failure(`auditlog: ${Output.printable(error.message)}`))
  )
  return { ...appender, place: Output.printable(args.file), describe: ({ message }) => message } satisfies Target
})

const joinTransaction = Effect.fnUntraced(function*(args: Arguments) {
  // an unreadable environment is reported by `openFile`
  const transactions = yield* Effect.orElseSucceed(Config.NonEmptyString("AUDITLOG_TRANSACTIONS"), () => undefined)
  if (transactions === undefined) return undefined
  const { describe, join } = yield* Effect.promise(() => import("./joinTransaction.ts"))
  const joined = yield* join(args, transactions)
  return joined === undefined ? undefined : {
    ...joined,
    place: `the transaction of auditlog exec on ${Output.printable(args.file)}`,
    describe: ({ reason }) => describe(reason)
  } satisfies Target
})

// ---------------------------------------------------------------------------------------------------------------------
// Input
// ---------------------------------------------------------------------------------------------------------------------

/** Records, and the fault in the line after them, if that ended the input. */
interface Block {
  readonly records: Array<InputLine.Prepared>
  fault: InputLine.LineFault | undefined
}

const put = (
  block: Block,
  line: Result.Result<InputLine.Prepared | undefined, InputLine.LineFault>
): void => {
  if (Result.isFailure(line)) block.fault = line.failure
  else if (line.success !== undefined) block.records.push(line.success)
}

const feedArguments = Effect.fnUntraced(function*(json: ReadonlyArray<string>, log: Log) {
  const at = yield* timestamp
  const block: Block = { records: [], fault: undefined }
  for (let i = 0; i < json.length && block.fault === undefined; i++) {
    put(block, InputLine.prepare(json[i]!, i + 1, log.limits, at))
  }
  yield* log.add(block)
})

const feedStdin = Effect.fnUntraced(function*(log: Log) {
  const stdio = yield* Stdio.Stdio
  if (yield* stdio.stdinIsTerminal) {
    yield* Output.stderr(["auditlog: reading JSON objects from the terminal, one a line; Ctrl-D ends"])
  }
  const scanner = new LineScanner({ offset: 0, lineBytesMax: log.limits.recordBytesMax * lineToRecordMax })
  const feed = Effect.fnUntraced(function*(bytes: Uint8Array) {
    const at = yield* timestamp
    const block: Block = { records: [], fault: undefined }
    scanner.feed(bytes, (line) => {
      if (block.fault === undefined) put(block, InputLine.read(line, log.limits, at))
    })
    yield* log.add(block)
  })
  const unreadable = (problem: string): Output.Failure =>
    Output.failure(`auditlog: cannot read standard input: ${Output.printable(problem)}; ${log.landed()}`)

  // Node takes it for an empty file
  if (Fs.fstatSync(0).isDirectory()) return yield* Effect.fail(unreadable("it is a directory"))
  yield* Stream.runForEachArray(
    Stream.mapError(stdio.stdin, ({ message }) => unreadable(message)),
    (blocks) => Effect.forEach(blocks, feed, { discard: true })
  )
  // a last line without a newline counts as one
  return yield* scanner.rest.length > 0 ? feed(Uint8Array.of(0x0a)) : Effect.void
})

const timestamp = Effect.map(Clock.currentTimeMillis, (millis) => new Date(millis).toISOString())

// ---------------------------------------------------------------------------------------------------------------------
// Output
// ---------------------------------------------------------------------------------------------------------------------

/** Where records go: at once, or into one transaction. */
interface Log {
  readonly limits: SizePolicy.Limits
  /** Takes the records of a block, then fails if it has a fault. */
  readonly add: (block: Block) => Effect.Effect<void, Output.Failure>
  readonly finish: Effect.Effect<void, Output.Failure>
  /** What of the input stands in the log, in words. */
  readonly landed: () => string
}

const makeLog = Effect.fnUntraced(function*(args: Arguments, { append, describe, limits, place }: Target) {
  const fileSystem = yield* FileSystem.FileSystem
  const isFifo = yield* fileSystem.stat(args.file).pipe(
    Effect.map(({ type }) => type === "FIFO"),
    Effect.orElseSucceed(() => false)
  )
  const where = (line: number): string =>
    args.json.length === 0 ? `line ${line}` : args.json.length === 1 ? "--json" : `--json number ${line}`
  const buffer: Array<InputLine.Prepared> = []
  let bufferBytes = 0
  let landed = 0
  let wantsReceipts = args.receipts

  const count = (): string => `${landed} ${landed === 1 ? "record" : "records"}`
  const are = (): string => landed === 1 ? "is" : "are"
  /** What has happened to the lines around one that was refused. */
  const standing = (): string =>
    args.transaction
      ? "Nothing was appended: the records are one transaction"
      : landed === 0
      ? "Nothing was appended"
      : `${count()} before it ${are()} in ${place}; it and what follows are not`

  const warnOversize = Effect.fnUntraced(function*(stored: ReadonlyArray<InputLine.Prepared>) {
    for (const { encoded, line, oversize, sizeBytes } of stored) {
      if (!oversize) continue
      yield* Effect.logWarning(
        `${where(line)}: the record${encoded.tag === undefined ? "" : ` ${JSON.stringify(encoded.tag)}`} is ` +
          `${sizeBytes} bytes; the limit is ${limits.sizePolicy.limitBytes}. It is written; ` +
          `pipes and shell tools may split a line of this length`
      )
    }
  })

  const printReceipts = (receipts: ReadonlyArray<Receipt>): Effect.Effect<void, Output.Failure> =>
    Output.stdout(receipts.map(showReceipt).join("")).pipe(
      // nobody reads the receipts any more: the records matter all the same
      Effect.catchTag("StdoutClosed", () =>
        Effect.sync(() => {
          wantsReceipts = false
        })),
      Effect.mapError(({ lines }) =>
        Output.failure(`${lines.join("; ")}, so receipts are missing; ${count()} ${are()} in ${place}`)
      )
    )

  const acknowledge = Effect.fnUntraced(
    function*(stored: ReadonlyArray<InputLine.Prepared>, receipts: ReadonlyArray<Receipt>) {
      if (limits.sizePolicy._tag === "Warn") yield* warnOversize(stored)
      if (wantsReceipts) yield* printReceipts(receipts)
    }
  )

  /** Not to be interrupted: what is counted as landed is exactly what has. */
  const appendOne = ({ encoded }: InputLine.Prepared) =>
    append([encoded]).pipe(
      Effect.tap(() =>
        Effect.sync(() => {
          landed++
        })
      ),
      Effect.result,
      Effect.uninterruptible
    )

  /** Appends each record on its own. They wait together, so they share one write and one flush. */
  const appendGroup = Effect.fnUntraced(function*(group: ReadonlyArray<InputLine.Prepared>) {
    const results = yield* Effect.forEach(group, appendOne, { concurrency: "unbounded" })
    const receipts: Array<Receipt> = []
    let failure: AuditError.AuditError | undefined
    for (const result of results) {
      if (Result.isSuccess(result)) receipts.push(...result.success)
      else failure ??= result.failure
    }
    yield* acknowledge(group.slice(0, receipts.length), receipts)
    return yield* failure === undefined
      ? Effect.void
      : Effect.fail(appendFailed(failure, group.slice(receipts.length)))
  })

  const appendFailed = (
    error: AuditError.AuditError,
    rest: ReadonlyArray<InputLine.Prepared>
  ): Output.Failure => {
    const first = rest[0]!.line
    const last = rest[rest.length - 1]!.line
    const message = Output.printable(describe(error).replace("Nothing was written", "It was not written"))
    return Output.failure(
      `auditlog: ${where(first)}: ${message}`,
      error.committed === "no"
        ? standing()
        : `${count()} before it ${are()} in ${place}; what follows it${
          first === last ? " is not" : `, up to ${where(last)}, may be there or not`
        }`
    )
  }

  const addEach = Effect.fnUntraced(function*(records: ReadonlyArray<InputLine.Prepared>) {
    // a FIFO is not flushed, and takes each record of a group whatever becomes of the one before it
    const bytesMax = isFifo ? 0 : groupBytesMax
    let group: Array<InputLine.Prepared> = []
    let bytes = 0
    for (const record of records) {
      group.push(record)
      bytes += record.encoded.fieldsBytes
      if (bytes < bytesMax) continue
      yield* appendGroup(group)
      group = []
      bytes = 0
    }
    if (group.length > 0) yield* appendGroup(group)
  })

  const addToTransaction = Effect.fnUntraced(function*(records: ReadonlyArray<InputLine.Prepared>) {
    for (const record of records) {
      buffer.push(record)
      bufferBytes += record.sizeBytes
      yield* Effect.fromResult(Transaction.checkSize(buffer.length, bufferBytes, limits)).pipe(
        Effect.mapError(({ message }) => Output.failure(`auditlog: ${where(record.line)}: ${message}`))
      )
    }
  })

  const commit = Effect.suspend(() => append(buffer.map(({ encoded }) => encoded))).pipe(
    Effect.mapError((error) => Output.failure(`auditlog: ${Output.printable(describe(error))}`)),
    Effect.tap((receipts) =>
      Effect.sync(() => {
        landed = receipts.length
      })
    ),
    Effect.uninterruptible,
    Effect.flatMap((receipts) => acknowledge(buffer, receipts))
  )

  const take = args.transaction ? addToTransaction : addEach
  const log: Log = {
    limits,
    add: ({ fault, records }) =>
      fault === undefined
        ? take(records)
        : Effect.andThen(
          take(records),
          Effect.suspend(() => Effect.fail(Output.failure(...InputLine.describe(where(fault.line), fault), standing())))
        ),
    finish: args.transaction ? commit : Effect.void,
    landed: () => landed === 0 ? "nothing was appended" : `${count()} ${are()} in ${place}`
  }
  return log
})

/** A record that is only buffered has no identity yet. */
const showReceipt = (receipt: Receipt): string =>
  `${JSON.stringify(receipt.durability === "buffered" ? receipt : { id: id(receipt), ...receipt })}\n`
