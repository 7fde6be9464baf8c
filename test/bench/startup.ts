/**
 * What one `auditlog append` costs a shell script: the bundled command with its compile cache warm, from start to exit.
 */
import { type Bench, bin, bundle, interleave, peer, runProgram, type Side, withFile } from "./harness.ts"
import { python } from "./machine.ts"
import { record } from "./record.ts"

const json = JSON.stringify(record)

const oneLiner = `import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.write(fd, (sys.argv[2] + "\\n").encode())
os.fsync(fd)`

/** Runs in one round: a start is short, and the machine is never quiet for long. */
const startsPerRound = 5

export const startup: Bench = {
  name: "startup",
  title: "One append from a shell",
  columns: [
    { key: "millis", label: "ms", digits: 1 },
    { key: "peak", label: "peak MB", digits: 0 }
  ],
  run: async (settings) => {
    await bundle()
    const rounds = (settings.rounds ?? (settings.quick ? 1 : 5)) * startsPerRound
    const side = (name: string, command: (path: string) => ReadonlyArray<string>): Side => ({
      name,
      run: () =>
        withFile(settings, async (path) => {
          const { millis, peak } = await runProgram(command(path), { poll: true })
          return { millis, peak }
        })
    })
    const sides = [
      side("auditlog append", (path) => [process.execPath, bin, "append", path, "--json", json]),
      side(
        "auditlog append --receipts",
        (path) => [process.execPath, bin, "append", path, "--receipts", "--json", json]
      ),
      side("node -e 0", () => [process.execPath, "-e", "0"]),
      side("node, open, write, fsync", (path) => [process.execPath, peer("appendOnce.mjs"), path, json]),
      ...(python === undefined
        ? []
        : [side("Python one-liner: open, write, fsync", (path) => [python ?? "", "-c", oneLiner, path, json])])
    ]
    // the compile cache
    await interleave(sides, 1)
    return { rows: await interleave(sides, rounds), rounds, findings: [] }
  }
}
