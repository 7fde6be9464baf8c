/**
 * `auditlog append` from outside: exit codes, stdout, stderr, the bytes on disk, and what other programs read in them.
 */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe, expect, it } from "vitest"
import {
  auditlog,
  bash,
  because,
  bin,
  cannotMount,
  directory,
  ended,
  environment,
  lines,
  newLog,
  noTerminal,
  onTerminal,
  peakBytes,
  smallFileSystem,
  stackTrace,
  start
} from "./cliSupport.ts"
import { canTrace, plainLines, run } from "./support.ts"

const read = (path: string): string => Fs.readFileSync(path, "utf8")
const recordsIn = (path: string) => plainLines(read(path)).map(({ record }) => record)

const numbered = (count: number, from = 0): string =>
  Array.from({ length: count }, (_, i) => `{"n":${from + i}}\n`).join("")

/** Starts `auditlog …` in a directory that has been removed since the shell went there. */
const inGoneDirectory = (words: string) =>
  bash(`mkdir "$HERE/gone" && cd "$HERE/gone" && rmdir "$HERE/gone" && $AUDITLOG ${words}`, {
    env: { HERE: Path.dirname(newLog()) }
  })

describe("a working directory that is gone", () => {
  const refusal = "auditlog: x.jsonl cannot hold an audit log: the working directory is gone; change to one that " +
    "exists, or give the whole path of the file. Nothing was written"

  it.each([
    ["append", "append x.jsonl --json '{}'", refusal],
    ["append, its flags written in the other way", "append x.jsonl --json='{}'", refusal],
    ["exec", "exec x.jsonl -- touch started", `${refusal}; the command was not started`],
    ["lint", "lint", "auditlog: the working directory is gone; change to one that exists"],
    ["status", "status x.jsonl", "auditlog: the working directory is gone; change to one that exists"]
  ])("ends %s with 2 and one line", async (_, words, line) => {
    expect(await inGoneDirectory(words)).toEqual({ code: 2, signal: null, stdout: "", stderr: `${line}\n` })
  })

  it("does not matter to an append that names the whole path", async () => {
    const log = newLog()
    expect(await inGoneDirectory(`append ${log} --json '{"n":1}'`)).toMatchObject({ code: 0, stderr: "" })
    expect(recordsIn(log)).toEqual([{ n: 1 }])
  })

  it("inside auditlog exec appends nothing, and says so", async () => {
    const log = newLog()
    const { code, stderr } = await bash(
      `cd "$HERE" && mkdir gone && $AUDITLOG exec log -- bash -c 'cd gone && rmdir ../gone && $AUDITLOG append x.jsonl --json {}'`,
      { env: { HERE: Path.dirname(log) } }
    )
    expect([code, stderr]).toEqual([2, `${refusal}\n`])
  })
})

describe("auditlog append", () => {
  it("appends each line of stdin, prints nothing, and leaves a file that jq and Python read", async () => {
    const log = newLog()
    const input = `{"_tag":"RoleGranted","actor":"ada"}\n{"n":2,"text":"ünï\\u2028"}\n{}\n`
    expect(await auditlog(["append", log], { input })).toEqual({ code: 0, signal: null, stdout: "", stderr: "" })
    expect(recordsIn(log)).toEqual([{ _tag: "RoleGranted", actor: "ada" }, { n: 2, text: "ünï\u2028" }, {}])
    expect(Fs.statSync(log).mode & 0o777).toBe(0o600)

    const jq = await run("jq", ["-c", "[._audit.seq, .actor]", log])
    expect(jq).toMatchObject({ code: 0, stdout: `[0,"ada"]\n[1,null]\n[2,null]\n` })
    const python = await run("python3", [
      "-c",
      "import sys,json; print([json.loads(l).get('n') for l in open(sys.argv[1], encoding='utf8')])",
      log
    ])
    expect(python).toMatchObject({ code: 0, stdout: "[None, 2, None]\n" })
    const cat = await auditlog(["cat", log])
    expect(cat).toMatchObject({ code: 0, stdout: read(log), stderr: "" })
  })

  it("takes a last line without newline, CRLF, a byte order mark and blank lines", async () => {
    const log = newLog()
    const input = `\ufeff{"n":1}\r\n\n   \r\n\t\n{"n":2}\r\n{"n":3}`
    expect(await auditlog(["append", log], { input })).toMatchObject({ code: 0, stderr: "" })
    expect(recordsIn(log)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  })

  it("splits at newlines only, not at U+2028 or other line ends of JavaScript", async () => {
    const log = newLog()
    const input = `{"a":"x\u2028y\u2029z\u0085"}\n`
    expect(await auditlog(["append", log], { input })).toMatchObject({ code: 0, stderr: "" })
    expect(recordsIn(log)).toEqual([{ a: "x\u2028y\u2029z\u0085" }])
    expect(read(log)).toContain(`"x\\u2028y\\u2029z\\u0085"`)
  })

  it("takes records as arguments, and then does not wait for stdin", async () => {
    const log = newLog()
    const child = start(["append", log, "--json", `{"n":1}`, "--json", `{\n  "n": 2\n}`])
    expect(await ended(child)).toBe(0)
    expect(recordsIn(log)).toEqual([{ n: 1 }, { n: 2 }])
    expect(read(log).split("\n")).toHaveLength(3)
  })

  it("prints a receipt for each record that is in the file", async () => {
    const log = newLog()
    const { code, stderr, stdout } = await auditlog(["append", log, "--receipts"], { input: numbered(3) })
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    const expected = plainLines(read(log)).map(({ hash, line, stamp }) => ({
      id: `${String(stamp["writer"])}:${String(stamp["seq"])}`,
      writer: stamp["writer"],
      seq: stamp["seq"],
      bytes: Buffer.byteLength(line) + 1,
      hash,
      durability: "synced",
      oversize: false
    }))
    expect(expected).toHaveLength(3)
    expect(stdout).toBe(expected.map((receipt) => `${JSON.stringify(receipt)}\n`).join(""))
  })

  it("appends lines as they arrive, while the producer still runs", async () => {
    const log = newLog()
    const child = start(["append", log, "--receipts"])
    for (const n of [1, 2, 3]) {
      const receipt = lines(child.stdout, 1)
      child.stdin.write(`{"n":${n}}\n{"unfin`)
      expect(JSON.parse((await receipt)[0]!)).toMatchObject({ seq: 2 * n - 2 })
      expect(recordsIn(log).at(-1)).toEqual({ n })
      const next = lines(child.stdout, 1)
      child.stdin.write(`ished":${n}}\n`)
      await next
      expect(recordsIn(log).at(-1)).toEqual({ unfinished: n })
    }
    child.stdin.end()
    expect(await ended(child)).toBe(0)
  })

  it("creates the file also when there is nothing to append, so that a wrong path shows", async () => {
    const log = newLog()
    expect(await auditlog(["append", log])).toMatchObject({ code: 0, stdout: "", stderr: "" })
    expect(Fs.statSync(log)).toMatchObject({ size: 0 })
    const inNoDirectory = Path.join(directory(), "no", "a.jsonl")
    expect(await auditlog(["append", inNoDirectory])).toMatchObject({ code: 2 })
  })

  it("never holds all of its input", async () => {
    const log = newLog()
    const child = start(["append", log, "--size-policy", "allow", "--sync", "never", "--receipts"])
    const block = Buffer.from(
      Array.from({ length: 10 }, (_, i) => `{"i":${i},"x":"${"x".repeat(100_000)}"}\n`).join("")
    )
    const megabytes = 300
    let receipts = 0
    const all = new Promise<void>((resolve) => {
      child.stdout.on("data", (chunk: Buffer) => {
        receipts += chunk.toString("latin1").split("\n").length - 1
        if (receipts === megabytes * 10) resolve()
      })
    })
    for (let i = 0; i < megabytes; i++) {
      if (!child.stdin.write(block)) await new Promise((resolve) => child.stdin.once("drain", resolve))
    }
    await all
    const peak = peakBytes(child.pid!)
    child.stdin.end()
    expect(await ended(child)).toBe(0)
    expect(peak).toBeLessThan(250 * 1024 * 1024)
    expect(Fs.statSync(log).size).toBeGreaterThan(megabytes * 1_000_000)
  })

  it.skipIf(because(canTrace()))("appends a block of lines with one write and one flush, in order", async () => {
    const log = newLog()
    const trace = `${log}.trace`
    const ready = Path.join(Path.dirname(log), "input")
    Fs.writeFileSync(ready, numbered(2000))
    const strace = ["-f", "-qq", "-e", "trace=write,fdatasync", "-P", log, "-o", trace]
    const { code } = await run("strace", [...strace, process.execPath, bin, "append", log], {
      env: environment(),
      input: Fs.readFileSync(ready)
    })
    expect(code).toBe(0)
    expect(recordsIn(log)).toEqual(Array.from({ length: 2000 }, (_, n) => ({ n })))
    const calls = read(trace).split("\n").map((line) => /(write|fdatasync)\(/.exec(line)?.[1]).filter(Boolean)
    // 20 KB of input arrive in one or a few blocks of up to 64 KiB
    expect(calls.length).toBeGreaterThanOrEqual(2)
    expect(calls.length).toBeLessThanOrEqual(10)
    expect(calls.filter((call) => call === "write")).toHaveLength(calls.length / 2)
  })
})

describe("a line that is no record", () => {
  const deep = (levels: number): string => `{"a":`.repeat(levels) + "1" + "}".repeat(levels)

  const cases: ReadonlyArray<readonly [name: string, line: string | Uint8Array, where: string, problem: string]> = [
    ["has no end", `{"a":1`, ", column 7", `it ends where "," or "}" should follow`],
    ["has a key without quotes", `{a:1}`, ", column 2", `expected a key in double quotes or "}", found "a"`],
    ["lacks a value", `{"a":}`, ", column 6", `expected a value, found "}"`],
    ["lacks a colon", `{"a" 1}`, ", column 6", `expected ":", found "1"`],
    ["has a comma too many", `{"a":[1,]}`, ", column 9", `expected a value, found "]"`],
    ["has a word that is not JSON", `{"a":NaN}`, ", column 6", `expected a value, found "N"`],
    ["has a number with a leading zero", `{"a":01}`, ", column 7", `expected "," or "}", found "1"`],
    ["has an open string", `{"a":"b}`, ", column 6", "this string has no end"],
    [
      "has a raw control character",
      `{"a":"\u001b[31m"}`,
      ", column 7",
      "the control character \\u001b must be escaped"
    ],
    ["has a wrong escape", `{"a":"\\x41"}`, ", column 7", "a backslash begins no escape that JSON knows"],
    ["is prose", `hello`, ", column 1", `expected a JSON object, found "h"`],
    ["is an array", `  [1,2]`, ", column 3", "a record is a JSON object, and this is an array"],
    ["is a number", `12`, ", column 1", "a record is a JSON object, and this is a number"],
    ["is a string", `"x"`, ", column 1", "a record is a JSON object, and this is a string"],
    ["is null", `null`, ", column 1", "a record is a JSON object, and this is null"],
    ["holds two objects", `{"a":1} {"b":2}`, ", column 9", "a second object begins here; one object a line"],
    ["goes on after the object", `{"a":1};`, ", column 8", `expected the end of the line, found ";"`],
    ["has a key twice", `{"a":1,"b":2,"a":3}`, ", column 14", `the key "a" stands here for the second time`],
    [
      "has a key twice, once escaped",
      `{"a":1,"\\u0061":3}`,
      ", column 8",
      `the key "a" stands here for the second time`
    ],
    ["has a key twice, deep inside", `{"x":[{"k":1,"k":1}]}`, ", column 14", `the key "k" stands here for the second`],
    [
      "uses the stamp's key",
      `{"a":1,"_audit":{}}`,
      ", column 8",
      `the key "_audit" is reserved for the log's own stamp`
    ],
    ["uses the hash's key", `{"_hash":1}`, ", column 2", `the key "_hash" is reserved for the log's own hash`],
    ["is nested too deeply", deep(65), ", column 321", "nested deeper than 64 levels"],
    ["is nested so deeply that a parser overflows", deep(200_000), ", column 321", "nested deeper than 64 levels"],
    ["is not UTF-8", Buffer.from(`{"ü":"\xff"}`, "latin1"), ", column 3", "this is not UTF-8"],
    [
      "ends inside a character",
      Buffer.from([...Buffer.from(`{"é":"é`), 0xe2, 0x82]),
      ", column 8",
      "this is not UTF-8"
    ],
    ["is longer than the hard limit", `{"a":"${"x".repeat(1 << 20)}"}`, "", "and the limit is 1048576; shorten it"],
    ["is longer than any record can be", `{"a":"${"x".repeat(9 << 20)}"}`, "", "more than any record may have"]
  ]

  it.each(cases)("%s: says where and what, and the lines before it have landed", async (_, line, where, problem) => {
    const log = newLog()
    const input = Buffer.concat([
      Buffer.from(`{"n":1}\n\n{"n":2}\n`),
      Buffer.from(line),
      Buffer.from(`\n{"n":3}\n`)
    ])
    const { code, stderr, stdout } = await auditlog(["append", log], { input })
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" })
    expect(stderr.split("\n")[0]).toContain(`auditlog: line 4${where}: ${where === "" ? "the " : problem}`)
    expect(stderr.split("\n")[0]).toContain(problem)
    expect(stderr).toContain(`2 records before it are in ${log}; it and what follows are not\n`)
    expect(stderr).not.toMatch(stackTrace)
    // oxlint-disable-next-line no-control-regex -- nothing that a terminal acts on
    expect(stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
    expect(recordsIn(log)).toEqual([{ n: 1 }, { n: 2 }])
  })

  it.each([
    ["is cut off", `{"a":1`],
    ["has a key twice", `{"a":1,"a":1}`],
    ["is too large", `{"a":"${"x".repeat(1 << 20)}"}`]
  ])("%s: nothing of a transaction lands", async (_, line) => {
    const log = newLog()
    const input = `{"n":1}\n{"n":2}\n${line}\n{"n":3}\n`
    const { code, stderr, stdout } = await auditlog(["append", log, "--transaction"], { input })
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" })
    expect(stderr).toMatch(/^auditlog: line 3[,:] /)
    expect(stderr).toContain("\nNothing was appended: the records are one transaction\n")
    expect(Fs.statSync(log).size).toBe(0)
  })

  it("is shown escaped, with a mark below the fault", async () => {
    const { stderr } = await auditlog(["append", newLog()], { input: `{"a":"\u202e\u009b31m" "b":"😀"}\n` })
    expect(stderr).toBe(
      `auditlog: line 1, column 14: expected "," or "}", found "\\""\n` +
        `  {"a":"\\u202e\\u009b31m" "b":"😀"}\n` +
        `                         ^\n` +
        `Nothing was appended\n`
    )
  })

  it("counts columns in characters and not in bytes or UTF-16 units", async () => {
    const { stderr } = await auditlog(["append", newLog()], { input: `{"é":"😀😀"x}\n` })
    expect(stderr).toContain("line 1, column 10: expected")
  })

  it("is shown around a fault that is far to the right", async () => {
    const input = `{"first":"${"x".repeat(500)}","a":y,"z":"${"z".repeat(500)}"}\n`
    const { stderr } = await auditlog(["append", newLog()], { input })
    const [title, excerpt, mark] = stderr.split("\n")
    expect(title).toBe(`auditlog: line 1, column ${input.indexOf("y") + 1}: expected a value, found "y"`)
    expect(excerpt!.startsWith(`  {"first":"xxxxxx … `)).toBe(true)
    expect(excerpt!.length).toBeLessThanOrEqual(80)
    expect(excerpt![mark!.indexOf("^")]).toBe("y")
  })

  it("counts the records before it across many blocks of input", async () => {
    const log = newLog()
    const { code, stderr } = await auditlog(["append", log, "--sync", "never"], {
      input: `${numbered(30_000)}oops\n${numbered(10)}`
    })
    expect(code).toBe(2)
    expect(stderr).toContain("line 30001, column 1: expected a JSON object")
    expect(stderr).toContain(`30000 records before it are in ${log}`)
    expect(recordsIn(log)).toEqual(Array.from({ length: 30_000 }, (_, n) => ({ n })))
  })

  it("names the argument that it came from", async () => {
    const log = newLog()
    const one = await auditlog(["append", log, "--json", "{"])
    expect(one).toMatchObject({ code: 2 })
    expect(one.stderr).toContain("auditlog: --json, column 2: it ends where")
    const second = await auditlog(["append", log, "--json", "{}", "--json", "[]", "--json", "{}"])
    expect(second.stderr).toContain("auditlog: --json number 2, column 1: a record is a JSON object")
    expect(second.stderr).toContain(`1 record before it is in ${log}`)
    expect(recordsIn(log)).toEqual([{}])
  })
})

describe("the bytes of a record", () => {
  it("keep the digits of every number as they were given", async () => {
    const log = newLog()
    const numbers = [
      "12345678901234567890",
      "1.0",
      "1e400",
      "-0",
      "1E5",
      "0.1000",
      "1e-7",
      "3.141592653589793238462643"
    ]
    const input = numbers.map((number) => `{"n":${number},"in":[{"n": ${number}}]}\n`).join("")
    expect(await auditlog(["append", log], { input })).toMatchObject({ code: 0, stderr: "" })
    const written = read(log).split("\n").slice(0, -1)
    expect(written).toHaveLength(numbers.length)
    for (const [i, number] of numbers.entries()) {
      expect(written[i]).toContain(`,"n":${number},"in":[{"n":${number}}],"_hash"`)
    }
    const python = await run("python3", [
      "-c",
      "import sys,json; print(json.loads(open(sys.argv[1]).readline())['n'])",
      log
    ])
    expect(python.stdout).toBe("12345678901234567890\n")
    expect(await auditlog(["cat", log])).toMatchObject({ code: 0, stderr: "", stdout: read(log) })
  })

  it("keep keys such as __proto__, reserved keys below the top, and 64 levels", async () => {
    const log = newLog()
    const deepest = `{"a":`.repeat(63) + "{}" + "}".repeat(63)
    const records = [`{"__proto__":{"x":1}}`, `{"in":{"_audit":1,"_hash":2}}`, `{"constructor":1,"toJSON":2}`, deepest]
    const input = records.map((record) => `${record}\n`).join("")
    expect(await auditlog(["append", log], { input })).toMatchObject({ code: 0, stderr: "" })
    for (const [i, line] of read(log).split("\n").slice(0, -1).entries()) {
      expect(line).toContain(`},${records[i]!.slice(1, -1)},"_hash"`)
    }
  })
})

describe("--transaction", () => {
  it("lands all lines at once, as one transaction", async () => {
    const log = newLog()
    const { code, stderr, stdout } = await auditlog(["append", log, "--transaction", "--receipts"], {
      input: numbered(500)
    })
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(stdout.trimEnd().split("\n")).toHaveLength(500)
    const stamps = plainLines(read(log)).map(({ stamp }) => stamp.tx!)
    expect(new Set(stamps.map(({ id }) => id)).size).toBe(1)
    expect(stamps.map(({ i, n }) => `${i}/${n}`)).toEqual(Array.from({ length: 500 }, (_, i) => `${i}/500`))
  })

  it("writes nothing before its input has ended, and nothing if it is interrupted", async () => {
    const log = newLog()
    const child = start(["append", log, "--transaction"])
    const stderr = lines(child.stderr, 1)
    child.stdin.write(numbered(100))
    while (!Fs.existsSync(log)) await new Promise((resolve) => setTimeout(resolve, 20))
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(Fs.statSync(log).size).toBe(0)
    child.kill("SIGINT")
    expect(await stderr).toEqual(["auditlog: interrupted; nothing was appended"])
    expect(await ended(child)).toBe(130)
    expect(Fs.statSync(log).size).toBe(0)
  })

  it("is refused when it is larger than one write may be", async () => {
    const log = newLog()
    const { code, stderr } = await auditlog(["append", log, "--transaction"], { input: numbered(100_001) })
    expect(code).toBe(2)
    expect(stderr).toMatch(/^auditlog: line \d+: the transaction has \d+ records of \d+ bytes; the limits are /)
    expect(stderr.trimEnd().split("\n")).toHaveLength(1)
    expect(Fs.statSync(log).size).toBe(0)
  })
})

describe("options", () => {
  const long = `{"_tag":"Long","x":"${"x".repeat(4000)}"}\n`

  it("warn about a long record on stderr, and write it", async () => {
    const log = newLog()
    const { code, stderr, stdout } = await auditlog(["append", log, "--receipts"], { input: `{}\n${long}` })
    expect(code).toBe(0)
    expect(stderr).toMatch(
      /^auditlog: warning: line 2: the record "Long" is \d+ bytes; the limit is 4096\. It is written; [^\n]*\n$/
    )
    expect(stdout.trimEnd().split("\n").map((line) => JSON.parse(line).oversize)).toEqual([false, true])
    expect(recordsIn(log)).toHaveLength(2)
  })

  it("reject it or allow it", async () => {
    const log = newLog()
    const rejected = await auditlog(["append", log, "--size-policy", "reject"], { input: `{}\n${long}{}\n` })
    expect(rejected).toMatchObject({ code: 2, stdout: "" })
    expect(rejected.stderr).toMatch(/^auditlog: line 2: the record is \d+ bytes, and the limit is 4096; shorten it/)
    expect(recordsIn(log)).toHaveLength(1)
    const allowed = await auditlog(["append", log, "--size-policy", "allow"], { input: long })
    expect(allowed).toEqual({ code: 0, signal: null, stdout: "", stderr: "" })
    expect(recordsIn(log)).toHaveLength(2)
    const higher = await auditlog(["append", log, "--limit", "8 KiB", "--size-policy", "reject"], { input: long })
    expect(higher).toMatchObject({ code: 0, stderr: "" })
    const lower = await auditlog(["append", log, "--limit", "500", "--size-policy", "reject"], { input: `{}\n{"x":1}` })
    expect(lower.stderr).toMatch(/^auditlog: line 1: the record is \d+ bytes, and the limit is 500;|^$/)
  })

  it("say how durable a record is", async () => {
    const durability = async (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) => {
      const { code, stdout } = await auditlog(["append", newLog(), "--receipts", ...args], { input: "{}", env })
      return code === 0 ? JSON.parse(stdout).durability : code
    }
    expect(await durability([])).toBe("synced")
    expect(await durability(["--sync", "never"])).toBe("unsynced")
    expect(await durability(["--sync", "250ms"])).toBe("deferred")
    expect(await durability(["--sync", "5 seconds"])).toBe("deferred")
    expect(await durability([], { AUDITLOG_SYNC: "never" })).toBe("unsynced")
    expect(await durability(["--sync", "always"], { AUDITLOG_SYNC: "never" })).toBe("synced")
  })

  it("come from the environment, unless a flag says otherwise", async () => {
    const log = newLog()
    const env = { AUDITLOG_SIZE_POLICY: "reject", AUDITLOG_SIZE_LIMIT: "8 KiB", AUDITLOG_PATH: "/nowhere/at/all" }
    const longer = `{"x":"${"x".repeat(9000)}"}`
    expect(await auditlog(["append", log], { input: long, env })).toMatchObject({ code: 0, stderr: "" })
    const rejected = await auditlog(["append", log], { input: longer, env })
    expect(rejected).toMatchObject({ code: 2 })
    expect(rejected.stderr).toContain("the limit is 8192")
    const limited = await auditlog(["append", log, "--limit", "4096"], { input: long, env })
    expect(limited.stderr).toContain("the limit is 4096")
    const allowed = await auditlog(["append", log, "--size-policy", "allow"], { input: longer, env })
    expect(allowed).toMatchObject({ code: 0, stderr: "" })
    expect(recordsIn(log)).toHaveLength(2)

    const keyed = await auditlog(["append", log], { input: "{}", env: { AUDITLOG_KEY_ID: "k1", AUDITLOG_KEY: "s" } })
    expect(keyed).toMatchObject({ code: 0, stderr: "" })
    expect(plainLines(read(log)).at(-1)!.stamp["key"]).toBe("k1")
  })

  it("that remove old segments are kept to by a program that appends one record and ends", async () => {
    const log = newLog()
    const env = { AUDITLOG_ROTATE_SIZE: "1 KiB", AUDITLOG_RETAIN_SIZE: "3 KiB" }
    for (let n = 0; n < 6; n++) {
      const appended = await auditlog(["append", log], { input: `{"n":${n},"x":"${"x".repeat(1000)}"}`, env })
      expect(appended.code).toBe(0)
    }
    const files = Fs.readdirSync(Path.dirname(log)).map((name) => Path.join(Path.dirname(log), name))
    const bytes = files.reduce((sum, path) => sum + Fs.statSync(path).size, 0)
    // the record of a removal comes on top
    expect([files.length, bytes < 4500]).toEqual([3, true])
    expect(recordsIn(log).at(-1)).toMatchObject({ _tag: "auditlog/SegmentRemoved", records: expect.any(Number) })
    expect(await auditlog(["verify", log])).toMatchObject({ code: 0 })
  })

  it("of the environment that are wrong are named, and do not show a secret", async () => {
    const log = newLog()
    const bogus = await auditlog(["append", log], { env: { AUDITLOG_SYNC: "sometimes" } })
    expect(bogus).toMatchObject({ code: 2, stdout: "" })
    expect(bogus.stderr).toContain(`AUDITLOG_SYNC is "sometimes"; expected always, never`)
    const half = await auditlog(["append", log], { env: { AUDITLOG_KEY: "hunter2" } })
    expect(half).toMatchObject({ code: 2 })
    expect(half.stderr).toContain("AUDITLOG_KEY and AUDITLOG_KEY_ID go together")
    for (const { stderr } of [bogus, half]) {
      expect(stderr).not.toContain("hunter2")
      expect(stderr).not.toMatch(stackTrace)
      expect(stderr.trimEnd().split("\n")).toHaveLength(1)
    }
    expect(Fs.existsSync(log)).toBe(false)
  })

  it("that hold an h are no call for help: a script would take its exit code for a verdict", async () => {
    expect(await auditlog(["verify", "-dash"])).toEqual({
      code: 2,
      signal: null,
      stdout: "",
      stderr: "auditlog: Unrecognized flag: -dash; a file of that name is ./-dash\n"
    })
    expect(await auditlog(["verify", "-h"])).toMatchObject({ code: 0, stderr: "" })
    const told = await auditlog(["exec", newLog(), "--", "echo", "-dash"])
    expect(told).toMatchObject({ code: 0, stdout: "-dash\n" })
  })

  it("that nobody knows, and values that make no sense, end with 2 and help on stderr", async () => {
    const log = newLog()
    const calls: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
      [["append"], "Missing required argument: file"],
      [["append", log, "--durable"], "Unrecognized flag: --durable"],
      [["append", log, "other"], `Unexpected positional argument: "other"`],
      [["append", ""], "a file name"],
      [["append", log, "--sync", "sometimes"], `"always", "never", or an interval`],
      [["append", log, "--sync", "0ms"], `"always", "never", or an interval`],
      [["append", log, "--limit", "many"], "a number of bytes"],
      [["append", log, "--limit", "0"], "a number of bytes"],
      [["append", log, "--size-policy", "shrink"], "shrink"],
      [["apend", log], `Unknown subcommand "apend"`],
      [[], "which command?"]
    ]
    for (const [args, problem] of calls) {
      const { code, stderr, stdout } = await auditlog(args, { input: "{}\n" })
      expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: "" })
      expect(stderr).toContain(problem)
      expect(stderr).toContain("Usage: auditlog")
      expect(stderr).toContain("--help")
      expect(stderr).not.toMatch(stackTrace)
    }
    expect(Fs.existsSync(log)).toBe(false)
  })
})

describe("a log that cannot be written", () => {
  const refusal = async (path: string, options: { readonly uid?: number } = {}): Promise<string> => {
    const { code, stderr, stdout } = await auditlog(["append", path], { input: "{}\n", ...options })
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" })
    expect(stderr).not.toMatch(stackTrace)
    expect(stderr.trimEnd().split("\n")).toHaveLength(1)
    expect(stderr.startsWith("auditlog: ")).toBe(true)
    return stderr
  }

  it("is in no directory, is a directory, or is a symbolic link", async () => {
    const at = directory()
    expect(await refusal(Path.join(at, "no", "audit.jsonl"))).toContain(`there is no directory ${at}/no; create it`)
    expect(await refusal(at)).toContain("it is a directory; name a file in it")
    Fs.symlinkSync(Path.join(at, "real"), Path.join(at, "link"))
    expect(await refusal(Path.join(at, "link"))).toContain("it is a symbolic link")
    expect(Fs.existsSync(Path.join(at, "real"))).toBe(false)
  })

  it("has a name that a terminal would act on", async () => {
    const stderr = await refusal(Path.join(directory(), "no\u001b[31m", "a.jsonl"))
    expect(stderr).toContain("no\\u001b[31m")
  })

  // as root, permissions do not count: then the program runs as nobody, who must be able to read the sources
  const root = process.getuid?.() === 0
  const nobody = 65534
  const canBeNobody = !root ||
    spawnSync(process.execPath, [bin, "--version"], { uid: nobody, gid: nobody, env: environment() }).status === 0
  it.skipIf(because(canBeNobody ? undefined : "the user nobody cannot run the sources"))("is forbidden", async () => {
    const at = directory()
    Fs.chmodSync(at, 0o755)
    const log = Path.join(at, "audit.jsonl")
    Fs.writeFileSync(log, "", { mode: 0o400 })
    if (!root) Fs.chmodSync(at, 0o500)
    const as = root ? { uid: nobody } : {}
    expect(await refusal(log, as)).toContain("permission denied; let this user write the file and its directory")
    expect(await refusal(Path.join(at, "new.jsonl"), as)).toContain("permission denied")
    if (!root) Fs.chmodSync(at, 0o700)
  })

  const noMount = because(cannotMount())
  it.skipIf(noMount)(
    "is on a full disk: says how many lines landed, and exactly those have",
    async () => {
      const at = smallFileSystem("1m")
      const log = Path.join(at, "audit.jsonl")
      const ballast = Path.join(at, "ballast")
      Fs.writeFileSync(ballast, Buffer.alloc(256 * 1024))
      // records of many sizes: what no longer fits must not be followed by a shorter one that does
      const input = Array.from({ length: 4000 }, (_, n) => `{"n":${n},"x":"${"x".repeat((n * 7919) % 1500)}"}\n`).join(
        ""
      )
      const { code, stderr, stdout } = await auditlog(["append", log, "--receipts"], { input })
      expect(code).toBe(2)
      const [warning, problem, standing, ...rest] = stderr.split("\n")
      expect(warning).toMatch(/^auditlog: warning: .*audit\.jsonl: it is on tmpfs: it does not survive a restart$/)
      expect(problem).toMatch(/^auditlog: line \d+: no room to append to .* \((?:ENOSPC|short write)\)\. /)
      expect(rest).toEqual([""])
      const landed = Number(/^(\d+) records before it are in /.exec(standing!)?.[1])
      expect(problem).toContain(`line ${landed + 1}:`)
      expect(stdout.split("\n").slice(0, -1)).toHaveLength(landed)
      const found = await auditlog(["cat", log])
      expect(found.code).toBe(0)
      const readable = found.stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line).n)
      expect(landed).toBeGreaterThan(100)
      expect(readable.slice(0, landed)).toEqual(Array.from({ length: landed }, (_, n) => n))

      Fs.rmSync(ballast)
      expect(await auditlog(["append", log], { input: `{"after":true}` })).toMatchObject({ code: 0 })
      const healed = await auditlog(["cat", log])
      expect(healed.code).toBe(0)
      expect(JSON.parse(healed.stdout.trimEnd().split("\n").at(-1)!)).toMatchObject({ after: true })
    }
  )

  it.skipIf(noMount)("is on a full disk: nothing of a transaction lands", async () => {
    const at = smallFileSystem("128k")
    const log = Path.join(at, "audit.jsonl")
    const { code, stderr } = await auditlog(["append", log, "--transaction"], { input: numbered(5000) })
    expect(code).toBe(2)
    expect(stderr).toMatch(/\nauditlog: no room to append to .*\n$/)
    const { code: catCode, stdout } = await auditlog(["cat", log])
    expect({ catCode, stdout }).toEqual({ catCode: 0, stdout: "" })
  })

  it.skipIf(because(canTrace()))("refuses a long record: the short ones after it do not land either", async () => {
    const log = newLog()
    const failing = ["-f", "-qq", "-o", "/dev/null", "-P", log, "-e", "inject=write:error=ENOSPC:when=1"]
    const { code, stderr, stdout } = await run(
      "strace",
      [...failing, process.execPath, bin, "append", log, "--receipts", "--size-policy", "allow"],
      { env: environment(), input: `{"x":"${"x".repeat(1_048_000)}"}\n${numbered(1000)}` }
    )
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" })
    expect(stderr).toContain("auditlog: line 1: no room to append to")
    expect(stderr).toContain("\nNothing was appended\n")
    expect(Fs.statSync(log).size).toBe(0)
  })

  it.skipIf(because(canTrace()))("cannot be flushed: nobody is told that it was", async () => {
    const failing = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1"]
    const traced = (log: string, args: ReadonlyArray<string>) =>
      run("strace", [...failing, process.execPath, bin, "append", log, ...args], {
        env: environment(),
        input: numbered(3)
      })
    const log = newLog()
    const always = await traced(log, ["--receipts"])
    expect(always).toMatchObject({ code: 2, stdout: "" })
    expect(always.stderr).toContain("auditlog: line 1: fsync of")
    expect(always.stderr).toContain(`0 records before it are in ${log}; what follows it, up to line 3, may be there or`)
    // the flush of an interval that has not passed happens when the log closes, after the last receipt
    const interval = await traced(newLog(), ["--sync", "1h"])
    expect(interval).toMatchObject({ code: 2, stdout: "" })
    expect(interval.stderr).toContain("fsync of")
    expect(interval.stderr).toContain("records may be missing from")
  })
})

describe("around it", () => {
  it("goes on when nobody reads the receipts any more", async () => {
    const log = newLog()
    const input = numbered(20_000)
    const { stderr, stdout } = await bash(
      `$AUDITLOG append '${log}' --receipts --sync never | head -n 1 >/dev/null; echo "\${PIPESTATUS[0]}"`,
      { input }
    )
    expect({ stdout, stderr }).toEqual({ stdout: "0\n", stderr: "" })
    expect(recordsIn(log)).toHaveLength(20_000)
  })

  it("says so when receipts cannot be written", async () => {
    const log = newLog()
    const { stderr, stdout } = await bash(`$AUDITLOG append '${log}' --receipts >/dev/full; echo $?`, { input: "{}\n" })
    expect(stdout).toBe("2\n")
    expect(stderr).toBe(
      `auditlog: cannot write to standard output (ENOSPC), so receipts are missing; 1 record is in ${log}\n`
    )
    expect(recordsIn(log)).toHaveLength(1)
  })

  it("ends with 130 on SIGINT, and says what has landed", async () => {
    const log = newLog()
    const child = start(["append", log, "--receipts"])
    const receipts = lines(child.stdout, 2)
    child.stdin.write(`${numbered(2)}{"half`)
    await receipts
    const stderr = lines(child.stderr, 1)
    child.kill("SIGINT")
    expect(await stderr).toEqual([`auditlog: interrupted; 2 records are in ${log}`])
    expect(await ended(child)).toBe(130)
    expect(recordsIn(log)).toEqual([{ n: 0 }, { n: 1 }])
  })

  it("says so when stdin cannot be read", async () => {
    const log = newLog()
    const { stderr, stdout } = await bash(`$AUDITLOG append '${log}' </; echo $?`)
    expect(stdout).toBe("2\n")
    expect(stderr).toBe("auditlog: cannot read standard input: it is a directory; nothing was appended\n")
  })

  it("writes to a FIFO record by record, and refuses what does not fit it", async () => {
    const log = newLog()
    expect(spawnSync("mkfifo", [log]).status).toBe(0)
    const reader = run("cat", [log])
    const { code, stderr } = await auditlog(["append", log], {
      input: `${numbered(100)}{"x":"${"x".repeat(4096)}"}\n{"n":101}\n`
    })
    expect(code).toBe(2)
    expect(stderr).toContain("auditlog: line 101: the record is")
    expect(stderr).toContain("100 records before it are in")
    const { stdout } = await reader
    expect(plainLines(stdout).map(({ record }) => record)).toEqual(Array.from({ length: 100 }, (_, n) => ({ n })))
  })

  it("gives up when the reader of a FIFO stops reading: what has landed is what came first", async () => {
    const log = newLog()
    expect(spawnSync("mkfifo", [log]).status).toBe(0)
    const reader = run("bash", ["-c", `exec <'${log}'; sleep 7; cat`])
    const { code, stderr } = await auditlog(["append", log], { input: numbered(2000) })
    expect(code).toBe(2)
    expect(stderr).toContain("the FIFO is full and its reader has taken nothing for 5 seconds")
    const landed = Number(/\n(\d+) records before it are in /.exec(stderr)?.[1])
    expect(landed).toBeGreaterThan(10)
    expect(stderr).toContain(`auditlog: line ${landed + 1}: `)
    const { stdout } = await reader
    expect(plainLines(stdout).map(({ record }) => record["n"])).toEqual(Array.from({ length: landed }, (_, n) => n))
  })

  it.skipIf(because(noTerminal()))("says that it waits, when stdin is a terminal", async () => {
    const log = newLog()
    const { code, stdout } = await onTerminal(["append", log], { input: `{"typed":true}\n\u0004` })
    expect(code).toBe(0)
    expect(stdout).toContain("auditlog: reading JSON objects from the terminal, one a line; Ctrl-D ends\n")
    expect(recordsIn(log)).toEqual([{ typed: true }])
  })

  it("shows help with examples, its version and completions on stdout", async () => {
    const help = await auditlog(["append", "--help"])
    expect(help).toMatchObject({ code: 0, stderr: "" })
    for (const word of ["USAGE", "--transaction", "--receipts", "--sync", "--size-policy", "--limit", "EXAMPLES"]) {
      expect(help.stdout).toContain(word)
    }
    const { version } = JSON.parse(read(Path.resolve(import.meta.dirname, "../package.json")))
    expect(await auditlog(["--version"])).toMatchObject({ code: 0, stdout: `auditlog ${version}\n`, stderr: "" })
    const completions = await auditlog(["--completions", "bash"])
    expect(completions).toMatchObject({ code: 0, stderr: "" })
    const syntax = await run("bash", ["-n"], { input: completions.stdout })
    expect(syntax).toMatchObject({ code: 0, stderr: "" })
    expect(completions.stdout).toContain("--size-policy")
  })

  it("says which Node it needs where an older one runs it", async () => {
    const older = `data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.20.2"})`
    const { code, stderr } = await run(process.execPath, ["--import", older, bin, "--version"], { env: environment() })
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^auditlog: Node 22\.19 or later is needed; .*\n$/)])
  })

  it("runs compiled as it does from source", async () => {
    const at = directory()
    const project = Path.resolve(import.meta.dirname, "..")
    for (const name of ["package.json", "tsconfig.json", "tsconfig.build.json", "rolldown.config.ts", "src"]) {
      Fs.cpSync(Path.join(project, name), Path.join(at, name), { recursive: true })
    }
    Fs.symlinkSync(Path.join(project, "node_modules"), Path.join(at, "node_modules"))
    const path = `${Path.dirname(process.execPath)}:${process.env["PATH"]}`
    const built = await run("npm", ["--prefix", at, "run", "build"], { env: { ...environment(), PATH: path } })
    expect(built.code).toBe(0)
    const program = Path.join(at, "dist/cli/bin.js")
    expect(read(program).startsWith("#!/usr/bin/env node\n")).toBe(true)
    const log = Path.join(at, "audit.jsonl")
    const appended = await run(process.execPath, [program, "append", log, "--json", `{"n":1.0}`], {
      env: environment()
    })
    expect(appended).toMatchObject({ code: 0, stdout: "", stderr: "" })
    const source = Path.join(project, "src/cli/bin.ts")
    for (const each of [program, source]) {
      const shown = await run(process.execPath, [each, "cat", log], { env: environment() })
      expect(shown).toMatchObject({ code: 0, stdout: read(log), stderr: "" })
    }
    expect((await run(process.execPath, [program, "--version"], { env: environment() })).stdout).toMatch(/^auditlog \d/)
    expect(read(Path.join(at, "dist/cli/LICENSES.txt"))).toMatch(/^effect 4\.\d/m)
  })

  it.skipIf(because(canTrace()))("loads the library that reads flags only for what is not plain", async () => {
    const loads = async (...args: ReadonlyArray<string>): Promise<boolean> => {
      const trace = Path.join(directory(), "trace")
      const strace = ["-f", "-qq", "-e", "trace=openat", "-o", trace, process.execPath, bin]
      expect(await run("strace", [...strace, ...args], { env: environment() })).toMatchObject({ code: 0, stderr: "" })
      return /\/dist\/cli\/Cli-[^/]*\.js"/.test(read(trace))
    }
    const log = newLog()
    expect(await loads("append", log, "--json", `{"n":1}`, "--sync", "never", "--size-policy", "warn")).toBe(false)
    expect(await loads("append", log, `--json={"n":2}`)).toBe(true)
    expect(await loads("append", "--help")).toBe(true)
    expect(recordsIn(log)).toEqual([{ n: 1 }, { n: 2 }])
  })
})
