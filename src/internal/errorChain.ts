/**
 * An error in words, with what is behind it: a driver's own message may only say that the connection failed.
 */

/** How many causes are told, at most. */
const depthMax = 4

/** The text of an error, and the messages of its causes that it does not hold already. */
export const explain = (text: string, cause: unknown): string => {
  let told = text
  for (let depth = 0; cause instanceof Error && depth < depthMax; cause = cause.cause, depth++) {
    if (cause.message !== "" && !told.includes(cause.message)) told += `: ${cause.message}`
  }
  return told
}
