/**
 * The failures of a commit, and what their callers are told.
 */
import * as Effect from "effect/Effect"
import * as AuditError from "../AuditError.ts"
import { errorCode } from "./filePort.ts"
import type { Answer, Entry } from "./groupCommit.ts"

/** Error codes of a file system that has no room. */
export const isFull = (code: string): boolean => code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG"

export const unavailable = (
  path: string,
  problem: string,
  committed: AuditError.Committed,
  cause: unknown
): AuditError.Unavailable => new AuditError.Unavailable({ path, problem, committed, isRetryable: false, cause })

/** A system call failed before anything was written: the next append may find things in order. */
export const unlooked = (path: string, cause: unknown): AuditError.Unavailable =>
  new AuditError.Unavailable({
    path,
    problem: `looking at it failed (${errorCode(cause)})`,
    committed: "no",
    isRetryable: true,
    cause
  })

/** Answers callers with a failure. */
export const reject = <Item, Done>(
  entries: ReadonlyArray<Entry<Item, Done, AuditError.AuditError>>,
  reason: AuditError.AuditErrorReason,
  answer: Answer<Item, Done, AuditError.AuditError>
): void => {
  if (entries.length === 0) return
  const failure = Effect.fail(AuditError.make(reason))
  for (const entry of entries) answer(entry, failure)
}

/** The same reason for a caller whose record may be in the file since an earlier attempt of the same commit. */
export const uncertain = (reason: AuditError.AuditErrorReason, path: string): AuditError.AuditErrorReason =>
  reason._tag === "StorageFull"
    ? new AuditError.StorageFull({ path, code: reason.code, committed: "unknown" })
    : new AuditError.Unavailable({
      path,
      problem: `a first attempt could not be confirmed, and then: ${reason.message}`,
      committed: "unknown",
      isRetryable: reason.isRetryable,
      cause: reason
    })
