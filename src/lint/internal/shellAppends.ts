/** Finds where a script opens a file for appending, and what it appends there: `>>`, `tee -a`, `exec 3>>`. */
import type { Growth, HandleLife, Span } from "../Site.ts"
import { commandName } from "./shellNames.ts"
import type { Evaluation } from "./shellOutput.ts"
import { unknownMark } from "./shellShape.ts"
import {
  closest,
  field,
  functionOf,
  heredocsOf,
  isInside,
  type Node,
  nodesOf,
  type Redirect,
  redirectsOf,
  textOf,
  wordsOf
} from "./shellTree.ts"

/**
 * One append. `parts` is what is written, a part for each command that writes; `command` is the one command that does
 * all of it, `redirect` the redirection that opens the file.
 */
export interface Append {
  readonly statement: Node
  readonly span: Span
  readonly call: string
  readonly destination: Node
  readonly parts: ReadonlyArray<string>
  readonly life: HandleLife
  readonly growth: Growth
  readonly scope: Node | undefined
  readonly command: Node | undefined
  readonly redirect: Node | undefined
  /** Whether the command passes on what it reads, byte for byte. */
  readonly isPassed: boolean
}

const loops = new Set(["while_statement", "for_statement", "c_style_for_statement"])

/** Statements of more lines than this are pointed at by their redirection. */
const linesMax = 12

/** The part of a statement that a redirection at its end belongs to: the last command of `a && b >> f`. */
const redirected = (statement: Node): Node | undefined => {
  if (statement.type === "command") return statement
  let at = field(statement, "body")
  while (at !== undefined && (at.type === "list" || at.type === "negated_command")) {
    at = at.children.findLast((child) => child.type !== "&&" && child.type !== "||" && child.type !== "comment")
  }
  return at
}

const isCat = (evaluation: Evaluation, body: Node): boolean =>
  body.type === "command" && commandName(evaluation.script, body) === "cat"

/** Whether a function stands between a node and the one around it. */
const holdsFunction = (node: Node, around: Node): boolean => {
  const definition = functionOf(node)
  return definition !== undefined && isInside(definition, around)
}

const isAppending = (redirect: Redirect): boolean => redirect.operator === ">>" || redirect.operator === "&>>"

/** The number or variable of the descriptor that a redirection like `>&3` writes to. */
const duplicated = (evaluation: Evaluation, redirect: Redirect): string | undefined =>
  redirect.operator === ">&" && redirect.destination !== undefined && (redirect.descriptor ?? "1") === "1"
    ? textOf(evaluation.script, redirect.destination).replaceAll(/["${}]/g, "")
    : undefined

/** What is written to a descriptor inside a range. */
const writesTo = (evaluation: Evaluation, descriptor: string, within: Span): ReadonlyArray<string> => {
  const parts: Array<string> = []
  for (const statement of nodesOf(evaluation.script, "redirected_statement", "command")) {
    if (!isInside(statement, within)) continue
    if (
      !redirectsOf(evaluation.script, statement).some((redirect) => duplicated(evaluation, redirect) === descriptor)
    ) continue
    const body = redirected(statement)
    if (body !== undefined && body !== statement) parts.push(...partsOf(evaluation, body, statement))
  }
  return parts
}

const partsOf = (evaluation: Evaluation, body: Node, statement: Node): ReadonlyArray<string> => {
  const input = evaluation.inputOf(statement, 0) ??
    (body.type === "command" ? evaluation.stdinOf(statement, 1) : undefined)
  return body.type === "command" || body.type === "pipeline" || body.type === "redirected_statement"
    ? [evaluation.outputOf(body, 0, input)]
    : evaluation.outputs([body])
}

const lineCount = (text: string): number => text.split("\n").length

/** The statement as a report shows it: without the lines of its heredocs. */
const spanOf = (evaluation: Evaluation, statement: Node, from: Node, redirect: Node): Span => {
  const bodies = heredocsOf(statement).flatMap((heredoc) =>
    heredoc.children.filter((child) => child.type === "heredoc_body")
  )
  const { text } = evaluation.script
  let end = Math.min(statement.end, ...bodies.map((body) => body.start))
  end = Math.max(end, redirect.end)
  while (end > redirect.end && /\s/.test(text.charAt(end - 1))) end -= 1
  const start = Math.min(from.start, redirect.start)
  const isCompound = from.type !== "command" && from.type !== "pipeline"
  return isCompound && lineCount(text.slice(start, end)) > linesMax ? { start: redirect.start, end } : { start, end }
}

const fromRedirect = (evaluation: Evaluation, statement: Node, redirect: Redirect): Append | undefined => {
  const { script } = evaluation
  const { descriptor, destination, node } = redirect
  if (destination === undefined || descriptor === "2" || descriptor === "0") return undefined
  const body = redirected(statement)
  if (body === undefined) return undefined
  const scope = functionOf(statement)
  const base = {
    statement,
    destination,
    scope,
    growth: "append" as const,
    isPassed: isCat(evaluation, body),
    redirect: node,
    span: spanOf(evaluation, statement, body, node)
  }
  if (body.type === "command" && commandName(script, body) === "exec") {
    const words = wordsOf(body)
    const named = /^\{(\w+)\}$/.exec(textOf(script, words[1] ?? { start: 0, end: 0 }))?.[1]
    const handle = descriptor ?? named
    if (handle === undefined) return undefined
    const within = scope ?? script.root
    const parts = writesTo(evaluation, handle, within)
    const all = parts.length === 0 ? writesTo(evaluation, handle, script.root) : parts
    if (all.length === 0) return undefined
    return { ...base, call: "exec >>", parts: all, life: "stored", command: undefined }
  }
  if (descriptor !== undefined && descriptor !== "1") {
    // A descriptor that nothing is written to is a lock.
    const parts = writesTo(evaluation, descriptor, body)
    return parts.length === 0 ? undefined : { ...base, call: ">>", parts, life: "once", command: undefined }
  }
  const isLoop = nodesOf(script, ...loops).some((loop) => isInside(loop, body) && !holdsFunction(loop, body))
  return {
    ...base,
    call: ">>",
    parts: partsOf(evaluation, body, statement),
    life: isLoop ? "loop" : "once",
    command: body.type === "command" || body.type === "pipeline" ? body : undefined
  }
}

const tools = new Set(["tee", "sponge"])

/** `tee -a file`: what it reads is appended. */
const fromTool = (evaluation: Evaluation, command: Node): Append | undefined => {
  const { script } = evaluation
  const words = wordsOf(command)
  const at = words.findIndex((word) => tools.has(textOf(script, word).replace(/^.*\//, "")))
  const before = words.slice(0, Math.max(at, 0))
  if (
    at < 0 || !before.every((word, index) =>
      index > 0 ||
      /^(?:sudo|command|env|doas|flock|timeout|nice|stdbuf|ssh|docker|kubectl|xargs)$/.test(textOf(script, word))
    )
  ) return undefined
  const options = words.slice(at + 1)
  const isAppend = options.some((word) => /^(?:-[a-z]*a[a-z]*|--append)$/.test(textOf(script, word)))
  const destination = options.find((word) => !textOf(script, word).startsWith("-"))
  if (!isAppend || destination === undefined) return undefined
  if (/^"?\/dev\/(?:stderr|tty|null)"?$/.test(textOf(script, destination))) return undefined
  const statement = closest(command.parent, (node) => node.type !== "pipeline" && node.type !== "redirected_statement")
  const top = closest(command, (node) => node.parent === statement) ?? command
  const whole = statement?.type === "heredoc_redirect" && statement.parent !== undefined ? statement.parent : top
  const input = evaluation.stdinOf(command, 0)
  const bodies = heredocsOf(whole).flatMap((heredoc) =>
    heredoc.children.filter((child) => child.type === "heredoc_body")
  )
  const loop = closest(command.parent, (node) => node.type === "pipeline")?.children[0]
  const end = Math.min(whole.end, ...bodies.map((body) => body.start))
  const start = loop !== undefined && loop.end - loop.start > 400 && loop.type !== "command"
    ? command.start
    : whole.start
  return {
    statement: whole,
    span: { start: Math.min(start, command.start), end: Math.max(end, command.end) },
    growth: "append",
    isPassed: true,
    call: `${textOf(script, words[at] ?? command)} -a`,
    destination,
    parts: [input ?? `${unknownMark}\n`],
    life: loop !== undefined && loops.has(loop.type) ? "loop" : "once",
    scope: functionOf(command),
    command,
    redirect: undefined
  }
}

/** `{ cat file; echo record; } > new && mv new file`: the file grows by being written again. */
const fromRewrite = (evaluation: Evaluation, move: Node): Append | undefined => {
  const { script } = evaluation
  if (commandName(script, move) !== "mv") return undefined
  const [from, to] = wordsOf(move).slice(1).filter((word) => !textOf(script, word).startsWith("-"))
  if (from === undefined || to === undefined) return undefined
  const scope = functionOf(move)
  const statement = nodesOf(script, "redirected_statement").findLast((node) =>
    node.start < move.start && functionOf(node) === scope &&
    redirectsOf(script, node).some((redirect) =>
      redirect.operator === ">" && redirect.destination !== undefined &&
      textOf(script, redirect.destination) === textOf(script, from)
    )
  )
  const body = statement === undefined ? undefined : redirected(statement)
  if (statement === undefined || body?.type !== "compound_statement" && body?.type !== "subshell") return undefined
  const [first, ...rest] = body.children
  const words = first?.type === "command" ? wordsOf(first) : []
  if (first === undefined || commandName(script, first) !== "cat" || words.length !== 2) return undefined
  if (textOf(script, words[1] ?? first) !== textOf(script, to)) return undefined
  return {
    statement,
    span: { start: statement.start, end: statement.end },
    call: "cat … > new, mv",
    destination: to,
    parts: evaluation.outputs(rest),
    life: "once",
    growth: "rewrite",
    isPassed: false,
    scope,
    command: undefined,
    redirect: undefined
  }
}

export const findAppends = (evaluation: Evaluation): ReadonlyArray<Append> => {
  const { script } = evaluation
  const found: Array<Append> = []
  for (const statement of nodesOf(script, "redirected_statement", "command")) {
    for (const redirect of redirectsOf(script, statement)) {
      if (!isAppending(redirect)) continue
      const append = fromRedirect(evaluation, statement, redirect)
      if (append !== undefined) found.push(append)
    }
    if (statement.type !== "command") continue
    const append = fromTool(evaluation, statement) ?? fromRewrite(evaluation, statement)
    if (append !== undefined) found.push(append)
  }
  return found.sort((a, b) => a.span.start - b.span.start)
}
