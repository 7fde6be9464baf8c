/**
 * What can keep a relay from its work, besides the failures of the database and of the log themselves.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * A relay cannot go on. `kind` says why.
 *
 * **Details**
 *
 * `busy`: another relay holds the lock of this outbox. `superseded`: another relay has taken the outbox over, so this one
 * must not delete. `schema`: the tables are missing, or of another version. `timeout`: the database did not answer.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutboxError extends Schema.TaggedError<OutboxError>("effect-auditlog/OutboxError")("OutboxError", {
  kind: Schema.Literals(["busy", "superseded", "schema", "timeout"]),
  problem: Schema.String
}) {
  override get message(): string {
    return `the outbox cannot be drained: ${this.problem}`
  }
}
