/**
 * A PostgreSQL server of a test's own: a directory, a port and a password that nobody else has, started from the binaries
 * of the system as a user that is not root, and gone with the process that started it.
 *
 * The server runs under a shell that waits for the end of its stdin, which the kernel closes when the test's process is
 * gone, also by SIGKILL: the shell then stops the server and removes the directory.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

/** Where the Debian packages put the binaries, newest first; elsewhere they are on the PATH. */
const binDirectories = (): ReadonlyArray<string> => {
  const debian = "/usr/lib/postgresql"
  const versions = Fs.existsSync(debian) ? Fs.readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  return [...versions.map((version) => Path.join(debian, version, "bin")), ...(process.env["PATH"] ?? "").split(":")]
}

const bin = (): string | undefined =>
  binDirectories().find((directory) =>
    ["initdb", "postgres", "psql"].every((program) => Fs.existsSync(Path.join(directory, program)))
  )

const isRoot = process.getuid?.() === 0

/** Who the server runs as: it refuses root. */
const serverUser = (): { readonly uid?: number; readonly gid?: number } | undefined => {
  if (!isRoot) return {}
  for (const user of ["postgres", "nobody"]) {
    const uid = spawnSync("id", ["-u", user], { encoding: "utf8" })
    const gid = spawnSync("id", ["-g", user], { encoding: "utf8" })
    if (uid.status === 0 && gid.status === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  }
  return undefined
}

/** Why no server can be had here, for the message of a skipped test; `undefined` where one can. */
export const whyNoPostgres = (): string | undefined => {
  if (bin() === undefined) return "PostgreSQL is not installed; run .ci/system as root, or apt-get install postgresql"
  return serverUser() === undefined ? "PostgreSQL refuses to run as root, and there is no user postgres" : undefined
}

/** How long the server may take to start, which includes its recovery after a crash, or to stop. */
const startMillisMax = 60_000
const stopMillisMax = 20_000

const pollMillis = 20

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = Net.createServer()
    probe.on("error", reject)
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address()
      probe.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port"))
      )
    })
  })

export interface PostgresOptions {
  /** Settings of the server, such as `{ max_connections: "200" }`. */
  readonly settings?: Readonly<Record<string, string>>
}

/** The machine stays up while the tests run, so nothing is flushed for a crash of it; a bench asks for `on`. */
const settingsDefault = { fsync: "off", max_connections: "60", log_min_messages: "warning" }

export class Postgres {
  readonly port: number
  readonly password: string
  private readonly directory: string
  private readonly settings: Readonly<Record<string, string>>
  private shell: ChildProcess | undefined

  private constructor(directory: string, port: number, password: string, options: PostgresOptions) {
    this.directory = directory
    this.port = port
    this.password = password
    this.settings = { ...settingsDefault, ...options.settings }
  }

  /** Makes an empty cluster and starts its server. */
  static async make(options: PostgresOptions = {}): Promise<Postgres> {
    const why = whyNoPostgres()
    if (why !== undefined) throw new Error(why)
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-postgres-"))
    const password = randomBytes(12).toString("hex")
    const passwordFile = Path.join(directory, "password")
    Fs.writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
    const { gid, uid } = serverUser() ?? {}
    if (uid !== undefined && gid !== undefined) {
      for (const path of [directory, passwordFile]) Fs.chownSync(path, uid, gid)
    }
    const server = new Postgres(directory, await freePort(), password, options)
    const access = [
      "--username=postgres",
      `--pwfile=${passwordFile}`,
      "--auth-local=trust",
      "--auth-host=scram-sha-256"
    ]
    server.run("initdb", [`--pgdata=${server.data}`, ...access, "--encoding=UTF8", "--locale=C", "--no-sync"])
    await server.start()
    return server
  }

  /** How clients reach a database of the server. */
  url(database = "postgres"): string {
    return `postgres://postgres:${this.password}@127.0.0.1:${this.port}/${database}`
  }

  /** Starts the server, after {@link crash} with recovery, and returns when it takes connections. */
  async start(): Promise<void> {
    const settings = Object.entries(this.settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
    // PostgreSQL's own children may outlive it for a moment, so the directory is removed until nothing of it is left
    const script = `"$@" >>"$0/log" 2>&1 & server=$!; cat >/dev/null; kill -QUIT "$server" 2>/dev/null; ` +
      `wait "$server"; if [ -e "$0/temporary" ]; then until rm -rf "$0" 2>/dev/null; do sleep 0.1; done; fi`
    Fs.writeFileSync(Path.join(this.directory, "temporary"), "")
    const where = ["-D", this.data, "-k", this.directory, "-h", "127.0.0.1", "-p", String(this.port)]
    this.shell = spawn("sh", ["-c", script, this.directory, this.program("postgres"), ...where, ...settings], {
      ...serverUser(),
      cwd: this.directory,
      stdio: ["pipe", "ignore", "ignore"]
    })
    this.shell.stdin?.on("error", () => undefined)
    await this.until("start", startMillisMax, () => this.status() === "ready")
  }

  /** Stops the server and removes everything of it. */
  async stop(): Promise<void> {
    if (this.shell !== undefined) await this.end("SIGINT")
    Fs.rmSync(this.directory, { recursive: true, force: true })
  }

  /** Ends the server as a crash does: every connection breaks, and the next {@link start} recovers from the WAL. */
  async crash(): Promise<void> {
    await this.end("SIGQUIT")
  }

  /** Runs SQL as the superuser through psql; returns its rows, columns separated by `|`. */
  query(sql: string, database = "postgres"): ReadonlyArray<string> {
    const where = ["-h", this.directory, "-p", String(this.port), "-U", "postgres", "-d", database]
    const text = this.run("psql", [...where, "-v", "ON_ERROR_STOP=1", "-qAtX", "-c", sql])
    return text === "" ? [] : text.trimEnd().split("\n")
  }

  /** Makes an empty database and returns its URL. */
  database(name: string): string {
    this.query(`CREATE DATABASE "${name}"`)
    return this.url(name)
  }

  /** Ends backends of which a condition on `pg_stat_activity` holds, as an administrator does; how many there were. */
  terminate(condition: string): number {
    const [count = "0"] = this.query(
      `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND (${condition})`
    )
    return Number(count)
  }

  /** What every backend is doing, and the locks that are waited for: for the message of a test that waits in vain. */
  describe(): string {
    try {
      return [
        ...this.query(
          "SELECT pid, application_name, state, wait_event_type, wait_event, left(query, 80) " +
            "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ),
        ...this.query(
          "SELECT pid, locktype, mode, granted, relation::regclass, objid FROM pg_locks WHERE pid IS NOT NULL"
        )
      ].join("\n")
    } catch (error) {
      return `it does not answer: ${String(error)}\n${this.logTail()}`
    }
  }

  private get data(): string {
    return Path.join(this.directory, "data")
  }

  /** Lines of `postmaster.pid`: the first is the process, the eighth says whether connections are taken. */
  private get lines(): ReadonlyArray<string> {
    try {
      return Fs.readFileSync(Path.join(this.data, "postmaster.pid"), "utf8").split("\n").map((line) => line.trim())
    } catch {
      return []
    }
  }

  private status(): string | undefined {
    return this.lines[7]
  }

  private logTail(): string {
    const path = Path.join(this.directory, "log")
    return Fs.existsSync(path) ? Fs.readFileSync(path, "utf8").slice(-2000) : "it has written no log"
  }

  private program(name: string): string {
    return Path.join(bin() ?? "", name)
  }

  private run(program: string, args: ReadonlyArray<string>): string {
    const { error, status, stderr, stdout } = spawnSync(this.program(program), args, {
      ...serverUser(),
      cwd: this.directory,
      encoding: "utf8",
      env: { PATH: process.env["PATH"], LC_ALL: "C" },
      timeout: startMillisMax
    })
    if (error !== undefined || status !== 0) {
      throw new Error(`${program}: ${error?.message ?? (stderr.trim() || `exit ${status}`)}`)
    }
    return stdout
  }

  private async end(signal: "SIGINT" | "SIGQUIT"): Promise<void> {
    const { shell } = this
    if (shell === undefined) throw new Error("the server is not running")
    const pid = Number(this.lines[0])
    Fs.rmSync(Path.join(this.directory, "temporary"), { force: true })
    if (pid > 0) process.kill(pid, signal)
    await this.until("stop", stopMillisMax, () => this.lines.length === 0).catch((error: unknown) => {
      if (pid > 0) process.kill(pid, "SIGKILL")
      throw error
    })
    this.shell = undefined
    if (shell.exitCode === null) {
      const exited = new Promise((resolve) => shell.once("exit", resolve))
      shell.stdin?.end()
      await exited
    }
  }

  private async until(what: string, millis: number, condition: () => boolean): Promise<void> {
    const deadline = performance.now() + millis
    while (!condition()) {
      if (performance.now() > deadline) {
        throw new Error(`PostgreSQL did not ${what} within ${millis / 1000} s:\n${this.logTail()}`)
      }
      await sleep(pollMillis)
    }
  }
}
