/**
 * A project of a few files, and the lint run over it.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { onTestFinished } from "vitest"
import * as Linter from "../src/lint/Linter.ts"

/** Python that appends a record as a whole line, but by hand. */
export const unsynced = `import json

def log(path, record):
    with open(path, "a") as f:
        f.write(json.dumps(record) + "\\n")
`

/** Python that appends a record in two writes. */
export const split = `import json

def log(path, record):
    with open(path, "a") as f:
        json.dump(record, f)
        f.write("\\n")
`

/** Shell that appends a record by hand. */
export const shell = `jq -cn --arg actor "$USER" '{actor: $actor}' >> audit.jsonl\n`

/** Makes a directory with these files; it is the root of a repository, and removed when the test ends. */
export const project = (files: Readonly<Record<string, string | Uint8Array>>): string => {
  const root = Fs.realpathSync(Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-lint-")))
  onTestFinished(() => Fs.rmSync(root, { recursive: true, force: true }))
  Fs.mkdirSync(Path.join(root, ".git"))
  for (const [name, content] of Object.entries(files)) {
    Fs.mkdirSync(Path.dirname(Path.join(root, name)), { recursive: true })
    Fs.writeFileSync(Path.join(root, name), content)
  }
  return root
}

/** Lints a directory. */
export const lint = (directory: string, options: Partial<Linter.Options> = {}): Promise<Linter.Run> =>
  Effect.runPromise(
    Linter.lint({ directory, paths: [], ...options }).pipe(Effect.provide(NodeServices.layer))
  )

/** Why the lint cannot run. */
export const problems = (
  directory: string,
  options: Partial<Linter.Options> = {}
): Promise<ReadonlyArray<string>> =>
  Effect.runPromise(
    Linter.lint({ directory, paths: [], ...options }).pipe(
      Effect.as([]),
      Effect.catchTag("LintError", (error) => Effect.succeed(error.problems)),
      Effect.provide(NodeServices.layer)
    )
  )

/** Each finding in short: `file:line rule`, and `(comment)` or `(baseline)` if it does not count. */
export const short = ({ report }: Linter.Run): ReadonlyArray<string> =>
  report.findings.map(({ file, line, rule, suppressed }) =>
    `${file}:${line} ${rule}${suppressed === undefined ? "" : ` (${suppressed.by})`}`
  )

/** The files in which sites were found. */
export const filesWithSites = ({ report }: Linter.Run): ReadonlyArray<string> => [
  ...new Set(report.sites.map(({ file }) => file))
]
