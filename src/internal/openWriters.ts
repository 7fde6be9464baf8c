/**
 * Who has a file open for writing. From /proc, which needs no lock that writers would have to know of.
 *
 * Nothing is opened or followed but /proc itself: fdinfo gives the access mode and the inode number of a descriptor
 * without touching what is behind it, which may be a network mount that hangs.
 */
import * as Context from "effect/Context"
import * as Fs from "node:fs"

/** A process, by its number and the name the kernel shows for it. */
interface Process {
  readonly pid: number
  readonly command: string
}

export interface Findings {
  readonly writers: ReadonlyArray<Process>
  /** Processes that this one may not look into. */
  readonly unseen: ReadonlyArray<Process>
  /** Why the search as a whole is no proof; `undefined` if it is one. */
  readonly blind: string | undefined
  /** What a person should know about a search that has worked. */
  readonly notes: ReadonlyArray<string>
}

/** The access mode in the flags of a descriptor: 0 is reading only. */
const accessMode = 0o3

/** The number that the first PID namespace of every Linux system has. */
const firstNamespace = "pid:[4026531836]"

const readText = (path: string): string | undefined => {
  try {
    return Fs.readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}

/** Access mode and inode number of a descriptor; the inode number stands there since Linux 5.14. */
const parseInfo = (text: string): { readonly writes: boolean; readonly inode: string | undefined } => ({
  writes: (Number.parseInt(/^flags:\s*([0-7]+)/m.exec(text)?.[1] ?? "0", 8) & accessMode) !== 0,
  inode: /^ino:\s*(\d+)/m.exec(text)?.[1]
})

/** The state letter, the parent and the flags of a process, after its name, which may hold any character. */
const statOf = (pid: string): ReadonlyArray<string> =>
  readText(`/proc/${pid}/stat`)?.replace(/^.*\) /s, "").split(" ") ?? []

const kernelThread = 0x00200000

/** A thread of the kernel or a process that has ended: it has no files. */
const hasNoFiles = (pid: string): boolean => {
  const stat = statOf(pid)
  return stat.length === 0 || "ZXx".includes(stat[0]!) || (Number(stat[6]) & kernelThread) !== 0
}

const processOf = (pid: string): Process => ({
  pid: Number(pid),
  command: readText(`/proc/${pid}/comm`)?.trimEnd() ?? "?"
})

/** Whether one process writes the file; `undefined` if it cannot be said. */
const writes = (pid: string, own: { readonly inode: string | undefined; readonly stat: Fs.BigIntStats }) => {
  let unseen = false
  let descriptors: ReadonlyArray<string>
  try {
    descriptors = Fs.readdirSync(`/proc/${pid}/fdinfo`)
  } catch (cause) {
    return isGone(cause) ? false : undefined
  }
  for (const descriptor of descriptors) {
    try {
      const info = parseInfo(Fs.readFileSync(`/proc/${pid}/fdinfo/${descriptor}`, "utf8"))
      if (!info.writes || (own.inode !== undefined && info.inode !== own.inode)) continue
      const stat = Fs.statSync(`/proc/${pid}/fd/${descriptor}`, { bigint: true })
      if (stat.dev === own.stat.dev && stat.ino === own.stat.ino) return true
    } catch (cause) {
      if (!isGone(cause)) unseen = true
    }
  }
  return unseen ? undefined : false
}

const isGone = (cause: unknown): boolean =>
  ["ENOENT", "ESRCH"].includes((cause as { readonly code?: string }).code ?? "")

const nothing: Omit<Findings, "blind"> = { writers: [], unseen: [], notes: [] }

/** Looks at every process, this one too. `fd` is the file, open for reading. */
const searchProc = (fd: number): Findings => {
  // what other descriptors of the file show, which on overlayfs is not what stat shows
  const info = readText(`/proc/self/fdinfo/${fd}`)
  if (info === undefined) return { ...nothing, blind: "this system has no /proc that shows open files" }
  const own = { inode: parseInfo(info).inode, stat: Fs.fstatSync(fd, { bigint: true }) }
  const pids = Fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name))
  const writers: Array<Process> = []
  const unseen: Array<Process> = []
  for (const pid of pids) {
    const found = writes(pid, own)
    if (found === true) writers.push(processOf(pid))
    if (found === undefined && !hasNoFiles(pid)) unseen.push(processOf(pid))
  }
  // the first process always exists: where it is not listed, /proc hides those of other users (hidepid)
  const blind = pids.includes("1") ? undefined : "/proc hides the processes of other users"
  return { writers, unseen, blind, notes: inContainer() ? [containerNote] : [] }
}

const containerNote = "processes outside this container cannot be seen from here"

const inContainer = (): boolean => {
  try {
    return Fs.readlinkSync("/proc/self/ns/pid") !== firstNamespace
  } catch {
    return false
  }
}

/** The search in use; tests provide another one. */
export const OpenWriters = Context.Reference<(fd: number) => Findings>("effect-auditlog/internal/OpenWriters", {
  defaultValue: () => searchProc
})
