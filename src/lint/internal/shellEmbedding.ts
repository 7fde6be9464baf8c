/** Finds the Python, JavaScript and shell code that stands in the strings and heredocs of a script. */
import type { Embedded } from "../Language.ts"
import { layOut, type ValueOf } from "./shellFiller.ts"
import { type Interpreter, interpreterOf, sourceOf } from "./shellInterpreter.ts"
import { commandName, type Names } from "./shellNames.ts"
import type { Evaluation } from "./shellOutput.ts"
import { piecesOf } from "./shellQuoting.ts"
import { field, heredocsOf, type Node, nodesOf, type Script, stagesOf, wordsOf } from "./shellTree.ts"

interface Context {
  readonly script: Script
  readonly names: Names
  readonly valueOf: ValueOf
}

/** The shortest code that can append a record. */
const codeMin = 12

const embed = ({ script, valueOf }: Context, language: Interpreter["language"], node: Node): Embedded | undefined => {
  const pieces = piecesOf(script, node)
  const code = pieces.filter((piece) => piece._tag !== "Quote")
  if (code.every((piece) => piece._tag === "Expansion")) return undefined
  const inner = pieces.slice(
    pieces[0]?._tag === "Quote" ? 1 : 0,
    pieces.at(-1)?._tag === "Quote" ? -1 : undefined
  )
  const first = inner[0]
  if (first === undefined) return undefined
  const start = first._tag === "Expansion" ? first.node.start : first.span.start
  const stripsTabs = node.type === "heredoc_body" &&
    node.parent?.children.some((child) => child.type === "<<-") === true
  const text = layOut(script, language, inner, stripsTabs, valueOf)
  const tabs = stripsTabs ? /^\t+/.exec(text)?.[0].length ?? 0 : 0
  return text.length < codeMin ? undefined : { language, start: start + tabs, text: text.slice(tabs) }
}

/** The command whose standard input a heredoc is: the command itself, or the next one if the first only passes it on. */
const readersOf = (statement: Node): ReadonlyArray<Node> => {
  const stages = statement.parent?.type === "pipeline" && statement.parent.parent?.type !== "heredoc_redirect"
    ? stagesOf(statement.parent)
    : stagesOf(statement)
  const from = stages.indexOf(statement)
  return stages.slice(Math.max(from, 0)).map((stage) => {
    let at: Node | undefined = stage
    while (at !== undefined && at.type !== "command") {
      const body: Node | undefined = field(at, "body")
      at = body ??
        (at.type === "list" || at.type === "pipeline" || at.type === "negated_command" ? at.children.at(-1) : undefined)
    }
    return at
  }).filter((command) => command !== undefined)
}

/** Code that a command gets on its standard input. */
const fromInput = (context: Context, statement: Node, body: Node): Embedded | undefined => {
  const { names, script } = context
  const readers = readersOf(statement)
  const first = readers[0]
  if (first === undefined) return undefined
  const name = commandName(script, first)
  const passes = name === "cat" && wordsOf(first).length === 1 || name === "sed" || name === "envsubst"
  const reader = passes ? readers[1] : first
  const found = reader === undefined ? undefined : interpreterOf(script, names, reader)
  return found === undefined || found.source !== undefined ? undefined : embed(context, found.language, body)
}

/** `printf '%s' 'code' | python3`, `echo "code" | bash`. */
const fromPipe = (context: Context, pipeline: Node): Embedded | undefined => {
  const { names, script } = context
  const [first, second] = stagesOf(pipeline)
  if (first?.type !== "command" || second === undefined) return undefined
  const name = commandName(script, first)
  const command = second.type === "command" ? second : field(second, "body")
  if (name !== "echo" && name !== "printf" || command?.type !== "command") return undefined
  const found = interpreterOf(script, names, command)
  const last = wordsOf(first).at(-1)
  const code = last === undefined ? undefined : sourceOf(script, names, last)
  return found === undefined || found.source !== undefined || code === undefined
    ? undefined
    : embed(context, found.language, code)
}

export const findEmbedded = (evaluation: Evaluation): ReadonlyArray<Embedded> => {
  const { names, script } = evaluation
  const context: Context = { names, script, valueOf: (node) => evaluation.valueOf(node, 2) }
  const found = new Map<number, Embedded>()
  const add = (code: Embedded | undefined): void => {
    if (code !== undefined && !found.has(code.start)) found.set(code.start, code)
  }
  for (const command of nodesOf(script, "command")) {
    const interpreter = interpreterOf(script, names, command)
    if (interpreter?.source !== undefined) add(embed(context, interpreter.language, interpreter.source))
    const herestring = command.children.find((child) => child.type === "herestring_redirect")?.children.at(-1)
    if (herestring !== undefined && interpreter !== undefined && interpreter.source === undefined) {
      add(embed(context, interpreter.language, herestring))
    }
  }
  for (const statement of nodesOf(script, "redirected_statement")) {
    for (const redirect of heredocsOf(statement)) {
      const body = redirect.children.find((child) => child.type === "heredoc_body")
      if (body !== undefined) add(fromInput(context, statement, body))
    }
  }
  for (const pipeline of nodesOf(script, "pipeline")) add(fromPipe(context, pipeline))
  return [...found.values()].sort((a, b) => a.start - b.start)
}
