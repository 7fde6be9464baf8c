import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Redacted, type Scope, Stream } from "effect"
import * as Fs from "node:fs"
import { Destination, FileAppender } from "../src/index.ts"
import * as OtlpDestination from "../src/OtlpDestination.ts"
import { collector } from "./servers/collector.ts"
import { ship, shipUntilStopped, until, within } from "./shipSupport.ts"
import { granted, openLog, temporaryLog } from "./support.ts"

const live = <E>(title: string, body: () => Effect.Effect<void, E, Scope.Scope>) =>
  it.live(title, () => Effect.provide(body(), Logger.layer([], { mergeWithExisting: false })))

describe("a collector", () => {
  live(
    "gets each line with its fields, and is behind nothing after a restart of the shipper",
    () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        const log = yield* openLog(yield* FileAppender.make({ path }))
        const { headers, records, url } = yield* collector
        const destination = OtlpDestination.make({
          url,
          headFile: `${path}.otlp`,
          headers: { authorization: Redacted.make("Bearer secret") },
          resource: { "service.name": "billing" }
        })
        for (let round = 0; round < 3; round++) {
          for (let i = 0; i < 4; i++) yield* log.append(granted(`${round}/${i}`))
          const { shipper, stop } = yield* shipUntilStopped(path, { destinations: [{ destination }] })
          yield* within("all being shipped", shipper.awaitShipped)
          yield* stop
        }
        const lines = Fs.readFileSync(path, "utf8").trimEnd().split("\n")
        assert.deepStrictEqual(records.map(({ body }) => body.stringValue), lines)
        const { _audit, role } = JSON.parse(lines[5]!)
        assert.strictEqual(records[5]!.timeUnixNano, `${Date.parse(_audit.at)}000000`)
        assert.strictEqual(records[5]!.eventName, "RoleGranted")
        assert.deepInclude(records[5]!.attributes ?? [], {
          key: "auditlog.id",
          value: { stringValue: `${_audit.writer}:${_audit.seq}` }
        })
        assert.deepInclude(records[5]!.attributes ?? [], { key: "audit.role", value: { stringValue: role } })
        assert.isTrue(headers.every(({ authorization }) => authorization === "Bearer secret"))
      })
  )

  live("is tried again when it has no time or no answer", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, `{"n":1}\n`)
      const { answers, records, url } = yield* collector
      answers.push([503, ""], [429, "slow down"], [500, "no"])
      const destination = OtlpDestination.make({ url, headFile: `${path}.otlp` })
      const shipper = yield* ship(path, { destinations: [{ destination }] })
      yield* within("the record", shipper.awaitShipped)
      assert.strictEqual(answers.length, 0)
      assert.deepStrictEqual(records.map(({ body }) => body.stringValue), [`{"n":1}`])
    }))

  for (
    const [what, answer, message] of [
      ["rejects records of a request that it answers with 200", [
        200,
        `{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}`
      ], "1 records were rejected: too old"],
      ["forbids it", [403, "no"], "what that user may do there"],
      ["calls the request wrong", [400, "bad"], "the answer was 400 bad"],
      ["calls the request too large", [413, ""], "raise its limit"],
      ["answers something else", [200, "<html>"], "an answer that is no JSON"]
    ] as const
  ) {
    live(`stops the shipper when it ${what}, and is not asked again`, () =>
      Effect.gen(function*() {
        const path = yield* temporaryLog
        Fs.writeFileSync(path, `{"n":1}\n`)
        const { answers, headers, url } = yield* collector
        answers.push([...answer])
        const destination = OtlpDestination.make({ url, headFile: `${path}.otlp` })
        const shipper = yield* ship(path, { destinations: [{ destination }] })
        const failure = yield* within("the stop", Effect.flip(shipper.ended))
        assert.include(failure.message, message)
        assert.strictEqual(headers.length, 1)
        assert.isFalse(Fs.existsSync(`${path}.otlp`))
      }))
  }

  live("goes on after a warning with which nothing was rejected", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, `{"n":1}\n`)
      const { answers, headers, url } = yield* collector
      answers.push([200, `{"partialSuccess":{"rejectedLogRecords":"0","errorMessage":"nearly full"}}`], [200, ""])
      const destination = OtlpDestination.make({ url, headFile: `${path}.otlp` })
      const shipper = yield* ship(path, { destinations: [{ destination }] })
      for (let requests = 1; requests < 4; requests++) {
        yield* within("the record", shipper.awaitShipped)
        assert.strictEqual(headers.length, requests)
        Fs.appendFileSync(path, `{"n":1}\n`)
      }
    }))

  live("says that it has no dedupe and no order, and cannot be read back", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const destination = OtlpDestination.make({ url: "http://127.0.0.1:1/", headFile: `${path}.otlp` })
      assert.deepInclude(destination.capabilities, {
        durability: "process",
        dedupe: "none",
        ordering: "none",
        atomicChunk: false,
        immutability: "none"
      })
      const source = { id: crypto.randomUUID(), generation: 1 }
      const failure = yield* Effect.flip(Stream.runCollect(Destination.bytes(destination, source)))
      assert.include(failure.message, "cannot be read back")
    }))

  live("is too weak to be required by default", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const destination = OtlpDestination.make({ url: "http://127.0.0.1:1/", headFile: `${path}.otlp` })
      const failure = yield* Effect.flip(ship(path, { destinations: [{ destination }], durability: undefined }))
      assert.strictEqual(failure.reason, "weak")
      const other = yield* ship(path, { destinations: [{ destination, required: false }], durability: undefined })
      Fs.writeFileSync(path, "{}\n")
      yield* until("the failure", Effect.map(other.status, ([status]) => status!.state === "retrying"))
    }))
})
