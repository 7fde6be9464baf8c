/**
 * The facts of a Python site that rules judge: writes, life, fsync, growth, transaction, path, primitive.
 */
import { describe, expect, it } from "vitest"
import type { Site } from "../src/lint/Site.ts"
import { analyse, lineOf, only, primitive } from "./pythonSupport.ts"

const write = "f.write(json.dumps(rec) + \"\\n\")"

describe("writes per record", () => {
  const table: ReadonlyArray<readonly [string, string, number]> = [
    ["one write", write, 1],
    ["json.dump and a line break", "json.dump(rec, f)\n    f.write(\"\\n\")", 2],
    ["a line break first", "f.write(\"\\n\")\n    f.write(json.dumps(rec))", 2],
    ["print, which writes its end apart", "print(json.dumps(rec), file=f)", 2],
    ["print without an end", "print(json.dumps(rec) + \"\\n\", end=\"\", file=f)", 1],
    ["a line break behind a condition", "f.write(line := json.dumps(rec))\n    if eol:\n        f.write(\"\\n\")", 2],
    ["a batch", "f.write(\"\".join(json.dumps(r) + \"\\n\" for r in recs))", 1]
  ]
  it.each(table)("%s", async (_, body, count) => {
    const site = await only(`with open(path, "a") as f:\n    ${body}\n`)
    expect(site.writesPerRecord).toBe(count)
  })
})

describe("the life of the handle", () => {
  const table: ReadonlyArray<readonly [Site["life"], string, string]> = [
    ["once", "written and closed", `with open(p, "a") as f:\n    ${write}`],
    ["once", "opened in the loop", `for rec in recs:\n    with open(p, "a") as f:\n        ${write}`],
    ["once", "locked and synced", `with open(p, "a") as f:\n    flock(f)\n    ${write}\n    os.fsync(f.fileno())`],
    ["loop", "written in a loop", `with open(p, "a") as f:\n    for rec in recs:\n        ${write}`],
    ["loop", "written by a generator", `with open(p, "a") as f:\n    f.writelines(json.dumps(r) + "\\n" for r in rs)`],
    ["stored", "kept in an object", `self.f = open(p, "a")\nself.f.write(json.dumps(rec) + "\\n")`],
    ["stored", "a name of the module", `f = open(p, "a")\ndef log(rec):\n    ${write}`],
    ["passed", "given to a function", `def put(f):\n    ${write}\nwith open(p, "a") as g:\n    put(g)`],
    ["passed", "returned", `def log():\n    return open(p, "a")\nwith log() as f:\n    ${write}`]
  ]
  it.each(table)("is %s: %s", async (life, _, text) => {
    expect((await only(text)).life).toBe(life)
  })
})

describe("a site", () => {
  it("knows an fsync of its handle", async () => {
    const synced = await only(`with open(p, "a") as f:\n    ${write}\n    f.flush()\n    os.fsync(f.fileno())\n`)
    const other = await only(`with open(p, "a") as f:\n    ${write}\nos.fsync(other)\n`)
    expect([synced.synced, other.synced]).toEqual([true, false])
  })

  it("says what it opens, and the value of a path one step away", async () => {
    const text = `LOG = "audit.jsonl"\nwith open(LOG, "a") as f:\n    ${write}\n`
    const site = await only(text)
    expect(site).toMatchObject({ call: "open(…, \"a\")", target: "LOG", path: "audit.jsonl", language: "python" })
    expect(text.slice(site.span.start, site.span.end)).toBe("open(LOG, \"a\")")
    expect(lineOf(text, site.statement.start)).toBe(2)
    expect((await only(`with open(root / "x.jsonl", "a") as f:\n    ${write}\n`)).path).toBeUndefined()
  })

  it("says how the file grows", async () => {
    const append = await only(`with open(p, "a") as f:\n    ${write}\n`)
    const seek = await only(
      `with open(p, "rb+") as f:\n    f.seek(0, 2)\n    f.write(json.dumps(rec).encode() + b"\\n")\n`
    )
    const late = await only(`fd = os.open(p, os.O_WRONLY)\nwith os.fdopen(fd, "a") as f:\n    ${write}\n`)
    const rewrite = await only("p.write_text(p.read_text() + json.dumps(rec) + \"\\n\")\n")
    expect([append, seek, late, rewrite].map(({ growth }) => growth)).toEqual(["append", "seek", "seek", "rewrite"])
  })

  it("tells JSON on one line from JSON over several", async () => {
    const indented = (value: string) =>
      `with open(p, "a") as f:\n    f.write(json.dumps(rec, indent=${value}) + "\\n")\n`
    const payloads = await Promise.all(["2", "None", "\"\\t\""].map((value) => only(indented(value))))
    expect(payloads.map(({ payload }) => payload)).toEqual(["multiLineRecord", "record", "multiLineRecord"])
  })
})

describe("a transaction", () => {
  const append = (indent: string) => `${indent}with open(p, "a") as f:\n${indent}    ${write}\n`
  const evident: Readonly<Record<string, string>> = {
    "BEGIN and COMMIT as text": `def save(db, rec):
    db.execute("BEGIN IMMEDIATE")
    db.execute("insert into t values (1)")
${append("    ")}    db.execute("COMMIT")
`,
    "a change and a commit": `import sqlite3
def save(conn, rec):
    conn.execute("INSERT INTO t VALUES (?)", (1,))
${append("    ")}    conn.commit()
`,
    "a rollback in a handler": `def save(conn, rec):
    try:
        conn.execute("UPDATE t SET a = 1")
${append("        ")}        conn.commit()
    except Exception:
        conn.rollback()
`,
    "a statement in a variable": `SQL = "DELETE FROM t"
def save(cur, conn, rec):
    cur.execute(SQL)
${append("    ")}    conn.commit()
`,
    Django: `from django.db import transaction
def save(rec):
    with transaction.atomic():
        Thing.objects.create()
${append("        ")}`,
    "a decorator of Django": `from django.db import transaction
@transaction.atomic
def save(rec):
${append("    ")}`,
    SQLAlchemy: `from sqlalchemy.orm import Session
def save(session, rec):
    with session.begin():
${append("        ")}`,
    "a connection as context": `def save(conn, rec):
    with conn:
        conn.execute("INSERT INTO t VALUES (1)")
${append("        ")}`,
    "a handle opened before": `import sqlite3
def save(conn, recs):
    f = open(p, "a")
    for rec in recs:
        conn.execute("BEGIN")
        ${write}
        conn.execute("COMMIT")
`,
    "a helper called inside": `import sqlite3
def log(rec):
${append("    ")}def save(conn):
    conn.execute("BEGIN")
    log({})
    conn.commit()
`
  }
  it.each(Object.entries(evident))("is evident from %s", async (_, text) => {
    expect((await only(text)).transaction?.text).toMatch(/begin|insert|update|execute\(SQL\)|atomic|with|conn/i)
  })

  const absent: Readonly<Record<string, string>> = {
    "a socket": `def serve(conn, rec):
    conn.send(b"INSERT")
${append("    ")}    conn.close()
`,
    "a commit before": `import sqlite3
def save(conn, rec):
    conn.execute("INSERT INTO t VALUES (1)")
    conn.commit()
${append("    ")}`,
    "a query": `import sqlite3
def save(conn, rec):
    conn.execute("SELECT 1")
${append("    ")}    conn.commit()
`,
    "a commit of another function": `import sqlite3
def save(conn):
    conn.execute("BEGIN")
    conn.commit()
def log(rec):
${append("    ")}`,
    "a commit of git": `def save(repo, rec):
${append("    ")}    repo.index.commit("message")
`
  }
  it.each(Object.entries(absent))("is not evident from %s", async (_, text) => {
    expect((await only(text)).transaction).toBeUndefined()
  })
})

describe("calls of primitives", () => {
  const migrated = async (text: string, helpers: ReadonlyArray<string> = []) =>
    (await analyse(text, { primitives: [primitive], helpers })).sites.flatMap((site) => site.migrated ?? [])
  const trusted: Readonly<Record<string, string>> = {
    "an import": "from lib.audit import atomic_append_jsonl\natomic_append_jsonl(p, rec)\n",
    "an alias": "from lib.audit import atomic_append_jsonl as put\nput(p, rec)\n",
    "its module": "import lib.audit\nlib.audit.atomic_append_jsonl(p, rec)\n",
    "an alias of its module": "import lib.audit as audit\naudit.atomic_append_jsonl(p, rec)\n",
    "its package": "from lib import audit\naudit.atomic_append_jsonl(p, rec)\n",
    "a relative import": "def f():\n    from ..audit import atomic_append_jsonl\n    atomic_append_jsonl(p, rec)\n",
    "a star": "from lib.audit import *\natomic_append_jsonl(p, rec)\n"
  }
  it.each(Object.entries(trusted))("are trusted by %s", async (_, text) => {
    expect(await migrated(text)).toEqual(["atomic_append_jsonl"])
  })

  const untrusted: Readonly<Record<string, string>> = {
    "the name alone": "atomic_append_jsonl(p, rec)\n",
    "another module": "from other.audit import atomic_append_jsonl\natomic_append_jsonl(p, rec)\n",
    "a function of the file": "def atomic_append_jsonl(p, rec): pass\natomic_append_jsonl(p, rec)\n",
    "another function of the module": "from lib.audit import read\nread(p)\n"
  }
  it.each(Object.entries(untrusted))("are not trusted by %s", async (_, text) => {
    expect(await migrated(text)).toEqual([])
  })

  it("include configured helpers", async () => {
    expect(await migrated("log_event({})\nself.log_event({})\nmath.log_event(2)\n", ["log_event"]))
      .toEqual(["log_event", "log_event"])
  })
})
