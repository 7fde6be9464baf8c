/**
 * From the bytes of one line of input to a record, or to what is wrong with the line, shown so that a person finds it.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type * as Codec from "../Codec.ts"
import * as JsonText from "../internal/jsonText.ts"
import * as SizePolicy from "../SizePolicy.ts"
import { printable } from "./output.ts"

/**
 * A record on its way from its line to the log. Lines are counted from 1.
 *
 * @category models
 * @since 0.1.0
 */
export interface Prepared {
  readonly line: number
  readonly encoded: Codec.Encoded
  readonly sizeBytes: number
  readonly oversize: boolean
}

/**
 * What is wrong with a line: its text, as far as it can be read, and the offset in it that shows the problem.
 *
 * @category models
 * @since 0.1.0
 */
export interface LineFault {
  readonly line: number
  readonly problem: string
  readonly text: string
  readonly offset: number | undefined
}

const blank = /^[ \t\r]*$/
const byteOrderMark = "\ufeff"
const decoder = (): TextDecoder => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const utf8 = decoder()

/**
 * Reads a line of input; `undefined` for a blank one. A line without `bytes` was too long to be kept.
 *
 * @category reading
 * @since 0.1.0
 */
export const read = (
  { bytes, length, number: line }: {
    readonly bytes: Uint8Array | undefined
    readonly length: number
    readonly number: number
  },
  limits: SizePolicy.Limits,
  at: string
): Result.Result<Prepared | undefined, LineFault> => {
  if (bytes === undefined) {
    const problem = `the line has ${length} bytes, more than any record may have`
    return Result.fail({ line, problem, text: "", offset: undefined })
  }
  const decoded = Result.try(() => utf8.decode(bytes))
  if (Result.isFailure(decoded)) {
    const valid = validPrefix(bytes)
    return Result.fail({ line, problem: "this is not UTF-8", text: `${valid}\ufffd`, offset: valid.length })
  }
  // PowerShell and editors of Windows put one in front of the first line
  const start = line === 1 && decoded.success.startsWith(byteOrderMark) ? 1 : 0
  const text = decoded.success.slice(start, decoded.success.endsWith("\r") ? -1 : undefined)
  return blank.test(text) ? Result.succeed(undefined) : prepare(text, line, limits, at)
}

/** The text up to the first byte that is not UTF-8. */
const validPrefix = (bytes: Uint8Array): string => {
  const decode = (length: number) => Result.try(() => decoder().decode(bytes.subarray(0, length), { stream: true }))
  let valid = 0
  for (let invalid = bytes.length + 1; invalid - valid > 1;) {
    const middle = Math.floor((valid + invalid) / 2)
    if (Result.isSuccess(decode(middle))) valid = middle
    else invalid = middle
  }
  return Result.getOrElse(decode(valid), () => "")
}

/**
 * Encodes the text of a record and measures it.
 *
 * @category reading
 * @since 0.1.0
 */
export const prepare = (
  text: string,
  line: number,
  limits: SizePolicy.Limits,
  at: string
): Result.Result<Prepared, LineFault> =>
  JsonText.encode(text, at).pipe(
    Result.mapError((fault): LineFault => ({ line, text, ...fault })),
    Result.flatMap((encoded) =>
      SizePolicy.admit(limits, encoded).pipe(
        Result.map((size): Prepared => ({ line, encoded, ...size })),
        Result.mapError(({ limitBytes, sizeBytes }): LineFault => ({
          line,
          problem: `the record is ${sizeBytes} bytes, and the limit is ${limitBytes}; ` +
            `shorten it, or store the bulk elsewhere and record its hash`,
          text,
          offset: undefined
        }))
      )
    )
  )

/** Characters of a line that are shown: they fit a terminal of 80 columns after the indent. */
const excerptLengthMax = 72

/**
 * A fault for people: where it is (the column is counted from 1, in characters), what it is, the beginning of the line,
 * and a mark below the character that shows it.
 *
 * @category showing
 * @since 0.1.0
 */
export const describe = (where: string, { offset, problem, text }: LineFault): ReadonlyArray<string> => {
  const column = offset === undefined ? "" : `, column ${Array.from(text.slice(0, offset)).length + 1}`
  const title = `auditlog: ${where}${column}: ${problem}`
  if (text === "") return [title]
  // where the fault is far into the line, also the place around it
  const isFar = offset !== undefined && offset >= excerptLengthMax - 8
  const from = isFar ? offset - 32 : 0
  const head = isFar ? `  ${printable(text.slice(0, 16))} … ` : "  "
  const to = from + excerptLengthMax - head.length
  const excerpt = `${head}${printable(text.slice(from, to))}${to < text.length ? " …" : ""}`
  if (offset === undefined) return [title, excerpt]
  return [title, excerpt, `${" ".repeat(head.length + printable(text.slice(from, offset)).length)}^`]
}
