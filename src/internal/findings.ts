/**
 * Counts findings and keeps the first of them: a damaged log can have as many as lines.
 */
import type { Findings } from "../VerifyReport.ts"

export class Collector<A> {
  count = 0
  private readonly first: Array<A> = []
  private readonly listedMax: number

  constructor(listedMax: number) {
    this.listedMax = listedMax
  }

  add(make: () => A): void {
    this.count++
    if (this.first.length < this.listedMax) this.first.push(make())
  }

  get findings(): Findings<A> {
    return { count: this.count, first: this.first }
  }
}
