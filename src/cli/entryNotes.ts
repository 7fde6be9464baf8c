/**
 * What a person is told about an entry that is no record: what it is, where, what it means, and what to do next.
 *
 * @since 0.1.0
 */
import type * as Codec from "../Codec.ts"
import type * as LogEntry from "../LogEntry.ts"
import { printable } from "./output.ts"

/**
 * What is said about a log besides its records.
 *
 * @category models
 * @since 0.1.0
 */
export type Finding = Exclude<LogEntry.LogEntry, LogEntry.AuditRecord | LogEntry.Foreign | LogEntry.Salvaged>

/**
 * Whether it is damage, and no note: something that was in the log is not there, or not as it was.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isDamage = (finding: Finding): boolean => {
  switch (finding._tag) {
    case "Damage":
      return !finding.healed
    case "Conflict":
    case "Missing":
    case "Truncated":
      return true
    default:
      return false
  }
}

const meanings: { readonly [K in Codec.DamageKind]: string } = {
  torn: "the line is cut off before its end; if its record was acknowledged, look for it in a copy",
  glued: "a record begins inside another line; two writes are mixed, and a copy may have them apart",
  nul: "it holds NUL bytes, as a power cut leaves them; look for its record in a copy",
  utf8: "it is not UTF-8; another program wrote it, or it was overwritten",
  notJson: "it is not JSON; another program wrote it, or it was overwritten",
  notObject: "it is JSON, but not an object; another program wrote it",
  stamp: "its stamp is not one of this format; it was edited, or another program wrote it",
  version: "it is in a newer version of the format; read it with a newer auditlog",
  hash: "its bytes are not those that were written; it was altered, compare it with a copy",
  key: "it is authenticated with a key that is not known here",
  tooLong: "it is longer than any record; this may be no log"
}

/** Marks that no writer leaves, as a preview shows them. */
const encodings: ReadonlyArray<readonly [mark: RegExp, program: string]> = [
  [/^\\xef\\xbb\\xbf/, "a byte order mark stands before it"],
  [/^(?:\\xff\\xfe|\\xfe\\xff|\{\\u0000\\"\\u0000|\\u0000\{\\u0000\\")/, "it is in UTF-16"]
]

/**
 * What a program has done to a line that has saved it in another encoding; `undefined` if the beginning of the line
 * does not show that.
 *
 * @category rendering
 * @since 0.1.0
 */
export const encodingOf = (preview: string): string | undefined => {
  const [, found] = encodings.find(([mark]) => mark.test(preview)) ?? []
  return found === undefined ? undefined : `${found}: a program, such as an editor, has saved the file anew`
}

/**
 * One line about a finding, without what a terminal would act on.
 *
 * @category rendering
 * @since 0.1.0
 */
export const render = (finding: Finding): string => {
  const file = printable(finding.file)
  const place = "line" in finding && finding.line > 0 ? `${file}:${finding.line}` : file
  const kind = isDamage(finding) ? "damage" : "note"
  return `auditlog: ${kind}: ${place}: byte ${finding.offset}: ${meaningOf(finding)}`
}

const meaningOf = (finding: Finding): string => {
  switch (finding._tag) {
    case "Incomplete":
      return `incomplete: transaction ${finding.transaction} has ${finding.found} of ${finding.expected} records, so ` +
        `none counts; its writer was cut off, or lines were removed`
    case "Pending":
      return finding.whole
        ? `pending: ${finding.length} bytes after the last newline, which are a whole record; if a program has taken its ` +
          `newline away, put it back before the next append: printf '\\n' >> ${printable(finding.file)}`
        : `pending: ${finding.length} bytes after the last newline; a write in progress, or one that was cut off, ` +
          `which the next append sets apart`
    case "Missing": {
      const last = finding.seq + finding.count - 1
      const which = finding.count === 1
        ? `record ${finding.seq} is`
        : `records ${finding.seq} to ${last} are`
      return `missing: before this record, ${which} gone of writer ${finding.writer}; look for them in a copy`
    }
    case "Conflict":
      return `conflict: another record ${finding.id} with other content stands at byte ${finding.first.offset} of ` +
        `${printable(finding.first.file)}; somebody has written one of them by hand, compare them with a copy`
    case "Truncated":
      return `truncated: the file was cut after ${finding.offset} bytes of it had been read; what was appended just ` +
        `before is lost if logrotate did it with copytruncate: use create`
    default:
      return finding.whole
        ? `${finding.kind}${finding.healed ? ", healed" : ""}: a whole record without its newline, so it does not ` +
          `count; its write lost the last byte, or a program has taken the newline away from an acknowledged record: ` +
          `auditlog cat --salvage shows it`
        : finding.healed
        ? `${finding.kind}, healed: a write that never finished, set apart by the next writer; nothing acknowledged is ` +
          `lost, and nothing is to be done`
        : `${finding.kind}: ${encodingOf(finding.preview) ?? meanings[finding.kind]}; it begins ${finding.preview}`
  }
}
