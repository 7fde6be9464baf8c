/**
 * The real file port with faults: each call of a member goes through the rules that a test has set for it.
 */
import { FilePort } from "../src/internal/filePort.ts"

/** The port that the library uses when a test provides none. */
export const realPort: FilePort = FilePort.defaultValue()

type Member = keyof FilePort

/** Decides one call: does what it likes, and calls `real` or not. */
type Rule<M extends Member> = (real: FilePort[M], ...args: Parameters<FilePort[M]>) => ReturnType<FilePort[M]>

export interface FaultyPort {
  readonly port: FilePort
  /** The calls so far, in order, with the descriptor or path they were for. */
  readonly calls: ReadonlyArray<readonly [member: Member, target: number | string]>
  /** How often a member was called so far. */
  readonly count: (member: Member) => number
  /** Replaces the next `times` calls of a member, after the next `after` ones. */
  readonly next: <M extends Member>(
    member: M,
    rule: Rule<M>,
    options?: { readonly times?: number; readonly after?: number }
  ) => void
}

interface Waiting {
  readonly rule: (...args: ReadonlyArray<unknown>) => unknown
  skip: number
  left: number
}

export const faultyPort = (): FaultyPort => {
  const calls: Array<readonly [Member, number | string]> = []
  const rules = new Map<Member, Array<Waiting>>()
  const through = (member: Member) => (...args: ReadonlyArray<unknown>): unknown => {
    calls.push([member, args[0] as number | string])
    const real = realPort[member] as (...args: ReadonlyArray<unknown>) => unknown
    const first = rules.get(member)?.[0]
    if (first === undefined) return real(...args)
    if (first.skip > 0) {
      first.skip--
      return real(...args)
    }
    first.left--
    if (first.left === 0) rules.get(member)?.shift()
    return first.rule(real, ...args)
  }
  const members = Object.keys(realPort) as ReadonlyArray<Member>
  return {
    port: Object.fromEntries(members.map((member) => [member, through(member)])) as unknown as FilePort,
    calls,
    count: (member) => calls.filter(([called]) => called === member).length,
    next: (member, rule, { after = 0, times = 1 } = {}) => {
      const waiting = rules.get(member) ?? []
      waiting.push({ rule: rule as Waiting["rule"], skip: after, left: times })
      rules.set(member, waiting)
    }
  }
}

/** A system error as `node:fs` throws it. */
const systemError = (code: string, errno = -1): Error => Object.assign(new Error(`${code}: injected`), { code, errno })

/** A rule that throws. */
export const failWith = (code: string, errno?: number) => (): never => {
  throw systemError(code, errno)
}
