/**
 * One shipper for a source: a lock that dies with the process that holds it, whatever ends it.
 *
 * Node has no `flock`. The lock is a socket in Linux's abstract namespace, bound to the source's id: it is no file that
 * could be left behind, and the kernel takes it back with the process. Two containers with network namespaces of their
 * own do not see each other's; then the destination's compare-and-append keeps their chunks apart.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"

const socketName = (id: string): string => `\0effect-auditlog/ship/${id}`

/** Takes the lock until the scope closes; `false` if another shipper has it. */
export const take = (id: string): Effect.Effect<boolean, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Net.Server | undefined>((resume) => {
        const server = Net.createServer((socket) => socket.destroy())
        server.once("error", () => resume(Effect.succeed(undefined)))
        server.listen({ path: socketName(id) }, () => {
          server.unref()
          resume(Effect.succeed(server))
        })
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          if (server === undefined) return resume(Effect.void)
          server.close(() => resume(Effect.void))
        })
    ),
    (server) => server !== undefined
  )

/** Whether a shipper of this machine has the lock now. */
export const isTaken = (id: string): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const socket = Net.connect({ path: socketName(id) })
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.succeed(true))
    })
    socket.once("error", () => resume(Effect.succeed(false)))
  })
