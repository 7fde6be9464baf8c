/**
 * A simulated process: the real appender on the simulated disk. It appends single records and transactions from several
 * fibers, and tells the scheduler how each ended.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import { workerData } from "node:worker_threads"
import { AuditLog, FileAppender } from "../../src/index.ts"
import { FilePort } from "../../src/internal/filePort.ts"
import { logPath } from "./disk.ts"
import { finish, makeChannel, request } from "./port.ts"

const channel = makeChannel(workerData as SharedArrayBuffer)

class Audit extends AuditLog.Service<Audit>()("simulation/Audit", {
  schema: Schema.Struct({ name: Schema.String, text: Schema.String })
}) {}

/** What one life of the process does; each number of `appends` is a transaction of so many records by one fiber. */
export interface Life {
  readonly name: string
  /** Bytes after which the process seals the live file; 0: never. */
  readonly rotateBytes: number
  readonly fibers: ReadonlyArray<ReadonlyArray<number>>
}

let killed = false

const call = (name: string, ...args: ReadonlyArray<string | number>): string | number | null => {
  if (!killed) {
    const answer = request(channel, { call: name, args })
    if ("value" in answer) return answer.value
    if ("error" in answer) throw Object.assign(new Error(answer.error.code), answer.error)
    killed = true
  }
  // a dead process makes no calls; what its code still does has no effect
  throw Object.assign(new Error("killed"), { code: "EKILLED", errno: -1 })
}

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1")
const parse = (json: string | number | null) => json === null ? undefined : JSON.parse(String(json))

const port: FilePort = {
  fileSystemType: (path) => Number(call("fileSystemType", path)),
  lstat: (path) => parse(call("lstat", path)),
  identity: (path) => call("identity", path)?.toString(),
  open: (path, flags, mode) => Number(call("open", path, flags, mode)),
  close: (fd) => void call("close", fd),
  fstat: (fd) => parse(call("fstat", fd)),
  identityOf: (fd) => String(call("identityOf", fd)),
  write: (fd, bytes) => Number(call("write", fd, latin1(bytes))),
  read: (fd, into, position) => {
    const text = String(call("read", fd, position, into.length))
    into.set(Buffer.from(text, "latin1"))
    return text.length
  },
  rename: (from, to) => void call("rename", from, to),
  unlink: (path) => void call("unlink", path),
  list: (path) => String(call("list", path)).split("\n"),
  fsync: (fd) => void call("fsync", fd),
  fsyncDirectory: (path) => void call("fsyncDirectory", path),
  fdatasync: (fd, done) => {
    let error: unknown
    try {
      call("fdatasync", fd)
    } catch (cause) {
      error = cause
    }
    setImmediate(() => done(error))
  }
}

const texts = ["x", "yy\n{\"_audit\":{\"v\":1,", "z".repeat(300)]

const live = ({ fibers, name, rotateBytes }: Life) =>
  Effect.gen(function*() {
    const audit = yield* Audit
    yield* Effect.forEach(fibers, (appends, fiber) =>
      Effect.forEach(appends, (size, n) => {
        const records = Array.from({ length: size }, (_, i) => ({
          name: `${name}/${fiber}/${n}/${i}`,
          text: texts[(fiber + n + i) % texts.length] ?? ""
        }))
        return audit.appendAll(records).pipe(
          Effect.matchEffect({
            onSuccess: () => say("ack", records),
            onFailure: (error) => say(error.committed, records)
          })
        )
      }, { discard: true }), { concurrency: "unbounded", discard: true })
  }).pipe(
    Effect.provide(Audit.layer.pipe(Layer.provide(FileAppender.layer({
      path: logPath,
      rotate: rotateBytes === 0 ? undefined : { size: rotateBytes }
    })))),
    Effect.provideService(FilePort, port),
    Effect.provide(Logger.layer([], { mergeWithExisting: false })),
    Effect.exit
  )

const say = (outcome: string, records: ReadonlyArray<{ readonly name: string; readonly text: string }>) =>
  Effect.sync(() => {
    if (!killed) request(channel, { call: "outcome", args: [outcome, JSON.stringify(records)] })
  })

for (;;) {
  const life = finish(channel) as Life
  killed = false
  await Effect.runPromise(live(life))
}
