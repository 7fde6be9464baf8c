/**
 * What the tests of repair share: logs, the ways to damage them, and the file that a repair started from, put together
 * again.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect } from "effect"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Repair, type RepairReport } from "../src/index.ts"
import { OpenWriters } from "../src/internal/openWriters.ts"

/** Repairs where nobody writes: which processes can be looked into here is no subject of most tests. */
export const repair = (path: string, options?: Repair.Options) =>
  Repair.repair(path, options).pipe(
    Effect.provideService(OpenWriters, () => ({ writers: [], unseen: [], blind: undefined, notes: [] })),
    Effect.provide(NodeFileSystem.layer)
  )

/** Repairs with the real search for writers. */
export const repairSearching = (path: string, options?: Repair.Options) =>
  Repair.repair(path, options).pipe(Effect.provide(NodeFileSystem.layer))

/** The report of the only file. */
export const only = (report: RepairReport.Report): RepairReport.FileReport => {
  if (report.files.length !== 1) throw new Error(`${report.files.length} files`)
  return report.files[0]!
}

/** An entry of a quarantine, without stamp and hash. */
export interface Moved {
  readonly _tag: string
  readonly file: string
  readonly sizeBytes?: number
  readonly offset?: number
  readonly length?: number
  readonly kind?: string
  readonly healed?: boolean
  readonly sha256: string
  readonly base64?: string
}

/** The entries of a quarantine as any JSON parser sees them. */
export const quarantined = (path: string): ReadonlyArray<Moved> =>
  Fs.existsSync(path)
    ? Fs.readFileSync(path, "utf8").split("\n").filter((line) => line !== "").flatMap((line) => {
      const { _audit, _hash, ...entry } = JSON.parse(line)
      return _audit.resync === true ? [] : [entry]
    })
    : []

const sha256 = (bytes: Uint8Array): string => Crypto.hash("sha256", bytes, "hex")

/** Puts the moved bytes of the last repair of a file back at their offsets. */
export const putBack = (path: string): Buffer => {
  const entries = quarantined(Repair.quarantinePath(path)).filter(({ file }) => file === Path.basename(path))
  const started = entries.findLastIndex(({ _tag }) => _tag === "RepairStarted")
  const kept = Fs.readFileSync(path)
  const parts: Array<Buffer> = []
  let at = 0
  let keptTo = 0
  for (const { base64, length = 0, offset = 0 } of entries.slice(started).filter(({ _tag }) => _tag === "BytesMoved")) {
    parts.push(kept.subarray(keptTo, keptTo + offset - at))
    keptTo += offset - at
    parts.push(base64 === undefined ? Buffer.alloc(length) : Buffer.from(base64, "base64"))
    at = offset + length
  }
  parts.push(kept.subarray(keptTo))
  const whole = Buffer.concat(parts)
  if (sha256(whole) !== entries[started]?.sha256) throw new Error("the quarantine does not lead back to the file")
  return whole
}
