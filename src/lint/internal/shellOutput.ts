/**
 * What words of a script stand for and what its commands print, as far as the script shows it: the payload is followed
 * from the redirection back to the jq call, the format or the string it comes from.
 */
import { interpreterOf } from "./shellInterpreter.ts"
import { type Binding, bindingsAt, commandName, type Names } from "./shellNames.ts"
import { copied, inlineOutput, jqOutput, passing, plain, printFormat, silent } from "./shellPrograms.ts"
import { piecesOf, type Reading, readingOf, unescapePrint, unquote } from "./shellQuoting.ts"
import { copyMark, cut, isKnown, looseMark, prettyMark, rank, recordMark, textMark, unknownMark } from "./shellShape.ts"
import {
  closest,
  field,
  functionOf,
  heredocsOf,
  type Node,
  nodesOf,
  redirectsOf,
  type Script,
  stagesOf,
  textOf,
  wordsOf
} from "./shellTree.ts"

/** How far values are followed: through variables, substitutions and functions together. */
const depthMax = 8

/** How many words and commands are evaluated in one file before everything else counts as unknown. */
const stepsMax = 50_000

/** Variables of the shell and the environment that hold words, never records. */
const wordVariables =
  /^(?:\d{2,}|[#?$!_-]|RANDOM|SECONDS|LINENO|PWD|OLDPWD|HOSTNAME|EPOCH\w*|HOME|USER|UID|PPID|BASHPID|SHELL|BASH_\w+)$/

const containers = new Set([
  "compound_statement",
  "subshell",
  "if_statement",
  "elif_clause",
  "else_clause",
  "while_statement",
  "for_statement",
  "c_style_for_statement",
  "case_statement",
  "case_item",
  "do_group",
  "list",
  "negated_command",
  "program"
])

export class Evaluation {
  readonly script: Script
  readonly names: Names
  private steps = 0

  constructor(script: Script, names: Names) {
    this.script = script
    this.names = names
  }

  /** The value of a word, string or heredoc body. */
  valueOf(node: Node, depth = 0): string {
    if (depth > depthMax || ++this.steps > stepsMax) return unknownMark
    if (node.type === "array") return node.children.map((child) => this.valueOf(child, depth + 1)).join(" ")
    let value = ""
    for (const piece of piecesOf(this.script, node)) {
      if (piece._tag === "Literal") value += unquote(this.script, piece)
      else if (piece._tag === "Expansion") value += this.expansion(piece.node, depth + 1)
    }
    if (node.type === "heredoc_body" && node.parent?.children.some((child) => child.type === "<<-") === true) {
      value = value.replaceAll(/^\t+/gm, "")
    }
    return cut(value)
  }

  private expansion(node: Node, depth: number): string {
    if (node.type === "arithmetic_expansion" || node.type === "brace_expression") return textMark
    if (node.type === "process_substitution") return textMark
    if (node.type === "command_substitution") {
      const only = node.children[0]
      if (node.children.length === 1 && only?.type === "file_redirect") return copyMark
      return this.outputs(node.children, depth).join("").replace(/\n+$/, "")
    }
    const reading = readingOf(this.script, node)
    return reading === undefined ? unknownMark : this.reading(reading, node, depth)
  }

  private reading(reading: Reading, node: Node, depth: number): string {
    const { name, operand, operator } = reading
    if (operator === "length") return textMark
    const value = operator === "indirect" ? undefined : this.variable(name, node, depth)
    if (/^:?[-=]$/.test(operator)) {
      if (value !== undefined && rank(value) !== 2) return value
      return operand === undefined ? value ?? unknownMark : this.preferred([this.valueOf(operand, depth), value])
    }
    if (value === undefined) return unknownMark
    if (operator === "" || /^:?\?$/.test(operator)) return value
    // `${x//…}` on JSON takes line breaks out of it more often than anything else.
    if (operator.startsWith("/")) {
      if (value === prettyMark || value === looseMark) return recordMark
      if (value === recordMark) return value
    }
    return rank(value) >= 2 ? unknownMark : isKnown(value) && operator !== ":" ? value : textMark
  }

  private preferred(values: ReadonlyArray<string | undefined>): string {
    let best: string | undefined
    for (const value of values) {
      if (value !== undefined && (best === undefined || rank(value) > rank(best))) best = value
    }
    return best ?? unknownMark
  }

  /** The likeliest value of a variable or parameter at a place; undefined where the script gives it none. */
  variable(name: string, at: Node, depth: number): string | undefined {
    if (depth > depthMax || ++this.steps > stepsMax) return undefined
    if (/^[1-9@*]$/.test(name)) return this.parameter(name, at, depth)
    if (wordVariables.test(name)) return textMark
    const bindings = bindingsAt(this.names, name, at)
    if (bindings.length === 0) return undefined
    const values: Array<string> = []
    let appended = ""
    for (const binding of bindings.slice(0, 12)) {
      const value = this.bound(binding, depth + 1)
      if (binding.kind === "append") appended = value + appended
      else {
        values.push(value + appended)
        appended = ""
      }
    }
    if (appended !== "") values.push(appended)
    return this.preferred(values.filter((value) => value !== "").concat(values.includes("") ? [""] : []))
  }

  private bound(binding: Binding, depth: number): string {
    const { kind, node, value } = binding
    if (kind === "printf") return this.printf(wordsOf(node).slice(3), depth)
    if (kind === "read") {
      const input = this.stdinOf(node, depth)
      if (input === undefined || input === "") return unknownMark
      if (/-\w*d/.test(textOf(this.script, node))) return input
      const lines = input.split("\n").filter((line) => line.trim() !== "")
      return wordsOf(node).filter((word) => !textOf(this.script, word).startsWith("-")).length > 2
        ? unknownMark
        : this.preferred(lines.slice(0, 20)).replaceAll(copyMark, unknownMark)
    }
    if (value === undefined) return ""
    if (kind === "loop") {
      return this.preferred(
        node.children.filter((child) => child.field === "value").slice(0, 20).map((child) => this.valueOf(child, depth))
      )
    }
    return this.valueOf(value, depth)
  }

  /** What callers in the same script give for a parameter of the function around `at`. */
  private parameter(name: string, at: Node, depth: number): string | undefined {
    const definition = functionOf(at)
    const label = definition === undefined ? undefined : field(definition, "name")
    if (definition === undefined || label === undefined) return undefined
    const calls = this.names.calls.get(textOf(this.script, label)) ?? []
    const shifted =
      nodesOf(this.script, "command").filter((command) =>
        command.start > definition.start && command.end < at.start && commandName(this.script, command) === "shift"
      ).length
    const values: Array<string> = []
    for (const call of calls.slice(0, 20)) {
      if (functionOf(call) === definition) continue
      const words = wordsOf(call).slice(1 + Math.min(shifted, 9))
      const chosen = /[@*]/.test(name) ? words : words.slice(Number(name) - 1, Number(name))
      if (chosen.length > 0) values.push(chosen.map((word) => this.valueOf(word, depth + 1)).join(" "))
    }
    if (values.length === 0) return undefined
    const records = values.filter((value) => rank(value) === 3)
    const texts = values.filter((value) => rank(value) === 1)
    return records.length > 0 && records.length >= texts.length ? records[0] : texts[0] ?? values[0]
  }

  /** What statements print, one part for each command. */
  outputs(statements: ReadonlyArray<Node>, depth = 0): ReadonlyArray<string> {
    const parts: Array<string> = []
    for (const statement of statements) {
      if (depth > depthMax || ++this.steps > stepsMax) return [...parts, unknownMark]
      const isChoice = statement.type === "list" && statement.children.some((child) => child.type === "||")
      const first = isChoice ? this.outputs(statement.children.slice(0, 1), depth + 0.25) : []
      // `date -d … || date -v …` prints one of both.
      if (first.length > 0) parts.push(...first)
      else if (containers.has(statement.type)) {
        const inner = statement.children.filter((child) => child.field !== "condition" && child.field !== "value")
        parts.push(...this.outputs(inner, statement.type === "program" ? depth : depth + 0.25))
      } else {
        const output = this.outputOf(statement, depth)
        if (output !== "") parts.push(output)
      }
      if (parts.length > 200) break
    }
    return parts
  }

  /** What a statement prints to its standard output. */
  outputOf(statement: Node, depth: number, input?: string): string {
    if (depth > depthMax || ++this.steps > stepsMax) return unknownMark
    switch (statement.type) {
      case "command":
        return cut(this.command(statement, depth, input))
      case "pipeline":
        return this.pipeline(stagesOf(statement), depth, input)
      case "redirected_statement": {
        const stages = stagesOf(statement)
        if (stages.length > 1) return this.pipeline(stages, depth, input)
        return this.redirected(statement, depth, input)
      }
      default:
        return containers.has(statement.type) ? cut(this.outputs([statement], depth).join("")) : ""
    }
  }

  private redirected(statement: Node, depth: number, input: string | undefined): string {
    const leaves = redirectsOf(this.script, statement).some((redirect) =>
      redirect.operator.includes(">") && (redirect.descriptor === undefined || redirect.descriptor === "1")
    )
    if (leaves) return ""
    const body = field(statement, "body")
    return body === undefined ? "" : this.outputOf(body, depth, this.inputOf(statement, depth) ?? input)
  }

  pipeline(stages: ReadonlyArray<Node>, depth: number, input?: string): string {
    let passed = input
    for (const stage of stages.slice(0, 20)) {
      passed = stage.type === "redirected_statement"
        ? this.redirected(stage, depth, passed)
        : this.outputOf(stage, depth, passed)
    }
    return passed ?? ""
  }

  /** What a statement's own redirections give it to read. */
  inputOf(statement: Node, depth: number): string | undefined {
    const heredoc = heredocsOf(statement).at(-1)?.children.find((child) => child.type === "heredoc_body")
    if (heredoc !== undefined) return this.valueOf(heredoc, depth + 1)
    const herestring = statement.children.find((child) => child.type === "herestring_redirect")?.children.at(-1)
    if (herestring !== undefined) return `${this.valueOf(herestring, depth + 1)}\n`
    const file = redirectsOf(this.script, statement).find((redirect) => redirect.operator === "<")
    if (file === undefined) return undefined
    if (file.destination?.type === "process_substitution") {
      return this.outputs(file.destination.children, depth + 1).join("")
    }
    return file.destination === undefined ? copied : this.fileContent(file.destination, depth)
  }

  /** What a command reads: from its own redirections, the pipeline around it, or the callers of its function. */
  stdinOf(node: Node, depth: number): string | undefined {
    if (depth > depthMax || ++this.steps > stepsMax) return undefined
    let at = node
    while (true) {
      const own = at.type === "command" || at.type === "redirected_statement" ? this.inputOf(at, depth) : undefined
      if (own !== undefined) return own
      const { parent } = at
      if (parent === undefined) return undefined
      const inHeredocLine = parent.type === "heredoc_redirect" ? parent.parent : undefined
      const whole = at.type === "pipeline" && inHeredocLine !== undefined ? inHeredocLine : parent
      if (whole.type === "pipeline" || whole === inHeredocLine) {
        const stages = stagesOf(
          whole === parent && parent.parent?.type === "heredoc_redirect" ? parent.parent.parent ?? whole : whole
        )
        const child = at
        const index = stages.findIndex((stage) =>
          stage === child || stage.start <= node.start && stage.end >= node.end && stage.type !== "redirected_statement"
        )
        if (index > 0) return this.pipeline(stages.slice(0, index), depth + 1)
      }
      if (parent.type === "function_definition") {
        const label = field(parent, "name")
        const calls = label === undefined ? [] : this.names.calls.get(textOf(this.script, label)) ?? []
        const inputs = calls.slice(0, 10).filter((call) => functionOf(call) !== parent)
          .map((call) => this.stdinOf(call, depth + 2)).filter((value) => value !== undefined)
        return inputs.length === 0 ? undefined : this.preferred(inputs)
      }
      at = parent
    }
  }

  /** What the script itself wrote to a file before: `jq … > "$tmp"`, then `cat "$tmp" >> "$log"`. */
  private fileContent(file: Node, depth: number): string {
    const name = textOf(this.script, file)
    const scope = functionOf(file)
    for (const redirect of nodesOf(this.script, "file_redirect").toReversed()) {
      if (redirect.end > file.start || functionOf(redirect) !== scope) continue
      const destination = field(redirect, "destination")
      if (destination === undefined || textOf(this.script, destination) !== name) continue
      const statement = closest(redirect, (at) => at.type === "redirected_statement" || at.type === "command")
      const body = statement === undefined ? undefined : field(statement, "body")
      if (body === undefined || statement === undefined) continue
      if (!redirect.children.some((child) => child.type === ">")) continue
      const output = this.outputOf(body, depth + 2, this.inputOf(statement, depth + 2))
      return rank(output) === 3 ? output : copied
    }
    return copied
  }

  private command(command: Node, depth: number, input: string | undefined): string {
    const words = wordsOf(command)
    const first = words[0]
    if (first === undefined) return ""
    const name = textOf(this.script, first).replaceAll(/["'\\]/g, "").replace(/^.*\//, "")
    const rest = words.slice(1)
    const stdin = input ?? this.inputOf(command, depth)
    if (this.names.functions.has(name)) return this.call(name, depth)
    if (name === "echo") return this.echo(rest, depth)
    if (name === "print") return this.echo(rest.filter((word) => !/^-\w+$/.test(textOf(this.script, word))), depth)
    if (name === "printf") return textOf(this.script, rest[0] ?? first) === "-v" ? "" : this.printf(rest, depth)
    if (name === "jq" || name === "gojq" || name === "jaq") {
      return jqOutput(rest.map((word) => this.valueOf(word, depth + 1)))
    }
    if (silent.has(name)) return ""
    if (name === "sudo" || name === "command" || name === "builtin" || name === "env") return unknownMark + "\n"
    if (passing.has(name)) return this.passed(name, rest, depth, stdin)
    if (name === "tr" || name === "paste") return this.joined(rest, stdin)
    const code = interpreterOf(this.script, this.names, command)
    if (code !== undefined && code.language !== "shell") {
      const source = code.source ??
        heredocsOf(command.parent ?? command)[0]?.children.find((c) => c.type === "heredoc_body")
      if (source !== undefined) return inlineOutput(code.language, this.valueOf(source, depth + 1))
    }
    const format = rest.map((word) => this.valueOf(word, depth + 1)).find((text) =>
      /^(?:\+|--?\w+=)?\{"[^"]*":/.test(text) && text.endsWith("}")
    )
    if (format !== undefined && plain.has(name)) return `${format.replace(/^[^{]*/, "")}\n`
    if (name === "awk" || name === "gawk") {
      return rest.some((word) => /printf?\s*\(?\s*"\{\\"/.test(textOf(this.script, word)))
        ? `${recordMark}\n`
        : rest.length > 1 && stdin === undefined
        ? copied
        : `${unknownMark}\n`
    }
    if (plain.has(name)) return `${textMark}\n`
    const operands = rest.filter((word) => !textOf(this.script, word).startsWith("-"))
    if ((name === "sed" || name === "cut") && stdin === undefined && operands.length > 1) return copied
    return `${unknownMark}\n`
  }

  /** What a function of the script prints. */
  private call(name: string, depth: number): string {
    const definition = this.names.functions.get(name)?.at(-1)
    const body = definition === undefined ? undefined : field(definition, "body")
    return body === undefined ? unknownMark : this.outputOf(body, depth + 1.5)
  }

  private passed(name: string, rest: ReadonlyArray<Node>, depth: number, stdin: string | undefined): string {
    const operands = rest.filter((word) => !/^(?:-|["']?\/dev\/stdin)/.test(textOf(this.script, word)))
    if (name === "tee") return stdin ?? `${unknownMark}\n`
    const hasPattern = /grep$|^rg$/.test(name) ||
      (name === "head" || name === "tail") && rest.some((word) => /^-[nc]$/.test(textOf(this.script, word)))
    const files = hasPattern ? operands.slice(1) : operands
    const file = files[0]
    if (file !== undefined) return name === "cat" ? this.fileContent(file, depth) : copied
    return stdin ?? `${unknownMark}\n`
  }

  private joined(rest: ReadonlyArray<Node>, stdin: string | undefined): string {
    if (stdin === undefined) return `${unknownMark}\n`
    const isDelete = rest.some((word) => /-\w*d/.test(textOf(this.script, word)))
    if (!rest.some((word) => /\\[nr]|\\012/.test(textOf(this.script, word)))) {
      return rank(stdin) >= 2
        ? `${unknownMark}\n`
        : stdin
    }
    const joined = stdin.replaceAll("\n", isDelete ? "" : " ")
    return joined.replaceAll(prettyMark, recordMark).replaceAll(looseMark, recordMark)
  }

  private echo(rest: ReadonlyArray<Node>, depth: number): string {
    let index = 0
    let end = "\n"
    let escapes = false
    for (; index < rest.length; index++) {
      const word = rest[index]
      const text = word === undefined ? "" : textOf(this.script, word)
      if (!/^-[neE]+$/.test(text)) break
      if (text.includes("n")) end = ""
      if (text.includes("e")) escapes = true
    }
    const value = rest.slice(index).map((word) => this.valueOf(word, depth + 1)).join(" ")
    return (escapes ? unescapePrint(value) : value) + end
  }

  private printf(rest: ReadonlyArray<Node>, depth: number): string {
    const words = textOf(this.script, rest[0] ?? { start: 0, end: 0 }) === "--" ? rest.slice(1) : rest
    const first = words[0]
    if (first === undefined) return ""
    const format = unescapePrint(this.valueOf(first, depth + 1))
    const values = words.slice(1).map((word) => this.valueOf(word, depth + 1))
    return printFormat(format, values)
  }
}
