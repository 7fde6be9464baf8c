/**
 * A destination that could not be reached when the command started. The shipper begins without it, so that the others
 * have what is appended meanwhile, and finds out what it promises when it is there.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Destination from "../Destination.ts"
import type * as Output from "./output.ts"

type Failure = Destination.DestinationUnavailable | Destination.DestinationRejected

/**
 * What is to be connected to, and what it must promise then.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly name: string
  readonly connect: Effect.Effect<Destination.Destination, Failure | Output.Failure, Scope.Scope>
  /** `undefined` where nothing waits for it. */
  readonly durability: Destination.Durability | undefined
}

/** Nothing is read as long as it has no head, so only its durability is looked at before it is there. */
const assumed = (durability: Destination.Durability | undefined): Destination.Capabilities => ({
  durability: durability ?? "process",
  dedupe: "none",
  ordering: "perSource",
  atomicChunk: false,
  chunkBytesMax: 0,
  immutability: "none"
})

/**
 * Connects with the first question that succeeds. What it promises too little is a refusal then.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ connect, durability, name }: Options): Effect.Effect<
  Destination.Destination,
  never,
  Scope.Scope
> =>
  Effect.map(Effect.scope, (scope) => {
    let opened: Destination.Destination | undefined
    const refuse = (problem: string) =>
      new Destination.DestinationRejected({ destination: name, reason: "invalid", problem })
    const attempt = Effect.gen(function*() {
      const own = yield* Scope.fork(scope)
      const destination = yield* Scope.provide(connect, own).pipe(
        // also when nobody waits for the answer any more: an attempt leaves no connections behind
        Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(own, exit)),
        Effect.catchTag("Failure", ({ lines }) => Effect.fail(refuse(lines.join("; "))))
      )
      const promised = destination.capabilities.durability
      if (durability !== undefined && !Destination.isAtLeast(promised, durability)) {
        return yield* refuse(`it promises only ${promised} and ${durability} is asked for`)
      }
      opened = destination
      return destination
    })
    const there = Effect.suspend(() => opened === undefined ? attempt : Effect.succeed(opened))
    return {
      name,
      get capabilities() {
        return opened?.capabilities ?? assumed(durability)
      },
      head: (source) => Effect.flatMap(there, (destination) => destination.head(source)),
      append: (chunk) => Effect.flatMap(there, (destination) => destination.append(chunk)),
      read: (source, from) => Stream.unwrap(Effect.map(there, (destination) => destination.read(source, from))),
      sources: Effect.flatMap(there, (destination) => destination.sources)
    }
  })
