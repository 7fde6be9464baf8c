/**
 * Puts a file in the place of another: whoever reads it sees the old one or the new one, whole, also after a crash.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { LintError } from "../LintError.ts"

const permissions = 0o7777

/** Writes the file. A link stays one, and a file keeps its permissions. */
export const write = Effect.fnUntraced(function*(file: string, content: string | Uint8Array) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const target = yield* Effect.orElseSucceed(fs.realPath(file), () => file)
  const before = yield* Effect.orElseSucceed(fs.stat(target), () => undefined)
  const directory = path.dirname(target)
  // with a process id two runs do not meet; one that was killed leaves a name that the next one may overwrite
  const temporary = path.join(directory, `.${path.basename(target)}.${process.pid}.tmp`)
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content
  const put = Effect.scoped(Effect.gen(function*() {
    const handle = yield* fs.open(temporary, { flag: "w", ...(before === undefined ? {} : { mode: before.mode }) })
    yield* handle.writeAll(bytes)
    yield* handle.sync
  })).pipe(
    Effect.andThen(before === undefined ? Effect.void : fs.chmod(temporary, before.mode & permissions)),
    Effect.andThen(fs.rename(temporary, target)),
    Effect.tapError(() => Effect.ignore(fs.remove(temporary))),
    Effect.andThen(Effect.scoped(Effect.flatMap(fs.open(directory, { flag: "r" }), (handle) => handle.sync)))
  )
  yield* Effect.uninterruptible(put).pipe(
    Effect.mapError((error) => new LintError({ problems: [`${file}: cannot be written (${error.reason._tag})`] }))
  )
})
