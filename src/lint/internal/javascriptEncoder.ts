/**
 * Which calls encode a value as JSON, and whether on one line.
 */
import type { Scope } from "./javascriptScope.ts"
import { json, prettyJson } from "./javascriptShape.ts"
import { bare, field, lastName, type Node, stringValue, textOf } from "./javascriptTree.ts"

export interface Encoders {
  /** Whether an expression, called as `owner.name(…)`, encodes JSON. */
  readonly isEncoder: (callee: Node) => boolean
  /** The shape of an encoder's result. */
  readonly encoded: (given: ReadonlyArray<Node>) => string
}

/** Calls that give the text of their receiver back, or one like it. */
export const sameText = new Set([
  "toString",
  "trim",
  "trimEnd",
  "trimStart",
  "replace",
  "replaceAll",
  "normalize",
  "toWellFormed",
  "valueOf",
  "catch"
])
/** Calls that give their first argument back as bytes or text. */
export const wraps =
  /^(?:from|encode|encodeInto|String|Uint8Array|strToU8|utf8Encode|resolve|succeed|of|wrap|redact\w*|mask\w*|scrub\w*)$/

/** Objects whose `stringify` gives other formats. */
const otherFormats = /^(?:ya?ml|qs|querystring|query|toml|csv|tsv|ini|uuid|papa|xml|url|html|css|v8|devalue)/i
const jsonName = /^(?:to)?json(?:l|line|lines|str|string)?$|json.*(?:stringify|string|serial|encode|dump|line|format)/i
const encoderName =
  /^(?:\w*stringify\w*|json|canonicali[sz]e|canonical\w*json|toJson\w*Line|(?:safe|stable|encode|serialize|dump|format|to|as)\w*json\w*|toJSONL|serialize(?:Entry|Event|Record|Message|Line)?)$/i

const jsonObject = /^(?:JSON|superjson|EJSON|JSON5|JSONbig|flatted)$/i

/** The object of `object.name`, by its last name. */
const ownerOf = (scope: Scope, callee: Node): string => {
  const object = field(bare(callee), "object")
  return object === undefined ? "" : lastName(scope.source, object)
}

/** `JSON.stringify` and the like, which no function of the file can be. */
export const isJsonObject = (scope: Scope, callee: Node): boolean =>
  jsonObject.test(ownerOf(scope, callee)) && lastName(scope.source, callee) === "stringify"

export const makeEncoders = (scope: Scope): Encoders => {
  const { source } = scope

  const isEncoder = (callee: Node): boolean => {
    const name = lastName(source, callee)
    const owner = ownerOf(scope, callee)
    if (otherFormats.test(owner)) return false
    if (bare(callee).type === "call_expression") {
      // Effect: `Schema.encodeSync(Schema.fromJsonString(Event))(event)`.
      return /encode|print/i.test(textOf(source, callee)) && /json/i.test(textOf(source, callee))
    }
    const module = scope.moduleOf(callee) ?? ""
    if (otherFormats.test(module.replace(/^node:/, ""))) return false
    return encoderName.test(name) || jsonName.test(name) && name !== "toJSON"
  }

  /** JSON of an encoder's call: over several lines with an indent, given as number, text or option. */
  const encoded = (given: ReadonlyArray<Node>): string => {
    const isIndent = (node: Node): boolean => {
      const value = bare(node)
      if (value.type === "number") return textOf(source, value) !== "0"
      if (value.type === "string") return stringValue(source, value).trim() === "" && stringValue(source, value) !== ""
      if (value.type === "object") {
        return /\b(?:space|indent)\w*\s*:\s*(?!0\b|undefined|""|'')/.test(textOf(source, value))
      }
      if (value.type !== "identifier") return false
      const binding = scope.resolve(value)
      return binding?.kind === "variable" && binding.property === undefined && binding.init !== undefined &&
        binding.init.type !== "identifier" && isIndent(binding.init)
    }
    return given.slice(1).some(isIndent) ? prettyJson : json
  }

  return { isEncoder, encoded }
}
