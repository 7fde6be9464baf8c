/**
 * Lays code out that stands in a shell string or heredoc: the same length as in the file, without the shell's quoting.
 *
 * Every token keeps its place. An expansion becomes a word of its length. An escape is shorter than its source; inside a
 * string of the embedded language what is saved is put after the string, because a blank in it would be another string.
 */
import { type Piece, unitAt } from "./shellQuoting.ts"
import { payloadOf, prettyMark, recordMark, unknownMark } from "./shellShape.ts"
import { type Node, type Script, textOf } from "./shellTree.ts"

type Code = "python" | "javascript" | "shell"

/** Follows whether the text so far ends in a string or a comment of the embedded language. */
class Quotes {
  private readonly language: Code
  private open = ""
  private last = ""

  constructor(language: Code) {
    this.language = language
  }

  get isInside(): boolean {
    return this.open !== ""
  }

  get isSingle(): boolean {
    return this.open === "'"
  }

  get isString(): boolean {
    return this.open !== "" && this.open !== "comment"
  }

  /** Takes one character of the code. */
  next(char: string): void {
    const { language, open } = this
    if (open === "comment") {
      if (char === "\n") this.open = ""
    } else if (open === "") {
      if (char === "#" && language !== "javascript" && /^$|[\s;(]/.test(this.last.slice(-1))) this.open = "comment"
      else if (char === "/" && language === "javascript" && this.last.endsWith("/")) this.open = "comment"
      else if (char === "\"" || char === "'" || char === "`" && language === "javascript") this.open = char
    } else if (this.last.endsWith("\\") && !(language === "shell" && open === "'")) {
      this.last = ""
      return
    } else if (open.length === 3) {
      if ((this.last + char).endsWith(open)) this.open = ""
    } else if (char === open) {
      this.open = ""
    } else if (char === "\n" && language !== "shell" && open !== "`") this.open = ""
    this.last = this.last.endsWith("\\") && char === "\\" ? "" : (this.last + char).slice(-2)
  }

  /** Opens a string of three quotes if the code goes on with them. */
  triple(char: string, ahead: string): boolean {
    if (this.language !== "python" || this.open !== "" || char !== "\"" && char !== "'") return false
    if (ahead !== char + char) return false
    this.open = char.repeat(3)
    this.last = ""
    return true
  }
}

/** What an expansion stands for, as a text with marks. */
export type ValueOf = (expansion: Node) => string

/**
 * One unit of the code: what it is, and how many characters of the file it takes. `single` is what it is between the
 * embedded code's single quotes, where an expansion of the outer shell takes place all the same.
 */
interface Unit {
  readonly value: string
  readonly single?: string
  readonly length: number
}

/** An expansion in code for another shell: what it stands for if that is a record, and else itself. */
const shellUnit = (source: string, value: string): Unit => {
  const payload = payloadOf(value, { isRecordFile: false })
  const { length } = source
  if (payload === "record") return { value: recordMark.repeat(length), length }
  if (payload === "multiLineRecord") return { value: prettyMark.repeat(length), length }
  return { value: source, single: unknownMark.repeat(length), length }
}

const unitsOf = (
  script: Script,
  language: Code,
  pieces: ReadonlyArray<Piece>,
  valueOf: ValueOf
): ReadonlyArray<Unit> => {
  const units: Array<Unit> = []
  for (const piece of pieces) {
    if (piece._tag === "Quote") units.push({ value: "", length: piece.span.end - piece.span.start })
    else if (piece._tag === "Expansion") {
      const source = textOf(script, piece.node)
      units.push(
        language === "shell"
          ? shellUnit(source, valueOf(piece.node))
          : { value: "x".repeat(source.length), length: source.length }
      )
    } else {
      const text = textOf(script, piece.span)
      for (let index = 0; index < text.length;) {
        const unit = unitAt(text, index, piece.quoting)
        units.push(unit)
        index += unit.length
      }
    }
  }
  return units
}

/** The code of some pieces of a word or heredoc. `stripsTabs` as for `<<-`. */
export const layOut = (
  script: Script,
  language: Code,
  pieces: ReadonlyArray<Piece>,
  stripsTabs: boolean,
  valueOf: ValueOf
): string => {
  if (!stripsTabs && pieces.every((piece) => piece._tag === "Literal" && piece.quoting === "raw")) {
    return pieces.map((piece) => piece._tag === "Literal" ? textOf(script, piece.span) : "").join("")
  }
  const units = unitsOf(script, language, pieces, valueOf)
  const quotes = new Quotes(language)
  let laid = ""
  let slack = 0
  let skip = 0
  for (let index = 0; index < units.length; index++) {
    const unit = units[index]
    if (unit === undefined) continue
    const extra = unit.length - unit.value.length
    if (unit.value.length === 1 && unit.value !== "\n") {
      // What is saved before a quote stays inside the string, because `f "…"` is not `f"…"`.
      if (quotes.isInside || /["'`]/.test(unit.value)) slack += extra
      else laid += " ".repeat(extra)
      if (skip > 0) skip -= 1
      else if (quotes.triple(unit.value, (units[index + 1]?.value ?? "") + (units[index + 2]?.value ?? ""))) skip = 2
      else quotes.next(unit.value)
      laid += unit.value
      if (!quotes.isInside) {
        laid += " ".repeat(slack)
        slack = 0
      }
    } else if (unit.value === "\n") {
      quotes.next("\n")
      // The tabs that the shell takes away go before the line break, so that the code starts its line.
      let tabs = 0
      if (stripsTabs) {
        while (units[index + 1]?.value === "\t") {
          tabs += 1
          index += 1
        }
      }
      laid += `${" ".repeat(slack + tabs + extra)}\n`
      slack = 0
    } else {
      slack += extra
      laid += quotes.isSingle ? unit.single ?? unit.value : unit.value
      for (const char of unit.value) {
        if (!quotes.isString || language !== "shell") quotes.next(char === "\n" ? " " : char)
      }
      if (!quotes.isString) {
        laid += " ".repeat(slack)
        slack = 0
      }
    }
  }
  return laid + " ".repeat(slack)
}
