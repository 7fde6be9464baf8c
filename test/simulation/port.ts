/**
 * How a simulated process reaches the simulated disk: a system call is a request in shared memory, and the thread sleeps
 * until the scheduler answers it. So the scheduler decides, from a seed, which process takes its next step, and the
 * library's own synchronous code runs unchanged.
 */

/** Who has the word: the process, the scheduler (a call waits for its answer), the process again, or nobody (it is done). */
const turn = { process: 0, scheduler: 1, answered: 2, done: 3 } as const

const headerBytes = 8
const channelBytes = 1 << 20

export interface Channel {
  readonly shared: SharedArrayBuffer
  readonly control: Int32Array
  readonly data: Uint8Array
}

export const makeChannel = (shared = new SharedArrayBuffer(headerBytes + channelBytes)): Channel => ({
  shared,
  control: new Int32Array(shared, 0, 2),
  data: new Uint8Array(shared, headerBytes)
})

const put = ({ control, data }: Channel, message: unknown): void => {
  const bytes = Buffer.from(JSON.stringify(message))
  data.set(bytes)
  control[1] = bytes.length
}

const take = ({ control, data }: Channel): unknown =>
  JSON.parse(Buffer.from(data.subarray(0, control[1])).toString("utf8"))

/** A system call, or what a process says: `outcome` after each append, `done` at its end. */
export interface Request {
  readonly call: string
  readonly args: ReadonlyArray<string | number>
}

export type Answer =
  | { readonly value: string | number | null }
  | { readonly error: { readonly code: string; readonly errno: number } }
  | { readonly killed: true }

/** In the process: makes a call and sleeps until it is answered. */
export const request = (channel: Channel, message: Request): Answer => {
  put(channel, message)
  Atomics.store(channel.control, 0, turn.scheduler)
  Atomics.notify(channel.control, 0)
  while (Atomics.load(channel.control, 0) === turn.scheduler) Atomics.wait(channel.control, 0, turn.scheduler)
  Atomics.store(channel.control, 0, turn.process)
  return take(channel) as Answer
}

/** In the process: says that it is done, and sleeps until the scheduler starts it again. */
export const finish = (channel: Channel): unknown => {
  Atomics.store(channel.control, 0, turn.done)
  Atomics.notify(channel.control, 0)
  while (Atomics.load(channel.control, 0) === turn.done) Atomics.wait(channel.control, 0, turn.done)
  Atomics.store(channel.control, 0, turn.process)
  return take(channel)
}

/** In the scheduler: answers or starts a process, and sleeps until it makes its next call or is done. */
export const resume = (channel: Channel, message: unknown): Request | undefined => {
  put(channel, message)
  Atomics.store(channel.control, 0, turn.answered)
  Atomics.notify(channel.control, 0)
  return awaitTurn(channel)
}

/** In the scheduler: sleeps until the process makes a call or is done. */
export const awaitTurn = (channel: Channel): Request | undefined => {
  for (;;) {
    const now = Atomics.load(channel.control, 0)
    if (now === turn.scheduler) return take(channel) as Request
    if (now === turn.done) return undefined
    Atomics.wait(channel.control, 0, now, 1000)
  }
}
