/**
 * Writers under strace, which sees their writes and flushes of the log, and can make the kernel fail them.
 */
import * as Fs from "node:fs"

/** What starts a program under strace, with what it saw of the log in `output`. */
export const traced = (log: string, output: string, rules: ReadonlyArray<string> = []): ReadonlyArray<string> => {
  const trace = ["-e", "trace=write,fsync,fdatasync", "-P", log, "-o", output]
  return ["strace", "-f", "-qq", "-y", "-s", "16", ...trace, ...rules.flatMap((rule) => ["-e", `inject=${rule}`])]
}

/** Injections count in each thread: with one worker thread, all flushes are in the same. */
export const oneThread = { UV_THREADPOOL_SIZE: "1" }

/** What was done to the log after the first flush that failed; `undefined` if none did. */
export const afterFailedFlush = (output: string): ReadonlyArray<string> | undefined => {
  const calls = Fs.readFileSync(output, "utf8").split("\n").filter((line) => / = |resumed>/.test(line))
  const failed = calls.findIndex((call) => /(fsync|fdatasync).* = -1 E/.test(call))
  return failed < 0 ? undefined : calls.slice(failed + 1)
}
