// The least that one append from a shell can be in Node.
import { fsyncSync, openSync, writeSync } from "node:fs"
const fd = openSync(process.argv[2], "a", 0o600)
writeSync(fd, `${process.argv[3]}\n`)
fsyncSync(fd)
