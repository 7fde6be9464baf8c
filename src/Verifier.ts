/**
 * Reads a log to its end and says whether it is what its writers wrote: one report, whatever the log holds.
 *
 * It hashes every record, follows every writer's chain, and tells what a crash leaves from what a hand has done.
 * docs/integrity.md says which attacks it sees, and which only a key or a copy elsewhere can show.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import type * as HashChain from "./HashChain.ts"
import { blockBytesDefault } from "./internal/lineBlocks.ts"
import * as LogVerification from "./internal/logVerification.ts"
import type { Report } from "./VerifyReport.ts"

/**
 * The log cannot be verified: a file cannot be read, or its files move faster than they can be read.
 *
 * @category errors
 * @since 0.1.0
 */
export class VerifierError extends Schema.TaggedError<VerifierError>("effect-auditlog/VerifierError")(
  "VerifierError",
  {
    file: Schema.String,
    problem: Schema.String,
    cause: Schema.Defect()
  }
) {
  override get message(): string {
    return `cannot verify ${this.file}: ${this.problem}`
  }
}

/**
 * How far a verification is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  readonly bytesDone: number
  readonly bytesTotal: number
}

/**
 * The options of {@link verify}.
 *
 * **Details**
 *
 * - `keys` check lines with an HMAC. With them given, a line without an HMAC is a fault, and so is one of another key.
 * - `segments`: `"all"` files of the log, oldest first (default), or `"one"`, the file itself. What `"one"` hangs on in
 *   older files is then not missed.
 * - `listedMax`: findings of each kind that are listed; all are counted. Default 100.
 * - `lineBytesMax` bounds the memory that one line can take; longer lines are damage. Default 64 MiB.
 * - `workers`: threads that scan and hash beside this one, which reads and judges. at most 16. `"auto"` (default) is two for a log of
 *   64 MiB or more where there is more than one processor, else none. The report does not depend on it: where threads
 *   cannot be started or end early, this one does their work.
 * - `onProgress` is called after every block of about 512 KiB. It must not throw.
 *
 * @category models
 * @since 0.1.0
 */
export interface VerifyOptions {
  readonly keys?: ReadonlyArray<HashChain.Key> | undefined
  readonly segments?: "all" | "one" | undefined
  readonly listedMax?: number | undefined
  readonly lineBytesMax?: number | undefined
  readonly workers?: number | "auto" | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

const lineBytesMaxDefault = 64 * 1024 * 1024
const listedMaxDefault = 100

/** Retention removes files, and logrotate renames all of them: then they are listed again. */
const attemptsMax = 5

/**
 * Verifies the log whose live file is at a path. Faults are in the report; the effect fails only if the log cannot be
 * read.
 *
 * **Details**
 *
 * The log may be written and rotated meanwhile: what is appended after the verification has begun is not looked at.
 * Memory does not grow with the size of the log, but with the number of its writers: about 190 bytes each at the peak.
 *
 * @category verifying
 * @since 0.1.0
 */
export const verify = (
  path: string,
  options: VerifyOptions = {}
): Effect.Effect<Report, VerifierError, FileSystem.FileSystem> =>
  LogVerification.run(path, {
    keys: options.keys,
    isPart: options.segments === "one",
    listedMax: options.listedMax ?? listedMaxDefault,
    lineBytesMax: options.lineBytesMax ?? lineBytesMaxDefault,
    workers: options.workers ?? "auto",
    blockBytes: blockBytesDefault,
    onProgress: options.onProgress ?? (() => {})
  }).pipe(
    Effect.retry({ times: attemptsMax - 1, while: (error) => error._tag === "Moved" }),
    Effect.mapError((error) =>
      error._tag === "Moved"
        ? new VerifierError({
          file: error.file,
          problem: "it is renamed or removed while the log is read; verify a copy, or one file with --only",
          cause: error
        })
        : new VerifierError({ file: error.file, problem: error.problem, cause: error.cause })
    )
  )
