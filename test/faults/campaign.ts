/**
 * How long a test of the fault suite goes on, and with which seed. Both are printed, so that a run can be replayed: the
 * seed decides sizes, targets and moments, though not how the kernel schedules the processes.
 *
 * AUDITLOG_TEST_SEED=N chooses the seed. AUDITLOG_FAULTS_SECONDS=N lets each test go on for so long.
 */
import { generator } from "../simulation/run.ts"

export const seconds = Number(process.env["AUDITLOG_FAULTS_SECONDS"] ?? 0)

export const seed = Number(process.env["AUDITLOG_TEST_SEED"] ?? Date.now() % 1_000_000)

export const random = generator(seed)

/** A whole number from 0 up to, and without, `end`. */
export const below = (end: number): number => Math.floor(random() * end)

/** How to run a test again, for its messages. */
export const replay = `AUDITLOG_TEST_SEED=${seed}${seconds > 0 ? ` AUDITLOG_FAULTS_SECONDS=${seconds}` : ""}`

/** What a test may take: its rounds, or the seconds asked for, and time to come to an end. */
export const timeoutMillis = 120_000 + 1000 * seconds

/** The rounds of a test: so many, and more until the seconds asked for are over. */
export function* rounds(count: number): Generator<number> {
  const end = performance.now() + 1000 * seconds
  for (let round = 0; round < count || performance.now() < end; round++) yield round
}

/** Says what a test found, with the seed. */
export const tell = (text: string): void => console.log(`${text}; ${replay}`)
