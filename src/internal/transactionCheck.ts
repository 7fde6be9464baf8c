/**
 * Counts records and transactions as a reader shows them: a transaction when one attempt to append it stands whole, and
 * each record once. Pure state, no files.
 */
import type { Place } from "../LogEntry.ts"
import type * as Report from "../VerifyReport.ts"
import { Collector } from "./findings.ts"
import type { RecentRecords } from "./recentRecords.ts"
import type { StampReader } from "./stampReader.ts"
import type { WriterTable } from "./writerTable.ts"

/** Where the record stands that is being looked at. */
export interface Here {
  readonly segment: number
  readonly offset: number
  readonly length: number
  readonly place: () => Place
}

/** The first part that was found of an attempt. */
interface Begun {
  readonly file: string
  readonly offset: number
  readonly seq: number
}

interface Lost extends Report.Incomplete {
  readonly seq: number
}

export class TransactionCheck {
  records = 0
  transactions = 0
  readonly incomplete: Collector<Report.Incomplete>
  private readonly begun = new Map<number, Begun>()
  private readonly lost = new Map<number, Array<Lost>>()
  /** Those that stood whole and are appended again: not to be counted twice. */
  private readonly repeated = new Set<string>()
  private readonly reader: StampReader
  private readonly table: WriterTable
  private readonly recent: RecentRecords

  constructor(reader: StampReader, table: WriterTable, recent: RecentRecords, listedMax: number) {
    this.reader = reader
    this.table = table
    this.recent = recent
    this.incomplete = new Collector(listedMax)
  }

  /** Takes a record. False if it ends a transaction of its writer that is not complete. */
  add(writer: number, isRepeat: boolean, here: Here): boolean {
    const { reader, table } = this
    if (reader.txAt < 0) {
      if (!isRepeat) this.records++
      if (table.txCount[writer] === 0) return true
      this.abandon(writer)
      return false
    }
    let isOrderly = true
    if (
      table.txCount[writer] === 0 || table.txAttempt[writer] !== reader.attempt ||
      !table.isTransaction(writer, reader.view, reader.txAt)
    ) {
      if (table.txCount[writer] !== 0) {
        this.abandon(writer)
        isOrderly = false
      }
      this.begin(writer, here)
    }
    const found = ++table.txFound[writer]!
    if (found === table.txCount[writer]) this.complete(writer, found)
    return isOrderly
  }

  /** At the end of the log. Of some writers the records before a number are in a segment that was removed. */
  end(startsAt: (writer: number) => number | undefined): void {
    for (const writer of this.begun.keys()) this.abandon(writer)
    for (const [writer, transactions] of this.lost) {
      for (const { seq, ...transaction } of transactions) {
        if (seq !== startsAt(writer)) this.incomplete.add(() => transaction)
      }
    }
  }

  private begin(writer: number, here: Here): void {
    const { reader, table } = this
    if (this.stoodWhole(writer)) this.repeated.add(reader.transaction)
    table.txCount[writer] = Math.max(1, reader.txCount)
    table.txFound[writer] = 0
    table.txAttempt[writer] = reader.attempt
    table.setTransaction(writer, reader.view, reader.txAt)
    const { file, offset } = here.place()
    this.begun.set(writer, { file, offset, seq: reader.seq })
  }

  private complete(writer: number, parts: number): void {
    const { reader, repeated, table } = this
    table.txCount[writer] = 0
    this.begun.delete(writer)
    const lost = this.lost.size === 0 ? undefined : this.lost.get(writer)
    const id = lost !== undefined || repeated.size > 0 ? reader.transaction : ""
    if (lost !== undefined) this.lost.set(writer, lost.filter(({ transaction }) => transaction !== id))
    if (repeated.has(id)) return
    this.transactions++
    this.records += parts
  }

  private abandon(writer: number): void {
    const { table } = this
    const { file, offset, seq } = this.begun.get(writer)!
    const transaction = table.transaction(writer)
    this.begun.delete(writer)
    const expected = table.txCount[writer]!
    table.txCount[writer] = 0
    const lost = this.lost.get(writer) ?? []
    // of several attempts the last one is shown
    const others = lost.filter((other) => other.transaction !== transaction)
    others.push({ file, offset, seq, writer: table.id(writer), transaction, found: table.txFound[writer]!, expected })
    this.lost.set(writer, others)
  }

  /** Whether all parts of the transaction stand in the log already, in one attempt. */
  private stoodWhole(writer: number): boolean {
    const { reader, recent } = this
    if (reader.attempt === 0) return false
    const first = reader.seq - reader.txIndex
    let attempt = -1
    for (let seq = first; seq < first + reader.txCount; seq++) {
      const at = recent.findId(writer, seq)
      if (at < 0 || (attempt >= 0 && recent.attempt(at) !== attempt)) return false
      attempt = recent.attempt(at)
    }
    return true
  }
}
