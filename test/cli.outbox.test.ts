/**
 * `auditlog relay` and `auditlog outbox`, as a person or a supervisor runs them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import { OutboxSchema } from "../src/index.ts"
import { auditlog, lines, start } from "./cliSupport.ts"
import type { Sql } from "./sqlClient.ts"
import { contents, kinds } from "./sqlSupport.ts"
import { rolesIn, temporaryDirectory, temporaryLog } from "./support.ts"

const stage = (sql: Sql, roles: ReadonlyArray<string>) => {
  const { text, values } = OutboxSchema.outboxStatement(OutboxSchema.dialectOf(sql), roles.map((role) => ({ role })))
  return Effect.asVoid(sql.unsafe(text, values))
}

const text = (path: string): string => Fs.existsSync(path) ? Fs.readFileSync(path, "utf8") : ""

it.live("a relay says why it cannot connect, and tries again", () =>
  Effect.gen(function*() {
    const path = yield* temporaryLog
    // nobody listens on the port of tcpmux
    const child = start(["relay", "--database", "postgres://ada@127.0.0.1:1/shop", path])
    const said = yield* Effect.promise(() => lines(child.stderr, 1))
    assert.match(said.join(""), /Failed to connect.*ECONNREFUSED.*; trying again in/)
    assert.isNull(child.exitCode)
  }))

for (const kind of kinds()) {
  describe(`the command on ${kind.name}`, () => {
    it.live("says what waits, takes it to the log, and names what was set aside", () =>
      Effect.gen(function*() {
        const { sql, url } = yield* kind.make
        const path = yield* temporaryLog
        const command = (...args: ReadonlyArray<string>) =>
          Effect.promise(() => auditlog(args, { env: { AUDITLOG_DATABASE: url } }))

        yield* stage(sql, ["a", "b"])
        const waiting = yield* command("outbox")
        assert.strictEqual(waiting.stderr, "")
        assert.match(waiting.stdout, /^2 rows wait, the oldest for \d+\.\d s\n$/)
        assert.strictEqual(waiting.code, 0)
        const once = yield* command("relay", "--once", path)
        assert.deepStrictEqual([once.code, once.stdout, once.stderr], [0, "", "auditlog: 2 drained\n"])
        assert.deepStrictEqual(rolesIn(text(path)), ["a", "b"])
        assert.strictEqual((yield* command("outbox")).stdout, "nothing waits\n")

        yield* sql`INSERT INTO audit_outbox ${sql.insert({ record: "{\u001b" })}`
        const bad = yield* command("relay", "--once", path)
        assert.match(bad.stderr, /error: audit outbox: row 3 can never be a record/)
        assert.match(bad.stderr, /^auditlog: 0 drained$/m)
        const dead = yield* command("outbox", "--json")
        assert.strictEqual(dead.code, 1)
        assert.deepInclude(JSON.parse(dead.stdout), { waiting: 0, dead: 1, oldestSeconds: 0 })
        const shown = yield* command("outbox")
        assert.match(shown.stdout, /1 set aside[^]*row 3, .*: at character/)
        assert.notInclude(shown.stdout, "\u001b")

        yield* sql`UPDATE audit_outbox_state SET version = 2`
        const newer = yield* command("outbox")
        assert.deepStrictEqual([newer.code, newer.stdout], [2, ""])
        assert.match(newer.stderr, /its tables have version 2, and this command knows version 1/)
      }))

    it.live("runs until it is told to stop, beside a second one that stands by and takes over", () =>
      Effect.gen(function*() {
        const { sql, url } = yield* kind.make
        const path = yield* temporaryLog
        const relay = () => {
          const child = start(["relay", "--poll", "50ms", "--database", url, path])
          let said = ""
          child.stderr.setEncoding("utf8").on("data", (text: string) => {
            said += text
          })
          return { child, said: () => said, ended: new Promise<number | null>((resolve) => child.on("close", resolve)) }
        }
        const until = Effect.fnUntraced(function*(what: string, holds: () => boolean) {
          const deadline = performance.now() + 30_000
          while (!holds()) {
            if (performance.now() > deadline) throw new Error(`${what}: ${first.said()}\n---\n${second.said()}`)
            yield* Effect.sleep(20)
          }
        })
        const first = relay()
        const second = relay()
        yield* until("one drains and one stands by", () => {
          const all = first.said() + second.said()
          return all.includes("draining to") && all.includes("standing by")
        })
        yield* stage(sql, ["a"])
        yield* until("a row", () => rolesIn(text(path)).length === 1)
        const [active, standby] = first.said().includes("draining to") ? [first, second] : [second, first]
        active.child.kill("SIGKILL")
        yield* stage(sql, ["b"])
        yield* until("another row", () => rolesIn(text(path)).length === 2)
        while ((yield* contents(sql)).staged.length > 0) yield* Effect.sleep(20)
        standby.child.kill("SIGTERM")
        assert.strictEqual(yield* Effect.promise(() => standby.ended), 130)
        assert.deepStrictEqual(rolesIn(text(path)), ["a", "b"])
      }))
  })
}

describe("the command without an outbox", () => {
  it.live("says what is missing, with exit code 2, and makes no database", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const command = (...args: ReadonlyArray<string>) => Effect.promise(() => auditlog(args, { cwd: directory }))
      const cases = [
        [["outbox"], /which database\? Give --database URL/],
        [["outbox", "--database", "none.db"], /there is no database none\.db/],
        [["relay", "--database", "none.db", "a.jsonl"], /there is no database none\.db/],
        [["outbox", "--database", "mysql://x"], /mysql: is no database that has an outbox/],
        [["relay", "--listen", "--database", "x.db", "a.jsonl"], /--listen is for PostgreSQL/]
      ] as const
      for (const [args, message] of cases) {
        const { code, stderr, stdout } = yield* command(...args)
        assert.strictEqual(code, 2)
        assert.strictEqual(stdout, "")
        assert.match(stderr, message)
      }
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
    }))

  it.live("prints the tables of each database", () =>
    Effect.gen(function*() {
      for (const dialect of ["pg", "sqlite"] as const) {
        const { stdout } = yield* Effect.promise(() => auditlog(["outbox", "--schema", dialect]))
        assert.strictEqual(stdout, OutboxSchema.text(dialect))
      }
    }))
})
