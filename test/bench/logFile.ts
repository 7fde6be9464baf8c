/**
 * Logs to read, of any size, to the byte as a writer of this library writes them, but some hundred times as fast.
 */
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import { needleActor, needleEvery, record } from "./record.ts"

/** Lines that are made before they are written. */
const blockBytes = 4 * 1024 * 1024

const firstWriter = "01JD0000000000000000000000"
const { actor: _, rev: __, ...rest } = record
const fields = `"actor":"ada.lovelace@example.org",${JSON.stringify(rest).slice(1, -1)}`
const needle = fields.replace("ada.lovelace@example.org", needleActor)

export interface Options {
  readonly bytes?: number
  readonly records?: number
  /** Whether all lines are of one writer, or each is of one of its own. Default one. */
  readonly writers?: "one" | "many"
}

/** Writes a sound log of about so many bytes, or of so many records, and returns its size in bytes. */
export const writeLog = (path: string, options: Options): number => {
  const { bytes = Number.POSITIVE_INFINITY, records = Number.POSITIVE_INFINITY, writers = "one" } = options
  const isOne = writers === "one"
  const fd = Fs.openSync(path, "w", 0o600)
  let link = ""
  let text = ""
  let written = 0
  for (let n = 0; n < records && written + text.length < bytes; n++) {
    const writer = isOne ? firstWriter : `01JD${String(n).padStart(22, "0")}`
    const head =
      `{"_audit":{"v":1,"writer":"${writer}","seq":${isOne ? n : 0},"at":"2026-11-23T09:15:02.114Z"${link}},` +
      `${n % needleEvery === needleEvery - 1 ? needle : fields},"rev":${n}`
    const hash = Crypto.hash("sha256", head, "base64url")
    link = `,"${isOne ? "prev" : "seen"}":"${hash}"`
    text += `${head},"_hash":"${hash}"}\n`
    if (text.length < blockBytes) continue
    written += Fs.writeSync(fd, text)
    text = ""
  }
  written += Fs.writeSync(fd, text)
  Fs.closeSync(fd)
  return written
}
