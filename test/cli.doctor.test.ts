/**
 * `auditlog doctor`: what it says of good and of bad places, and that it leaves nothing there.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe, expect, it } from "vitest"
import { fileSystemKind } from "../src/internal/fileSystemKind.ts"
import { auditlog, bash, because, cannotMount, directory, smallFileSystem, stackTrace } from "./cliSupport.ts"

const probeNames = [
  "file system",
  "free space",
  "private files",
  "appends",
  "read-back",
  "flush",
  "directory flush",
  "rename",
  "removal"
]

interface Finding {
  readonly probe: string
  readonly status: string
  readonly says: string
  readonly values?: Readonly<Record<string, unknown>>
}

const findingsOf = (stdout: string): Readonly<Record<string, Finding>> =>
  Object.fromEntries((JSON.parse(stdout).findings as ReadonlyArray<Finding>).map((finding) => [finding.probe, finding]))

describe("auditlog doctor", () => {
  it("says of a good directory that everything holds, a line for each probe, and leaves nothing behind", async () => {
    const at = directory()
    Fs.writeFileSync(Path.join(at, "kept"), "kept")
    const { code, stderr, stdout } = await auditlog(["doctor", at])
    expect(stderr).toBe("")
    expect(code).toBe(0)
    const lines = stdout.trimEnd().split("\n")
    expect(lines.length).toBe(probeNames.length + 1)
    for (const [i, name] of probeNames.entries()) expect(lines[i]).toMatch(new RegExp(`^(ok|warning) +${name} `))
    expect(lines.at(-1)).toMatch(/: a log (is safe here|can be kept here, if you can live with the warnings)$/)
    expect(Fs.readdirSync(at)).toEqual(["kept"])
    expect(stdout).not.toContain("\u001b")
  })

  it("measures: appends of two processes, the flush, the free space", async () => {
    const { code, stdout } = await auditlog(["doctor", directory(), "--json"])
    expect(code).toBe(0)
    const findings = findingsOf(stdout)
    expect(Object.keys(findings)).toEqual(probeNames)
    expect(findings["appends"]?.values).toEqual({ processes: 2, appended: 600, lines: 600, torn: 0 })
    const { flushes, medianMillis, p99Millis } = (findings["flush"]?.values ?? {}) as Record<string, number>
    expect(flushes).toBe(50)
    expect(medianMillis).toBeGreaterThan(0)
    expect(p99Millis).toBeGreaterThanOrEqual(medianMillis!)
    expect(findings["free space"]?.values?.["freeBytes"]).toBeGreaterThan(0)
  })

  it.skipIf(because(cannotMount()))("warns of a tmpfs, and of little room", async () => {
    const at = smallFileSystem("8m")
    const { code, stdout } = await auditlog(["doctor", at, "--json"])
    expect(code).toBe(0)
    const findings = findingsOf(stdout)
    expect(findings["file system"]).toMatchObject({ status: "warning", values: { name: "tmpfs" } })
    expect(findings["free space"]).toMatchObject({ status: "warning" })
    expect(Fs.readdirSync(at)).toEqual([])
  })

  it.skipIf(because(cannotMount()))(
    "says 1 where there is no room for what it appends, and still removes all of it",
    async () => {
      const at = smallFileSystem("512k")
      const { code, stderr, stdout } = await auditlog(["doctor", at])
      expect(code).toBe(1)
      expect(stdout).toMatch(/^FAILS +appends /m)
      expect(stdout).toContain("do not keep a log here")
      expect(stderr + stdout).not.toMatch(stackTrace)
      expect(Fs.readdirSync(at)).toEqual([])
    }
  )

  it("says 1 under a limit of the size of files", async () => {
    const at = directory()
    const { code, stdout } = await bash(`trap '' XFSZ; ulimit -f 64; $AUDITLOG doctor ${at}`)
    expect(code).toBe(1)
    expect(stdout).toMatch(/^FAILS +appends +several processes could not append/m)
    expect(Fs.readdirSync(at)).toEqual([])
  })

  it("ends with 2 and one line where it cannot probe", async () => {
    const at = directory()
    Fs.writeFileSync(Path.join(at, "file"), "")
    for (
      const [name, problem] of [["missing", "there is no such directory"], ["file", "it is no directory"]] as const
    ) {
      const { code, stderr, stdout } = await auditlog(["doctor", Path.join(at, name)])
      expect([code, stdout]).toEqual([2, ""])
      expect(stderr).toBe(`auditlog: cannot probe ${Path.join(at, name)}: ${stderr.split(": ")[2]}`)
      expect(stderr).toContain(problem)
    }
    expect((await auditlog(["doctor", "/proc"])).stderr).toContain("no file can be created in it")
    expect((await auditlog(["doctor"])).code).toBe(2)
  })

  it.skipIf(because(process.getuid?.() === 0 ? undefined : "running as another user needs root"))(
    "ends with 2 where this user may not write",
    async () => {
      const at = directory()
      Fs.chmodSync(at, 0o755)
      const { code, stderr } = await auditlog(["doctor", at], { uid: 65_534 })
      expect(code).toBe(2)
      expect(stderr).toContain("permission denied; run it as the user that writes the log")
    }
  )
})

describe("the names of file systems", () => {
  it("are those that people know", () => {
    const names = [0xef53, 0x58465342, 0x9123683e, 0x2fc12fc1, 0x794c7630, 0x6969, 0x01021994, 0x65735546]
      .map((type) => fileSystemKind(type))
    expect(names).toEqual([
      { _tag: "local", name: "ext4" },
      { _tag: "local", name: "xfs" },
      { _tag: "local", name: "btrfs" },
      { _tag: "local", name: "zfs" },
      { _tag: "local", name: "overlayfs" },
      { _tag: "network", name: "NFS" },
      { _tag: "memory", name: "tmpfs" },
      { _tag: "unknown", name: "FUSE" }
    ])
    // statfs gives a signed number on some machines
    expect(fileSystemKind(0x9123683e | 0)).toEqual({ _tag: "local", name: "btrfs" })
    expect(fileSystemKind(0x1234)).toEqual({ _tag: "local", name: "0x1234" })
  })
})
