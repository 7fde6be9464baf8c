/**
 * How fast a log is verified, in MB/s of one core, and how much memory that takes: lines of about 300 bytes of one
 * writer, and of a writer for each line. The baseline does what cannot be left out: it splits and hashes each line.
 */
import { spawnSync } from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

const rounds = 5
const sizes: ReadonlyArray<number> = [64 * 1024 * 1024, 512 * 1024 * 1024]

const body =
  `,"_tag":"Changed","actor":"ada","entity":"invoice-2041","field":"state","before":"draft","after":"sent","rev":7`

const writeLog = (path: string, bytes: number, recordsPerWriter: number): void => {
  const fd = Fs.openSync(path, "w")
  let prev = ""
  let seen = ""
  let text = ""
  let written = 0
  for (let record = 0; written < bytes; record++) {
    const seq = record % recordsPerWriter
    const number = Math.floor(record / recordsPerWriter)
    const writer = `01JD${number.toString(36).toUpperCase().replaceAll(/[ILOU]/g, "Z").padStart(12, "0")}${
      String(number % 10 ** 10).padStart(10, "0")
    }`
    if (seq === 0) {
      seen = prev
      prev = ""
    }
    const head = `{"_audit":{"v":1,"writer":"${writer}","seq":${seq},"at":"2026-11-23T09:15:02.114Z"` +
      `${prev === "" ? "" : `,"prev":"${prev}"`}${seen === "" ? "" : `,"seen":"${seen}"`}}${body}`
    prev = Crypto.hash("sha256", head, "base64url")
    text += `${head},"_hash":"${prev}"}\n`
    if (text.length < 1 << 20) continue
    written += text.length
    Fs.writeSync(fd, text)
    text = ""
  }
  Fs.closeSync(fd)
}

/** Reads and prints milliseconds and the peak resident size, in a process of its own. */
const programs: Readonly<Record<string, string>> = {
  "split and hash": `
    import { hash } from "node:crypto"
    import * as Fs from "node:fs"
    const start = performance.now()
    const fd = Fs.openSync(process.argv[1], "r")
    const block = Buffer.alloc(1 << 20)
    const octets = new Uint8Array(block.buffer, block.byteOffset, block.length)
    let filled = 0, lines = 0
    for (let count; (count = Fs.readSync(fd, block, filled, block.length - filled, null)) > 0;) {
      const end = filled + count
      let from = 0
      for (let at = block.indexOf(10); at >= 0 && at < end; at = block.indexOf(10, from)) {
        hash("sha256", octets.subarray(from, at - 55), "base64url")
        lines++
        from = at + 1
      }
      block.copyWithin(0, from, end)
      filled = end - from
    }
    console.log(performance.now() - start, process.resourceUsage().maxRSS * 1024)`,
  "Verifier.verify": `
    import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
    import * as Effect from "effect/Effect"
    import * as Verifier from ${JSON.stringify(new URL("../../src/Verifier.ts", import.meta.url).href)}
    const start = performance.now()
    const report = await Effect.runPromise(Effect.provide(Verifier.verify(process.argv[1]), NodeFileSystem.layer))
    if (!report.sound || report.records === 0) throw new Error(JSON.stringify(report))
    console.log(performance.now() - start, process.resourceUsage().maxRSS * 1024)`
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

export const verify = async (): Promise<void> => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "auditlog-bench-"))
  console.log(`verify: ${Os.cpus()[0]?.model ?? "cpu"}, Node ${process.versions.node}, medians of ${rounds} rounds`)
  console.log(`${"".padEnd(52)}${"MB/s".padStart(8)}${"min … max".padStart(16)}${"peak RSS".padStart(12)}`)
  try {
    for (const [what, recordsPerWriter] of [["one writer", Infinity], ["a writer for each line", 1]] as const) {
      for (const size of sizes) {
        const path = Path.join(directory, "audit.jsonl")
        writeLog(path, size, recordsPerWriter)
        const { size: bytes } = Fs.statSync(path)
        const rates = new Map<string, Array<number>>()
        let peak = 0
        for (let round = 0; round < rounds; round++) {
          for (const [name, program] of Object.entries(programs)) {
            const args = ["--input-type=module", "-e", program, path]
            const { stderr, stdout } = spawnSync(process.execPath, args, { encoding: "utf8", cwd: import.meta.dirname })
            const [millis, rss] = stdout.split(" ").map(Number)
            if (millis === undefined || rss === undefined) throw new Error(stderr)
            rates.set(name, [...rates.get(name) ?? [], bytes / 1000 / millis])
            if (name !== "split and hash") peak = Math.max(peak, rss)
          }
        }
        for (const [name, values] of rates) {
          const range = `${Math.round(Math.min(...values))} … ${Math.round(Math.max(...values))}`
          const label = `${name}, ${what}, ${size >> 20} MiB`
          console.log(
            `${label.padEnd(52)}${String(Math.round(median(values))).padStart(8)}${range.padStart(16)}` +
              (name === "split and hash" ? "" : `${Math.round(peak / 1e6)} MB`.padStart(12))
          )
        }
        Fs.rmSync(path)
      }
    }
  } finally {
    Fs.rmSync(directory, { recursive: true, force: true })
  }
}
