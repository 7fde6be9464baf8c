/** What programs print that make or pass on JSON in scripts: jq, and inline Python and JavaScript. */
import { copyMark, looseMark, prettyMark, recordMark, textMark, unknownMark } from "./shellShape.ts"

/** Options of jq by the number of words that follow them. */
const jqOperands: ReadonlyMap<string, number> = new Map([
  ["arg", 2],
  ["argjson", 2],
  ["slurpfile", 2],
  ["rawfile", 2],
  ["argfile", 2],
  ["indent", 1],
  ["from-file", 1],
  ["library-path", 1]
])

/** A call of jq. */
interface JqCall {
  readonly isCompact: boolean
  readonly isRaw: boolean
  readonly isJoined: boolean
  /** The input is text, not JSON: `jq -R .` quotes it. */
  readonly isText: boolean
  readonly filter: string
}

const readJq = (words: ReadonlyArray<string>): JqCall => {
  let isCompact = false
  let isRaw = false
  let isJoined = false
  let isText = false
  let filter: string | undefined
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? ""
    if (word.startsWith("--") && word.length > 2) {
      const name = word.slice(2)
      if (name === "compact-output") isCompact = true
      if (name === "raw-output" || name === "raw-output0") isRaw = true
      if (name === "raw-input") isText = true
      if (name === "join-output") isJoined = true
      if (name === "indent" && words[index + 1] === "0") isCompact = true
      index += jqOperands.get(name) ?? 0
    } else if (/^-[a-zA-Z]+$/.test(word)) {
      if (word.includes("c")) isCompact = true
      if (word.includes("r")) isRaw = true
      if (word.includes("j")) isJoined = true
      if (word.includes("R")) isText = true
      if (/[fL]$/.test(word)) index += 1
    } else filter ??= word
  }
  return { isCompact, isRaw, isJoined, isText, filter: filter ?? "" }
}

/** The last stage of a jq filter: what the output is made by. Pipes inside brackets and strings do not count. */
const lastStage = (filter: string): string => {
  let depth = 0
  let from = 0
  let quoted = false
  for (let index = 0; index < filter.length; index++) {
    const char = filter.charAt(index)
    if (char === "\\") index += 1
    else if (char === "\"") quoted = !quoted
    else if (quoted) continue
    else if ("([{".includes(char)) depth += 1
    else if (")]}".includes(char)) depth -= 1
    else if (char === "|" && depth === 0 && filter.charAt(index + 1) !== "=") from = index + 1
  }
  return filter.slice(from).trim()
}

const scalar =
  /^(?:length|keys_unsorted\s*\|\s*length|add|any|all|type|tostring|ascii|@tsv|@csv|@text|@sh|@html|@uri|@base64|join\b|not|test\b|floor|now|input_line_number)/

/** What jq prints, to its last line break. */
export const jqOutput = (words: ReadonlyArray<string>): string => {
  const call = readJq(words)
  const last = lastStage(call.filter)
  const end = call.isJoined ? "" : "\n"
  if (call.isText && /^\.?$/.test(last)) return `"${textMark}"${end}`
  if (call.isRaw || call.isJoined) {
    if (/^(?:@json|tojson)/.test(last)) return recordMark + end
    if (last.startsWith("{") || call.isCompact && /^\.(?:\[\])?$/.test(last)) {
      return (call.isCompact ? recordMark : prettyMark) + end
    }
    if (/^"|^@|^\(?"|\+\s*"|"\s*\+/.test(last) || scalar.test(last)) return textMark + end
    return unknownMark + end
  }
  if (scalar.test(last)) return textMark + end
  if (/^(?:@json|tojson)/.test(last)) return textMark + end
  if (call.isCompact) return recordMark + end
  return (makesObject(last) ? prettyMark : looseMark) + end
}

/** Whether a jq call makes a new object, and does not pass on the ones it reads. */
const makesObject = (stage: string): boolean => /^\{|^\(?\s*\{/.test(stage)

const pythonPrint = /\bprint\s*\(|\bsys\.stdout\.write\s*\(/g
const javascriptPrint = /\bconsole\.log\s*\(|\bprocess\.stdout\.write\s*\(|\bDeno\.stdout/g

/** The text of a call from its opening bracket to the closing one. */
const callText = (code: string, from: number): string => {
  let depth = 0
  for (let index = from; index < code.length && index < from + 4000; index++) {
    const char = code.charAt(index)
    if (char === "(") depth += 1
    else if (char === ")" && --depth === 0) return code.slice(from + 1, index)
  }
  return code.slice(from + 1, from + 200)
}

const assigned = (code: string, name: string): string | undefined =>
  new RegExp(`(?:^|[;\\n\\s])(?:const |let |var )?${name}\\s*=\\s*([^=\\n][^\\n]*(?:\\n[ \\t]+[^\\n]*){0,12})`).exec(
    code
  )?.[1]

const isPythonJson = /^(?:[a-z_]*json\.dumps|orjson\.dumps|dumps|[\w.]+\.model_dump_json|[\w.]+\.to_json)\s*\(/
const isJavascriptJson = /^JSON\.stringify\s*\(/

/** What inline code prints to its standard output, as far as its print calls show it. */
export const inlineOutput = (language: "python" | "javascript", code: string): string => {
  const isPython = language === "python"
  const encoder = isPython ? isPythonJson : isJavascriptJson
  const pretty = isPython ? /\bindent\s*=\s*(?!None)/ : /,\s*(?:null|undefined)\s*,\s*(?:[1-9"'`])/
  let records = 0
  let prettied = 0
  let texts = 0
  for (const match of code.matchAll(isPython ? pythonPrint : javascriptPrint)) {
    let text = callText(code, match.index + match[0].length - 1).trim()
    if (/file\s*=\s*(?!sys\.stdout)/.test(text)) continue
    const name = /^[A-Za-z_]\w*(?=$|\s*[,+])/.exec(text)?.[0]
    if (name !== undefined) text = assigned(code, name)?.trim() ?? text
    if (encoder.test(text)) {
      if (pretty.test(text)) prettied += 1
      else records += 1
    } else texts += 1
  }
  if (isPython) {
    for (const match of code.matchAll(/\bjson\.dump\s*\(/g)) {
      const text = callText(code, match.index + match[0].length - 1)
      if (!/,\s*sys\.stdout\b/.test(text)) continue
      if (pretty.test(text)) prettied += 1
      else records += 1
    }
  }
  if (records > 0 && records >= texts) return `${recordMark}\n`
  if (prettied > 0 && prettied >= texts) return `${looseMark}\n`
  if (texts > 0 && records + prettied === 0) return `${textMark}\n`
  return `${unknownMark}\n`
}

/** Commands that print nothing that a reader of the file would see. */
export const silent = new Set([
  "mkdir",
  "flock",
  "set",
  "local",
  "cd",
  "sleep",
  "test",
  "[",
  "rm",
  "touch",
  "export",
  "return",
  "exit",
  "read",
  "true",
  "false",
  ":",
  "shift",
  "trap",
  "declare",
  "readonly",
  "unset",
  "chmod",
  "chown",
  "mv",
  "cp",
  "wait",
  "kill",
  "shopt",
  "break",
  "continue",
  "umask",
  "let",
  "pushd",
  "popd",
  "source",
  ".",
  "ln",
  "exec"
])

/** Commands that print words and numbers. */
export const plain = new Set([
  "date",
  "hostname",
  "whoami",
  "pwd",
  "basename",
  "dirname",
  "wc",
  "uname",
  "id",
  "realpath",
  "readlink",
  "mktemp",
  "seq",
  "uuidgen",
  "nproc",
  "tty",
  "which",
  "sha256sum",
  "md5sum",
  "shasum",
  "stat",
  "du",
  "df",
  "expr",
  "bc",
  "git",
  "ls",
  "find",
  "tput",
  "printenv",
  "free",
  "uptime",
  "ps",
  "sw_vers"
])

/** Commands that pass on lines of their input or of files as they are. */
export const passing = new Set([
  "cat",
  "head",
  "tail",
  "sort",
  "uniq",
  "tac",
  "tee",
  "grep",
  "egrep",
  "fgrep",
  "rg",
  "shuf",
  "comm",
  "zcat",
  "gunzip"
])

export const copied = `${copyMark}\n`

/** How often a format is repeated for its arguments. */
const repeatsMax = 20

const specification = /%(?:%|\([^)]*\)T|[-+ 0#]*(?:\d+|\*)?(?:\.(?:\d+|\*))?([a-zA-Z]))/g

/** What printf prints: the format, again for as long as there are values. */
export const printFormat = (format: string, values: ReadonlyArray<string>): string => {
  let used = 0
  let output = ""
  for (let round = 0; round < repeatsMax; round++) {
    const before = used
    output += format.replaceAll(specification, (text, kind?: string) => {
      if (text === "%%") return "%"
      if (kind === undefined) return textMark
      const value = values[used++]
      if (value === undefined) return values.length === 0 || round > 0 ? "" : textMark
      return /[sbq]/.test(kind) ? value : textMark
    })
    if (used === before || used >= values.length) break
  }
  return output
}
