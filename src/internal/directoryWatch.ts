/**
 * Hints that something has happened in a directory. A system may have none to give, or give up: what depends on them polls
 * as well.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"

/** Calls a function whenever the system says that something has happened, until the scope closes. */
export const start = (directory: string, changed: () => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.ignore(Effect.acquireRelease(
    Effect.try(() => {
      const watcher = Fs.watch(directory, { persistent: false }, changed)
      watcher.on("error", () => watcher.close())
      return watcher
    }),
    (watcher) => Effect.sync(() => watcher.close())
  ))
