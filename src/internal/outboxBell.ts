/**
 * Wakes the relays of this process when a transaction with staged records has committed. A ring too many costs a relay
 * one look at the table, a missing one the wait of its poll.
 */
const listeners = new Set<() => void>()

/** Calls a function at every ring, until the returned one is called. */
export const listen = (listener: () => void): () => void => {
  // a function of its own, so that two listeners are never taken for one
  const own = (): void => listener()
  listeners.add(own)
  return () => {
    listeners.delete(own)
  }
}

/** Whether anybody listens. */
export const isHeard = (): boolean => listeners.size > 0

export const ring = (): void => {
  for (const listener of listeners) listener()
}
