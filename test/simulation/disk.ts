/**
 * A disk in memory: what is written, what of it is durable, and faults by chance. Its `write` behaves as libuv's does: a
 * short write is followed by another one for the rest, with whatever others have appended in between.
 */
import { constants } from "node:fs"
import { basename } from "node:path"
import type { Answer, Request } from "./port.ts"

/** The chance of each fault, from 0 to 1, at each call that it can hit. */
export interface Faults {
  /** A write(2) takes only a part; the rest follows as a write of its own. */
  readonly short: number
  /** A write(2) finds the disk full after a part of it, or at once. */
  readonly full: number
  /** The process dies at a call; a write may have taken a part. */
  readonly kill: number
  /** A write fails with EIO, after a part of it. */
  readonly writeError: number
  /** A flush fails, and what was to be flushed is lost if the power goes. */
  readonly flushError: number
  /** Somebody renames the log before a call. */
  readonly rotate: number
  /** A program without our protocol appends a line, or a piece of one, before a call. */
  readonly foreign: number
  /** The power goes before a call: every process is dead, and what was not flushed may be gone. */
  readonly power: number
}

/** Nothing goes wrong. */
export const none: Faults = {
  short: 0,
  full: 0,
  kill: 0,
  writeError: 0,
  flushError: 0,
  rotate: 0,
  foreign: 0,
  power: 0
}

interface Inode {
  readonly id: number
  bytes: Buffer
  /** The bytes that survive a power cut for certain. */
  durable: number
  links: number
}

/** A write that is not finished: the bytes that remain, and how many are written. */
export interface Unfinished {
  readonly inode: Inode
  readonly rest: Buffer
  readonly written: number
}

export type Step =
  | { readonly _tag: "Answer"; readonly answer: Answer }
  | { readonly _tag: "Killed" }
  | { readonly _tag: "Continue"; readonly unfinished: Unfinished }

const directory = "/log"
export const logPath = `${directory}/audit.jsonl`

const answer = (value: string | number | null): Step => ({ _tag: "Answer", answer: { value } })
const failure = (code: string, errno: number): Step => ({ _tag: "Answer", answer: { error: { code, errno } } })

export class Disk {
  /** All files that ever were, in the order of their creation: rotated ones first, the live one last. */
  readonly inodes: Array<Inode> = []
  private live: Inode | undefined
  private readonly descriptors = new Map<number, Inode>()
  private nextDescriptor = 3
  private readonly locks = new Set<string | number>()
  /** Files that were the live one, by the names they have now. */
  private readonly renamed = new Map<string, Inode>()
  private readonly random: () => number
  private readonly faults: Faults

  constructor(random: () => number, faults: Faults) {
    this.random = random
    this.faults = faults
  }

  /** Whether chance lets this happen now. */
  happens(fault: keyof Faults): boolean {
    return this.faults[fault] > 0 && this.random() < this.faults[fault]
  }

  /** What the world outside our processes does between two calls. */
  disturb(): void {
    if (this.happens("rotate")) this.live = undefined
    if (this.live !== undefined && this.happens("foreign")) {
      const line = Buffer.from(`{"foreign":${Math.floor(this.random() * 1000)}}\n`)
      // a torn piece is the fault of that program; ours must not lose a record over it
      append(this.live, this.random() < 0.3 ? line.subarray(0, this.below(line.length)) : line)
    }
  }

  /** Takes one call of a process, or the next part of a write that is not finished. */
  step(call: Request | Unfinished): Step {
    if ("rest" in call) return this.write(call)
    const [first = "", second = ""] = call.args
    if (call.call !== "write" && this.happens("kill")) return { _tag: "Killed" }
    switch (call.call) {
      case "fileSystemType":
        return answer(0xef53)
      case "unlink":
        return this.locks.delete(first) ? answer(null) : failure("ENOENT", -2)
      case "lstat":
        if (first !== logPath) return answer(null)
        return answer(this.live === undefined ? null : JSON.stringify(statOf(this.live)))
      case "identity":
        return answer(this.live === undefined ? null : `1:${this.live.id}`)
      case "open": {
        if (first !== logPath) {
          // the lock of a rotation
          if (this.locks.has(first)) return failure("EEXIST", -17)
          this.locks.add(first)
          return answer(0)
        }
        if (this.live === undefined) {
          if ((Number(second) & constants.O_CREAT) === 0) return failure("ENOENT", -2)
          this.live = { id: this.inodes.length, bytes: Buffer.alloc(0), durable: 0, links: 1 }
          this.inodes.push(this.live)
        }
        this.descriptors.set(this.nextDescriptor, this.live)
        return answer(this.nextDescriptor++)
      }
      case "close":
        this.descriptors.delete(Number(first))
        return answer(null)
      case "fstat":
        return answer(JSON.stringify(statOf(this.inode(first))))
      case "identityOf":
        return answer(`1:${this.inode(first).id}`)
      case "read": {
        const [, position = 0, length = 0] = call.args.map(Number)
        return answer(this.inode(first).bytes.toString("latin1", position, position + length))
      }
      case "write":
        return this.write({ inode: this.inode(first), rest: Buffer.from(String(second), "latin1"), written: 0 })
      case "rename":
        if (this.live === undefined) return failure("ENOENT", -2)
        this.replace(String(second), this.live)
        this.live = undefined
        return answer(null)
      case "list":
        return answer([...this.renamed.keys()].map((path) => basename(path)).join("\n"))
      case "fsyncDirectory":
        return answer(null)
      case "fsync":
      case "fdatasync": {
        if (this.happens("flushError")) return failure("EIO", -5)
        const inode = this.inode(first)
        inode.durable = inode.bytes.length
        return answer(null)
      }
      default:
        throw new Error(`no such call: ${call.call}`)
    }
  }

  /** Cuts the power: of what was not flushed, some bytes from the start survive, and NUL bytes may follow. */
  cutPower(): void {
    for (const inode of this.inodes) {
      const kept = inode.durable + this.below(inode.bytes.length - inode.durable + 1)
      inode.bytes = Buffer.concat([inode.bytes.subarray(0, kept), Buffer.alloc(this.below(5))])
    }
  }

  private write({ inode, rest, written }: Unfinished): Step {
    const partial = this.below(rest.length + 1)
    if (this.happens("kill")) {
      append(inode, rest.subarray(0, partial))
      return { _tag: "Killed" }
    }
    const fails = this.happens("full")
      ? failure("ENOSPC", -28)
      : this.happens("writeError")
      ? failure("EIO", -5)
      : undefined
    if (fails !== undefined) {
      // a part may land; then write(2) reports it, libuv tries the rest, gets the error, and reports what was written
      const landed = [0, 0, Math.min(partial, rest.length - 1), rest.length - 1][this.below(4)] ?? 0
      append(inode, rest.subarray(0, landed))
      return written + landed > 0 ? answer(written + landed) : fails
    }
    if (partial > 0 && partial < rest.length && this.happens("short")) {
      append(inode, rest.subarray(0, partial))
      return { _tag: "Continue", unfinished: { inode, rest: rest.subarray(partial), written: written + partial } }
    }
    append(inode, rest)
    return answer(written + rest.length)
  }

  /** Gives a file a name; the file that has it is gone. */
  private replace(name: string, inode: Inode): void {
    const before = this.renamed.get(name)
    if (before !== undefined) before.bytes = Buffer.alloc(0)
    this.renamed.set(name, inode)
  }

  private inode(descriptor: string | number): Inode {
    const inode = this.descriptors.get(Number(descriptor))
    if (inode === undefined) throw new Error(`bad descriptor ${descriptor}`)
    return inode
  }

  /** A whole number from 0 up to, and not including, `end`. */
  below(end: number): number {
    return Math.floor(this.random() * end)
  }
}

const append = (inode: Inode, bytes: Buffer): void => {
  inode.bytes = Buffer.concat([inode.bytes, bytes])
}

const statOf = (inode: Inode) => ({
  kind: "file",
  size: inode.bytes.length,
  mode: 0o600,
  links: inode.links,
  bornMillis: 0
})
