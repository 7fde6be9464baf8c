/**
 * pino, asynchronous with `fsync`, and callers who wait for `flush(cb)`. `minLength: 1` because at the default of 0 it
 * calls back before the record is in the file: pinoFlush.ts shows it.
 */
import { pino } from "pino"
import { record } from "../record.ts"
import { callers, measure } from "./measure.ts"

const { fibers, millis, path } = JSON.parse(process.argv[2] ?? "") as {
  readonly path: string
  readonly fibers: number
  readonly millis: number
}

const destination = pino.destination({ dest: path, sync: false, fsync: true, minLength: 1 })
// each waiting flush adds two listeners; without this, pino spends half of its time on warnings about them
destination.setMaxListeners(0)
const logger = pino(destination)
const append = () =>
  new Promise<void>((resolve, reject) => {
    logger.info(record)
    logger.flush((error) => error === undefined || error === null ? resolve() : reject(error))
  })
await measure(millis, (clock) => callers(clock, fibers, append))
