/**
 * Bundles the command before the tests, as it is published, and the programs that the tests kill: both are started some
 * hundred times, and from the sources each start takes five times as long.
 */
import { execFileSync } from "node:child_process"
import * as Path from "node:path"
import { rolldown } from "rolldown"
import * as ChildPrograms from "./childPrograms.ts"

const root = Path.resolve(import.meta.dirname, "..")

export const setup = async (): Promise<void> => {
  execFileSync(process.execPath, [Path.join(root, "node_modules/rolldown/bin/cli.mjs"), "-c"], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"]
  })
  const input = ChildPrograms.bundled.map((name) => [name, Path.join(root, `test/children/${name}.ts`)])
  const build = await rolldown({
    input: Object.fromEntries(input),
    platform: "node",
    external: /^@nats-io\//,
    logLevel: "silent"
  })
  const names = { entryFileNames: "[name].mjs", chunkFileNames: "[name]-[hash].mjs" }
  await build.write({ dir: ChildPrograms.directory, format: "esm", ...names })
  await build.close()
}
