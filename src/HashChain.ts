/**
 * Links each line of a writer to the one before it, and checks the hash of a line. Pure.
 *
 * Every writer has a chain of its own, so that many processes can append to one file without a lock; `seen` ties the
 * chains together. Without a key the hash is SHA-256: it finds accidents and careless edits, not somebody who rewrites
 * the rest of the file. With a key it is HMAC-SHA-256.
 *
 * @since 0.1.0
 */
import * as Redacted from "effect/Redacted"
import { createHmac, createSecretKey, hash } from "node:crypto"
import type { TransactionPlace } from "./AuditRecord.ts"
import * as Codec from "./Codec.ts"

/**
 * A key for HMAC-SHA-256. The `id` is written into every line; up to 64 characters of `A-Z a-z 0-9 . _ -`. The secret
 * should have 32 random bytes or more.
 *
 * @category models
 * @since 0.1.0
 */
export interface Key {
  readonly id: string
  readonly secret: Redacted.Redacted<string | Uint8Array>
}

/**
 * What the id of a {@link Key} looks like.
 *
 * @category constants
 * @since 0.1.0
 */
export const keyIdPattern = /^[A-Za-z0-9._-]{1,64}$/

/**
 * Hashes the head of a line to the 43 characters of its `_hash`.
 *
 * @category models
 * @since 0.1.0
 */
export type Digest = (head: string | Uint8Array) => string

/**
 * The digest for a key, or plain SHA-256 without one. Throws if the id is no key id or the secret is empty: an error of
 * the program, found when a log is built.
 *
 * @category constructors
 * @since 0.1.0
 */
export const digest = (key: Key | undefined): Digest => {
  if (key === undefined) return (head) => hash("sha256", head, "base64url")
  if (!keyIdPattern.test(key.id)) throw new Error(`not a key id: ${JSON.stringify(key.id)}`)
  // a copy: the caller may wipe its bytes after this
  const bytes = Buffer.from(Redacted.value(key.secret) as Uint8Array)
  if (bytes.length === 0) throw new Error(`the secret of key ${key.id} is empty`)
  const secret = createSecretKey(bytes)
  return (head) => createHmac("sha256", secret).update(head).digest("base64url")
}

/**
 * Where a writer's chain stands: the next record's `seq`, and the hash of the record before it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Head {
  readonly writer: string
  readonly seq: number
  readonly prev: string | undefined
}

/**
 * Records that land together. `id` is needed only where there is more than one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Group {
  readonly id: string
  readonly records: ReadonlyArray<Codec.Encoded>
}

/**
 * A stamped and hashed line: its text with the newline, and its length in UTF-8.
 *
 * @category models
 * @since 0.1.0
 */
export interface Line {
  readonly text: string
  readonly bytes: number
  readonly seq: number
  readonly hash: string
}

/**
 * What the lines of a group have in common.
 *
 * @category models
 * @since 0.1.0
 */
export interface LinkOptions {
  readonly seen: string | undefined
  readonly attempt: number
  readonly key: string | undefined
}

/**
 * Stamps the records of a group in their order, and returns the chain's head after them. `close` gets a record's stamp,
 * which with the record's fields is the text that its hash covers, closes them to a line wherever lines are kept, and
 * returns the hash.
 *
 * @category chaining
 * @since 0.1.0
 */
export const chain = (
  head: Head,
  group: Group,
  options: LinkOptions,
  close: (stamp: string, record: Codec.Encoded, seq: number) => string
): Head => {
  const n = group.records.length
  let { prev, seq } = head
  for (let i = 0; i < n; i++) {
    const record = group.records[i]!
    const tx: TransactionPlace | undefined = n > 1 ? { id: group.id, i, n } : undefined
    const stamp = Codec.stamp(record, {
      writer: head.writer,
      seq,
      prev,
      seen: options.seen,
      tx,
      attempt: options.attempt,
      key: options.key
    })
    prev = close(stamp, record, seq)
    seq++
  }
  return { writer: head.writer, seq, prev }
}

/**
 * Stamps and hashes the records of a group in their order, and returns their lines and the head after them.
 *
 * @category chaining
 * @since 0.1.0
 */
export const link = (
  head: Head,
  group: Group,
  options: LinkOptions & { readonly digest: Digest }
): { readonly lines: ReadonlyArray<Line>; readonly head: Head } => {
  const lines: Array<Line> = []
  const after = chain(head, group, options, (stamp, record, seq) => {
    const text = stamp + record.fields
    const hash = options.digest(text)
    const line = Codec.seal(text, hash)
    // everything but the fields is ASCII
    lines.push({ text: line, bytes: line.length - record.fields.length + record.fieldsBytes, seq, hash })
    return hash
  })
  return { lines, head: after }
}

/**
 * A resync line, hashed.
 *
 * @category chaining
 * @since 0.1.0
 */
export const resync = (writer: string, key: string | undefined, digest: Digest): string => {
  const head = Codec.resyncHead(writer, key)
  return Codec.seal(head, digest(head))
}

/**
 * The digests a reader has: one for lines without a key, one for each key id it knows.
 *
 * @category models
 * @since 0.1.0
 */
export type Digests = (key: string | undefined) => Digest | undefined

/**
 * The digests for a set of keys. Lines whose key is not among them cannot be checked.
 *
 * @category constructors
 * @since 0.1.0
 */
export const digests = (keys: ReadonlyArray<Key> = []): Digests => {
  const plain = digest(undefined)
  const keyed = new Map(keys.map((key) => [key.id, digest(key)]))
  return (key) => key === undefined ? plain : keyed.get(key)
}

/**
 * Whether the `_hash` of a trimmed line is that of its bytes; `"key"` if the line names a key that is not known.
 *
 * @category checks
 * @since 0.1.0
 */
export const check = (line: Uint8Array, key: string | undefined, digests: Digests): "ok" | "hash" | "key" => {
  const parts = Codec.unseal(line)
  if (parts === undefined) return "hash"
  const digest = digests(key)
  if (digest === undefined) return "key"
  return digest(parts.head) === parts.hash ? "ok" : "hash"
}
