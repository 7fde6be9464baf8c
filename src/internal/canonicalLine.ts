/**
 * A line that `Codec.parse` understands, written so that a stamp reader can read its stamp: without fields.
 */
import * as Codec from "../Codec.ts"
import { slackBytes } from "./stampReader.ts"

const isSource = /^[\w.:-]{1,128}$/

export const canonical = (record: Extract<Codec.Parsed, { readonly _tag: "Record" }>, hash: string): Buffer => {
  const { at, key, prev, seen, seq, src, tx, writer } = record.stamp
  const source = src !== undefined && isSource.test(src) ? src : undefined
  const head = Codec.head({ fields: "", at, trace: undefined, source }, {
    writer,
    seq,
    prev,
    seen,
    tx,
    attempt: record.stamp.try ?? 0,
    key
  })
  const line = Codec.seal(head, hash)
  return Buffer.from(line + " ".repeat(slackBytes), "latin1")
}
