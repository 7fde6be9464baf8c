/**
 * Which files are linted: everything below the paths that were given which is in one of the languages, by its extension
 * or its `#!` line, hidden files too. What is left out is counted or named, and never forgotten.
 *
 * Plain calls of `node:fs`: `effect/FileSystem` has no directory listing with the kinds of entries, and a `stat` for
 * each of 7000 files would be half of the whole run.
 *
 * @since 0.1.0
 */
import type { Ignore } from "ignore"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Skipped, SkipReason } from "../Diagnostic.ts"
import type { Language } from "../Language.ts"
import { languageOfExtension, languageOfInterpreter } from "../Languages.ts"
import * as IgnoreFiles from "./ignoreFiles.ts"

/** A file to lint. */
export interface SourceFile {
  readonly path: string
  readonly language: Language
  readonly extension: string
}

/** What a walk found. */
export interface Found {
  readonly files: ReadonlyArray<SourceFile>
  readonly skipped: ReadonlyArray<Skipped>
  readonly ignored: number
  readonly excluded: number
  readonly otherFiles: number
}

/** What a walk is told. `paths` are absolute; `include` and `exclude` are relative to `root`. */
export interface Options {
  readonly paths: ReadonlyArray<string>
  readonly root: string
  readonly include: Ignore | undefined
  readonly exclude: Ignore | undefined
  readonly gitignore: boolean
}

/** Not the project's own code, whether .gitignore says so or not. */
const foreignDirectories = new Set(["node_modules", "__pycache__", ".tox", ".venv"])

/** No files of the project at all. */
const repositoryDirectories = new Set([".git", ".hg", ".svn", ".jj"])

/** Extensions of templates of scripts, and of scripts that are named for what they do. */
const perhapsScript = new Set(["in", "tmpl", "template", "sample", "example", "cgi", "command", "hook"])

/** Shell files that are read and not run: they have no `#!` line. */
const shellStartFiles = /^\.(?:bash(?:rc|_profile|_login|_logout|_aliases)|profile|zshrc|zshenv|zprofile|kshrc|envrc)$/

/** A `#!` line of a longer one is nothing that a kernel takes. */
const interpreterBytesMax = 256

/** The language of a file, and the extension that picks its grammar; `undefined` if it is in none. */
export const languageOf = (
  path: string,
  firstLine: () => string | undefined,
  isGiven: boolean
): { readonly language: Language; readonly extension: string } | undefined => {
  const name = Path.basename(path)
  const extension = Path.extname(name).slice(1).toLowerCase()
  const byExtension = extension === "" ? undefined : languageOfExtension(extension)
  if (byExtension !== undefined) return { language: byExtension, extension }
  if (shellStartFiles.test(name)) {
    const shell = languageOfExtension("sh")
    return shell === undefined ? undefined : { language: shell, extension: "sh" }
  }
  if (!isGiven && extension !== "" && !perhapsScript.has(extension)) return undefined
  const interpreter = interpreterOf(firstLine() ?? "")
  const language = interpreter === undefined ? undefined : languageOfInterpreter(interpreter)
  return language === undefined ? undefined : { language, extension: language.extensions[0] ?? "" }
}

/** `#!/usr/bin/env -S FOO=1 python3.12 -u` names `python3`. */
const interpreterOf = (line: string): string | undefined => {
  if (!line.startsWith("#!")) return undefined
  const words = line.slice(2).trim().split(/\s+/)
  const names = words.map((word) => Path.posix.basename(word))
  const name = names[0] === "env"
    ? names.slice(1).find((_, index) => !/^-|=/.test(words[index + 1] ?? ""))
    : names[0]
  return name
}

const firstLineOf = (path: string) => (): string | undefined => {
  let file: number | undefined
  try {
    file = Fs.openSync(path, "r")
    const bytes = Buffer.alloc(interpreterBytesMax)
    const length = Fs.readSync(file, bytes, 0, bytes.length, 0)
    return bytes.toString("utf8", 0, length).split("\n", 1)[0]
  } catch {
    // whether it can be read is asked again by whoever lints it
    return undefined
  } finally {
    if (file !== undefined) Fs.closeSync(file)
  }
}

const messageOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause ? String(cause.code) : String(cause)

/** Finds the files. A path that was given is taken whatever ignore files, patterns and its extension say. */
export const find = (options: Options): Found => {
  const files = new Map<string, SourceFile>()
  const skipped: Array<Skipped> = []
  const counts = { ignored: 0, excluded: 0, otherFiles: 0 }
  const skip = (file: string, reason: SkipReason, detail: string): void => {
    skipped.push({ file, reason, detail })
  }

  const inRoot = (path: string): string | undefined => {
    const relative = Path.relative(options.root, path).replaceAll(Path.sep, "/")
    return relative === "" || relative.startsWith("../") || Path.isAbsolute(relative) ? undefined : relative
  }
  const isExcluded = (path: string, isDirectory: boolean): boolean => {
    const relative = inRoot(path)
    if (relative === undefined) return false
    if (options.exclude?.ignores(isDirectory ? `${relative}/` : relative) === true) return true
    return !isDirectory && options.include?.ignores(relative) === false
  }

  const addFile = (path: string, isGiven: boolean): void => {
    const found = languageOf(path, firstLineOf(path), isGiven)
    if (found === undefined) counts.otherFiles++
    else files.set(path, { path, ...found })
  }

  const walk = (directory: string, rules: IgnoreFiles.IgnoreRules | undefined, isGiven: boolean): void => {
    let entries: ReadonlyArray<Fs.Dirent>
    try {
      entries = Fs.readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
    } catch (cause) {
      return skip(directory, "unreadable", messageOf(cause))
    }
    if (!isGiven && entries.some(({ name }) => name === "pyvenv.cfg")) {
      counts.excluded++
      return
    }
    const here = options.gitignore && !isGiven ? IgnoreFiles.enter(directory, rules) : rules
    for (const entry of entries) {
      const path = Path.join(directory, entry.name)
      const kind = kindOf(entry, path)
      const isDirectory = kind === "directory"
      if (kind === "other" || (isDirectory && repositoryDirectories.has(entry.name))) continue
      if (isDirectory && foreignDirectories.has(entry.name)) counts.excluded++
      else if (IgnoreFiles.isIgnored(here, path, isDirectory)) counts.ignored++
      else if (isExcluded(path, isDirectory)) {
        // what would not have been linted anyway is not worth a word
        if (isDirectory || languageOf(path, () => undefined, false) !== undefined) counts.excluded++
        else counts.otherFiles++
      } else if (isDirectory) walk(path, here, false)
      else if (kind === "file") addFile(path, false)
      else if (kind !== "inner") skip(path, "link", kind.detail)
    }
  }

  /** A link to a file counts as that file; one to a directory is not followed, so that no walk is endless. */
  const kindOf = (
    entry: Fs.Dirent,
    path: string
  ): "file" | "directory" | "inner" | "other" | { readonly detail: string } => {
    if (entry.isDirectory()) return "directory"
    if (entry.isFile()) return "file"
    if (!entry.isSymbolicLink()) return "other"
    try {
      const stat = Fs.statSync(path)
      if (!stat.isDirectory()) return stat.isFile() ? "file" : "other"
      const target = Fs.realpathSync(path)
      return roots.some((root) => target === root || target.startsWith(root + Path.sep))
        ? "inner"
        : { detail: `is a link to the directory ${target}, which is not followed: give its path to lint it` }
    } catch (cause) {
      const code = messageOf(cause)
      // a link that leads nowhere is no file that could be linted
      return code === "ENOENT" ? "other" : { detail: code === "ELOOP" ? "is a loop of symbolic links" : code }
    }
  }

  const roots = options.paths.flatMap((path) => {
    try {
      return [Fs.realpathSync(path)]
    } catch {
      return []
    }
  })
  for (const path of options.paths) {
    try {
      if (Fs.statSync(path).isDirectory()) walk(path, options.gitignore ? IgnoreFiles.around(path) : undefined, true)
      else addFile(path, true)
    } catch (cause) {
      skip(path, "unreadable", messageOf(cause))
    }
  }
  return { files: [...files.values()], skipped, ...counts }
}

/** The directory of a path: itself, if it is one. */
export const directoryOf = (path: string): string => {
  try {
    return Fs.statSync(path).isDirectory() ? path : Path.dirname(path)
  } catch {
    // whoever reads it says that it is not there
    return Path.dirname(path)
  }
}
