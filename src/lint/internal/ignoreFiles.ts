/**
 * What .gitignore files leave out, as git reads them: those of every directory between the repository and a file, the
 * deeper one deciding, with negation; and `.git/info/exclude`.
 *
 * @since 0.1.0
 */
import ignore, { type Ignore } from "ignore"
import * as Fs from "node:fs"
import * as Path from "node:path"

/** The rules of one directory, and of those above it. */
export interface IgnoreRules {
  readonly directory: string
  readonly rules: Ignore
  readonly above: IgnoreRules | undefined
}

const read = (file: string): string | undefined => {
  try {
    return Fs.readFileSync(file, "utf8")
  } catch {
    // there is none, or it cannot be read: then git ignores nothing either
    return undefined
  }
}

/** Patterns of .gitignore syntax, relative to a directory. As git on Linux, they tell capitals from small letters. */
export const patterns = (lines: ReadonlyArray<string>): Ignore =>
  ignore({ allowRelativePaths: true, ignorecase: false }).add([...lines])

/** The rules that hold in a directory, given those of its parent. */
export const enter = (directory: string, above: IgnoreRules | undefined): IgnoreRules | undefined => {
  const texts = [read(Path.join(directory, ".git", "info", "exclude")), read(Path.join(directory, ".gitignore"))]
    .filter((text) => text !== undefined)
  return texts.length === 0
    ? above
    : { directory, rules: patterns(texts.flatMap((text) => text.split(/\r?\n/))), above }
}

/** The rules that hold in a directory from which a walk starts: those of all directories up to the repository's. */
export const around = (directory: string): IgnoreRules | undefined => {
  const chain = [directory]
  for (let at = directory; !Fs.existsSync(Path.join(at, ".git")); at = Path.dirname(at)) {
    // outside of a repository nothing above counts
    if (Path.dirname(at) === at) return enter(directory, undefined)
    chain.push(Path.dirname(at))
  }
  return chain.reduceRight<IgnoreRules | undefined>((above, at) => enter(at, above), undefined)
}

/** Whether a path is ignored. Its parents are known not to be. */
export const isIgnored = (rules: IgnoreRules | undefined, path: string, isDirectory: boolean): boolean => {
  for (let at = rules; at !== undefined; at = at.above) {
    const relative = path.slice(at.directory.length + (at.directory.endsWith(Path.sep) ? 0 : 1))
    const verdict = at.rules.test(relative.replaceAll(Path.sep, "/") + (isDirectory ? "/" : ""))
    if (verdict.ignored) return true
    if (verdict.unignored) return false
  }
  return false
}
