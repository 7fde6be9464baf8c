/**
 * Appends records to a JSONL file: one write on an `O_APPEND` descriptor for all callers that wait, a read-back of what
 * was written, and a flush before any of them is told of success. Safe from many fibers and many processes at once.
 *
 * docs/durability.md says what survives what; design decisions and their measurements are in docs/architecture.md.
 *
 * @since 0.1.0
 */
import type * as ByteSize from "effect/ByteSize"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { resolve } from "node:path"
import { Appender, group } from "./Appender.ts"
import * as AuditError from "./AuditError.ts"
import type { Written } from "./AuditRecord.ts"
import * as Codec from "./Codec.ts"
import type * as HashChain from "./HashChain.ts"
import * as Environment from "./internal/environment.ts"
import { FilePort } from "./internal/filePort.ts"
import * as FileSettings from "./internal/fileSettings.ts"
import * as GroupCommit from "./internal/groupCommit.ts"
import * as LogFile from "./internal/logFile.ts"
import { LogWriter, type LogWriterOptions } from "./internal/logWriter.ts"
import { makeObserver } from "./internal/observer.ts"
import { PipeWriter } from "./internal/pipeWriter.ts"
import * as Retention from "./internal/retention.ts"
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
 * - `rotate`, `retain`: when the file is sealed, and when sealed segments are removed; default: neither.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends FileSettings.FileOptions {}

/**
 * When the live file is sealed and a new one begun: before the append that finds it at this size, or this old.
 *
 * @category models
 * @since 0.1.0
 */
export interface RotateOptions {
  readonly size?: ByteSize.Input | undefined
  readonly age?: Duration.Input | undefined
}

/**
 * Which sealed segments are kept: those sealed within `age`, as long as all segments together have at most `size`.
 *
 * **Details**
 *
 * Checked when the log is opened and after each rotation. Only whole sealed segments are removed, oldest first, and never
 * the files of logrotate. Before one goes, a record `auditlog/SegmentRemoved` with its name, its size and the ends of its
 * chains is in the log.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetainOptions {
  readonly size?: ByteSize.Input | undefined
  readonly age?: Duration.Input | undefined
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
    const clock = yield* Clock.Clock
    const nowMillis = () => clock.currentTimeMillisUnsafe()
    if (options.path === "" || options.path.endsWith("/")) {
      const problem = options.path === "" ? "the path is empty" : "it names a directory; name a file in it"
      return yield* AuditError.make(new AuditError.UnsafeTarget({ path: options.path, problem }))
    }
    const path = yield* Effect.try({
      try: () => resolve(options.path),
      catch: () => {
        const problem = "the working directory is gone; change to one that exists, or give the whole path of the file"
        return AuditError.make(new AuditError.UnsafeTarget({ path: options.path, problem }))
      }
    })
    const settings = FileSettings.make({ ...options, path })
    const { flushEveryMillis, target } = settings
    const wake = yield* Queue.sliding<void>(1)
    let retentionDue = true
    const observer = makeObserver(path, context, () => {
      retentionDue = true
      Queue.offerUnsafe(wake, undefined)
    })

    const { commits, limits, writer } = yield* Effect.acquireRelease(
      Effect.suspend(() => {
        const opened = LogFile.open(port, target)
        if (Result.isFailure(opened)) return Effect.fail(AuditError.make(opened.failure))
        const file = opened.success
        for (const problem of file.warnings) observer.warned(problem)
        const limits = file.kind === "file" ? settings.limits : settings.pipeLimits
        const writerOptions: LogWriterOptions = {
          ...target,
          sync: flushEveryMillis === 0 ? "always" : flushEveryMillis === Infinity ? "never" : "deferred",
          key: settings.key,
          digest: settings.digest,
          rotation: settings.rotate === undefined ? undefined : { ...settings.rotate, nowMillis },
          oversize: (record) => SizePolicy.isOversize(limits, record)
        }
        const writer = file.kind === "file"
          ? new LogWriter(port, writerOptions, observer, file)
          : new PipeWriter(port, writerOptions, observer, file)
        const commits = GroupCommit.make<HashChain.Group, ReadonlyArray<Written>, AuditError.AuditError>({
          commit: (batch, answer, done) => writer.commit(batch, answer, done),
          pendingBytesMax: settings.pendingBytesMax,
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
    if (flushEveryMillis > 0 && flushEveryMillis < Infinity) {
      yield* flush(writer).pipe(Effect.delay(flushEveryMillis), Effect.forever, Effect.forkScoped)
    }
    const append: Appender["Service"]["append"] = (records) => {
      if (records.length === 0) return Effect.succeed([])
      let bytes = 0
      for (const record of records) bytes += Codec.lineBytesMax(record.fieldsBytes, limits.key, record.source)
      return commits.submit(() => group(records), bytes)
    }
    if (settings.retain !== undefined) {
      const limits = settings.retain
      const retention = (goesOn: () => boolean) =>
        Effect.suspend(() => {
          retentionDue = false
          return Retention.apply({
            port,
            live: path,
            limits,
            nowMillis,
            goesOn,
            append: (record) => appendOwn(record, nowMillis(), append),
            warned: observer.warned
          })
        }).pipe(
          Effect.catch((error) => Effect.sync(() => observer.warned(`old segments stay: ${error.message}`))),
          Effect.onInterrupt(() => Effect.sync(() => void (retentionDue = true)))
        )
      // for programs that end before the fiber below has come to anything, or that interrupt it each time
      yield* Effect.addFinalizer(() =>
        Effect.suspend(() => {
          const until = performance.now() + retentionMillisAtClose
          return retentionDue ? retention(() => performance.now() < until) : Effect.void
        })
      )
      yield* Queue.take(wake).pipe(
        Effect.andThen(retention(() => true)),
        Effect.forever,
        Effect.forkScoped
      )
      Queue.offerUnsafe(wake, undefined)
    }
    return Appender.of({ limits, append })
  })

/** Closing begins with no further segment after so long; the next program goes on. */
const retentionMillisAtClose = 1000

/** Appends a record of the library's own. It is within every hard limit and no matter of the size policy. */
const appendOwn = (
  record: Retention.SegmentRemoved,
  nowMillis: number,
  append: Appender["Service"]["append"]
): Effect.Effect<unknown, AuditError.AuditError> => {
  const encoded = Codec.encode(record, { at: new Date(nowMillis).toISOString(), value: record })
  return Result.isFailure(encoded) ? Effect.die(encoded.failure) : append([encoded.success])
}

const flush = (writer: LogWriter | PipeWriter): Effect.Effect<void> =>
  Effect.uninterruptible(Effect.callback<void>((resume) => writer.flush(() => resume(Effect.void))))

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
 * `AUDITLOG_ROTATE_SIZE`, `AUDITLOG_ROTATE_AGE`, `AUDITLOG_RETAIN_SIZE`, `AUDITLOG_RETAIN_AGE` (such as `64 MiB`,
 * `7 days`), `AUDITLOG_WIDER_MODE` (`warn`, `refuse`), `AUDITLOG_ALLOW_NETWORK_FILE_SYSTEM` (`true`, `false`), and
 * `AUDITLOG_KEY_ID` with `AUDITLOG_KEY` (the secret). A value that is present and invalid is an error.
 *
 * @category config
 * @since 0.1.0
 */
export const config: Config.Config<Options> = Config.all({
  path: Environment.required("PATH", "name the file of the log"),
  sync: Environment.variable(
    "SYNC",
    "always" as const,
    "always, never, or an interval such as 1 second",
    Environment.parseSync
  ),
  sizePolicy: Environment.oneOf("SIZE_POLICY", ["warn", "reject", "allow"]),
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
  widerMode: Environment.oneOf("WIDER_MODE", ["warn", "refuse"]),
  rotateSize: Environment.variable("ROTATE_SIZE", undefined, Environment.expectedSize, Environment.parseSize),
  rotateAge: Environment.variable("ROTATE_AGE", undefined, Environment.expectedAge, Environment.parseAge),
  retainSize: Environment.variable("RETAIN_SIZE", undefined, Environment.expectedSize, Environment.parseSize),
  retainAge: Environment.variable("RETAIN_AGE", undefined, Environment.expectedAge, Environment.parseAge),
  allowNetworkFileSystem: Config.map(
    Environment.oneOf("ALLOW_NETWORK_FILE_SYSTEM", ["false", "true"]),
    (text) => text === "true"
  ),
  keyId: Environment.variable("KEY_ID", undefined, "1 to 64 characters of A-Z a-z 0-9 . _ -", Environment.parseKeyId),
  secret: Config.Redacted("KEY").pipe(Config.withDefault(undefined))
}).pipe(
  Config.nested("AUDITLOG"),
  Config.flatMap(({ keyId, limit, retainAge, retainSize, rotateAge, rotateSize, secret, sizePolicy, ...rest }) => {
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
      ...(rotateSize === undefined && rotateAge === undefined ? {} : { rotate: { size: rotateSize, age: rotateAge } }),
      ...(retainSize === undefined && retainAge === undefined ? {} : { retain: { size: retainSize, age: retainAge } }),
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
