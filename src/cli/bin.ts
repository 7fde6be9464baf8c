#!/usr/bin/env node
/**
 * The entry of the command `auditlog`.
 *
 * @since 0.1.0
 */
import * as Fs from "node:fs"
import * as Module from "node:module"
import { homedir } from "node:os"
import { join } from "node:path"

/**
 * Node keeps the compiled code of what is imported from here on, which saves a fifth of the time of an `append`. What is
 * in that cache is run, so it is in a directory of this user's own: not in the temporary directory of all, where Node
 * would put it, and not in the home of somebody else that `sudo` may have left in the environment.
 */
const keepCompiledCode = (): void => {
  try {
    const home = homedir()
    if (Fs.statSync(home).uid !== process.getuid?.()) return
    Module.enableCompileCache(join(process.env["XDG_CACHE_HOME"] ?? join(home, ".cache"), "auditlog"))
  } catch {
    // without a home there is no cache
  }
}

const start = async (): Promise<void> => {
  keepCompiledCode()
  const [, , command, ...words] = process.argv
  if (command === "append") {
    const { main, parse } = await import("./quickAppend.ts")
    const args = parse(words)
    if (args !== undefined) return main(args)
  }
  const { main } = await import("./Cli.ts")
  return main()
}

/** The major version of the oldest Node that runs this, which is the `engines` of package.json. */
const nodeMajorMin = 22

if (Number.parseInt(process.versions.node, 10) < nodeMajorMin) {
  process.stderr.write(`auditlog: Node 22.19 or later is needed; ${process.execPath} is ${process.version}\n`)
  process.exitCode = 2
} else await start()
