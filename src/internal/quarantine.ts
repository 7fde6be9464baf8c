/**
 * The quarantine of a log: a log of its own beside it, into which a repair moves damaged bytes before it replaces a
 * file. Nothing ever leaves it.
 *
 * A repair of one file is a `RepairStarted`, a `BytesMoved` for each range in the order of their offsets, and a
 * `RepairFinished`. Offsets are those of the file before the repair: the bytes that stay, with those that were moved put
 * back at their offsets, are that file again, and `sha256` of `RepairStarted` proves it.
 *
 * A repair that was killed is continued: what it has written since its `RepairStarted` is not written again, if the file
 * is still the same.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import type * as AuditError from "../AuditError.ts"
import * as AuditLog from "../AuditLog.ts"
import * as FileAppender from "../FileAppender.ts"
import type * as HashChain from "../HashChain.ts"
import * as LogReader from "../LogReader.ts"
import * as SizePolicy from "../SizePolicy.ts"

/** Bytes of one entry: as base64, with everything else, within the hard limit of a record, 1 MiB. */
export const entryBytesMax = 512 * 1024

/** A file as it was before or after a repair. `file` is its name, without the directory, which the quarantine shares. */
const state = { file: Schema.String, sizeBytes: Schema.Int, sha256: Schema.String }

/** `base64` is left out where every byte is NUL: holes of sparse files can be long. */
const Entry = Schema.TaggedUnion({
  RepairStarted: state,
  BytesMoved: {
    file: Schema.String,
    offset: Schema.Int,
    length: Schema.Int,
    kind: Schema.String,
    healed: Schema.Boolean,
    sha256: Schema.String,
    base64: Schema.optionalKey(Schema.String)
  },
  RepairFinished: state
})

export type Entry = typeof Entry.Type
export type BytesMoved = Extract<Entry, { readonly _tag: "BytesMoved" }>

class Quarantine extends AuditLog.Service<Quarantine>()("internal/Quarantine", { schema: Entry }) {}

/** A repair of a file that was started and not finished. */
export interface Unfinished {
  readonly sizeBytes: number
  readonly sha256: string
  /** What it has moved already, as {@link identity}. */
  readonly moved: Set<string>
}

/** What tells moved bytes from others of the same file: where they stood and what they are. */
export const identity = (moved: Pick<BytesMoved, "offset" | "length" | "sha256">): string =>
  `${moved.offset}:${moved.length}:${moved.sha256}`

const isEntry = Schema.decodeUnknownOption(Entry)

/** The unfinished repairs of a quarantine, by file name. */
export const unfinished = Effect.fnUntraced(function*(path: string) {
  const found = new Map<string, Unfinished>()
  const fileSystem = yield* FileSystem.FileSystem
  if (!(yield* Effect.orElseSucceed(fileSystem.exists(path), () => true))) return found
  yield* Stream.runForEach(LogReader.read(path, { only: true }), (read) =>
    Effect.sync(() => {
      const entry = read._tag === "Record" ? Option.getOrUndefined(isEntry(read.fields)) : undefined
      if (entry === undefined) return
      const { file } = entry
      if (entry._tag === "RepairFinished") found.delete(file)
      else if (entry._tag === "BytesMoved") found.get(file)?.moved.add(identity(entry))
      else found.set(file, { sizeBytes: entry.sizeBytes, sha256: entry.sha256, moved: new Set() })
    }))
  return found
})

export interface Options {
  readonly path: string
  /** Of the log: whoever may read it may read its quarantine, and nobody else. */
  readonly owner: { readonly mode: number; readonly uid: number; readonly gid: number }
  readonly key: HashChain.Key | undefined
  readonly allowNetworkFileSystem: boolean
}

/** Appends to a quarantine; each entry is flushed to the device when the effect succeeds. */
export type Append = (entries: ReadonlyArray<Entry>) => Effect.Effect<void, AuditError.AuditError>

/** Opens a quarantine, which is created with the owner and mode of the log. Throws nothing but defects of its own. */
export const open = (options: Options): Effect.Effect<Append, AuditError.AuditError, Scope.Scope> =>
  Effect.gen(function*() {
    const mode = options.owner.mode & 0o777
    yield* Effect.sync(() => create(options))
    const appender = FileAppender.layer({
      path: options.path,
      mode,
      key: options.key,
      allowNetworkFileSystem: options.allowNetworkFileSystem,
      sizePolicy: SizePolicy.allow()
    })
    const log = Context.get(yield* Layer.build(Quarantine.layer.pipe(Layer.provide(appender))), Quarantine)
    // each entry for itself, in one batch: what a kill leaves are whole entries, none of them twice
    return (entries) => Effect.forEach(entries, log.append, { concurrency: "unbounded", discard: true })
  })

const { O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = Fs.constants

/**
 * Creates the file, or takes over an empty one that a killed repair has left. What fails here fails again, with a better
 * message, in the appender.
 */
const create = ({ owner, path }: Options): void => {
  let fd: number
  try {
    fd = Fs.openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600)
  } catch {
    return
  }
  try {
    const stat = Fs.fstatSync(fd)
    if (!stat.isFile() || stat.size > 0) return
    Fs.fchownSync(fd, owner.uid, owner.gid)
    Fs.fchmodSync(fd, owner.mode & 0o777)
  } catch {
    // stays with this user, mode 0600: stricter than the log
  } finally {
    Fs.closeSync(fd)
  }
}
