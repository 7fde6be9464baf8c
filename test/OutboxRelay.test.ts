/**
 * What a relay does with the rows of an outbox: each of them once in the log, in order, whatever was there before.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import { OutboxRelay, OutboxSchema } from "../src/index.ts"
import { contents, kinds, type Sql } from "./sqlSupport.ts"
import { readRecords, temporaryLog } from "./support.ts"

/** Stages records outside of Effect's transactions, as other programs do. */
const stage = (sql: Sql, records: ReadonlyArray<object>) => {
  const { text, values } = OutboxSchema.outboxStatement(OutboxSchema.dialectOf(sql), records)
  return Effect.asVoid(sql.unsafe(text, values))
}

const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => ({ n: from + i }))

const drain = (sql: Sql, path: string, options: Partial<OutboxRelay.Options> = {}) =>
  OutboxRelay.drain({ path, ...options }).pipe(
    Effect.provideService(SqlClient.SqlClient, sql),
    Effect.provide(NodeFileSystem.layer)
  )

const logged = (path: string) => Effect.map(readRecords(path), (records) => records.map(({ fields }) => fields["n"]))

for (const kind of kinds()) {
  describe(`a relay on ${kind.name}`, () => {
    const check = (
      name: string,
      body: (test: { readonly sql: Sql; readonly path: string }) => Effect.Effect<void, unknown, Scope.Scope>
    ): void => {
      it.live(name, () =>
        Effect.gen(function*() {
          const { sql } = yield* kind.make
          yield* body({ sql, path: yield* temporaryLog })
        }))
    }

    check("takes all rows to the log in order, and leaves an empty table", ({ path, sql }) =>
      Effect.gen(function*() {
        yield* stage(sql, numbered(0, 1201))
        assert.strictEqual(yield* drain(sql, path), 1201)
        assert.deepStrictEqual(yield* logged(path), numbered(0, 1201).map(({ n }) => n))
        assert.deepStrictEqual((yield* contents(sql)).staged, [])
        assert.strictEqual(yield* drain(sql, path), 0)
      }))
  })
}
