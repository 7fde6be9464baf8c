/**
 * Python calls that encode JSON, by the module they come from or, for methods and imported functions, by the names that
 * libraries give them.
 */
import type { Names } from "./pythonNames.ts"
import { calleeName, field, keyword, type PyNode, textOf } from "./pythonTree.ts"

/** The result of an encoder. `certain`: known by its module, not only by its name. */
export interface Encoded {
  readonly certain: boolean
  readonly shape: { readonly kind: "line" | "multi"; readonly newline: boolean }
}

/** Encoders of other formats that are also called `dumps` and `dump`. */
const otherFormats =
  /(^|[._])(pickle|cpickle|_pickle|dill|cloudpickle|yaml|ruamel|toml|tomli_w|tomlkit|rtoml|marshal|msgpack|bson|plistlib|cbor2?|joblib|hjson|json5|xml|etree|ast|torch|np|numpy|safetensors|pprint|shelve|ini|configparser|icalendar|vobject|protobuf|javaobj|phpserialize|qs|ubjson|avro|dotenv|hcl2?|sexpdata|edn_format|rison)([._]|$)/i

const modules =
  /(^|\.)(json|orjson|ujson|simplejson|rapidjson|jsonlib|json_util|bson\.json_util|nujson|hyperjson|cysimdjson|jsonpickle|srsly|yyjson|commentjson|msgspec\.json|tornado\.escape|flask\.json|django\.core\.serializers\.json)$/i

const encoderNames =
  /^(model_dump_json|to_json|as_json|tojson|to_?jsonl?(_?(line|str|string))?|json_?(dumps?|encode|line|str|string|serialize|stringify)|(dumps?|encode|serialize|stringify|write|format)_?(as_)?jsonl?(_?(line|str|string))?|messagetojson|serializetojson|jsonify|canonical_?json(_?(dumps|bytes|str|line))?|_?json_?dumps?|safe_?json_?dumps?|(to_)?jsonl_line|as_jsonl?|json_dumps_\w+|\w+_json_dumps)$/i

/** True if `module` encodes JSON: `json`, `orjson`, `self._json`. */
const isJsonModule = (module: string): boolean => modules.test(module) || /json/i.test(module.replace(/^.*\./, ""))

/** True if `name` is a call of another format: `pickle.dump`. */
export const isOtherFormat = (name: string): boolean => otherFormats.test(name)

/** What a call encodes, or what a function that is passed on as a value would. */
export const encoded = (names: Names, node: PyNode): Encoded | undefined => {
  const { tree } = names
  const callee = node.kind === "call" ? field(node, "function") : node
  if (callee === undefined) return undefined
  const name = names.fullName(callee)
  if (name.length > 200 || isOtherFormat(name)) return undefined
  const last = (node.kind === "call" ? calleeName(tree, node) : "") || name.replace(/^[\s\S]*\./, "")
  const original = name.replace(/^[\s\S]*\./, "")
  const module = name.slice(0, Math.max(0, name.length - original.length - 1))
  const certain = original === "dumps" && (module === "" || isJsonModule(module) || callee.kind === "identifier")
  const byModule = /^(dumps?|encode|iterencode|serialize|stringify|dumps_line|encode_lines)$/.test(original) &&
    (isJsonModule(module) || /JSON\w*\([^()]*\)$/i.test(module) || isJsonObject(names, callee))
  const byName = original !== "json" &&
    (encoderNames.test(original.replace(/^_+/, "")) || encoderNames.test(last.replace(/^_+/, "")))
  // model.json() of pydantic; without an object it is a module.
  const byMethod = original === "json" && callee.kind === "attribute" && node.kind === "call"
  if (!certain && !byModule && !byName && !byMethod && !(original === "dumps")) return undefined
  if (node.kind === "call" && byName && keyword(tree, node, "path_or_buf") !== undefined) return undefined
  return { certain: certain || byModule, shape: options(names, node, original, module) }
}

/** `encoder.encode(x)` where `encoder = msgspec.json.Encoder()`. */
const isJsonObject = (names: Names, callee: PyNode): boolean => {
  const object = callee.kind === "attribute" ? field(callee, "object") : undefined
  return object !== undefined &&
    names.bindings(object).some(({ value }) =>
      value?.kind === "call" && /json/i.test(names.fullName(field(value, "function")))
    )
}

const options = (names: Names, node: PyNode, name: string, module: string): Encoded["shape"] => {
  const { tree } = names
  if (node.kind !== "call") return { kind: "line", newline: false }
  const value = (written: PyNode | undefined): string => {
    const source = textOf(tree, written)
    if (written?.kind !== "identifier" && written?.kind !== "attribute") return source
    const bound = names.reaching(written)
    return bound.length === 1 && bound[0]?.value !== undefined ? textOf(tree, bound[0].value) : ""
  }
  const indent = value(keyword(tree, node, "indent"))
  const flags = textOf(tree, field(node, "arguments"))
  const multi = (indent !== "" && !/^(None|0|False)$/.test(indent)) || /OPT_INDENT_2\b/.test(flags) ||
    (/^MessageToJson$/i.test(name) && !/^(None|0)$/.test(indent)) || /pretty/i.test(name)
  const newline = /OPT_APPEND_NEWLINE\b/.test(flags) || /jsonl|line$/i.test(name) || /jsonl/i.test(module)
  return { kind: multi ? "multi" : "line", newline }
}
