/**
 * `npm run bench`, or `npm run bench -- NAME`: runs the benches of this directory and prints a table each. Absolute
 * figures move from machine to machine; the ratios to the baseline of the same run are the point.
 */
import { append } from "./append.ts"
import { lint } from "./lint.ts"
import { read } from "./read.ts"
import { verify } from "./verify.ts"

const benches: Readonly<Record<string, () => Promise<void>>> = { append, read, verify, lint }

const names = process.argv.slice(2)
const unknown = names.filter((name) => benches[name] === undefined)
if (unknown.length > 0) {
  console.error(`no bench named ${unknown.join(", ")}; there are: ${Object.keys(benches).join(", ")}`)
  process.exit(2)
}
for (const name of names.length === 0 ? Object.keys(benches) : names) await benches[name]?.()
