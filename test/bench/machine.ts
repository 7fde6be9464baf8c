/**
 * Where the figures were taken, and which of the programs to compare with are there.
 */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { createRequire } from "node:module"
import * as Os from "node:os"
import * as Path from "node:path"

const output = (command: string, ...args: ReadonlyArray<string>): string | undefined => {
  const { status, stderr, stdout } = spawnSync(command, args, { encoding: "utf8" })
  return status === 0 ? (stdout || stderr).trim().split("\n")[0] : undefined
}

/** The interpreter itself: a shim of a version manager costs a start of its own. */
export const python = output("python3", "-c", "import sys; print(sys.executable)")

/** The C compiler, if there is one. */
export const cc = output("sh", "-c", "command -v cc")

export const jq = output("sh", "-c", "command -v jq")

const require = createRequire(import.meta.url)

const versionOf = (name: string): string => {
  const directory = require.resolve.paths(name)?.map((path) => Path.join(path, name)).find((path) =>
    Fs.existsSync(Path.join(path, "package.json"))
  )
  if (directory === undefined) return "missing"
  return (JSON.parse(Fs.readFileSync(Path.join(directory, "package.json"), "utf8")) as { version: string }).version
}

/** The file system of a directory, from the longest mount point that leads to it. */
const fileSystemOf = (directory: string): string => {
  const mounts = Fs.readFileSync("/proc/mounts", "utf8").split("\n").map((line) => line.split(" "))
  const [, , type = "unknown", options = ""] = mounts
    .filter(([, at = "-"]) => directory === at || directory.startsWith(at.endsWith("/") ? at : `${at}/`))
    .reduce((best, mount) => (mount[1] ?? "").length >= (best[1] ?? "").length ? mount : best, [])
  return `${type} (${options})`
}

/** What the figures depend on, by what it is called. */
export const describe = (directory: string): Readonly<Record<string, string>> => {
  const [cpu] = Os.cpus()
  const entries: ReadonlyArray<readonly [string, string | undefined]> = [
    ["CPU", `${cpu?.model.trim() ?? "unknown"}, ${Os.availableParallelism()} cores`],
    ["Memory", `${Math.round(Os.totalmem() / 2 ** 30)} GiB`],
    ["File system", fileSystemOf(Fs.realpathSync(directory))],
    ["Kernel", `${Os.type()} ${Os.release().replace(/[-+].*$/, "")}`],
    ["Node", process.versions.node],
    ["effect", versionOf("effect")],
    ["pino", versionOf("pino")],
    ["winston", versionOf("winston")],
    ["SQLite", process.versions["sqlite"]],
    ["@duckdb/node-api", versionOf("@duckdb/node-api")],
    ["@ast-grep/cli", versionOf("@ast-grep/cli")],
    ["Python", python === undefined ? undefined : output(python, "--version")?.replace("Python ", "")],
    ["jq", jq === undefined ? undefined : output(jq, "--version")?.replace("jq-", "")],
    ["C compiler", cc === undefined ? undefined : output(cc, "--version")]
  ]
  return Object.fromEntries(entries.map(([name, value]) => [name, value ?? "not there"]))
}
