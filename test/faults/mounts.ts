/**
 * File systems of our own for the fault suite, in a mount namespace of our own: nothing outside sees them, and the kernel
 * takes mounts and loop devices away when the last process in the namespace is gone, also after SIGKILL of the tests.
 * The process that holds the namespace open ends with its stdin.
 */
import { spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

const isRoot = process.getuid?.() === 0

/** What starts the process that holds a namespace, which says so when it is in it. */
const holder = [
  "unshare",
  ...isRoot ? ["--mount"] : ["--user", "--map-root-user", "--mount"],
  "sh",
  "-c",
  "echo ready && exec cat"
]

export class Mounts {
  /** A directory of this test, outside and inside of the namespace. */
  readonly directory: string
  /** What starts a program inside the namespace. */
  readonly enter: ReadonlyArray<string>
  private readonly inside: string

  constructor(directory: string, pid: number) {
    this.directory = directory
    this.inside = `/proc/${pid}/root`
    this.enter = isRoot
      ? ["nsenter", "--mount", `--target=${pid}`, "--"]
      : ["nsenter", "--user", "--preserve-credentials", "--mount", `--target=${pid}`, "--"]
  }

  /** How this process names a file that has `path` inside the namespace. */
  seen(path: string): string {
    return `${this.inside}${path}`
  }

  path(name: string): string {
    return Path.join(this.directory, name)
  }

  /** Runs a program inside, and throws what it says if it fails. */
  run(command: string, ...args: ReadonlyArray<string>): string {
    const [file = "", ...rest] = [...this.enter, command, ...args]
    const { error, status, stderr, stdout } = spawnSync(file, rest, {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C" }
    })
    if (error !== undefined || status !== 0) {
      throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? (stderr.trim() || `exit ${status}`)}`)
    }
    return stdout
  }

  /** A tmpfs of a size; returns where it is. */
  tmpfs(name: string, size: string): string {
    const at = this.path(name)
    Fs.mkdirSync(at, { recursive: true })
    this.run("mount", "-t", "tmpfs", "-o", `size=${size}`, "tmpfs", at)
    return at
  }

  /** Makes a sparse image with a file system in it; a path inside the namespace, like all of them here. */
  image(image: string, type: FileSystem, sizeMiB: number, options: ReadonlyArray<string> = []): string {
    Fs.truncateSync(this.seen(this.touch(image)), sizeMiB * 1024 * 1024)
    this.run(`mkfs.${type}`, "-q", ...options, image)
    return image
  }

  /** Mounts an image through a loop device; returns where it is. */
  loop(image: string, name: string, options: ReadonlyArray<string> = []): string {
    const at = this.path(name)
    Fs.mkdirSync(at, { recursive: true })
    this.run("mount", "-o", ["loop", ...options].join(","), image, at)
    return at
  }

  unmount(at: string): void {
    this.run("umount", at)
  }

  private touch(path: string): string {
    Fs.closeSync(Fs.openSync(this.seen(path), "w"))
    return path
  }
}

export type FileSystem = "ext4" | "xfs"

/** Runs a block with a directory that is removed when it ends. */
export const withDirectory = async <A>(use: (directory: string) => Promise<A>): Promise<A> => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-"))
  try {
    return await use(directory)
  } finally {
    Fs.rmSync(directory, { recursive: true, force: true })
  }
}

/** Runs a block with a namespace to mount in; all of it is gone when the block ends, however it ends. */
export const withMounts = <A>(use: (mounts: Mounts) => Promise<A>): Promise<A> =>
  withDirectory(async (directory) => {
    const [command = "", ...args] = holder
    const held = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] })
    const closed = new Promise((resolve) => held.once("close", resolve))
    try {
      await new Promise((resolve, reject) => {
        held.stdout.once("data", resolve)
        held.once("error", reject).once("close", () => reject(new Error(`${holder.join(" ")} failed`)))
      })
      return await use(new Mounts(directory, held.pid ?? 0))
    } finally {
      held.stdin.end()
      await closed
    }
  })

const has = (command: string): boolean => spawnSync("sh", ["-c", `command -v ${command}`]).status === 0

const missing = (...commands: ReadonlyArray<string>): string | undefined => {
  const absent = commands.filter((command) => !has(command))
  return absent.length === 0 ? undefined : `${absent.join(" and ")} not installed; see .ci/system`
}

const refused = (commands: string): string | undefined => {
  const { status, stderr } = spawnSync("unshare", [...holder.slice(1, -3), "sh", "-ec", commands], { encoding: "utf8" })
  return status === 0 ? undefined : `not permitted here: ${stderr.trim().split("\n").at(-1)}`
}

/** Why no tmpfs can be mounted here, if so. */
export const cannotMountTmpfs = (): string | undefined =>
  missing("unshare", "nsenter", "mount") ?? refused("mount -t tmpfs tmpfs /mnt")

/** Why no image with this file system can be made and mounted here, if so. */
export const cannotMountImage = (type: FileSystem): string | undefined =>
  missing("unshare", "nsenter", "mount", `mkfs.${type}`) ??
    (isRoot ? undefined : "only root can mount an image") ??
    refused(`
      mount -t tmpfs tmpfs /mnt
      truncate -s 320M /mnt/image
      mkfs.${type} -q /mnt/image
      mkdir /mnt/at
      mount -o loop /mnt/image /mnt/at
    `)
