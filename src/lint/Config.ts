/**
 * What a project tells the lint, in `auditlog.config.json`: the nearest one up the tree from what is linted. Its JSON
 * Schema is shipped as `schema/auditlog-config.schema.json`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { LintError } from "./LintError.ts"
import * as Rules from "./Rules.ts"

/**
 * The name of the file.
 *
 * @category constants
 * @since 0.1.0
 */
export const fileName = "auditlog.config.json"

const severities = ["error", "warning", "review", "off"] as const

const Patterns = Schema.Array(Schema.NonEmptyString)

/** One optional key a rule, so that a wrong name is told apart from a wrong value. */
const Severities = Schema.Struct(Object.fromEntries(
  Rules.names.map((name) => [name, Schema.optionalKey(Schema.Literals(severities))])
))

/**
 * The content of the file.
 *
 * **Details**
 *
 * - `include`: patterns in the syntax of .gitignore, relative to the file; only what they match is linted. Without it
 *   everything is. `exclude`: what is left out, besides what .gitignore names.
 * - `primitives`: functions and commands that append a record whole; calls of them are `migrated`. They are added to
 *   those of this library. `helpers`: names of the project's own functions that do.
 * - `severities`: of rules, instead of their own; `off` switches a rule off.
 * - `failOn`: the least severity that makes the exit code 1.
 * - `baseline`: the path of the baseline, relative to the file.
 * - `fileBytesMax`: larger files are skipped, and said to be.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ConfigFile = Schema.Struct({
  $schema: Schema.optionalKey(Schema.String),
  include: Schema.optionalKey(Patterns.annotate({
    description: "Patterns in the syntax of .gitignore, relative to this file: only what they match is linted"
  })),
  exclude: Schema.optionalKey(Patterns.annotate({
    description: "Patterns in the syntax of .gitignore, relative to this file: what they match is not linted"
  })),
  primitives: Schema.optionalKey(
    Schema.Array(Schema.Struct({
      language: Schema.Literals(["python", "shell", "javascript"]),
      name: Schema.NonEmptyString.annotate({ description: "Of the function, or the command in shell" }),
      module: Schema.optionalKey(
        Schema.NonEmptyString.annotate({ description: "Where it has to be imported from; not for shell" })
      )
    })).annotate({ description: "What appends a record whole, besides this library: calls of it are migrated sites" })
  ),
  helpers: Schema.optionalKey(
    Schema.Array(Schema.NonEmptyString).annotate({
      description: "Names of the project's own functions that append records through a primitive, or by hand on purpose"
    })
  ),
  severities: Schema.optionalKey(Severities.annotate({ description: "Of rules, instead of their own" })),
  failOn: Schema.optionalKey(
    Schema.Literals(["error", "warning", "review"]).annotate({
      description: "The least severity that makes the exit code 1; review, if not given"
    })
  ),
  baseline: Schema.optionalKey(
    Schema.NonEmptyString.annotate({ description: "The path of the baseline, relative to this file" })
  ),
  fileBytesMax: Schema.optionalKey(
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)).annotate({
      description: "Larger files are skipped; 2097152, if not given"
    })
  )
}).annotate({ title: "Configuration of auditlog lint" })

/**
 * The type of {@link ConfigFile}.
 *
 * @category schemas
 * @since 0.1.0
 */
export type ConfigFile = typeof ConfigFile.Type

/**
 * A configuration and where it stands. `root` is the directory that its patterns, and the paths of the baseline, are
 * relative to: that of the file, else the one of the repository, else the one that is linted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Config {
  readonly root: string
  readonly file: string | undefined
  readonly content: ConfigFile
}

const allowedText = `its keys are: ${Object.keys(ConfigFile.fields).join(", ")}`

/**
 * The configuration in a text, or what is wrong with it: a line for each fault, with its key and what is allowed there.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parse = (text: string): Result.Result<ConfigFile, ReadonlyArray<string>> => {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    return Result.fail([`is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`])
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return Result.fail([`has to be an object; ${allowedText}`])
  }
  const decoded = Schema.decodeUnknownResult(ConfigFile, { errors: "all", onExcessProperty: "error" })(json)
  if (Result.isSuccess(decoded)) {
    const wrong = (decoded.success.primitives ?? []).flatMap((primitive, index) =>
      (primitive.language === "shell") === (primitive.module === undefined)
        ? []
        : [
          primitive.language === "shell"
            ? `primitives[${index}].module: a command of shell has no module`
            : `primitives[${index}].module: is missing; a function is trusted by where it is imported from`
        ]
    )
    return wrong.length === 0 ? Result.succeed(decoded.success) : Result.fail(wrong)
  }
  return Result.fail(faults(decoded.failure.message))
}

/** The schema's own words are "Expected X" and then "at [key]": a reader looks for the key first. */
const faults = (message: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  let what = ""
  for (const line of message.split("\n")) {
    const at = /^\s*at (?<path>\[.*\])$/.exec(line)?.groups?.["path"]
    if (at === undefined) {
      what = line.trim()
      continue
    }
    const key = at.replaceAll(/\["([^"]*)"\]/g, ".$1").replace(/^\./, "")
    found.push(`${key}: ${what === "Expected no excess property" ? unknownKey(key) : lowered(what)}`)
  }
  return found.length === 0 ? [lowered(message.replaceAll("\n", " "))] : found
}

const unknownKey = (key: string): string =>
  key.startsWith("severities.")
    ? `is no rule; the rules are: ${Rules.names.join(", ")}`
    : key.startsWith("primitives")
    ? "is no key of a primitive; its keys are: language, name, module"
    : `is no key of the configuration; ${allowedText}`

const lowered = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1)

/**
 * Reads a configuration, or finds the nearest one up the tree.
 *
 * @category loading
 * @since 0.1.0
 */
export const load: (options: {
  readonly directory: string
  readonly file?: string | undefined
}) => Effect.Effect<Config, LintError, FileSystem.FileSystem | Path.Path> = Effect.fnUntraced(function*(options) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const above: Array<string> = []
  for (let at = options.directory;; at = path.dirname(at)) {
    above.push(at)
    if (path.dirname(at) === at) break
  }
  const exists = (file: string) => Effect.orElseSucceed(fs.exists(file), () => false)
  const first = Effect.fnUntraced(function*(name: string) {
    for (const directory of above) if (yield* exists(path.join(directory, name))) return directory
    return undefined
  })
  const nearest = options.file === undefined ? yield* first(fileName) : undefined
  const file = options.file ?? (nearest === undefined ? undefined : path.join(nearest, fileName))
  if (file === undefined) {
    return { root: (yield* first(".git")) ?? options.directory, file, content: {} }
  }
  const text = yield* fs.readFileString(file).pipe(
    Effect.mapError((error) =>
      new LintError({
        problems: [
          error.reason._tag === "NotFound"
            ? `${file}: there is no such configuration`
            : `${file}: the configuration cannot be read (${error.reason._tag})`
        ]
      })
    )
  )
  const content = parse(text)
  if (Result.isFailure(content)) {
    return yield* new LintError({ problems: content.failure.map((fault) => `${file}: ${fault}`) })
  }
  return { root: path.dirname(file), file, content: content.success }
})
