/** Rewrites an append to a call of the primitive, where that changes nothing else; says why not elsewhere. */
import type { AnalysisOptions } from "../Language.ts"
import type { Fix, NoFix, Site } from "../Site.ts"
import type { Append } from "./shellAppends.ts"
import { isKnown, shapeOfLine } from "./shellShape.ts"
import { field, type Node, redirectsOf, type Script, textOf } from "./shellTree.ts"

const refuse = (reason: string): NoFix => ({ _tag: "NoFix", reason })

/** The command that takes records on its standard input and the file as its argument. */
const primitiveOf = (options: AnalysisOptions): string | undefined =>
  options.primitives.find((primitive) => primitive.language === "shell")?.name

/** `… | tee -a file > /dev/null`: the words of tee are replaced. */
const teeFix = (script: Script, append: Append, name: string): Fix | NoFix => {
  const { command, statement } = append
  const parent = command?.parent
  const quiet = statement.type === "redirected_statement" ? statement : parent
  const sinks = quiet === undefined ? [] : redirectsOf(script, quiet)
  const only = sinks.length === 1 ? sinks[0] : undefined
  const isQuiet = only !== undefined && only.operator === ">" && only.descriptor === undefined &&
    only.destination !== undefined && textOf(script, only.destination) === "/dev/null"
  if (command === undefined || only === undefined || !isQuiet || only.node.start < command.end) {
    return refuse("tee also prints the record")
  }
  const words = command.children.filter((child) => child.field === "argument")
  if (words.length !== 2) return refuse("tee has more options or files, or runs through another command")
  const file = textOf(script, append.destination)
  return { _tag: "Fix", edits: [{ span: { start: command.start, end: only.node.end }, text: `${name} ${file}` }] }
}

const hasCompound = (node: Node): boolean => node.type !== "command" && node.type !== "pipeline"

/** Whether someone looks at the result of a command that can fail; in a pipeline it counts only with pipefail. */
const hidesFailure = (script: Script, command: Node, statement: Node): boolean => {
  if (command.type === "pipeline" || /^(?:echo|printf)\b/.test(textOf(script, command))) return false
  if (/\bpipefail\b/.test(script.text)) return false
  return /\bset\s+-\w*e|\berrexit\b/.test(script.text) || statement.field === "condition" ||
    statement.parent?.type === "list" || field(statement, "body")?.type === "list"
}

export const fixOf = (
  script: Script,
  append: Append,
  site: Omit<Site, "fix">,
  options: AnalysisOptions
): Fix | NoFix => {
  const name = primitiveOf(options)
  const { command, redirect, statement } = append
  if (site.payload === "multiLineRecord") {
    return refuse("the record takes several lines; make it one line first (jq -c)")
  }
  if (site.payload !== "record") return refuse("what is appended is not known to be one JSON record a line")
  if (name === undefined) return refuse("no primitive is configured for shell")
  if (site.writesPerRecord > 1) return refuse("the record is written in several pieces")
  if (site.life !== "once") return refuse("the file stays open for several records")
  if (site.transaction !== undefined) return refuse("it stands in a SQL transaction")
  const output = append.parts.join("")
  if (!isKnown(textOf(script, statement))) return refuse("it stands in a string of another script")
  if (site.growth !== "append") return refuse("the whole file is written again")
  if (!output.endsWith("\n")) return refuse("the line break is written elsewhere")
  if (output.trimStart().startsWith("[")) return refuse("the record is a JSON array, not an object")
  if (!output.trim().split("\n").every((line) => shapeOfLine(line) === "record")) {
    return refuse("that it is JSON shows only in the names")
  }
  if (append.call !== ">>") return teeFix(script, append, name)
  if (command === undefined || redirect === undefined || hasCompound(command)) {
    return refuse("the redirection belongs to a group of commands")
  }
  if (hidesFailure(script, command, statement)) {
    return refuse("without pipefail a failure of the command before the pipe would go unnoticed")
  }
  const body = field(statement, "body")
  if (body?.type === "negated_command") return refuse("the result of the append is negated")
  if (statement.children.some((child) => child.type === "heredoc_redirect")) {
    return refuse("the record stands in a heredoc")
  }
  if (redirectsOf(script, statement).length !== 1 || redirect.parent !== statement) {
    return refuse("the command has other redirections")
  }
  if (redirect.start < command.end) return refuse("the redirection stands before the command")
  if (!textOf(script, redirect).startsWith(">>")) return refuse("the redirection also takes the error output")
  if (statement.parent?.type === "pipeline" && statement.parent.children.at(-1) !== statement) {
    return refuse("the command is followed by a pipe")
  }
  const file = textOf(script, append.destination)
  return { _tag: "Fix", edits: [{ span: { start: redirect.start, end: redirect.end }, text: `| ${name} ${file}` }] }
}
