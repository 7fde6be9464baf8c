/**
 * The examples, the demo and the lines of docs/format.md do what they say.
 */
import { Redacted, Result } from "effect"
import * as childProcess from "node:child_process"
import * as crypto from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, assert, describe, expect, it } from "vitest"
import { Codec, HashChain } from "../src/index.ts"
import { Postgres, whyNoPostgres } from "./servers/postgres.ts"

const root = path.resolve(import.meta.dirname, "..")
const examples = path.join(root, "examples")
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "auditlog-examples-"))

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }))

/** Runs an example as a reader would, in a temporary directory of the test; returns what it prints. */
const run = (file: string, env: Record<string, string> = {}): string => {
  const { status, stderr, stdout } = childProcess.spawnSync(process.execPath, [path.join(examples, file)], {
    encoding: "utf8",
    // vitest sets NODE_ENV, NODE_OPTIONS and others that a reader does not have
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], TMPDIR: directory, ...env },
    timeout: 30_000
  })
  assert.strictEqual(stderr, "")
  assert.strictEqual(status, 0)
  return stdout
}

/** Runs an example for the shell, with the `node` of this test; returns what it prints on stdout and on stderr. */
const runScript = (file: string): { readonly stdout: string; readonly stderr: string } => {
  const { status, stderr, stdout } = childProcess.spawnSync(path.join(examples, file), {
    encoding: "utf8",
    env: {
      PATH: `${path.dirname(process.execPath)}${path.delimiter}${process.env["PATH"]}`,
      HOME: process.env["HOME"],
      TMPDIR: directory
    },
    timeout: 30_000
  })
  assert.strictEqual(status, 0, stderr)
  return { stdout, stderr }
}

/** The records in what an example prints: lines that begin as a record does. */
const recordsIn = (output: string): ReadonlyArray<Record<string, unknown>> =>
  output.split("\n").filter((line) => line.startsWith("{\"_audit\":"))
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe("examples", () => {
  it("are all run, here or by vitest", () => {
    const mine = fs.readFileSync(import.meta.filename, "utf8")
    const files = fs.readdirSync(examples).filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    expect(files.filter((file) => !mine.includes(`run("${file}"`))).toEqual([])
    const scripts = fs.readdirSync(examples).filter((file) => file.endsWith(".sh"))
    expect(scripts.filter((file) => !mine.includes(`runScript("${file}"`))).toEqual([])
  })

  it("01 appends a record and shows its receipt and its line", () => {
    const output = run("01-first-record.ts")
    assert.match(output, /seq: 0,[^]*durability: 'synced'/)
    const [record, ...others] = recordsIn(output)
    assert.strictEqual(others.length, 0)
    assert.deepInclude(record, { _tag: "RoleGranted", actor: "ada", role: "admin" })
  })

  it("09 loses no record with the outbox, and shows what the other two ways lose", () => {
    const output = run("09-sql-transaction.ts")
    assert.match(output, /inside the transaction: 5 orders committed, 0 without a record, 5 records of nothing/)
    assert.match(output, /after the COMMIT {6}: 7 orders committed, 2 without a record, 0 records of nothing/)
    assert.match(output, /outbox {9}: 7 orders committed, 0 without a record, 0 records of nothing/)
    assert.deepStrictEqual(recordsIn(output).map(({ order }) => order), ["committed"])
  })

  it("02 commits one transaction and rolls the other back", () => {
    const output = run("02-transaction.ts")
    const committed = /^committed: {3}0 -> (\d+) bytes$/m.exec(output)?.[1]
    assert.isDefined(committed)
    assert.include(output, `rolled back: ${committed} -> ${committed} bytes (InsufficientFunds)`)
    assert.deepStrictEqual(recordsIn(output).map((record) => record["_tag"]), ["Withdrawn", "Deposited"])
  })

  it("03 leaves no record of a request that fails", () => {
    const output = run("03-http-service.ts")
    assert.include(output, "guest -> admin: done")
    assert.include(output, "guest -> root: forbidden")
    assert.deepStrictEqual(recordsIn(output).map(({ _tag, role }) => [_tag, role]), [
      ["RoleRevoked", "guest"],
      ["RoleGranted", "admin"]
    ])
  })

  it("05 takes the environment, and refuses a value that is invalid", () => {
    const output = run("05-configuration.ts")
    assert.include(output, "written, durability: deferred")
    assert.include(output, "the limit is 1024")
    assert.include(output, "AUDITLOG_SYNC=sometimes: ConfigError")
    assert.strictEqual(recordsIn(output).length, 1)
    assert.include(run("05-configuration.ts", { AUDITLOG_SYNC: "always" }), "written, durability: synced")
  })

  it("06 retries, signs, reads and counts", () => {
    const output = run("06-tour.ts")
    assert.include(output, "one transaction: seq 0 and 1")
    assert.deepStrictEqual(Array.from(output.matchAll(/seq \d+ \{"_tag":"Step","n":(\d+)\}/g), ([, n]) => Number(n)), [
      1,
      2,
      3,
      5,
      6,
      7
    ])
    assert.include(output, "after two failures: [{\"_tag\":\"Step\",\"n\":8}]")
    assert.include(output, "foreign {\"from\":\"another program\"}")
    assert.match(output, /^auditlog_errors_total \{"reason":"StorageFull"\} 2$/m)
  })

  it("08 asks, goes on where it stopped, and sees what was altered", () => {
    const output = run("08-operations.ts")
    assert.include(output, "the first run takes 2\nthe second run takes 1\n")
    assert.include(output, `large: {"_tag":"Paid","actor":"bob","amount":100}\n`)
    assert.include(output, "3 records of 2 writers, sound: true\n2 records of 2 writers, sound: false\nline 1: {")
    assert.include(output, "lacks 0 to 0")
  })

  it("10 waits for the copy, and reads the same bytes back", () => {
    const output = run("10-ship.ts")
    assert.include(output, "ada has paid: replicated\n")
    assert.match(output, /^the copy has \d+ bytes: the same as the log$/m)
  })

  it("11 stages the record of a commit and none of a rollback, through each driver", async () => {
    const shown = (output: string): ReadonlyArray<string> => output.trimEnd().split("\n")
    const rolledBack = (driver: string): string => `${driver}: rolled back: Error: the card was declined`
    const record = (driver: string): string => JSON.stringify({ _tag: "OrderPlaced", order: `${driver}-paid` })
    const outbox = (driver: string, ...of: ReadonlyArray<string>): string =>
      `${driver}: the outbox holds ${JSON.stringify(of.map(record))}`
    const sqlite = [rolledBack("sqlite"), outbox("sqlite", "sqlite")]

    const why = whyNoPostgres()
    if (why !== undefined) {
      console.warn(`skipped: pg, kysely and drizzle of example 11 (${why})`)
      assert.deepStrictEqual(shown(run("11-sql-drivers.ts")).slice(0, 2), sqlite)
      return
    }
    const server = await Postgres.make()
    try {
      const url = server.database("shop")
      assert.deepStrictEqual(shown(run("11-sql-drivers.ts", { AUDIT_DB: url })), [
        ...sqlite,
        rolledBack("pg"),
        outbox("pg", "pg"),
        rolledBack("kysely"),
        outbox("kysely", "pg", "kysely"),
        rolledBack("drizzle"),
        outbox("drizzle", "pg", "kysely", "drizzle")
      ])
      // and so says a program that shares nothing with the example
      const drivers = ["pg", "kysely", "drizzle"]
      assert.deepStrictEqual(server.query("SELECT record FROM audit_outbox ORDER BY id", "shop"), drivers.map(record))
      assert.sameMembers([...server.query("SELECT id FROM orders", "shop")], drivers.map((driver) => `${driver}-paid`))
    } finally {
      await server.stop()
    }
  })

  it("07 lands the records of a script that succeeds, and none of one that fails", () => {
    const { stderr, stdout } = runScript("07-shell-transaction.sh")
    assert.strictEqual(
      stderr,
      "ada has not got 600\nauditlog: bash exited with 3; 1 record was discarded, nothing was appended\n"
    )
    assert.include(stdout, "first: done\nsecond: exit code 3\nada 400, bob 600\n")
    assert.deepStrictEqual(recordsIn(stdout).map(({ _tag, account, cents }) => [_tag, account, cents]), [
      ["Withdrawn", "ada", 600],
      ["Deposited", "bob", 600]
    ])
    const script = fs.readFileSync(path.join(examples, "07-shell-transaction.sh"), "utf8")
    const region = /^# #region script\n([^]*?)^# #endregion script$/m.exec(script)?.[1]
    assert.isDefined(region)
    assert.include(fs.readFileSync(path.join(root, "docs/cli.md"), "utf8"), `\`\`\`sh\n${region}\`\`\`\n`)
  })

  it("the demo tells its story in less than 10 seconds", { timeout: 30_000 }, () => {
    const started = performance.now()
    const output = run("demo.ts")
    assert.isBelow(performance.now() - started, 10_000)
    assert.match(output, /^receipt \{"writer":.*"durability":"synced"/m)
    assert.match(output, /^committed: {3}file \d+ -> \d+ bytes, 2 records$/m)
    assert.match(output, /^rolled back: file (\d+) -> \1 bytes/m)
    assert.match(output, /^warn: audit record "Note" is 4097 bytes; the limit is 4096/m)
    assert.match(output, /^receipt .*"oversize":true/m)
    assert.match(output, /^RecordTooLarge: record "Note" is 4097 bytes; the limit is 4096\. Nothing was written/m)
    const fsyncs = /acknowledged 10 000 records with (\d+) fsyncs/.exec(output)?.[1]
    assert.isAtMost(Number(fsyncs), 400, "256 fibers share their fsyncs")
    assert.include(output, "found by reading: 10 000; missing: 0; damaged lines: 0")
    assert.match(output, /^== The first lines of auditlog cat.*\n.*RoleGranted/m)
    const file = /^The log stays in (.*)$/m.exec(output)?.[1]
    assert.isTrue(file !== undefined && fs.existsSync(file))
  })
})

describe("docs/format.md", () => {
  const text = fs.readFileSync(path.join(root, "docs/format.md"), "utf8")
  const blocks = (language: string) =>
    Array.from(text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, "gm")), ([, block]) => block!)
  const lines = blocks("text").flatMap((block) => block.trimEnd().split("\n"))
  const secret = "correct horse battery staple 123"
  const tail = /,"_hash":"([\w-]{43})"\}$/

  it("shows lines whose hashes are right", () => {
    assert.strictEqual(lines.length, 6)
    assert.include(text, `\`${secret}\``)
    for (const line of lines) {
      const head = Buffer.from(line.replace(tail, ""))
      const hash = line.includes("\"key\":\"2026-11\"")
        ? crypto.createHmac("sha256", secret).update(head)
        : crypto.createHash("sha256").update(head)
      assert.strictEqual(hash.digest("base64url"), tail.exec(line)?.[1], line)
    }
  })

  it("shows lines that this library writes for these records", () => {
    const [resync, ...records] = lines
    const first = "01JDAWK6GQ3T9V4N2RZ8X5YB7C"
    const second = "01JDAWM0E1S6H8P4KB2Q7D3FGZ"
    const trace = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
    const key: HashChain.Key = { id: "2026-11", secret: Redacted.make(secret) }
    const record = (at: string, json: object, trace?: string): Codec.Encoded =>
      Result.getOrThrow(Codec.encode(json, { at: `2026-11-23T09:15:${at}Z`, trace, value: json }))
    const plain = { seen: undefined, attempt: 0, key: undefined, digest: HashChain.digest(undefined) }

    const one = HashChain.link({ writer: first, seq: 0, prev: undefined }, {
      id: "",
      records: [record("02.114", { _tag: "RoleGranted", actor: "ada", role: "admin" })]
    }, plain)
    const other = HashChain.link({ writer: second, seq: 0, prev: undefined }, {
      id: "",
      records: [record("02.340", {})]
    }, { ...plain, seen: one.head.prev })
    const two = HashChain.link(one.head, {
      id: "01JDAWKA3M8EXT5S0C9N6V2PRH",
      records: [
        record("03.007", { _tag: "Withdrawn", account: "ada", cents: 500 }, trace),
        record("03.008", { _tag: "Deposited", account: "bob", cents: 500, note: "a\u2028b" }, trace)
      ]
    }, { ...plain, seen: other.head.prev })
    const keyed = HashChain.link(two.head, {
      id: "",
      records: [record("04.500", { _tag: "RoleRevoked", actor: "ada", role: "admin" })]
    }, { seen: other.head.prev, attempt: 1, key: key.id, digest: HashChain.digest(key) })

    const written = [one, other, two, keyed].flatMap(({ lines }) => lines.map(({ text }) => text))
    assert.deepStrictEqual(records.map((line) => `${line}\n`), written)
    assert.strictEqual(`${resync}\n`, HashChain.resync(second, undefined, plain.digest))
  })

  it("shows a checker in Python that accepts these lines and notices a change", ({ skip }) => {
    if (childProcess.spawnSync("python3", ["--version"]).status !== 0) skip("python3 is not installed")
    const [program] = blocks("python")
    const log = path.join(directory, "example.jsonl")
    const check = (content: string): ReadonlyArray<string> => {
      fs.writeFileSync(log, content)
      const { status, stderr, stdout } = childProcess.spawnSync("python3", ["-c", program!, log], { encoding: "utf8" })
      assert.strictEqual(status, 0, stderr)
      return stdout.trimEnd().split("\n").map((line) => line.replace(/^\d+ /, ""))
    }
    const content = lines.map((line) => `${line}\n`).join("")
    assert.deepStrictEqual(check(content), ["ok", "ok", "ok", "ok", "ok"])
    assert.deepStrictEqual(check(content.replace("\"admin\"", "\"guest\"")), ["ok", "DAMAGED", "ok", "ok", "ok"])
  })
})
