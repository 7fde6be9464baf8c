/**
 * What the options of a file appender come to, with every default filled in. An option that makes no sense is an error
 * of the program: it throws, names the option, and is found before a file is opened.
 */
import * as ByteSize from "effect/ByteSize"
import * as Duration from "effect/Duration"
import * as Codec from "../Codec.ts"
import * as HashChain from "../HashChain.ts"
import * as SizePolicy from "../SizePolicy.ts"
import type { LogFileOptions } from "./logFile.ts"

export interface FileOptions {
  readonly path: string
  readonly sizePolicy?: SizePolicy.SizePolicy | undefined
  readonly sync?: "always" | "never" | { readonly every: Duration.Input } | undefined
  readonly mode?: number | undefined
  readonly widerMode?: "warn" | "refuse" | undefined
  readonly allowNetworkFileSystem?: boolean | undefined
  readonly key?: HashChain.Key | undefined
  readonly recordBytesMax?: ByteSize.Input | undefined
  readonly transactionBytesMax?: ByteSize.Input | undefined
  readonly pendingBytesMax?: ByteSize.Input | undefined
  readonly rotate?: SizeAndAge | undefined
  readonly retain?: SizeAndAge | undefined
}

interface SizeAndAge {
  readonly size?: ByteSize.Input | undefined
  readonly age?: Duration.Input | undefined
}

/** Limits that are infinite where they are not set. */
interface BytesAndMillis {
  readonly bytes: number
  readonly ageMillis: number
}

export interface FileSettings {
  readonly target: LogFileOptions
  /** Milliseconds between flushes, 0: before each append succeeds, infinite: never. */
  readonly flushEveryMillis: number
  readonly limits: SizePolicy.Limits
  readonly pipeLimits: SizePolicy.Limits
  readonly pendingBytesMax: number
  readonly key: HashChain.Key | undefined
  readonly digest: HashChain.Digest
  readonly rotate: BytesAndMillis | undefined
  readonly retain: BytesAndMillis | undefined
}

/** `PIPE_BUF` of Linux (limits.h), in bytes: a longer write into a FIFO is not atomic. */
const pipeBytesMax = 4096

/** Two transactions of the greatest size: one is being written while the next one waits. */
const pendingBytesMaxDefault = 2 * SizePolicy.limitsDefault.transactionBytesMax

/** A line that is longer than this is damage to `LogReader`, whose default limit is twice that. */
const recordBytesCeiling = 32 * 1024 * 1024

const wrong = (option: string, value: unknown, why: string): never => {
  throw new Error(`FileAppender: ${option} is ${String(value)}; ${why}`)
}

const bytesOf = (option: string, size: ByteSize.Input | undefined, otherwise: number): number => {
  if (size === undefined) return otherwise
  const bytes = ByteSize.fromInput(size)
  return bytes._tag === "Some" && bytes.value > 0n
    ? ByteSize.toNumberUnsafe(bytes.value)
    : wrong(option, size, "it must be a number of bytes over 0, or such as 64 MiB")
}

const millisOf = (option: string, duration: Duration.Input | undefined, otherwise: number): number => {
  if (duration === undefined) return otherwise
  const value = Duration.fromInput(duration)
  const millis = value._tag === "Some" ? Duration.toMillis(value.value) : Number.NaN
  return millis > 0 ? millis : wrong(option, duration, "it must be a duration over 0, such as 1 second")
}

const limitsOf = (options: FileOptions): SizePolicy.Limits => {
  const { recordBytesMax, sizePolicy, transactionBytesMax } = SizePolicy.limitsDefault
  const limits: SizePolicy.Limits = {
    ...SizePolicy.limitsDefault,
    sizePolicy: options.sizePolicy ?? sizePolicy,
    recordBytesMax: bytesOf("recordBytesMax", options.recordBytesMax, recordBytesMax),
    transactionBytesMax: bytesOf("transactionBytesMax", options.transactionBytesMax, transactionBytesMax),
    key: options.key?.id
  }
  const shortest = Codec.lineBytesMax(0, limits.key)
  const noRecordFits = `no record fits: the shortest line is reckoned as ${shortest} bytes`
  if (limits.recordBytesMax < shortest) wrong("recordBytesMax", limits.recordBytesMax, noRecordFits)
  if (limits.recordBytesMax > recordBytesCeiling) {
    wrong("recordBytesMax", limits.recordBytesMax, `readers take lines of up to ${recordBytesCeiling} bytes`)
  }
  if (limits.transactionBytesMax < shortest) wrong("transactionBytesMax", limits.transactionBytesMax, noRecordFits)
  if (limits.sizePolicy._tag === "Reject" && limits.sizePolicy.limitBytes < shortest) {
    wrong("the limit of sizePolicy", limits.sizePolicy.limitBytes, noRecordFits)
  }
  return limits
}

const pipeLimitsOf = (limits: SizePolicy.Limits): SizePolicy.Limits => ({
  ...limits,
  sizePolicy: SizePolicy.reject({ limit: Math.min(limits.sizePolicy.limitBytes, pipeBytesMax) }),
  transactionBytesMax: Math.min(limits.transactionBytesMax, pipeBytesMax)
})

const modeOf = (mode: number | undefined): number => {
  if (mode === undefined) return 0o600
  return Number.isInteger(mode) && mode > 0 && mode <= 0o777
    ? mode
    : wrong("mode", mode, "it must be permission bits such as 0o600")
}

const flushEveryMillisOf = (sync: FileOptions["sync"]): number => {
  if (sync === undefined || sync === "always") return 0
  if (sync === "never") return Number.POSITIVE_INFINITY
  return Math.max(1, millisOf("sync.every", sync.every, 1))
}

const boundsOf = (option: string, bounds: SizeAndAge | undefined): BytesAndMillis | undefined =>
  bounds === undefined ? undefined : {
    bytes: bytesOf(`${option}.size`, bounds.size, Number.POSITIVE_INFINITY),
    ageMillis: millisOf(`${option}.age`, bounds.age, Number.POSITIVE_INFINITY)
  }

/** Fills in the defaults; `path` must be absolute. */
export const make = (options: FileOptions): FileSettings => {
  const limits = limitsOf(options)
  return {
    target: {
      path: options.path,
      mode: modeOf(options.mode),
      widerMode: options.widerMode ?? "warn",
      allowNetworkFileSystem: options.allowNetworkFileSystem ?? false
    },
    flushEveryMillis: flushEveryMillisOf(options.sync),
    limits,
    pipeLimits: pipeLimitsOf(limits),
    pendingBytesMax: bytesOf("pendingBytesMax", options.pendingBytesMax, pendingBytesMaxDefault),
    key: options.key,
    digest: HashChain.digest(options.key),
    rotate: boundsOf("rotate", options.rotate),
    retain: boundsOf("retain", options.retain)
  }
}
