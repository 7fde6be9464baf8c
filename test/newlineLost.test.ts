/**
 * Records that a program has taken the newline away from, or has wrapped: no writer does that, and nothing may say of
 * them that they were never acknowledged.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import { expect } from "vitest"
import { auditlog, bash, newLog, recordLine, sealed } from "./cliSupport.ts"
import { granted, openFileLog, readEntries, temporaryLog } from "./support.ts"
import { verifyBoth } from "./verifySupport.ts"

const writer = "01JD0000000000000000000001"
const other = "01JD0000000000000000000002"
const hashOf = (line: string): string => line.slice(-45, -2)
const zero = recordLine(`"n":0`, { writer })
const one = recordLine(`"n":1`, { writer, seq: 1, more: `,"prev":"${hashOf(zero)}"` })
const two = recordLine(`"n":2`, { writer, seq: 2, more: `,"prev":"${hashOf(one)}"` })
const three = recordLine(`"n":3`, { writer, seq: 3, more: `,"prev":"${hashOf(two)}"` })
const resyncBy = (id: string): string => sealed(`{"_audit":{"v":1,"writer":"${id}","resync":true}`)

const verifyLines = (...lines: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const path = yield* temporaryLog
    Fs.writeFileSync(path, lines.map((line) => `${line}\n`).join(""))
    return yield* verifyBoth(path)
  })

describe("a record without its newline", () => {
  it.live("is missing once its writer has gone on, whoever has set it apart", () =>
    Effect.gen(function*() {
      for (const behind of [resyncBy(writer), resyncBy(other), `{"by":"another program"}`]) {
        const report = yield* verifyLines(zero, one + behind, two, three)
        assert.deepStrictEqual(
          [report.sound, report.missing.first.map(({ from, line, to }) => [line, from, to]), report.unfinished.count],
          [false, [[3, 1, 1]], 0],
          behind
        )
      }
    }))

  it.live("is a note of its own where nobody can tell, and no fragment of a write that failed", () =>
    Effect.gen(function*() {
      for (const behind of [resyncBy(other), `{"by":"another program"}`]) {
        const report = yield* verifyLines(zero, one + behind, recordLine("", { writer: other }))
        const { fragments, sound, unended } = report
        assert.deepStrictEqual(
          [sound, fragments.count, unended.first.map(({ line, whole }) => [line, whole])],
          [true, 0, [[2, true]]],
          behind
        )
      }
      const cut = yield* verifyLines(zero, one.slice(0, -1) + resyncBy(other))
      assert.deepStrictEqual([cut.fragments.count, cut.unended.count, cut.fragments.first[0]?.whole], [1, 0, false])
    }))

  it.live("is missing in a file that its writer has written on, after an editor saved it", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const { log } = yield* openFileLog({ path })
      yield* log.append(granted("a"))
      yield* log.append(granted("b"))
      // as editors do: a new file in the place of the old one
      Fs.writeFileSync(`${path}~`, Fs.readFileSync(path).subarray(0, -1), { mode: 0o600 })
      Fs.renameSync(`${path}~`, path)
      yield* log.append(granted("c"))
      const report = yield* verifyBoth(path)
      assert.deepStrictEqual([report.sound, report.missing.count, report.unended.count], [false, 1, 1])
      const entries = yield* readEntries(path)
      assert.deepStrictEqual(
        entries.flatMap((entry) => entry._tag === "Damage" ? [[entry.healed, entry.whole]] : []),
        [[true, true]]
      )
    }))
})

describe("a log that a program has wrapped", () => {
  it.live("is not sound, at whatever width", () =>
    Effect.gen(function*() {
      const lines = [zero, one, two, three]
      const longest = Math.max(...lines.map((line) => line.length))
      for (let width = 60; width < longest; width += 17) {
        const pieces = lines.flatMap((line) => line.match(new RegExp(`.{1,${width}}`, "g")) ?? [])
        const report = yield* verifyLines(...pieces)
        const wrapped = lines.filter((line) => line.length > width).length
        assert.isFalse(report.sound, `width ${width}`)
        assert.isAtLeast(report.damages.count, 2 * wrapped, `width ${width}`)
      }
    }))
})

describe("the command, on a log that ends in a record without its newline", () => {
  const make = () => {
    const log = newLog()
    Fs.writeFileSync(log, `${zero}\n${one}`, { mode: 0o600 })
    return log
  }

  it("says so, and what puts the record back", async () => {
    const log = make()
    const advice = `printf '\\n' >> ${log}`
    const verified = await auditlog(["verify", log])
    expect(verified.stdout).toContain(
      `${one.length} bytes, a whole record; if a program took its newline away: ${advice}`
    )
    const shown = await auditlog(["cat", log])
    expect(shown).toMatchObject({ code: 0, stdout: `${zero}\n` })
    expect(shown.stderr).toContain("which are a whole record; if a program has taken its newline away, put it back")
    expect(shown.stderr).toContain(advice)
    const dry = await auditlog(["repair", log, "--dry-run"])
    expect(dry).toMatchObject({ code: 1 })
    expect(dry.stdout).toContain("1 line of it may have been acknowledged records")
    expect(dry.stderr).toContain(`a newline puts it back: ${advice}, before the repair`)

    expect(await bash(advice)).toMatchObject({ code: 0 })
    expect(await auditlog(["cat", log])).toEqual({ code: 0, signal: null, stdout: `${zero}\n${one}\n`, stderr: "" })
  })

  it("warns when it is set apart, and does not call it a failed write", async () => {
    const log = make()
    const appended = await auditlog(["append", log], { input: "{}" })
    expect(appended.code).toBe(0)
    expect(appended.stderr).toMatch(/^auditlog: warning: .*a whole record before byte \d+ had no newline/)
    const verified = await auditlog(["verify", log])
    expect(verified.stdout).toContain("1 whole record without a newline")
    const shown = await auditlog(["cat", log])
    expect(shown.stderr).toContain("healed: a whole record without its newline, so it does not count")
    const salvaged = await auditlog(["cat", log, "--salvage"])
    expect(salvaged.stdout).toContain(one)
    const dry = await auditlog(["repair", log, "--dry-run"])
    expect(dry.stdout).toContain("1 line of it may have been acknowledged records")
    expect(dry.stdout).not.toContain("held nothing acknowledged")
  })
})
