/**
 * DuckDB's `read_json` over a log: `{ path, actor }`. It infers the columns, and uses all cores.
 */
import { DuckDBInstance } from "@duckdb/node-api"
import { peakMegabytes } from "../harness.ts"

const { actor, path } = JSON.parse(process.argv[2] ?? "") as { readonly path: string; readonly actor?: string }

const start = performance.now()
const connection = await (await DuckDBInstance.create(":memory:")).connect()
// every column is asked for, so that every value is read
const where = actor === undefined ? "" : "WHERE actor = $actor"
const result = await connection.runAndReadAll(
  `SELECT count(*), count(_audit), max("before"), max("after"), max(rev), max(_hash)
   FROM read_json($path, format = 'newline_delimited') ${where}`,
  actor === undefined ? { path } : { path, actor }
)
const seconds = (performance.now() - start) / 1000
console.log(JSON.stringify({ seen: Number(result.getRows()[0]?.[0]), seconds, peak: peakMegabytes("self") }))
