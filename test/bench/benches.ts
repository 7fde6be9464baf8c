/** All benches, in the order in which they run and are shown. */
import { append } from "./append.ts"
import { appendNosync, kill } from "./appendNosync.ts"
import type { Bench } from "./harness.ts"
import { lint } from "./lint.ts"
import { processes } from "./processes.ts"
import { profiles } from "./profile.ts"
import { query, read, verify } from "./read.ts"
import { scale } from "./scale.ts"
import { ship } from "./ship.ts"
import { sql } from "./sql.ts"
import { startup } from "./startup.ts"
import { transaction } from "./transaction.ts"

export const benches: ReadonlyArray<Bench> = [
  append,
  appendNosync,
  kill,
  transaction,
  processes,
  read,
  query,
  verify,
  sql,
  ship,
  lint,
  startup,
  scale,
  profiles
]
