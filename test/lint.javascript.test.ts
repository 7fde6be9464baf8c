/**
 * What the JavaScript front-end says about small programs: which appends it reports, which it leaves alone, and the
 * facts of a site that rules judge. The programs are written for these tests.
 */
import { beforeAll, describe, expect, it } from "vitest"
import { typescript } from "../src/lint/languages/javascript.ts"
import type { Site } from "../src/lint/Site.ts"
import { analyse, loadParsers, type Options } from "./javascriptSupport.ts"

beforeAll(loadParsers)

const isReported = (site: Site): boolean =>
  site.migrated === undefined && (site.payload === "record" || site.payload === "multiLineRecord")

const reported = (text: string, options?: Options): ReadonlyArray<Site> =>
  analyse(text, options).sites.filter(isReported)

const only = (text: string, options?: Options): Site => {
  const sites = reported(text, options)
  expect(sites.length, `sites in ${text}`).toBe(1)
  return sites[0] as Site
}

const lineOf = (text: string, site: Site): string =>
  text.slice(0, site.span.start).split("\n").at(-1) +
  (text.slice(site.span.start).split("\n")[0] ?? "")

/** Each program holds one append of records; it stands on the line with the mark. */
const findings: Readonly<Record<string, string>> = {
  "a namespace import": `import * as fs from "node:fs"
fs.appendFileSync(path, JSON.stringify(entry) + "\\n") // <-`,
  "a named import": `import { appendFileSync } from "fs"
appendFileSync(path, JSON.stringify(entry) + "\\n") // <-`,
  "an aliased import": `import { appendFile as put } from "node:fs/promises"
await put(path, \`\${JSON.stringify(entry)}\\n\`) // <-`,
  "a default import of a look-alike": `import fse from "fs-extra"
await fse.appendFile(path, JSON.stringify(entry) + "\\n") // <-`,
  "a required module": `const fs = require("graceful-fs")
fs.appendFile(path, JSON.stringify(entry) + "\\n", () => {}) // <-`,
  "a destructured and renamed require": `const { appendFileSync: put } = require("node:fs")
put(path, JSON.stringify(entry) + "\\n") // <-`,
  "a dynamic import": `const fs = await import("node:fs")
fs.promises.appendFile(path, JSON.stringify(entry) + "\\n") // <-`,
  "a call straight on a required module": `require("fs").promises.appendFile(path, JSON.stringify(e) + "\\n") // <-`,
  "a promisified function": `const put = promisify(fs.appendFile)
await put(path, JSON.stringify(entry) + "\\n") // <-`,
  "a bundler's call": `(0, import_fs.appendFileSync)(path, JSON.stringify(entry) + "\\n") // <-`,
  "an injected file system": `export const make = (deps) => ({
  log: async (entry) => {
    await deps.fs.appendFile(deps.path, JSON.stringify(entry) + "\\n") // <-
  }
})`,
  "an imported helper": `import { appendFileSafely } from "./files.ts"
appendFileSafely(path, \`\${JSON.stringify(entry)}\\n\`, 0o600) // <-`,
  "an imported helper that adds the newline": `import { appendLine } from "./files.ts"
appendLine(path, JSON.stringify(entry)) // <-`,
  "writeFile with a flag":
    `await writeFile(path, JSON.stringify(entry) + "\\n", { encoding: "utf8", flag: "a" }) // <-`,
  "writeFile with a flag in a variable": `const options = { flag: "a+" }
fs.writeFileSync(path, JSON.stringify(entry) + "\\n", options) // <-`,
  "Deno's append option": `await Deno.writeTextFile(path, JSON.stringify(entry) + "\\n", { append: true }) // <-`,
  "Deno's open": `const file = await Deno.open(path, { append: true, create: true }) // <-
await file.write(new TextEncoder().encode(JSON.stringify(entry) + "\\n"))
file.close()`,
  "Bun's writer": `const sink = Bun.file("events.jsonl").writer() // <-
sink.write(JSON.stringify(entry) + "\\n")
sink.flush()`,
  "Effect's writeFileString": `const save = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  yield* fs.writeFileString(path, JSON.stringify(entry) + "\\n", { flag: "a" }) // <-
})`,
  "Effect's open": `const save = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const file = yield* fs.open(path, { flag: "a" }) // <-
  yield* file.writeAll(encoder.encode(JSON.stringify(entry) + "\\n"))
})`,
  "Effect's open in a pipe": `const save = fs.open(path, { flag: "a" }).pipe( // <-
  Effect.flatMap((file) => file.writeAll(encoder.encode(JSON.stringify(entry) + "\\n")))
)`,
  "Effect's sink": `const save = events.pipe(
  Stream.pipeThroughChannel(Ndjson.encodeString()),
  Stream.run(fs.sink(path, { flag: "a" })) // <-
)`,
  "Effect's file logger of JSON": `const LoggerLive = Logger.layer([
  Logger.formatJson.pipe(Logger.toFile("app.log")) // <-
])`,
  "a stream": `const out = fs.createWriteStream(path, { flags: "a" }) // <-
out.write(JSON.stringify(entry) + "\\n")`,
  "a stream in a private field": `class Log {
  #out = fs.createWriteStream(this.path, { flags: "a" }) // <-
  write(entry) { this.#out.write(JSON.stringify(entry) + "\\n") }
}`,
  "a stream that a method opens and returns": `class Log {
  open() {
    this.out ??= fs.createWriteStream(this.path, { flags: "a" }) // <-
    return this.out
  }
  write(entry) {
    const out = this.open()
    out.write(\`\${JSON.stringify(entry)}\\r\\n\`)
  }
}`,
  "a stream in a map": `const streams = new Map()
function streamOf(name) {
  if (!streams.has(name)) streams.set(name, fs.createWriteStream(name, { flags: "a" })) // <-
  return streams.get(name)
}
const log = (name, entry) => streamOf(name).write(JSON.stringify(entry) + "\\n")`,
  "a descriptor": `const fd = fs.openSync(path, "a", 0o600) // <-
try {
  fs.writeSync(fd, JSON.stringify(entry) + "\\n")
} finally {
  fs.closeSync(fd)
}`,
  "a descriptor with open flags": `const line = Buffer.from(JSON.stringify(entry) + "\\n")
const fd = openSync( // <-
  path,
  constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT
)
writeSync(fd, line, 0, line.length)`,
  "a descriptor in a callback": `fs.open(path, "a", (error, fd) => { // <-
  fs.write(fd, JSON.stringify(entry) + "\\n", () => fs.close(fd))
})`,
  "a descriptor that comes from elsewhere": `export const log = (fd, entry) => {
  fs.appendFile(fd, JSON.stringify(entry) + "\\n", () => {}) // <-
}`,
  "a file handle that comes from elsewhere": `export const log = (handle: FileHandle, entry: Entry) =>
  handle.appendFile(JSON.stringify(entry) + "\\n") // <-`,
  "a file handle in then":
    `fs.promises.open(path, "a").then((handle) => handle.appendFile(JSON.stringify(entry) + "\\n")) // <-`,
  "a line built earlier": `const line = JSON.stringify({ at: Date.now() }) + "\\n"
try { mkdirSync(dir); appendFileSync(path, line) } catch {} // <-`,
  "a line cleaned on the way": `const line = JSON.stringify(entry).replace(/\\u2028/g, "\\\\u2028")
await appendFile(path, line.concat("\\n")) // <-`,
  "a line end by its name": `fs.appendFileSync(path, \`\${JSON.stringify(entry)}\${os.EOL}\`) // <-`,
  "a newline in front": `fs.appendFileSync(path, "\\n" + JSON.stringify(entry)) // <-`,
  "a separator for files without a last newline": `const lead = needsNewline(path) ? "\\n" : ""
fs.appendFileSync(path, lead + JSON.stringify(entry) + "\\n") // <-`,
  "a batch": `appendFileSync(path, events.map((event) => JSON.stringify(event)).join("\\n") + "\\n") // <-`,
  "a batch by the encoder's name": `appendFileSync(path, events.map(JSON.stringify).join("\\n") + "\\n") // <-`,
  "a batch of whole lines":
    `appendFileSync(path, events.map((event) => \`\${JSON.stringify(event)}\\n\`).join("")) // <-`,
  "a list of lines": `const lines = []
for (const event of events) lines.push(JSON.stringify(event))
await appendFile(path, \`\${lines.join("\\n")}\\n\`) // <-`,
  "a text that grows": `let out = ""
for (const event of events) out += JSON.stringify(event) + "\\n"
appendFileSync(path, out) // <-`,
  "a buffer of the object": `class Log {
  private buffer: string[] = []
  log(entry) { this.buffer.push(JSON.stringify(entry)) }
  async flush() {
    const lines = this.buffer
    await appendFile(this.path, lines.join("\\n") + "\\n") // <-
  }
}`,
  "a safe encoder": `import stringify from "safe-stable-stringify"
appendFileSync(path, stringify(entry) + "\\n") // <-`,
  superjson: `appendFileSync(path, superjson.stringify(entry) + "\\n") // <-`,
  "an encoder of the file": `function encode(entry) { return JSON.stringify({ ...entry, pid: process.pid }) }
appendFileSync(path, encode(entry) + "\\n") // <-`,
  "an encoder of Effect": `const encode = Schema.encodeSync(Schema.fromJsonString(Event))
appendFileSync(path, encodeJson(event) + "\\n") // <-`,
  "JSON put together by hand": `appendFileSync(path, \`{"at":"\${now}","n":\${n}}\\n\`) // <-`,
  "a whole literal record": `appendFileSync(path, '{"type":"start"}\\n') // <-`,
  "unknown lines in a file that says .jsonl": `const target = join(dir, "events.jsonl")
appendFileSync(target, line + "\\n") // <-`,
  "Bun's rewrite": `const log = Bun.file(path)
await Bun.write(path, (await Bun.file(path).text()) + JSON.stringify(entry) + "\\n") // <-`,
  "lines read, one more pushed, all written": `const lines = fs.readFileSync(path, "utf8").trim().split("\\n")
lines.push(JSON.stringify(entry))
fs.writeFileSync(path, lines.join("\\n") + "\\n") // <-`,
  "a stream of a file handle": `const handle = await open(path, "a") // <-
const out = handle.createWriteStream()
out.write(JSON.stringify(entry) + "\\n")`,
  "a writer of a web stream": `const file = await Deno.open(path, { append: true }) // <-
const writer = file.writable.getWriter()
await writer.write(encoder.encode(JSON.stringify(entry) + "\\n"))`,
  "a handle given to a constructor": `class Log {
  constructor(private readonly handle: FileHandle) {}
  static async open(path: string) {
    const handle = await fsp.open(path, "a") // <-
    return new Log(handle)
  }
  put(entry: Entry) { return this.handle.write(JSON.stringify(entry) + "\\n") }
}`,
  "a reduced batch": `const text = events.reduce((all, event) => all + JSON.stringify(event) + "\\n", "")
appendFileSync(path, text) // <-`,
  "a stringifier in a pipe": `const stringifier = ndjson.stringify()
stringifier.pipe(fs.createWriteStream(path, { flags: "a" })) // <-
stringifier.write(entry)`,
  "a call that encodes": `await fse.writeJson(path, entry, { flag: "a" }) // <-`,
  "a call of jsonfile": `jsonfile.writeFileSync(path, entry, { flag: "a" }) // <-`,
  "unknown lines of a class for records": `class JsonlWriter {
  write(line: string) { appendFileSync(this.path, line + "\\n") } // <-
}`,
  "a helper of the file for one log": `const path = "audit.log"
const put = (line) => fs.appendFileSync(path, line + "\\n") // <-
put(JSON.stringify(entry))`,
  "a helper of the file for any log": `function put(path: string, line: string): void {
  fs.appendFileSync(path, line + "\\n")
}
put("audit.log", JSON.stringify(entry)) // <-`,
  "a helper of the file that writes to a descriptor": `const fd = fs.openSync("audit.log", "a") // <-
function put(file: number, entry: object) { fs.writeSync(file, JSON.stringify(entry) + "\\n") }
put(fd, { a: 1 })`
}

/** None of these programs appends records by hand. */
const accepted: Readonly<Record<string, string>> = {
  prose: `fs.appendFileSync("notes.md", \`## \${title}\\n\\n\${body}\\n\`)`,
  CSV: `fs.appendFileSync("rows.csv", [id, JSON.stringify(name)].join(",") + "\\n")`,
  "a text log": `fs.appendFileSync("app.log", \`[\${new Date().toISOString()}] \${message}\\n\`)`,
  "JSON inside the line of a text log": `fs.appendFileSync("app.log", \`\${level}: \${JSON.stringify(details)}\\n\`)`,
  "JSON among lines of text": `fs.appendFileSync("app.log", ["request", JSON.stringify(body), ""].join("\\n"))`,
  "a server-sent event": `out.append("x", \`data: \${JSON.stringify(event)}\\n\\n\`)`,
  "pretty JSON in a text log": `fs.appendFileSync("debug.log", JSON.stringify(payload, null, 2) + "\\n\\n")`,
  "another format": `fs.appendFileSync("all.yaml", YAML.stringify(entry) + "\\n")`,
  "the text of an object's own format": `Log.stringify = (entry) => entry.at + " " + entry.text
fs.appendFileSync(path, "\\n" + entries.map(Log.stringify).join("\\n"))`,
  "a JSON array in pieces": `const out = fs.createWriteStream(path, { flags: "a" })
out.write("[")
for (const row of rows) out.write(JSON.stringify(row) + ",\\n")
out.end("]")`,
  "a torn record on purpose": `fs.appendFileSync("events.jsonl", '{"type":"sta')`,
  "a bad line on purpose": `fs.appendFileSync("events.jsonl", "not json\\n")`,
  "a whole record without its newline on purpose": `fs.appendFileSync("events.jsonl", '{"type":"start"}')`,
  "a file that is made": `fs.appendFileSync("events.jsonl", "")
fs.closeSync(fs.openSync("other.jsonl", "a"))`,
  "a child's output": `const fd = fs.openSync("server.log", "a")
spawn("server", [], { stdio: ["ignore", fd, fd] })
fs.closeSync(fd)`,
  "a logging framework": `app.use(morgan("combined", { stream: fs.createWriteStream("access.log", { flags: "a" }) }))`,
  "a file logger of text": `const layer = Logger.layer([Logger.toFile(Logger.formatLogFmt, "app.log")])`,
  "another format read from records": `function jsonlToCsv(file, rows) {
  for (const row of rows) fs.appendFileSync(file, row + "\\n")
}`,
  "an array read, grown and written": `const all = JSON.parse(fs.readFileSync(path, "utf8"))
all.push(entry)
fs.writeFileSync(path, JSON.stringify(all) + "\\n")`,
  "lines read, some dropped, the rest written":
    `const lines = fs.readFileSync(path, "utf8").split("\\n").filter((line) => JSON.parse(line).open)
fs.writeFileSync(path, lines.join("\\n") + "\\n")`,
  "a truncating write": `fs.writeFileSync("events.jsonl", events.map((e) => JSON.stringify(e)).join("\\n") + "\\n")`,
  "a truncating stream": `const out = fs.createWriteStream("events.jsonl")
out.write(JSON.stringify(entry) + "\\n")`,
  "a form": `form.append("data", JSON.stringify(entry))
params.append("q", JSON.stringify(entry) + "\\n")`,
  "an output channel": `channel.append(JSON.stringify(entry) + "\\n")`,
  "a zip member": `archive.append(JSON.stringify(entry) + "\\n", { name: "events.jsonl" })`,
  "a mock": `vi.mock("node:fs", () => ({ appendFile: vi.fn() }))
expect(fs.appendFile).toHaveBeenCalledWith(path, JSON.stringify(entry) + "\\n")`,
  "code in a string": `write("hook.js", 'fs.appendFileSync(p, JSON.stringify(x) + "\\\\n")')`,
  "a window": `window.open("events.jsonl", "a")`,
  "a list that is called a": `const words = ["a", "an"]; open("the", words)`,
  "a helper that gets text": `function put(path, line) { fs.appendFileSync(path, line + "\\n") }
put("notes.txt", \`hello \${name}\`)`,
  "a helper of another file that gets text": `import { appendFile } from "./files.js"
appendFile(path, "# Title\\n")`,
  "a file of one or the other": `const line = config.json ? JSON.stringify(entry) : entry.level + ": " + entry.text
fs.appendFileSync(path, line + "\\n")`
}

describe("appends of records", () => {
  for (const [name, text] of Object.entries(findings)) {
    it(`are reported: ${name}`, () => {
      expect(lineOf(text, only(text))).toContain("// <-")
      expect(typescript.mayAppend(text)).toBe(true)
    })
  }
})

describe("other code", () => {
  for (const [name, text] of Object.entries(accepted)) {
    it(`is left alone: ${name}`, () => {
      expect(reported(text).map((site) => lineOf(text, site))).toEqual([])
    })
  }
})
