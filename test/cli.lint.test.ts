import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe, expect, it } from "vitest"
import { auditlog, bash, because, newLog, noTerminal, onTerminal, stackTrace } from "./cliSupport.ts"
import { project, shell, split, unsynced } from "./lintProject.ts"

const lint = (cwd: string, ...args: ReadonlyArray<string>) => auditlog(["lint", ...args], { cwd })

const clean = "print('no append here')\n"

const config = JSON.stringify({ primitives: [{ language: "python", name: "append_record", module: "lib.audit" }] })

describe("auditlog lint: exit codes", () => {
  it("are 0 without findings, with a report of what was looked at", async () => {
    const result = await lint(project({ "a.py": clean, "b.md": "x" }))
    expect(result).toMatchObject({ code: 0, stderr: "" })
    expect(result.stdout).toBe(
      "no findings\nsites: 0 violation, 0 review, 0 suppressed, 0 migrated, 0 not-jsonl\n" +
        "files: 1 scanned, 0 skipped; 0 ignored by .gitignore, 0 excluded, 1 in other languages\n"
    )
  })

  it("are 1 with findings, also if all are for review", async () => {
    expect((await lint(project({ "a.py": split }))).code).toBe(1)
    const loop =
      "import json\nwith open('a.jsonl', 'a') as f:\n    for r in rows:\n        f.write(json.dumps(r) + '\\n')\n"
    const result = await lint(project({ "a.py": loop }))
    expect(result.stdout).toContain("0 errors, 0 warnings, 1 to review")
    expect(result.code).toBe(1)
  })

  it.each<[string, ReadonlyArray<string>, Readonly<Record<string, string>>, RegExp]>([
    ["no file to lint", [], { "a.md": "x" }, /^auditlog: no file to lint in \.: 1 in no language/],
    ["a path that is not there", ["b.py"], { "a.py": clean }, /not complete|no file was linted/],
    [
      "a configuration that is wrong",
      [],
      { "a.py": clean, "auditlog.config.json": `{"exlude":[]}` },
      /exlude: is no key/
    ],
    ["a baseline that is none", [], { "a.py": clean, "auditlog.baseline.json": "[]" }, /is no baseline/],
    ["a rule that does not exist", ["--explain", "nope"], {}, /nope is no rule; the rules are: .*split-append/],
    ["a format that does not exist", ["--format", "xml"], {}, /format/],
    ["--fix and --diff together", ["--fix", "--diff"], {}, /--fix and --diff exclude each other/],
    ["--fix of standard input", ["--fix", "--stdin-filename", "a.py"], {}, /no file to write/],
    ["standard input of no language", ["--stdin-filename", "a.txt"], {}, /a\.txt: is in none of the languages/],
    ["a report that cannot be written", ["--report", "no/dir/r.json"], { "a.py": clean }, /r\.json: cannot be written/],
    ["only a binary file", ["a.py"], { "a.py": "\0" }, /no file was linted/]
  ])("are 2 for %s", async (_, args, files, message) => {
    const result = await lint(project(files), ...args)
    expect(result.stderr).toMatch(message)
    expect(result.stderr + result.stdout).not.toMatch(stackTrace)
    expect(result.code).toBe(2)
  })

  it.skipIf(because(process.getuid?.() === 0 ? undefined : "another user is needed"))(
    "are 2 for a file that cannot be read, and name it",
    async () => {
      const root = project({ "a.py": clean, "b.py": split })
      Fs.chmodSync(root, 0o755)
      Fs.chmodSync(Path.join(root, "b.py"), 0)
      const result = await auditlog(["lint"], { cwd: root, uid: 65_534 })
      expect(result.stdout).toContain("skipped: b.py: unreadable: EACCES")
      expect(result.code).toBe(2)
    }
  )
})

describe("auditlog lint", () => {
  it("prints JSON that jq reads, and nothing else on stdout", async () => {
    const root = project({ "a.py": split, "b.sh": shell })
    const result = await bash(
      `cd ${root} && $AUDITLOG lint --json | jq -c '[.findings[] | [.file, .rule]], .summary.sites.violation'`
    )
    expect(result.stdout).toBe(`[["a.py","split-append"],["b.sh","unsynced-append"]]\n2\n`)
  })

  it("lints standard input as the file whose name it is given", async () => {
    const root = project({ "auditlog.config.json": `{"severities":{"unsynced-append":"off"}}` })
    const result = await auditlog(["lint", "--stdin-filename", "src/a.py", "--format", "github"], {
      cwd: root,
      input: unsynced + split
    })
    expect(result.stdout).toMatch(/^::error file=src\/a\.py,line=9,.*title=split-append/)
    expect(result.stdout.split("\n")).toHaveLength(2)
    expect(result.code).toBe(1)
  })

  it("explains a rule", async () => {
    const result = await lint("/", "--explain", "split-append")
    expect(result).toMatchObject({ code: 0, stderr: "" })
    expect(result.stdout).toMatch(/^# split-append\n\nSeverity: error\..*\n\n\*\*What\.\*\*/)
    expect(result.stdout).toContain("4.9 million records")
  })

  it("accepts what is there into a baseline, fails for what comes, and for what is stale", async () => {
    const root = project({ "a.py": split })
    const update = await lint(root, "--update-baseline")
    expect(update.stderr).toBe(`auditlog: wrote ${Path.join(root, "auditlog.baseline.json")}\n`)
    expect(update.code).toBe(0)
    expect(await lint(root)).toMatchObject({ code: 0, stdout: expect.stringContaining("1 known in the baseline") })
    Fs.writeFileSync(Path.join(root, "b.py"), unsynced)
    expect(await lint(root)).toMatchObject({ code: 1, stdout: expect.stringContaining("0 errors, 1 warning") })
    Fs.writeFileSync(Path.join(root, "a.py"), clean)
    Fs.rmSync(Path.join(root, "b.py"))
    const stale = await lint(root)
    expect(stale.stdout).toContain("stale baseline entry: a.py: split-append: open(path, \"a\")")
    expect(stale.code).toBe(1)
  })

  it("keeps a report that is whole at any time", async () => {
    const root = project({ "a.py": split, "report.json": "old" })
    Fs.chmodSync(Path.join(root, "report.json"), 0o640)
    const result = await lint(root, "--report", "report.json")
    expect(result.code).toBe(1)
    const report = JSON.parse(Fs.readFileSync(Path.join(root, "report.json"), "utf8"))
    expect(report).toMatchObject({ version: 1, findings: [{ rule: "split-append" }] })
    expect(Fs.statSync(Path.join(root, "report.json")).mode & 0o777).toBe(0o640)
    expect(Fs.readdirSync(root).toSorted()).toEqual([".git", "a.py", "report.json"])
  })

  it("records runs in an audit log, each in one transaction", async () => {
    const root = project({ "a.py": split, "b.py": unsynced })
    const log = newLog()
    await lint(root, "--record", log)
    Fs.rmSync(Path.join(root, "a.py"))
    await lint(root, "--record", log)
    const records = (await auditlog(["cat", log, "--json"])).stdout.trim().split("\n").map((line) => JSON.parse(line))
    expect(JSON.stringify(records)).toContain("\"LintRun\"")
    const lines = Fs.readFileSync(log, "utf8").trim().split("\n").map((line) => JSON.parse(line))
    expect(lines.map(({ _tag, rule, sites }) => [_tag, rule ?? sites.violation])).toEqual([
      ["LintRun", 2],
      ["LintFinding", "split-append"],
      ["LintFinding", "unsynced-append"],
      ["LintRun", 1],
      ["LintFinding", "unsynced-append"]
    ])
    expect(new Set(lines.map(({ _audit }) => _audit.tx?.id ?? JSON.stringify(_audit.tx))).size).toBe(2)
    expect((await auditlog(["repair", log, "--dry-run"])).code).toBe(0)
  })

  it("says so if it cannot record", async () => {
    const result = await lint(project({ "a.py": clean }), "--record", "/no/such/log")
    expect(result.stderr).toMatch(/^auditlog: \/no\/such\/log: /)
    expect(result.stderr).not.toMatch(stackTrace)
    expect(result.code).toBe(2)
  })

  it.skipIf(because(noTerminal()))("is coloured on a terminal, and not with NO_COLOR", async () => {
    const root = project({ "a.py": split })
    expect((await onTerminal(["lint"], { cwd: root })).stdout).toContain("\u001b[31merror\u001b[0m")
    expect((await onTerminal(["lint"], { cwd: root, env: { NO_COLOR: "1" } })).stdout).not.toContain("\u001b[31m")
  })
})

describe("auditlog lint --fix", () => {
  const python = `# coding: utf-8
import json

def log(path, record):
    with open(path, "a") as f:
        f.write(json.dumps(record) + "\\n")

X = 1${"   "}
`
  const files = {
    "auditlog.config.json": config,
    "a.py": python,
    "b.sh": `set -eo pipefail\n${shell}  \necho done\t\n`,
    "c.py": unsynced.replaceAll("\n", "\r\n"),
    "d.py": unsynced.replace(`    with`, `    # what stays: the loop\n    for r in record:\n        pass\n    with`)
  }

  it("rewrites single statements, once, and the result is clean", async () => {
    const root = project(files)
    const first = await lint(root, "--fix")
    expect(first.stderr).toMatch(/auditlog: fixed [34] sites in [34] files\n$/)
    expect(Fs.readFileSync(Path.join(root, "a.py"), "utf8")).toBe(
      "# coding: utf-8\nimport json\nfrom lib.audit import append_record\n\ndef log(path, record):\n" +
        "    append_record(path, record)\n\nX = 1   \n"
    )
    expect(Fs.readFileSync(Path.join(root, "b.sh"), "utf8")).toBe(
      `set -eo pipefail\n${shell.replace(">>", "| auditlog append")}  \necho done\t\n`
    )
    const before = ["a.py", "b.sh", "c.py", "d.py"].map((name) => Fs.readFileSync(Path.join(root, name), "utf8"))
    const again = await lint(root, "--fix")
    expect(again.stderr).toContain("fixed 0 sites in 0 files")
    expect(["a.py", "b.sh", "c.py", "d.py"].map((name) => Fs.readFileSync(Path.join(root, name), "utf8"))).toEqual(
      before
    )
  })

  it("keeps permissions, links, byte order marks and line ends", async () => {
    const root = project({ ...files, "bin/run": `#!/bin/sh\n${shell}`, "e.py": `\ufeff${unsynced}` })
    Fs.chmodSync(Path.join(root, "bin/run"), 0o755)
    Fs.symlinkSync("bin/run", Path.join(root, "link"))
    await lint(root, "--fix")
    expect(Fs.statSync(Path.join(root, "bin/run")).mode & 0o777).toBe(0o755)
    expect(Fs.lstatSync(Path.join(root, "link")).isSymbolicLink()).toBe(true)
    expect(Fs.readFileSync(Path.join(root, "bin/run"), "utf8")).toContain("| auditlog append audit.jsonl\n")
    expect(Fs.readFileSync(Path.join(root, "e.py"), "utf8")).toMatch(/^\ufeffimport json\n.*append_record\(path/s)
    const dos = Fs.readFileSync(Path.join(root, "c.py"), "utf8")
    expect(dos.replaceAll("\r\n", "")).not.toContain("\n")
  })

  it("says why it leaves a site as it is", async () => {
    const root = project({
      "a.py": unsynced,
      "b.sh": `python3 - <<'PY'\n${unsynced}\nPY\n`,
      "c.sh": "jq -n '{a:1}' >> a.jsonl\n",
      "d.py": Buffer.concat([Buffer.from("# \u00e9\n", "latin1"), Buffer.from(unsynced)])
    })
    const result = await lint(root, "--fix")
    expect(result.stderr).toContain("not fixed: a.py:4 unsynced-append: no primitive is configured for Python")
    expect(result.stderr).toContain("not fixed: b.sh:5 unsynced-append: ")
    expect(result.stderr).toContain("not fixed: c.sh:1 multi-line-record: a person has to decide")
    expect(result.code).toBe(1)
    expect(Fs.readFileSync(Path.join(root, "a.py"), "utf8")).toBe(unsynced)
  })

  it("never touches what is allowed", async () => {
    const allowed = unsynced.replace(
      "    with",
      "    # auditlog-lint: allow unsynced-append — a training set\n    with"
    )
    const root = project({ "auditlog.config.json": config, "a.py": allowed })
    expect((await lint(root, "--fix")).code).toBe(0)
    expect(Fs.readFileSync(Path.join(root, "a.py"), "utf8")).toBe(allowed)
  })

  it("prints as a diff what it would do, which patch applies", async () => {
    const root = project({ ...files, "b.sh": `${"true\n".repeat(20)}${shell}${"true\n".repeat(20)}${shell.trimEnd()}` })
    const names = ["a.py", "b.sh", "c.py", "d.py"]
    const read = (directory: string) => names.map((name) => Fs.readFileSync(Path.join(directory, name), "utf8"))
    const before = read(root)
    const diff = await lint(root, "--diff")
    expect(diff.code).toBe(1)
    expect(read(root)).toEqual(before)
    const copy = project({})
    Fs.cpSync(root, copy, { recursive: true })
    const patched = spawnSync("git", ["apply", "-p0", "--verbose", "-"], {
      cwd: copy,
      input: diff.stdout,
      encoding: "utf8"
    })
    expect(patched.stderr).not.toContain("error")
    expect(patched.status).toBe(0)
    await lint(root, "--fix")
    expect(read(copy)).toEqual(read(root))
  })
})
