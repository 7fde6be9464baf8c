/**
 * Reads the segments of a log as if they were one tape that grows at its end: the engine of reading and of following.
 *
 * A writer looks at the name of the live file, and then writes: a rotation can come in between, so a segment can grow
 * after it was renamed, for a moment. Hence one rule, which keeps the order of every writer: the size of the newest
 * segment is looked at first, then the segments before it are read to their end, and only then the newest one up to that
 * size. What a writer has appended to the newest segment is never seen before what it had appended to an older one.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import type * as Cursor from "../Cursor.ts"
import type { LogEntry } from "../LogEntry.ts"
import { LogReaderError, type ReadError, SegmentCompressed, unreadable } from "../ReadError.ts"
import { LineBuffer, type LongLine } from "./lineBuffer.ts"
import { type DecodeOptions, LogDecoder } from "./logDecoder.ts"
import * as ReadPlan from "./readPlan.ts"
import * as SegmentFiles from "./segmentFiles.ts"

/** An entry, and the place after it. */
export interface Placed {
  readonly entry: LogEntry
  readonly cursor: Cursor.Cursor
}

export interface TapeOptions extends DecodeOptions {
  /** Whether reading ends where the log does, so that what is left there can be said. */
  readonly ends: boolean
}

/** Bytes that are asked for at once: larger blocks read no faster, smaller ones cost more calls, measured on ext4. */
const blockBytes = 1024 * 1024

/** The same where hardly anything is expected. */
const lateBytes = 16 * 1024

/** Bytes whose entries are yielded together: with 1 MiB they outlive collections, and reading takes half as long again. */
const sliceBytes = 64 * 1024

/** What a record is depends on one that was passed over: read again, without a sieve. */
export class Ambiguous extends Data.TaggedError("Ambiguous")<{}> {}

/** How often a segment may be gone when it is opened, before that is an error. */
const attemptsMax = 100

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

/** A segment that is being read. */
interface Source {
  readonly opened: SegmentFiles.Opened
  lines: LineBuffer
  /** Bytes that were read. */
  offset: number
  /** Its first bytes, as far as they were there: they tell whether it is still the same. */
  head: Uint8Array
  name: string | undefined
  /** The name that it had when reading was planned. */
  expected: string | undefined
  done: ReadPlan.Done | undefined
  /** Where the bytes after its last newline ended when they were yielded as pending. */
  said: number
}

/** How far a segment was there: what was read of it, or given before a cursor, which is read again from further back. */
const knownBytes = ({ done, offset }: Source): number =>
  done === undefined || done.offset === Number.POSITIVE_INFINITY ? offset : Math.max(offset, done.offset)

export class Tape<A> {
  private readonly decoder: LogDecoder
  private planned: Array<ReadPlan.Planned>
  private readonly known: Set<string>
  private readonly joining: boolean
  private cursor: Cursor.Cursor
  private current: Source | undefined
  private readonly earlier: Array<Source> = []
  private waiting: ReadonlyArray<ReadPlan.Planned>
  /** The size that the newest segment had when the ones before it were read to their end. */
  private sampled = 0
  private readonly target: SegmentFiles.Target
  private readonly scope: Scope.Scope
  private readonly options: TapeOptions
  /** Makes what is yielded; with `undefined` the entries themselves are. */
  private readonly place: ((placed: Placed) => A) | undefined

  constructor(
    target: SegmentFiles.Target,
    plan: ReadPlan.Plan,
    scope: Scope.Scope,
    options: TapeOptions,
    place: ((placed: Placed) => A) | undefined
  ) {
    this.target = target
    this.planned = [...plan.segments]
    this.waiting = plan.earlier
    this.known = new Set(plan.known)
    this.joining = plan.joining
    this.cursor = plan.cursor
    this.scope = scope
    this.options = options
    this.decoder = new LogDecoder(options)
    this.place = place
  }

  /** The next entries, perhaps none; `undefined` at the end of what is there now. */
  readonly next: Effect.Effect<ReadonlyArray<A> | undefined, ReadError | Ambiguous, FileSystem.FileSystem> = Effect
    .suspend(() => this.step())
    // what earlier steps gave is right; in this one, a segment before the newest may have grown as well
    .pipe(Effect.filterOrFail(() => !this.decoder.isAmbiguous, () => new Ambiguous()))

  /** What is left at the end: to be asked for once. */
  end(): ReadonlyArray<A> {
    const entries: Array<A> = []
    if (this.current !== undefined) this.pending(this.current, entries)
    for (const entry of this.decoder.end()) entries.push(this.yielded(entry, undefined))
    return entries
  }

  private readonly step = Effect.fnUntraced(function*(this: Tape<A>) {
    const entries: Array<A> = []
    if (this.current === undefined) {
      if (!(yield* this.advance(entries))) return undefined
    }
    const source = this.current!
    if (source.lines.start < source.lines.whole) {
      const end = this.options.traits === undefined ? source.lines.sliceEnd(sliceBytes) : source.lines.whole
      this.decode(source, end, entries)
      return entries
    }
    if (source.offset >= this.sampled) {
      const info = yield* Effect.mapError(source.opened.file.stat, unreadable(source.opened.path))
      const size = Number(info.size)
      for (const before of this.earlier) yield* this.drain(before, entries)
      if (yield* this.isCut(source, size)) this.restart(source, entries)
      this.sampled = size
      if (size <= source.offset) {
        return (yield* this.advance(entries)) || entries.length > 0 ? entries : undefined
      }
    }
    const count = yield* this.read(source, Math.min(blockBytes, this.sampled - source.offset), entries)
    // cut since its size was looked at
    if (count === 0) this.sampled = source.offset
    return entries
  })

  private readonly read = Effect.fnUntraced(
    function*(this: Tape<A>, source: Source, bytesMax: number, entries: Array<A>) {
      const { lines, opened: { file, path } } = source
      const read = file.read(lines.space(bytesMax), { position: BigInt(source.offset) })
      const count = yield* Effect.mapError(read, unreadable(path))
      if (count > 0 && source.name === undefined) yield* this.learnName(source)
      source.offset += count
      const long = lines.take(count)
      if (long !== undefined) this.decodeLong(source, long, entries)
      return count
    }
  )

  private readonly drain = Effect.fnUntraced(function*(this: Tape<A>, source: Source, entries: Array<A>) {
    for (;;) {
      if ((yield* this.read(source, lateBytes, entries)) === 0) return
      this.decode(source, source.lines.whole, entries)
    }
  })

  private readonly learnName = Effect.fnUntraced(function*(this: Tape<A>, source: Source) {
    source.head = yield* SegmentFiles.readAt(source.opened, new Uint8Array(SegmentFiles.headBytesMax), 0)
    source.name = SegmentFiles.nameOf(source.head)
  })

  /** Whether the file is shorter than what is known of it, or begins with other bytes than before. */
  private readonly isCut = Effect.fnUntraced(function*(this: Tape<A>, source: Source, size: number) {
    if (size < knownBytes(source) || (source.expected ?? source.name) !== source.name) return true
    if (size === source.offset) return false
    const head = yield* SegmentFiles.readAt(source.opened, new Uint8Array(source.head.length), 0)
    return Buffer.compare(head, source.head) !== 0
  })

  private restart(source: Source, entries: Array<A>): void {
    entries.push(this.yielded({ _tag: "Truncated", file: source.opened.path, offset: knownBytes(source) }, undefined))
    source.lines = this.newLines(0, 1)
    source.offset = 0
    source.head = new Uint8Array(0)
    source.name = undefined
    source.expected = undefined
    source.done = undefined
    source.said = 0
  }

  /** Decodes the whole lines up to an offset into the buffer. */
  private decode(source: Source, end: number, entries: Array<A>): void {
    const { decoder, place } = this
    const { lines, opened: { path } } = source
    if (place === undefined && source.done === undefined) {
      decoder.joining = false
      decoder.lines(path, lines, end, entries as Array<LogEntry>)
      return
    }
    while (lines.start < end) {
      const { number, offset } = lines
      const to = lines.sliceEnd(1)
      this.add(
        source,
        { number, offset, length: to - lines.start - 1 },
        entries,
        (found) => decoder.lines(path, lines, to, found)
      )
    }
  }

  private decodeLong(source: Source, line: LongLine, entries: Array<A>): void {
    this.add(
      source,
      line,
      entries,
      (found) => this.decoder.line(source.opened.path, { ...line, bytes: undefined }, found)
    )
  }

  /** Adds what one line gives: all of it, or what was not given before. */
  private add(source: Source, line: LongLine, entries: Array<A>, decode: (found: Array<LogEntry>) => void): void {
    const { done } = source
    const end = line.offset + line.length + 1
    const found: Array<LogEntry> = []
    this.decoder.joining = this.joining && done !== undefined && end <= done.offset
    decode(found)
    // the line before the cursor may have given some of its entries only
    const from = done === undefined || end > done.offset ? 0 : found.length - (end === done.offset ? done.left : 0)
    for (let i = Math.max(0, from); i < found.length; i++) {
      entries.push(this.yielded(found[i]!, { source, line, left: found.length - 1 - i }))
    }
    if (done !== undefined && end > done.offset) source.done = undefined
  }

  private pending(source: Source, entries: Array<A>): void {
    const { length, number, offset } = source.lines.rest
    if (length === 0 || (source.done !== undefined && offset + length <= source.done.offset)) return
    const line: LongLine = { offset, length: length - 1, number: number - 1 }
    source.said = offset + length
    entries.push(
      this.yielded(this.decoder.pending(source.opened.path, offset, length, source.lines.restBytes), {
        source,
        line,
        left: 0
      })
    )
  }

  private yielded(
    entry: LogEntry,
    at: { readonly source: Source; readonly line: LongLine; readonly left: number } | undefined
  ): A {
    if (this.place === undefined) return entry as A
    if (at !== undefined) this.cursor = this.cursorAfter(at.source, at.line, at.left) ?? this.cursor
    return this.place({ entry, cursor: this.cursor })
  }

  private cursorAfter(source: Source, line: LongLine, left: number): Cursor.Cursor | undefined {
    const end = { offset: line.offset + line.length + 1, number: line.number === 0 ? 0 : line.number + 1, left }
    const positions: Array<Mutable<Cursor.Position>> = []
    for (const one of [...this.earlier, this.current!]) {
      const { head, name, opened: { inode }, lines: { rest } } = one
      if (name === undefined || head.length === 0) continue
      const { number, offset } = one === source ? end : { ...rest, offset: Math.max(rest.offset, one.said) }
      positions.push({
        segment: name,
        offset,
        inode,
        ...(number > 0 ? { line: number } : {}),
        ...(one === source && left > 0 ? { left } : {})
      })
    }
    const newest = positions.pop()
    if (newest === undefined) return undefined
    return positions.length === 0 ? newest : Object.assign(newest, { earlier: positions })
  }

  private newLines(offset: number, line: number): LineBuffer {
    return new LineBuffer({ offset, line, lineBytesMax: this.decoder.lineBytesMax })
  }

  private readonly source = Effect.fnUntraced(function*(this: Tape<A>, planned: ReadPlan.Planned) {
    const opened = yield* SegmentFiles.open(planned.path, this.scope)
    if (opened === undefined) return undefined
    if (opened.inode !== planned.inode && !this.target.only) {
      yield* opened.close
      return undefined
    }
    const source: Source = {
      opened,
      lines: this.newLines(planned.offset, planned.line),
      offset: planned.offset,
      head: new Uint8Array(0),
      name: undefined,
      expected: planned.name,
      done: planned.done,
      said: 0
    }
    yield* this.learnName(source)
    return source
  })

  /** The segment under the name it has now; `undefined` if it is gone. */
  private readonly renamed = Effect.fnUntraced(function*(this: Tape<A>, planned: ReadPlan.Planned) {
    const look = (listed: ReadonlyArray<SegmentFiles.Listed>): Effect.Effect<
      Source | "gone" | undefined,
      LogReaderError,
      FileSystem.FileSystem
    > => {
      const found = listed.find(({ inode }) => inode === planned.inode)
      return found === undefined ? Effect.succeed("gone") : this.source({ ...planned, path: found.path })
    }
    const source = yield* SegmentFiles.settled(this.target, look)
    return source === "gone" ? undefined : source
  })

  /** Goes on to the next segment; false if there is none now. */
  private readonly advance = Effect.fnUntraced(function*(this: Tape<A>, entries: Array<A>) {
    for (const planned of this.waiting) {
      const source = (yield* this.source(planned)) ?? (yield* this.renamed(planned))
      if (source !== undefined) this.earlier.push(source)
    }
    this.waiting = []
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const planned = this.planned.shift()
      if (planned !== undefined) {
        const source = yield* this.source(planned)
        if (source !== undefined) {
          yield* this.begin(source, entries)
          return true
        }
        // gone, or renamed by a rotation: look again, it may be somewhere else
        this.planned.unshift(planned)
      } else {
        if (this.target.only) return false
        const live = yield* SegmentFiles.inodeAt(this.target.path)
        if (live === undefined || live === this.current?.opened.inode) return false
      }
      if (this.target.only) {
        return yield* new LogReaderError({ file: this.target.path, problem: "there is no such file" })
      }
      this.planned = yield* this.newer()
      if (this.planned.length === 0) return false
    }
    return yield* new LogReaderError({
      file: this.target.path,
      problem: "its segments are renamed faster than they are opened"
    })
  })

  private readonly begin = Effect.fnUntraced(function*(this: Tape<A>, source: Source, entries: Array<A>) {
    const before = this.current
    this.current = source
    this.sampled = source.offset
    if (before === undefined) return
    if (this.options.ends) this.pending(before, entries)
    this.earlier.push(before)
    if (this.earlier.length <= ReadPlan.earlierMax) return
    const oldest = this.earlier.shift()!
    // nobody will finish it any more
    if (!this.options.ends) this.pending(oldest, entries)
    yield* oldest.opened.close
  })

  /** The segments after the current one, as they are on disk now. */
  private readonly newer = Effect.fnUntraced(function*(this: Tape<A>) {
    const listed = yield* SegmentFiles.list(this.target)
    const inode = this.current?.opened.inode
    const at = listed.findIndex((segment) => segment.inode === inode)
    const expected = new Map(this.planned.map((planned) => [planned.inode, planned]))
    // the current one may be gone: then what was not known before is new, and so is the live file in any case
    const isNewer = ({ inode, kind }: SegmentFiles.Listed, i: number): boolean =>
      expected.has(inode) || (at >= 0 ? i > at : !this.known.has(inode) || kind === "live")
    const newer = listed.filter(isNewer)
    const isGone = this.planned.some((planned) => !newer.some((segment) => segment.inode === planned.inode))
    const compressed = newer.find(({ kind }) => kind === "compressed")
    if (compressed !== undefined && (isGone || at >= 0)) return yield* new SegmentCompressed({ file: compressed.path })
    for (const segment of listed) this.known.add(segment.inode)
    return newer.filter(({ kind }) => kind !== "compressed").map((segment): ReadPlan.Planned => ({
      offset: 0,
      line: 1,
      done: undefined,
      ...expected.get(segment.inode),
      ...segment
    }))
  })
}
