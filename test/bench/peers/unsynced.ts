/**
 * Loggers and streams that nobody flushes, as their documentation shows them: `{ kind, path, millis, acknowledge }`.
 *
 * They take a burst of records in each turn of the event loop, as many as there are fibers beside them. The rate counts
 * what is in the file: the time ends when the last record has been handed to the system.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { once } from "node:events"
import * as Fs from "node:fs"
import { pino } from "pino"
import winston from "winston"
import { numbered, record } from "../record.ts"
import { Acknowledged, Clock, measure } from "./measure.ts"

export type Kind = "pino" | "winston" | "Logger.toFile" | "write stream" | "writeSync"

const { acknowledge, kind, millis, path } = JSON.parse(process.argv[2] ?? "") as {
  readonly kind: Kind
  readonly path: string
  readonly millis: number
  /** Where the number of records stands that the caller has been told are taken; then it goes on for ever. */
  readonly acknowledge?: string
}

const burst = 64

/** One record is taken when `append` returns, or when what it returns is there. */
interface Target {
  readonly append: (taken: typeof record) => void | Promise<unknown>
  readonly close: () => Promise<unknown>
}

/** The next turn of the event loop. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

const targets: { readonly [_ in Exclude<Kind, "Logger.toFile">]: () => Target } = {
  pino: () => {
    const destination = pino.destination({ dest: path, minLength: 4096, sync: false })
    const logger = pino(destination)
    return {
      append: (record) => logger.info(record),
      close: () => {
        const closed = once(destination, "close")
        destination.end()
        return closed
      }
    }
  },
  winston: () => {
    const file = new winston.transports.File({ filename: path })
    const logger = winston.createLogger({ level: "info", format: winston.format.json(), transports: [file] })
    return {
      append: (record) => {
        logger.info(record)
      },
      close: async () => {
        // `end` alone, while a record waits, is a write after the end
        while (logger.writableLength + logger.readableLength + file.writableLength > 0) await turn()
        const finished = once(file, "finish")
        logger.end()
        await finished
      }
    }
  },
  "write stream": () => {
    const stream = Fs.createWriteStream(path, { flags: "a" })
    return {
      append: (record) => stream.write(`${JSON.stringify(record)}\n`) ? undefined : once(stream, "drain"),
      close: () => {
        const closed = once(stream, "close")
        stream.end()
        return closed
      }
    }
  },
  writeSync: () => {
    const fd = Fs.openSync(path, "a")
    return {
      append: (record) => {
        Fs.writeSync(fd, `${JSON.stringify(record)}\n`)
      },
      close: () => Promise.resolve(Fs.closeSync(fd))
    }
  }
}

const acknowledged = acknowledge === undefined ? undefined : new Acknowledged(acknowledge)
let number = 0
const next = () => acknowledged === undefined ? record : numbered(number++)

/** Bursts until the time is over, and then until everything is with the system. */
const run = async (target: Target, clock: Clock): Promise<void> => {
  while (performance.now() < clock.end) {
    for (let i = 0; i < burst; i++) {
      const taken = target.append(next())
      if (taken !== undefined) await taken
      acknowledged?.add()
    }
    clock.count += burst
    await turn()
  }
  await target.close()
}

/** The same in Effect, where the logger belongs to the fiber. */
const runEffect = async (clock: Clock): Promise<void> => {
  const scope = Scope.makeUnsafe()
  const logger = Logger.layer([Logger.toFile(Logger.formatJson, path)], { mergeWithExisting: false })
  const context = await Effect.runPromise(Layer.buildWithScope(Layer.provide(logger, NodeFileSystem.layer), scope))
  const bursts = Effect.gen(function*() {
    while (performance.now() < clock.end) {
      for (let i = 0; i < burst; i++) {
        yield* Effect.logInfo(next())
        acknowledged?.add()
      }
      clock.count += burst
      yield* Effect.promise(turn)
    }
  })
  await Effect.runPromiseWith(context)(bursts)
  await Effect.runPromise(Scope.close(scope, Exit.void))
}

const work = (clock: Clock): Promise<void> => kind === "Logger.toFile" ? runEffect(clock) : run(targets[kind](), clock)

if (acknowledged !== undefined) await work(new Clock(Number.POSITIVE_INFINITY))
await measure(millis, work)
