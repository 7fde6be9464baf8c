/**
 * `auditlog verify` from outside: exit codes, what a person reads, and what a program reads.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe, expect, it } from "vitest"
import {
  auditlog,
  because,
  directory,
  newLog,
  noTerminal,
  onTerminal,
  peakBytes,
  recordLine,
  sealed,
  stackTrace,
  start
} from "./cliSupport.ts"
import { testFile } from "./support.ts"

const hashOf = (line: string): string => line.slice(-45, -2)
const zero = recordLine(`"_tag":"RoleGranted","actor":"ada"`)
const one = recordLine(`"_tag":"RoleGranted","actor":"bob"`, { seq: 1, more: `,"prev":"${hashOf(zero)}"` })
const two = recordLine("", { seq: 2, more: `,"prev":"${hashOf(one)}"` })

const logOf = (...lines: ReadonlyArray<string>): string => {
  const log = newLog()
  Fs.writeFileSync(log, lines.map((line) => `${line}\n`).join(""))
  return log
}

describe("a sound log", () => {
  it("ends with 0 and a short report on stdout", async () => {
    const log = logOf(zero, one, `{"other":1}`)
    const { code, stderr, stdout } = await auditlog(["verify", log])
    expect(stdout).toBe(
      `${log}: sound\n  2 records of 1 writer; 1 line of other programs; 3 lines, ${Fs.statSync(log).size} bytes\n`
    )
    expect([code, stderr]).toEqual([0, ""])
  })

  it("may be empty", async () => {
    const log = logOf()
    expect(await auditlog(["verify", log])).toMatchObject({ code: 0, stdout: `${log}: sound\n  it is empty\n` })
  })

  it("in another encoding is not sound, and its lines are called what they are", async () => {
    const text = `${zero}\n${one}\n`
    const utf16 = Buffer.from(text, "utf16le")
    const files: ReadonlyArray<readonly [Buffer, string]> = [
      [Buffer.from(`\ufeff${text}`), "a byte order mark stands before it: a program"],
      [Buffer.concat([Buffer.from([0xff, 0xfe]), utf16]), "it is in UTF-16: a program"],
      [Buffer.from(utf16).swap16(), "it is in UTF-16: a program"]
    ]
    for (const [bytes, found] of files) {
      const log = logOf()
      Fs.writeFileSync(log, bytes)
      const { code, stdout } = await auditlog(["verify", log])
      expect([code, stdout]).toEqual([1, expect.stringContaining(found)])
      expect((await auditlog(["cat", log])).stderr).toContain(found)
    }
  })

  it("that is longer than any record without a newline is not sound", async () => {
    const log = logOf()
    Fs.writeFileSync(log, `{${" ".repeat(70_000_000)}`)
    const { code, stdout } = await auditlog(["verify", log])
    expect([code, stdout]).toEqual([1, expect.stringContaining("tooLong, 70 000 001 bytes: longer than any record")])
  })

  it("that a crash has hurt is sound, with notes", async () => {
    const resync = sealed(`{"_audit":{"v":1,"writer":"01JD0000000000000000ZZZZZZ","resync":true}`)
    const log = logOf(zero, `${one.slice(0, 90)}${resync}`)
    Fs.appendFileSync(log, "{\"half")
    const { code, stdout } = await auditlog(["verify", log])
    expect(stdout).toContain(`Notes, which are no faults:
  1 fragment: left by writes that were cut off or mixed; none of it was acknowledged
    ${log}:2 (byte ${zero.length + 1}): glued, healed
  1 pending tail: bytes after the last newline: a write in progress, or one that was cut off
`)
    expect(code).toBe(0)
  })

  it("is read with all its segments, or with --only alone", async () => {
    const log = logOf(one, two)
    Fs.writeFileSync(`${log}.1`, `${zero}\n`)
    expect(await auditlog(["verify", log])).toMatchObject({ code: 0 })
    const alone = await auditlog(["verify", "--only", log])
    expect(alone.code).toBe(0)
    expect(alone.stdout).toContain("1 link: to what stands before the oldest file that was read")
    expect(await auditlog(["verify", "--only", `${log}.1`])).toMatchObject({ code: 0 })
  })
})

describe("a log with faults", () => {
  it("ends with 1 and says what is wrong, where, what it means and what to do", async () => {
    const altered = one.replace("bob", "eve\u001b[31m")
    const log = logOf(zero, altered, two)
    const { code, stderr, stdout } = await auditlog(["verify", log])
    expect([code, stderr]).toEqual([1, ""])
    expect(stdout).toBe(`${log}: NOT SOUND: 1 damaged line, records missing in 1 place
  2 records of 1 writer; 3 lines, ${Fs.statSync(log).size} bytes

1 damaged line: these bytes are not what a writer wrote, and no crash explains them
    ${log}:2 (byte ${
      zero.length + 1
    }): torn, ${altered.length} bytes: cut off, or altered where it hurts its JSON; it begins {\\"_audit\\":{\\"v\\":1,\\"writer\\":\\"01JD0000000000000000ABCDEF\\",\\"seq\\":1,\\"at\\":\\"2026-11-23T

Records missing in 1 place: a later record of the same writer is there, so these were written, and are gone or altered
    before ${log}:3 (byte ${zero.length + altered.length + 2}): record 01JD0000000000000000ABCDEF:1

What to do:
  - keep this file as it is, with a copy: it is the evidence
  - look for what is missing in a backup, or where the log is shipped to; compare by writer and number
  - then move the damage aside, which loses none of it: auditlog repair ${log}
`)
  })

  it("is the same as JSON, one line for each log, and the worst exit code counts", async () => {
    const good = logOf(zero)
    const bad = logOf(zero, two)
    const { code, stdout } = await auditlog(["verify", "--json", good, bad])
    const reports = stdout.trimEnd().split("\n").map((line) => JSON.parse(line))
    expect(reports.map(({ log, missing, sound }) => [log, sound, missing.count])).toEqual([[good, true, 0], [
      bad,
      false,
      1
    ]])
    expect(code).toBe(1)
    const worst = await auditlog(["verify", bad, `${bad}.none`, good])
    expect(worst.code).toBe(2)
    expect(worst.stderr).toBe(`auditlog: cannot verify ${bad}.none: there is no such file\n`)
    expect(worst.stdout).toContain(`${good}: sound\n`)
  })

  it("counts all of 10 000 damages and lists 100, or all with --all", async () => {
    const log = logOf(...Array.from({ length: 10_000 }, () => "garbage"))
    const { code, stdout } = await auditlog(["verify", log])
    expect(code).toBe(1)
    expect(stdout).toContain("NOT SOUND: 10 000 damaged lines")
    expect(stdout).toContain("    and 9 900 more; --all lists them\n")
    expect(stdout.split("\n").filter((line) => line.includes("notJson"))).toHaveLength(100)
    expect(stdout).toContain("this does not look like an audit log")
    const all = await auditlog(["verify", "--all", log])
    expect(all.stdout.split("\n").filter((line) => line.includes("notJson"))).toHaveLength(10_000)
  })
})

describe("keys", () => {
  const hmac = testFile("fixtures/log-v1-hmac.jsonl")
  it("come from the environment", async () => {
    const env = { AUDITLOG_KEY_ID: "golden-2026", AUDITLOG_KEY: "only for test/fixtures: 0123456789abcdef" }
    expect(await auditlog(["verify", "--only", hmac], { env })).toMatchObject({ code: 0 })
    const without = await auditlog(["verify", "--only", hmac])
    expect(without.code).toBe(1)
    expect(without.stdout).toContain("set AUDITLOG_KEY_ID and AUDITLOG_KEY")
    const plain = await auditlog(["verify", "--only", testFile("fixtures/log-v1-plain.jsonl")], { env })
    expect(plain.code).toBe(1)
    expect(plain.stdout).toContain("12 lines without an HMAC")
  })

  it("that are others are what is to be checked first, before anybody is suspected or anything moved", async () => {
    const env = { AUDITLOG_KEY_ID: "golden-2026", AUDITLOG_KEY: "not the secret that these lines were written with" }
    const { code, stdout } = await auditlog(["verify", "--only", hmac], { env })
    expect(code).toBe(1)
    expect(stdout).toContain("What to do:\n  - check the secret of the key \"golden-2026\" first: none of its 11 ")
    expect(stdout).not.toContain("repair")
  })
})

describe("lines under a key that was not given", () => {
  const env = { AUDITLOG_KEY_ID: "k1", AUDITLOG_KEY: "0123456789abcdef0123456789abcdef" }
  const other = { ...env, AUDITLOG_KEY_ID: "k2" }
  const append = async (log: string, variables: typeof env) =>
    expect(await auditlog(["append", log, "--json", `{"n":1}`], { env: variables })).toMatchObject({ code: 0 })

  it("are not called damaged: the key is asked for, and no backup, no repair and no other name", async () => {
    const log = newLog()
    for (let i = 0; i < 3; i++) await append(log, other)
    const { code, stdout } = await auditlog(["verify", log], { env })
    expect(code).toBe(1)
    const lines = stdout.split("\n")
    expect(lines[0]).toBe(`${log}: NOT VERIFIED: 3 lines under a key that was not given`)
    expect(lines).toContain(
      "3 lines under a key that was not given: nothing is known of them, neither that they are sound nor that they are damaged"
    )
    expect(lines.slice(lines.indexOf("What to do:"))).toEqual([
      "What to do:",
      `  - check AUDITLOG_KEY_ID, or verify again with the key that these lines name: "k2" (3 lines)`,
      "  - if you know no such key: find out who wrote these lines, since anybody can name a key",
      ""
    ])
    expect(stdout).not.toMatch(/damaged line|not what a writer wrote|backup|repair|does not look like/)
    expect(await auditlog(["verify", log], { env: other })).toMatchObject({ code: 0 })
  })

  it("stand apart from damage, of which everything is said as ever", async () => {
    const log = newLog()
    await append(log, other)
    Fs.appendFileSync(log, "garbage\n")
    await append(log, env)
    const { code, stdout } = await auditlog(["verify", log], { env })
    expect(code).toBe(1)
    expect(stdout).toContain(`${log}: NOT SOUND: 1 damaged line, 1 line under a key that was not given\n`)
    expect(stdout).toMatch(
      /\n1 damaged line: these bytes are not what a writer wrote.*\n.*: notJson, 7 bytes.*\n\n1 line under/
    )
    expect(stdout).toContain(`"k2" (1 line)\n  - a log under several keys: Verifier.verify takes all of them`)
    expect(stdout).toContain(`auditlog repair ${log}\n`)
  })
})

describe("what cannot be verified", () => {
  it("ends with 2 and one line on stderr", async () => {
    const where = directory()
    const packed = newLog()
    Fs.writeFileSync(packed, Buffer.from("1f8b080000", "hex"))
    const newer = logOf(sealed(`{"_audit":{"v":2,"writer":"x"}`))
    for (
      const [args, message] of [
        [[where], "it is a directory; name the file of the log in it"],
        [[Path.join(where, "none")], "there is no such file"],
        [["/dev/null"], "it is no regular file"],
        [[packed], "it is compressed; unpack it first, with gunzip"],
        [[newer], "it is in a newer version of the format; use a newer auditlog"]
      ] as const
    ) {
      const { code, stderr } = await auditlog(["verify", ...args])
      expect(stderr).toBe(`auditlog: cannot verify ${args[0]}: ${message}\n`)
      expect(stderr).not.toMatch(stackTrace)
      expect(code).toBe(2)
    }
  })

  it("says of a newer format that a newer program is needed, and not to repair it", async () => {
    const newer = logOf(zero.replace(`"v":1`, `"v":2`))
    const { code, stdout } = await auditlog(["verify", newer])
    expect([code, stdout.split("\n")[0]]).toEqual([
      2,
      `${newer}: CANNOT BE VERIFIED: 1 line in a newer version of the format`
    ])
    expect(stdout).toContain("use a newer auditlog")
    expect(stdout).not.toContain("repair")
  })

  it("finds no log in a file of other bytes without a newline", async () => {
    const other = logOf(zero)
    Fs.writeFileSync(other, Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x1a]))
    const { code, stdout } = await auditlog(["verify", other])
    expect(code).toBe(1)
    expect(stdout).toContain("check the name: this does not look like an audit log")
  })

  it.skipIf(because(process.getuid?.() === 0 ? undefined : "running as another user needs root"))(
    "also without permission",
    async () => {
      const log = logOf(zero)
      Fs.chmodSync(log, 0o600)
      Fs.chmodSync(Path.dirname(log), 0o755)
      const { code, stderr } = await auditlog(["verify", log], { uid: 65534 })
      expect([code, stderr]).toEqual([
        2,
        `auditlog: cannot verify ${log}: permission denied; run it as a user who may read the file\n`
      ])
    }
  )

  it("nor a wrong call", async () => {
    expect(await auditlog(["verify"])).toMatchObject({ code: 2, stdout: "" })
  })
})

it("reads a line of 2 GiB, which is no record, without holding it", async () => {
  const log = newLog()
  const fd = Fs.openSync(log, "w")
  Fs.writeSync(fd, `${zero}\n`)
  Fs.writeSync(fd, `\n${one}\n`, 2 ** 31)
  Fs.closeSync(fd)
  const child = start(["verify", "--json", log])
  let peak = 0
  const watch = setInterval(() => {
    try {
      peak = Math.max(peak, peakBytes(child.pid!) || 0)
    } catch {
      // it has ended
    }
  }, 20)
  let stdout = ""
  child.stdout.on("data", (chunk) => {
    stdout += String(chunk)
  })
  const code = await new Promise((resolve) => child.on("close", resolve))
  clearInterval(watch)
  const report = JSON.parse(stdout)
  expect([code, report.damageKinds, report.records]).toEqual([1, { tooLong: 1 }, 2])
  expect(report.damages.first[0]).toMatchObject({ line: 2, length: 2 ** 31 - zero.length - 1 })
  expect(peak).toBeGreaterThan(0)
  expect(peak).toBeLessThan(400e6)
}, 60_000)

it.skipIf(because(noTerminal()))("shows nothing of its progress where the work is short", async () => {
  const log = logOf(zero)
  const { stdout } = await onTerminal(["verify", log])
  expect(stdout).not.toContain("verifying")
  expect(stdout).toContain(`${log}: sound`)
})
