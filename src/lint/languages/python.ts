/**
 * Python: `open` and its relatives for appending, followed by their handles to what is written, to the end of the
 * file and one call away.
 *
 * @since 0.1.0
 */
import { encoded } from "../internal/pythonEncoder.ts"
import { fixOf } from "../internal/pythonFix.ts"
import { makeLives } from "../internal/pythonHandle.ts"
import { handleLife, payloadOf, statementSpan, writesPerRecord } from "../internal/pythonJudge.ts"
import { type Names, readNames } from "../internal/pythonNames.ts"
import { openedBy, stringsOf } from "../internal/pythonOpen.ts"
import { makeShapes } from "../internal/pythonPayload.ts"
import { primitiveCalls } from "../internal/pythonPrimitive.ts"
import { findRewrites } from "../internal/pythonRewrite.ts"
import { makeTransactions } from "../internal/pythonTransaction.ts"
import { field, keyword, positional, type PyNode, readTree, receiver, textOf } from "../internal/pythonTree.ts"
import { makeUses } from "../internal/pythonUses.ts"
import type { Language } from "../Language.ts"
import type { Site } from "../Site.ts"

/** A mode with `a`, a flag, a library, or the two halves of a rewrite. */
const append = /["'](?:a[bt]?\+?[bt]?|[bt+]{1,2}a\+?|r[bt]?\+[bt]?)["']|\bO_APPEND\b|\bjsonlines\b|\bwrite_jsonl\b/
const halves = [/\bdumps\b/, /\bwrite(?:_text|_bytes|lines)?\(/, /\.read(?:_text|_bytes|lines)?\(/]

const nothing = { _tag: "NoFix", reason: "the call appends already through a primitive" } as const

/**
 * The front-end for Python.
 *
 * @category languages
 * @since 0.1.0
 */
export const python: Language = {
  name: "python",
  extensions: ["py", "pyi", "pyw"],
  interpreters: ["python", "python2", "python3", "pypy", "pypy3", "uv"],
  mayAppend: (text) => append.test(text) || halves.every((half) => half.test(text)),
  grammar: () => "tree-sitter-python.wasm",
  analyse: (syntax, text, options) => {
    const tree = readTree(syntax, text)
    const names = readNames(tree)
    const uses = makeUses(names)
    const shapes = makeShapes(names)
    const transaction = makeTransactions(names)
    const lifeOf = makeLives(names, uses, shapes)
    const sites: Array<Site> = []
    const target = (node: PyNode | undefined): Pick<Site, "target" | "path"> => {
      const strings = stringsOf(names, node)
      return { target: textOf(tree, node), path: strings.length === 1 ? strings[0] : undefined }
    }
    const fixed = { language: "python", payload: "record", writesPerRecord: 1, life: "once", synced: false } as const
    const spanOf = ({ end, start }: PyNode): Site["span"] => ({ start, end })

    for (const [name, calls] of names.calls) {
      if (!opener.test(name)) continue
      for (const call of calls) {
        const opened = openedBy(names, call)
        if (opened === undefined) continue
        const life = lifeOf(opened)
        if (opened.mode === "update" && (!life.seeksEnd || life.writes.length === 0)) continue
        const payload = payloadOf(names, opened, life)
        const facts = {
          payload,
          life: handleLife(life),
          growth: opened.mode === "update" ? "seek" : opened.growth,
          transaction: firstOf([call, ...life.writes.map(({ node }) => node)], transaction)
        } as const
        sites.push({
          ...fixed,
          ...facts,
          ...target(opened.target),
          span: spanOf(call),
          statement: statementSpan(call),
          call: opened.label,
          writesPerRecord: writesPerRecord(life),
          synced: life.synced,
          fix: fixOf(names, uses, options, opened, life, facts)
        })
      }
    }
    for (const { call, label, path } of frameCalls(names)) {
      sites.push({
        ...fixed,
        ...target(path),
        growth: "append",
        span: spanOf(call),
        statement: statementSpan(call),
        call: label,
        life: "loop",
        transaction: transaction(call),
        fix: { _tag: "NoFix", reason: `${label} writes many records` }
      })
    }
    for (const { call, label, target: path } of findRewrites(names, shapes)) {
      sites.push({
        ...fixed,
        ...target(path),
        growth: "rewrite",
        span: spanOf(call),
        statement: statementSpan(call),
        call: label,
        transaction: transaction(call),
        fix: { _tag: "NoFix", reason: "the file is rewritten, not appended to" }
      })
    }
    for (const { call, name } of primitiveCalls(names, options)) {
      sites.push({
        ...fixed,
        ...target(positional(call)[0]),
        growth: "append",
        span: spanOf(call),
        statement: statementSpan(call),
        call: `${textOf(tree, field(call, "function"))}(…)`,
        migrated: name,
        fix: nothing
      })
    }
    sites.sort((a, b) => a.span.start - b.span.start || a.span.end - b.span.end)
    return { sites, comments: tree.comments, embedded: [], unparsed: tree.unparsed }
  }
}

const opener = /open|^(GFile|AIOFile|FileIO|BlobFile|GzipFile|BZ2File|LZMAFile)$/i

const firstOf = <A, B>(values: ReadonlyArray<A>, f: (value: A) => B | undefined): B | undefined => {
  for (const value of values) {
    const found = f(value)
    if (found !== undefined) return found
  }
  return undefined
}

/** `frame.to_json(path, orient="records", lines=True, mode="a")`, `srsly.write_jsonl(path, rows, append=True)`. */
const frameCalls = (
  names: Names
): ReadonlyArray<{ readonly call: PyNode; readonly label: string; readonly path: PyNode | undefined }> => {
  const { tree } = names
  const frames = (names.calls.get("to_json") ?? []).filter((call) =>
    stringsOf(names, keyword(tree, call, "mode")).some((mode) => mode.startsWith("a")) &&
    textOf(tree, keyword(tree, call, "lines")) !== "False" && receiver(call) !== undefined
  )
  const libraries = ["write_jsonl", "write_gzip_jsonl"].flatMap((name) => names.calls.get(name) ?? []).filter((call) =>
    names.fullName(field(call, "function")).startsWith("srsly.") &&
    textOf(tree, keyword(tree, call, "append")) === "True"
  )
  return [
    ...frames.map((call) => ({ call, label: "to_json(…, mode=\"a\")", path: positional(call)[0] })),
    ...libraries.map((call) => ({ call, label: "srsly.write_jsonl(…, append=True)", path: positional(call)[0] }))
  ].filter(({ call }) => encoded(names, call) !== undefined || libraries.includes(call))
}
