/**
 * Whether pino's `flush(cb)` calls back before the record is in the file: counts the callbacks that do.
 */
import * as Fs from "node:fs"
import { pino } from "pino"
import { numbered } from "../record.ts"

const { minLength, path, records } = JSON.parse(process.argv[2] ?? "") as {
  readonly path: string
  readonly minLength: number | undefined
  readonly records: number
}

const logger = pino(
  pino.destination({ dest: path, sync: false, fsync: true, ...(minLength === undefined ? {} : { minLength }) })
)
let early = 0
for (let n = 0; n < records; n++) {
  logger.info(numbered(n))
  await new Promise<void>((resolve, reject) => {
    logger.flush((error) => {
      if (error !== undefined && error !== null) return reject(error)
      if (!Fs.readFileSync(path, "latin1").includes(`"rev":${n},`)) early++
      resolve()
    })
  })
}
console.log(JSON.stringify({ early }))
