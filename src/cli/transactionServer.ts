/**
 * The socket of `auditlog exec`, in a directory that only its user can enter.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { errorCode } from "../internal/filePort.ts"
import { LineScanner } from "../internal/lineScanner.ts"
import * as Output from "./output.ts"
import * as Hub from "./transactionHub.ts"
import * as Protocol from "./transactionProtocol.ts"

/** `sun_path` holds 104 bytes with its NUL on macOS and the BSDs, 108 on Linux. */
const socketPathBytesMax = 103

const socketName = "socket"
const directoryPrefix = "auditlog-exec-"

/** How long a client that does not read is waited for before its connection is cut. */
const lingerMillisMax = 1000

/**
 * Listens until the scope closes, and returns the path of the socket. Then what has been answered is sent, and the
 * directory of the socket removed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const listen = Effect.fnUntraced(function*(hub: Hub.Hub, file: string, settings: Protocol.Settings) {
  const fileSystem = yield* FileSystem.FileSystem
  const directory = yield* fileSystem.makeTempDirectoryScoped({ directory: parentDirectory(), prefix: directoryPrefix })
    .pipe(Effect.mapError(({ message }) => failed(message)))
  const path = Path.join(directory, socketName)
  const sockets = new Set<Net.Socket>()
  const server = Net.createServer((socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
    serve(hub.connect(), socket, file, Protocol.requestBytesMax(settings))
  })
  yield* Effect.acquireRelease(
    Effect.callback<void, Output.Failure>((resume) => {
      server.once("error", (cause) => resume(Effect.fail(failed(errorCode(cause)))))
      server.listen(path, () => {
        // from here on an error concerns one connection: it cannot be accepted, and its client is told by its end
        server.removeAllListeners("error").on("error", () => {})
        resume(Effect.void)
      })
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) {
          socket.end()
          socket.setTimeout(lingerMillisMax, () => socket.destroy())
          // a client that has been answered need not wait for this program to notice
          socket.once("finish", () => socket.destroy())
        }
      })
  )
  return path
})

const failed = (problem: string): Output.Failure =>
  Output.failure(
    `auditlog: cannot open a channel for the command in ${Output.printable(parentDirectory())}: ` +
      `${Output.printable(problem)}; the command was not started. Set TMPDIR to a directory that can be written`
  )

/** The directory for temporary files, if a socket in it can have a name. */
const parentDirectory = (): string => {
  const path = Path.join(Os.tmpdir(), `${directoryPrefix}XXXXXX`, socketName)
  return Buffer.byteLength(path) > socketPathBytesMax ? "/tmp" : Os.tmpdir()
}

/** Answers the requests of a connection. Whatever comes, it ends this connection at most. */
const serve = (session: Hub.Session, socket: Net.Socket, file: string, requestBytesMax: number): void => {
  const scanner = new LineScanner({ offset: 0, lineBytesMax: requestBytesMax })
  let stopped = false
  const answer = (bytes: Uint8Array | undefined): string => {
    const request = bytes === undefined ? undefined : Protocol.readRequest(bytes)
    // after something that is no request, nothing in this connection means what it seems to
    if (request === undefined) stopped = true
    return Protocol.writeAnswer(session.handle(request))
  }
  socket.on("error", () => {})
  socket.on("close", () => session.close())
  socket.on("data", (block: Buffer) => {
    if (stopped) return
    let answers = ""
    try {
      scanner.feed(block, ({ bytes }) => {
        if (!stopped) answers += answer(bytes)
      })
      if (!stopped && scanner.rest.length > requestBytesMax) answers += answer(undefined)
    } catch {
      // a fault of ours on one input of one program: the others keep their transaction
      stopped = true
      answers += Protocol.writeAnswer({ ok: false, reason: Hub.notUnderstood(file) })
    }
    if (stopped) {
      socket.end(answers)
      return
    }
    // a client that does not read its answers is not read either
    if (!socket.write(answers)) {
      socket.pause()
      socket.once("drain", () => socket.resume())
    }
  })
}
