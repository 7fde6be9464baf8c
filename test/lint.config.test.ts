import { Ajv2020 } from "ajv/dist/2020.js"
import * as Schema from "effect/Schema"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe, expect, it } from "vitest"
import * as Config from "../src/lint/Config.ts"
import * as Rules from "../src/lint/Rules.ts"
import { filesWithSites, lint, problems, project, shell, short, split, unsynced } from "./lintProject.ts"

const withConfig = (config: unknown, files: Readonly<Record<string, string>> = { "a.py": unsynced }): string =>
  project({ "auditlog.config.json": typeof config === "string" ? config : JSON.stringify(config), ...files })

describe("the configuration", () => {
  it("includes and excludes by patterns relative to itself", async () => {
    const files = { "src/a.py": unsynced, "src/gen/b.py": unsynced, "old/c.py": unsynced }
    const root = withConfig({ include: ["/src/**"], exclude: ["gen/"] }, files)
    const run = await lint(root)
    expect(filesWithSites(run)).toEqual(["src/a.py"])
    expect(run.report.summary.excluded).toBe(2)
  })

  it("is the nearest one above what is linted, wherever the lint is started", async () => {
    const root = withConfig({ severities: { "unsynced-append": "off" } }, {
      "a.py": unsynced,
      "deep/down/b.py": unsynced,
      "other/auditlog.config.json": "{}",
      "other/c.py": unsynced
    })
    expect(short(await lint(Path.join(root, "deep/down")))).toEqual([])
    expect(short(await lint("/", { paths: [Path.join(root, "deep/down/b.py")] }))).toEqual([])
    expect(short(await lint(root, { paths: ["other"] }))).toEqual(["other/c.py:4 unsynced-append"])
  })

  it("changes severities, switches rules off, and decides what fails", async () => {
    const files = { "a.py": unsynced, "b.py": split }
    const changed = await lint(withConfig({ severities: { "split-append": "review" }, failOn: "warning" }, files))
    expect(changed.report.findings.map(({ rule, severity }) => [rule, severity])).toEqual([
      ["unsynced-append", "warning"],
      ["split-append", "review"]
    ])
    expect(changed.report.summary.passed).toBe(false)
    const review = { "split-append": "review", "unsynced-append": "review" }
    expect((await lint(withConfig({ severities: review }, files))).report.summary.passed).toBe(false)
    expect((await lint(withConfig({ severities: review, failOn: "warning" }, files))).report.summary.passed).toBe(true)
    const off = await lint(withConfig({ severities: { "unsynced-append": "off" } }, files))
    expect(short(off)).toEqual(["b.py:4 split-append"])
  })

  it("trusts a primitive by where it is imported from, not by its name", async () => {
    const call = "append_record('a.jsonl', {})\n"
    const primitives = [{ language: "python", name: "append_record", module: "lib.audit" }]
    const run = await lint(withConfig({ primitives }, {
      "a.py": `from lib.audit import append_record\n${call}`,
      "b.py": `from lib.other import append_record\n${call}`,
      "c.sh": "echo '{\"a\":1}' | auditlog append a.jsonl\n"
    }))
    expect(run.report.sites.map((site) => [site.file, site.class])).toEqual([["a.py", "migrated"], [
      "c.sh",
      "migrated"
    ]])
  })

  it.each<[string, unknown, ReadonlyArray<RegExp>]>([
    ["that is not JSON", "{", [/: is not JSON: /]],
    ["that is no object", "[]", [/: has to be an object; its keys are: \$schema, include/]],
    ["with an unknown key", { exlude: [] }, [/: exlude: is no key of the configuration; its keys are: .*exclude/]],
    ["with an unknown rule", { severities: { "split-apend": "off" } }, [
      /: severities\.split-apend: is no rule; the rules are: .*split-append/
    ]],
    ["with an unknown severity", { severities: { "split-append": "fatal" } }, [
      /: severities\.split-append: expected "error" \| "warning" \| "review" \| "off"/
    ]],
    ["with an unknown language", { primitives: [{ language: "ruby", name: "x", module: "y" }] }, [
      /: primitives\[0\]\.language: expected "python" \| "shell" \| "javascript"/
    ]],
    ["with a function of no module", { primitives: [{ language: "python", name: "x" }] }, [
      /: primitives\[0\]\.module: is missing/
    ]],
    ["with a module of a command", { primitives: [{ language: "shell", name: "x", module: "y" }] }, [
      /: primitives\[0\]\.module: a command of shell has no module/
    ]],
    ["with several faults", { failOn: "all", fileBytesMax: "1" }, [/: failOn: expected/, /: fileBytesMax: expected/]]
  ])("%s is refused with file, key and what is allowed", async (_, config, expected) => {
    const root = withConfig(config)
    const found = await problems(root)
    expect(found).toHaveLength(expected.length)
    for (const [index, pattern] of expected.entries()) {
      expect(found[index]).toMatch(pattern)
      expect(found[index]?.startsWith(`${Path.join(root, "auditlog.config.json")}: `)).toBe(true)
    }
  })

  it("that was named and is not there is an error", async () => {
    expect((await problems(withConfig({}), { configFile: "other.json" })).join("\n")).toContain("no such configuration")
  })
})

describe("the JSON Schema of the configuration", () => {
  it("is the one that is shipped", async () => {
    await expect(schemaText()).toMatchFileSnapshot("../schema/auditlog-config.schema.json")
  })

  it.each<[unknown]>([
    [{}],
    [{ $schema: "x", include: ["src"], exclude: [], failOn: "error", fileBytesMax: 1, baseline: "b.json" }],
    [{ helpers: ["log"], primitives: [{ language: "shell", name: "audit" }], severities: { "split-append": "off" } }],
    [{ exlude: [] }],
    [{ severities: { "split-apend": "off" } }],
    [{ severities: { "split-append": "fatal" } }],
    [{ include: [""] }],
    [{ fileBytesMax: 0 }],
    [{ primitives: [{ language: "shell" }] }]
  ])("accepts what the lint accepts: %j", (config) => {
    const validate = new Ajv2020().compile(JSON.parse(schemaText()))
    expect(validate(config)).toBe(Config.parse(JSON.stringify(config))._tag === "Success")
  })

  it("knows every rule", () => {
    for (const name of Rules.names) expect(schemaText()).toContain(`"${name}"`)
  })
})

/** Structs are closed: the lint takes an unknown key for a mistake. */
const schemaText = (): string => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(Config.ConfigFile)
  const text = JSON.stringify(
    { $schema: "https://json-schema.org/draft/2020-12/schema", ...schema, $defs: definitions },
    null,
    2
  )
  return `${text.replaceAll(`"additionalProperties": true`, `"additionalProperties": false`)}\n`
}

describe("the baseline", () => {
  it("knows findings by rule, path and code, and not by line", async () => {
    const root = project({ "a.py": unsynced, "b.sh": shell })
    const updated = await lint(root, { updateBaseline: true })
    expect(updated.report.summary).toMatchObject({ passed: true, suppressed: { baseline: 2 } })
    // what is known is still there: an inventory must not call it done
    expect(updated.report.summary.sites.violation).toBe(2)
    Fs.writeFileSync(Path.join(root, "a.py"), `# a new line\n\n${unsynced.replace("log(path", "write(path")}`)
    const again = await lint(root)
    expect(short(again)).toEqual(["a.py:6 unsynced-append (baseline)", "b.sh:1 unsynced-append (baseline)"])
    expect(again.report.summary.passed).toBe(true)
  })

  it("fails for a finding more of the same code, and for another rule at the same place", async () => {
    const root = project({ "a.py": unsynced })
    await lint(root, { updateBaseline: true })
    Fs.writeFileSync(Path.join(root, "a.py"), `${unsynced}\n${unsynced}`)
    expect(short(await lint(root))).toEqual(["a.py:4 unsynced-append (baseline)", "a.py:10 unsynced-append"])
    Fs.writeFileSync(Path.join(root, "a.py"), split)
    const changed = await lint(root)
    expect(short(changed)).toEqual(["a.py:4 split-append"])
    expect(changed.report.summary.staleBaseline).toMatchObject([{ rule: "unsynced-append", path: "a.py", missing: 1 }])
  })

  it("with stale entries fails, until it is updated", async () => {
    const root = project({ "a.py": unsynced, "b.py": split })
    await lint(root, { updateBaseline: true })
    Fs.rmSync(path(root, "b.py"))
    const stale = await lint(root)
    expect(stale.report.summary).toMatchObject({
      passed: false,
      staleBaseline: [{ rule: "split-append", path: "b.py", snippet: "open(path, \"a\")" }]
    })
    await lint(root, { updateBaseline: true })
    expect((await lint(root)).report.summary.passed).toBe(true)
  })

  it("is judged, and changed, only for what was linted", async () => {
    const root = project({ "a/a.py": unsynced, "b/b.py": split })
    await lint(root, { updateBaseline: true })
    Fs.writeFileSync(path(root, "b/b.py"), "print(1)\n")
    expect((await lint(root, { paths: ["a"] })).report.summary.passed).toBe(true)
    await lint(root, { paths: ["a"], updateBaseline: true })
    expect((await lint(root)).report.summary.staleBaseline).toHaveLength(1)
    expect((await lint(path(root, "b"))).report.summary.staleBaseline).toHaveLength(1)
  })

  it("does not know faults of suppressions", async () => {
    const root = project({ "a.py": `# auditlog-lint: allow split-append\n${unsynced}` })
    const run = await lint(root, { updateBaseline: true })
    expect(short(run)).toEqual(["a.py:1 suppression-without-reason", "a.py:5 unsynced-append (baseline)"])
  })

  it("stands where the configuration says", async () => {
    const root = withConfig({ baseline: "ci/known.json" })
    Fs.mkdirSync(path(root, "ci"))
    await lint(root, { updateBaseline: true })
    expect(JSON.parse(Fs.readFileSync(path(root, "ci/known.json"), "utf8"))).toMatchObject({
      version: 1,
      entries: [{ rule: "unsynced-append", path: "a.py", snippet: "open(path, \"a\")", count: 1 }]
    })
    expect((await lint(root)).report.summary.passed).toBe(true)
  })

  it("that is none is refused with its name", async () => {
    const root = project({ "a.py": unsynced, "auditlog.baseline.json": "{}" })
    expect((await problems(root)).join("\n")).toMatch(/auditlog\.baseline\.json: is no baseline: .*--update-baseline/)
  })
})

const path = (root: string, name: string): string => Path.join(root, name)
