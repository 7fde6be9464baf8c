/**
 * How fast a log is read: `LogReader.read` with hash check, stamps and transactions, beside the least that reading
 * records can be, which is cutting at newlines and `JSON.parse` of each line. Each side runs in a process of its own, so
 * that its peak memory is its own.
 *
 * The log has 30 MB, or AUDITLOG_BENCH_MB.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { execFileSync } from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { LogReader } from "../../src/index.ts"

const rounds = 3
const megabytes = Number(process.env["AUDITLOG_BENCH_MB"] ?? 30)

const schema = Schema.Struct({
  _tag: Schema.Literal("Changed"),
  actor: Schema.String,
  entity: Schema.String,
  field: Schema.String,
  before: Schema.String,
  after: Schema.String,
  rev: Schema.Int,
  ok: Schema.Boolean
})

/** A log of several writers, in lines of about 330 bytes, every fourth record in a transaction of two. */
const writeLog = (path: string, bytes: number): void => {
  const fd = Fs.openSync(path, "w")
  const prev = new Map<number, string>()
  let written = 0
  for (let n = 0; written < bytes;) {
    let text = ""
    for (let i = 0; i < 1000; i++, n++) {
      const writer = n % 4
      const seq = Math.floor(n / 4)
      const tx = writer === 3 ? `,"tx":{"id":"01JD${String(seq >> 1).padStart(22, "0")}","i":${seq % 2},"n":2}` : ""
      const before = prev.get(writer)
      const head = `{"_audit":{"v":1,"writer":"01JD000000000000000000000${writer}","seq":${seq},` +
        `"at":"2026-11-23T09:15:02.114Z"${before === undefined ? "" : `,"prev":"${before}"`}${tx}},` +
        `"_tag":"Changed","actor":"ada","entity":"invoice-${n}","field":"state","before":"draft","after":"sent",` +
        `"rev":${n},"ok":true`
      const hash = Crypto.hash("sha256", head, "base64url")
      prev.set(writer, hash)
      text += `${head},"_hash":"${hash}"}\n`
    }
    written += Fs.writeSync(fd, text)
  }
  Fs.closeSync(fd)
}

const bare = (path: string): number => {
  const fd = Fs.openSync(path, "r")
  const block = Buffer.allocUnsafe(1024 * 1024)
  let rest = Buffer.alloc(0)
  let count = 0
  for (let read = Fs.readSync(fd, block); read > 0; read = Fs.readSync(fd, block)) {
    const bytes = Buffer.concat([rest, block.subarray(0, read)])
    let start = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      JSON.parse(bytes.toString("utf8", start, end))
      count++
      start = end + 1
    }
    rest = bytes.subarray(start)
  }
  return count
}

const drain = <A>(entries: Stream.Stream<A, LogReader.ReadError>): Promise<number> =>
  Effect.runPromise(Stream.runFold(entries, () => 0, (count) => count + 1))

const files = Stream.provide(NodeFileSystem.layer)

const sides: Readonly<Record<string, (path: string) => number | Promise<number>>> = {
  "split + JSON.parse": bare,
  read: (path) => drain(LogReader.read(path).pipe(files)),
  readPlaced: (path) => drain(LogReader.readPlaced(path).pipe(files)),
  "read + decode": (path) => drain(LogReader.read(path).pipe(LogReader.decode(schema), files))
}

/** Runs one side, in its own process, and prints what it took. */
const child = async (name: string, path: string): Promise<void> => {
  const start = performance.now()
  const count = await sides[name]?.(path)
  const seconds = (performance.now() - start) / 1000
  console.log(JSON.stringify({ count, seconds, peak: process.resourceUsage().maxRSS / 1024 }))
}

interface Taken {
  readonly count: number
  readonly seconds: number
  readonly peak: number
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** Runs all sides in turn, several times, so that a slow moment of the machine meets all of them. */
export const read = (): Promise<void> => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-bench-"))
  const taken = new Map<string, Array<Taken>>(Object.keys(sides).map((name) => [name, []]))
  const path = Path.join(directory, "audit.jsonl")
  let size = 0
  try {
    writeLog(path, megabytes * 1e6)
    size = Fs.statSync(path).size
    for (let round = 0; round < rounds; round++) {
      for (const name of taken.keys()) {
        const output = execFileSync(process.execPath, [fileURLToPath(import.meta.url), name, path], {
          encoding: "utf8"
        })
        taken.get(name)?.push(JSON.parse(output) as Taken)
      }
    }
  } finally {
    Fs.rmSync(directory, { recursive: true, force: true })
  }
  const rate = (name: string): number => size / 1e6 / median((taken.get(name) ?? []).map(({ seconds }) => seconds))
  console.log(`read: ${Math.round(size / 1e6)} MB, Node ${process.versions.node}, medians of ${rounds} rounds`)
  console.log(
    `${"".padEnd(24)}${"MB/s".padStart(8)}${"× baseline".padStart(12)}${"peak MB".padStart(10)}${
      "entries".padStart(12)
    }`
  )
  for (const [name, values] of taken) {
    const ratio = (rate(name) / rate("split + JSON.parse")).toFixed(2)
    const peak = Math.max(...values.map(({ peak }) => peak))
    console.log(
      `${name.padEnd(24)}${rate(name).toFixed(0).padStart(8)}${ratio.padStart(12)}${peak.toFixed(0).padStart(10)}${
        String(values[0]?.count).padStart(12)
      }`
    )
  }
  return Promise.resolve()
}

const [name, path] = process.argv.slice(2)
if (process.argv[1] === fileURLToPath(import.meta.url) && name !== undefined && path !== undefined) {
  await child(name, path)
}
