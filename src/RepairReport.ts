/**
 * What a repair says: what it found, moved and left, and why it did not repair a file.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * A process, by its number and its name.
 *
 * @category models
 * @since 0.1.0
 */
export const Process = Schema.Struct({ pid: Schema.Int, command: Schema.String })

/**
 * The type of {@link Process}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Process extends Schema.Schema.Type<typeof Process> {}

/**
 * A range of damaged bytes: the offset of its first byte, its length with its newlines, and how many lines it is of.
 * `kind` is that of `Codec.DamageKind`; `healed` says that a later writer had set the fragment apart, so that nothing
 * acknowledged was in it, unless it was all of a record but its newline.
 *
 * @category models
 * @since 0.1.0
 */
export const Range = Schema.Struct({
  offset: Schema.Int,
  length: Schema.Int,
  kind: Schema.String,
  lines: Schema.Int,
  healed: Schema.Boolean
})

/**
 * The type of {@link Range}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Range extends Schema.Schema.Type<typeof Range> {}

/**
 * What was found in one file, and done with it.
 *
 * **Details**
 *
 * `outcome`: `"sound"`, nothing is to be done; `"damaged"`, what a dry run says of a file that would be repaired;
 * `"repaired"`. `damages` counts the damaged lines of each kind, `healed` those of them that a writer had already set
 * apart, `suspects` those in which acknowledged records may have been: not NUL bytes alone, and of the healed ones and
 * of what stood after the last newline those that were all of a record but its newline. `ranges` lists the first ranges. `unchecked` counts records with an HMAC of a key that was not given: they
 * stay. `lateBytes` counts what another program wrote to the old file while it was replaced, appended to the new one.
 * Sizes are in bytes, hashes are SHA-256 of the whole file in hexadecimal digits.
 *
 * @category models
 * @since 0.1.0
 */
export const FileReport = Schema.Struct({
  file: Schema.String,
  outcome: Schema.Literals(["sound", "damaged", "repaired"]),
  sizeBefore: Schema.Int,
  sizeAfter: Schema.Int,
  sha256Before: Schema.String,
  sha256After: Schema.String,
  wholeLines: Schema.Int,
  unchecked: Schema.Int,
  damages: Schema.Record(Schema.String, Schema.Int),
  healed: Schema.Int,
  suspects: Schema.Int,
  damagedBytes: Schema.Int,
  rangeCount: Schema.Int,
  ranges: Schema.Array(Range),
  writers: Schema.Array(Process),
  lateBytes: Schema.Int
})

/**
 * The type of {@link FileReport}.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileReport extends Schema.Schema.Type<typeof FileReport> {}

/**
 * The file is not one that can be repaired, or cannot be looked at. It is as it was.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unsuitable extends Schema.TaggedError<Unsuitable>("effect-auditlog/RepairReport/Unsuitable")(
  "Unsuitable",
  { file: Schema.String, problem: Schema.String }
) {
  override get message(): string {
    return `cannot repair ${this.file}: ${this.problem}. It is as it was`
  }
}

/** How many processes a message names. */
const namedMax = 5

const nameAll = (processes: ReadonlyArray<Process>): string => {
  const named = processes.slice(0, namedMax).map(({ command, pid }) => `${pid} (${command})`).join(", ")
  return processes.length > namedMax ? `${named} and ${processes.length - namedMax} more` : named
}

/**
 * Other processes have the file open for writing. What they append to the old file while it is replaced would be lost
 * if they do not notice; writers of this library do, others may not. The file is as it was.
 *
 * @category reasons
 * @since 0.1.0
 */
export class OpenForWriting extends Schema.TaggedError<OpenForWriting>("effect-auditlog/RepairReport/OpenForWriting")(
  "OpenForWriting",
  { file: Schema.String, writers: Schema.Array(Process) }
) {
  override get message(): string {
    return `${this.file} is open for writing in ${nameAll(this.writers)}. It is as it was; stop them and repair ` +
      `again. If all of them follow a rename, as writers of this library do, "force" repairs under them`
  }
}

/**
 * It cannot be found out whether other processes have the file open for writing. The file is as it was.
 *
 * @category reasons
 * @since 0.1.0
 */
export class WritersUnknown extends Schema.TaggedError<WritersUnknown>("effect-auditlog/RepairReport/WritersUnknown")(
  "WritersUnknown",
  { file: Schema.String, problem: Schema.String, unseen: Schema.Array(Process) }
) {
  override get message(): string {
    const unseen = this.unseen.length === 0 ? "" : `: ${nameAll(this.unseen)}`
    return `whether another process writes ${this.file} cannot be found out: ${this.problem}${unseen}. It is as it ` +
      `was; repair as a user who may look into them (root, with CAP_SYS_PTRACE), or use "force" when you know that ` +
      `no program writes it`
  }
}

/**
 * The file changed while it was repaired. What stands under its name is what the other program left there.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Changed extends Schema.TaggedError<Changed>("effect-auditlog/RepairReport/Changed")(
  "Changed",
  { file: Schema.String, problem: Schema.String }
) {
  override get message(): string {
    return `${this.file} changed while it was repaired: ${this.problem}. Nothing was replaced; stop the program that ` +
      `changes it and repair again`
  }
}

/**
 * The repair could not be finished: no room, an I/O error, a quarantine that cannot be written, or a copy that did not
 * read back as it should. `replaced` says whether the clean copy has already taken the place of the file.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unfinished extends Schema.TaggedError<Unfinished>("effect-auditlog/RepairReport/Unfinished")(
  "Unfinished",
  {
    file: Schema.String,
    problem: Schema.String,
    replaced: Schema.Boolean,
    cause: Schema.optionalKey(Schema.Defect())
  }
) {
  override get message(): string {
    const standing = this.replaced
      ? "The clean copy is in its place, and the damaged bytes are in the quarantine"
      : "The file is as it was"
    return `the repair of ${this.file} could not be finished: ${this.problem}. ${standing}; remove the cause and ` +
      `repair again, which goes on where this ended`
  }
}

/**
 * Why a file was not repaired.
 *
 * @category reasons
 * @since 0.1.0
 */
export const RepairErrorReason = Schema.Union([Unsuitable, OpenForWriting, WritersUnknown, Changed, Unfinished])

/**
 * The type of {@link RepairErrorReason}.
 *
 * @category reasons
 * @since 0.1.0
 */
export type RepairErrorReason = typeof RepairErrorReason.Type

/**
 * What a repair did with the files of a log, oldest first.
 *
 * **Details**
 *
 * `skipped` are segments that are no plain files of lines, with the reason. `notes` are what a person should know
 * besides. The quarantine exists only if something was ever moved into it.
 *
 * @category models
 * @since 0.1.0
 */
export const Report = Schema.Struct({
  quarantine: Schema.String,
  files: Schema.Array(FileReport),
  failures: Schema.Array(RepairErrorReason),
  skipped: Schema.Array(Schema.Struct({ file: Schema.String, problem: Schema.String })),
  notes: Schema.Array(Schema.String)
})

/**
 * The type of {@link Report}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report extends Schema.Schema.Type<typeof Report> {}

/**
 * One file of a log, or more, could not be repaired. `reason` is that of the first; `report` says what became of the
 * others.
 *
 * @category errors
 * @since 0.1.0
 */
export class RepairError extends Schema.TaggedError<RepairError>("effect-auditlog/RepairError")("RepairError", {
  reason: RepairErrorReason,
  report: Report
}) {
  override get message(): string {
    return this.report.failures.map(({ message }) => message).join("; ")
  }
}
