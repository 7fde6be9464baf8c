/**
 * `auditlog exec` from outside: real shell scripts as commands, what lands, exit codes, signals, and what is left behind.
 */
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { afterAll, describe, expect, it, onTestFinished } from "vitest"
import {
  because,
  bin,
  cannotMount,
  directory,
  ended,
  environment,
  lines,
  newLog,
  noTerminal,
  type Options,
  smallFileSystem,
  stackTrace,
  start
} from "./cliSupport.ts"
import { canTrace, plainLines, run, testFile } from "./support.ts"

const read = (path: string): string => Fs.readFileSync(path, "utf8")
const recordsIn = (path: string) => plainLines(read(path)).map(({ record }) => record)
const python = `python3 ${testFile("children/transactionClient.py")}`

/** Half of the time of these tests is that of Node reading the same modules again. */
const compiled = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-compiled-"))
afterAll(() => Fs.rmSync(compiled, { recursive: true, force: true }))

/** A log, a directory for temporary files of its own, and how to run scripts in which `$A` is the program. */
const scene = () => {
  const log = newLog()
  const temporary = directory()
  const env = (extra: Readonly<Record<string, string>> = {}) => ({
    A: `${process.execPath} ${bin}`,
    LOG: log,
    DIR: Path.dirname(log),
    PY: python,
    TMPDIR: temporary,
    NODE_COMPILE_CACHE: compiled,
    ...extra
  })
  const args = (script: string, flags: ReadonlyArray<string> = []) => [
    "exec",
    ...flags,
    log,
    "--",
    "bash",
    "-uc",
    script
  ]
  return {
    log,
    env,
    path: (name: string) => Path.join(Path.dirname(log), name),
    /** Runs the script inside `auditlog exec`. */
    exec: (script: string, options: Options & { readonly flags?: ReadonlyArray<string> } = {}) =>
      run(process.execPath, [bin, ...args(script, options.flags)], {
        env: environment(env(options.env)),
        cwd: options.cwd ?? Path.dirname(log),
        input: options.input ?? ""
      }),
    /** Starts it. */
    start: (script: string, extra: Readonly<Record<string, string>> = {}) =>
      start(args(script), { env: env(extra), cwd: Path.dirname(log) }),
    leftovers: () => Fs.readdirSync(temporary)
  }
}

const untilExists = async (path: string): Promise<void> => {
  while (!Fs.existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe("a command that succeeds", () => {
  it("lands the appends of it, of nested shells and of its children as one transaction", async () => {
    const { exec, leftovers, log } = scene()
    const result = await exec(
      `set -e
       echo '{"n":1}' | $A append "$LOG" --receipts
       (cd / && bash -c 'sh -c "$A append \\"$LOG\\" --json {\\\\\\"n\\\\\\":2}"')
       printf '{"n":3}\\n{"n":4}\\n' | $A append ./audit.jsonl --transaction
       wc -c < audit.jsonl`
    )
    expect(result).toMatchObject({ code: 0, stderr: "" })
    expect(result.stdout).toBe(`{"bytes":411,"durability":"buffered","oversize":false}\n0\n`)
    expect(recordsIn(log)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }])
    const places = plainLines(read(log)).map(({ stamp }) => stamp.tx)
    expect(places.map((tx) => [tx?.i, tx?.n])).toEqual([[0, 4], [1, 4], [2, 4], [3, 4]])
    expect(new Set(places.map((tx) => tx?.id)).size).toBe(1)
    expect(leftovers()).toEqual([])
  })

  it("keeps the time at which each record was appended", async () => {
    const { exec, log } = scene()
    const { stdout } = await exec(
      `$A append "$LOG" --json '{}'; date +%s%3N; sleep 0.05; date +%s%3N; $A append "$LOG" --json '{}'`
    )
    const [between, later] = stdout.trim().split("\n").map(Number)
    const [first, second] = plainLines(read(log)).map(({ stamp }) => Date.parse(String(stamp["at"])))
    expect(first).toBeLessThanOrEqual(between!)
    expect(second).toBeGreaterThanOrEqual(later!)
  })

  it("has stdin, stdout, stderr and its environment as without auditlog", async () => {
    const { exec, leftovers } = scene()
    const script = `cat; echo out; echo err >&2; echo "$MINE $0 $*"`
    expect(await exec(script, { input: "in\n", env: { MINE: "mine" } })).toEqual({
      code: 0,
      signal: null,
      stdout: "in\nout\nmine bash \n",
      stderr: "err\n"
    })
    expect(leftovers()).toEqual([])
  })

  it("writes nothing when nothing was appended", async () => {
    const { exec, log } = scene()
    expect(await exec("true")).toMatchObject({ code: 0, stderr: "" })
    expect(read(log)).toBe("")
  })

  it("gives each of 1000 appends its place, also digits that a double cannot hold", async () => {
    const { exec, log } = scene()
    const script = `set -e; $PY appends 999; $A append "$LOG" --json '{"n":12345678901234567890}'`
    expect(await exec(script)).toMatchObject({ code: 0, stderr: "" })
    const written = plainLines(read(log))
    expect(written.map(({ stamp }) => [stamp.tx?.i, stamp.tx?.n])).toEqual(
      Array.from({ length: 1000 }, (_, i) => [i, 1000])
    )
    expect(written.slice(0, 999).map(({ record }) => record["n"])).toEqual(Array.from({ length: 999 }, (_, n) => n))
    expect(written[999]!.line).toContain(`"n":12345678901234567890`)
  })

  it("takes 20 000 lines of one append, and a flood of control characters in a record", async () => {
    const { exec, log } = scene()
    const script = `set -e
      seq 20000 | sed 's/.*/{"n":&}/' | $A append "$LOG" --receipts | wc -l
      python3 -c 'print("{\\"x\\":\\"" + "\\\\u0001" * 100000 + "\\"}")' | $A append "$LOG" --size-policy warn`
    const { code, stderr, stdout } = await exec(script)
    expect({ code, stdout }).toEqual({ code: 0, stdout: "20000\n" })
    expect(stderr).toMatch(/^auditlog: warning: line 1: the record is 600\d{3} bytes; the limit is 4096\. .*\n$/)
    const written = plainLines(read(log))
    expect(written).toHaveLength(20_001)
    expect(written[20_000]!.record["x"]).toBe("\u0001".repeat(100_000))
  })

  it.skipIf(because(canTrace()))("lands with one write and one flush", async () => {
    const { env, log } = scene()
    const trace = `${log}.trace`
    const strace = ["--seccomp-bpf", "-qq", "-e", "trace=write,fdatasync", "-P", log, "-o", trace]
    const script = `for i in 1 2 3; do $A append "$LOG" --json "{\\"n\\":$i}"; done`
    const { code } = await run("strace", [
      "-f",
      ...strace,
      process.execPath,
      bin,
      "exec",
      log,
      "--",
      "bash",
      "-c",
      script
    ], {
      env: environment(env())
    })
    expect(code).toBe(0)
    const calls = read(trace).split("\n").map((line) => /(write|fdatasync)\(/.exec(line)?.[1]).filter(Boolean)
    expect(calls).toEqual(["write", "fdatasync"])
    expect(recordsIn(log)).toHaveLength(3)
  })
})

describe("a command that fails", () => {
  it("passes its exit code on and says how many records were discarded", async () => {
    const { exec, leftovers, log } = scene()
    const [none, one, two] = await Promise.all([
      exec("exit 1"),
      exec("$PY appends 1; exit 7"),
      exec("$PY appends 2; exit 255")
    ])
    expect(none).toMatchObject({ code: 1, stdout: "", stderr: "" })
    expect(one).toMatchObject({ code: 7, stdout: "" })
    expect(one.stderr).toBe("auditlog: bash exited with 7; 1 record was discarded, nothing was appended\n")
    expect(two).toMatchObject({ code: 255, stdout: "" })
    expect(two.stderr).toBe("auditlog: bash exited with 255; 2 records were discarded, nothing was appended\n")
    expect(read(log)).toBe("")
    expect(leftovers()).toEqual([])
  })

  it("lands nothing when it is killed, and exits with 128 and the signal's number", async () => {
    const { exec, leftovers, log } = scene()
    for (const [signal, code] of [["KILL", 137], ["SEGV", 139]] as const) {
      const result = await exec(`$PY appends 3; kill -${signal} $$`)
      expect(result).toMatchObject({ code, signal: null })
      expect(result.stderr).toMatch(new RegExp(`bash was ended by SIG${signal}; 3 records were discarded`))
    }
    expect(read(log)).toBe("")
    expect(leftovers()).toEqual([])
  })

  it("exits as a shell does when it cannot be run", async () => {
    const { log, path } = scene()
    Fs.writeFileSync(path("plain"), "#!/bin/sh\n", { mode: 0o600 })
    const missing = await run(process.execPath, [bin, "exec", log, "--", "./no\u001bsuch"], { env: environment() })
    expect(missing).toMatchObject({ code: 127, stdout: "" })
    expect(missing.stderr).toBe(
      "auditlog: cannot run ./no\\u001bsuch: there is no such command, or its interpreter is missing\n"
    )
    const plain = await run(process.execPath, [bin, "exec", log, "--", path("plain")], { env: environment() })
    expect(plain).toMatchObject({ code: 126, stdout: "" })
    expect(plain.stderr).toContain("permission denied; is it executable?")
  })
})

describe("signals", () => {
  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s is passed on, and the command decides", async (signal) => {
    const { leftovers, log, start } = scene()
    const name = signal.slice(3)
    const child = start(
      `trap 'echo got ${name}; exit 5' ${name}; $PY appends 1; echo ready; while :; do sleep 0.02; done`
    )
    await lines(child.stdout, 1)
    const rest = lines(child.stdout, 1)
    child.kill(signal)
    expect(await rest).toEqual([`got ${name}`])
    expect(await ended(child)).toBe(5)
    expect(read(log)).toBe("")
    expect(leftovers()).toEqual([])
  })

  it("lands the records of a command that answers SIGTERM by finishing its work", async () => {
    const { log, start } = scene()
    const child = start(`trap '$PY appends 2; exit 0' TERM; echo ready; while :; do sleep 0.02; done`)
    await lines(child.stdout, 1)
    child.kill("SIGTERM")
    expect(await ended(child)).toBe(0)
    expect(recordsIn(log)).toEqual([{ n: 0 }, { n: 1 }])
  })

  it("exits with 128 and the signal's number when the command does not handle it", async () => {
    const { log, start } = scene()
    const child = start(`$PY appends 1; echo ready; exec sleep 60`)
    await lines(child.stdout, 1)
    child.kill("SIGTERM")
    expect(await ended(child)).toBe(143)
    expect(read(log)).toBe("")
  })

  it.skipIf(because(noTerminal()))("Ctrl-C on a terminal reaches the command once", async () => {
    const { env, log, path } = scene()
    const got = path("got")
    const program = `import os,signal,sys,time
def handle(*_):
    os.write(f, b"INT\\n")
signal.signal(signal.SIGINT, handle)
f = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
print("ready", flush=True)
end = time.monotonic() + 30
while os.fstat(f).st_size == 0 and time.monotonic() < end: time.sleep(0.01)
time.sleep(0.7)`
    Fs.writeFileSync(path("wait.py"), program)
    // the shell of script(1) goes: dash, when it stays, answers Ctrl-C too
    const command = `exec $A exec "$LOG" -- python3 ${path("wait.py")} ${got}`
    const terminal = spawn("bash", ["-c", `exec script -qefc '${command}' /dev/null`], {
      env: environment(env()),
      stdio: "pipe"
    })
    onTestFinished(() => {
      terminal.kill("SIGKILL")
    })
    await lines(terminal.stdout, 1)
    terminal.stdin.write("\u0003")
    expect(await ended(terminal)).toBe(0)
    expect(read(got)).toBe("INT\n")
    expect(read(log)).toBe("")
  })
})

describe("auditlog exec killed with SIGKILL", () => {
  it.each([
    ["before the first append", `echo here; while :; do sleep 0.02; done`],
    ["after an append", `$PY appends 5; echo here; while :; do sleep 0.02; done`],
    [
      "while an append waits for its input",
      `mkfifo in; $A append "$LOG" < in & exec 3> in
       echo '{"n":1}' >&3; echo here; while :; do sleep 0.02; done`
    ]
  ])("%s: nothing lands", async (_, script) => {
    const { log, start } = scene()
    const child = start(`echo $$; ${script}`)
    const [pid] = await lines(child.stdout, 2)
    onTestFinished(() => {
      process.kill(Number(pid), "SIGKILL")
    })
    child.kill("SIGKILL")
    await new Promise((resolve) => child.once("exit", resolve))
    expect(read(log)).toBe("")
  })

  it("leaves the command running, whose appends then fail", async () => {
    const { log, path, start } = scene()
    const child = start(
      `$PY appends 1; echo ready; until [ -e go ]; do sleep 0.02; done
       $A append "$LOG" --json '{}' 2> message; echo $? > code.tmp; mv code.tmp code`
    )
    await lines(child.stdout, 1)
    child.kill("SIGKILL")
    await new Promise((resolve) => child.once("exit", resolve))
    Fs.writeFileSync(path("go"), "")
    await untilExists(path("code"))
    expect(read(path("code"))).toBe("2\n")
    expect(read(path("message"))).toContain("the transaction of this append has already ended. Nothing was written; ")
    expect(read(log)).toBe("")
  })

  it.skipIf(because(canTrace()))("at any system call on the log: all records or none", async () => {
    const seen = new Set<number>()
    for (const call of ["write", "pread64", "fdatasync"]) {
      const { env, log } = scene()
      const strace = [
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        "/dev/null",
        "-P",
        log,
        "-e",
        `inject=${call}:signal=SIGKILL:when=1`
      ]
      const result = await run(
        "strace",
        [...strace, process.execPath, bin, "exec", log, "--", "bash", "-c", "$PY appends 3"],
        { env: environment(env()) }
      )
      expect(result.signal).toBe("SIGKILL")
      const found = read(log) === "" ? 0 : recordsIn(log).length
      expect([0, 3]).toContain(found)
      seen.add(found)
    }
    expect(seen.size).toBe(2)
  })
})

describe("a process that outlives the command", () => {
  it("cannot append any more, whether it connects then or has been connected all along", async () => {
    const { exec, log, path } = scene()
    const script = `mkfifo go
      ( $PY late '{"n":"late"}' > connected; mv connected connected.done ) &
      until grep -q joined connected 2> /dev/null; do sleep 0.01; done
      ( until [ -e ended ]; do sleep 0.02; done; $A append "$LOG" --json '{}' 2> later; echo $? > later.code ) > /dev/null 2>&1 &
      $A append "$LOG" --json '{"n":1}'`
    expect(await exec(`exec > /dev/null 2>&1\n${script}`, { env: { GO: path("go") } })).toMatchObject({ code: 0 })
    Fs.writeFileSync(path("ended"), "")
    Fs.writeFileSync(path("go"), "\n")
    await untilExists(path("connected.done"))
    await untilExists(path("later.code"))
    expect(read(path("connected.done"))).toBe("joined\nclosed\n")
    expect(read(path("later.code"))).toBe("2\n")
    expect(read(path("later"))).toBe(
      "auditlog: the transaction of this append has already ended. Nothing was written; let the command of auditlog " +
        "exec wait for what it starts, or start what is to outlive it with env -u AUDITLOG_TRANSACTIONS\n"
    )
    expect(recordsIn(log)).toEqual([{ n: 1 }])
  })

  it.skipIf(because(canTrace()))("cannot append while the records are being flushed", async () => {
    const { env, log, path } = scene()
    const inject = "inject=fdatasync:delay_enter=1000000"
    const strace = ["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-P", log, "-e", inject]
    const script = `$PY appends 2
      { $PY during "$LOG" > answers; mv answers answers.done; } > /dev/null 2>&1 &
      until grep -q joined answers 2> /dev/null; do sleep 0.01; done`
    const { code } = await run("strace", [...strace, process.execPath, bin, "exec", log, "--", "bash", "-c", script], {
      env: environment(env()),
      cwd: Path.dirname(log)
    })
    expect(code).toBe(0)
    await untilExists(path("answers.done"))
    const [joined, ...answers] = read(path("answers.done")).trimEnd().split("\n")
    expect(joined).toBe("joined")
    const closed = { ok: false, reason: { _tag: "TransactionClosed" } }
    expect(answers.map((answer) => JSON.parse(answer))).toEqual([closed, closed])
    expect(recordsIn(log)).toEqual([{ n: 0 }, { n: 1 }])
  })

  it("writes on its own without the variable", async () => {
    const { exec, log } = scene()
    const script = `env -u AUDITLOG_TRANSACTIONS $A append "$LOG" --json '{"n":1}'; $PY appends 1; exit 3`
    expect(await exec(script)).toMatchObject({ code: 3 })
    expect(recordsIn(log)).toEqual([{ n: 1 }])
  })
})

describe("an append inside", () => {
  it("to another log is independent", async () => {
    const { exec, log, path } = scene()
    const script = `$A append other.jsonl --json '{"n":1}' --receipts; $A append "$LOG" --json '{"n":2}'; exit 1`
    const { code, stdout } = await exec(script)
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ seq: 0, durability: "synced" })
    expect(recordsIn(path("other.jsonl"))).toEqual([{ n: 1 }])
    expect(read(log)).toBe("")
  })

  it("finds its log through a link of the directory and under another name of the file, and refuses a link of the file as always", async () => {
    const { exec, log } = scene()
    const script = `ln -s . link; ln -s audit.jsonl alias.jsonl; ln audit.jsonl name.jsonl
      $A append link/link/audit.jsonl --json '{"n":1}'; $A append name.jsonl --json '{"n":1}'; rm name.jsonl
      $A append alias.jsonl --json '{"n":2}'; echo $?; wc -c < "$LOG"`
    const { code, stderr, stdout } = await exec(script)
    expect({ code, stdout }).toEqual({ code: 0, stdout: "2\n0\n" })
    expect(stderr).toContain("it is a symbolic link")
    expect(recordsIn(log)).toEqual([{ n: 1 }, { n: 1 }])
  })

  it("names a bad line; the lines before it are in the transaction, with --transaction none", async () => {
    const { exec, log } = scene()
    const script = `printf '{"n":1}\\n{"n":2,\\n{"n":3}\\n' | $A append "$LOG"; echo $?
      printf '{"n":4}\\n{"n":5,\\n' | $A append "$LOG" --transaction; echo $?`
    const { code, stderr, stdout } = await exec(script)
    expect({ code, stdout }).toEqual({ code: 0, stdout: "2\n2\n" })
    const fault = (n: number) =>
      `auditlog: line 2, column 8: it ends where a key in double quotes should follow\n  {"n":${n},\n         ^\n`
    expect(stderr).toBe(
      `${fault(2)}1 record before it is in the transaction of auditlog exec on ${log}; it and what follows are not\n` +
        `${fault(5)}Nothing was appended: the records are one transaction\n`
    )
    expect(recordsIn(log)).toEqual([{ n: 1 }])
  })

  it("keeps to the size policy of exec", async () => {
    const { exec, log } = scene()
    const script = `printf '{"n":1}\\n{"x":"%0500d"}\\n' 7 | $A append "$LOG" --size-policy reject --limit 600; echo $?`
    const { code, stderr, stdout } = await exec(script, { flags: ["--size-policy", "reject", "--limit", "600"] })
    expect({ code, stdout }).toEqual({ code: 0, stdout: "2\n" })
    expect(stderr).toMatch(/^auditlog: line 2: the record is 9\d\d bytes, and the limit is 600; /)
    expect(recordsIn(log)).toEqual([{ n: 1 }])
  })

  it("with another flag than exec is refused, with the same one it is not", async () => {
    const { exec, log } = scene()
    const flags = [["--sync", "5s"], ["--size-policy", "allow"], ["--limit", "5000"]] as const
    const append = (words: ReadonlyArray<string>) => `$A append "$LOG" --json '{}' ${words.join(" ")}`
    const refused = await Promise.all(flags.map((words) => exec(append(words))))
    refused.forEach((result, i) => {
      expect(result).toMatchObject({ code: 2, stdout: "" })
      expect(result.stderr).toBe(
        `auditlog: ${flags[i]![0]} differs from what auditlog exec was told, which writes this log in the end. ` +
          `Nothing was appended; give the flag to auditlog exec, or leave it out here\n`
      )
    })
    expect(read(log)).toBe("")
    const words = flags.flat()
    expect(await exec(append(words), { flags: words })).toMatchObject({ code: 0, stderr: "" })
    expect(recordsIn(log)).toHaveLength(1)
  })

  it("is told when the transaction becomes too large; what fitted lands", async () => {
    const { exec, log } = scene()
    const script = `printf '{"n":1}\\n{"n":2}\\n' | $A append "$LOG"; echo $?
      printf '{"n":3}\\n{"n":4}\\n' | $A append "$LOG" --transaction; echo $?
      printf '{"n":5}\\n{"n":6}\\n' | $A append "$LOG"; echo $?`
    // each of them is measured with 411 bytes
    const { code, stderr, stdout } = await exec(script, { env: { AUDITLOG_TRANSACTION_LIMIT: "1300" } })
    expect({ code, stdout }).toEqual({ code: 0, stdout: "0\n2\n2\n" })
    const problem = "the transaction has 4 records of 1644 bytes; the limits are 100000 records and 1300 bytes. "
    expect(stderr).toBe(
      `auditlog: ${problem}Nothing was written; split the transaction\n` +
        `auditlog: line 2: ${problem}It was not written; split the transaction\n` +
        `1 record before it is in the transaction of auditlog exec on ${log}; it and what follows are not\n`
    )
    expect(recordsIn(log)).toEqual([{ n: 1 }, { n: 2 }, { n: 5 }])
  })

  it("with a variable that auditlog has not set says so", async () => {
    const { env, log } = scene()
    const results = await Promise.all(
      ["x", "{}", `[{"file":1}]`].map((value) =>
        run(process.execPath, [bin, "append", log, "--json", "{}"], {
          env: environment(env({ AUDITLOG_TRANSACTIONS: value }))
        })
      )
    )
    for (const result of results) {
      expect(result).toMatchObject({ code: 2, stdout: "" })
      expect(result.stderr).toBe(
        "auditlog: AUDITLOG_TRANSACTIONS is not what auditlog exec has set; unset it, or do not change it\n"
      )
    }
    expect(Fs.existsSync(log)).toBe(false)
  })

  it.skipIf(because(canTrace()))("loads the channel only where there is a transaction", async () => {
    const { env, log } = scene()
    const opened = async (args: ReadonlyArray<string>): Promise<string> => {
      const trace = `${log}.trace`
      const strace = ["-f", "--seccomp-bpf", "-qq", "-e", "trace=openat,statx", "-o", trace]
      await run("strace", [...strace, process.execPath, bin, ...args], { env: environment(env()) })
      return read(trace)
    }
    const append = ["append", log, "--json", "{}"]
    const alone = await opened(append)
    expect(alone).toContain("quickAppend")
    expect(alone).not.toMatch(/joinTransaction|transactionProtocol|transactionHub|execLog/)
    expect(await opened(["exec", log, "--", process.execPath, bin, ...append])).toMatch(/joinTransaction/)
  })
})

describe("exec inside exec", () => {
  it("on the same log joins when its command succeeds and disappears when it fails", async () => {
    const { exec, leftovers, log } = scene()
    const script = `
      $A append "$LOG" --json '{"n":1}'
      $A exec "$LOG" -- bash -c '$A append "$LOG" --json "{\\"n\\":2}"; exit 4'; echo $?
      $A exec "$LOG" -- bash -c '$A append "$LOG" --json "{\\"n\\":3}"; $A exec audit.jsonl -- $PY appends 2; wc -c < "$LOG"'; echo $?
      $A exec "$LOG" -- bash -c '$PY appends 3; kill -9 $PPID; while $PY appends 1 2> /dev/null; do :; done; touch refused'
      echo $?; until [ -e refused ]; do sleep 0.02; done
      $A append "$LOG" --json '{"n":4}'`
    const { code, stderr, stdout } = await exec(script)
    expect({ code, stdout }).toEqual({ code: 0, stdout: "4\n0\n0\n137\n" })
    expect(stderr).toContain("auditlog: bash exited with 4; 1 record was discarded, nothing was appended\n")
    expect(recordsIn(log).map(({ n }) => n)).toEqual([1, 3, 0, 1, 4])
    expect(new Set(plainLines(read(log)).map(({ stamp }) => stamp.tx?.id)).size).toBe(1)
    expect(leftovers()).toEqual([])
  })

  it("disappears with the outer one, and neither lands when the outer one fails", async () => {
    const { exec, log } = scene()
    const result = await exec(`$A exec "$LOG" -- $PY appends 2; echo $?; exit 9`)
    expect(result).toMatchObject({ code: 9, stdout: "0\n" })
    expect(result.stderr).toContain("2 records were discarded")
    expect(read(log)).toBe("")
  })

  it("on another log is a transaction of its own, inside which the outer one is still found", async () => {
    const { exec, log, path } = scene()
    const script = `$A exec other.jsonl -- bash -c '
      $A append other.jsonl --json "{\\"o\\":1}"; $A append "$LOG" --json "{\\"n\\":1}"; wc -c < other.jsonl'
      exit 1`
    expect(await exec(script)).toMatchObject({ code: 1, stdout: "0\n" })
    expect(recordsIn(path("other.jsonl"))).toEqual([{ o: 1 }])
    expect(read(log)).toBe("")
  })
})

describe("two execs on one log at once", () => {
  it("land whole transactions, each on its own", async () => {
    const { exec, log } = scene()
    const script = (name: string, other: string) =>
      `$A append "$LOG" --json '{"who":"${name}"}'; touch ${name}; until [ -e ${other} ]; do sleep 0.02; done
       $A append "$LOG" --json '{"who":"${name}"}'`
    const results = await Promise.all([exec(script("ada", "bob")), exec(script("bob", "ada"))])
    expect(results.map(({ code }) => code)).toEqual([0, 0])
    const found = plainLines(read(log)).map(({ record, stamp }) => [record["who"], stamp.tx?.i, stamp.tx?.n])
    expect(found).toHaveLength(4)
    for (const who of ["ada", "bob"]) {
      expect(found.filter(([name]) => name === who)).toEqual([[who, 0, 2], [who, 1, 2]])
    }
  })
})

describe("what is no request", () => {
  const hex = (text: string): string => Buffer.from(text).toString("hex")

  it("ends its own connection and nothing else", async () => {
    const { exec, log } = scene()
    const requests = [
      hex("hello\n"),
      hex("\n"),
      hex("{}\n"),
      hex("[".repeat(100_000) + "\n"),
      "00ff00fe0a",
      hex(`{"op":"append","at":"2026-11-23T09:15:02.114Z","record":"{}"}\n`),
      hex(`{"op":"begin"}\n`),
      hex(`{"op":"join","version":99,"id":"x"}\n`)
    ]
    const script = "$PY raw; $PY flood 50000000; $PY appends 1"
    const { code, stderr, stdout } = await exec(script, { input: requests.join("\n") })
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    const answers = stdout.trimEnd().split("\n").map((line) => JSON.parse(line))
    expect(answers).toHaveLength(requests.length + 1)
    for (const answer of answers) {
      expect(answer).toMatchObject({ ok: false, reason: { _tag: "Unavailable", committed: "no" } })
    }
    expect(recordsIn(log)).toEqual([{ n: 0 }])
  })

  it("in a joined connection lets nothing but records into the log", async () => {
    const { exec, log } = scene()
    const append = (record: string, at = "2026-11-23T09:15:02.114Z"): string =>
      hex(JSON.stringify({ op: "append", at, record }) + "\n")
    const bad = [
      append(`{"a":1},"_hash":"x"`),
      append(`{"_audit":{}}`),
      append(`{"a":1,"a":2}`),
      append("[]"),
      append("{}", `2026","key":"x`),
      append(`{"x":"${"y".repeat(1_100_000)}"}`),
      hex(`{"op":"commit"}\n`)
    ]
    const { code, stderr, stdout } = await exec("$PY raw joined; $PY appends 1", { input: bad.join("\n") })
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    const tags = stdout.trimEnd().split("\n").map((line) => JSON.parse(line).reason._tag)
    expect(tags).toEqual([
      "InvalidRecord",
      "InvalidRecord",
      "InvalidRecord",
      "InvalidRecord",
      "Unavailable",
      "RecordTooLarge",
      "Unavailable"
    ])
    expect(recordsIn(log)).toEqual([{ n: 0 }])
  })
})

describe("a run that cannot land", () => {
  it("does not start: the log cannot be opened, the call is wrong, or there is no room for the channel", async () => {
    const { env, log, path } = scene()
    const marker = path("started")
    const attempt = async (
      [args, message, extra = {}]: readonly [ReadonlyArray<string>, string, Readonly<Record<string, string>>?]
    ) => ({ message, ...await run(process.execPath, [bin, "exec", ...args], { env: environment(env(extra)) }) })
    const touch = ["touch", marker]
    const results = await Promise.all(([
      [[path("no/audit.jsonl"), "--", ...touch], "there is no directory"],
      [[Path.dirname(log), "--", ...touch], "it is a directory"],
      [[log, ...touch], "the log comes before two dashes"],
      [["--", ...touch], "the log comes before two dashes"],
      [[log, "--"], "Missing required argument: command"],
      [[log, "--sync", "often", "--", ...touch], "sync"],
      [[log, "--", ...touch], "AUDITLOG_SYNC", { AUDITLOG_SYNC: "often" }],
      [[log, "--", ...touch], "Set TMPDIR to a directory", { TMPDIR: path("nowhere") }]
    ] as const).map(attempt))
    for (const { message, ...result } of results) {
      expect(result).toMatchObject({ code: 2, stdout: "" })
      expect(result.stderr).toContain(message)
      expect(result.stderr).not.toMatch(stackTrace)
    }
    expect(Fs.existsSync(marker)).toBe(false)
  })

  it.skipIf(because(cannotMount()))("says that the records are not in the log when the disk is full", async () => {
    const { env, leftovers } = scene()
    const log = Path.join(smallFileSystem("64k"), "audit.jsonl")
    const script = `$PY appends 3; dd if=/dev/zero of="$(dirname "$LOG")/fill" bs=4k 2> /dev/null; true`
    const result = await run(process.execPath, [bin, "exec", log, "--", "bash", "-c", script], {
      env: environment(env({ LOG: log }))
    })
    expect(result).toMatchObject({ code: 2, stdout: "" })
    expect(result.stderr.split("\n").filter((line) => !line.includes("it does not survive a restart")).join("\n")).toBe(
      `auditlog: bash succeeded, but its 3 records are not in ${log}: no room to append to ${log} (ENOSPC). ` +
        `Nothing was written; make room and try again\n`
    )
    expect(read(log)).toBe("")
    expect(leftovers()).toEqual([])
  })

  it.skipIf(because(canTrace()))("says that the records may be in the log when the flush fails", async () => {
    const { env, log } = scene()
    const strace = [
      "-f",
      "--seccomp-bpf",
      "-qq",
      "-o",
      "/dev/null",
      "-P",
      log,
      "-e",
      "inject=fdatasync:error=EIO:when=1"
    ]
    const result = await run("strace", [
      ...strace,
      process.execPath,
      bin,
      "exec",
      log,
      "--",
      "bash",
      "-c",
      "$PY appends 2"
    ], {
      env: environment(env())
    })
    expect(result).toMatchObject({ code: 2, stdout: "" })
    expect(result.stderr).toContain(
      `auditlog: bash succeeded, but its 2 records may be in ${log} or not, all of them or none: `
    )
  })
})

describe("the directory of the channel", () => {
  it("is closed to other users, also under a long TMPDIR", async () => {
    const { exec, log, path } = scene()
    const script =
      `S=$(python3 -c 'import json,os; print(json.loads(os.environ["AUDITLOG_TRANSACTIONS"])[-1]["socket"])')
      stat -c '%a %F' "$(dirname "$S")"; stat -c '%F' "$S"; echo "$S"; $A append "$LOG" --json '{}'`
    const long = path("d".repeat(120))
    Fs.mkdirSync(long)
    for (const TMPDIR of [Path.dirname(log), long]) {
      const { code, stderr, stdout } = await exec(`umask 0; ${script}`, { env: { TMPDIR } })
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      const [mode, kind, socket] = stdout.split("\n")
      expect([mode, kind]).toEqual(["700 directory", "socket"])
      expect(Fs.existsSync(Path.dirname(socket!))).toBe(false)
    }
    expect(recordsIn(log)).toHaveLength(2)
  })
})
