/**
 * Whether the lint ends for any text: `node test/bench/lintMutants.ts CORPUS [COUNT] [SEED]` lints so many mutated
 * variants of the files of a directory (cut, spliced, with random bytes, deeply nested), and prints those that failed or
 * took longest. Exits with 1 if a front-end failed on one, or one took longer than a file may.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Linter from "../../src/lint/Linter.ts"

const [corpus = ".", count = "10000", seed = "1"] = process.argv.slice(2)
const limitMillis = 5000

let state = Number(seed)
/** A number below a limit (mulberry32). */
const below = (limit: number): number => {
  state = (state + 0x6d2b79f5) | 0
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
}

const files = Fs.readdirSync(corpus, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => Path.join(entry.parentPath, entry.name))
const contents = files.map((file) => Fs.readFileSync(file))

const pieces = [
  "(",
  "{",
  "[",
  "\"",
  "'",
  "`",
  "\"\"\"",
  "${",
  "<<EOF\n",
  "\n",
  "\t",
  "\\",
  "$(",
  "f\"{",
  "/*",
  "#",
  "\ufffd",
  "|",
  ">>"
]

const mutate = (bytes: Buffer): Buffer => {
  const at = below(bytes.length)
  const end = at + below(Math.min(2000, bytes.length - at))
  switch (below(6)) {
    case 0:
      return bytes.subarray(0, at)
    case 1:
      return bytes.subarray(at)
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)])
    case 3: {
      const other = contents[below(contents.length)] ?? bytes
      return Buffer.concat([bytes.subarray(0, at), other.subarray(below(other.length))])
    }
    case 4: {
      const piece = Buffer.from((pieces[below(pieces.length)] ?? "(").repeat(1 + below(2) * below(3000)))
      return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)])
    }
    default: {
      const noise = Buffer.from(bytes)
      for (let n = 0; n < 20; n++) noise[below(noise.length)] = 1 + below(255)
      return noise
    }
  }
}

const slowest: Array<{ file: string; variant: number; millis: number }> = []
let failures = 0
for (let variant = 0; variant < Number(count); variant++) {
  const index = variant % files.length
  const file = files[index] ?? ""
  const bytes = mutate(contents[index] ?? Buffer.alloc(0))
  const start = performance.now()
  const problem = await Effect.runPromise(
    Linter.lint({ directory: corpus, paths: [], stdin: { name: Path.relative(corpus, file), bytes } }).pipe(
      Effect.map(({ report }) => report.summary.skipped.find(({ reason }) => reason === "failed")?.detail),
      Effect.catchTag("LintError", () => Effect.undefined),
      Effect.catchCause((cause) => Effect.succeed(String(cause))),
      Effect.provide(NodeServices.layer)
    )
  )
  const millis = Math.round(performance.now() - start)
  slowest.push({ file: Path.relative(corpus, file), variant, millis })
  if (problem !== undefined || millis > limitMillis) {
    failures++
    console.log(`${file}: variant ${variant}: ${problem ?? `${millis} ms`}`)
  }
}
slowest.sort((a, b) => b.millis - a.millis)
console.table(slowest.slice(0, 5))
console.log(`${count} variants of ${files.length} files, ${failures} failed`)
process.exitCode = failures === 0 ? 0 : 1
