/**
 * The bytes of a log as several writers leave it under faults: short writes with others' lines in between, torn lines,
 * batches appended again, kills, foreign lines, rotations. A seed decides all of it.
 */
import { Result } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { Codec, HashChain } from "../src/index.ts"

/** Numbers in [0, 1) that a seed determines (mulberry32). */
export const generator = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

const digest = HashChain.digest(undefined)

/** A record that is ready to be stamped. */
const encoded = (fields: unknown): Codec.Encoded =>
  Result.getOrThrow(Codec.encode(fields, { at: "2026-11-23T09:15:02.114Z", value: fields }))

/** A writer's end of a log: makes the lines of its next transactions. */
export class LineWriter {
  head: HashChain.Head

  constructor(writer: string = SecureRandom.ulidUnsafe()) {
    this.head = { writer, seq: 0, prev: undefined }
  }

  /** The lines of a transaction, and moves on behind it; `sources` are the outbox rows that its records come from. */
  lines(
    records: ReadonlyArray<unknown>,
    attempt = 0,
    id = SecureRandom.ulidUnsafe(),
    sources: ReadonlyArray<string> = []
  ): ReadonlyArray<string> {
    const group = { id, records: records.map((fields, i) => ({ ...encoded(fields), source: sources[i] })) }
    const linked = HashChain.link(this.head, group, { seen: undefined, attempt, key: undefined, digest })
    this.head = linked.head
    return linked.lines.map(({ text }) => text)
  }

  resync(): string {
    return HashChain.resync(this.head.writer, undefined, digest)
  }
}

export interface FaultyLog {
  /** The bytes of the segments, oldest first, the live one last. */
  readonly segments: ReadonlyArray<Buffer>
  /** `writer:seq` of what was acknowledged. */
  readonly acknowledged: ReadonlyArray<string>
}

/** Makes a log; each of `steps` is a batch, a foreign line, or a rotation. */
export const make = (seed: number, steps: number): FaultyLog => {
  const random = generator(seed)
  const below = (end: number): number => Math.floor(random() * end)
  let ids = 0
  const ulid = (): string => `01JD${String(seed).padStart(11, "0")}${String(ids++).padStart(11, "0")}`
  const segments: Array<string> = [""]
  const acknowledged: Array<string> = []
  const writers = Array.from({ length: 1 + below(4) }, () => new LineWriter(ulid()))
  let n = 0

  const foreign = (): void => {
    const line = `{"foreign":${n++}}\n`
    const at = segments.length - 1
    segments[at] += random() < 0.2 ? line.slice(0, below(line.length)) : line
  }

  /** Appends as a short write does: others come in between. True if it stands there whole. */
  const write = (text: string, at: number, depth: number): void => {
    const cut = random() < 0.3
      ? text.indexOf("\n", below(text.length)) + 1
      : random() < 0.3
      ? below(text.length)
      : text.length
    segments[at] += text.slice(0, cut)
    if (cut === text.length) return
    if (depth < 2 && random() < 0.7) batch(below(writers.length), depth + 1)
    else foreign()
    if (random() < 0.8) segments[at] += text.slice(cut)
  }

  const busy = new Set<number>()
  const batch = (which: number, depth: number): void => {
    if (busy.has(which)) return
    busy.add(which)
    // sometimes the segment is sealed between the look at its name and the write
    const at = random() < 0.1 ? Math.max(0, segments.length - 2) : segments.length - 1
    const groups = Array.from({ length: 1 + below(3) }, () => ({
      id: ulid(),
      records: Array.from({ length: 1 + below(3) }, () => ({ n: n++, text: "x".repeat(below(80)) }))
    }))
    let stored = 0
    for (let attempt = 0; attempt < 5 && stored < groups.length; attempt++) {
      const writer = writers[which]!
      const heads = [writer.head]
      const lines = groups.slice(stored).map(({ id, records }) => {
        const made = writer.lines(records, attempt, id)
        heads.push(writer.head)
        return made
      })
      const before = segments[at]!
      const lead = before !== "" && (attempt > 0 || !before.endsWith("\n")) ? writer.resync() : ""
      write(lead + lines.flat().join(""), at, depth)
      const after = segments[at]!
      const found = lines.findIndex((group) =>
        !group.every((line) => after.includes(`\n${line}`) || after.startsWith(line))
      )
      const good = found < 0 ? lines.length : found
      stored += good
      writer.head = heads[good]!
      if (stored < groups.length && random() < 0.15) break
    }
    const { seq, writer } = writers[which]!.head
    const count = groups.slice(0, stored).reduce((sum, { records }) => sum + records.length, 0)
    for (let i = seq - count; i < seq; i++) acknowledged.push(`${writer}:${i}`)
    // killed, or it does not know: its successor has a new id
    if (stored < groups.length) writers[which] = new LineWriter(ulid())
    busy.delete(which)
  }

  for (let step = 0; step < steps; step++) {
    const chance = random()
    if (chance < 0.75) batch(below(writers.length), 0)
    else if (chance < 0.92) foreign()
    else if (segments.at(-1) !== "") segments.push("")
  }
  return { segments: segments.map((text) => Buffer.from(text)), acknowledged }
}
