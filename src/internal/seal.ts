/**
 * Renames the live file of a log to the name of a sealed segment.
 *
 * The name carries the time, and segments are read in the order of their names. So between the look at the live file and
 * its renaming no other process may seal it: else we would give its successor, which is young, an older name than it has
 * a right to, and readers would meet the records in the wrong order. The lock is a file that exists for that moment.
 */
import { constants } from "node:fs"
import { dirname } from "node:path"
import * as Segment from "../Segment.ts"
import { errorCode, type FileIdentity, type FilePort } from "./filePort.ts"

/** A lock this old was left by a process that died while it held it: sealing takes milliseconds. */
const lockStaleMillis = 10_000

const lockFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

const lock = (port: FilePort, path: string): boolean => {
  try {
    port.close(port.open(path, lockFlags, 0o600))
    return true
  } catch (cause) {
    if (errorCode(cause) !== "EEXIST") throw cause
    return false
  }
}

const isStale = (port: FilePort, path: string, nowMillis: number): boolean => {
  const bornMillis = port.lstat(path)?.bornMillis ?? 0
  return bornMillis > 0 && nowMillis - bornMillis > lockStaleMillis
}

/**
 * Removes a lock that was left. All processes find it stale at the same moment, and one that was slower than the others
 * would remove the lock that the next one has taken by then: so whoever removes it holds a lock for that, and looks again.
 */
const removeStale = (port: FilePort, path: string, nowMillis: number): void => {
  if (!isStale(port, path, nowMillis)) return
  const breaker = `${path}.stale`
  if (lock(port, breaker)) {
    try {
      if (isStale(port, path, nowMillis)) unlock(port, path)
    } finally {
      unlock(port, breaker)
    }
  } else if (isStale(port, breaker, nowMillis)) unlock(port, breaker)
}

const unlock = (port: FilePort, path: string): void => {
  try {
    port.unlink(path)
  } catch (cause) {
    if (errorCode(cause) !== "ENOENT") throw cause
  }
}

/**
 * Later than every segment is, also in the same millisecond, and when the clock was set back since: readers go by the
 * names, and a name that exists would be overwritten.
 */
const timeToSeal = (port: FilePort, live: string, nowMillis: number): number =>
  Segment.pick(live, port.list(dirname(live)))
    .map(({ path }) => Segment.sealedMillis(live, path) + 1)
    .filter((millis) => !Number.isNaN(millis))
    .reduce((latest, millis) => Math.max(latest, millis), nowMillis)

/**
 * Seals the live file if it is still the one with this identity. Returns the segment's path, or `undefined` if another
 * process is at it, or has done it. Throws the errors of the port.
 */
export const seal = (port: FilePort, live: string, options: {
  readonly identity: FileIdentity
  readonly writer: string
  readonly nowMillis: number
}): string | undefined => {
  const lockPath = `${live}.sealing`
  if (!lock(port, lockPath)) {
    removeStale(port, lockPath, options.nowMillis)
    return undefined
  }
  try {
    if (port.identity(live) !== options.identity) return undefined
    const sealed = Segment.sealedPath(
      live,
      new Date(timeToSeal(port, live, options.nowMillis)).toISOString(),
      options.writer
    )
    port.rename(live, sealed)
    port.fsyncDirectory(dirname(live))
    return sealed
  } finally {
    unlock(port, lockPath)
  }
}
