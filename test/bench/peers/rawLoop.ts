/**
 * The limit as far as Node goes, where there is no C compiler: one write and one fdatasync for each group of records.
 */
import * as Fs from "node:fs"
import { record } from "../record.ts"
import { measure } from "./measure.ts"

const { group, millis, path } = JSON.parse(process.argv[2] ?? "") as {
  readonly path: string
  readonly group: number
  readonly millis: number
}

const fd = Fs.openSync(path, "a", 0o600)
const bytes = Buffer.from(`${JSON.stringify(record)}\n`.repeat(group))
await measure(millis, (clock) => {
  while (performance.now() < clock.end) {
    const since = performance.now()
    Fs.writeSync(fd, bytes)
    Fs.fdatasyncSync(fd)
    clock.done(since, group)
  }
  return Promise.resolve()
})
