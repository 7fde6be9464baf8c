/**
 * How far long work is: one line on a terminal's stderr that is written over, and is gone at the end.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { printable } from "./output.ts"

/** Work that is done sooner needs no progress; then the eye follows no more than so many lines a second. */
const silentMillis = 1000
const intervalMillis = 100

/** Of a terminal that does not say how wide it is. */
const widthDefault = 80

/**
 * Makes a printer of progress, which prints nothing where stderr is no terminal. The line is removed with the scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<(text: () => string) => void, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const { stderr } = process
    let next = performance.now() + silentMillis
    let shown = false
    const show = (text: () => string): void => {
      // called from the middle of the work, in plain code: the Clock would cost a trip through the runtime
      if (!stderr.isTTY || performance.now() < next) return
      next = performance.now() + intervalMillis
      shown = true
      stderr.write(`\r\u001b[K${printable(text()).slice(0, (stderr.columns || widthDefault) - 1)}`)
    }
    const clear = (): void => {
      if (shown) stderr.write("\r\u001b[K")
    }
    return { show, clear }
  }),
  ({ clear }) => Effect.sync(clear)
).pipe(Effect.map(({ show }) => show))
