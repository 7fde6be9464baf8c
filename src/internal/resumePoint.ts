/**
 * Where reading the local log goes on after what was shipped: a text that a destination keeps with its head.
 *
 * It names segments by their first line, so that it holds across rotations and renames, and carries a check of the bytes
 * before each offset, so that a log that was restored, cut or rewritten is not taken for the one that was shipped.
 */

/** How far one segment was shipped. */
export interface Place {
  readonly name: string
  /** Decides between segments that begin with the same line. */
  readonly inode: string
  readonly offset: number
  readonly check: string
}

/** The segment that is being shipped comes last; before it those that may still grow by a write in flight. */
export type ResumePoint = ReadonlyArray<Place>

/** Segments that are looked at again after a rotation, for a write that was in flight into them. */
export const earlierMax = 3

export const format = (places: ResumePoint): string =>
  JSON.stringify([1, ...places.map(({ check, inode, name, offset }) => [name, inode, offset, check])])

/** `undefined` if it is none, or of a newer version. */
export const parse = (text: string): ResumePoint | undefined => {
  try {
    const [version, ...places] = JSON.parse(text) as ReadonlyArray<unknown>
    if (version !== 1 || places.length === 0) return undefined
    return places.map((place) => {
      const [name, inode, offset, check] = place as ReadonlyArray<unknown>
      if (!Number.isSafeInteger(offset) || [name, inode, check].some((part) => typeof part !== "string")) {
        throw new Error("no place")
      }
      return { name: String(name), inode: String(inode), offset: Number(offset), check: String(check) }
    })
  } catch {
    return undefined
  }
}
