/**
 * A place in a log from which reading goes on exactly: nothing twice, nothing lost. It survives restarts and rotation,
 * since it names a segment by what its first line says, and not by the name it has at the moment.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * How far one segment has been read.
 *
 * **Details**
 *
 * `segment` is the hash of the segment's first line; empty before the first line of a log. Everything before `offset` is
 * done, except for the last `left` of the entries that the line before it gave: the last line of a transaction gives
 * them all. `line` is the number of the line that begins at `offset`, where it is known. `inode` only decides between
 * segments that begin with the same line.
 *
 * @category models
 * @since 0.1.0
 */
export const Position = Schema.Struct({
  segment: Schema.String,
  offset: Schema.Natural,
  line: Schema.optionalKey(Schema.Natural),
  left: Schema.optionalKey(Schema.Natural),
  inode: Schema.optionalKey(Schema.String)
})

/**
 * The type of {@link Position}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Position extends Schema.Schema.Type<typeof Position> {}

/**
 * A position in the newest segment that was read, and in those shortly before it.
 *
 * **Details**
 *
 * A writer can have a write in flight into a segment that was just renamed, so the `earlier` ones are read to their end
 * again. Encode and decode it with this schema; what is in it may grow.
 *
 * @category models
 * @since 0.1.0
 */
export const Cursor = Schema.Struct({
  ...Position.fields,
  earlier: Schema.optionalKey(Schema.Array(Position))
})

/**
 * The type of {@link Cursor}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cursor extends Schema.Schema.Type<typeof Cursor> {}

/**
 * The start of a log: its oldest segment that is still there.
 *
 * @category constants
 * @since 0.1.0
 */
export const start: Cursor = { segment: "", offset: 0 }
