/**
 * The programs that tests start again and again, to be killed: bundled before the tests, since from the sources most of
 * their lives would be the loading of modules.
 */
import * as Path from "node:path"

/** What is bundled, of `test/children`. */
export const bundled = ["outboxRelay", "outboxWriter", "persistent", "shipper", "writer"] as const

/** Where the bundles are: below `node_modules`, so that they find what they leave out. */
export const directory = Path.resolve(import.meta.dirname, "../node_modules/.cache/effect-auditlog/children")

/** The path of a bundled program. */
export const childProgram = (name: (typeof bundled)[number]): string => Path.join(directory, `${name}.mjs`)
