/**
 * The report of a verification for people: what is sound, what is not and where, what that means, and what to do next.
 *
 * @since 0.1.0
 */
import type * as Codec from "../Codec.ts"
import type * as LogEntry from "../LogEntry.ts"
import type * as Report from "../VerifyReport.ts"
import { encodingOf } from "./entryNotes.ts"
import { printable } from "./output.ts"

/** The kinds of faults, in the order in which they are reported. */
const faultKinds = [
  "damages",
  "missing",
  "conflicts",
  "broken",
  "dangling",
  "unauthenticated",
  "unchecked"
] as const

/**
 * A number of bytes as people read it.
 *
 * @category rendering
 * @since 0.1.0
 */
export const size = (bytes: number): string => {
  if (bytes < 1000) return count(bytes, "byte")
  const power = Math.min(4, Math.floor(Math.log10(bytes) / 3))
  return `${(bytes / 1000 ** power).toPrecision(3)} ${["", "kB", "MB", "GB", "TB"][power]}`
}

const grouped = (number: number): string => number.toLocaleString("en-US").replaceAll(",", " ")

const count = (number: number, noun: string): string =>
  `${grouped(number)} ${number === 1 ? noun : noun.endsWith("y") ? `${noun.slice(0, -1)}ies` : `${noun}s`}`

/**
 * The whole report, as lines. `named` puts the name of the log in front of the verdict also where it is sound. `file` is
 * the one that can be repaired, if there is one.
 *
 * @category rendering
 * @since 0.1.0
 */
export const render = (report: Report.Report, named: boolean, file: string | undefined): string => {
  const faults = faultSections(report).filter(({ findings }) => findings.count > 0)
  const notes = noteSections(report).filter(({ findings }) => findings.count > 0)
  const log = printable(report.log)
  const lines = [
    report.sound
      ? `${log}: sound`
      : isNewer(report)
      ? `${log}: CANNOT BE VERIFIED: ${count(report.damages.count, "line")} in a newer version of the format`
      : `${log}: ${isUnknown(report) ? "NOT VERIFIED" : "NOT SOUND"}: ${faults.map(({ title }) => title).join(", ")}`,
    `  ${contents(report)}`,
    ...faults.flatMap((section) => ["", ...sectionLines(section, "fault")]),
    ...(notes.length === 0
      ? []
      : ["", "Notes, which are no faults:", ...notes.flatMap((s) => sectionLines(s, "note"))]),
    ...(report.sound ? [] : ["", "What to do:", ...advice(report, file).map((line) => `  - ${line}`)]),
    ...(named ? [""] : [])
  ]
  return lines.map((line) => `${line}\n`).join("")
}

const contents = (report: Report.Report): string => {
  const files = report.segments.length === 1 ? "" : ` in ${count(report.segments.length, "file")}`
  if (report.bytes === 0) return `it is empty${files}`
  const parts = [
    `${count(report.records, "record")} of ${count(report.writers, "writer")}`,
    ...(report.transactions === 0 ? [] : [count(report.transactions, "transaction")]),
    ...(report.foreign === 0 ? [] : [`${count(report.foreign, "line")} of other programs`]),
    `${count(report.lines, "line")}, ${size(report.bytes)}${files}`
  ]
  return parts.join("; ")
}

interface Section {
  readonly title: string
  readonly meaning: string
  readonly findings: Report.Findings<string>
}

const sectionLines = ({ findings, meaning, title }: Section, level: "fault" | "note"): ReadonlyArray<string> => {
  const hidden = findings.count - findings.first.length
  return [
    level === "fault" ? `${title[0]!.toUpperCase()}${title.slice(1)}: ${meaning}` : `  ${title}: ${meaning}`,
    ...(level === "fault" ? findings.first : findings.first.slice(0, notesShownMax)).map((line) => `    ${line}`),
    ...(level === "note" && findings.count > notesShownMax
      ? [`    and ${grouped(findings.count - notesShownMax)} more`]
      : level === "fault" && hidden > 0
      ? [`    and ${grouped(hidden)} more; --all lists them`]
      : [])
  ]
}

/** Of what needs no action a few examples are enough; `--json` has them all. */
const notesShownMax = 5

const map = <A>({ count, first }: Report.Findings<A>, render: (finding: A) => string): Report.Findings<string> => ({
  count,
  first: first.map(render)
})

const at = ({ file, line, offset }: Pick<LogEntry.Place, "file" | "line" | "offset">): string =>
  `${printable(file)}:${line} (byte ${offset})`

const named = (record: Report.RecordPlace): string => `${at(record)}: record ${record.writer}:${record.seq}`

const span = ({ from, to, writer }: Report.Missing): string =>
  from === to ? `record ${writer}:${from}` : `records ${writer}:${from} to :${to}`

const kinds: { readonly [K in Codec.DamageKind]: string } = {
  torn: "cut off, or altered where it hurts its JSON",
  glued: "a record begins in the middle of it",
  nul: "NUL bytes inside",
  utf8: "not UTF-8",
  notJson: "not JSON",
  notObject: "JSON, but no object",
  stamp: "its stamp is not one of this format",
  version: "written in a newer version of the format",
  hash: "its bytes are not those that were hashed: altered",
  key: "its key is not known here",
  tooLong: "longer than any record"
}

const damageText = (damage: Report.Damage): string =>
  `${at(damage)}: ${damage.kind}, ${count(damage.length, "byte")}: ${
    encodingOf(damage.preview) ?? kinds[damage.kind]
  }` +
  (damage.preview === "" ? "" : `; it begins ${damage.preview}`)

/** Damages of the kind `key`: whether these lines are what a writer wrote is not known. */
const underUnknownKey = ({ damageKinds }: Report.Report): number => damageKinds["key"] ?? 0

const damaged = (report: Report.Report): number => report.damages.count - underUnknownKey(report)

const faultSections = (report: Report.Report): ReadonlyArray<Section> => [
  {
    title: count(damaged(report), "damaged line"),
    meaning: "these bytes are not what a writer wrote, and no crash explains them",
    findings: map(
      { count: damaged(report), first: report.damages.first.filter(({ kind }) => kind !== "key") },
      damageText
    )
  },
  {
    title: `${count(underUnknownKey(report), "line")} under a key that was not given`,
    meaning: "nothing is known of them, neither that they are sound nor that they are damaged",
    findings: map(
      { count: underUnknownKey(report), first: report.damages.first.filter(({ kind }) => kind === "key") },
      damageText
    )
  },
  {
    title: `records missing in ${count(report.missing.count, "place")}`,
    meaning: "a later record of the same writer is there, so these were written, and are gone or altered",
    findings: map(report.missing, (missing) => `before ${at(missing)}: ${span(missing)}`)
  },
  {
    title: count(report.conflicts.count, "conflict"),
    meaning: "the identity of a record stands twice, and no writer does that",
    findings: map(report.conflicts, (conflict) =>
      `${named(conflict)}: ${conflictText[conflict.content]}` +
      (conflict.first === null
        ? ""
        : `, which stands at ${printable(conflict.first.file)} (byte ${conflict.first.offset})`))
  },
  {
    title: count(report.broken.count, "broken link"),
    meaning: "the record does not continue its writer's chain: one was altered, put in, removed or moved",
    findings: map(report.broken, (link) =>
      `${named(link)}: ${
        link.problem === "prev"
          ? "names another hash than that of the record before it"
          : "follows a transaction of the same writer that is not complete"
      }`)
  },
  {
    title: count(report.dangling.count, "dangling link"),
    meaning: "a writer had seen a record of another one that is not before it now: removed, altered or moved",
    findings: map(
      report.dangling,
      (link) =>
        `${named(link)}: has seen ${link.seen}, which stands ${link.stands === "later" ? "after it" : "nowhere"}`
    )
  },
  {
    title: `${count(report.unauthenticated.count, "line")} without an HMAC`,
    meaning: "a key was given, and these lines could have been written by anybody",
    findings: map(report.unauthenticated, at)
  },
  {
    title: `${count(report.unchecked.count, "record")} not checked`,
    meaning: "they carry an HMAC, and no key was given: set AUDITLOG_KEY_ID and AUDITLOG_KEY",
    findings: map(report.unchecked, at)
  }
]

const conflictText: { readonly [K in Report.Conflict["content"]]: string } = {
  same: "a copy of the first",
  other: "says something else than the first",
  unknown: "stands again, far from the first"
}

const noteSections = (report: Report.Report): ReadonlyArray<Section> => [
  {
    title: count(report.fragments.count, "fragment"),
    meaning: "left by writes that were cut off or mixed; none of it was acknowledged",
    findings: map(
      report.fragments,
      (fragment) => `${at(fragment)}: ${fragment.kind}${fragment.healed ? ", healed" : ""}`
    )
  },
  {
    title: `${count(report.unended.count, "whole record")} without a newline`,
    meaning: "they do not count; a write lost its last byte, or a program took the newline of an acknowledged record " +
      "away: auditlog cat --salvage shows them",
    findings: map(report.unended, (line) => `${at(line)}: ${line.kind}${line.healed ? ", healed" : ""}`)
  },
  {
    title: `${count(report.unfinished.count, "writer")} that ended in a torn write`,
    meaning: "what is not there was never acknowledged",
    findings: map(report.unfinished, (missing) => `before ${at(missing)}: ${span(missing)}`)
  },
  {
    title: count(report.incomplete.count, "incomplete transaction"),
    meaning: "cut off, so none of its records counts",
    findings: map(
      report.incomplete,
      ({ expected, file, found, offset, transaction }) =>
        `${printable(file)} (byte ${offset}): transaction ${transaction}: ${found} of ${count(expected, "record")}`
    )
  },
  {
    title: count(report.repeats, "repeat"),
    meaning: "records that their writer appended again to be sure; each counts once",
    findings: { count: report.repeats, first: [] }
  },
  {
    title: count(report.pending.length, "pending tail"),
    meaning: "bytes after the last newline: a write in progress, or one that was cut off",
    findings: map(
      { count: report.pending.length, first: report.pending },
      ({ file, length, offset, whole }) =>
        `${printable(file)} (byte ${offset}): ${count(length, "byte")}` +
        (whole ? `, a whole record; if a program took its newline away: printf '\\n' >> ${printable(file)}` : "")
    )
  },
  {
    title: `${count(report.removed, "segment")} removed by retention`,
    meaning: "as a record in the log says",
    findings: { count: report.removed, first: [] }
  },
  {
    title: count(report.earlier, "link"),
    meaning: "to what stands before the oldest file that was read; they are not checked",
    findings: { count: report.earlier, first: [] }
  }
]

/**
 * Whether all that is wrong is that this program is too old for the log.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isNewer = ({ damageKinds, damages, ...report }: Report.Report): boolean =>
  damages.count > 0 && damageKinds["version"] === damages.count &&
  faultKinds.every((kind) => kind === "damages" || report[kind].count === 0)

/** Whether all that is wrong is that lines are under keys that were not given. */
const isUnknown = (report: Report.Report): boolean =>
  underUnknownKey(report) > 0 && damaged(report) === 0 &&
  faultKinds.every((kind) => kind === "damages" || report[kind].count === 0)

/** More ids than these are no help, and may well be made up. */
const keysShownMax = 5

const keyAdvice = (report: Report.Report): ReadonlyArray<string> => {
  const { records, unauthenticated, unknownKeys } = report
  if (unknownKeys.length === 0) return []
  const shown = unknownKeys.slice(0, keysShownMax)
    .map(({ key, lines }) => `"${printable(key)}" (${count(lines, "line")})`)
  const more = unknownKeys.length > keysShownMax ? " and others" : ""
  const isUnderSeveral = unknownKeys.length > 1 || records > unauthenticated.count
  return [
    `check AUDITLOG_KEY_ID, or verify again with the key that these lines name: ${shown.join(", ")}${more}`,
    ...(isUnderSeveral ? ["a log under several keys: Verifier.verify takes all of them, this command one"] : []),
    "if you know no such key: find out who wrote these lines, since anybody can name a key"
  ]
}

const advice = (report: Report.Report, file: string | undefined): ReadonlyArray<string> => {
  if (isNewer(report)) return ["use a newer auditlog: this one does not know the version that these lines are in"]
  const isDamaged = damaged(report) > 0
  const isLost = isDamaged || report.missing.count > 0
  const isChanged = report.conflicts.count > 0 || report.broken.count > 0 || report.dangling.count > 0
  const isOtherKey = report.doubtfulKeys.length > 0
  return [
    ...report.doubtfulKeys.map(({ key, records }) =>
      `check the secret of the key ${JSON.stringify(key)} first: none of its ${records} records has the HMAC that it ` +
      `makes, as if they had been written with another one`
    ),
    ...keyAdvice(report),
    ...(report.records === 0 && isDamaged && !isOtherKey && underUnknownKey(report) === 0
      ? ["check the name: this does not look like an audit log"]
      : []),
    ...(file !== undefined && (isLost || isChanged)
      ? ["keep this file as it is, with a copy: it is the evidence"]
      : []),
    ...(isLost
      ? ["look for what is missing in a backup, or where the log is shipped to; compare by writer and number"]
      : []),
    ...(isChanged ? ["find out who could write this file: a crash does not do this"] : []),
    ...(isDamaged && !isOtherKey
      ? [
        file === undefined
          ? "the copy stays as it was shipped; auditlog repair moves damage out of the log, or out of a file fetched with --output"
          : `then move the damage aside, which loses none of it: auditlog repair ${printable(file)}`
      ]
      : []),
    ...(report.unchecked.count > 0 ? ["verify again with the key"] : []),
    ...(report.unauthenticated.count > 0
      ? ["if the log was begun without a key: verify the files before and after that with --only"]
      : [])
  ]
}
