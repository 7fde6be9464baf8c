/**
 * How fast the lint is: a repository of 7000 files and 31 MB, beside `grep -rn` for the least a search can cost, and
 * ast-grep, if it is installed. And one small file, which is what an editor or a commit hook waits for.
 *
 * AUDITLOG_BENCH_REPOSITORY names another directory to lint.
 */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const rounds = 3
const fileCount = 7000
const fileBytes = 4500

/** One file in so many appends records. */
const appendingEvery = 40

const bin = fileURLToPath(new URL("../../src/cli/bin.ts", import.meta.url))

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

interface Measured {
  readonly "wall s": number
  readonly "cpu s": number
  readonly "peak MB": number
}

/** The best of some rounds, as `/usr/bin/time` would measure it: the figures of a child that has ended. */
const measure = (command: ReadonlyArray<string>, cwd: string): Measured => {
  const code = `
    import resource, subprocess, sys, time
    start = time.monotonic()
    subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)`
  const runs = Array.from({ length: rounds }, () => {
    const { stdout } = spawnSync("python3", ["-c", code.replaceAll(/^ {4}/gm, ""), ...command], {
      cwd,
      encoding: "utf8"
    })
    const [wall = 0, cpu = 0, peak = 0] = stdout.trim().split(" ").map(Number)
    return { "wall s": wall, "cpu s": cpu, "peak MB": peak }
  })
  const best = runs.reduce((a, b) => a["cpu s"] <= b["cpu s"] ? a : b)
  const rounded = (value: number): number => Number(value.toFixed(2))
  return { "wall s": rounded(best["wall s"]), "cpu s": rounded(best["cpu s"]), "peak MB": Math.round(best["peak MB"]) }
}

const has = (command: string): boolean => spawnSync("sh", ["-c", `command -v ${command}`]).status === 0

/** Lints a repository and one small file, and prints a table. */
export const lint = (): Promise<void> => {
  const made = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-bench-"))
  const given = process.env["AUDITLOG_BENCH_REPOSITORY"]
  const repository = given ?? Path.join(made, "repository")
  if (given === undefined) writeRepository(repository)
  const small = Path.join(made, "small.py")
  Fs.writeFileSync(small, appends["py"] ?? "")
  const program = process.env["AUDITLOG_BENCH_BIN"] ?? bin
  const table: Record<string, Measured> = {
    "auditlog lint, the repository": measure([process.execPath, program, "lint", "--json"], repository),
    "auditlog lint, one small file": measure([process.execPath, program, "lint", "--json", small], made),
    "auditlog --version (the start alone)": measure([process.execPath, program, "--version"], made),
    "grep -rnE, the repository": measure(
      ["grep", "-rnE", `>>|["']a["']|appendFile|createWriteStream`, "."],
      repository
    )
  }
  if (has("ast-grep")) {
    const pattern = ["run", "-p", "open($P, \"a\")", "-l", "python", "."]
    table["ast-grep, one pattern of one language"] = measure(["ast-grep", ...pattern], repository)
  }
  console.table(table)
  Fs.rmSync(made, { recursive: true })
  return Promise.resolve()
}
