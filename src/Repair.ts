/**
 * Takes damage out of a log without losing a byte of it: damaged ranges are moved into a quarantine beside the log, and
 * a clean copy takes the place of the file. docs/repair.md tells the whole story.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { basename, dirname, join } from "node:path"
import type * as HashChain from "./HashChain.ts"
import { OpenWriters } from "./internal/openWriters.ts"
import * as Quarantine from "./internal/quarantine.ts"
import * as RepairFile from "./internal/repairFile.ts"
import type { Settings } from "./internal/repairScan.ts"
import { RepairError, type RepairErrorReason, type Report, Unfinished } from "./RepairReport.ts"
import * as Segment from "./Segment.ts"

/**
 * How far a repair is with one file; it goes over a damaged file several times.
 *
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  readonly file: string
  readonly phase: "reading" | "copying" | "checking"
  readonly bytes: number
  readonly totalBytes: number
}

/**
 * The options of {@link repair}.
 *
 * **Details**
 *
 * - `only`: the named file alone, not the other segments of its log.
 * - `dryRun`: finds and reports, and changes nothing.
 * - `force`: repairs although other processes have the file open for writing, or may have, and although nothing in the
 *   file looks like a log. Writers of this library follow the new file; what other writers append to the old one after
 *   the repair is lost.
 * - `keys`: check the lines with an HMAC. Lines with another key, or all of them without keys, stay unchecked.
 * - `key`: authenticates the entries of the quarantine.
 * - `lineBytesMax`: longer lines are damage; default 64 MiB, as in the reader.
 * - `rangesMax`: ranges that the report lists for a file, of those it counts; default 100.
 * - `onProgress`: called after each block of a megabyte.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly only?: boolean | undefined
  readonly dryRun?: boolean | undefined
  readonly force?: boolean | undefined
  readonly keys?: ReadonlyArray<HashChain.Key> | undefined
  readonly key?: HashChain.Key | undefined
  readonly lineBytesMax?: number | undefined
  readonly rangesMax?: number | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

const lineBytesMaxDefault = 64 * 1024 * 1024

const rangesMaxDefault = 100

/** How often a file that changes under `force` is tried. */
const attemptsMax = 5

const sealedInfix = /\.\d{8}T\d{6}\.\d{3}Z\.[0-9A-HJKMNP-TV-Z]{26}(?=(?:\.[^.]*)?$)/
const rotatedSuffix = /(?:\.\d{1,6}|-\d{8,}(?:[-T]?\d+)*)$/

/**
 * The quarantine of a log: `<live file>.quarantine`, for each of its segments the same.
 *
 * @category names
 * @since 0.1.0
 */
export const quarantinePath = (file: string): string => {
  const name = basename(file)
  const live = [name.replace(sealedInfix, ""), name.replace(rotatedSuffix, "")]
    .find((live) => live !== name && ["sealed", "rotated"].includes(Segment.pick(live, [name])[0]?.kind ?? ""))
  return join(dirname(file), `${live ?? name}.quarantine`)
}

/**
 * Repairs a log: all of its segments, oldest first, the live file last.
 *
 * **Details**
 *
 * What is moved: lines that the reader reports as damage, fragments with the resync line that healed them, NUL bytes
 * around and between lines, and bytes after the last newline. What stays, byte for byte: whole records, also those of
 * incomplete transactions, resync lines of their own, foreign objects, blank lines.
 *
 * When it succeeds, every file is sound, the moved bytes are in the quarantine, and both are flushed to the device. A
 * second call finds nothing to do. When it fails, files that it names are as they were, unless their failure says that
 * they were replaced; the others are repaired. Killed at any moment, it is continued by the next call.
 *
 * **Gotchas**
 *
 * The clean copy needs as much free space as the file, and keeps its owner, mode and times, not access control lists
 * and other extended attributes. Memory is constant, except that a continued repair remembers what was moved before.
 *
 * @category repairing
 * @since 0.1.0
 */
export const repair = (
  file: string,
  options: Options = {}
): Effect.Effect<Report, RepairError, FileSystem.FileSystem> => Effect.scoped(run(file, options))

const run = Effect.fnUntraced(function*(file: string, options: Options) {
  const quarantine = quarantinePath(file)
  const done: {
    -readonly [K in "files" | "failures" | "skipped"]: Array<Report[K][number]>
  } = { files: [], failures: [], skipped: [] }
  const notes = new Set<string>()
  const reportSoFar = (): Report => ({ quarantine, ...done, notes: Array.from(notes) })
  const fail = (reason: RepairErrorReason) => Effect.fail(new RepairError({ reason, report: reportSoFar() }))

  const paths: Array<string> = []
  for (const segment of options.only === true ? [{ kind: "live", path: file }] : yield* segmentsOf(file)) {
    if (segment.kind === "compressed") {
      done.skipped.push({ file: segment.path, problem: "it is compressed; unpack it, then repair it" })
    } else paths.push(segment.path)
  }
  const settings = settingsOf(options)
  const readStarted = Quarantine.unfinished(quarantine).pipe(
    Effect.mapError((cause) => new Unfinished({ file, problem: cause.message, replaced: false, cause })),
    Effect.catch(fail)
  )
  const open = yield* opener(quarantine, options)
  const search = yield* OpenWriters
  const provenKeys = new Set<string>()

  let started = settings.dryRun ? new Map<string, Quarantine.Unfinished>() : yield* readStarted
  for (const path of paths) {
    for (let attempt = 1;; attempt++) {
      const result = yield* Effect.result(
        RepairFile.repair(path, { settings, search, quarantine: open, started, notes, provenKeys })
      )
      if (Result.isSuccess(result)) done.files.push(result.success)
      else if (settings.force && result.failure._tag === "Changed" && attempt < attemptsMax) {
        started = yield* readStarted
        continue
      } else done.failures.push(result.failure)
      break
    }
  }
  const first = done.failures[0]
  return first === undefined ? reportSoFar() : yield* fail(first)
})

/** The segments, the named file among them, so that a missing one is told. */
const segmentsOf = (file: string) =>
  Effect.map(
    Effect.orElseSucceed(Segment.list(file), (): ReadonlyArray<Segment.Segment> => []),
    (segments): ReadonlyArray<Segment.Segment> => segments.length > 0 ? segments : [{ kind: "live", path: file }]
  )

const settingsOf = (options: Options): Settings => {
  const { onProgress } = options
  return {
    dryRun: options.dryRun ?? false,
    force: options.force ?? false,
    keys: options.keys ?? [],
    lineBytesMax: options.lineBytesMax ?? lineBytesMaxDefault,
    rangesMax: options.rangesMax ?? rangesMaxDefault,
    onProgress: onProgress === undefined
      ? () => {}
      : (file, phase, bytes, totalBytes) => onProgress({ file, phase, bytes, totalBytes })
  }
}

/** Opens the quarantine at its first use, and keeps it open until the scope ends. */
const opener = Effect.fnUntraced(function*(path: string, options: Options) {
  const scope = yield* Effect.scope
  let opened: Quarantine.Append | undefined
  const open: RepairFile.Session["quarantine"] = (source) =>
    opened !== undefined ? Effect.succeed(opened) : Quarantine.open({
      path,
      owner: { mode: Number(source.stat.mode), uid: Number(source.stat.uid), gid: Number(source.stat.gid) },
      key: options.key,
      // other hosts cannot be seen, which only force overrides
      allowNetworkFileSystem: options.force ?? false
    }).pipe(
      Scope.provide(scope),
      Effect.tap((append) =>
        Effect.sync(() => {
          opened = append
        })
      ),
      Effect.mapError((cause) =>
        new Unfinished({
          file: source.path,
          problem: `its quarantine cannot be written: ${cause.message}`,
          replaced: false,
          cause
        })
      )
    )
  return open
})
