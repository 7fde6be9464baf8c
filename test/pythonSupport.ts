/**
 * Runs the Python front-end on a text.
 */
import { parse } from "../src/lint/internal/grammars.ts"
import type { Analysis, Primitive } from "../src/lint/Language.ts"
import { python } from "../src/lint/languages/python.ts"
import type { Fix, Site } from "../src/lint/Site.ts"

export interface Options {
  readonly primitives?: ReadonlyArray<Primitive>
  readonly helpers?: ReadonlyArray<string>
}

export const primitive: Primitive = { language: "python", name: "atomic_append_jsonl", module: "lib.audit" }

const timeLimitMillis = 5_000

export const analyse = async (text: string, { helpers = [], primitives = [] }: Options = {}): Promise<Analysis> => {
  const parsed = await parse(python.grammar("py"), text, timeLimitMillis, timeLimitMillis)
  if ("failure" in parsed) throw new Error(parsed.detail)
  try {
    return python.analyse(parsed.tree, text, { primitives, helpers })
  } finally {
    parsed.tree.delete()
  }
}

const isReported = (site: Site): boolean =>
  site.migrated === undefined && (site.payload === "record" || site.payload === "multiLineRecord")

export const reported = async (text: string, options?: Options): Promise<ReadonlyArray<Site>> =>
  python.mayAppend(text) ? (await analyse(text, options)).sites.filter(isReported) : []

/** The one site of a text. */
export const only = async (text: string, options?: Options): Promise<Site> => {
  const sites = await reported(text, options)
  const [site] = sites
  if (site === undefined || sites.length !== 1) throw new Error(`${sites.length} sites in:\n${text}`)
  return site
}

export const lineOf = (text: string, position: number): number => text.slice(0, position).split("\n").length

export const applied = (text: string, { edits }: Fix): string =>
  edits.toSorted((a, b) => b.span.start - a.span.start)
    .reduce((result, { span, text }) => result.slice(0, span.start) + text + result.slice(span.end), text)
