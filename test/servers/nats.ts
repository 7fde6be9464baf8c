/**
 * NATS servers with JetStream of a test's own, alone or as a cluster: ports and directories that nobody else has, and
 * gone with the process that started them.
 *
 * Each server runs under a shell that waits for the end of its stdin, which the kernel closes when the test's process is
 * gone, also by SIGKILL.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

/** Why no server can be had here, for the message of a skipped test; `undefined` where one can. */
export const whyNoNats = (): string | undefined =>
  spawnSync("nats-server", ["--version"]).status === 0
    ? undefined
    : "nats-server is not installed; run .ci/system as root, or apt-get install nats-server"

const startMillisMax = 60_000
const pollMillis = 20

const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const probes = await Promise.all(Array.from({ length: count }, () =>
    new Promise<Net.Server>((resolve, reject) => {
      const probe = Net.createServer()
      probe.on("error", reject)
      probe.listen(0, "127.0.0.1", () => resolve(probe))
    })))
  const ports = probes.map((probe) => (probe.address() as Net.AddressInfo).port)
  await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))))
  return ports
}

interface Server {
  readonly name: string
  readonly port: number
  readonly monitor: number
  readonly directory: string
  readonly config: string
  shell: ChildProcess | undefined
}

export interface NatsOptions {
  /** Lines for the configuration of every server, such as users. */
  readonly config?: string
}

export class Nats {
  private readonly servers: ReadonlyArray<Server>
  private readonly directory: string

  private constructor(directory: string, servers: ReadonlyArray<Server>) {
    this.directory = directory
    this.servers = servers
  }

  /** Starts one server, or a cluster of several. */
  static async make(size: 1 | 3, options: NatsOptions = {}): Promise<Nats> {
    const why = whyNoNats()
    if (why !== undefined) throw new Error(why)
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-nats-"))
    const ports = await freePorts(3 * size)
    const numbers = Array.from({ length: size }, (_, i) => i)
    const routes = numbers.map((i) => `nats-route://127.0.0.1:${ports[2 * size + i]}`)
    const servers = numbers.map((i): Server => {
      const own = Path.join(directory, `n${i}`)
      Fs.mkdirSync(own)
      const config = Path.join(own, "nats.conf")
      Fs.writeFileSync(
        config,
        [
          `server_name: n${i}`,
          `listen: "127.0.0.1:${ports[i]}"`,
          `http: "127.0.0.1:${ports[size + i]}"`,
          `log_file: "${own}/log"`,
          `jetstream { store_dir: "${own}/store", max_memory_store: 67108864, max_file_store: 2147483648 }`,
          ...(size > 1
            ? [`cluster { name: test, listen: "127.0.0.1:${ports[2 * size + i]}", routes: [${routes.join(", ")}] }`]
            : []),
          options.config ?? ""
        ].join("\n")
      )
      return { name: `n${i}`, port: ports[i]!, monitor: ports[size + i]!, directory: own, config, shell: undefined }
    })
    const nats = new Nats(directory, servers)
    for (const i of numbers) nats.spawn(i)
    await nats.ready()
    return nats
  }

  /** How clients reach the servers. */
  get urls(): ReadonlyArray<string> {
    return this.servers.map(({ port }) => `nats://127.0.0.1:${port}`)
  }

  /** The number of the server with a name, such as that of a stream's leader. */
  numberOf(name: string): number {
    return this.servers.findIndex((server) => server.name === name)
  }

  get numbers(): ReadonlyArray<number> {
    return this.servers.map((_, i) => i)
  }

  /** Ends a server at once. */
  async kill(i: number): Promise<void> {
    const server = this.servers[i]!
    const { shell } = server
    if (shell === undefined) return
    server.shell = undefined
    const exited = new Promise((resolve) => shell.once("exit", resolve))
    // the shell ends the server with SIGKILL when its stdin ends
    shell.stdin?.end()
    await exited
  }

  /** Starts a server that was killed. */
  async start(i: number): Promise<void> {
    this.spawn(i)
    await this.ready()
  }

  /** Starts all that were killed. */
  async startAll(): Promise<void> {
    for (const i of this.numbers) if (this.servers[i]!.shell === undefined) this.spawn(i)
    await this.ready()
  }

  /** Ends all servers and removes everything of them. */
  async stop(): Promise<void> {
    await Promise.all(this.numbers.map((i) => this.kill(i)))
    Fs.rmSync(this.directory, { recursive: true, force: true })
  }

  /** The ends of the servers' logs, for the message of a test that waits in vain. */
  describe(): string {
    return this.servers.map(({ directory, name, shell }) => {
      const path = Path.join(directory, "log")
      const tail = Fs.existsSync(path) ? Fs.readFileSync(path, "utf8").slice(-800) : "no log"
      return `${name} (${shell === undefined ? "not running" : "running"}): ${tail}`
    }).join("\n")
  }

  private spawn(i: number): void {
    const server = this.servers[i]!
    // the server is ended by the shell's own end; the directory goes when nobody is left to remove it
    const script = `"$@" >/dev/null 2>&1 & server=$!; cat >/dev/null; kill -KILL "$server" 2>/dev/null; wait "$server"`
    server.shell = spawn("sh", ["-c", script, "nats", "nats-server", "-c", server.config], {
      stdio: ["pipe", "ignore", "ignore"]
    })
    server.shell.stdin?.on("error", () => undefined)
  }

  private async ready(): Promise<void> {
    const deadline = performance.now() + startMillisMax
    for (const { monitor, name, shell } of this.servers) {
      if (shell === undefined) continue
      while (!(await isHealthy(monitor))) await this.poll(deadline, `the NATS server ${name} was not ready`)
    }
    const running = this.servers.filter(({ shell }) => shell !== undefined)
    if (this.servers.length === 1 || running.length < 2) return
    // each is healthy with a leader of its own while they elect one, and that one answers nobody yet
    for (let agreed = false; !agreed;) {
      const leaders = await Promise.all(running.map(({ monitor }) => leaderOf(monitor)))
      agreed = leaders.every((leader) => leader !== undefined && leader === leaders[0])
      if (!agreed) await this.poll(deadline, "the NATS servers had no leader")
    }
  }

  private async poll(deadline: number, problem: string): Promise<void> {
    if (performance.now() > deadline) {
      throw new Error(`${problem} within ${startMillisMax} ms:\n${this.describe()}`)
    }
    await sleep(pollMillis)
  }
}

const ask = async (monitor: number, path: string): Promise<Response | undefined> => {
  try {
    return await fetch(`http://127.0.0.1:${monitor}/${path}`, { signal: AbortSignal.timeout(1000) })
  } catch {
    return undefined
  }
}

const isHealthy = async (monitor: number): Promise<boolean> => (await ask(monitor, "healthz"))?.status === 200

/** Whom a server of a cluster takes for the leader. */
const leaderOf = async (monitor: number): Promise<string | undefined> => {
  const response = await ask(monitor, "jsz")
  const body: unknown = await response?.json().catch(() => undefined)
  return (body as { readonly meta_cluster?: { readonly leader?: string } } | undefined)?.meta_cluster?.leader
}
