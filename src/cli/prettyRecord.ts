/**
 * One line of a log for people: time, tag, the fields as key=value, and who wrote it.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as JsonText from "../internal/jsonText.ts"
import type * as LogEntry from "../LogEntry.ts"
import { printable } from "./output.ts"

type Style = "dim" | "tag" | "key"

const codes: { readonly [S in Style]: string } = { dim: "2", tag: "1;36", key: "34" }

/** Tags up to this length are aligned; a longer one moves its own line only. */
const tagLengthMax = 28

const timeLength = "2026-01-01T00:00:00.000Z".length

/** Text that needs no quotes: it has no space, no quote and no sign that structures the line. */
const plain = /^[\p{L}\p{M}\p{N}._:/@+#%~-]+$/u

/** What JSON would read as something else than a string. */
const looksLikeJson = /^(?:true|false|null|-?[\d.].*)$/

const word = (text: string): string => plain.test(text) ? text : printable(JSON.stringify(text))

const valueText = (value: unknown): string =>
  typeof value === "string"
    ? looksLikeJson.test(value) ? JSON.stringify(value) : word(value)
    : printable(JSON.stringify(value))

/** The writer's last six characters: those of a ULID that differ between processes started at one time. */
const shortId = ({ stamp }: LogEntry.AuditRecord): string => `${stamp.writer.slice(-6)}:${stamp.seq}`

/**
 * Makes a printer of one output. It aligns the tags it has seen so far.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: { readonly colors: boolean }
): (entry: LogEntry.AuditRecord | LogEntry.Foreign) => string => {
  const paint = (style: Style, text: string): string =>
    options.colors ? `\u001b[${codes[style]}m${text}\u001b[0m` : text
  let tagLength = 8

  const render = (entry: LogEntry.AuditRecord | LogEntry.Foreign): string => {
    // from the text, not from the parsed fields: those have lost the digits of large numbers
    const all = JsonText.parseExact(entry.text) as { readonly [key: string]: unknown }
    const { _tag } = all
    const isRecord = entry._tag === "Record"
    const isField = (key: string): boolean =>
      isRecord && (key === "_audit" || key === "_hash") ? false : key !== "_tag" || typeof _tag !== "string"
    const tag = typeof _tag === "string" ? word(_tag) : "-"
    if (tag.length <= tagLengthMax) tagLength = Math.max(tagLength, tag.length)
    const tx = isRecord ? entry.stamp.tx : undefined
    const origin = [
      ...(tx === undefined ? [] : [`tx ${tx.i + 1}/${tx.n}`]),
      isRecord ? shortId(entry) : "foreign",
      ...(isRecord && !entry.verified ? ["unchecked"] : [])
    ]
    return [
      paint("dim", (isRecord ? entry.stamp.at : "").padEnd(timeLength)),
      `${paint("tag", tag)}${" ".repeat(Math.max(0, tagLength - tag.length))}`,
      ...Object.entries(all).filter(([key]) => isField(key)).map(([key, value]) =>
        `${paint("key", word(key))}=${valueText(value)}`
      ),
      paint("dim", origin.join(" "))
    ].join(" ")
  }

  // another program's line may be nested so deeply that rendering it exhausts the stack
  return (entry) => Result.getOrElse(Result.try(() => render(entry)), () => printable(entry.text))
}
