/**
 * The report as JSON, as `schema/lint-report.schema.json` describes it.
 *
 * @since 0.1.0
 */
import type { Reporter } from "../Reporter.ts"

/**
 * Prints the report as JSON.
 *
 * @category reporters
 * @since 0.1.0
 */
export const report: Reporter = (run) => `${JSON.stringify(run.report, null, 2)}\n`
