/**
 * Bundles the command before the tests, as it is published: the tests start it some hundred times, and from the sources
 * each start takes five times as long.
 */
import { execFileSync } from "node:child_process"
import * as Path from "node:path"

const root = Path.resolve(import.meta.dirname, "..")

export const setup = (): void => {
  execFileSync(process.execPath, [Path.join(root, "node_modules/rolldown/bin/cli.mjs"), "-c"], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"]
  })
}
