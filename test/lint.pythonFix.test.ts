/**
 * The rewrite of a Python site to the configured primitive, and the reasons to leave it alone.
 */
import { describe, expect, it } from "vitest"
import { applied, only, primitive, reported } from "./pythonSupport.ts"

const fixed = async (text: string): Promise<string> => {
  const { fix } = await only(text, { primitives: [primitive] })
  if (fix._tag === "NoFix") return `no: ${fix.reason}`
  const result = applied(text, fix)
  expect(await reported(result, { primitives: [primitive] }), "what is reported after the fix").toEqual([])
  return result
}

describe("the fix", () => {
  it("replaces a with statement and adds the import after the last one", async () => {
    expect(
      await fixed(`import json
import os  # paths

def log(path, rec):
    with open(path, "a", encoding="utf-8") as f:
        f.write(json.dumps(rec, ensure_ascii=False) + "\\n")
    return rec
`)
    ).toBe(`import json
import os  # paths
from lib.audit import atomic_append_jsonl

def log(path, rec):
    atomic_append_jsonl(path, rec)
    return rec
`)
  })

  const shapes: Readonly<Record<string, readonly [string, string]>> = {
    "a chain": ["open(p, \"a\").write(json.dumps(rec) + \"\\n\")", "atomic_append_jsonl(p, rec)"],
    "a template": [
      "with open(p, \"a\") as f: f.write(f\"{json.dumps({'a': 1})}\\n\")",
      "atomic_append_jsonl(p, {'a': 1})"
    ],
    bytes: [
      "with open(p, \"ab\") as f:\n    f.write((json.dumps(rec) + \"\\n\").encode())",
      "atomic_append_jsonl(p, rec)"
    ],
    "two writes": [
      "with open(p, \"a\") as f:\n    json.dump(rec, f)\n    f.write(\"\\n\")",
      "atomic_append_jsonl(p, rec)"
    ],
    print: ["with open(p, \"a\") as f:\n    print(json.dumps(rec), file=f)", "atomic_append_jsonl(p, rec)"],
    "a path": [
      "with (a / \"x\").open(\"a\") as f:\n    f.write(json.dumps(rec) + \"\\n\")",
      "atomic_append_jsonl((a / \"x\"), rec)"
    ],
    "an fsync": [
      "with open(p, \"a\") as f:\n    f.write(json.dumps(rec) + \"\\n\")\n    f.flush()\n    os.fsync(f.fileno())",
      "atomic_append_jsonl(p, rec)"
    ]
  }
  it.each(Object.entries(shapes))("rewrites %s", async (_, [before, after]) => {
    const head = "from lib.audit import atomic_append_jsonl\nimport json\n"
    expect(await fixed(`${head}${before}\nnext()\n`)).toBe(`${head}${after}\nnext()\n`)
  })

  it("uses the name under which the primitive is imported", async () => {
    expect(await fixed("from lib import audit\nimport json\nopen(p, \"a\").write(json.dumps(r) + \"\\n\")\n"))
      .toContain("\naudit.atomic_append_jsonl(p, r)\n")
    expect(
      await fixed(
        "from lib.audit import atomic_append_jsonl as put\nimport json\nopen(p, \"a\").write(json.dumps(r) + \"\\n\")\n"
      )
    ).toContain("\nput(p, r)\n")
  })

  it("adds the import below a docstring, a future import, or the first comments", async () => {
    const body = "def f():\n    import json\n    open(p, \"a\").write(json.dumps(r) + \"\\n\")\n"
    const line = "from lib.audit import atomic_append_jsonl\n"
    const rest = "def f():\n    import json\n    atomic_append_jsonl(p, r)\n"
    expect(await fixed(`"""Says."""\n${body}`)).toBe(`"""Says."""\n${line}${rest}`)
    expect(await fixed(`from __future__ import annotations\n${body}`)).toBe(
      `from __future__ import annotations\n${line}${rest}`
    )
    expect(await fixed(`#!/usr/bin/env python3\n# coding: utf-8\n\n${body}`))
      .toBe(`#!/usr/bin/env python3\n# coding: utf-8\n${line}\n${rest}`)
    expect(await fixed(body)).toBe(line + rest)
  })

  it("keeps the line endings of the file", async () => {
    const text = "import json\r\nopen(p, \"a\").write(json.dumps(r) + \"\\n\")\r\n"
    expect(await fixed(text)).toBe(
      "import json\r\nfrom lib.audit import atomic_append_jsonl\r\natomic_append_jsonl(p, r)\r\n"
    )
  })

  const refused: Readonly<Record<string, readonly [string, string]>> = {
    "an option of json.dumps": [
      "with open(p, \"a\") as f:\n    f.write(json.dumps(r, default=str) + \"\\n\")",
      "option default"
    ],
    "unseen options": ["with open(p, \"a\") as f:\n    f.write(json.dumps(r, **opts) + \"\\n\")", "not to be seen"],
    "another encoder": ["with open(p, \"ab\") as f:\n    f.write(orjson.dumps(r) + b\"\\n\")", "orjson.dumps"],
    "a line built earlier": [
      "line = json.dumps(r) + \"\\n\"\nwith open(p, \"a\") as f:\n    f.write(line)",
      "built earlier"
    ],
    "other statements": ["with open(p, \"a\") as f:\n    print(1)\n    f.write(json.dumps(r) + \"\\n\")", "does more"],
    "a lock": ["with open(p, \"a\") as f:\n    flock(f)\n    f.write(json.dumps(r) + \"\\n\")", "does more"],
    "two records": [
      "with open(p, \"a\") as f:\n    f.write(json.dumps(r) + \"\\n\")\n    f.write(json.dumps(s) + \"\\n\")",
      "several writes"
    ],
    "a loop": ["with open(p, \"a\") as f:\n    for r in rs:\n        f.write(json.dumps(r) + \"\\n\")", "loop"],
    "a bare handle": ["f = open(p, \"a\")\nf.write(json.dumps(r) + \"\\n\")\nf.close()", "with statement"],
    "a second handle": ["with lock, open(p, \"a\") as f:\n    f.write(json.dumps(r) + \"\\n\")", "something else"],
    "a comment": ["with open(p, \"a\") as f:\n    # why\n    f.write(json.dumps(r) + \"\\n\")", "comment"],
    "another encoding": [
      "with open(p, \"a\", encoding=\"latin-1\") as f:\n    f.write(json.dumps(r) + \"\\n\")",
      "encoding"
    ],
    "a compressed file": ["with gzip.open(p, \"at\") as f:\n    f.write(json.dumps(r) + \"\\n\")", "gzip.open"],
    "a mode in a variable": ["mode = \"a\"\nwith open(p, mode) as f:\n    f.write(json.dumps(r) + \"\\n\")", "mode"],
    "async code": [
      "async with aiofiles.open(p, \"a\") as f:\n    await f.write(json.dumps(r) + \"\\n\")",
      "more than append"
    ],
    "a transaction": [
      "db.execute(\"BEGIN\")\nwith open(p, \"a\") as f:\n    f.write(json.dumps(r) + \"\\n\")\ndb.execute(\"COMMIT\")",
      "transaction"
    ],
    "a name that is taken": [
      "atomic_append_jsonl = 1\nopen(p, \"a\").write(json.dumps(r) + \"\\n\")",
      "stands for something else"
    ]
  }
  it.each(Object.entries(refused))("refuses %s and says why", async (_, [text, reason]) => {
    const result = await fixed(`import json, orjson\n${text}\n`)
    expect(result).toMatch(/^no: /)
    expect(result).toContain(reason)
  })

  it("needs a primitive", async () => {
    const { fix } = await only("open(p, \"a\").write(json.dumps(r) + \"\\n\")\n")
    expect(fix).toEqual({ _tag: "NoFix", reason: "no primitive is configured for Python" })
  })
})
