/**
 * docs/performance.md says what the last run measured, and the benches still run.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe, expect, it } from "vitest"
import { benches } from "./bench/benches.ts"
import * as Document from "./bench/document.ts"
import { root } from "./bench/harness.ts"
import { apply, edits } from "./bench/without.ts"
import { run } from "./support.ts"

describe("docs/performance.md", () => {
  const results = Document.readResults()

  it("is what --write-docs makes of test/bench/results.json and notes.md", () => {
    expect(Document.generated()).toBe(results === undefined ? undefined : Document.generate(results))
  })

  it("shows every bench, with the columns that it has now", () => {
    expect(results?.reports.map(({ bench, columns, title }) => ({ bench, title, columns })))
      .toEqual(benches.map(({ columns, name, title }) => ({ bench: name, title, columns })))
  })

  it("has a row for every target", () => {
    // a verifier without threads has no row for them
    const inThreads = /verify with two workers/
    expect(Document.missingTargets(results?.reports ?? []).filter((what) => !inThreads.test(what))).toEqual([])
  })

  it("has notes for benches that exist, and for no others", () => {
    const names = new Set([...benches.map(({ name }) => name), "targets"])
    expect(Document.noted().filter((name) => !names.has(name))).toEqual([])
  })

  it("names no directory of the machine", () => {
    expect(Document.generated()).not.toMatch(/\/(home|root|tmp|Users)\//)
  })
})

describe("docs/distribution.md", () => {
  const results = Document.readResults()

  it("has the figures of test/bench/results.json, and the fleets that follow from them", () => {
    expect(Document.generatedSizing()).toBe(results === undefined ? undefined : Document.generateSizing(results))
  })
})

describe("npm run bench", () => {
  it("prints a figure for every side", async () => {
    const { code, stderr, stdout } = await bench("transaction", "--quick", "--json")
    expect([code, stderr]).toEqual([0, ""])
    const { reports } = JSON.parse(stdout) as Document.Results
    const rates = reports.flatMap(({ rows }) =>
      rows.map(({ name, values }) => [name, values["rate"]?.median ?? 0] as const)
    )
    expect(rates.map(([name]) => name)).toContain("auditlog, 64 at a time")
    expect(rates.filter(([, rate]) => !(rate > 0))).toEqual([])
  })

  it("refuses a bench that does not exist, and names those that do", async () => {
    const { code, stderr } = await bench("appendd")
    expect(code).toBe(2)
    expect(stderr).toContain("no bench named appendd; there are: append, append-nosync,")
  })

  it("refuses to write the documentation from a quick run", async () => {
    expect((await bench("--quick", "--write-docs")).code).toBe(2)
  })
})

describe("the copies without a safeguard", () => {
  it("can still be made of the sources", () => {
    for (const edit of Object.values(edits)) {
      const text = Fs.readFileSync(Path.join(root, "src", edit.file), "utf8")
      expect(apply(text, edit)).not.toBe(text)
    }
  })
})

const bench = (...args: ReadonlyArray<string>) =>
  run(process.execPath, [Path.join(root, "test/bench/run.ts"), ...args], { cwd: root })
