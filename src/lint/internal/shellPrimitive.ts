/** Finds calls of the primitives in shell: `auditlog append FILE`, also through npx, a path or a variable. */
import type { AnalysisOptions } from "../Language.ts"
import type { Site } from "../Site.ts"
import { bindingsAt, type Names } from "./shellNames.ts"
import { readingOf } from "./shellQuoting.ts"
import { closest, isInside, type Node, nodesOf, type Script, textOf, wordsOf } from "./shellTree.ts"

/** Commands that run the command which follows them. */
const runners = new Set([
  "npx",
  "bunx",
  "pnpx",
  "pnpm",
  "yarn",
  "npm",
  "bun",
  "sudo",
  "env",
  "command",
  "exec",
  "time",
  "nohup",
  "timeout",
  "nice",
  "dlx",
  "x",
  "run",
  "node",
  "doas"
])

const unquoted = (script: Script, node: Node): string => textOf(script, node).replaceAll(/["'\\]/g, "")

/** The words of a command; one that only names a variable counts as the words of its value. */
const flatWords = (script: Script, names: Names, command: Node): ReadonlyArray<{ text: string; node: Node }> =>
  wordsOf(command).flatMap((node, index) => {
    const text = unquoted(script, node)
    const expansion = text.startsWith("$") && index < 4
      ? node.type === "string" ? node.children.find((child) => readingOf(script, child) !== undefined) : node
      : undefined
    const reading = expansion === undefined ? undefined : readingOf(script, expansion)
    if (reading === undefined) return [{ text, node }]
    const value = bindingsAt(names, reading.name, node).find((binding) => binding.value !== undefined)?.value ??
      reading.operand
    if (value === undefined) return [{ text, node }]
    const words = unquoted(script, value).replaceAll(/[()]/g, "").trim()
    return words.length > 200 ? [{ text, node }] : words.split(/\s+/).map((word) => ({ text: word, node }))
  })

/** The words after the primitive's, if the command calls it. */
const callOf = (words: ReadonlyArray<{ text: string; node: Node }>, name: string) => {
  const wanted = name.split(/\s+/)
  for (let index = 0; index < words.length && index < 8; index++) {
    const text = words[index]?.text ?? ""
    if (text.replace(/^.*\//, "").replace(/\.[cm]?js$/, "") === wanted[0]) {
      const rest = words.slice(index + 1).map((word) => word.text)
      const skipped = rest.findIndex((word) => !word.startsWith("-"))
      const from = Math.max(skipped, 0)
      return wanted.slice(1).every((word, at) => rest[from + at] === word)
        ? words.slice(index + 1 + from + wanted.length - 1)
        : undefined
    }
    if (!runners.has(text) && !text.startsWith("-") && !/^(?:\w+=|\d+[smh]?$|@?[\w./-]*@)/.test(text)) return undefined
  }
  return undefined
}

/** Options of `auditlog append` and of most others that take the next word. */
const operandOption = /^--(?:json|size-policy|limit|transaction-id|actor|type)$/

const fileIn = (words: ReadonlyArray<{ text: string; node: Node }>): Node | undefined => {
  for (let index = 0; index < words.length; index++) {
    const word = words[index]
    if (word === undefined) return undefined
    if (operandOption.test(word.text)) index += 1
    else if (!word.text.startsWith("-")) return word.node
  }
  return undefined
}

export const findMigrated = (script: Script, names: Names, options: AnalysisOptions): ReadonlyArray<Site> => {
  const primitives = options.primitives.filter((primitive) => primitive.language === "shell").map(({ name }) => name)
  const wanted = [...primitives, ...options.helpers]
  if (wanted.length === 0) return []
  const sites: Array<Site> = []
  for (const command of nodesOf(script, "command")) {
    const words = flatWords(script, names, command)
    for (const name of wanted) {
      const rest = callOf(words, name)
      if (rest === undefined) continue
      const pipeline = closest(command.parent, (at) => at.type !== "redirected_statement")
      const whole = pipeline?.type === "pipeline" ? pipeline : command
      const file = fileIn(rest)
      sites.push({
        language: "shell",
        span: { start: command.start, end: command.end },
        statement: isInside(command, whole)
          ? { start: whole.start, end: whole.end }
          : { start: command.start, end: command.end },
        call: name,
        target: file === undefined ? "" : textOf(script, file),
        payload: "record",
        writesPerRecord: 1,
        life: "once",
        growth: "append",
        synced: true,
        migrated: name,
        fix: { _tag: "NoFix", reason: "it calls the primitive already" }
      })
      break
    }
  }
  return sites
}
