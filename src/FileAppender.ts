/**
 * Appends records to a JSONL file: one write on an `O_APPEND` descriptor for all callers that wait, a read-back of what
 * was written, and a flush before any of them is told of success. Safe from many fibers and many processes at once.
 *
 * docs/durability.md says what survives what; design decisions and their measurements are in docs/architecture.md.
 *
 * @since 0.1.0
 */
import * as ByteSize from "effect/ByteSize"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { resolve } from "node:path"
import { Appender, group } from "./Appender.ts"
import * as AuditError from "./AuditError.ts"
import type { Written } from "./AuditRecord.ts"
import * as Codec from "./Codec.ts"
import * as HashChain from "./HashChain.ts"
import * as Environment from "./internal/environment.ts"
import { FilePort } from "./internal/filePort.ts"
import * as GroupCommit from "./internal/groupCommit.ts"
import * as LogFile from "./internal/logFile.ts"
import { LogWriter, type LogWriterOptions, type Observer } from "./internal/logWriter.ts"
import * as Metrics from "./internal/metrics.ts"
import { pipeBytesMax, PipeWriter } from "./internal/pipeWriter.ts"
import * as SizePolicy from "./SizePolicy.ts"

/**
 * When records are flushed to the device, with the meaning of Redis's `appendfsync`.
 *
 * **Details**
 *
 * `"always"`: before the append succeeds; one flush serves all callers that wait. `{ every }`: in the background, so a
 * power cut can cost the records of that long. `"never"`: when the kernel does. Under each of them a record whose append
 * succeeded survives the death of the process.
 *
 * @category models
 * @since 0.1.0
 */
export type SyncPolicy = "always" | "never" | { readonly every: Duration.Input }

/**
 * The options of a file appender; only `path` is required.
 *
 * **Details**
 *
 * - `sizePolicy`: what becomes of a record over 4096 bytes; default `SizePolicy.warn()`. A FIFO always rejects.
 * - `sync`: default `"always"`.
 * - `mode`: permission bits of a new file, and the widest an existing one may have; default `0o600`.
 * - `widerMode`: whether an existing file with a wider mode is warned about (default) or refused.
 * - `allowNetworkFileSystem`: default `false`; set it only where one host alone writes the file.
 * - `key`: authenticates every line with HMAC-SHA-256.
 * - `recordBytesMax` (default 1 MiB), `transactionBytesMax` (default 16 MiB): hard limits under every size policy.
 * - `pendingBytesMax`: bytes that may wait for the file; callers beyond wait their turn. Default 32 MiB.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly path: string
  readonly sizePolicy?: SizePolicy.SizePolicy | undefined
  readonly sync?: SyncPolicy | undefined
  readonly mode?: number | undefined
  readonly widerMode?: "warn" | "refuse" | undefined
  readonly allowNetworkFileSystem?: boolean | undefined
  readonly key?: HashChain.Key | undefined
  readonly recordBytesMax?: ByteSize.Input | undefined
  readonly transactionBytesMax?: ByteSize.Input | undefined
  readonly pendingBytesMax?: ByteSize.Input | undefined
}

/** Two transactions of the greatest size: one is being written while the next one waits. */
const pendingBytesMaxDefault = 2 * SizePolicy.limitsDefault.transactionBytesMax

const toBytes = (size: ByteSize.Input | undefined, otherwise: number): number =>
  size === undefined ? otherwise : ByteSize.toNumberUnsafe(ByteSize.fromInputUnsafe(size))

const limitsOf = (options: Options, kind: LogFile.LogFile["kind"]): SizePolicy.Limits => {
  const limits: SizePolicy.Limits = {
    ...SizePolicy.limitsDefault,
    sizePolicy: options.sizePolicy ?? SizePolicy.limitsDefault.sizePolicy,
    recordBytesMax: toBytes(options.recordBytesMax, SizePolicy.limitsDefault.recordBytesMax),
    transactionBytesMax: toBytes(options.transactionBytesMax, SizePolicy.limitsDefault.transactionBytesMax),
    key: options.key?.id
  }
  if (kind === "file") return limits
  const limit = Math.min(limits.sizePolicy.limitBytes, pipeBytesMax)
  return {
    ...limits,
    sizePolicy: SizePolicy.reject({ limit }),
    transactionBytesMax: Math.min(limits.transactionBytesMax, pipeBytesMax)
  }
}

/**
 * Opens the file and appends to it until the scope closes; then what waits is written, flushed and the file closed.
 *
 * **Details**
 *
 * Fails with `UnsafeTarget` where a log must not be kept, and with `Unavailable` where it cannot be opened. After a
 * failure whose `committed` is `"unknown"` the log goes on under a new writer id; after `NotVerified`,
 * `DurabilityUnknown` or an I/O error it takes no further appends, and has to be opened anew.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (options: Options) => Effect.Effect<Appender["Service"], AuditError.AuditError, Scope.Scope> = Effect
  .fnUntraced(function*(options) {
    const port = yield* FilePort
    const context = yield* Effect.context()
    const path = resolve(options.path)
    if (options.key !== undefined && !HashChain.keyIdPattern.test(options.key.id)) {
      return yield* Effect.die(new Error(`not a key id: ${JSON.stringify(options.key.id)}`))
    }
    const sync = options.sync ?? "always"
    const target: LogFile.LogFileOptions = {
      path,
      mode: options.mode ?? 0o600,
      widerMode: options.widerMode ?? "warn",
      allowNetworkFileSystem: options.allowNetworkFileSystem ?? false
    }
    const observer = makeObserver(path, context)

    const { commits, limits, writer } = yield* Effect.acquireRelease(
      Effect.suspend(() => {
        const opened = LogFile.open(port, target)
        if (Result.isFailure(opened)) return Effect.fail(AuditError.make(opened.failure))
        const file = opened.success
        for (const problem of file.warnings) observer.warned(problem)
        const limits = limitsOf(options, file.kind)
        const writerOptions: LogWriterOptions = {
          ...target,
          sync: typeof sync === "object" ? "deferred" : sync,
          key: options.key,
          oversize: (record) => SizePolicy.isOversize(limits, record)
        }
        const writer = file.kind === "file"
          ? new LogWriter(port, writerOptions, observer, file)
          : new PipeWriter(port, writerOptions, observer, file)
        const commits = GroupCommit.make<HashChain.Group, ReadonlyArray<Written>, AuditError.AuditError>({
          commit: (batch, done) => writer.commit(batch, done),
          pendingBytesMax: toBytes(options.pendingBytesMax, pendingBytesMaxDefault),
          closed: () => AuditError.make(new AuditError.Closed({ path }))
        })
        return Effect.succeed({ writer, commits, limits })
      }),
      ({ commits, writer }) =>
        commits.close.pipe(
          Effect.andThen(flush(writer)),
          Effect.ensuring(Effect.sync(() => writer.close()))
        )
    )
    if (typeof sync === "object") {
      const every = Duration.max(Duration.fromInputUnsafe(sync.every), Duration.millis(1))
      yield* flush(writer).pipe(Effect.delay(every), Effect.forever, Effect.forkScoped)
    }
    return Appender.of({
      limits,
      append: (records) =>
        Effect.suspend(() => {
          if (records.length === 0) return Effect.succeed([])
          let bytes = 0
          for (const record of records) bytes += Codec.lineBytesMax(record.fieldsBytes, limits.key)
          return commits.submit(group(records), bytes)
        })
    })
  })

const flush = (writer: LogWriter | PipeWriter): Effect.Effect<void> =>
  Effect.uninterruptible(Effect.callback<void>((resume) => writer.flush(() => resume(Effect.void))))

const makeObserver = (path: string, context: Context.Context<never>): Observer => {
  const log = (effect: Effect.Effect<void>): void => {
    Effect.runForkWith(context)(Effect.annotateLogs(effect, { "auditlog.path": path }))
  }
  return {
    stored: (entries, records, bytes) => {
      Metrics.appends.updateUnsafe(records, context)
      Metrics.bytes.updateUnsafe(bytes, context)
      Metrics.batchRecords.updateUnsafe(records, context)
      const now = performance.now()
      for (const entry of entries) Metrics.appendSeconds.updateUnsafe((now - entry.since) / 1000, context)
    },
    flushed: () => Metrics.fsyncs.updateUnsafe(1, context),
    healed: (offset) => {
      Metrics.healed.updateUnsafe(1, context)
      log(
        Effect.logInfo(`a torn line before byte ${offset} was set apart by a resync line; nothing acknowledged is lost`)
      )
    },
    truncated: (fromBytes, toBytes) => {
      Metrics.truncations.updateUnsafe(1, context)
      log(Effect.logError(
        `the log was cut from outside, from ${fromBytes} to ${toBytes} bytes: records are lost. ` +
          `If this is logrotate, use "create" instead of "copytruncate"`
      ))
    },
    warned: (problem) => log(Effect.logWarning(`audit log: ${problem}`)),
    poisoned: (reason) => log(Effect.logError(`the audit log stops: ${reason.message}`))
  }
}

/**
 * The layer of {@link make}. Its scope is the log's: closing it flushes and closes the file.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Appender, AuditError.AuditError> =>
  Layer.effect(Appender, make(options))

/**
 * The options from the environment.
 *
 * **Details**
 *
 * `AUDITLOG_PATH` (required), `AUDITLOG_SYNC` (`always`, `never`, or an interval such as `1 second`),
 * `AUDITLOG_SIZE_POLICY` (`warn`, `reject`, `allow`), `AUDITLOG_SIZE_LIMIT` (such as `4096` or `8 KiB`),
 * `AUDITLOG_RECORD_LIMIT`, `AUDITLOG_TRANSACTION_LIMIT`, `AUDITLOG_MODE` (octal, such as `0640`),
 * `AUDITLOG_WIDER_MODE` (`warn`, `refuse`), `AUDITLOG_ALLOW_NETWORK_FILE_SYSTEM` (`true`, `false`), and
 * `AUDITLOG_KEY_ID` with `AUDITLOG_KEY` (the secret). A value that is present and invalid is an error.
 *
 * @category config
 * @since 0.1.0
 */
export const config: Config.Config<Options> = Config.all({
  path: Config.NonEmptyString("PATH"),
  sync: Environment.variable(
    "SYNC",
    "always" as const,
    "always, never, or an interval such as 1 second",
    Environment.parseSync
  ),
  sizePolicy: Config.Literals(["warn", "reject", "allow"], "SIZE_POLICY").pipe(Config.withDefault("warn")),
  limit: Environment.variable(
    "SIZE_LIMIT",
    SizePolicy.limitBytesDefault,
    Environment.expectedSize,
    Environment.parseSize
  ),
  recordBytesMax: Environment.variable(
    "RECORD_LIMIT",
    SizePolicy.limitsDefault.recordBytesMax,
    Environment.expectedSize,
    Environment.parseSize
  ),
  transactionBytesMax: Environment.variable(
    "TRANSACTION_LIMIT",
    SizePolicy.limitsDefault.transactionBytesMax,
    Environment.expectedSize,
    Environment.parseSize
  ),
  mode: Environment.variable("MODE", 0o600, "permission bits in octal, such as 0640", Environment.parseMode),
  widerMode: Config.Literals(["warn", "refuse"], "WIDER_MODE").pipe(Config.withDefault("warn")),
  allowNetworkFileSystem: Config.Boolean("ALLOW_NETWORK_FILE_SYSTEM").pipe(Config.withDefault(false)),
  keyId: Environment.variable("KEY_ID", undefined, "1 to 64 characters of A-Z a-z 0-9 . _ -", Environment.parseKeyId),
  secret: Config.Redacted("KEY").pipe(Config.withDefault(undefined))
}).pipe(
  Config.nested("AUDITLOG"),
  Config.flatMap(({ keyId, limit, secret, sizePolicy, ...rest }) => {
    if ((keyId === undefined) !== (secret === undefined)) {
      return Config.fail(
        new ConfigProvider.SourceError({
          message: "AUDITLOG_KEY and AUDITLOG_KEY_ID go together: set both, or none"
        })
      )
    }
    return Config.succeed<Options>({
      ...rest,
      sizePolicy: sizePolicies[sizePolicy]({ limit }),
      key: keyId === undefined || secret === undefined ? undefined : { id: keyId, secret }
    })
  })
)

const sizePolicies = { warn: SizePolicy.warn, reject: SizePolicy.reject, allow: SizePolicy.allow }

/**
 * The appender that the environment describes; see {@link config} for the variables.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig: Layer.Layer<Appender, AuditError.AuditError | Config.ConfigError> = Layer.unwrap(
  Effect.map(config, layer)
)
