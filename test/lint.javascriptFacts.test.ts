/**
 * The facts of a JavaScript site that rules judge: handles, writes, growth, transactions, primitives, fixes, comments.
 */
import { beforeAll, describe, expect, it } from "vitest"
import type { Primitive } from "../src/lint/Language.ts"
import { javascript, typescript } from "../src/lint/languages/javascript.ts"
import type { Site } from "../src/lint/Site.ts"
import { analyse, loadParsers, type Options } from "./javascriptSupport.ts"

beforeAll(loadParsers)

/** The one site of a program. */
const site = (text: string, options?: Options): Site => {
  const { sites } = analyse(text, options)
  expect(sites.length, `sites in ${text}`).toBe(1)
  return sites[0] as Site
}

const textOf = (text: string, span: { readonly start: number; readonly end: number }): string =>
  text.slice(span.start, span.end)

const primitives: ReadonlyArray<Primitive> = [
  { language: "javascript", module: "src/lib/audit.ts", name: "appendRecord" },
  { language: "javascript", module: "audit-lines", name: "appendRecordSync" },
  { language: "python", module: "src/lib/audit.ts", name: "put" }
]

describe("a site", () => {
  it("says what is called, on which path, in which statement", () => {
    const text = `const file = "logs/audit.jsonl"
async function log(entry) {
  await appendFile(file, JSON.stringify(entry) + "\\n").catch(() => {})
}`
    const found = site(text)
    expect(found).toMatchObject({
      language: "javascript",
      call: "appendFile",
      target: "file",
      path: "logs/audit.jsonl"
    })
    expect(textOf(text, found.span)).toBe("appendFile(file, JSON.stringify(entry) + \"\\n\")")
    expect(textOf(text, found.statement)).toMatch(/^await appendFile.*catch\(\(\) => \{\}\)$/)
  })

  it("joins the literal pieces of a path", () => {
    expect(site(`appendFileSync(join("logs", "audit.jsonl"), line + "\\n")`).path).toBe("logs/audit.jsonl")
    expect(site(`appendFileSync(join(dir, "audit.jsonl"), line + "\\n")`).path).toBeUndefined()
  })

  it("is unknown where only other files can say what is written", () => {
    expect(site(`export const put = (path, line) => fs.appendFileSync(path, line)`).payload).toBe("unknown")
  })

  it("has pretty JSON over several lines only in a file of records", () => {
    expect(site(`fs.appendFileSync("audit.jsonl", JSON.stringify(entry, null, 2) + "\\n")`).payload).toBe(
      "multiLineRecord"
    )
    expect(site(`fs.appendFileSync("debug.log", JSON.stringify(entry, null, 2) + "\\n")`).payload).toBe("text")
  })
})

describe("writes per record", () => {
  it("are two where the newline is written on its own", () => {
    expect(
      site(`const out = fs.createWriteStream(path, { flags: "a" })
const log = (entry) => {
  out.write(JSON.stringify(entry))
  out.write("\\n")
}`).writesPerRecord
    ).toBe(2)
    expect(
      site(`appendFileSync(path, JSON.stringify(entry))
appendFileSync(path, "\\n")`).writesPerRecord
    ).toBe(2)
    expect(
      site(`const fd = openSync(path, "a")
writeSync(fd, JSON.stringify(entry))
writeSync(fd, "\\n")
closeSync(fd)`).writesPerRecord
    ).toBe(2)
  })

  it("are one for a whole line, also where a missing newline is mended first", () => {
    const { sites } = analyse(`if (isTorn(path)) appendFileSync(path, "\\n")
appendFileSync(path, JSON.stringify(entry) + "\\n")`)
    expect(sites.map(({ payload, writesPerRecord }) => [payload, writesPerRecord])).toEqual([["text", 1], [
      "record",
      1
    ]])
  })
})

describe("the life of a handle", () => {
  const lifeOf = (text: string): string => site(text).life

  it("is once for a call and for a handle that is opened, written and closed", () => {
    expect(lifeOf(`for (const e of events) appendFileSync(path, JSON.stringify(e) + "\\n")`)).toBe("once")
    expect(lifeOf(`const h = await open(path, "a"); await h.write(JSON.stringify(e) + "\\n"); await h.close()`)).toBe(
      "once"
    )
  })

  it("is a loop where records are written in one", () => {
    expect(lifeOf(`function save() {
  const fd = openSync(path, "a")
  for (const e of events) writeSync(fd, JSON.stringify(e) + "\\n")
  closeSync(fd)
}`)).toBe("loop")
    expect(lifeOf(`function save() {
  const out = createWriteStream(path, { flags: "a" })
  events.forEach((e) => out.write(JSON.stringify(e) + "\\n"))
}`)).toBe("loop")
  })

  it("is stored in an object or a variable of the module", () => {
    expect(lifeOf(`class Log {
  constructor(path) { this.out = createWriteStream(path, { flags: "a" }) }
  log(e) { this.out.write(JSON.stringify(e) + "\\n") }
}`)).toBe("stored")
    expect(lifeOf(`let out
function open() { out = createWriteStream(path, { flags: "a" }) }
function log(e) { out.write(JSON.stringify(e) + "\\n") }`)).toBe("stored")
  })

  it("is passed where other code gets it", () => {
    expect(lifeOf(`function open() { return createWriteStream("a.jsonl", { flags: "a" }) }`)).toBe("passed")
    expect(lifeOf(`source.pipe(createWriteStream("a.jsonl", { flags: "a" }))`)).toBe("passed")
  })
})

describe("sync", () => {
  it("is seen on the handle and in the options", () => {
    expect(site(`const fd = openSync(p, "a"); writeSync(fd, JSON.stringify(e) + "\\n"); fsyncSync(fd)`).synced).toBe(
      true
    )
    expect(site(`const h = await open(p, "a"); await h.write(JSON.stringify(e) + "\\n"); await h.datasync()`).synced)
      .toBe(true)
    expect(site(`appendFileSync(p, JSON.stringify(e) + "\\n", { flush: true })`).synced).toBe(true)
    expect(site(`appendFileSync(p, JSON.stringify(e) + "\\n")`).synced).toBe(false)
  })
})

describe("growth", () => {
  it("is by rewriting where old content and a record are written", () => {
    expect(
      site(`const old = fs.existsSync(path) ? fs.readFileSync(path, "utf8") : ""
fs.writeFileSync(path, old + JSON.stringify(entry) + "\\n")`).growth
    ).toBe("rewrite")
    expect(
      site(`let old = ""
try { old = await readFile(path, "utf8") } catch {}
await writeFile(path, \`\${old}\${JSON.stringify(entry)}\\n\`)`).growth
    ).toBe("rewrite")
  })

  it("is none where a file is filtered, or another file is written", () => {
    expect(
      analyse(`const lines = fs.readFileSync(path, "utf8").split("\\n").slice(-100)
fs.writeFileSync(path, lines.join("\\n") + "\\n")`).sites
    ).toEqual([])
    expect(analyse(`fs.writeFileSync(copy, fs.readFileSync(path, "utf8") + JSON.stringify(entry) + "\\n")`).sites)
      .toEqual([])
  })
})

describe("a transaction", () => {
  const transactionOf = (text: string): string | undefined => site(text).transaction?.text

  it("is seen from BEGIN to COMMIT or ROLLBACK", () => {
    expect(transactionOf(`async function save() {
  await client.query("BEGIN")
  try {
    await appendFile(path, JSON.stringify(e) + "\\n")
    await client.query("COMMIT")
  } catch { await client.query("ROLLBACK") }
}`)).toBe("client.query(\"BEGIN\")")
    expect(transactionOf(`function save() {
  const fd = openSync(path, "a")
  db.exec("BEGIN IMMEDIATE")
  writeSync(fd, JSON.stringify(e) + "\\n")
  db.exec("COMMIT")
}`)).toBe("db.exec(\"BEGIN IMMEDIATE\")")
  })

  it("is seen in the callback of a transaction", () => {
    expect(transactionOf(`db.transaction(() => { appendFileSync(path, JSON.stringify(e) + "\\n") })()`)).toBe(
      "db.transaction"
    )
    expect(transactionOf(`const save = sql.withTransaction(Effect.gen(function*() {
  yield* fs.writeFileString(path, JSON.stringify(e) + "\\n", { flag: "a" })
}))`)).toBe("sql.withTransaction")
  })

  it("is seen between commit and rollback of one transaction", () => {
    expect(transactionOf(`async function save(trx) {
  try {
    appendFileSync(path, JSON.stringify(e) + "\\n")
    await trx.commit()
  } catch { await trx.rollback() }
}`)).toBe("trx.commit()")
  })

  it("is none after COMMIT, in git, or in a transaction of the audit log", () => {
    expect(transactionOf(`function save() {
  db.exec("BEGIN"); db.exec("COMMIT")
  appendFileSync(path, JSON.stringify(e) + "\\n")
}`)).toBeUndefined()
    expect(transactionOf(`function save() {
  appendFileSync(path, JSON.stringify(e) + "\\n")
  git.commit("save")
}`)).toBeUndefined()
    expect(transactionOf(`audit.transaction(Effect.sync(() => appendFileSync(path, JSON.stringify(e) + "\\n")))`))
      .toBeUndefined()
  })
})

describe("a migrated call", () => {
  const migrated = (text: string, options: Options = { primitives }): ReadonlyArray<string | undefined> =>
    analyse(text, options).sites.map((one) => one.migrated)

  it("is a primitive by the module it comes from", () => {
    expect(migrated(`import { appendRecord as put } from "../lib/audit.js"
await put(path, entry)`)).toEqual(["appendRecord"])
    expect(migrated(`import * as audit from "./audit"
await audit.appendRecord(path, entry)`)).toEqual(["appendRecord"])
    expect(migrated(`const { appendRecordSync } = require("audit-lines")
appendRecordSync(path, entry)`)).toEqual(["appendRecordSync"])
  })

  it("is none by its name alone", () => {
    expect(migrated(`import { appendRecord } from "./other.ts"
await appendRecord(path, entry)`)).toEqual([])
  })

  it("is an append of an effect-auditlog service", () => {
    expect(migrated(
      `import { AuditLog } from "effect-auditlog"
class Audit extends AuditLog.Service<Audit>()("app/Audit", { schema: Event }) {}
const save = Effect.gen(function*() {
  const audit = yield* Audit
  yield* audit.append({ _tag: "Saved" })
})`,
      {}
    )).toEqual(["effect-auditlog append"])
  })

  it("is a call of a helper that the user names", () => {
    expect(migrated(
      `import { recordEvent } from "./events.ts"
recordEvent({ id: 1 })`,
      { helpers: ["recordEvent"] }
    )).toEqual(["recordEvent"])
  })
})

describe("a fix", () => {
  const fixed = (text: string, options: Options = { primitives }): string => {
    const { fix } = site(text, options)
    if (fix._tag === "NoFix") return fix.reason
    return [...fix.edits].sort((a, b) => b.span.start - a.span.start)
      .reduce((changed, edit) => changed.slice(0, edit.span.start) + edit.text + changed.slice(edit.span.end), text)
  }

  it("calls the imported primitive of the same synchrony", () => {
    expect(fixed(`import { appendRecord as put } from "../lib/audit.ts"
await fs.appendFile(path, JSON.stringify({ a: 1 }) + "\\n")`)).toBe(
      `import { appendRecord as put } from "../lib/audit.ts"
await put(path, { a: 1 })`
    )
  })

  it("adds the import of a package", () => {
    expect(fixed(`import * as fs from 'fs';
fs.appendFileSync(path, \`\${JSON.stringify(entry)}\\n\`, 'utf-8');`)).toBe(`import * as fs from 'fs';
import { appendRecordSync } from 'audit-lines';
appendRecordSync(path, entry);`)
  })

  it("is refused with a reason", () => {
    expect(fixed(`fs.appendFileSync(path, JSON.stringify(entry) + "\\n")`, {})).toMatch(
      /no JavaScript primitive is configured/
    )
    expect(fixed(`fs.appendFileSync(path, JSON.stringify(entry, replacer) + "\\n")`)).toMatch(
      /not JSON.stringify\(x\) and a newline/
    )
    expect(fixed(`fs.appendFileSync(path, JSON.stringify(entry) + "\\n", { mode: 0o600 })`)).toMatch(/has options/)
    expect(fixed(`fs.appendFile(path, JSON.stringify(entry) + "\\n").catch(() => {})`)).toMatch(/not awaited/)
    expect(fixed(`await fs.appendFile(path, JSON.stringify(entry) + "\\n")`)).toMatch(/does not import appendRecord/)
    expect(fixed(`fs.appendFileSync(path, JSON.stringify(entry) + "\\n")`)).toMatch(/no import statements/)
  })
})

describe("an analysis", () => {
  it("gives the text of comments without their marks", () => {
    const { comments } = analyse(`// auditlog-lint: allow unsynced-append — a cache
/* one */ f() /**
 * two
 */`)
    expect(comments.map((comment) => comment.text)).toEqual([
      "auditlog-lint: allow unsynced-append — a cache",
      "one",
      "two"
    ])
  })

  it("names what it could not read, and reads the rest", () => {
    const { sites, unparsed } = analyse(`const = = ;
fs.appendFileSync(path, JSON.stringify(entry) + "\\n")`)
    expect(sites.length).toBe(1)
    expect(unparsed.length).toBeGreaterThan(0)
  })

  it("reads JSX in JavaScript and TypeScript", () => {
    const text =
      `const View = () => <button onClick={() => appendFileSync(path, JSON.stringify(e) + "\\n")}>save</button>`
    expect(site(text, { extension: "tsx" }).payload).toBe("record")
    expect(site(text, { extension: "jsx" }).payload).toBe("record")
  })

  it("ends for names that lead to each other, deep nesting and long sums", () => {
    const loop = `let a = b + "\\n", b = a; b += a; a = b; fs.appendFileSync(path, a)`
    const deep = `fs.appendFileSync(path, ${"(".repeat(5000)}JSON.stringify(x)${")".repeat(5000)} + "\\n")`
    const long = `fs.appendFileSync(path, ${"\"x\" + ".repeat(5000)}JSON.stringify(x) + "\\n")`
    expect(analyse(loop).sites.map(({ payload }) => payload)).toEqual(["unknown"])
    expect(analyse(deep).sites.length).toBe(1)
    expect(analyse(long).sites.map(({ payload }) => payload)).toEqual(["text"])
  })

  it("is not asked for of files without a word of appending", () => {
    expect(typescript.mayAppend(`element.append(child); params.append("q", q); open("a.html")`)).toBe(false)
    expect(javascript.mayAppend(`fs.writeFileSync("a.json", JSON.stringify(data))`)).toBe(false)
  })
})
