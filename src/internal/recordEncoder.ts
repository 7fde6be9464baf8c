/**
 * From a typed value to an encoded record: the schema's JSON codec, then the checks of what JSON cannot hold. Every
 * failure is an `InvalidRecord` with the path of the offending value, also where the schema stops at an ancestor.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as AuditError from "../AuditError.ts"
import * as Codec from "../Codec.ts"
import * as JsonLine from "./jsonLine.ts"

interface Stamped {
  readonly at: string
  readonly trace: string | undefined
  readonly source: string | undefined
}

/** Where the schema allows, the effect is an `Exit` that is already there. */
export type RecordEncoder = (value: unknown, stamp: Stamped) => Effect.Effect<Codec.Encoded, AuditError.AuditError>

/** Whether an effect has its value already, so that nothing need be built around it. */
export const isReady = <B, E>(effect: Effect.Effect<B, E>): effect is Exit.Success<B, E> =>
  Exit.isExit(effect) && Exit.isSuccess(effect)

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

const fail = (path: ReadonlyArray<string | number>, problem: string): Effect.Effect<never, AuditError.AuditError> =>
  Effect.fail(AuditError.make(new AuditError.InvalidRecord({ path, problem })))

const valueAt = (root: unknown, path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>(
    (value, key) => typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined,
    root
  )

const schemaFault = (error: Schema.SchemaError, root: unknown): JsonLine.JsonFault => {
  const issue = formatIssue(error.issue).issues[0]
  const path = (issue?.path ?? []).map((part) => {
    const key = typeof part === "object" ? part.key : part
    return typeof key === "symbol" ? String(key) : key
  })
  const problem = issue?.message ?? error.message
  // "Expected JSON value" names the field; the value that JSON cannot hold may be deep inside it
  const within = problem === "Expected JSON value" ? JsonLine.findFault(valueAt(root, path)) : undefined
  return within === undefined ? { path, problem } : { path: [...path, ...within.path], problem: within.problem }
}

/** Derives the encoder of a schema, once. */
export const make = (schema: Schema.ConstraintEncoder<unknown>): RecordEncoder => {
  const toJson = Schema.encodeUnknownEffect(Schema.toCodecJson(schema))
  const toEncoded = Schema.encodeUnknownEffect(schema)

  // The JSON codec of Schema.Number writes "NaN" and "Infinity" as strings: a number field that holds text. The slow
  // second encoding runs only for records that hold such a string.
  const refuseNonFinite = (value: unknown): Effect.Effect<void, AuditError.AuditError> =>
    toEncoded(value).pipe(
      Effect.catch(() => Effect.succeed(undefined)),
      Effect.flatMap((encoded) => {
        const fault = JsonLine.findNonFinite(encoded)
        return fault === undefined ? Effect.void : fail(fault.path, fault.problem)
      })
    )

  const finish = (
    json: unknown,
    value: unknown,
    stamp: Stamped
  ): Effect.Effect<Codec.Encoded, AuditError.AuditError> => {
    const encoded = Codec.encode(json, { at: stamp.at, trace: stamp.trace, value, source: stamp.source })
    if (Result.isFailure(encoded)) return Exit.fail(AuditError.make(encoded.failure))
    return JsonLine.mayHideNonFinite(encoded.success.fields)
      ? Effect.as(refuseNonFinite(value), encoded.success)
      : Exit.succeed(encoded.success)
  }

  const explain = (cause: Cause.Cause<Schema.SchemaError>, value: unknown) => {
    const error = Cause.findErrorOption(cause)
    if (error._tag === "Some") {
      const { path, problem } = schemaFault(error.value, value)
      return fail(path, problem)
    }
    if (!Cause.hasDies(cause)) return Effect.failCause(cause as Cause.Cause<never>)
    // a getter of the record or a transformation of the schema threw, or a cycle exhausted the stack
    return fail([], `encoding it threw ${String(Cause.squash(cause))}`)
  }

  return (value, stamp) => {
    let json: Effect.Effect<unknown, Schema.SchemaError>
    try {
      json = toJson(value)
    } catch (defect) {
      json = Effect.die(defect)
    }
    // Most schemas encode without asynchronous steps and give an Exit at once: six Effect nodes less for each append.
    if (isReady(json)) return finish(json.value, value, stamp)
    return json.pipe(
      Effect.catchCause((cause) => explain(cause, value)),
      Effect.flatMap((encoded) => finish(encoded, value, stamp))
    )
  }
}
