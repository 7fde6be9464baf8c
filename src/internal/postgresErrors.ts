/**
 * What failures of a PostgreSQL client mean to a shipper.
 */
import type { SqlError } from "effect/sql/SqlError"
import { DestinationRejected, DestinationUnavailable } from "../Destination.ts"

/** Failures after which the same may succeed; for all others somebody has to change something. */
const isPassing = (code: string, tag: string): boolean =>
  code === ""
    ? tag !== "AuthenticationError" && tag !== "AuthorizationError" && tag !== "SqlSyntaxError"
    : /^(?:08|40|53|55|57|58|XX|25)/.test(code) && code !== "53100"

const codeOf = (cause: unknown): string => {
  for (let at = cause; typeof at === "object" && at !== null;) {
    const { code } = at as { readonly code?: unknown }
    if (typeof code === "string" && /^[0-9A-Z]{5}$/.test(code)) return code
    at = (at as { readonly cause?: unknown }).cause
  }
  return ""
}

/** A failure of any statement. */
export const failure = (destination: string) => (error: SqlError): DestinationUnavailable | DestinationRejected => {
  const code = codeOf(error.reason)
  const cause = error.reason.cause
  const detail = cause instanceof Error ? cause.message : ""
  const problem = `${error.message}${detail === "" || error.message.includes(detail) ? "" : `: ${detail}`}${
    code === "" ? "" : ` (${code})`
  }`
  if (isPassing(code, error.reason._tag)) {
    return new DestinationUnavailable({ destination, problem, cause: error })
  }
  const reason = code === "53100"
    ? "full"
    : ["AuthenticationError", "AuthorizationError"].includes(error.reason._tag)
    ? "denied"
    : code === "54000"
    ? "tooLarge"
    : "invalid"
  const missing = code === "42P01" || code === "3F000"
    ? "its tables are not there, run the setup first (auditlog ship --setup): "
    : ""
  return new DestinationRejected({ destination, reason, problem: `${missing}${problem}` })
}
