/**
 * Removes sealed segments that every required destination has.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Appender } from "../Appender.ts"
import type * as AuditError from "../AuditError.ts"
import * as Codec from "../Codec.ts"
import type { FilePort } from "./filePort.ts"
import * as ResumePoint from "./resumePoint.ts"
import type { SegmentRemoved } from "./retention.ts"
import * as Retention from "./retention.ts"
import * as SourceSegments from "./sourceSegments.ts"

/** Whether one destination, which stands there, has a segment to its end: also what a late write may have added. */
const hasPassed = (
  port: FilePort,
  live: string,
  listed: ReadonlyArray<SourceSegments.Listed>,
  resume: string | undefined
): (path: string) => boolean => {
  const places = resume === undefined ? [] : ResumePoint.parse(resume) ?? []
  const current = places.at(-1)
  const at = listed.findLastIndex((segment) =>
    segment.inode === current?.inode && SourceSegments.name(port, live, segment) === current.name
  )
  return (path) => {
    const i = listed.findIndex((segment) => segment.path === path)
    const segment = listed[i]
    if (segment === undefined || i >= at) return false
    const earlier = places.find(({ inode }) => inode === segment.inode)
    return earlier === undefined || earlier.offset >= segment.bytes
  }
}

export const apply = (options: {
  readonly port: FilePort
  readonly live: string
  readonly limits: { readonly ageMillis: number; readonly bytes: number }
  readonly nowMillis: () => number
  readonly resumes: () => ReadonlyArray<string | undefined>
  readonly appender: Appender["Service"]
  readonly warned: (problem: string) => void
}): Effect.Effect<void, AuditError.AuditError> =>
  Effect.suspend(() => {
    const { appender, live, nowMillis, port } = options
    const listed = SourceSegments.list(port, live)
    const passed = options.resumes().map((resume) => hasPassed(port, live, listed, resume))
    return Retention.apply({
      ...options,
      mayRemove: (path) => passed.length > 0 && passed.every((has) => has(path)),
      append: (record) => append(record, nowMillis(), appender)
    })
  })

/** Appends a record of the library's own. */
const append = (
  record: SegmentRemoved,
  nowMillis: number,
  appender: Appender["Service"]
): Effect.Effect<unknown, AuditError.AuditError> => {
  const encoded = Codec.encode(record, { at: new Date(nowMillis).toISOString(), value: record })
  return Result.isFailure(encoded) ? Effect.die(encoded.failure) : appender.append([encoded.success])
}
