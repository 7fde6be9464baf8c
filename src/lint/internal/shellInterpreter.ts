/** Which commands run code that stands in the script itself: as an argument, or on their standard input. */
import { bindingsAt, type Names } from "./shellNames.ts"
import { piecesOf, readingOf } from "./shellQuoting.ts"
import { closest, heredocsOf, type Node, type Script, textOf, wordsOf } from "./shellTree.ts"

/**
 * A command that runs code: `source` is the argument that holds it, after one step through a variable. Without it, the
 * code is read from the standard input.
 */
export interface Interpreter {
  readonly language: "python" | "javascript" | "shell"
  readonly source: Node | undefined
}

interface Word {
  readonly text: string
  readonly node: Node
}

const python = /^(?:python|pypy)[\d.]*(?:\.exe)?$|^(?:ipython|sage-python|micropython)$/
const javascript = /^(?:node|nodejs|bun|deno|tsx|ts-node|esno)(?:\.exe)?$/
const shell = /^(?:bash|sh|zsh|dash|ksh|ash)$/

const languageOf = (word: string): Interpreter["language"] | undefined => {
  const name = word.replace(/^.*\//, "")
  if (python.test(name)) return "python"
  if (javascript.test(name)) return "javascript"
  return shell.test(name) ? "shell" : undefined
}

/** Commands whose words are data, also where one of them is the name of an interpreter. */
const talkers = new Set([
  "echo",
  "printf",
  "print",
  "cat",
  "tee",
  "grep",
  "egrep",
  "rg",
  "sed",
  "awk",
  "which",
  "type",
  "hash",
  "apt",
  "apt-get",
  "brew",
  "pip",
  "pip3",
  "npm",
  "dnf",
  "yum",
  "apk",
  "pacman",
  "test",
  "[",
  "ls",
  "find",
  "cp",
  "mv",
  "ln",
  "rm",
  "mkdir",
  "touch",
  "chmod",
  "git",
  "export",
  "local",
  "return",
  "case",
  "pgrep",
  "pkill",
  "killall",
  "man",
  "jq",
  "curl",
  "wget"
])

/** Options of interpreters that take the next word. */
const operandOptions = new Set([
  "-W",
  "-X",
  "-r",
  "--require",
  "--import",
  "--loader",
  "-O",
  "-o",
  "--rcfile",
  "--init-file",
  "-Q"
])

const plainText = (script: Script, node: Node): string => {
  const text = textOf(script, node)
  return /^["']/.test(text) ? text.replaceAll(/^["']|["']$/g, "") : text.replaceAll("\\", "")
}

/** The words of a command, where a variable stands for a command the words of its value. */
const wordsIn = (script: Script, names: Names, command: Node): ReadonlyArray<Word> =>
  wordsOf(command).flatMap((node, index): ReadonlyArray<Word> => {
    const text = plainText(script, node)
    if (!text.startsWith("$") || index > 6) return [{ text, node }]
    const pieces = piecesOf(script, node).filter((piece) => piece._tag !== "Quote")
    const only = pieces.length === 1 ? pieces[0] : undefined
    const last = pieces.at(-1)
    if (only?._tag !== "Expansion") {
      return [{ text: last?._tag === "Literal" ? textOf(script, last.span) : text, node }]
    }
    const reading = readingOf(script, only.node)
    if (reading === undefined) return [{ text, node }]
    const bound = bindingsAt(names, reading.name, node).find((binding) => binding.value !== undefined)?.value
    const value = bound ?? reading.operand
    const list = value === undefined ? "" : textOf(script, value).replaceAll(/^[("']+|[)"']+$/g, "").trim()
    if (list !== "" && list.length <= 200 && !/[\n$`]/.test(list)) {
      return list.split(/\s+/).map((part) => ({ text: part.replaceAll(/["']/g, ""), node }))
    }
    const found = /(?:command -v|which|type -P)\s+([\w.-]+)/.exec(list)?.[1] ??
      /\/((?:python|node|bun|deno)[\d.]*)["']?$/.exec(list)?.[1]
    const named = /^\w*?(PYTHON|PY|NODE|BUN|DENO)\d?(?:_?(?:BIN|CMD|EXE|BINARY|INTERPRETER|PATH))?$/i.exec(reading.name)
      ?.[1]
    const guess = named?.toLowerCase() === "py" ? "python" : named?.toLowerCase()
    return [{ text: found ?? guess ?? text, node }]
  })

/** The code that a word stands for: itself, or what the variable that it only names was given. */
export const sourceOf = (script: Script, names: Names, node: Node): Node | undefined => {
  const pieces = piecesOf(script, node).filter((piece) => piece._tag !== "Quote")
  const only = pieces.length === 1 ? pieces[0] : undefined
  if (only?._tag !== "Expansion") return node
  if (only.node.type === "command_substitution") return heredocIn(only.node)
  const reading = readingOf(script, only.node)
  if (reading === undefined || reading.operator !== "") return undefined
  for (const binding of bindingsAt(names, reading.name, node)) {
    if (binding.kind === "read") {
      const statement = closest(binding.node, (at) => at.type === "redirected_statement")
      const body = statement === undefined ? undefined : bodyOf(statement)
      if (body !== undefined) return body
    }
    if (binding.value === undefined) continue
    const substitution = binding.value.type === "command_substitution"
      ? binding.value
      : binding.value.type === "string" && binding.value.children.length === 1
      ? binding.value.children.find((child) => child.type === "command_substitution")
      : undefined
    return substitution === undefined ? binding.value : heredocIn(substitution)
  }
  return undefined
}

const bodyOf = (statement: Node): Node | undefined =>
  heredocsOf(statement).at(-1)?.children.find((child) => child.type === "heredoc_body")

/** The heredoc of `$(cat <<'EOF' …)`. */
const heredocIn = (substitution: Node): Node | undefined => {
  const statement = substitution.children.find((child) => child.type === "redirected_statement")
  return statement === undefined ? undefined : bodyOf(statement)
}

const codeOption = (language: Interpreter["language"], text: string): boolean => {
  if (language === "python") return /^-[a-zA-Z]*c$/.test(text)
  if (language === "shell") return /^-[a-z]*c$/.test(text)
  return /^(?:-e|-p|-pe|--eval|--print|eval)$/.test(text)
}

/** Reads the words after the name of an interpreter. */
const afterName = (
  script: Script,
  names: Names,
  language: Interpreter["language"],
  words: ReadonlyArray<Word>
): Interpreter | undefined => {
  for (let index = 0; index < words.length; index++) {
    const word = words[index]
    if (word === undefined) break
    const { text } = word
    const inline = language === "javascript" ? /^(?:--eval|--print)=/.test(text) : false
    if (inline) return { language, source: word.node }
    if (codeOption(language, text)) {
      // `bash -c -- '…'` and `sh -c -e '…'` have more options first.
      const code = words.slice(index + 1).find((next) => !/^(?:--|-[a-z]{1,3})$/.test(next.text))
      if (code === undefined) return undefined
      const source = sourceOf(script, names, code.node)
      return source === undefined ? undefined : { language, source }
    }
    if (text === "-" || text === "/dev/stdin" || text === "-s") return { language, source: undefined }
    if (text === "-m") return undefined
    if (operandOptions.has(text) || language === "shell" && /^-[a-z]*o$/.test(text)) index += 1
    else if (text === "run" && language === "javascript") continue
    else if (!/^[-+]/.test(text)) return undefined
  }
  return { language, source: undefined }
}

/** Options of ssh that take the next word. */
const sshOperands = /^-[BbcDEeFIiJLlmOopQRSWw]$/

/** `ssh host 'code'`, `ssh host <<EOF`: the words after the host are code for the shell there. */
const afterSsh = (script: Script, names: Names, words: ReadonlyArray<Word>): Interpreter | undefined => {
  let index = 0
  for (; index < words.length; index++) {
    const text = words[index]?.text ?? ""
    if (sshOperands.test(text)) index += 1
    else if (!text.startsWith("-") && !/^"?\$\{?\w*(?:OPTS|OPTIONS|ARGS|FLAGS)/i.test(text)) break
  }
  const code = words.slice(index + 1)
  const first = code[0]
  if (first === undefined) return { language: "shell", source: undefined }
  const named = code.findIndex((word) => languageOf(word.text) !== undefined)
  const language = named < 0 ? undefined : languageOf(code[named]?.text ?? "")
  if (language !== undefined) return afterName(script, names, language, code.slice(named + 1))
  const long = code.find((word) => /\s/.test(word.text)) ?? (code.length === 1 ? first : undefined)
  const source = long === undefined ? undefined : sourceOf(script, names, long.node)
  return source === undefined ? undefined : { language: "shell", source }
}

/** What a command runs, if it runs code of the script. */
export const interpreterOf = (script: Script, names: Names, command: Node): Interpreter | undefined => {
  const words = wordsIn(script, names, command)
  const first = words[0]?.text.replace(/^.*\//, "") ?? ""
  if (first === "" || talkers.has(first)) return undefined
  if (first === "eval" || first === "trap") {
    const code = words[1]
    const source = code === undefined ? undefined : sourceOf(script, names, code.node)
    return source === undefined ? undefined : { language: "shell", source }
  }
  const ssh = words.findIndex((word) => word.text === "ssh")
  if (ssh >= 0 && ssh < 6) return afterSsh(script, names, words.slice(ssh + 1))
  for (let index = 0; index < words.length && index < 24; index++) {
    const text = words[index]?.text ?? ""
    if (/^(?:su|runuser|flock|watch|script)$/.test(text) && index < 3) {
      const option = words.findIndex((word, at) => at > index && word.text === "-c")
      const code = option < 0 ? undefined : words[option + 1]
      if (code !== undefined && !words.slice(index, option).some((word) => languageOf(word.text) !== undefined)) {
        const source = sourceOf(script, names, code.node)
        return source === undefined ? undefined : { language: "shell", source }
      }
    }
    const language = languageOf(text)
    if (language !== undefined) return afterName(script, names, language, words.slice(index + 1))
  }
  return undefined
}
