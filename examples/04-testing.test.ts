/**
 * Testing the audit trail of a service, without a file: `npx vitest run examples/04-testing.test.ts`
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { AuditError, AuditLog } from "../src/index.ts"

class Audit extends AuditLog.Service<Audit>()("roles/Audit", {
  schema: Schema.TaggedUnion({ RoleGranted: { actor: Schema.String, role: Schema.String } })
}) {}

class UnknownRole extends Schema.TaggedError<UnknownRole>()("UnknownRole", { role: Schema.String }) {}

// The service under test.
class Roles extends Context.Service<Roles, {
  readonly grant: (actor: string, role: string) => Effect.Effect<void, UnknownRole | AuditError.AuditError>
}>()("roles/Roles") {
  static readonly layer = Layer.effect(
    Roles,
    Audit.useSync((audit) => ({
      grant: (actor, role) =>
        audit.transaction(Effect.gen(function*() {
          yield* audit.append({ _tag: "RoleGranted", actor, role })
          if (role !== "admin" && role !== "guest") return yield* new UnknownRole({ role })
        }))
    }))
  )
}

// #region test
const TestLive = Roles.layer.pipe(Layer.provideMerge(Audit.layerTest))

describe("Roles", () => {
  it.effect("records who was granted what", () =>
    Effect.gen(function*() {
      yield* Roles.use((roles) => roles.grant("ada", "admin"))
      const log = yield* Audit.Test
      assert.deepStrictEqual(yield* log.records, [{ _tag: "RoleGranted", actor: "ada", role: "admin" }])
    }).pipe(Effect.provide(TestLive)))

  it.effect("leaves no record of a grant that fails", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Roles.use((roles) => roles.grant("ada", "emperor")))
      assert.strictEqual(error._tag, "UnknownRole")
      const log = yield* Audit.Test
      assert.deepStrictEqual(yield* log.records, [])
      assert.strictEqual(yield* log.text, "")
    }).pipe(Effect.provide(TestLive)))

  it.effect("grants nothing while the disk is full", () =>
    Effect.gen(function*() {
      const log = yield* Audit.Test
      yield* log.failNext(new AuditError.StorageFull({ path: "audit.jsonl", code: "ENOSPC", committed: "no" }))
      const error = yield* Effect.flip(Roles.use((roles) => roles.grant("ada", "admin")))
      assert.strictEqual(error._tag === "AuditError" ? error.reason._tag : error._tag, "StorageFull")
      assert.deepStrictEqual(yield* log.records, [])
    }).pipe(Effect.provide(TestLive)))
})
// #endregion test
