/**
 * Copies of the library from which a safeguard is taken out, to see what it costs. A copy is made by editing the source,
 * as the fault tests do to see that a safeguard is needed: the library has no option for it.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { root, type Settings } from "./harness.ts"

export interface Edit {
  readonly file: string
  readonly code: RegExp
  readonly without: string
}

/** The batch counts as found without being read; where the file ends is known from its length before. */
const readBack: Edit = {
  file: "internal/logWriter.ts",
  code: /private readBack\(batch: Batch, sizeBefore: number\): number \{/,
  without: `$&
    if (sizeBefore >= 0) {
      this.lastEnd = sizeBefore + batch.bytes.length
      this.seenEnd = Math.max(this.seenEnd, this.lastEnd)
      return batch.groups.length
    }`
}

/** A hash of the same length that costs nothing. */
const chain: Edit = {
  file: "HashChain.ts",
  code: /\(head\) => hash\("sha256", head, "base64url"\)/,
  without: `() => "${"A".repeat(43)}"`
}

export const edits = { readBack, chain } as const

/** The sources with an edit made. Throws if they have changed so that it cannot be. */
export const apply = (text: string, { code, file, without }: Edit): string => {
  if (text.split(code).length !== 2) throw new Error(`${file} has changed: test/bench/without.ts looks for ${code}`)
  return text.replace(code, without)
}

/** Makes the copy and returns its directory, from which the programs of `test/bench/peers` run as they do from here. */
export const copyWithout = ({ directory }: Settings, name: string, taken: ReadonlyArray<Edit>): string => {
  const copy = Path.join(directory, name)
  for (const part of ["src", "test/bench"]) {
    Fs.cpSync(Path.join(root, part), Path.join(copy, part), { recursive: true })
  }
  Fs.copyFileSync(Path.join(root, "package.json"), Path.join(copy, "package.json"))
  Fs.symlinkSync(Path.join(root, "node_modules"), Path.join(copy, "node_modules"))
  for (const edit of taken) {
    const path = Path.join(copy, "src", edit.file)
    Fs.writeFileSync(path, apply(Fs.readFileSync(path, "utf8"), edit))
  }
  return copy
}
