/**
 * What a user gets: packs the package, installs it into an empty project, compiles a program against it with every strict
 * option, and runs that and the installed command. `npm run check:package` builds first and then runs this.
 */
import { execFileSync, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

const project = Path.resolve(import.meta.dirname, "..")
const at = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-consumer-"))
const path = `${Path.dirname(process.execPath)}:${process.env["PATH"]}`

const run = (command: string, args: ReadonlyArray<string>, cwd = at): string => {
  try {
    return execFileSync(command, args, { cwd, encoding: "utf8", env: { ...process.env, PATH: path }, stdio: "pipe" })
  } catch (cause) {
    const { stderr, stdout } = cause as { readonly stdout: string; readonly stderr: string }
    throw new Error(`${command} ${args.join(" ")}\n${stdout}${stderr}`, { cause })
  }
}

const expect = (what: string, holds: boolean): void => {
  if (!holds) throw new Error(`the installed package: expected ${what}`)
}

interface Packed {
  readonly filename: string
  readonly size: number
  readonly unpackedSize: number
  readonly files: ReadonlyArray<{ readonly path: string }>
}

const program = `
import { Effect, Layer, Schema } from "effect"
import { AuditLog, FileAppender, type VerifyReport } from "effect-auditlog"
import * as SizePolicy from "effect-auditlog/SizePolicy"

class Audit extends AuditLog.Service<Audit>()("consumer/Audit", {
  schema: Schema.TaggedUnion({ Login: { actor: Schema.String } })
}) {}

const live = Audit.layer.pipe(
  Layer.provide(FileAppender.layer({ path: "audit.jsonl", sizePolicy: SizePolicy.reject({ limit: "1 KiB" }) }))
)
export type Report = VerifyReport.Report
const receipt = await Effect.runPromise(
  Audit.use((audit) => audit.append({ _tag: "Login", actor: "ada" })).pipe(Effect.provide(live))
)
console.log(receipt.durability)
`

/** With its messages, which say what the workers have done. */
const verifier = `
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Logger, References } from "effect"
import { Verifier } from "effect-auditlog"
const logger = Logger.make(({ message }) => console.log(String(message)))
await Verifier.verify("audit.jsonl", { workers: 1 }).pipe(
  Effect.provide(NodeFileSystem.layer),
  Effect.provide(Logger.layer([logger])),
  Effect.provideService(References.MinimumLogLevel, "Debug"),
  Effect.runPromise
)
`

const strict = {
  compilerOptions: {
    target: "es2023",
    module: "nodenext",
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
    noImplicitOverride: true,
    noImplicitReturns: true,
    noUnusedLocals: true,
    isolatedModules: true,
    verbatimModuleSyntax: true,
    declaration: true,
    lib: ["es2023", "dom"],
    skipLibCheck: false
  },
  files: ["main.ts"]
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

const milliseconds = (args: ReadonlyArray<string>): number => {
  const start = performance.now()
  run(process.execPath, args)
  return performance.now() - start
}

try {
  const [packed] = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", at], project)) as [Packed]
  for (const { path } of packed.files) {
    expect(
      `nothing but what runs, not ${path}`,
      /^(?:dist|src|schema)\/|^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(path)
    )
  }
  const { devDependencies } = JSON.parse(Fs.readFileSync(Path.join(project, "package.json"), "utf8"))
  Fs.writeFileSync(Path.join(at, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }))
  run("npm", [
    "install",
    "--prefer-offline",
    "--no-audit",
    "--no-fund",
    `./${packed.filename}`,
    `effect@${devDependencies.effect}`,
    `@effect/platform-node@${devDependencies["@effect/platform-node"]}`
  ])

  Fs.writeFileSync(Path.join(at, "main.ts"), program)
  Fs.writeFileSync(Path.join(at, "verify.js"), verifier)
  Fs.writeFileSync(Path.join(at, "tsconfig.json"), JSON.stringify(strict))
  run(Path.join(project, "node_modules/.bin/tsc"), ["-p", "."])
  expect("the program to append", run(process.execPath, ["main.js"]) === "synced\n")

  run("npx", ["--no", "auditlog", "append", "audit.jsonl", "--json", `{"actor":"bob"}`])
  const lines = run("npx", ["--no", "auditlog", "cat", "audit.jsonl"]).trimEnd().split("\n")
  expect(
    "the command to read what both have appended",
    lines.length === 2 && lines[1]?.includes(`"actor":"bob"`) === true
  )
  expect(
    "the log to be sound",
    run("npx", ["--no", "auditlog", "verify", "audit.jsonl"]).startsWith("audit.jsonl: sound\n")
  )

  const scanned = `workers have scanned 1 of 1 blocks`
  const verified = spawnSync(
    "npx",
    ["--no", "auditlog", "verify", "--workers", "1", "--log-level", "debug", "audit.jsonl"],
    { cwd: at, encoding: "utf8", env: { ...process.env, PATH: path } }
  )
  expect(`the bundled command to verify in a worker: ${verified.stderr}`, verified.stderr.includes(scanned))
  expect("the library to verify in a worker", run(process.execPath, ["verify.js"]).includes(scanned))

  Fs.writeFileSync(Path.join(at, "split.py"), `with open("a.jsonl", "a") as f:\n  json.dump({}, f)\n  f.write("\\n")\n`)
  Fs.writeFileSync(Path.join(at, "whole.sh"), `jq -nc '{a: 1}' >> a.jsonl\n`)
  const lint = spawnSync("npx", ["--no", "auditlog", "lint", "--format", "github", "split.py", "whole.sh"], {
    cwd: at,
    encoding: "utf8",
    env: { ...process.env, PATH: path }
  })
  const rules = lint.stdout.match(/title=[\w-]+/g)?.join(" ")
  expect("the lint to find its grammars", lint.status === 1 && rules === "title=split-append title=unsynced-append")

  const bin = Path.join(at, "node_modules/effect-auditlog/dist/cli/bin.js")
  const rounds = Array.from({ length: 9 }, () => [
    milliseconds(["-e", "0"]),
    milliseconds([bin, "append", "audit.jsonl", "--json", "{}"])
  ])
  const [node = 0, append = 0] = [0, 1].map((side) => median(rounds.map((round) => round[side] ?? 0)))
  const kB = (bytes: number): string => `${Math.round(bytes / 1000)} kB`
  console.log(
    `the package: ${kB(packed.size)}, unpacked ${kB(packed.unpackedSize)} in ${packed.files.length} files; ` +
      `an installed append takes ${append.toFixed(0)} ms where node -e 0 takes ${node.toFixed(0)}`
  )
} finally {
  Fs.rmSync(at, { recursive: true, force: true })
}
