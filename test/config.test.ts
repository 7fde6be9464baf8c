import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Duration, Effect, Layer, Redacted } from "effect"
import * as Fs from "node:fs"
import { inspect } from "node:util"
import { Appender, FileAppender, SizePolicy } from "../src/index.ts"
import { Audit, granted, openLog, plainLines, readRecords, temporaryLog } from "./support.ts"

type Environment = { readonly [name: string]: string }

const from = (environment: Environment) => ConfigProvider.layer(ConfigProvider.fromEnvRecord(environment))

const read = (environment: Environment) => Effect.provide(FileAppender.config, from(environment))

const defaults: FileAppender.Options = {
  path: "audit.jsonl",
  sync: "always",
  sizePolicy: SizePolicy.warn({ limit: 4096 }),
  recordBytesMax: 1024 ** 2,
  transactionBytesMax: 16 * 1024 ** 2,
  mode: 0o600,
  widerMode: "warn",
  allowNetworkFileSystem: false,
  key: undefined
}

describe("FileAppender.config", () => {
  it.effect("needs a path and has a default for everything else", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* read({ AUDITLOG_PATH: "audit.jsonl" }), defaults)
    }))

  const valid: ReadonlyArray<{ readonly environment: Environment; readonly options: Partial<FileAppender.Options> }> = [
    { environment: { AUDITLOG_PATH: "/var/log/a b.jsonl" }, options: { path: "/var/log/a b.jsonl" } },
    { environment: { AUDITLOG_SYNC: "always" }, options: { sync: "always" } },
    { environment: { AUDITLOG_SYNC: "never" }, options: { sync: "never" } },
    { environment: { AUDITLOG_SYNC: "1 second" }, options: { sync: { every: Duration.seconds(1) } } },
    { environment: { AUDITLOG_SYNC: "250 millis" }, options: { sync: { every: Duration.millis(250) } } },
    { environment: { AUDITLOG_SIZE_POLICY: "warn" }, options: { sizePolicy: SizePolicy.warn() } },
    { environment: { AUDITLOG_SIZE_POLICY: "reject" }, options: { sizePolicy: SizePolicy.reject() } },
    { environment: { AUDITLOG_SIZE_POLICY: "allow" }, options: { sizePolicy: SizePolicy.allow() } },
    { environment: { AUDITLOG_SIZE_LIMIT: "2048 B" }, options: { sizePolicy: SizePolicy.warn({ limit: 2048 }) } },
    {
      environment: { AUDITLOG_SIZE_LIMIT: "8 KiB", AUDITLOG_SIZE_POLICY: "reject" },
      options: { sizePolicy: SizePolicy.reject({ limit: 8192 }) }
    },
    { environment: { AUDITLOG_RECORD_LIMIT: "64 KiB" }, options: { recordBytesMax: 65_536 } },
    {
      environment: { AUDITLOG_TRANSACTION_LIMIT: "1 MiB" },
      options: { transactionBytesMax: 1024 ** 2 }
    },
    { environment: { AUDITLOG_MODE: "0640" }, options: { mode: 0o640 } },
    { environment: { AUDITLOG_MODE: "660" }, options: { mode: 0o660 } },
    { environment: { AUDITLOG_WIDER_MODE: "refuse" }, options: { widerMode: "refuse" } },
    { environment: { AUDITLOG_ALLOW_NETWORK_FILE_SYSTEM: "true" }, options: { allowNetworkFileSystem: true } },
    {
      environment: { AUDITLOG_KEY_ID: "k-2026.1", AUDITLOG_KEY: "s3cret" },
      options: { key: { id: "k-2026.1", secret: Redacted.make("s3cret") } }
    }
  ]
  it.effect.each(valid)("reads $environment", ({ environment, options }) =>
    Effect.gen(function*() {
      const { key, ...rest } = yield* read({ AUDITLOG_PATH: "audit.jsonl", ...environment })
      const { key: expectedKey, ...expected } = { ...defaults, ...options }
      assert.deepStrictEqual(rest, expected)
      assert.strictEqual(key?.id, expectedKey?.id)
      assert.strictEqual(key && Redacted.value(key.secret), expectedKey && Redacted.value(expectedKey.secret))
    }))

  it.effect("takes an empty variable for one that is not set", () =>
    Effect.gen(function*() {
      const empty = Object.fromEntries(
        ["SYNC", "SIZE_POLICY", "SIZE_LIMIT", "MODE", "KEY_ID", "KEY"].map((name) => [`AUDITLOG_${name}`, ""])
      )
      assert.deepStrictEqual(yield* read({ AUDITLOG_PATH: "audit.jsonl", ...empty }), defaults)
    }))

  const invalid: ReadonlyArray<readonly [name: string, value: string]> = [
    ["PATH", ""],
    ["SYNC", "sometimes"],
    ["SIZE_POLICY", "refuse"],
    ["SIZE_LIMIT", "large"],
    ["SIZE_LIMIT", "-1"],
    ["RECORD_LIMIT", "1 parsec"],
    ["TRANSACTION_LIMIT", "1.5.2 MiB"],
    ["MODE", "rw-------"],
    ["MODE", "0999"],
    ["MODE", "4755"],
    ["WIDER_MODE", "chmod"],
    ["ALLOW_NETWORK_FILE_SYSTEM", "perhaps"],
    ["KEY_ID", "a key\n"]
  ]
  it.effect.each(invalid)("refuses AUDITLOG_%s=%j and names the variable", ([name, value]) =>
    Effect.gen(function*() {
      const environment = { AUDITLOG_PATH: "audit.jsonl", AUDITLOG_KEY: "s3cret", AUDITLOG_KEY_ID: "k" }
      const error = yield* Effect.flip(read({ ...environment, [`AUDITLOG_${name}`]: value }))
      assert.instanceOf(error, Config.ConfigError)
      // Effect names a variable by its path
      assert.include(error.message.replaceAll(/"\]\["/g, "_"), `AUDITLOG_${name}`)
      assert.notInclude(error.message, "s3cret")
    }))

  it.effect("reads a size without a unit, as its documentation says", () =>
    Effect.gen(function*() {
      const { sizePolicy } = yield* read({ AUDITLOG_PATH: "audit.jsonl", AUDITLOG_SIZE_LIMIT: "2048" })
      assert.deepStrictEqual(sizePolicy, SizePolicy.warn({ limit: 2048 }))
    }))

  for (const interval of ["0 millis", "-1 second"]) {
    it.effect(`refuses to flush every ${interval}, which would never let the processor rest`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(read({ AUDITLOG_PATH: "audit.jsonl", AUDITLOG_SYNC: interval }))
        assert.include(error.message, "SYNC")
      }))
  }

  it.effect("refuses a key without its id, and an id without its key", () =>
    Effect.gen(function*() {
      const path = { AUDITLOG_PATH: "audit.jsonl" }
      for (const half of [{ AUDITLOG_KEY: "s3cret" }, { AUDITLOG_KEY_ID: "k" }]) {
        const error = yield* Effect.flip(read({ ...path, ...half }))
        assert.include(error.message, "AUDITLOG_KEY and AUDITLOG_KEY_ID go together")
        assert.notInclude(error.message, "s3cret")
      }
    }))

  it.effect("keeps the secret out of what is printed of the options", () =>
    Effect.gen(function*() {
      const options = yield* read({ AUDITLOG_PATH: "a", AUDITLOG_KEY_ID: "k", AUDITLOG_KEY: "s3cret" })
      assert.notInclude(JSON.stringify(options, (_, value) => typeof value === "bigint" ? `${value}` : value), "s3cret")
      assert.notInclude(inspect(options, { depth: null }), "s3cret")
    }))
})

describe("FileAppender.layerConfig", () => {
  const open = (environment: Environment) =>
    Layer.build(Layer.fresh(FileAppender.layerConfig)).pipe(
      Effect.provide(from(environment)),
      Effect.flatMap((context) => openLog(Context.get(context, Appender.Appender)))
    )

  it.effect("opens the log that the environment describes", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const log = yield* open({
        AUDITLOG_PATH: path,
        AUDITLOG_SYNC: "never",
        AUDITLOG_SIZE_POLICY: "reject",
        AUDITLOG_SIZE_LIMIT: "1 KiB",
        AUDITLOG_MODE: "0640",
        AUDITLOG_KEY_ID: "k1",
        AUDITLOG_KEY: "s3cret"
      })
      assert.strictEqual((yield* log.append(granted("a"))).durability, "unsynced")
      const { reason } = yield* Effect.flip(log.append(granted("x".repeat(1024))))
      assert.strictEqual(reason._tag === "RecordTooLarge" && reason.limitBytes, 1024)
      // as the umask lets any file of that mode be
      Fs.writeFileSync(`${path}.plain`, "", { mode: 0o640 })
      assert.strictEqual(Fs.statSync(path).mode, Fs.statSync(`${path}.plain`).mode)
      assert.deepStrictEqual(plainLines(Fs.readFileSync(path, "utf8")).map(({ stamp }) => stamp["key"]), ["k1"])

      const read = (secret: string) => readRecords(path, { keys: [{ id: "k1", secret: Redacted.make(secret) }] })
      assert.deepStrictEqual((yield* read("s3cret")).map(({ verified }) => verified), [true])
      assert.deepStrictEqual(yield* read("another"), [])
    }))

  it.effect("uses the limits of the environment for records and transactions", () =>
    Effect.gen(function*() {
      const log = yield* open({
        AUDITLOG_PATH: yield* temporaryLog,
        AUDITLOG_SIZE_POLICY: "allow",
        AUDITLOG_RECORD_LIMIT: "5000 B",
        AUDITLOG_TRANSACTION_LIMIT: "6000 B"
      })
      const text = (length: number) => granted("x".repeat(length))
      assert.isTrue((yield* log.append(text(4200))).oversize)
      assert.strictEqual((yield* Effect.flip(log.append(text(5000)))).reason._tag, "RecordTooLarge")
      assert.strictEqual(
        (yield* Effect.flip(log.appendAll([text(3000), text(3000)]))).reason._tag,
        "TransactionTooLarge"
      )
    }))

  it.effect("refuses a file with a wider mode when the environment says so", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      Fs.writeFileSync(path, "")
      Fs.chmodSync(path, 0o644)
      const error = yield* Effect.flip(open({ AUDITLOG_PATH: path, AUDITLOG_WIDER_MODE: "refuse" }))
      assert.strictEqual(error._tag === "AuditError" && error.reason._tag, "UnsafeTarget")
      assert.include(error.message, "chmod 0600")
    }))

  it.effect("fails with the error of the configuration, and creates no file", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const error = yield* Effect.flip(open({ AUDITLOG_PATH: path, AUDITLOG_MODE: "world" }))
      assert.instanceOf(error, Config.ConfigError)
      assert.isFalse(Fs.existsSync(path))
    }))

  it.effect("can be provided to a service like any other appender", () =>
    Effect.gen(function*() {
      const path = yield* temporaryLog
      const layer = Audit.layer.pipe(
        Layer.provide(FileAppender.layerConfig),
        Layer.provide(from({ AUDITLOG_PATH: path }))
      )
      yield* Effect.provide(Audit.use((log) => log.append(granted("a"))), layer)
      assert.strictEqual((yield* readRecords(path)).length, 1)
    }))
})
