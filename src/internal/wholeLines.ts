/**
 * Finds where a run of lines can be cut so that no transaction is.
 */
import { slackBytes, StampReader } from "./stampReader.ts"

const newline = 0x0a

/**
 * The parts of a transaction come with one write, so what stands between them is what others wrote meanwhile. Behind so
 * many bytes of it the rest will not come: its writer was killed.
 */
export const strangersBytesMax = 1024 * 1024

export interface Run {
  /** Bytes and lines up to the last place where no transaction is open. */
  readonly bytes: number
  readonly lines: number
  /** The same up to the first such place. */
  readonly firstBytes: number
  readonly firstLines: number
  /** Where the last whole line ends. */
  readonly wholeBytes: number
  /** The transactions that are open at the end, and where the last part of each ends. */
  readonly open: ReadonlyMap<string, number>
  /** When the first record was appended; empty if there is none. */
  readonly at: string
}

interface Open {
  readonly key: string
  parts: number
  end: number
}

/** A buffer of which `length` bytes may be looked at. */
export const buffer = (length: number): Buffer => Buffer.allocUnsafeSlow(length + slackBytes)

const timeLength = "2026-11-23T09:15:02.114Z".length

/**
 * Looks at the whole lines in `[0, length)` of a {@link buffer}. A transaction is over when all its parts are there, or
 * its writer goes on with something else; those in `abandoned` do not count.
 */
export const scan = (bytes: Buffer, length: number, abandoned: ReadonlySet<string>): Run => {
  const stamp = new StampReader()
  stamp.attach(bytes)
  const open = new Map<string, Open>()
  const run = { bytes: 0, lines: 0, firstBytes: 0, firstLines: 0, wholeBytes: 0, at: "" }
  let lines = 0
  for (let start = 0; start < length;) {
    const end = bytes.indexOf(newline, start)
    if (end < 0 || end >= length) break
    if (stamp.read(start, end)) {
      if (run.at === "") run.at = bytes.toString("latin1", stamp.timeAt, stamp.timeAt + timeLength)
      if (stamp.txAt >= 0 || open.size > 0) part(stamp, end + 1, open, abandoned)
    }
    lines++
    start = end + 1
    run.wholeBytes = start
    if (open.size > 0) continue
    run.bytes = start
    run.lines = lines
    if (run.firstBytes > 0) continue
    run.firstBytes = start
    run.firstLines = lines
  }
  return { ...run, open: new Map([...open.values()].map(({ end, key }) => [key, end])) }
}

const part = (stamp: StampReader, end: number, open: Map<string, Open>, abandoned: ReadonlySet<string>): void => {
  const { writer } = stamp
  const before = open.get(writer)
  if (stamp.txAt < 0) {
    open.delete(writer)
    return
  }
  const key = `${writer} ${stamp.transaction} ${stamp.attempt}`
  // a part whose beginning was cut off before belongs to one that was abandoned
  const current = before?.key === key ? before : stamp.txIndex === 0 ? { key, parts: 0, end } : undefined
  if (current === undefined || abandoned.has(key)) {
    open.delete(writer)
    return
  }
  current.parts++
  current.end = end
  if (current.parts >= stamp.txCount) open.delete(writer)
  else open.set(writer, current)
}
