/**
 * Bundles the command `auditlog` into `dist/cli`: it starts in a fifth of the time, and needs no package but the grammars
 * of the lint at run time. The library is compiled file by file, by `tsc`.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { defineConfig, type Plugin } from "rolldown"

/** Puts the licences of what is bundled beside it. */
const licenses: Plugin = {
  name: "licenses",
  generateBundle(_, bundle) {
    const packages = new Set<string>()
    for (const output of Object.values(bundle)) {
      for (const id of output.type === "chunk" ? output.moduleIds : []) {
        const [directory] = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id) ?? []
        if (directory !== undefined) packages.add(directory)
      }
    }
    const texts = [...packages].sort().map((directory) => {
      const { name, version } = JSON.parse(Fs.readFileSync(Path.join(directory, "package.json"), "utf8"))
      const file = Fs.readdirSync(directory).find((name) => /^licen[cs]e/i.test(name))
      if (file === undefined) throw new Error(`${name} has no licence file`)
      return `${name} ${version}\n\n${Fs.readFileSync(Path.join(directory, file), "utf8").trim()}\n`
    })
    this.emitFile({ type: "asset", fileName: "LICENSES.txt", source: texts.join("\n\n---\n\n") })
  }
}

/** Beside the rest, and not in pieces that the rest shares: it holds nothing that it does not need. */
const quickAppend: Plugin = {
  name: "quick-append",
  resolveId: (id) => id === "./quickAppend.ts" ? { id: "./quickAppend.js", external: true } : undefined
}

// what only shipping to NATS needs is installed by those who do that
const external = [/^@nats-io\//]

const output = { dir: "dist/cli", format: "esm", minify: true, chunkFileNames: "[name]-[hash].js" } as const

export default defineConfig([
  { input: { bin: "src/cli/bin.ts" }, platform: "node", external, plugins: [quickAppend, licenses], output },
  { input: { quickAppend: "src/cli/quickAppend.ts" }, platform: "node", output },
  // what `verify` starts in threads, beside the chunk that starts it
  { input: { scanWorker: "src/internal/scanWorker.ts" }, platform: "node", output }
])
