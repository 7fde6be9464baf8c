/**
 * What a worker thread of a verification runs: it scans blocks into their tables, and judges nothing. Started by
 * {@link ScanPool}, which says what the messages mean.
 */
import { parentPort, workerData } from "node:worker_threads"
import { BlockScan } from "./blockScan.ts"
import { Block } from "./lineBlocks.ts"
import { LineTable } from "./lineTable.ts"
import type { Done, Setup, Task } from "./scanPool.ts"

const { blocks, keys, lineBytesMax } = workerData as Setup
const own = blocks.map(({ bytes, table }) => new Block(Buffer.from(bytes), new LineTable(new Int32Array(table))))
const scan = new BlockScan(keys, lineBytesMax)

parentPort?.on("message", ({ block: index, end, start }: Task) => {
  const block = own[index]!
  const scannedTo = scan.scan(block, start, end)
  parentPort?.postMessage({ block: index, scannedTo, lines: block.table.count } satisfies Done)
})
