/** The quoting rules of the shell: which characters of a word are literal, and what they stand for. */
import type { Span } from "../Site.ts"
import { field, type Node, type Script, textOf } from "./shellTree.ts"

/** How a stretch of source text is quoted. */
export type Quoting = "bare" | "double" | "heredoc" | "raw" | "ansi"

/** A stretch of a word: literal source text and how to read it, or an expansion. */
export type Piece =
  | { readonly _tag: "Literal"; readonly span: Span; readonly quoting: Quoting }
  | { readonly _tag: "Quote"; readonly span: Span }
  | { readonly _tag: "Expansion"; readonly node: Node }

const expansions = new Set([
  "simple_expansion",
  "expansion",
  "command_substitution",
  "arithmetic_expansion",
  "process_substitution",
  "brace_expression"
])

const isExpansion = (node: Node): boolean => expansions.has(node.type)

const literal = (start: number, end: number, quoting: Quoting): ReadonlyArray<Piece> =>
  end > start ? [{ _tag: "Literal", span: { start, end }, quoting }] : []

const quote = (start: number, end: number): ReadonlyArray<Piece> =>
  end > start ? [{ _tag: "Quote", span: { start, end } }] : []

/** The text between the expansions of a node is literal, whether the grammar has a node for it or not. */
const between = (node: Node, start: number, end: number, quoting: Quoting): ReadonlyArray<Piece> => {
  const pieces: Array<Piece> = []
  let from = start
  for (const child of node.children) {
    if (!isExpansion(child) || child.start < from || child.end > end) continue
    pieces.push(...literal(from, child.start, quoting), { _tag: "Expansion", node: child })
    from = child.end
  }
  return [...pieces, ...literal(from, end, quoting)]
}

/** Whether a heredoc's body is taken as it is: its end mark is quoted at the start. */
const isRawHeredoc = (script: Script, redirect: Node): boolean => {
  const start = redirect.children.find((child) => child.type === "heredoc_start")
  return start !== undefined && /['"\\]/.test(textOf(script, start))
}

/** The range of a heredoc's text, without the tabs before its end mark. */
const bodySpan = (script: Script, body: Node): Span => {
  const text = textOf(script, body)
  return { start: body.start, end: body.start + text.replace(/(^|\n)[ \t]+$/, "$1").length }
}

/** A word, a string or a heredoc's body in its stretches, in order and without gaps. */
export const piecesOf = (script: Script, node: Node): ReadonlyArray<Piece> => {
  const { text } = script
  switch (node.type) {
    case "string": {
      const open = text.charAt(node.start) === "$" ? 2 : 1
      const close = text.charAt(node.end - 1) === "\"" && node.end - node.start > open ? 1 : 0
      return [
        ...quote(node.start, node.start + open),
        ...between(node, node.start + open, node.end - close, "double"),
        ...quote(node.end - close, node.end)
      ]
    }
    case "translated_string":
      return node.children.flatMap((child) => piecesOf(script, child))
    case "raw_string":
      return [
        ...quote(node.start, node.start + 1),
        ...literal(node.start + 1, node.end - 1, "raw"),
        ...quote(node.end - 1, node.end)
      ]
    case "ansi_c_string":
      return [
        ...quote(node.start, node.start + 2),
        ...literal(node.start + 2, node.end - 1, "ansi"),
        ...quote(node.end - 1, node.end)
      ]
    case "concatenation": {
      const pieces: Array<Piece> = []
      let from = node.start
      for (const child of node.children) {
        pieces.push(...literal(from, child.start, "bare"), ...piecesOf(script, child))
        from = child.end
      }
      return [...pieces, ...literal(from, node.end, "bare")]
    }
    case "heredoc_body": {
      const redirect = node.parent
      const { start, end } = bodySpan(script, node)
      return redirect !== undefined && isRawHeredoc(script, redirect)
        ? literal(start, end, "raw")
        : between(node, start, end, "heredoc")
    }
    case "command_name": {
      const word = node.children[0]
      return word === undefined ? literal(node.start, node.end, "bare") : piecesOf(script, word)
    }
    default:
      return isExpansion(node) ? [{ _tag: "Expansion", node }] : literal(node.start, node.end, "bare")
  }
}

const ansiEscapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", "0": "\0", e: "\u001b", a: "\u0007" }

/** One unit of literal text: how many characters of source, and what they stand for. */
export const unitAt = (
  text: string,
  index: number,
  quoting: Quoting
): { readonly length: number; readonly value: string } => {
  const char = text.charAt(index)
  if (char !== "\\" || quoting === "raw" || index + 1 >= text.length) return { length: 1, value: char }
  const next = text.charAt(index + 1)
  if (quoting === "ansi") return { length: 2, value: ansiEscapes[next] ?? next }
  if (next === "\n") return { length: 2, value: "" }
  if (quoting === "bare") return { length: 2, value: next }
  const special = quoting === "double" ? "$`\"\\" : "$`\\"
  return special.includes(next) ? { length: 2, value: next } : { length: 1, value: char }
}

/** What a stretch of literal text stands for. */
export const unquote = (script: Script, piece: { readonly span: Span; readonly quoting: Quoting }): string => {
  const text = textOf(script, piece.span)
  if (!text.includes("\\")) return text
  let value = ""
  for (let index = 0; index < text.length;) {
    const unit = unitAt(text, index, piece.quoting)
    value += unit.value
    index += unit.length
  }
  return value
}

/** Escapes in a format of printf, and in a text that `echo -e` prints. */
export const unescapePrint = (text: string): string =>
  text.replaceAll(/\\([\\abefnrtv"'/]|x[0-9a-fA-F]{1,2}|0?[0-7]{1,3})/g, (_, escape: string) => {
    if (/^[x0-7]/.test(escape)) return escape === "x22" || escape === "042" ? "\"" : "x"
    return ansiEscapes[escape] ?? escape
  })

/** The name of the variable that an expansion reads, and the operator and word that follow it. */
export interface Reading {
  readonly name: string
  readonly operator: string
  readonly operand: Node | undefined
  readonly isList: boolean
}

export const readingOf = (script: Script, expansion: Node): Reading | undefined => {
  const text = textOf(script, expansion)
  if (expansion.type === "simple_expansion") {
    return { name: text.slice(1), operator: "", operand: undefined, isList: text === "$@" }
  }
  const match = /^\$\{([#!]?)([A-Za-z_]\w*|\d+|[@*#?!$-])(\[[^\]]*\])?(:?[-+=?]|:|##?|%%?|\/\/?|\^\^?|,,?|@)?/.exec(
    text
  )
  if (match === null) return undefined
  const operator = match[1] === "#" ? "length" : match[1] === "!" ? "indirect" : match[4] ?? ""
  const operand = expansion.children.findLast((child) => child.type !== "variable_name" && child.type !== "subscript")
  return {
    name: match[2] ?? "",
    operator,
    operand: operand !== undefined && operand.field === undefined ? operand : field(expansion, "argument") ?? operand,
    isList: match[3] === "[@]" || match[2] === "@"
  }
}
