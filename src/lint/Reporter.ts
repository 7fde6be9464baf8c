/**
 * The port of a reporter: a run in, text out. One file a format, under `reporters/`.
 *
 * @since 0.1.0
 */
import type { Run } from "./Linter.ts"

/**
 * How a text is to look.
 *
 * **Details**
 *
 * `color`: whether it goes to a terminal that shows colours. `printable` makes what stands in code safe for a terminal,
 * character by character. `listSites`: also the sites that are no findings.
 *
 * @category models
 * @since 0.1.0
 */
export interface Style {
  readonly color: boolean
  readonly printable: (text: string) => string
  readonly listSites: boolean
  readonly version: string
}

/**
 * A reporter.
 *
 * @category models
 * @since 0.1.0
 */
export type Reporter = (run: Run, style: Style) => string
