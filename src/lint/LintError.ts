/**
 * Why the lint could not run: the user's to put right, so that its message says where and how.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The lint could not run. `problems` are whole sentences for people.
 *
 * @category errors
 * @since 0.1.0
 */
export class LintError extends Schema.TaggedError<LintError>()("LintError", {
  problems: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return this.problems.join("\n")
  }
}
