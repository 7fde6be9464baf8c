/**
 * How right the lint is, on labelled code: `node test/bench/lintCorpus.ts CORPUS MANIFEST LABELS`. CORPUS holds the files,
 * MANIFEST says which repository and commit they are of, LABELS is the directory with sites.tsv, decoys.tsv and score.py.
 * Prints precision and recall, for each language too, and what was reported or missed wrongly.
 *
 * The labels call code in shell strings `python-in-shell`; a false report is counted under the language of its file.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Linter from "../../src/lint/Linter.ts"

const [corpus, manifest, labels] = process.argv.slice(2).map((path) => Path.resolve(path))
if (corpus === undefined || manifest === undefined || labels === undefined) {
  console.error("usage: node test/bench/lintCorpus.ts CORPUS MANIFEST LABELS")
  process.exit(2)
}

const { report } = await Effect.runPromise(
  Linter.lint({ directory: corpus, paths: [corpus], gitignore: false }).pipe(Effect.provide(NodeServices.layer))
)
const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-lint-"))
const findings = Path.join(directory, "findings.tsv")
const rows = report.sites.map(({ class: siteClass, endLine, file, line }) => [
  file,
  line,
  endLine,
  siteClass === "review"
    ? "manual"
    : siteClass === "violation"
    ? "violation"
    : siteClass === "not-jsonl"
    ? "not-jsonl"
    : "ok"
])
Fs.writeFileSync(findings, rows.map((row) => `${row.join("\t")}\n`).join(""))
const score = (show: string): string =>
  execFileSync("python3", [Path.join(labels, "score.py"), findings, "--manifest", manifest, "--show", show], {
    encoding: "utf8"
  })
const missed = score("fn").split("\n").filter((line) => line.startsWith("FN "))
const [wrong, total] = [
  score("fp").split("\n").filter((line) => line.startsWith("FP ")),
  score("").trim().split("\n").at(-1) ?? ""
]
Fs.rmSync(directory, { recursive: true })

const languageOf = (file: string): string =>
  report.sites.find((site) => site.file === file)?.embeddedIn ?? report.sites.find((site) =>
    site.file === file
  )?.language ??
    "unknown"
console.log(total)
for (const line of [...wrong, ...missed]) console.log(line)
console.table(Object.fromEntries(
  (/recall by language: (?<list>.*)$/.exec(total)?.groups?.["list"] ?? "").split(", ").map((entry) => {
    const [language = "", counts = "0/0"] = entry.split(" ")
    const [found = 0, all = 0] = counts.split("/").map(Number)
    const falsely = wrong.filter((line) => languageOf(line.split(" ")[1] ?? "") === language).length
    const precision = found / (found + falsely)
    return [language, {
      labelled: all,
      found,
      recall: (found / all).toFixed(3),
      falsely,
      precision: Number.isNaN(precision) ? "" : precision.toFixed(3)
    }]
  })
))
