/**
 * Reads a log for shipping: raw bytes, cut into runs of whole lines that split no transaction, across rotations.
 *
 * The order is that of `LogTape`, for the same reason: a writer can have a write in flight into a segment that was just
 * sealed. The size of the newest segment is looked at first, then the segments before it are read to their ends, and only
 * then the newest one up to that size. So the runs of one writer keep their order, and a late write is shipped late, not
 * lost. A fragment without a newline at the end of a sealed segment is no line, and is not shipped.
 *
 * Members throw `Diverged`, `SourceUnreadable`, and the errors of the port.
 */
import type { FilePort } from "./filePort.ts"
import * as ResumePoint from "./resumePoint.ts"
import { nameOf } from "./segmentFiles.ts"
import * as SourceSegments from "./sourceSegments.ts"
import * as WholeLines from "./wholeLines.ts"

/** A line or a transaction beyond this is read no further: more than the largest that the library writes. */
const readBytesMax = 64 * 1024 * 1024

interface OpenSegment {
  readonly fd: number
  readonly inode: string
  name: string | undefined
  offset: number
  /** Up to here it has been flushed to the device. */
  synced: number
  /** Its place as text, as of its offset. */
  place: ResumePoint.Place | undefined
  /** Since when the same transaction is open at its end, and the size it had then. */
  held: { readonly sinceMillis: number; readonly bytes: number } | undefined
}

/** Whole lines of one segment. */
export interface Run {
  readonly bytes: Buffer
  readonly lines: number
  /** When the first record was appended; empty if there is none. */
  readonly at: string
  readonly resume: string
  readonly segment: OpenSegment
}

export interface Options {
  readonly port: FilePort
  readonly live: string
  /** A run has at most so many bytes, unless one line or transaction has more. */
  readonly chunkBytes: number
  /** How long a transaction without its end is waited for. */
  readonly holdMillis: number
  readonly nowMillis: () => number
}

export class SourceReader {
  private readonly options: Options
  private current: OpenSegment | undefined
  private earlier: Array<OpenSegment> = []
  private readonly abandoned = new Set<string>()
  /** The size of the current segment when it was looked at last. */
  private sampled = 0
  /** Which look that was, if the segment was the newest one. */
  private sampledLook: number | undefined
  /** How often the end of the log was looked at. */
  looks = 0
  /** The last look of which everything that was there then has been shipped. */
  completed = 0

  constructor(options: Options) {
    this.options = options
  }

  /** Goes to where a destination's head says, or to the start of the log. */
  seek(resume: string | undefined): void {
    this.close()
    if (resume === undefined) return
    const { live, port } = this.options
    const places = ResumePoint.parse(resume)
    if (places === undefined) {
      throw new SourceSegments.SourceUnreadable({
        problem: "the destination's head was written by a newer version; use that"
      })
    }
    const listed = SourceSegments.list(port, live)
    const names = new Map<SourceSegments.Listed, string | undefined>()
    const nameOfListed = (segment: SourceSegments.Listed): string | undefined => {
      if (!names.has(segment)) names.set(segment, SourceSegments.name(port, live, segment))
      return names.get(segment)
    }
    for (const place of places) {
      // newest first: the place is mostly in one of the last segments
      const same = listed.findLast((segment) =>
        segment.inode === place.inode && nameOfListed(segment) === place.name
      ) ??
        listed.findLast((segment) => nameOfListed(segment) === place.name)
      if (same === undefined) continue
      const opened = this.openAt(same, place)
      if (place === places.at(-1)) this.current = opened
      else this.earlier.push(opened)
    }
    const last = places.at(-1)!
    if (this.current === undefined) {
      throw new SourceSegments.Diverged({
        problem: `the segment ${last.name.slice(0, 8)}…, of which ${last.offset} bytes were shipped, is gone`
      })
    }
    this.sampled = this.current.offset
  }

  /**
   * The next run; `undefined` if there is none now. To be called again only when the destination has the one before.
   */
  next(bytesMax: number): Run | undefined {
    for (;;) {
      if (this.current === undefined && !this.advance()) {
        this.completed = ++this.looks
        return undefined
      }
      const current = this.current!
      if (current.offset < this.sampled) {
        const run = this.take(current, this.sampled, bytesMax)
        if (run !== undefined) return run
      }
      // all of the last look was handed out; a write that is not whole yet has not been acknowledged
      if (this.sampledLook !== undefined) this.completed = this.sampledLook
      const look = ++this.looks
      const isNewest = this.options.port.identity(this.options.live) === current.inode
      const size = this.sizeOf(current)
      for (const before of this.earlier) {
        const run = this.take(before, this.sizeOf(before), bytesMax)
        if (run !== undefined) return run
      }
      this.sampled = size
      this.sampledLook = isNewest ? look : undefined
      const run = size > current.offset ? this.take(current, size, bytesMax) : undefined
      if (run !== undefined) return run
      if (isNewest) {
        this.completed = look
        return undefined
      }
      // an open transaction at the end of a sealed segment: a write in flight, or one that was killed
      if (current.held !== undefined) return undefined
      if (!this.advance()) {
        this.completed = look
        return undefined
      }
    }
  }

  /** What has to be flushed before a run may leave: its descriptor, and the size to remember after that. */
  unsynced({ segment }: Run): { readonly fd: number; readonly done: () => void } | undefined {
    if (segment.synced >= segment.offset) return undefined
    const size = this.sizeOf(segment)
    return {
      fd: segment.fd,
      done: () => {
        segment.synced = size
      }
    }
  }

  /** Bytes that have not been handed out. */
  unread(): number {
    const { live, port } = this.options
    const listed = SourceSegments.list(port, live)
    const at = listed.findIndex(({ inode }) => inode === this.current?.inode)
    return listed.slice(Math.max(at, 0)).reduce(
      (sum, { bytes, inode }) => sum + bytes - (inode === this.current?.inode ? this.current.offset : 0),
      0
    )
  }

  close(): void {
    for (const { fd } of this.current === undefined ? this.earlier : [...this.earlier, this.current]) {
      this.options.port.close(fd)
    }
    this.current = undefined
    this.earlier = []
    this.sampled = 0
    this.sampledLook = undefined
    this.abandoned.clear()
  }

  private openAt(segment: SourceSegments.Listed, place: ResumePoint.Place): OpenSegment {
    const { live, port } = this.options
    const fd = SourceSegments.open(port, live, segment)
    if (fd === undefined) throw new SourceSegments.Diverged({ problem: "a segment went away while it was opened" })
    const size = port.fstat(fd).size
    const which = `of the segment ${place.name.slice(0, 8)}… ${place.offset} bytes were shipped`
    const problem = size < place.offset
      ? `${which}, and it has ${size}`
      : SourceSegments.checkBefore(port, fd, place.offset) === place.check
      ? undefined
      : `${which}, and other bytes stand there now`
    if (problem !== undefined) {
      port.close(fd)
      throw new SourceSegments.Diverged({ problem })
    }
    const { name, offset } = place
    return { fd, inode: segment.inode, name, offset, synced: 0, place: undefined, held: undefined }
  }

  /** The size of a segment, which must not have become less. */
  private sizeOf(segment: OpenSegment): number {
    const { size } = this.options.port.fstat(segment.fd)
    if (size >= segment.offset) return size
    throw new SourceSegments.Diverged({
      problem: `the segment ${
        segment.name?.slice(0, 8) ?? ""
      }…, of which ${segment.offset} bytes were read, has ${size}`
    })
  }

  /** Goes on to the next segment; false if there is none now. */
  private advance(): boolean {
    const { live, port } = this.options
    const listed = SourceSegments.list(port, live)
    const known = new Set(this.earlier.map(({ inode }) => inode))
    const at = listed.findIndex(({ inode }) => inode === this.current?.inode)
    // a current segment that retention has removed was the oldest
    const next = at >= 0 ? listed[at + 1] : listed.find(({ inode }) => !known.has(inode))
    if (next === undefined) return false
    if (next.kind === "compressed") {
      throw new SourceSegments.SourceUnreadable({
        problem: `${next.path} is compressed and was not shipped; unpack it in its directory`
      })
    }
    const fd = SourceSegments.open(port, live, next)
    if (fd === undefined) return this.advance()
    if (this.current !== undefined) this.earlier.push(this.current)
    if (this.earlier.length > ResumePoint.earlierMax) port.close(this.earlier.shift()!.fd)
    this.sampled = 0
    this.sampledLook = undefined
    this.current = {
      fd,
      inode: next.inode,
      name: undefined,
      offset: 0,
      synced: 0,
      place: undefined,
      held: undefined
    }
    return true
  }

  /** The next run of a segment before a limit; `undefined` if what is left there is not whole yet. */
  private take(segment: OpenSegment, limit: number, bytesMax: number): Run | undefined {
    const { chunkBytes, port } = this.options
    const left = limit - segment.offset
    const first = Math.min(left, chunkBytes, bytesMax)
    for (let window = first; window > 0;) {
      const bytes = WholeLines.buffer(window)
      const count = SourceSegments.readAt(port, segment.fd, bytes, segment.offset, window)
      if (count < window) throw new SourceSegments.Diverged({ problem: "a segment became shorter while it was read" })
      const scanned = WholeLines.scan(bytes, window, this.abandoned)
      if (scanned.bytes > 0) {
        // the largest run within the chunk; else a single line or transaction
        const isWithin = window === first
        return this.run(segment, bytes.subarray(0, isWithin ? scanned.bytes : scanned.firstBytes), {
          lines: isWithin ? scanned.lines : scanned.firstLines,
          at: scanned.at
        })
      }
      const isAll = window === left
      if (!this.abandon(segment, scanned, window, isAll)) {
        if (isAll) return undefined
        if (window >= readBytesMax) {
          throw new SourceSegments.SourceUnreadable({ problem: `a line or transaction is over ${readBytesMax} bytes` })
        }
        window = Math.min(left, window * 4, readBytesMax)
      }
    }
    return undefined
  }

  /** Gives up open transactions whose rest will not come; whether there were any. */
  private abandon(segment: OpenSegment, scanned: WholeLines.Run, window: number, isAll: boolean): boolean {
    const stale = [...scanned.open].filter(([, end]) => window - end > WholeLines.strangersBytesMax)
    const isOver = isAll && scanned.open.size > 0 && this.isHeldLong(segment, segment.offset + window)
    const given = isOver ? [...scanned.open] : stale
    for (const [key] of given) this.abandoned.add(key)
    return given.length > 0
  }

  private isHeldLong(segment: OpenSegment, bytes: number): boolean {
    const nowMillis = this.options.nowMillis()
    if (segment.held?.bytes !== bytes) segment.held = { sinceMillis: nowMillis, bytes }
    return nowMillis - segment.held.sinceMillis >= this.options.holdMillis
  }

  private run(segment: OpenSegment, bytes: Buffer, more: Pick<Run, "lines" | "at">): Run {
    segment.offset += bytes.length
    segment.place = undefined
    segment.held = undefined
    return { bytes, ...more, segment, resume: this.resume() }
  }

  private resume(): string {
    const { port } = this.options
    const places: Array<ResumePoint.Place> = []
    for (const segment of [...this.earlier, this.current!]) {
      if (segment.offset === 0) continue
      segment.name ??= nameOf(SourceSegments.headOf(port, segment.fd))
      if (segment.name === undefined) continue
      segment.place ??= {
        name: segment.name,
        inode: segment.inode,
        offset: segment.offset,
        check: SourceSegments.checkBefore(port, segment.fd, segment.offset)
      }
      places.push(segment.place)
    }
    return ResumePoint.format(places)
  }
}
