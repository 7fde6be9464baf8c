/**
 * How fast the lint is: a repository of 7000 files and 31 MB, beside `grep -rn` for the least a search can cost, and
 * ast-grep, if it is installed. And one small file, which is what an editor or a commit hook waits for.
 *
 * AUDITLOG_BENCH_REPOSITORY names another directory to lint.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type Bench, bin, bundle, interleave, root, runProgram, type Side } from "./harness.ts"

const fileCount = 7000
const fileBytes = 4500

/** One file in so many appends records. */
const appendingEvery = 40

const fill: Readonly<Record<string, (n: number) => string>> = {
  py: (n) =>
    `def function_${n}(value, other=None):\n    """Adds ${n}."""\n    return [value + ${n}, other or "none"]\n\n`,
  sh: (n) => `function_${n}() {\n  local value="$1"\n  echo "value $value of ${n}" > /dev/null\n}\n\n`,
  ts: (n) =>
    `export const function${n} = (value: number, other?: string) => [value + ${n}, other ?? "none"] as const\n\n`,
  js: (n) => `export const function${n} = (value, other) => ({ value: value + ${n}, other: other ?? "none" })\n\n`,
  md: (n) => `## Section ${n}\n\nSome prose about section ${n}, as repositories are full of.\n\n`
}

const appends: Readonly<Record<string, string>> = {
  py:
    `import json\ndef log(path, record):\n    with open(path, "a") as f:\n        f.write(json.dumps(record) + "\\n")\n`,
  sh: `log() { jq -cn --arg a "$1" '{a: $a}' >> audit.jsonl; }\n`,
  ts: `import * as fs from "node:fs"\nfs.appendFileSync("audit.jsonl", JSON.stringify({ a: 1 }) + "\\n")\n`,
  js: `import * as fs from "node:fs"\nfs.appendFileSync("audit.jsonl", JSON.stringify({ a: 1 }) + "\\n")\n`,
  md: `echo '{}' >> audit.jsonl\n`
}

const writeRepository = (directory: string): void => {
  const kinds = Object.keys(fill)
  for (let n = 0; n < fileCount; n++) {
    const kind = kinds[n % kinds.length] ?? "py"
    let text = n % appendingEvery < kinds.length ? appends[kind] ?? "" : ""
    for (let part = 0; text.length < fileBytes; part++) text += fill[kind]?.(part) ?? ""
    const path = Path.join(directory, `part${n % 70}`, `file${n}.${kind}`)
    Fs.mkdirSync(Path.dirname(path), { recursive: true })
    Fs.writeFileSync(path, text)
  }
}

/** Lints a repository and one small file. */
export const lint: Bench = {
  name: "lint",
  title: "Linting a repository of 7000 files and 31 MB",
  columns: [
    { key: "seconds", label: "seconds", digits: 2 },
    { key: "cpu", label: "CPU s", digits: 2 },
    { key: "peak", label: "peak MB", digits: 0 }
  ],
  run: async (settings) => {
    await bundle()
    const given = process.env["AUDITLOG_BENCH_REPOSITORY"]
    const repository = given ?? Path.join(settings.directory, "repository")
    if (given === undefined && !Fs.existsSync(repository)) writeRepository(repository)
    const small = Path.join(settings.directory, "small.py")
    Fs.writeFileSync(small, appends["py"] ?? "")
    // a lint that has findings exits with 1, a search that finds nothing too
    const side = (name: string, command: ReadonlyArray<string>, cwd: string): Side => ({
      name,
      run: async () => {
        const { cpu, millis, peak } = await runProgram(command, { cwd, poll: true, exits: [0, 1] })
        return { seconds: millis / 1000, cpu, peak }
      }
    })
    const rounds = settings.rounds ?? (settings.quick ? 1 : 3)
    const astGrep = Path.join(root, "node_modules/.bin/ast-grep")
    const rows = await interleave([
      side("auditlog lint, the repository", [process.execPath, bin, "lint", "--json"], repository),
      side("auditlog lint, one small file", [process.execPath, bin, "lint", "--json", small], settings.directory),
      side("auditlog --version, the start alone", [process.execPath, bin, "--version"], settings.directory),
      side(
        "grep -rnE, the repository",
        ["grep", "-rnE", `>>|["']a["']|appendFile|createWriteStream`, "."],
        repository
      ),
      ...(Fs.existsSync(astGrep)
        ? [
          side(
            "ast-grep, one pattern of one language",
            [astGrep, "run", "-p", "open($P, \"a\")", "-l", "python", "."],
            repository
          )
        ]
        : [])
    ], rounds)
    return { rows, rounds, findings: [] }
  }
}
