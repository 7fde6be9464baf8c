import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe, expect, it } from "vitest"
import * as Rules from "../src/lint/Rules.ts"
import type { Site } from "../src/lint/Site.ts"
import { filesWithSites, lint, problems, project, shell, short, split, unsynced } from "./lintProject.ts"

const site: Site = {
  language: "python",
  span: { start: 0, end: 1 },
  statement: { start: 0, end: 1 },
  call: "open(…, \"a\")",
  target: "path",
  payload: "record",
  writesPerRecord: 1,
  life: "once",
  growth: "append",
  synced: false,
  fix: { _tag: "NoFix", reason: "" }
}

/** The rule that speaks first, and its severity. */
const verdict = (facts: Partial<Site>): string | undefined => {
  for (const rule of Rules.all) {
    const fault = rule.check?.({ ...site, ...facts })
    if (fault !== undefined) return `${rule.name} ${fault.severity ?? rule.severity}`
  }
  return undefined
}

describe("rules", () => {
  const transaction = { span: { start: 0, end: 1 }, text: "BEGIN" }
  it.each<[string, Partial<Site>, string | undefined]>([
    ["a whole line by hand", {}, "unsynced-append warning"],
    ["a whole line that is flushed", { synced: true }, "unsynced-append review"],
    ["two writes a record", { writesPerRecord: 2 }, "split-append error"],
    ["two writes through a handle that is kept", { writesPerRecord: 2, life: "stored" }, "split-append error"],
    ["a handle written in a loop", { life: "loop" }, "held-append-handle review"],
    ["a handle that is passed on", { life: "passed" }, "held-append-handle review"],
    ["an append in a transaction", { transaction }, "append-in-transaction review"],
    ["two writes in a transaction", { transaction, writesPerRecord: 2 }, "append-in-transaction review"],
    ["a file that is rewritten", { growth: "rewrite" }, "append-without-o-append error"],
    ["a seek to the end", { growth: "seek" }, "append-without-o-append error"],
    ["pretty JSON", { payload: "multiLineRecord" }, "multi-line-record error"],
    ["prose", { payload: "text", writesPerRecord: 3, life: "loop", transaction }, undefined],
    ["what is not to be seen", { payload: "unknown" }, undefined],
    ["a call of the primitive", { migrated: "append_record", transaction, life: "loop" }, undefined]
  ])("say of %s", (_, facts, expected) => {
    expect(verdict(facts)).toBe(expected)
  })

  it("name our transaction where an append must not outlive a rollback", () => {
    const rule = Rules.byName("append-in-transaction")
    const fault = rule?.check?.({ ...site, transaction })
    expect(fault?.message).toContain("BEGIN")
    expect(fault?.advice).toContain("after COMMIT, in one `transaction`")
  })
})

describe("files", () => {
  it("are found by extension and by #! line, hidden ones too", async () => {
    const root = project({
      "a.py": unsynced,
      ".hooks/b.sh": shell,
      "bin/c": `#!/usr/bin/env -S python3.12 -u\n${unsynced}`,
      "bin/d": `#!/bin/bash\n${shell}`,
      ".bashrc": shell,
      "e.cgi": `#!/usr/bin/python\n${unsynced}`,
      "no-mark": unsynced,
      "notes.md": shell,
      "node_modules/x/y.py": unsynced,
      "env/pyvenv.cfg": "",
      "env/lib/z.py": unsynced
    })
    const run = await lint(root)
    expect(filesWithSites(run).toSorted()).toEqual([".bashrc", ".hooks/b.sh", "a.py", "bin/c", "bin/d", "e.cgi"])
    expect(run.report.summary).toMatchObject({ filesScanned: 6, otherFiles: 2, excluded: 2, complete: true })
  })

  it("that .gitignore names are left out and counted, with nested files and negation", async () => {
    const root = project({
      ".gitignore": "build/\nA.py\n*.gen.py\n!keep.gen.py\nout/*\n!out/sub\n",
      ".git/info/exclude": "private.py\n",
      "a.py": unsynced,
      "a.gen.py": unsynced,
      "keep.gen.py": unsynced,
      "build/b.py": unsynced,
      "out/c.py": unsynced,
      "out/sub/d.py": unsynced,
      "out/sub/.gitignore": "/e.py\n!x.gen.py\n",
      "out/sub/x.gen.py": unsynced,
      "out/sub/e.py": unsynced,
      "private.py": unsynced
    })
    const run = await lint(root)
    expect(filesWithSites(run)).toEqual(["a.py", "keep.gen.py", "out/sub/d.py", "out/sub/x.gen.py"])
    expect(run.report.summary.ignored).toBe(5)
    expect(filesWithSites(await lint(root, { gitignore: false }))).toHaveLength(9)
    // the rules above the directory that is linted count, too
    expect(filesWithSites(await lint(Path.join(root, "out/sub")))).toEqual(["d.py", "x.gen.py"])
  })

  it("that are given are linted, whatever ignores them", async () => {
    const root = project({
      ".gitignore": "*.py\n",
      "auditlog.config.json": `{ "exclude": ["*.py"] }`,
      "a.py": unsynced,
      "b.txt": `#!/bin/sh\n${shell}`
    })
    expect(filesWithSites(await lint(root, { paths: ["a.py", "b.txt"] }))).toEqual(["a.py", "b.txt"])
  })

  it("that cannot be read as code are skipped with a reason", async () => {
    const root = project({
      "a.py": unsynced,
      "binary.py": Buffer.concat([Buffer.from(unsynced), Buffer.from([0, 1, 2])]),
      "huge.js": "x".repeat(3 * 1024 * 1024),
      "bundle.min.js": `require("fs").appendFileSync(p,JSON.stringify(r)+"\\n");${"var a=1;".repeat(2000)}`,
      "gone.py": unsynced
    })
    Fs.rmSync(Path.join(root, "gone.py"))
    Fs.symlinkSync("gone.py", Path.join(root, "gone.py"))
    const { report } = await lint(root)
    expect(report.summary.skipped.map(({ file, reason }) => [file, reason])).toEqual([
      ["gone.py", "link"],
      ["binary.py", "binary"],
      ["bundle.min.js", "minified"],
      ["huge.js", "tooLarge"]
    ])
    expect(report.summary).toMatchObject({ filesScanned: 1, complete: true })
  })

  it("behind links are linted once, and a loop ends", async () => {
    const outside = project({ "b.py": unsynced })
    const root = project({ "src/a.py": unsynced })
    Fs.symlinkSync("..", Path.join(root, "src/up"))
    Fs.symlinkSync(outside, Path.join(root, "outside"))
    Fs.symlinkSync("self", Path.join(root, "self"))
    const run = await lint(root)
    expect(filesWithSites(run)).toEqual(["src/a.py"])
    expect(run.report.summary.skipped.map(({ file, reason }) => [file, reason])).toEqual([
      ["outside", "link"],
      ["self", "link"]
    ])
  })

  it("that are not there make the run incomplete", async () => {
    const root = project({ "a.py": unsynced })
    const { report } = await lint(root, { paths: ["a.py", "b.py"] })
    expect(report.summary.skipped).toEqual([{ file: "b.py", reason: "unreadable", detail: "ENOENT" }])
    expect(report.summary.complete).toBe(false)
  })

  it("in no language at all are an error that says what was passed over", async () => {
    const root = project({ "notes.md": "x", ".gitignore": "a.py\n", "a.py": unsynced })
    expect((await problems(root)).join("\n")).toMatch(/^no file to lint in \.: 2 in no language .*, 1 ignored by/)
  })

  it("with broken UTF-8, a byte order mark or CRLF are analysed", async () => {
    const root = project({
      "broken.py": Buffer.concat([Buffer.from("# \u00e9", "latin1"), Buffer.from(`\n${split}`)]),
      "marked.py": `\ufeff${split}`,
      "dos.py": split.replaceAll("\n", "\r\n")
    })
    expect(short(await lint(root))).toEqual([
      "broken.py:5 split-append",
      "dos.py:4 split-append",
      "marked.py:4 split-append"
    ])
  })

  it("that take too long are reported and not waited for", async () => {
    const root = project({ "a.py": `${unsynced}\n${"x = [".repeat(20_000)}` })
    const { report } = await lint(root, { fileTimeLimitMillis: -1 })
    expect(report.summary.skipped).toMatchObject([{ file: "a.py", reason: "timeLimit" }])
    expect(report.summary.complete).toBe(false)
  })

  it("with code that does not parse are analysed around it", async () => {
    const root = project({ "a.py": `${unsynced}\ndef (((:\n    ))\n\n${unsynced}` })
    const { report } = await lint(root)
    expect(report.summary.unparsed.map(({ file }) => file)).toContain("a.py")
    expect(report.sites.length).toBeGreaterThan(0)
  })
})

describe("embedded code", () => {
  it("is analysed at its true place", async () => {
    const root = project({
      "run.sh": `set -e\nNAME=x\npython3 - "$NAME" <<'PY'\n${split}\nPY\necho done\n`
    })
    const { report } = await lint(root)
    expect(report.findings).toMatchObject([{ file: "run.sh", line: 7, rule: "split-append" }])
    expect(report.sites).toMatchObject([{ language: "python", embeddedIn: "shell", line: 7 }])
    expect(report.findings[0]?.snippet).toContain("open(path, \"a\")")
    expect(report.findings[0]?.cannotFix).toBeDefined()
  })

  it("is reported with the target that stands in the file", async () => {
    const code = `python3 -c "import json; open('$LOG/a.jsonl', 'a').write(json.dumps({}) + '\\n')"\n`
    const { report } = await lint(project({ "run.sh": code }))
    expect(report.sites).toMatchObject([{ language: "python", embeddedIn: "shell", target: "'$LOG/a.jsonl'" }])
  })
})

describe("suppressions", () => {
  const allow = (comment: string, place: "above" | "beside"): string =>
    unsynced.replace(/^( +)(with .*)$/m, place === "above" ? `$1${comment}\n$1$2` : `$1$2  ${comment}`)

  it.each([
    "auditlog-lint: allow unsynced-append — a training set",
    "auditlog-lint: allow unsynced-append – a training set",
    "auditlog-lint: allow unsynced-append -- a training set",
    "auditlog-lint: allow unsynced-append - a training set",
    "auditlog-lint: allow unsynced-append: a training set",
    "auditlog-lint: allow split-append, unsynced-append — a training set",
    "vault-atomic-lint: ok — a training set"
  ])("allow a fault beside or below them: %s", async (text) => {
    const root = project({ "above.py": allow(`# ${text}`, "above"), "beside.py": allow(`# ${text}`, "beside") })
    const { report } = await lint(root)
    expect(report.findings.map(({ file, suppressed }) => [file, suppressed])).toEqual([
      ["above.py", { by: "comment", reason: "a training set" }],
      ["beside.py", { by: "comment", reason: "a training set" }]
    ])
    expect(report.summary).toMatchObject({ passed: true, sites: { suppressed: 2, violation: 0 } })
  })

  it("are read in the comments of each language, also of embedded code", async () => {
    const comment = "auditlog-lint: allow unsynced-append — an example"
    const root = project({
      "a.sh": `# ${comment}\n${shell}`,
      "b.ts": `import * as fs from "node:fs"\n// ${comment}\nfs.appendFileSync(p, JSON.stringify(r) + "\\n")\n`,
      "c.js": `const fs = require("fs")\n/* ${comment} */\nfs.appendFileSync(p, JSON.stringify(r) + "\\n")\n`,
      "d.sh": `python3 - <<'PY'\n${allow(`# ${comment}`, "above")}\nPY\n`
    })
    const { report } = await lint(root)
    expect(report.summary).toMatchObject({ passed: true, sites: { suppressed: 4 } })
  })

  it("may go on over several comment lines", async () => {
    const root = project({
      "a.py": allow("# auditlog-lint: allow unsynced-append — a training set,\n    # made again every night", "above")
    })
    expect(short(await lint(root))).toEqual(["a.py:6 unsynced-append (comment)"])
  })

  it.each<[string, string, ReadonlyArray<string>]>([
    ["without a reason", "auditlog-lint: allow unsynced-append", ["suppression-without-reason", "unsynced-append"]],
    ["with an empty reason", "auditlog-lint: allow unsynced-append —", [
      "suppression-without-reason",
      "unsynced-append"
    ]],
    ["without a rule", "auditlog-lint: allow — because", ["suppression-without-reason", "unsynced-append"]],
    ["of the older form without a reason", "vault-atomic-lint: ok", ["suppression-without-reason", "unsynced-append"]],
    ["of another rule", "auditlog-lint: allow split-append — because", ["unsynced-append", "unused-suppression"]],
    ["of no rule", "auditlog-lint: allow split-apend — because", ["unsynced-append", "unused-suppression"]]
  ])("%s allow nothing and are findings", async (_, text, expected) => {
    const { report } = await lint(project({ "a.py": allow(`# ${text}`, "above") }))
    expect(report.findings.map(({ rule }) => rule).toSorted()).toEqual(expected)
    expect(report.findings.every(({ suppressed }) => suppressed === undefined)).toBe(true)
  })

  it("that name no rule are told the rules", async () => {
    const { report } = await lint(project({ "a.py": allow("# auditlog-lint: allow splits — because", "above") }))
    expect(report.findings.find(({ rule }) => rule === "unused-suppression")?.advice).toContain("split-append")
  })

  it("are findings where nothing is to be allowed, also in a file that does not append at all", async () => {
    const root = project({
      "a.py": "# auditlog-lint: allow split-append — because\nprint(1)\n",
      "b.py": "text = '# auditlog-lint: allow split-append — because'\n"
    })
    expect(short(await lint(root))).toEqual(["a.py:1 unused-suppression"])
  })

  it("do not reach from the end of one statement to the next", async () => {
    const root = project({
      "a.sh": `echo ok # auditlog-lint: allow unsynced-append — because\n${shell}`
    })
    expect(short(await lint(root))).toEqual(["a.sh:1 unused-suppression", "a.sh:2 unsynced-append"])
  })
})

describe("classes of sites", () => {
  it("tell what is left to do", async () => {
    const root = project({
      "auditlog.config.json": JSON.stringify({
        primitives: [{ language: "python", name: "append_record", module: "lib.audit" }]
      }),
      "a.py":
        `from lib.audit import append_record\n\n${unsynced}\nappend_record("a.jsonl", {})\n\nopen("n.md", "a").write("hi\\n")\n`,
      "b.py":
        `import json\nfor row in rows:\n    pass\nwith open("x.jsonl", "a") as f:\n    for row in rows:\n        f.write(json.dumps(row) + "\\n")\n`
    })
    const { report } = await lint(root)
    expect(report.summary.sites).toEqual({ violation: 1, review: 1, suppressed: 0, migrated: 1, "not-jsonl": 1 })
    expect(report.summary.findings).toEqual({ error: 0, warning: 1, review: 1 })
  })
})
