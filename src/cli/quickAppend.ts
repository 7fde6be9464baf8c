/**
 * `auditlog append` without the library that reads flags: a shell script starts it for every record, and that library is
 * half of the time that takes. Whatever is not plain here is left to the whole command line, which says what is wrong.
 *
 * @since 0.1.0
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeStdio from "@effect/platform-node/NodeStdio"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Arguments, run } from "./appendRecords.ts"
import { parseLimit, parseSync, sizePolicies } from "./flagValues.ts"
import * as Output from "./output.ts"

/**
 * The arguments after `append`, if there is nothing to say about them: flags in full, each value a word of its own that
 * does not begin with a dash.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (words: ReadonlyArray<string>): Arguments | undefined => {
  const json: Array<string> = []
  let file: string | undefined
  let transaction = false
  let receipts = false
  const values = new Map<string, string>()
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    if (!word.startsWith("-")) {
      if (file !== undefined || word === "") return undefined
      file = word
    } else if (word === "--transaction") transaction = true
    else if (word === "--receipts") receipts = true
    else {
      const value = words[++i]
      if (value === undefined || value.startsWith("-")) return undefined
      if (word === "--json") json.push(value)
      else if (values.has(word)) return undefined
      else values.set(word, value)
    }
  }
  if (file === undefined) return undefined
  const take = <A>(name: string, parse: (text: string) => A): A | undefined => {
    const text = values.get(name)
    values.delete(name)
    return text === undefined ? undefined : parse(text)
  }
  try {
    const sync = take("--sync", parseSync)
    const limitBytes = take("--limit", parseLimit)
    const sizePolicy = take("--size-policy", policyOf)
    return values.size > 0 ? undefined : { file, json, transaction, receipts, sync, limitBytes, sizePolicy }
  } catch {
    return undefined
  }
}

const policyOf = (text: string): Arguments["sizePolicy"] => {
  const policy = sizePolicies.find(([name]) => name === text)
  if (policy === undefined) throw new Error(text)
  return policy[1]
}

/**
 * Appends, and ends the process as the whole command line would.
 *
 * @category running
 * @since 0.1.0
 */
export const main = (args: Arguments): void =>
  run(args).pipe(
    Effect.tapError(({ lines }) => lines.length > 0 ? Output.stderr(lines) : Effect.void),
    Effect.provide(Layer.mergeAll(NodeFileSystem.layer, NodeStdio.layer)),
    NodeRuntime.runMain
  )
