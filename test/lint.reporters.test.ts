import AjvDraft04 from "ajv-draft-04"
import addFormats from "ajv-formats"
import { Ajv2020 } from "ajv/dist/2020.js"
import * as Schema from "effect/Schema"
import * as Fs from "node:fs"
import { describe, expect, it } from "vitest"
import { printable } from "../src/cli/output.ts"
import * as Diagnostic from "../src/lint/Diagnostic.ts"
import type { Reporter, Style } from "../src/lint/Reporter.ts"
import * as Github from "../src/lint/reporters/github.ts"
import * as Json from "../src/lint/reporters/json.ts"
import * as Markdown from "../src/lint/reporters/markdown.ts"
import * as Pretty from "../src/lint/reporters/pretty.ts"
import * as Sarif from "../src/lint/reporters/sarif.ts"
import * as Rules from "../src/lint/Rules.ts"
import { lint, project, shell, split, unsynced } from "./lintProject.ts"

const style: Style = { color: false, listSites: false, printable, version: "1.2.3" }

const allowed = unsynced.replace("    with", "    # auditlog-lint: allow unsynced-append — a training set\n    with")

const files = {
  "a.py": split,
  "b.py": allowed,
  "c.sh": `${shell}echo '{"a":1}' | auditlog append a.jsonl\necho done >> notes.md\n`,
  "d.py": "def (((:\nopen('x.md', 'a').write('x')\n",
  "e.py": Buffer.from([35, 0])
}

const render = async (reporter: Reporter, more: Partial<Style> = {}): Promise<string> =>
  reporter(await lint(project(files)), { ...style, ...more })

describe("pretty", () => {
  it("shows the code, why it matters, what to do and how to allow it, and ends with all figures", async () => {
    expect(await render(Pretty.report)).toMatchInlineSnapshot(`
      "a.py
        4:10 error split-append one record takes 2 writes: open(…, "a")
          4 |     with open(path, "a") as f:
            |          ^^^^^^^^^^^^^^^
          why:   Another process can write between the pieces: both records are then unreadable.
          do:    append the whole line with one call of the primitive that auditlog.config.json names, or \`auditlog append\`
          allow: # auditlog-lint: allow split-append — REASON

      c.sh
        1:1 warning unsynced-append a record is appended by hand and not flushed: >>
          1 | jq -cn --arg actor "$USER" '{actor: $actor}' >> audit.jsonl
            | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          why:   The program goes on as if the record were on disk; nobody notices when it is cut, glued or missing.
          do:    append it with \`auditlog append FILE\`
          allow: # auditlog-lint: allow unsynced-append — REASON

      1 error, 1 warning, 0 to review; 1 allowed by comments
      sites: 2 violation, 0 review, 1 suppressed, 1 migrated, 2 not-jsonl
      files: 4 scanned, 1 skipped; 0 ignored by .gitignore, 0 excluded, 0 in other languages
      skipped: e.py: binary: has NUL bytes
      unparsed: d.py:1-2
      "
    `)
  })

  it("lists every site if asked", async () => {
    expect(await render(Pretty.report, { listSites: true })).toContain("c.sh:3: not-jsonl: shell: >> notes.md")
  })

  it("is coloured only if told", async () => {
    expect(await render(Pretty.report)).not.toContain("\u001b")
    expect(await render(Pretty.report, { color: true })).toContain("\u001b[31merror\u001b[0m")
  })

  it("lets no control character of the code through", async () => {
    const name = "x\u001b]0;title\u0007.sh"
    const root = project({ [name]: `echo '{"a":"\u001b[2J\u202e"}' >> "$HOME/\u009b31m.jsonl"\n` })
    const run = await lint(root)
    expect(run.report.findings).toHaveLength(1)
    for (const reporter of [Pretty.report, Github.report, Markdown.report]) {
      const text = reporter(run, { ...style, listSites: true })
      // oxlint-disable-next-line no-control-regex -- the point of this expression is to match control characters
      expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
      expect(text).toMatch(/x\\+u001b/)
    }
  })

  it("underlines the site, also behind wide and escaped characters, and in very long lines", async () => {
    const root = project({
      "a.sh": `\t: 漢字 '\u001b' ; ${shell}`,
      "b.sh": `: ${"x".repeat(1000)} ; ${shell}`
    })
    const lines = Pretty.report(await lint(root), style).split("\n")
    const frames = lines.flatMap((line, index) => line.includes("^^^") ? [[lines[index - 1] ?? "", line]] : [])
    expect(frames).toHaveLength(2)
    for (const [code = "", underline = ""] of frames) {
      expect(code.length).toBeLessThan(200)
      const start = underline.indexOf("^") - (code.includes("漢") ? 2 : 0)
      expect(code.slice(start)).toMatch(/^jq -cn/)
    }
  })
})

describe("json", () => {
  it("is what its schema says, and holds everything", async () => {
    const report: unknown = JSON.parse(await render(Json.report))
    const validate = new Ajv2020().compile(JSON.parse(schemaText()))
    expect(validate(report) || validate.errors).toBe(true)
    expect(report).toMatchObject({
      version: 1,
      summary: {
        passed: false,
        complete: true,
        filesScanned: 4,
        skipped: [{ file: "e.py", reason: "binary" }],
        unparsed: [{ file: "d.py" }],
        sites: { violation: 2, review: 0, suppressed: 1, migrated: 1, "not-jsonl": 2 },
        findings: { error: 1, warning: 1, review: 0 }
      },
      findings: [
        {
          rule: "split-append",
          severity: "error",
          file: "a.py",
          line: 4,
          column: 10,
          endLine: 4,
          endColumn: 25,
          snippet: "open(path, \"a\")"
        },
        { rule: "unsynced-append", file: "b.py", suppressed: { by: "comment", reason: "a training set" } },
        { rule: "unsynced-append", file: "c.sh", line: 1 }
      ]
    })
  })

  it("has a schema that is the one that is shipped", async () => {
    await expect(schemaText()).toMatchFileSnapshot("../schema/lint-report.schema.json")
  })
})

const schemaText = (): string => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(Diagnostic.Report)
  const text = JSON.stringify(
    { $schema: "https://json-schema.org/draft/2020-12/schema", ...schema, $defs: definitions },
    null,
    2
  )
  return `${text.replaceAll(`"additionalProperties": true`, `"additionalProperties": false`)}\n`
}

describe("sarif", () => {
  it("is valid against the schema of the standard", async () => {
    const ajv = new AjvDraft04.default({ strict: false, unicodeRegExp: false })
    addFormats.default(ajv)
    const schema = Fs.readFileSync(new URL("fixtures/sarif-2.1.0.schema.json", import.meta.url), "utf8")
    const validate = ajv.compile(JSON.parse(schema))
    const log: unknown = JSON.parse(await render(Sarif.report))
    expect(validate(log) || validate.errors).toBe(true)
    expect(validate({ version: "2.1.0", runs: [{}] })).toBe(false)
  })

  it("keeps what is suppressed, with its justification, and what was not analysed", async () => {
    const { runs: [run] } = JSON.parse(await render(Sarif.report))
    expect(run.results.map(({ level, ruleId, suppressions }: Record<string, unknown>) => [ruleId, level, suppressions]))
      .toEqual([
        ["split-append", "error", undefined],
        ["unsynced-append", "warning", [{ kind: "inSource", status: "accepted", justification: "a training set" }]],
        ["unsynced-append", "warning", undefined]
      ])
    for (const { ruleId, ruleIndex } of run.results) expect(run.tool.driver.rules[ruleIndex].id).toBe(ruleId)
    expect(JSON.stringify(run.invocations)).toContain("has NUL bytes")
  })

  it("writes paths as URIs", async () => {
    const run = await lint(project({ "a b/c#d.py": split }))
    expect(Sarif.report(run, style)).toContain(`"uri": "a%20b/c%23d.py"`)
  })

  it("calls what the baseline knows external", async () => {
    const run = await lint(project({ "a.py": split }), { updateBaseline: true })
    expect(JSON.parse(Sarif.report(run, style)).runs[0].results[0].suppressions).toMatchObject([{ kind: "external" }])
  })
})

describe("github", () => {
  it("prints an annotation for each finding that counts", async () => {
    expect(await render(Github.report)).toMatchInlineSnapshot(`
      "::error file=a.py,line=4,endLine=4,col=10,endColumn=25,title=split-append::one record takes 2 writes: open(…, "a"); append the whole line with one call of the primitive that auditlog.config.json names, or \`auditlog append\`
      ::warning file=c.sh,line=1,endLine=1,col=1,endColumn=60,title=unsynced-append::a record is appended by hand and not flushed: >>; append it with \`auditlog append FILE\`
      "
    `)
  })

  it("escapes what would end an annotation or a property", async () => {
    const run = await lint(project({ "a,b:c%.py": split }))
    expect(Github.report(run, style)).toMatch(/^::error file=a%2Cb%3Ac%25\.py,line=4,/)
  })
})

describe("markdown", () => {
  it("prints the inventory", async () => {
    expect(await render(Markdown.report)).toMatchInlineSnapshot(`
      "| script | sites (lines) | status |
      | --- | --- | --- |
      | a.py | 1 violation (4) | to migrate |
      | b.py | 1 suppressed (5) | allowed |
      | c.sh | 1 violation (1); 1 migrated (2) | to migrate |

      - sites: 2 violation, 0 review, 1 suppressed, 1 migrated, 2 not-jsonl
      - files: 4 scanned, 1 skipped; 0 ignored by .gitignore, 0 excluded, 0 in other languages
      - skipped: e.py: binary: has NUL bytes
      - unparsed: d.py:1-2
      "
    `)
  })

  it("marks what the baseline knows, and does not call it done", async () => {
    const run = await lint(project({ "a|b.py": split }), { updateBaseline: true })
    expect(Markdown.report(run, style)).toContain("| a\\|b.py | 1 violation (4*) | to migrate |")
  })
})

describe("the documentation of rules", () => {
  it("is in docs/lint.md as --explain prints it", async () => {
    const file = new URL("../docs/lint.md", import.meta.url)
    const page = Fs.readFileSync(file, "utf8")
    const rules = Rules.all.map((rule) => Rules.toMarkdown(rule, 3)).join("\n")
    const generated = page.replace(
      /(?<=<!-- rules -->\n)[\s\S]*(?=<!-- end of rules -->)/,
      () => `\n${rules}\n`
    )
    await expect(generated).toMatchFileSnapshot("../docs/lint.md")
  })

  it.each(Rules.all)("of $name says what, why, and when it may stay", ({ documentation, severity, summary }) => {
    for (const text of [...Object.values(documentation), summary]) expect(text.trim()).toMatch(/^[^\s].*[.`]$/s)
    expect(["error", "warning", "review"]).toContain(severity)
  })
})
