/**
 * The transaction that a fiber is in, for one log: a reference that its children inherit.
 */
import * as Context from "effect/Context"
import type * as Transaction from "../Transaction.ts"

export type CurrentTransaction = Context.Reference<Transaction.Transaction | undefined>

/** How many references have been made: their keys must differ. */
let count = 0

/** A reference of its own, so that a transaction of one log never takes the records of another. */
export const make = (name: string): CurrentTransaction =>
  Context.Reference<Transaction.Transaction | undefined>(`effect-auditlog/${name}/Transaction/${count++}`, {
    defaultValue: () => undefined
  })
