/**
 * The log of the benches, as a user declares it.
 */
import * as Schema from "effect/Schema"
import * as AuditLog from "../../src/AuditLog.ts"

export const schema = Schema.Struct({
  _tag: Schema.Literal("InvoiceChanged"),
  actor: Schema.String,
  entity: Schema.String,
  field: Schema.String,
  before: Schema.String,
  after: Schema.String,
  rev: Schema.Int,
  ok: Schema.Boolean
})

export class Audit extends AuditLog.Service<Audit>()("bench/Audit", { schema }) {}
