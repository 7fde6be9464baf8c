/**
 * The repair of one file, step by step; a kill between any two of them leaves a state from which the next run comes to
 * the same end.
 *
 * 1. Scan: find the damaged ranges. Nothing is written if there are none.
 * 2. Copy: the ranges go to the quarantine, flushed; everything between them goes to a copy beside the file.
 * 3. Check: flush the copy, read it back, and compare its records with those of the file.
 * 4. Place: if nothing has changed and nobody writes, rename the copy over the file and flush the directory.
 *
 * Until the rename the file is as it was; from then on it is the clean one. The quarantine is durable before.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createHash, hash } from "node:crypto"
import * as Fs from "node:fs"
import { basename } from "node:path"
import { Changed, type FileReport, OpenForWriting, Unfinished, Unsuitable, WritersUnknown } from "../RepairReport.ts"
import type { DamagedRange } from "./damageScanner.ts"
import type { Findings } from "./openWriters.ts"
import * as Quarantine from "./quarantine.ts"
import { readLog, scan, type Scanned, type Settings } from "./repairScan.ts"
import * as Source from "./repairSource.ts"

/** What the files of one log share. */
export interface Session {
  readonly settings: Settings
  readonly search: (fd: number) => Findings
  /** Opens the quarantine at its first use. */
  readonly quarantine: (source: Source.Source) => Effect.Effect<Quarantine.Append, Unfinished>
  /** Repairs that were started before and not finished, by file name. */
  readonly started: ReadonlyMap<string, Quarantine.Unfinished>
  readonly notes: Set<string>
  /** Keys of which a record was found that has the HMAC they give. */
  readonly provenKeys: Set<string>
}

type Failure = Unsuitable | OpenForWriting | WritersUnknown | Changed | Unfinished

/** Repairs a file, or says why not. */
export const repair = (path: string, session: Session): Effect.Effect<FileReport, Failure> =>
  Effect.scoped(Effect.gen(function*() {
    const { settings } = session
    const source = yield* Source.open(path)
    const scanned = yield* scan(source, settings, "reading", () => Effect.void)
    yield* assertKeys(source, scanned, session)
    yield* assertSuitable(source, scanned, settings)
    if (scanned.tally.wholeTail) session.notes.add(aboutTail(source.path, settings.dryRun))
    if (scanned.rangeCount === 0) {
      if (!settings.dryRun) yield* finishEarlier(source, scanned, session)
      return report(source, scanned, "sound", [])
    }
    if (settings.dryRun) return report(source, scanned, "damaged", look(source, session).writers)
    yield* assertNoWriters(source, session)
    return yield* replace(source, scanned, session)
  }))

/**
 * With a wrong secret every record under the key looks altered, and all of them would be moved. `force` is for other
 * risks; without the key these records stay.
 */
const assertKeys = (
  { path }: Source.Source,
  { tally }: Scanned,
  { provenKeys }: Session
): Effect.Effect<void, Unsuitable> => {
  for (const [key, { matching, other }] of tally.keys) {
    if (matching > 0) provenKeys.add(key)
    // one alone may well have been altered
    if (other < 2 || provenKeys.has(key)) continue
    const problem = `none of its ${other} records under the key ${JSON.stringify(key)} has the HMAC that the given ` +
      `secret makes, so it is probably not the secret they were written with; repair with that one, or without a key, ` +
      `and records with an HMAC stay`
    return Effect.fail(new Unsuitable({ file: path, problem }))
  }
  return Effect.void
}

const assertSuitable = (
  { path }: Source.Source,
  { looksLikeLog, rangeCount, tally }: Scanned,
  { force }: Settings
): Effect.Effect<void, Unsuitable> => {
  if (tally.newer !== undefined) {
    const problem = `line ${tally.newer} is in a newer version of the format; repair it with a newer version of this ` +
      `program`
    return Effect.fail(new Unsuitable({ file: path, problem }))
  }
  if (rangeCount === 0 || looksLikeLog || force) return Effect.void
  const problem =
    `nothing in it is a record or any JSON object, so it is probably no log; "force" moves all of it into ` +
    `the quarantine`
  return Effect.fail(new Unsuitable({ file: path, problem }))
}

const aboutTail = (path: string, dryRun: boolean): string =>
  `what stands after the last newline of ${path} is a whole record. If a program, such as an editor, has taken its ` +
  `newline away, then it counted before, and ` +
  (dryRun
    ? `a newline puts it back: printf '\\n' >> ${path}, before the repair`
    : `it was acknowledged; it is in the quarantine now`)

/** A repair that was killed between the rename and its end: the file is clean, and that is still to be written down. */
const finishEarlier = Effect.fnUntraced(function*(source: Source.Source, { sha256 }: Scanned, session: Session) {
  const file = basename(source.path)
  if (!session.started.has(file)) return
  yield* Source.fsyncDirectory(source.path)
  const append = yield* session.quarantine(source)
  yield* store(source, append, [{ _tag: "RepairFinished", file, sizeBytes: source.size, sha256 }])
})

// ---------------------------------------------------------------------------------------------------------------------
// Other writers
// ---------------------------------------------------------------------------------------------------------------------

const look = (source: Source.Source, { notes, search }: Session): Findings => {
  const findings = search(source.fd)
  for (const note of findings.notes) notes.add(note)
  return findings
}

const assertNoWriters = (
  source: Source.Source,
  session: Session
): Effect.Effect<Findings["writers"], OpenForWriting | WritersUnknown> => {
  const { blind, unseen, writers } = look(source, session)
  if (session.settings.force) return Effect.succeed(writers)
  if (writers.length > 0) return Effect.fail(new OpenForWriting({ file: source.path, writers }))
  if (blind === undefined && unseen.length === 0) return Effect.succeed(writers)
  const problem = blind ??
    (unseen.length === 1 ? "1 process cannot be looked into" : `${unseen.length} processes cannot be looked into`)
  return Effect.fail(new WritersUnknown({ file: source.path, problem, unseen }))
}

// ---------------------------------------------------------------------------------------------------------------------
// Copy, check, place
// ---------------------------------------------------------------------------------------------------------------------

const replace = Effect.fnUntraced(function*(
  source: Source.Source,
  scanned: Scanned,
  session: Session
): Effect.fn.Return<FileReport, Failure, Scope.Scope> {
  const file = basename(source.path)
  const copy = yield* Source.createCopy(source, (fd) => session.search(fd).writers.length > 0)
  const append = yield* session.quarantine(source)
  const copied = yield* separate(source, scanned, copy, append, session)
  yield* Source.attempt(source.path, "keep its times", () => Source.keepTimes(source, copy))
  yield* Source.fsync(source.path, copy.fd, "flush its copy")
  yield* check(source, copy, copied, session.settings)

  const writers = yield* assertNoWriters(source, session)
  const finished = { _tag: "RepairFinished", file, sizeBytes: copied.size, sha256: copied.sha256 } as const
  const lateBytes = yield* Effect.uninterruptible(Effect.gen(function*() {
    yield* place(source, copy)
    yield* Source.fsyncDirectory(source.path, true)
    const late = yield* Effect.try({
      try: () => Source.appendLate(source, source.path),
      catch: (cause) => Source.unfinished(source.path, "append what was written meanwhile", cause, true)
    })
    yield* store(source, append, [finished], true)
    return late
  }))
  return report(source, scanned, "repaired", writers, { ...copied, lateBytes })
})

const store = (
  { path }: Source.Source,
  append: Quarantine.Append,
  entries: ReadonlyArray<Quarantine.Entry>,
  replaced = false
): Effect.Effect<void, Unfinished> =>
  Effect.mapError(
    append(entries),
    (cause) =>
      new Unfinished({ file: path, problem: `its quarantine cannot be written: ${cause.message}`, replaced, cause })
  )

/** Entries, and bytes in them, that are stored with one flush. */
const batchEntriesMax = 512
const batchBytesMax = 4 * 1024 * 1024

interface Copied {
  readonly size: number
  readonly sha256: string
}

/** Sends every byte of the file to one of two places: the copy, or the quarantine. */
const separate = Effect.fnUntraced(function*(
  source: Source.Source,
  scanned: Scanned,
  copy: Source.Copy,
  append: Quarantine.Append,
  { settings, started }: Session
) {
  const file = basename(source.path)
  const earlier = started.get(file)
  const resumed = earlier !== undefined && earlier.sizeBytes === source.size && earlier.sha256 === scanned.sha256
  let waiting: Array<Quarantine.Entry> = resumed
    ? []
    : [{ _tag: "RepairStarted", file, sizeBytes: source.size, sha256: scanned.sha256 }]
  let waitingBytes = 0
  const flush = Effect.suspend(() => {
    const entries = waiting
    waiting = []
    waitingBytes = 0
    return entries.length === 0 ? Effect.void : store(source, append, entries)
  })

  const move = Effect.fnUntraced(function*(range: DamagedRange) {
    const end = range.offset + range.length
    for (let offset = range.offset; offset < end; offset += Quarantine.entryBytesMax) {
      const length = Math.min(Quarantine.entryBytesMax, end - offset)
      const bytes = yield* Source.attempt(
        source.path,
        "read it",
        () => Buffer.from(Source.readAt(source.fd, new Uint8Array(length), offset))
      )
      const entry = {
        _tag: "BytesMoved" as const,
        file,
        offset,
        length: bytes.length,
        kind: range.kind,
        healed: range.healed,
        sha256: hash("sha256", bytes, "hex"),
        ...(bytes.every((byte) => byte === 0) ? {} : { base64: bytes.toString("base64") })
      }
      if (resumed && earlier.moved.has(Quarantine.identity(entry))) continue
      waiting.push(entry)
      waitingBytes += bytes.length
      if (waiting.length >= batchEntriesMax || waitingBytes >= batchBytesMax) yield* flush
    }
  })

  let size = 0
  let keptTo = 0
  const digest = createHash("sha256")
  const block = new Uint8Array(Source.blockBytes)
  const keep = Effect.fnUntraced(function*(end: number) {
    while (keptTo < end) {
      const bytes = yield* Source.attempt(source.path, "write its copy", () => {
        const bytes = Source.readAt(source.fd, block.subarray(0, Math.min(block.length, end - keptTo)), keptTo)
        Source.writeAll(copy.fd, bytes)
        return bytes
      })
      // the file was cut meanwhile, which is found out before anything is replaced
      if (bytes.length === 0) break
      digest.update(bytes)
      size += bytes.length
      keptTo += bytes.length
    }
  })

  const again = yield* scan(
    source,
    settings,
    "copying",
    (ranges) =>
      Effect.forEach(ranges, (range) =>
        keep(range.offset).pipe(
          Effect.andThen(move(range)),
          Effect.andThen(Effect.sync(() => {
            keptTo = range.offset + range.length
          }))
        ), { discard: true })
  )
  yield* keep(source.size)
  if (again.sha256 !== scanned.sha256) {
    return yield* new Changed({ file: source.path, problem: "it was written to" })
  }
  yield* flush
  const copied: Copied = { size, sha256: digest.digest("hex") }
  return copied
})

/** Reads the copy back: it must hold the bytes that were kept, and a reader must find the same records, and no damage. */
const check = Effect.fnUntraced(function*(
  source: Source.Source,
  copy: Source.Copy,
  copied: Copied,
  settings: Settings
) {
  const before = yield* readLog(source.path, source.fd, source.size, settings)
  const after = yield* readLog(source.path, copy.fd, copied.size, settings)
  const fault = after.sha256 !== copied.sha256
    ? "its copy does not read back as it was written; check the disk"
    : after.records !== before.records
    ? "a reader does not find the same records in its copy"
    : after.damages > 0
    ? "a reader still finds damage in its copy"
    : undefined
  return yield* fault === undefined
    ? Effect.void
    : new Unfinished({ file: source.path, problem: fault, replaced: false })
})

/** Puts the copy in the place of the file, with nothing between the last look at both and the rename. */
const place = (source: Source.Source, copy: Source.Copy): Effect.Effect<void, Changed | Unfinished> =>
  Effect.suspend((): Effect.Effect<void, Changed | Unfinished> => {
    const change = Source.changeOf(source)
    if (change !== undefined) return Effect.fail(new Changed({ file: source.path, problem: change }))
    if (!Source.isAt(copy.path, copy.fd)) {
      const problem = `another program has removed its copy ${basename(copy.path)}; perhaps another repair runs`
      return Effect.fail(new Unfinished({ file: source.path, problem, replaced: false }))
    }
    return Source.attempt(source.path, "put its copy in its place", () => {
      Fs.renameSync(copy.path, source.path)
      copy.placed = true
    })
  })

const report = (
  source: Source.Source,
  scanned: Scanned,
  outcome: FileReport["outcome"],
  writers: FileReport["writers"],
  after: Copied & { readonly lateBytes: number } = { size: source.size, sha256: scanned.sha256, lateBytes: 0 }
): FileReport => ({
  file: source.path,
  outcome,
  sizeBefore: source.size,
  sizeAfter: after.size + after.lateBytes,
  sha256Before: scanned.sha256,
  sha256After: after.sha256,
  wholeLines: scanned.tally.whole,
  unchecked: scanned.tally.unchecked,
  damages: scanned.damages,
  healed: scanned.healed,
  suspects: scanned.tally.suspects,
  damagedBytes: scanned.damagedBytes,
  rangeCount: scanned.rangeCount,
  ranges: scanned.ranges,
  writers,
  lateBytes: after.lateBytes
})
