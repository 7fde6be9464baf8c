/**
 * Whether two lines say the same: an attempt to append a record again differs in its stamp only.
 */
import { slackBytes, StampReader } from "./stampReader.ts"

const ownBytes = (line: Uint8Array): Buffer => {
  const bytes = Buffer.alloc(line.length + slackBytes)
  bytes.set(line)
  return bytes
}

const read = (line: Uint8Array): StampReader | undefined => {
  const reader = new StampReader()
  reader.attach(ownBytes(line))
  return reader.read(0, line.length) ? reader : undefined
}

/** The time, the place in a transaction and the fields; not the links, the attempt and the hash. */
const content = ({ bodyAt, bytes, tailAt, timeAt, txAt, txCount, txIndex }: StampReader): string => {
  const transaction = txAt < 0 ? "" : `${bytes.toString("latin1", txAt, txAt + 26)}:${txIndex}:${txCount}`
  return `${bytes.toString("latin1", timeAt, timeAt + 24)} ${transaction} ${bytes.toString("latin1", bodyAt, tailAt)}`
}

export const compare = (first: Uint8Array, again: Uint8Array): "same" | "other" | "unknown" => {
  const a = read(first)
  const b = read(again)
  return a === undefined || b === undefined ? "unknown" : content(a) === content(b) ? "same" : "other"
}
