/**
 * Which Python is reported as a hand-written append of records, and which is not. The programs are written for these
 * tests; the mark `# <-` stands on the line a person would point at.
 */
import { describe, expect, it } from "vitest"
import { python } from "../src/lint/languages/python.ts"
import { analyse, lineOf, reported } from "./pythonSupport.ts"

const findings: Readonly<Record<string, string>> = {
  "a with block": `with open(path, "a") as f:  # <-
    f.write(json.dumps(rec) + "\\n")`,
  "single quotes, keywords and an encoding": `with open(file=path, mode='a', encoding="utf-8") as f:  # <-
    f.write(json.dumps(rec, ensure_ascii=False) + '\\n')`,
  "binary mode": `with open(path, "ab") as f:  # <-
    f.write(json.dumps(rec).encode("utf-8") + b"\\n")`,
  "mode a+": `with open(path, "a+") as f:  # <-
    f.write("\\n" + json.dumps(rec))`,
  "a bare handle": `f = open(path, "at")  # <-
f.write(json.dumps(rec) + "\\n")
f.close()`,
  "a chain": `open(path, "a").write(json.dumps(rec) + "\\n")  # <-`,
  "a path's open": `with (root / "log.jsonl").open("a") as f:  # <-
    f.write(f"{json.dumps(rec)}\\n")`,
  "a path's open with a keyword": `with LOG.open(mode="a", encoding="utf-8") as f:  # <-
    f.write("%s\\n" % json.dumps(rec))`,
  "an imported path": `from settings import LOG
with LOG.open("a") as f:  # <-
    f.write("{}\\n".format(json.dumps(rec)))`,
  "io.open": `import io
with io.open(path, "a", encoding="utf8") as f:  # <-
    print(json.dumps(rec), file=f)`,
  "codecs.open": `fh = codecs.open(path, "a", "utf-8")  # <-
fh.write(json.dumps(rec) + "\\n")`,
  "gzip.open": `with gzip.open(path, "at") as f:  # <-
    f.write(json.dumps(rec) + "\\n")`,
  aiofiles: `async def log(rec):
    async with aiofiles.open(path, mode="a") as f:  # <-
        await f.write(json.dumps(rec) + "\\n")`,
  anyio: `async def log(rec):
    async with await anyio.open_file(path, "a") as f:  # <-
        await f.write(json.dumps(rec) + "\\n")`,
  "os.open with O_APPEND": `fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)  # <-
try:
    os.write(fd, (json.dumps(rec) + "\\n").encode())
finally:
    os.close(fd)`,
  "flags in a variable": `flags = os.O_WRONLY | os.O_APPEND
fd = os.open(path, flags)  # <-
os.write(fd, line := (json.dumps(rec) + "\\n").encode())`,
  "fdopen on a descriptor": `fd = os.open(path, os.O_APPEND | os.O_CREAT)  # <-
with os.fdopen(fd, "a") as f:
    f.write(json.dumps(rec) + "\\n")`,
  "a mode in a variable": `mode = "a" if resume else "w"
with open(path, mode) as f:  # <-
    for rec in recs:
        f.write(json.dumps(rec) + "\\n")`,
  "a mode as default of a parameter": `def save(path, recs, mode="a"):
    with open(path, mode) as f:  # <-
        f.writelines(json.dumps(r) + "\\n" for r in recs)`,
  "a mode from a caller": `def save(path, rec, mode):
    with open(path, mode) as f:  # <-
        f.write(json.dumps(rec) + "\\n")
save(p, {}, "a")`,
  "json.dump and a line break": `with open(path, "a") as f:  # <-
    json.dump(rec, f)
    f.write("\\n")`,
  "print to the file": `with open(path, "a") as out:  # <-
    print(json.dumps(rec), file=out, flush=True)`,
  "Python 2's print": `f = open(path, "a")  # <-
print >>f, json.dumps(rec)`,
  "a line built earlier": `line = json.dumps(rec)
line += "\\n"
if verbose:
    print(line)
with open(path, "a") as f:  # <-
    f.write(line)`,
  "a joined batch": `with open(path, "a") as f:  # <-
    f.write("\\n".join(json.dumps(r) for r in recs) + "\\n")`,
  "a joined list that is filled in a loop": `lines = []
for r in recs:
    lines.append(json.dumps(r))
with open(path, "a") as f:  # <-
    f.write("\\n".join(lines) + "\\n")`,
  "a list of lines written one by one": `lines = [json.dumps(r) for r in recs]
with open(path, "a") as f:  # <-
    for line in lines:
        f.write(line + "\\n")`,
  "a buffer of text": `buf = ""
for r in recs:
    buf += json.dumps(r) + "\\n"
with open(path, "a") as f:  # <-
    f.write(buf)`,
  "a StringIO": `buf = io.StringIO()
for r in recs:
    buf.write(json.dumps(r) + "\\n")
with open(path, "a") as f:  # <-
    f.write(buf.getvalue())`,
  "writelines of map": `with open(path, "a") as f:  # <-
    f.writelines(map(lambda r: json.dumps(r) + "\\n", recs))`,
  orjson: `import orjson
with open(path, "ab") as f:  # <-
    f.write(orjson.dumps(rec, option=orjson.OPT_APPEND_NEWLINE))`,
  "an alias of the encoder": `from ujson import dumps as encode
with open(path, "a") as f:  # <-
    f.write(encode(rec) + "\\n")`,
  "a pydantic model": `with open(path, "a") as f:  # <-
    f.write(event.model_dump_json() + "\\n")`,
  msgspec: `encoder = msgspec.json.Encoder()
with open(path, "ab") as f:  # <-
    f.write(encoder.encode(rec) + b"\\n")`,
  "jsonlines.open": `with jsonlines.open(path, mode="a") as w:  # <-
    w.write(rec)`,
  "jsonlines.Writer": `with open(path, "a") as f:  # <-
    w = jsonlines.Writer(f)
    w.write_all(recs)`,
  pandas: `df.to_json(path, orient="records", lines=True, mode="a")  # <-`,
  "a function of the file that encodes": `def encode(rec):
    return json.dumps(rec, sort_keys=True) + "\\n"
with open(path, "a") as f:  # <-
    f.write(encode(rec))`,
  "a method that encodes": `class Event:
    def line(self):
        return f"{json.dumps(self.__dict__)}\\n"
def log(event):
    with open(path, "a") as f:  # <-
        f.write(event.line())`,
  "a helper that appends lines": `def append_line(path, line):
    with open(path, "a") as f:  # <-
        f.write(line + "\\n")
append_line(LOG, json.dumps(rec))`,
  "a helper that is given the handle": `def emit(out, rec):
    out.write(json.dumps(rec) + "\\n")
with open(path, "a") as f:  # <-
    for r in recs:
        emit(f, r)`,
  "a handle kept in an object": `class Log:
    def __init__(self, path):
        self._fh = open(path, "a", buffering=1)  # <-
    def add(self, rec):
        self._fh.write(json.dumps(rec) + "\\n")
        self._fh.flush()`,
  "a handle with a declared type": `class Log:
    def start(self):
        self.fh: TextIO = open(self.path, "a")  # <-
    def add(self, rec):
        fh = self.fh
        fh.write(json.dumps(rec) + "\\n")`,
  "a handle opened on demand": `class Log:
    fh = None
    def handle(self):
        if self.fh is None:
            self.fh = open(self.path, "a")  # <-
        return self.fh
    def add(self, rec):
        self.handle().write(json.dumps(rec) + "\\n")`,
  "a handle of the module": `_log = None
def start(path):
    global _log
    _log = open(path, "a")  # <-
def add(rec):
    _log.write(json.dumps(rec) + "\\n")`,
  "handles in a dictionary": `handles = {}
for name in names:
    handles[name] = open(name, "a")  # <-
for rec in recs:
    handles[rec["name"]].write(json.dumps(rec) + "\\n")`,
  "a handle that a function returns": `def open_log(path):
    return open(path, "a")  # <-
with open_log(p) as f:
    f.write(json.dumps(rec) + "\\n")`,
  "a handle in an exit stack": `with ExitStack() as stack:
    f = stack.enter_context(open(path, "a"))  # <-
    f.write(json.dumps(rec) + "\\n")`,
  "several handles of one with": `with open(src) as a, open(path, "a") as b:  # <-
    for line in a:
        b.write(json.dumps(convert(line)) + "\\n")`,
  "several handles in parentheses": `with (
    open(src) as a,
    open(path, "a") as b,  # <-
):
    b.write(json.dumps(a.read()) + "\\n")`,
  "a file or the terminal": `out = open(path, "a") if path else sys.stdout  # <-
out.write(json.dumps(rec) + "\\n")`,
  "a lock around it": `with lock, open(path, "a") as f:  # <-
    fcntl.flock(f.fileno(), fcntl.LOCK_EX)
    f.write(json.dumps(rec) + "\\n")`,
  "a queue": `def worker():
    with open(path, "a") as f:  # <-
        while True:
            line = q.get()
            f.write(line + "\\n")
def log(rec):
    q.put(json.dumps(rec))`,
  "JSON in one branch, text in the other": `with open(path, "a") as f:  # <-
    if as_json:
        f.write(json.dumps(rec) + "\\n")
    else:
        f.write(f"{time} {message}\\n")`,
  "JSON written by hand": `with open(path, "a") as f:  # <-
    f.write('{"at": "%s", "event": "%s"}\\n' % (at, event))`,
  "JSON written by hand in a template": `with open(path, "a") as f:  # <-
    f.write(f'{{"at": "{at}", "data": {json.dumps(data)}}}\\n')`,
  "JSON over several lines": `with open("events.jsonl", "a") as f:  # <-
    f.write(json.dumps(rec, indent=2) + "\\n")`,
  "an unseen line to a file of records": `def put(line):
    with open("events.jsonl", "a") as f:  # <-
        f.write(line + "\\n")`,
  "a filler for what a shell puts in": `with open("________________", "a") as f:  # <-
    f.write(json.dumps({"id": "______", "n": 0}) + "\\n")`,
  "code that is moved to the right as a block": `    import json
    for r in recs:
        with open(path, "a") as f:  # <-
            f.write(json.dumps(r) + "\\n")
    print("done")`,
  "statements on one line": `import json; f = open("x", "a"); f.write(json.dumps({}) + "\\n"); f.close()  # <-`,
  "a line that the shell puts in": `with open("xxxxxx/events.jsonl", "a") as f:  # <-
    f.write('''xxxxxxxx''' + "\\n")`,
  "JSON with values that the shell puts in": `open("xxxxx", "a").write('{"id": "xxxxx", "n": xxxxxx}\\n')  # <-`,
  "a write in a thread": `async def log(rec):
    f = open(path, "a")  # <-
    await asyncio.to_thread(f.write, json.dumps(rec) + "\\n")`,
  "a write under another name": `f = open(path, "a")  # <-
put = f.write
for rec in recs:
    put(json.dumps(rec) + "\\n")`,
  "an encoding writer": `f = codecs.getwriter("utf-8")(open(path, "ab"))  # <-
f.write(json.dumps(rec) + "\\n")`,
  "a context manager of the file": `@contextmanager
def locked(path):
    with open(path, "a") as f:  # <-
        yield f
with locked(p) as out:
    out.write(json.dumps(rec) + "\\n")`,
  "a handle for a process": `def work(rank, out):
    out.write(json.dumps(rank) + "\\n")
out = open(path, "a")  # <-
Process(target=work, args=(1, out)).start()`,
  "a handle for a thread pool": `def work(rank, out):
    out.write(json.dumps(rank) + "\\n")
with open(path, "a") as out:  # <-
    pool.submit(work, 1, out)`,
  "a compressed stream in the file": `with open(path, "ab") as raw:  # <-
    with gzip.GzipFile(fileobj=raw, mode="wb") as f:
        f.write((json.dumps(rec) + "\\n").encode())`,
  "a seek to the end": `with open(path, "r+") as f:  # <-
    f.seek(0, os.SEEK_END)
    f.write(json.dumps(rec) + "\\n")`,
  "a file written again": `old = path.read_text() if path.exists() else ""
path.write_text(old + json.dumps(rec) + "\\n")  # <-`,
  "lines written again": `with open(path) as f:
    lines = f.readlines()
lines.append(json.dumps(rec) + "\\n")
with open(path, "w") as f:
    f.writelines(lines)  # <-`
}

const silent: Readonly<Record<string, string>> = {
  "writing anew": `with open(path, "w") as f:
    f.write(json.dumps(rec) + "\\n")`,
  Markdown: `with open("notes.md", "a") as f:
    f.write(f"## {title}\\n\\n{json.dumps(meta)}\\n")`,
  "a log line with JSON inside": `with open(path, "a") as f:
    f.write(f"[{now}] {json.dumps(rec)}\\n")`,
  "a log line put together": `with open(path, "a") as f:
    f.write(str(now) + " " + json.dumps(rec) + "\\n")`,
  "a log line built up": `line = f"{now}: "
line += json.dumps(rec)
with open(path, "a") as f:
    f.write(line + "\\n")`,
  "a heading before JSON": `with open(path, "a") as f:
    f.write("=== request ===\\n")
    f.write(json.dumps(rec, indent=2))
    f.write("\\n")`,
  "a text log that is also given JSON": `def log(message):
    with open(path, "a") as f:
        f.write(message + "\\n")
log("started")
log(json.dumps(rec))`,
  "plain text": `with open(path, "a") as f:
    f.write(f"{name}={value}\\n")`,
  "the text of an object": `with open("x.jsonl", "a") as f:
    f.write(str(rec) + "\\n")`,
  csv: `with open(path, "a", newline="") as f:
    csv.writer(f).writerow([json.dumps(x)])`,
  "a csv writer with a name": `with open(path, "a") as f:
    w = csv.DictWriter(f, fields)
    w.writerow(rec)`,
  pickle: `with open(path, "ab") as f:
    pickle.dump(rec, f)`,
  "pickle under another name": `import pickle as codec
with open(path, "ab") as f:
    f.write(codec.dumps(rec))`,
  yaml: `with open(path, "a") as f:
    yaml.dump(rec, f)`,
  "the output of a process": `with open(path, "a") as f:
    subprocess.Popen(cmd, stdout=f, stderr=f)`,
  "a logging framework": `logging.basicConfig(handlers=[logging.FileHandler(path, mode="a")])
logging.info(json.dumps(rec))`,
  "a stream of a logging framework": `handler = logging.StreamHandler(open(path, "a"))
log.addHandler(handler)
log.info(json.dumps(rec))`,
  "a zip member": `with zipfile.ZipFile(path, "a") as z:
    z.writestr("x.json", json.dumps(rec))`,
  "a member of an archive": `with tarfile.open(path, "a") as t:
    t.add("x.json")`,
  "touching a file": `open(path, "a").close()`,
  "touching a file in a with block": `with open("x.jsonl", "a"):
    pass`,
  "a write-permission probe": `with open("x.jsonl", "ab") as f:
    f.write(b"")`,
  "half a record on purpose": `with open("x.jsonl", "a") as f:
    f.write('{"seq": 3, "name": "tr')`,
  "a cut line on purpose": `line = json.dumps(rec)
with open("x.jsonl", "a") as f:
    f.write(line[:20])`,
  "bytes that are no record": `with open(log_jsonl, "ab") as f:
    f.write(b"\\x00\\x01garbage")`,
  "a list in JSON with commas": `with open(path, "a") as f:
    f.write(json.dumps(rec) + ",\\n")`,
  "JSON over several lines in prose": `with open("debug.log", "a") as f:
    f.write(json.dumps(rec, indent=2) + "\\n")`,
  "an unseen text": `def put(text):
    with open("notes.txt", "a") as f:
        f.write(text + "\\n")`,
  "code in a string": `script = """
with open(path, "a") as f:
    f.write(json.dumps(rec) + "\\\\n")
"""`,
  "another handle of the same name": `with open(path, "a") as f:
    f.write("# title\\n")
with open(other, "w") as f:
    json.dump(rec, f)`,
  "another function's handle": `def a():
    f = open(path, "a")
    f.write("hello\\n")
def b(f):
    f.write(json.dumps(rec) + "\\n")`,
  "records taken out of a file": `lines = [l for l in path.read_text().splitlines() if keep(l)]
path.write_text("\\n".join(lines) + "\\n")`,
  "a document that is changed": `data = json.loads(path.read_text())
data["n"] += 1
path.write_text(json.dumps(data) + "\\n")`,
  "another file written": `head = template.read_text()
target.write_text(head + json.dumps(rec) + "\\n")`,
  "a document that is emptied and written again": `with open(path, "a+") as f:
    f.seek(0)
    data = json.load(f)
    f.seek(0)
    f.truncate()
    json.dump(data, f)`,
  "reading and writing at the start": `with open(path, "r+") as f:
    f.seek(0)
    f.write(json.dumps(rec) + "\\n")`,
  "a data frame written anew": `df.to_json(path, orient="records", lines=True)`
}

describe("python reports", () => {
  it.each(Object.entries(findings))("%s", async (_, text) => {
    const sites = await reported(text)
    const marked = text.split("\n").findIndex((line) => line.includes("# <-")) + 1
    expect(sites.map(({ span }) => lineOf(text, span.start))).toEqual([marked])
  })
})

describe("python does not report", () => {
  it.each(Object.entries(silent))("%s", async (_, text) => {
    expect((await reported(text)).map(({ call, payload }) => ({ call, payload }))).toEqual([])
  })
})

describe("python reads", () => {
  it("nothing of a file that cannot append", () => {
    expect(python.mayAppend("import json\nprint(json.dumps({}))\nopen('x').read()\n")).toBe(false)
  })

  it("comments with their places and without their marks", async () => {
    const text = "x = 1  # first\n## second\n"
    const { comments } = await analyse(text)
    expect(comments.map((comment) => [comment.text, text.slice(comment.span.start, comment.span.end)]))
      .toEqual([["first", "# first"], ["second", "## second"]])
  })

  it("what is around a range it cannot parse", async () => {
    const text = `def broken(:::\n\nwith open(path, "a") as f:\n    f.write(json.dumps(rec) + "\\n")\n`
    const { sites, unparsed } = await analyse(text)
    expect(sites.map(({ payload }) => payload)).toEqual(["record"])
    expect(unparsed.length).toBeGreaterThan(0)
  })

  it("nesting deeper than the stack", async () => {
    const deep = `open(p, "a").write(${"(".repeat(20_000)}json.dumps(x)${")".repeat(20_000)})\n`
    const long = `open(p, "a").write(${Array.from({ length: 5_000 }, () => "json.dumps(x)").join(" + ")})\n`
    await expect(analyse(deep + long)).resolves.toBeDefined()
  })
})
