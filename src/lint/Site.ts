/**
 * What a front-end says about code: every place where it appends to a file, and the facts that rules judge.
 *
 * A front-end finds facts and judges nothing; a rule judges facts and knows no language.
 *
 * @since 0.1.0
 */

/**
 * A range of the text of a file, in UTF-16 code units from its beginning; `end` is the first one after it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Span {
  readonly start: number
  readonly end: number
}

/**
 * What is appended, as far as the code shows it.
 *
 * **Details**
 *
 * - `record`: JSON on one line (an encoder's result and a newline, or lines built that way earlier).
 * - `multiLineRecord`: JSON over several lines (`indent=2`, `jq` without `-c`) into a file of records.
 * - `text`: anything else: prose, CSV, plain log lines, also with JSON inside the text.
 * - `unknown`: the code does not show it.
 *
 * @category models
 * @since 0.1.0
 */
export type Payload = "record" | "multiLineRecord" | "text" | "unknown"

/**
 * How long the handle lives, or the connection to the file that is open for appending.
 *
 * **Details**
 *
 * `once`: opened, written with one record (or one joined batch) and closed, or a call that does all of it. `loop`:
 * records are written in a loop. `stored`: kept in an object or a variable of the module. `passed`: handed to other
 * code, or returned.
 *
 * @category models
 * @since 0.1.0
 */
export type HandleLife = "once" | "loop" | "stored" | "passed"

/**
 * How the file grows. `append`: the kernel puts each write at the end (`O_APPEND`). `rewrite`: the whole file is read and
 * written again. `seek`: the program seeks to the end and writes there.
 *
 * @category models
 * @since 0.1.0
 */
export type Growth = "append" | "rewrite" | "seek"

/**
 * A change of the source: replaces each range by its text. Ranges do not overlap.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fix {
  readonly _tag: "Fix"
  readonly edits: ReadonlyArray<{ readonly span: Span; readonly text: string }>
}

/**
 * Why a site is not changed by `--fix`, as the end of "cannot be fixed automatically: …".
 *
 * @category models
 * @since 0.1.0
 */
export interface NoFix {
  readonly _tag: "NoFix"
  readonly reason: string
}

/**
 * A place where code appends to a file, or calls a primitive that does.
 *
 * **Details**
 *
 * - `language`: of the code at the site. `embeddedIn`: the language of the file, where it stands inside a string or
 *   heredoc of it.
 * - `span`: the statement or call that appends the record, or that opens the handle where there is one: what a report
 *   underlines. `statement`: the whole statement around it, for suppressions that stand above it.
 * - `call`: what appends, in short, as a person would say it: `open(…, "a")`, `>>`, `fs.appendFileSync`.
 * - `target`: the source text of the path; `path`: its value, where it is a literal or resolved one step away.
 * - `writesPerRecord`: write calls that one record takes (`write(json)` and then `write("\n")` are 2).
 * - `synced`: the code calls fsync or fdatasync on the handle before it goes on.
 * - `transaction`: evidence that the site is between BEGIN and COMMIT or ROLLBACK of SQL: its text and place.
 * - `migrated`: the name of the configured primitive that is called. Then the other facts do not matter.
 *
 * @category models
 * @since 0.1.0
 */
export interface Site {
  readonly language: string
  readonly embeddedIn?: string | undefined
  readonly span: Span
  readonly statement: Span
  readonly call: string
  readonly target: string
  readonly path?: string | undefined
  readonly payload: Payload
  readonly writesPerRecord: number
  readonly life: HandleLife
  readonly growth: Growth
  readonly synced: boolean
  readonly transaction?: { readonly span: Span; readonly text: string } | undefined
  readonly migrated?: string | undefined
  readonly fix: Fix | NoFix
}
