/**
 * `auditlog repair` as a person and as a script meet it.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import {
  auditlog,
  bash,
  because,
  cannotMount,
  newLog,
  noTerminal,
  onTerminal,
  recordLine,
  smallFileSystem,
  stackTrace
} from "./cliSupport.ts"

const record = (n: number): string => recordLine(`"n":${n}`, { seq: n, writer: "01JD0000000000000000ABCDEF" })

const writeDamaged = (path: string): void =>
  Fs.writeFileSync(path, `${record(0)}\ngar\u001b[31mbage\n${record(0).slice(0, 90)}\n\0\0${record(0)}\n{"torn":`, {
    mode: 0o600
  })

describe("auditlog repair", () => {
  it("moves damage aside, says what and where, and is done", async () => {
    const path = newLog()
    writeDamaged(path)
    const size = Fs.statSync(path).size
    const first = await auditlog(["repair", path, "--force"])
    expect(first.stderr).toBe("")
    expect(first.code).toBe(0)
    expect(first.stdout.replaceAll(path, "LOG")).toBe(
      `LOG: repaired: 2 whole lines kept, ${size} bytes before, ${2 * record(0).length + 2} after\n` +
        `  moved 114 bytes in 4 ranges to LOG.quarantine\n` +
        `  damage: notJson 1, torn 2, nul 1\n` +
        `    byte ${record(0).length + 1}: 13 bytes, notJson\n` +
        `    byte ${record(0).length + 14}: 91 bytes, torn\n` +
        `    byte ${record(0).length + 105}: 2 bytes, nul\n` +
        `    byte ${size - 8}: 8 bytes, torn\n` +
        `  next: 2 lines of it may have been acknowledged records: look for them in a backup, or where the log is ` +
        `shipped to\n` +
        `  auditlog cat LOG.quarantine shows what was moved\n`
    )
    expect(Fs.readFileSync(path, "utf8")).toBe(`${record(0)}\n${record(0)}\n`)

    const evidence = Fs.readFileSync(`${path}.quarantine`)
    const second = await auditlog(["repair", path])
    expect(second).toMatchObject({ code: 0, stderr: "", stdout: `${path}: sound: 2 whole lines, nothing to do\n` })
    expect(Fs.readFileSync(`${path}.quarantine`)).toEqual(evidence)
    expect((await auditlog(["cat", `${path}.quarantine`])).code).toBe(0)
  })

  it("changes nothing with --dry-run, and exits with 1 because there is damage", async () => {
    const path = newLog()
    writeDamaged(path)
    const before = Fs.readFileSync(path)
    const { code, stdout } = await auditlog(["repair", path, "--dry-run"])
    expect(code).toBe(1)
    expect(stdout).toContain("would move 114 bytes in 4 ranges")
    expect(Fs.readFileSync(path)).toEqual(before)
    expect(Fs.readdirSync(Path.dirname(path))).toEqual(["audit.jsonl"])
  })

  it("prints the report as JSON, also of what it refused", async () => {
    const path = newLog()
    writeDamaged(path)
    const done = await auditlog(["repair", path, "--json", "--force"])
    expect(done.stdout.split("\n").length).toBe(2)
    const report = JSON.parse(done.stdout)
    expect(report).toMatchObject({ quarantine: `${path}.quarantine`, failures: [], skipped: [] })
    expect(report.files).toMatchObject([{ file: path, outcome: "repaired", rangeCount: 4, suspects: 2 }])
    const refused = await auditlog(["repair", Path.dirname(path), "--json"])
    expect(refused.code).toBe(2)
    expect(JSON.parse(refused.stdout).failures).toMatchObject([{ reason: "Unsuitable", file: Path.dirname(path) }])
  })

  it("refuses with 1 while another process writes the file, names it, and says how to override", async () => {
    const path = newLog()
    writeDamaged(path)
    const before = Fs.readFileSync(path)
    const child = spawn("sh", ["-c", `exec 9>>"$0"; echo ready; read line`, path], {
      stdio: ["pipe", "pipe", "inherit"]
    })
    onTestFinished(() => {
      child.kill("SIGKILL")
    })
    await once(child.stdout, "data")
    const refused = await auditlog(["repair", path])
    expect(refused.code).toBe(1)
    expect(refused.stdout).toBe("")
    expect(refused.stderr).toContain(`${path} is open for writing in ${child.pid} (sh)`)
    expect(refused.stderr).toContain("--force")
    expect(refused.stderr).not.toMatch(stackTrace)
    expect(Fs.readFileSync(path)).toEqual(before)
    const forced = await auditlog(["repair", path, "--force"])
    expect(forced.code).toBe(0)
    expect(forced.stdout).toContain(`open for writing in: ${child.pid} (sh)`)
  })

  it.skipIf(because(process.getuid?.() === 0 ? undefined : "running as another user needs root"))(
    "refuses with 1 when it may not look into other processes, and says how many",
    async () => {
      const path = newLog()
      writeDamaged(path)
      Fs.chmodSync(Path.dirname(path), 0o777)
      Fs.chownSync(path, 65_534, 65_534)
      const { code, stderr } = await auditlog(["repair", path], { uid: 65_534 })
      expect(code).toBe(1)
      expect(stderr).toMatch(
        /whether another process writes .* cannot be found out: \d+ process(es)? cannot be looked into/
      )
      expect(stderr).toContain("--force")
      expect((await auditlog(["repair", path, "--force"], { uid: 65_534 })).code).toBe(0)
      expect(Fs.statSync(`${path}.quarantine`).uid).toBe(65_534)
    }
  )

  it("ends with 2 and one line for what is no log file, or no file at all", async () => {
    const path = newLog()
    const directory = Path.dirname(path)
    Fs.writeFileSync(Path.join(directory, "garbage"), Buffer.from([1, 2, 3, 0xff, 10, 4, 5, 10]))
    Fs.writeFileSync(Path.join(directory, "audit.gz"), Buffer.from([0x1f, 0x8b, 8, 0]))
    Fs.symlinkSync("garbage", Path.join(directory, "link"))
    for (const name of ["missing", ".", "garbage", "audit.gz", "link", "new\u001b[2Jline"]) {
      const { code, stderr, stdout } = await auditlog(["repair", name, "--only"], { cwd: directory })
      expect([name, code, stdout]).toEqual([name, 2, ""])
      expect(stderr.split("\n").length).toBe(2)
      expect(stderr).toMatch(/^auditlog: cannot repair /)
      expect(stderr).not.toContain("\u001b")
    }
    expect((await auditlog(["repair"])).code).toBe(2)
    expect((await auditlog(["repair", ""])).code).toBe(2)
    expect(Fs.readdirSync(directory).sort()).toEqual(["audit.gz", "garbage", "link"])
  })

  it("moves lines with a wrong HMAC when the key is in the environment", async () => {
    const path = newLog()
    const env = { AUDITLOG_KEY_ID: "k1", AUDITLOG_KEY: "correct horse battery staple 123" }
    await auditlog(["append", path, "--json", `{"a":1}`, "--json", `{"a":2}`], { env })
    Fs.writeFileSync(path, Fs.readFileSync(path, "utf8").replace(`"a":1`, `"a":7`))
    const without = await auditlog(["repair", path])
    expect(without.stdout).toContain("unchecked: 2 records with an HMAC of a key that is not known here; they stay")
    expect((await auditlog(["repair", path, "--force"], { env })).stdout).toContain("damage: hash 1")
    expect(Fs.readFileSync(path, "utf8")).toContain(`"a":2`)
    expect(Fs.readFileSync(`${path}.quarantine`, "utf8")).toContain(`"key":"k1"`)
  })

  it("lists 100 ranges, and all of them with --all", async () => {
    const path = newLog()
    Fs.writeFileSync(path, `x\n${record(0)}\n`.repeat(150), { mode: 0o600 })
    const some = await auditlog(["repair", path, "--dry-run"])
    expect(some.stdout.match(/^ {4}byte /gm)?.length).toBe(100)
    expect(some.stdout).toContain("and 50 more ranges; --all lists them")
    const all = await auditlog(["repair", path, "--dry-run", "--all"])
    expect(all.stdout.match(/^ {4}byte /gm)?.length).toBe(150)
  })

  it("repairs what a killed program has left under the same command that reads it", async () => {
    const path = newLog()
    await auditlog(["append", path, "--json", `{"a":1}`])
    Fs.appendFileSync(path, `{"_audit":{"v":1,"writer":"01J`)
    await auditlog(["append", path, "--json", `{"a":2}`])
    const { stdout } = await auditlog(["repair", path, "--force"])
    expect(stdout).toContain("healed, which held nothing acknowledged")
    expect(stdout).toContain("nothing acknowledged was in these bytes")
    const cat = await auditlog(["cat", path])
    expect(cat).toMatchObject({ code: 0, stderr: "" })
    expect(cat.stdout.split("\n").length).toBe(3)
  })

  it.skipIf(because(cannotMount()))(
    "ends with 1 on a full disk, leaves the file as it is and no copy behind",
    async () => {
      const path = Path.join(smallFileSystem("512k"), "audit.jsonl")
      Fs.writeFileSync(path, `x\n${`${record(0)}\n`.repeat(2000)}`, { mode: 0o600 })
      const before = Fs.readFileSync(path)
      const { code, stderr } = await auditlog(["repair", path, "--force"])
      expect(code).toBe(1)
      expect(stderr).toContain("ENOSPC")
      expect(stderr).toContain("The file is as it was")
      expect(stderr).not.toMatch(stackTrace)
      expect(Fs.readFileSync(path)).toEqual(before)
      expect(Fs.readdirSync(Path.dirname(path))).not.toContain("audit.jsonl.repair-copy")
    }
  )

  it("leaves no copy behind when it is interrupted", async () => {
    const path = newLog()
    Fs.writeFileSync(path, `x\n${record(0)}\n`.repeat(60_000), { mode: 0o600 })
    const before = Fs.readFileSync(path)
    const { stdout } = await bash(
      `$AUDITLOG repair ${path} --force & pid=$!
       until [ -s ${path}.repair-copy ]; do sleep 0.01; done
       kill -INT $pid; wait $pid; echo "code $?"`
    )
    expect(stdout).toContain("code 130")
    expect(Fs.readFileSync(path)).toEqual(before)
    expect(Fs.readdirSync(Path.dirname(path)).sort()).toEqual(["audit.jsonl", "audit.jsonl.quarantine"])
  })

  it.skipIf(because(noTerminal()))("shows progress on a terminal when it takes long, and takes it away", async () => {
    const path = newLog()
    Fs.writeFileSync(path, `${`${record(0)}\n`.repeat(600_000)}x\n`, { mode: 0o600 })
    const { stdout } = await onTerminal(["repair", path, "--dry-run"])
    const shown = stdout.split("\r\u001b[K")
    expect(shown.length).toBeGreaterThan(2)
    expect(shown[1]).toMatch(/^reading \d+ % of .*audit/)
    expect(shown.at(-1)).toMatch(/^[^\r]*: damaged: 600 000 whole lines to keep/)
  })
})
