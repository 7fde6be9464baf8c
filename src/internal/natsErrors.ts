/**
 * What failures of a NATS client mean to a shipper. By name and number, so that the client need not be loaded to tell.
 */
import { DestinationRejected, DestinationUnavailable, HeadMismatch } from "../Destination.ts"

/** Numbers of JetStream's API errors. */
export const codes = {
  noMessage: 10037,
  streamNotFound: 10059,
  wrongLastSequence: [10071, 10164],
  tooLarge: [10054],
  // the stream's limit with `discard: new`; the account's storage; the server's
  full: [10077, 10002, 10047, 10023, 10028],
  // the stream of that name does not take this subject, or is another one; another stream has the subjects
  invalid: [10060, 10052, 10058, 10065],
  // of a server without a cluster
  replicas: [10074]
} as const

const isOneOf = (numbers: ReadonlyArray<number>, code: number | undefined): boolean =>
  code !== undefined && numbers.includes(code)

/** The number of a JetStream API error. */
export const codeOf = (error: unknown): number | undefined => {
  const { code, name } = error as { readonly code?: unknown; readonly name?: unknown }
  return typeof code === "number" && typeof name === "string" && name.startsWith("JetStream") ||
      typeof code === "number" && code > 10_000
    ? code
    : undefined
}

const denied = new Set(["PermissionViolationError", "AuthorizationError", "UserAuthenticationExpiredError"])

const names = (error: unknown): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (let at = error; at instanceof Error && found.length < 8; at = at.cause) found.push(at.name)
  return found
}

const text = (error: unknown): string => {
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : ""
  return `${error instanceof Error ? error.message : String(error)}${cause}`
}

/** A failure of anything but an append. */
export const failure = (destination: string) => (error: unknown): DestinationUnavailable | DestinationRejected => {
  const problem = text(error)
  const code = codeOf(error)
  const rejected = (reason: DestinationRejected["reason"]) => new DestinationRejected({ destination, reason, problem })
  if (names(error).some((name) => denied.has(name))) return rejected("denied")
  if (isOneOf(codes.tooLarge, code)) return rejected("tooLarge")
  if (isOneOf(codes.full, code)) return rejected("full")
  if (isOneOf(codes.invalid, code)) return rejected("invalid")
  if (isOneOf(codes.replicas, code)) {
    const hint =
      "a stream has three replicas by default; ask for as many as there are servers, ?replicas=1 for a single one"
    return new DestinationRejected({ destination, reason: "invalid", problem: `${problem}: ${hint}` })
  }
  return new DestinationUnavailable({ destination, problem, cause: error })
}

/** A failure of an append. */
export const appendFailure =
  (destination: string, expected: number) =>
  (error: unknown): HeadMismatch | DestinationUnavailable | DestinationRejected =>
    isOneOf(codes.wrongLastSequence, codeOf(error))
      ? new HeadMismatch({ destination, expected })
      : failure(destination)(error)
