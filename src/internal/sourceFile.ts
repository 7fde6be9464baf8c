/**
 * Who a log is to the destinations it is shipped to: a small file beside it. A UUID, and never a host name: those are
 * reused, and a log may move to another host.
 */
import * as Data from "effect/Data"
import * as Fs from "node:fs"
import { basename, dirname, join } from "node:path"
import type { Source } from "../Destination.ts"

/** The file cannot be read, written or understood. */
export class SourceFileError extends Data.TaggedError("SourceFileError")<{
  readonly file: string
  readonly problem: string
}> {}

const pathOf = (live: string): string => `${live}.source`

const fileMode = 0o600

const temporary = (path: string): string => join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}`)

const isCode = (error: unknown, code: string): boolean => (error as { readonly code?: unknown }).code === code

const syncDirectory = (path: string): void => {
  const fd = Fs.openSync(path, "r")
  try {
    Fs.fsyncSync(fd)
  } finally {
    Fs.closeSync(fd)
  }
}

/** Writes a whole file under a name of its own, durably; the caller gives it its name. */
const write = (path: string, text: string): string => {
  const made = temporary(path)
  const fd = Fs.openSync(made, "wx", fileMode)
  try {
    Fs.writeSync(fd, text)
    Fs.fsyncSync(fd)
  } finally {
    Fs.closeSync(fd)
  }
  return made
}

/** Replaces a file by another text: after a crash it has the one or the other, whole. */
export const replace = (path: string, text: string): void => {
  Fs.renameSync(write(path, text), path)
  syncDirectory(dirname(path))
}

/** Makes a file unless there is one by now. */
const create = (path: string, text: string): void => {
  const made = write(path, text)
  try {
    Fs.linkSync(made, path)
  } catch (error) {
    if (!isCode(error, "EEXIST")) throw error
  } finally {
    Fs.unlinkSync(made)
  }
  syncDirectory(dirname(path))
}

const format = ({ generation, id }: Source): string => `${JSON.stringify({ v: 1, id, generation })}\n`

const parse = (text: string): Source | undefined => {
  try {
    const { generation, id, v } = JSON.parse(text) as { readonly [key: string]: unknown }
    return v === 1 && typeof id === "string" && /^[0-9a-f-]{36}$/.test(id) && Number.isSafeInteger(generation)
      ? { id, generation: Number(generation) }
      : undefined
  } catch {
    return undefined
  }
}

/** The text of a file; `undefined` if there is none. */
export const read = (path: string): string | undefined => {
  try {
    return Fs.readFileSync(path, "utf8")
  } catch (error) {
    if (isCode(error, "ENOENT")) return undefined
    throw error
  }
}

const failure = (file: string, error: unknown): SourceFileError =>
  error instanceof SourceFileError
    ? error
    : new SourceFileError({ file, problem: error instanceof Error ? error.message : String(error) })

/** The source of a log; `undefined` if it was never shipped. Throws {@link SourceFileError}. */
export const load = (live: string): Source | undefined => {
  const path = pathOf(live)
  try {
    const text = read(path)
    if (text === undefined) return undefined
    const source = parse(text)
    if (source !== undefined) return source
    throw new SourceFileError({
      file: path,
      problem: "it is damaged; restore it, or remove it to ship the log as a new source"
    })
  } catch (error) {
    throw failure(path, error)
  }
}

/** Whether a log has been shipped from here. */
export const exists = (live: string): boolean => Fs.existsSync(pathOf(live))

/** The source of a log, which is made if there is none. Throws {@link SourceFileError}. */
export const loadOrCreate = (live: string): Source => {
  const path = pathOf(live)
  const found = load(live)
  if (found !== undefined) return found
  try {
    create(path, format({ id: crypto.randomUUID(), generation: 1 }))
  } catch (error) {
    throw failure(path, error)
  }
  return loadOrCreate(live)
}

/** Opens the next generation of a source. Only the shipper that holds its lock may. Throws {@link SourceFileError}. */
export const nextGeneration = (live: string, { generation, id }: Source): Source => {
  const next = { id, generation: generation + 1 }
  try {
    replace(pathOf(live), format(next))
  } catch (error) {
    throw failure(pathOf(live), error)
  }
  return next
}
