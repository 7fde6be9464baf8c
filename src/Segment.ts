/**
 * The files of one log: the live one that is appended to, and the sealed ones that were live before. Their names.
 *
 * `audit.jsonl` is sealed as `audit.<UTC time>.<writer>.jsonl`. The files that logrotate leaves are segments too.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import { basename, dirname, extname, join } from "node:path"

/**
 * One file of a log.
 *
 * **Details**
 *
 * `live`: the file that is appended to. `sealed`: renamed by this library. `rotated`: renamed by logrotate. `compressed`:
 * one of these two that was compressed since, by logrotate or by hand; it has to be unpacked before it can be read.
 *
 * @category models
 * @since 0.1.0
 */
export interface Segment {
  readonly kind: "live" | "sealed" | "rotated" | "compressed"
  readonly path: string
}

/** `2026-11-23T09:15:02.114Z` without what file systems and shells make trouble with. */
const compact = (at: string): string => at.replaceAll(/[-:]/g, "")

/**
 * The name under which a writer seals the live file at a time (RFC 3339, UTC, milliseconds). No two are the same as long
 * as a writer does not seal twice in a millisecond.
 *
 * @category names
 * @since 0.1.0
 */
export const sealedPath = (live: string, at: string, writer: string): string => {
  const extension = extname(live)
  return join(dirname(live), `${basename(live, extension)}.${compact(at)}.${writer}${extension}`)
}

const sealedName = /^\.(\d{8}T\d{6}\.\d{3}Z)\.([0-9A-HJKMNP-TV-Z]{26})$/
const rotatedName = /^(?:\.(\d{1,6})|-(\d{8,}(?:[-T]?\d+)*))$/
const compression = /\.(?:gz|bz2|xz|zst|Z)$/

interface Named extends Segment {
  /** Segments in the order of this text are in the order of time. */
  readonly order: string
}

/** What a file beside the live one is to the log by its name; `undefined` if nothing. */
const classifyPlain = (live: string, name: string): Named | undefined => {
  const path = join(dirname(live), name)
  const liveName = basename(live)
  if (name === liveName) return { kind: "live", path, order: "4" }
  const extension = extname(liveName)
  const stem = basename(liveName, extension)
  if (name.startsWith(stem) && name.endsWith(extension)) {
    const sealed = sealedName.exec(name.slice(stem.length, name.length - extension.length))
    if (sealed !== null) return { kind: "sealed", path, order: `3${sealed[1]}${sealed[2]}` }
  }
  const rotated = name.startsWith(liveName) ? rotatedName.exec(name.slice(liveName.length)) : null
  if (rotated === null) return undefined
  const [, number, date] = rotated
  // logrotate counts backwards: audit.jsonl.1 is the youngest
  const order = number === undefined ? `1${date}` : `2${String(999_999 - Number(number)).padStart(6, "0")}`
  return { kind: "rotated", path, order }
}

/** The same for files that may be compressed: leaving them out would leave out their records without a word. */
const classify = (live: string, name: string): Named | undefined => {
  const plain = classifyPlain(live, name)
  if (plain !== undefined || !compression.test(name)) return plain
  const packed = classifyPlain(live, name.replace(compression, ""))
  // a packed copy of the live file is no segment: the file itself is there
  if (packed === undefined || packed.kind === "live") return undefined
  return { ...packed, kind: "compressed", path: join(dirname(live), name) }
}

/**
 * When a sealed segment was sealed, by its name, in milliseconds since 1970, also if it is compressed; `NaN` for another
 * file. If the clock was set
 * back since the segment before was sealed, it is a millisecond after that one: the names keep the order.
 *
 * @category names
 * @since 0.1.0
 */
export const sealedMillis = (live: string, path: string): number => {
  const order = classify(live, basename(path))?.order ?? ""
  const [, date = "", hours = "", minutes = "", rest = ""] = /^3(\d{8})T(\d\d)(\d\d)(\d\d\.\d{3}Z)/.exec(order) ?? []
  return Date.parse(`${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}T${hours}:${minutes}:${rest}`)
}

/**
 * Picks the segments of a log from the names in its directory, oldest first, the live file last.
 *
 * @category names
 * @since 0.1.0
 */
export const pick = (live: string, names: ReadonlyArray<string>): ReadonlyArray<Segment> =>
  names
    .map((name) => classify(live, name))
    .filter((segment) => segment !== undefined)
    .sort((a, b) => a.order < b.order ? -1 : a.order > b.order ? 1 : 0)
    .map(({ kind, path }) => ({ kind, path }))

/**
 * The segments of a log as they are on disk now, oldest first. The live file may be missing: it is for a moment while a
 * log is rotated.
 *
 * @category reading
 * @since 0.1.0
 */
export const list = (live: string): Effect.Effect<ReadonlyArray<Segment>, PlatformError, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const fileSystem = yield* FileSystem.FileSystem
    return pick(live, yield* fileSystem.readDirectory(dirname(live)))
  })
