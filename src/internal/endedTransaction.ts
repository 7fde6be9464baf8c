/**
 * What the SQLite client of this library and the outbox have to agree on: how a statement that comes after the end of its
 * transaction is refused.
 */

/** The client's name, by which its connections are known. */
export const sqliteDriver = "auditlog-node-sqlite"

/** What such a statement is told. */
export const transactionEnded = "the transaction of this connection has ended"
