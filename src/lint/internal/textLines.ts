/**
 * Lines and columns of a text. Both start at 1; a column counts UTF-16 code units.
 *
 * @since 0.1.0
 */

/** Where something stands. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** The lines of a text, by the offset at which each starts. */
export class TextLines {
  readonly text: string
  readonly #starts: ReadonlyArray<number>

  constructor(text: string) {
    this.text = text
    const starts = [0]
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1)
    this.#starts = starts
  }

  get count(): number {
    return this.#starts.length
  }

  /** The number of the line in which an offset is. */
  lineAt(offset: number): number {
    let low = 0
    let high = this.#starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#starts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return low + 1
  }

  positionAt(offset: number): Position {
    const line = this.lineAt(offset)
    return { line, column: offset - this.startOf(line) + 1 }
  }

  /** The offset at which a line starts. */
  startOf(line: number): number {
    return this.#starts[line - 1] ?? this.text.length
  }

  /** A line without its end. */
  textOf(line: number): string {
    const end = this.#starts[line]
    return this.text.slice(this.startOf(line), end === undefined ? undefined : end - 1).replace(/\r$/, "")
  }
}
