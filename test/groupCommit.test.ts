import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import * as GroupCommit from "../src/internal/groupCommit.ts"

type Entry = GroupCommit.Entry<string, string, "closed">

/** A group commit whose commits wait until the test ends them. */
const stalled = (pendingBytesMax = 1_000_000) => {
  const batches: Array<ReadonlyArray<string>> = []
  let current: {
    readonly batch: ReadonlyArray<Entry>
    readonly answer: GroupCommit.Answer<string, string, "closed">
    readonly done: () => void
  } | undefined
  const commits = GroupCommit.make<string, string, "closed">({
    commit: (batch, answer, done) => {
      assert.isUndefined(current, "two commits at once")
      batches.push(batch.map(({ item }) => item))
      current = { batch, answer, done }
    },
    pendingBytesMax,
    closed: () => "closed"
  })
  /** Answers the commit that is under way, and lets the next one begin. */
  const finish = Effect.gen(function*() {
    assert(current !== undefined, "no commit is under way")
    const { answer, batch, done } = current
    current = undefined
    for (const entry of batch) answer(entry, Effect.succeed(`${entry.item} stored`))
    done()
    yield* settle
  })
  return {
    ...commits,
    batches,
    finish,
    idle: () => current === undefined,
    /** Submits in a fiber of its own. */
    start: (item: string, bytes = 1) => Effect.forkChild(commits.submit(() => item, bytes), { startImmediately: true })
  }
}

/** Lets every microtask and fiber that is ready run; no commit of these tests needs more. */
const settle = Effect.andThen(Effect.promise(() => Promise.resolve()), Effect.yieldNow)

/** Several names of items. */
const names = (text: string) => text.split(" ")

describe("groupCommit", () => {
  it.effect("commits everything that waits together, in the order in which it came", () =>
    Effect.gen(function*() {
      const commits = stalled()
      const fibers = yield* Effect.forEach(names("a b c"), (item) => commits.start(item))
      yield* settle
      const later = yield* Effect.forEach(names("d e"), (item) => commits.start(item))
      yield* settle
      assert.deepStrictEqual(commits.batches, [["a", "b", "c"]])
      yield* commits.finish
      assert.deepStrictEqual(commits.batches, [["a", "b", "c"], ["d", "e"]])
      yield* commits.finish
      assert.deepStrictEqual(
        yield* Effect.forEach([...fibers, ...later], Fiber.join),
        names("a b c d e").map((item) => `${item} stored`)
      )
    }))

  it.effect("answers nobody before its commit does", () =>
    Effect.gen(function*() {
      const commits = stalled()
      const fiber = yield* commits.start("a")
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* commits.finish
      assert.strictEqual(yield* Fiber.join(fiber), "a stored")
    }))

  it.effect("closes a batch once it holds a megabyte, and takes the rest next", () =>
    Effect.gen(function*() {
      const commits = stalled(10_000_000)
      yield* Effect.forEach(names("a b c d"), (item) => commits.start(item, 600_000))
      yield* settle
      assert.deepStrictEqual(commits.batches, [["a", "b"]])
      yield* commits.finish
      assert.deepStrictEqual(commits.batches, [["a", "b"], ["c", "d"]])
      yield* commits.finish
    }))

  describe("with more than may be pending", () => {
    it.effect("lets callers wait in order, also those that would fit by themselves", () =>
      Effect.gen(function*() {
        const commits = stalled(100)
        yield* commits.start("a", 60)
        yield* settle
        yield* commits.start("b", 60)
        yield* commits.start("c", 10)
        yield* commits.start("d", 60)
        yield* commits.start("e", 10)
        yield* settle
        assert.deepStrictEqual(commits.batches, [["a"]])
        yield* commits.finish
        assert.deepStrictEqual(commits.batches[1], ["b", "c"])
        yield* commits.finish
        assert.deepStrictEqual(commits.batches[2], ["d", "e"])
        yield* commits.finish
        assert.strictEqual(commits.batches.length, 3)
      }))

    it.effect("admits exactly as many bytes as the limit", () =>
      Effect.gen(function*() {
        const commits = stalled(100)
        yield* Effect.forEach(names("a b c"), (item) => commits.start(item, 50))
        yield* settle
        yield* commits.finish
        yield* commits.finish
        assert.deepStrictEqual(commits.batches, [["a", "b"], ["c"]])
      }))

    it.effect("admits an entry that is larger than the limit, alone", () =>
      Effect.gen(function*() {
        const commits = stalled(100)
        const fibers = [
          yield* commits.start("a", 10),
          yield* commits.start("large", 500),
          yield* commits.start("b", 10)
        ]
        yield* settle
        yield* commits.finish
        yield* commits.finish
        yield* commits.finish
        assert.deepStrictEqual(commits.batches, [["a"], ["large"], ["b"]])
        assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), ["a stored", "large stored", "b stored"])
      }))

    it.effect("gives the room of an interrupted caller to the next", () =>
      Effect.gen(function*() {
        const commits = stalled(100)
        yield* commits.start("a", 60)
        yield* settle
        const b = yield* commits.start("b", 90)
        yield* commits.start("c", 90)
        yield* settle
        yield* Fiber.interrupt(b)
        yield* commits.finish
        assert.deepStrictEqual(commits.batches, [["a"], ["c"]])
        yield* commits.finish
      }))
  })

  describe("with callers that are interrupted", () => {
    it.effect("never commits one that was still waiting", () =>
      Effect.gen(function*() {
        const commits = stalled()
        yield* commits.start("a")
        yield* settle
        const [b, c] = [yield* commits.start("b"), yield* commits.start("c")]
        yield* settle
        yield* Fiber.interrupt(b)
        yield* commits.finish
        yield* commits.finish
        assert.deepStrictEqual(commits.batches, [["a"], ["c"]])
        assert.strictEqual(yield* Fiber.join(c), "c stored")
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(b)))
      }))

    it.effect("never commits one that was admitted and left for the next batch", () =>
      Effect.gen(function*() {
        const commits = stalled(10_000_000)
        const [, b, c] = yield* Effect.forEach(names("a b c"), (item) => commits.start(item, 1_100_000))
        yield* settle
        yield* Fiber.interrupt(b!)
        yield* commits.finish
        assert.deepStrictEqual(commits.batches, [["a"], ["c"]])
        yield* commits.finish
        assert.strictEqual(yield* Fiber.join(c!), "c stored")
      }))

    it.effect("lets the caller go at once although its commit is under way", () =>
      Effect.gen(function*() {
        const commits = stalled()
        const [a, b] = [yield* commits.start("a"), yield* commits.start("b")]
        yield* settle
        yield* Fiber.interrupt(a)
        assert.isFalse(commits.idle())
        yield* commits.finish
        assert.deepStrictEqual(commits.batches, [["a", "b"]])
        assert.strictEqual(yield* Fiber.join(b), "b stored")
      }))

    it.effect("goes on when all that waited were interrupted, admitted or not", () =>
      Effect.gen(function*() {
        const commits = stalled(3_000_000)
        yield* commits.start("a", 1_100_000)
        // b and c are admitted with a and left for later batches; d and e are over the limit; f comes during the commit
        const fibers = yield* Effect.forEach(names("b c d e"), (item) => commits.start(item, 900_000))
        yield* settle
        fibers.push(yield* commits.start("f", 900_000))
        yield* settle
        yield* Effect.forEach(fibers, Fiber.interrupt)
        yield* commits.finish
        assert.deepStrictEqual(commits.batches, [["a"]])
        const g = yield* commits.start("g", 2_900_000)
        yield* settle
        assert.deepStrictEqual(commits.batches, [["a"], ["g"]])
        yield* commits.finish
        assert.strictEqual(yield* Fiber.join(g), "g stored")
        yield* commits.close
      }))

    it.effect("can be closed when all that waited were interrupted", () =>
      Effect.gen(function*() {
        const commits = stalled()
        const fiber = yield* commits.start("a")
        yield* Fiber.interrupt(fiber)
        yield* commits.close
        assert.deepStrictEqual(commits.batches, [])
      }))
  })

  describe("when it is closed", () => {
    it.effect("answers what has been submitted first, and refuses what comes later", () =>
      Effect.gen(function*() {
        const commits = stalled(100)
        const fibers = yield* Effect.forEach(names("a b c"), (item) => commits.start(item, 60))
        yield* settle
        const closing = yield* Effect.forkChild(commits.close, { startImmediately: true })
        assert.strictEqual(yield* Effect.flip(commits.submit(() => "late", 1)), "closed")
        for (const expected of [1, 2, 3]) {
          assert.isUndefined(closing.pollUnsafe())
          assert.strictEqual(commits.batches.length, expected)
          yield* commits.finish
        }
        yield* Fiber.join(closing)
        assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), ["a stored", "b stored", "c stored"])
        assert.deepStrictEqual(commits.batches, [["a"], ["b"], ["c"]])
        assert.strictEqual(yield* Effect.flip(commits.submit(() => "later", 1)), "closed")
      }))

    it.effect("is closed at once when nothing waits, and can be closed again", () =>
      Effect.gen(function*() {
        const commits = stalled()
        yield* commits.close
        yield* commits.close
      }))
  })

  describe("whose commits are synchronous", () => {
    /** Turns that the event loop has had: immediates run once a turn. */
    const countTurns = Effect.acquireRelease(
      Effect.sync(() => {
        const turns = { count: 0, stopped: false }
        const next = (): void => {
          turns.count++
          if (!turns.stopped) setImmediate(next)
        }
        setImmediate(next)
        return turns
      }),
      (turns) =>
        Effect.sync(() => {
          turns.stopped = true
        })
    )

    it.effect("lets the event loop turn between two commits, although callers append again at once", () =>
      Effect.gen(function*() {
        const turns = yield* countTurns
        const seen: Array<number> = []
        const commits = GroupCommit.make<number, void, never>({
          commit: (batch, answer, done) => {
            seen.push(turns.count)
            for (const entry of batch) answer(entry, Effect.void)
            done()
          },
          pendingBytesMax: 1000,
          closed: (): never => assert.fail("it is not closed")
        })
        const loop = Effect.forEach(Array.from({ length: 300 }, (_, i) => i), (i) => commits.submit(() => i, 1))
        yield* Effect.all([loop, loop], { concurrency: "unbounded" })
        assert.isAtLeast(seen.length, 300)
        assert.deepStrictEqual(seen.filter((count, i) => i > 0 && count === seen[i - 1]), [])
      }))

    it.effect("answers the callers of a large batch over several turns, in their order", () =>
      Effect.gen(function*() {
        const turns = yield* countTurns
        const commits = stalled()
        const answered: Array<{ readonly item: string; readonly turn: number }> = []
        const items = Array.from({ length: 1000 }, (_, i) => `item ${i}`)
        const fibers = yield* Effect.forEach(items, (item) =>
          Effect.forkChild(
            Effect.map(commits.submit(() => item, 1), () => answered.push({ item, turn: turns.count })),
            { startImmediately: true }
          ))
        yield* settle
        yield* commits.finish
        yield* Effect.forEach(fibers, Fiber.join)
        assert.deepStrictEqual(answered.map(({ item }) => item), items)
        // the 33rd after any of them comes in a later turn
        for (let i = 32; i < answered.length; i++) assert.isAbove(answered[i]!.turn, answered[i - 32]!.turn)
      }))

    it.effect("begins the next commit when half of a batch is answered, and loses nobody of the other half", () =>
      Effect.gen(function*() {
        const commits = stalled()
        let answered = 0
        const items = Array.from({ length: 1000 }, (_, i) => `item ${i}`)
        const fibers = yield* Effect.forEach(items, (item) =>
          Effect.forkChild(
            commits.submit(() => item, 1).pipe(
              Effect.tap(() => Effect.sync(() => answered++)),
              Effect.andThen(commits.submit(() => `${item} again`, 1))
            ),
            { startImmediately: true }
          ))
        yield* settle
        yield* commits.finish
        while (commits.idle()) yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
        const second = commits.batches[1]!
        assert.isAtLeast(answered, 500)
        assert.isBelow(second.length, 1000)
        assert.deepStrictEqual(second, items.slice(0, second.length).map((item) => `${item} again`))
        const isAnswering = () => answered < 1000
        while (isAnswering()) yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
        yield* commits.finish
        while (commits.idle()) yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
        yield* commits.finish
        assert.lengthOf(yield* Effect.forEach(fibers, Fiber.join), 1000)
        assert.deepStrictEqual(commits.batches.slice(1).flat(), items.map((item) => `${item} again`))
      }))

    it.effect("lets timers fire while two fibers append in a loop", () =>
      Effect.gen(function*() {
        let fired = false
        const timer = setTimeout(() => {
          fired = true
        }, 1)
        const commits = GroupCommit.make<string, void, never>({
          commit: (batch, answer, done) => {
            for (const entry of batch) answer(entry, Effect.void)
            done()
          },
          pendingBytesMax: 1000,
          closed: (): never => assert.fail("it is not closed")
        })
        // bounded, so that a starved loop ends in a failure and not in a hanging process
        let left = 200_000
        const loop = Effect.whileLoop({
          while: () => !fired && left-- > 0,
          body: () => commits.submit(() => "a", 1),
          step: () => undefined
        })
        yield* Effect.all([loop, loop], { concurrency: "unbounded" })
        clearTimeout(timer)
        assert.isTrue(fired)
      }))
  })
})
