/**
 * `auditlog cat` from outside: what a program reads from it, what a person sees, and what it says about damage.
 */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import {
  auditlog,
  bash,
  because,
  cannotMount,
  directory,
  ended,
  lines,
  newLog,
  noTerminal,
  onTerminal,
  peakBytes,
  recordLine,
  sealed,
  smallFileSystem,
  stackTrace,
  start
} from "./cliSupport.ts"
import { run } from "./support.ts"

const logOf = (...parts: ReadonlyArray<string | Uint8Array>): string => {
  const log = newLog()
  Fs.writeFileSync(log, Buffer.concat(parts.map((part) => Buffer.from(part))))
  return log
}

const transaction = (i: number, n: number): string => `,"tx":{"id":"01JD1111111111111111111111","i":${i},"n":${n}}`

const resync = sealed(`{"_audit":{"v":1,"writer":"01JD0000000000000000ZZZZZZ","resync":true}`)

/** A log of about so many bytes, of records of 300 bytes. */
const bigLog = (bytes: number): string => {
  const log = newLog()
  const fd = Fs.openSync(log, "w")
  const block = Array.from(
    { length: 4000 },
    (_, i) => `${recordLine(`"n":${i},"x":"${"x".repeat(150)}"`, { seq: i })}\n`
  )
  // every block by another writer: the same record twice is a repeat, and not shown again
  for (let written = 0, writer = 0; written < bytes; writer++) {
    const id = `01JD${String(writer).padStart(22, "0")}`
    written += Fs.writeSync(
      fd,
      block.map((_, i) => `${recordLine(`"n":${i},"x":"${"x".repeat(150)}"`, { seq: i, writer: id })}\n`).join("")
    )
  }
  Fs.closeSync(fd)
  return log
}

// oxlint-disable-next-line no-control-regex -- what a terminal would act on, besides the newline
const dangerous = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/

describe("auditlog cat", () => {
  it("prints the lines as they stand in the file when stdout is no terminal", async () => {
    const text = [
      recordLine(`"_tag":"RoleGranted","actor":"ada","text":"ü\\u2028"`),
      `{ "foreign" : [ 1 , 2.0 ] , "a":"\u009b" }`,
      recordLine("", { seq: 1 })
    ].map((line) => `${line}\n`).join("")
    const log = logOf(text)
    expect(await auditlog(["cat", log])).toEqual({ code: 0, signal: null, stdout: text, stderr: "" })
    expect(await auditlog(["cat", log, "--json"])).toEqual({ code: 0, signal: null, stdout: text, stderr: "" })
    const jq = await bash(`$AUDITLOG cat '${log}' | jq -c '._audit.seq'`)
    expect(jq).toMatchObject({ stdout: "0\nnull\n1\n", stderr: "" })
  })

  it("shows transactions whole or not at all, and no line twice", async () => {
    const part = (i: number) => recordLine(`"n":${i}`, { seq: i, more: transaction(i, 2) })
    const alone = recordLine(`"n":9`, { seq: 2 })
    const other = { writer: "01JD2222222222222222222222", more: transaction(0, 3) }
    const log = logOf(`${part(0)}\n${alone}\n${alone}\n${part(1)}\n${recordLine("", other)}\n`)
    const { code, stderr, stdout } = await auditlog(["cat", log])
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${alone}\n${part(0)}\n${part(1)}\n` })
    expect(stderr).toMatch(
      /^auditlog: note: .*audit\.jsonl: byte \d+: incomplete: transaction 01JD1{22} has 1 of 3 records, so none counts/
    )
    expect(stderr.trimEnd().split("\n")).toHaveLength(1)
  })

  it("prints nothing of an empty file", async () => {
    expect(await auditlog(["cat", logOf("")])).toEqual({ code: 0, signal: null, stdout: "", stderr: "" })
  })

  it("reads what append has written with a key, and says that it does not check it", async () => {
    const log = newLog()
    const env = { AUDITLOG_KEY_ID: "k1", AUDITLOG_KEY: "secret" }
    expect(await auditlog(["append", log, "--json", `{"n":1}`], { env })).toMatchObject({ code: 0 })
    expect(await auditlog(["cat", log])).toMatchObject({
      code: 0,
      stdout: Fs.readFileSync(log, "utf8"),
      stderr: `auditlog: note: ${log}: 1 record is authenticated with a key, which cat does not check\n`
    })
  })
})

/** Another writer whose id ends alike. */
const second = { writer: "01JD4444444444444444ABCDEF" }

describe("--pretty", () => {
  const log = () =>
    logOf(
      [
        recordLine(`"_tag":"Noted","text":"two words","n":12345678901234567890,"x":1.0`),
        recordLine(`"_tag":"RoleGranted","actor":"ada","role":"admin"`, { ...second, seq: 41 }),
        recordLine(
          `"_tag":"Noted","yes":true,"quoted":"true","number":"12","none":null,"empty":"","o":{"a":[1,"b c"]}`,
          { ...second, seq: 42, more: transaction(0, 1) }
        ),
        `{"by":"jq","_hash":"mine","a b":"=\\u001b\\n"}`,
        recordLine(`"_tag":7,"ünï":"größe"`, { ...second, seq: 43 })
      ].map((line) => `${line}\n`).join("")
    )

  it("prints one aligned line a record, without colours in a pipe", async () => {
    const { code, stderr, stdout } = await auditlog(["cat", log(), "--pretty"], { env: { FORCE_COLOR: "1" } })
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(stdout).toBe([
      `2026-11-23T09:15:02.114Z Noted    text="two words" n=12345678901234567890 x=1.0 ABCDEF:0`,
      `2026-11-23T09:15:02.114Z RoleGranted actor=ada role=admin ABCDEF:41`,
      `2026-11-23T09:15:02.114Z Noted       yes=true quoted="true" number="12" none=null empty="" ` +
      `o={"a":[1,"b c"]} tx 1/1 ABCDEF:42`,
      `                         -           by=jq _hash=mine "a b"="=\\u001b\\n" foreign`,
      `2026-11-23T09:15:02.114Z -           _tag=7 ünï=größe ABCDEF:43`,
      ""
    ].join("\n"))
  })

  it("shows a foreign line of any depth", async () => {
    const deep = `{"a":${"[".repeat(50_000)}${"]".repeat(50_000)}}`
    const { code, stderr, stdout } = await auditlog(["cat", logOf(`${deep}\n{"b":1}\n`), "--pretty"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(stdout.split("\n")[0]).toBe(deep)
    expect(stdout.split("\n")[1]).toContain("b=1 foreign")
  })

  const terminal = because(noTerminal())

  it.skipIf(terminal)("is the default on a terminal, in colour", async () => {
    const { code, stdout } = await onTerminal(["cat", log()])
    expect(code).toBe(0)
    const second = stdout.split("\n")[1]
    expect(second).toBe(
      "\u001b[2m2026-11-23T09:15:02.114Z\u001b[0m \u001b[1;36mRoleGranted\u001b[0m \u001b[34mactor\u001b[0m=ada " +
        "\u001b[34mrole\u001b[0m=admin \u001b[2mABCDEF:41\u001b[0m"
    )
  })

  it.skipIf(terminal)("has no colour with NO_COLOR or on a dumb terminal", async () => {
    for (const env of [{ NO_COLOR: "1" }, { TERM: "dumb" }]) {
      const { code, stdout } = await onTerminal(["cat", log()], { env })
      expect(code).toBe(0)
      expect(stdout).toContain("2026-11-23T09:15:02.114Z RoleGranted actor=ada role=admin ABCDEF:41\n")
      expect(stdout).not.toMatch(dangerous)
    }
  })

  it.skipIf(terminal)("never hands a terminal a control character of a record, raw or pretty", async () => {
    const evil = "\u007f\u009b31m\u202e\u2066\u200b\ufeff\u2028"
    const foreign = `{\r\t"_tag":"${evil}",\r"${evil}":"${evil}","a":["${evil}"],"b":"\\u001b[2J\\r"}`
    const record = recordLine(`"_tag":"${evil}","${evil}":"${evil}"`)
    const path = logOf(`${foreign}\n${record}\n`, `{"${evil}\u001b[31m\n`, Buffer.from([0x9b, 0x33, 0x0a]))
    for (const flag of ["--json", "--pretty", "--all"]) {
      const { code, stdout } = await onTerminal(["cat", path, flag], { env: { NO_COLOR: "1" } })
      expect({ flag, code }).toEqual({ flag, code: 1 })
      expect(stdout.split("\n").slice(0, -1)).toHaveLength(4)
      expect(stdout).not.toMatch(dangerous)
      expect(stdout).toContain("\\u009b31m\\u202e")
    }
    const shown = await onTerminal(["cat", path, "--json"], { env: { NO_COLOR: "1" } })
    const [first, second] = shown.stdout.split("\n")
    expect(JSON.parse(first!)).toEqual(JSON.parse(foreign))
    expect(JSON.parse(second!)).toEqual(JSON.parse(record))
  })
})

describe("damage", () => {
  const good = `${recordLine(`"n":1`)}\n`
  const after = `${recordLine(`"n":2`, { seq: 1 })}\n`
  const victim = recordLine(`"n":5`, { writer: "01JD3333333333333333333333" })

  const cases: ReadonlyArray<readonly [kind: string, line: string | Uint8Array, meaning: string]> = [
    ["torn", victim.slice(0, 100), "the line is cut off before its end"],
    ["glued", `{"half":"lin${victim}`, "a record begins inside another line"],
    ["nul", `{"a":"\0\0"}`, "it holds NUL bytes"],
    ["utf8", Buffer.from(`{"a":"\xff\x1b[31m"}`, "latin1"), "it is not UTF-8"],
    ["notJson", "prose \u001b[2J", "it is not JSON"],
    ["notObject", "[1,2]", "it is JSON, but not an object"],
    ["stamp", `{"_audit":{"v":1},"a":1}`, "its stamp is not one of this format"],
    ["version", `{"_audit":{"v":2},"a":1}`, "it is in a newer version of the format"],
    ["hash", victim.replace(`"n":5`, `"n":6`), "its bytes are not those that were written"],
    ["tooLong", `{"a":"${"x".repeat(65 * 1024 * 1024)}"}`, "it is longer than any record"]
  ]

  it.each(cases)(
    "%s is reported with its place and its meaning, and the rest is shown",
    async (kind, line, meaning) => {
      const log = logOf(good, line, "\n", after)
      const { code, stderr, stdout } = await auditlog(["cat", log])
      expect({ code, stdout }).toEqual({ code: 1, stdout: good + after })
      expect(stderr.startsWith(`auditlog: damage: ${log}:2: byte ${good.length}: ${kind}: ${meaning}`)).toBe(true)
      expect(stderr.trimEnd().split("\n")).toHaveLength(1)
      expect(stderr.slice(0, -1)).not.toMatch(dangerous)
      expect(stderr).not.toMatch(stackTrace)
    }
  )

  it("that is healed, and bytes after the last newline, are notes", async () => {
    const log = logOf(good, victim.slice(0, 90), resync, "\n", after, victim.slice(0, 30))
    const { code, stderr, stdout } = await auditlog(["cat", log])
    expect({ code, stdout }).toEqual({ code: 0, stdout: good + after })
    const [healed, pending, ...rest] = stderr.split("\n")
    expect(healed).toMatch(/^auditlog: note: .*audit\.jsonl:2: byte \d+: \w+, healed: a write that never finished/)
    expect(healed).toContain(`byte ${good.length}:`)
    expect(pending).toMatch(/^auditlog: note: .*: byte \d+: pending: 30 bytes after the last newline; /)
    expect(rest).toEqual([""])
  })

  it("is listed up to 100 lines and counted in all, unless all of it is wanted", async () => {
    const log = logOf(good, "prose\n".repeat(150), after)
    const first = await auditlog(["cat", log])
    expect(first).toMatchObject({ code: 1, stdout: good + after })
    const listed = first.stderr.trimEnd().split("\n")
    expect(listed).toHaveLength(101)
    expect(listed[99]).toContain(`${log}:101: byte`)
    expect(listed[100]).toBe(`auditlog: ${log}: 150 damaged lines in all, 50 of them not listed; --all lists them`)
    const all = await auditlog(["cat", log, "--all"])
    expect(all.code).toBe(1)
    expect(all.stderr.trimEnd().split("\n")).toHaveLength(150)
  })
})

describe("segments", () => {
  it("are read oldest first, unless only one file is asked for", async () => {
    const log = logOf(`${recordLine(`"n":3`, { seq: 2 })}\n`)
    Fs.writeFileSync(`${log}.1`, `${recordLine(`"n":2`, { seq: 1 })}\nprose\n`)
    Fs.writeFileSync(`${log}.2`, `${recordLine(`"n":1`)}\n`)
    const all = await auditlog(["cat", log])
    expect(all.stdout.match(/"n":\d/g)).toEqual([`"n":1`, `"n":2`, `"n":3`])
    expect(all.stderr).toContain(`auditlog: damage: ${log}.1:2: byte `)
    expect((await auditlog(["cat", log, "--only"])).stdout.match(/"n":\d/g)).toEqual([`"n":3`])
  })

  it.each([
    ["logrotate", "audit.jsonl.1.gz"],
    ["a writer", "audit.20261123T091502.114Z.01JD0000000000000000ABCDEF.jsonl.gz"]
  ])("that %s has renamed and that are compressed end it with 2 and say what to do", async (_, name) => {
    const log = logOf(`${recordLine("")}\n`)
    const packed = Path.join(Path.dirname(log), name)
    Fs.writeFileSync(packed, "")
    const { code, stderr, stdout } = await auditlog(["cat", log])
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" })
    expect(stderr).toBe(
      `auditlog: cannot read ${packed}: it is compressed; unpack it in its directory (gunzip, bunzip2, unxz, unzstd) ` +
        `and read again, or --only reads the live file alone\n`
    )
    expect(await auditlog(["cat", log, "--only"])).toMatchObject({ code: 0 })
  })
})

describe("filters", () => {
  const line = (n: number, at: string, stamp: Parameters<typeof recordLine>[1] = {}) =>
    sealed(
      `{"_audit":{"v":1,"writer":"${stamp.writer ?? "01JD0000000000000000ABCDEF"}","seq":${n},"at":"${at}"${
        stamp.more ?? ""
      }},"n":${n},"_tag":"${n % 2 === 0 ? "Even" : "Odd"}"`
    )
  const log = () =>
    logOf(
      [
        line(0, "2026-01-01T00:00:00.000Z"),
        line(1, "2026-01-02T00:00:00.000Z"),
        line(2, "2026-01-03T00:00:00.000Z", { more: transaction(0, 2) }),
        line(3, "2026-01-04T00:00:00.000Z", { more: transaction(1, 2) }),
        line(0, new Date().toISOString(), second),
        `{"n":4}`
      ].map((text) => `${text}\n`).join("")
    )

  const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, numbers: ReadonlyArray<number>]> = [
    [["--where", "n>=1"], [1, 2, 3, 4]],
    [["--where", "n>=1 tag~^O"], [1, 3]],
    [["--where", "n>=1", "--where", "tag!=Odd"], [2, 4]],
    [["--since", "2026-01-02T00:00:00Z", "--until", "2026-01-04"], [1, 2]],
    [["--since", "1 hour"], [0]],
    [["--writer", "44ABCDEF"], [0]],
    [["--tx", "1111"], [2, 3]],
    [["--tx", "1111", "--where", "n=3"], [3]]
  ]
  it.each(cases)("%j", async (args, numbers) => {
    const { code, stderr, stdout } = await auditlog(["cat", log(), ...args])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(stdout.split("\n").slice(0, -1).map((text) => (JSON.parse(text) as { n: number }).n)).toEqual(numbers)
  })

  it("are told of the damage in lines that can match, and of all damage with --thorough", async () => {
    const altered = (n: number, seq: number): string => recordLine(`"who":"w${n}"`, { seq }).replace(`"who"`, `"whO"`)
    const log = logOf([recordLine(`"who":"w1"`), altered(2, 1), altered(3, 2)].map((text) => `${text}\n`).join(""))
    const some = await auditlog(["cat", log, "--where", "whO=w2"])
    expect({ code: some.code, stdout: some.stdout }).toEqual({ code: 1, stdout: "" })
    const [damage, note, ...rest] = some.stderr.split("\n")
    expect(damage).toMatch(/^auditlog: damage: .*:2: byte \d+: hash: /)
    expect(note).toMatch(/^auditlog: note: .*: lines that cannot match were not checked; --thorough checks them/)
    expect(rest).toEqual([""])
    const none = await auditlog(["cat", log, "--where", "who=w1"])
    expect(none).toMatchObject({ code: 0, stdout: `${recordLine(`"who":"w1"`)}\n`, stderr: "" })
    const all = await auditlog(["cat", log, "--where", "who=w1", "--thorough"])
    expect(all).toMatchObject({ code: 1, stdout: none.stdout })
    expect(all.stderr.match(/damage: .*: hash: /g)).toHaveLength(2)
  })

  it("that are wrong end it with 2 and point at the character", async () => {
    const { code, stderr, stdout } = await auditlog(["cat", "no", "--where", "actor=ada role:x"])
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" })
    expect(stderr).toBe(
      `auditlog: --where, character 15: expected one of = != < <= > >= ~ !~ after the field, found ":"; ` +
        `a value with spaces needs quotes\n  actor=ada role:x\n                ^\n`
    )
    for (const args of [["--since", "soon"], ["--until", "2026-13-01"], ["--writer", "me!"], ["--tx", ""]]) {
      const wrong = await auditlog(["cat", "no", ...args])
      expect({ args, code: wrong.code }).toEqual({ args, code: 2 })
      expect(wrong.stderr.startsWith(`auditlog: ${args[0]}, character `)).toBe(true)
    }
  })
})

describe("findings about the log", () => {
  it("are gaps and conflicts: damage, although each line is sound", async () => {
    const first = recordLine(`"n":1`)
    const log = logOf([first, first, recordLine(`"n":9`), recordLine("", { seq: 4 })].map((x) => `${x}\n`).join(""))
    const { code, stderr, stdout } = await auditlog(["cat", log])
    expect({ code, lines: stdout.split("\n").length - 1 }).toEqual({ code: 1, lines: 2 })
    const [conflict, missing, ...rest] = stderr.split("\n")
    expect(conflict).toMatch(
      /^auditlog: damage: .*:3: byte \d+: conflict: another record 01JD0{16}ABCDEF:0 with other /
    )
    expect(missing).toMatch(/^auditlog: damage: .*: byte \d+: missing: before this record, records 1 to 3 are gone of /)
    expect(rest).toEqual([""])
  })

  it("--salvage prints what stands inside damaged lines, and nothing else", async () => {
    const found = recordLine(`"n":2`, { seq: 1 })
    const log = logOf(`${recordLine(`"n":1`)}\n`, `{"half":"li${found}\n`)
    const { code, stderr, stdout } = await auditlog(["cat", log, "--salvage"])
    expect({ code, stdout }).toEqual({ code: 1, stdout: `${found}\n` })
    expect(stderr).toMatch(/^auditlog: damage: .*:2: byte \d+: glued: /)
    expect(await auditlog(["cat", log, "--salvage", "--where", "n=1"])).toMatchObject({ code: 1, stdout: "" })
  })
})

describe("a file that cannot be read", () => {
  const refusal = async (path: string): Promise<string> => {
    const { code, stderr, stdout } = await auditlog(["cat", path])
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" })
    expect(stderr.trimEnd().split("\n")).toHaveLength(1)
    expect(stderr).not.toMatch(stackTrace)
    return stderr
  }

  it("is missing, a directory, or no file at all", async () => {
    const at = directory()
    expect(await refusal(Path.join(at, "no"))).toBe(`auditlog: cannot read ${at}/no: there is no such file\n`)
    expect(await refusal(at)).toBe(`auditlog: cannot read ${at}: it is a directory\n`)
    const fifo = Path.join(at, "fifo")
    expect(spawnSync("mkfifo", [fifo]).status).toBe(0)
    expect(await refusal(fifo)).toBe(`auditlog: cannot read ${fifo}: it is no regular file\n`)
  })

  it("ends with 2 where flags contradict each other", async () => {
    const { code, stderr, stdout } = await auditlog(["cat", logOf(""), "--json", "--pretty"])
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" })
    expect(stderr).toBe("auditlog: --json and --pretty exclude each other\n")
  })
})

describe("stdout", () => {
  it("that is closed by its reader ends it quietly", async () => {
    const log = bigLog(4_000_000)
    const head = await bash(`$AUDITLOG cat '${log}' | head -n 1; echo "\${PIPESTATUS[*]}"`)
    expect(head.stderr).toBe("")
    expect(head.stdout).toBe(`${Fs.readFileSync(log, "utf8").split("\n")[0]}\n0 0\n`)
  })

  it("that has no room is an error, and not a shorter output", async () => {
    const full = await bash(`$AUDITLOG cat '${logOf(`${recordLine("")}\n`)}' >/dev/full; echo $? >&2`)
    expect(full.stderr).toBe("auditlog: cannot write to standard output (ENOSPC)\n2\n")
  })

  it.skipIf(because(cannotMount()))("that is a file on a disk that fills up is an error", async () => {
    const at = smallFileSystem("1m")
    const { stdout } = await bash(`$AUDITLOG cat '${bigLog(2_000_000)}' >'${at}/copy'; echo $?`)
    expect(stdout).toBe("2\n")
  })

  it("is written whole to a file", async () => {
    const log = bigLog(5_000_000)
    const copy = `${log}.copy`
    expect(await bash(`$AUDITLOG cat '${log}' >'${copy}'`)).toMatchObject({ code: 0, stderr: "" })
    expect(spawnSync("cmp", [log, copy]).status).toBe(0)
  })

  it("that is read slowly holds it back: the log is never held in memory", async () => {
    const log = bigLog(400_000_000)
    const child = start(["cat", log], { env: { NODE_OPTIONS: "--max-old-space-size=128" } })
    const code = ended(child)
    await new Promise((resolve) => child.stdout.once("readable", resolve))
    // it has had time to read all of it
    await new Promise((resolve) => setTimeout(resolve, 3000))
    const whileBlocked = peakBytes(child.pid!)
    let bytes = 0
    child.stdout.on("data", (chunk: Buffer) => {
      bytes += chunk.length
    })
    expect(await code).toBe(0)
    expect(bytes).toBe(Fs.statSync(log).size)
    expect(whileBlocked).toBeLessThan(280 * 1024 * 1024)
  }, 180_000)

  it("that nobody reads does not keep it from ending with 130 on SIGINT", async () => {
    const child = start(["cat", bigLog(5_000_000)])
    await new Promise((resolve) => child.stdout.once("readable", resolve))
    await new Promise((resolve) => setTimeout(resolve, 500))
    const exited = new Promise((resolve) => child.once("exit", resolve))
    child.kill("SIGINT")
    expect(await exited).toBe(130)
  })

  it("shows a log while others append to it", async () => {
    const log = newLog()
    const writer = start(["append", log, "--receipts"])
    onTestFinished(() => {
      writer.stdin.end()
    })
    const receipts = lines(writer.stdout, 1)
    writer.stdin.write(`{"n":1}\n`)
    await receipts
    const { code, stderr, stdout } = await auditlog(["cat", log])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(JSON.parse(stdout)).toMatchObject({ n: 1 })
    const python = await run("python3", ["-c", "import sys,json; json.loads(sys.stdin.read())"], { input: stdout })
    expect(python.code).toBe(0)
  })
})
