/** Compares the sums with the charges that they are of, day by day, the newest first. */
import { isDeepStrictEqual } from 'node:util'
import type { SumsComparison } from '../../ledger-reader.ts'
import { rowToSums, rowToUsage, SUM_COLUMNS } from '../../rows/rollup-rows.ts'
import { integer, rowToCharge, text, type Row } from '../../rows/rows.ts'
import { placesOf } from '../../rules/rollup-places.ts'
import { addSums, countedTags, isClosed, NO_SUMS, sumsOf, type SpendSums } from '../../rules/rollup-rules.ts'
import type { Transaction } from '../database/transaction.ts'
import { PostgresRollups } from './rollups.ts'

const DAY_MS = 86_400_000
const KEPT = `SELECT tile, tagged, state, start, key, ${SUM_COLUMNS.join(', ')} FROM rollups`

/** See `LedgerReader.compareSums`. Called inside a transaction. */
export async function compareRollups(db: Transaction, most: number): Promise<SumsComparison> {
  const rollups = new PostgresRollups(db)
  const ever = new Map<string, SpendSums>()
  let [charges, differing] = [0, 0]
  let before = Number.MAX_SAFE_INTEGER
  for (;;) {
    const newest = await db.get('SELECT max(reserved_at) AS at FROM charges WHERE reserved_at < ?', before)
    const isWhole = !newest || newest['at'] === null
    if (isWhole || charges >= most) {
      if (isWhole) differing += differences(ever, await db.all(`${KEPT} WHERE tile = 'ever'`))
      return { charges, isWhole, unbuilt: 0, differing }
    }
    const day = Math.floor(integer(newest, 'at') / DAY_MS) * DAY_MS
    const rows = await db.all(
      `SELECT charges.*, input_tokens, output_tokens FROM charges
      LEFT JOIN charge_usage ON charge_usage.charge = charges.id WHERE reserved_at >= ? AND reserved_at < ?`,
      day,
      day + DAY_MS,
    )
    const sums = new Map<string, SpendSums>()
    for (const row of rows) {
      charges += 1
      const charge = rowToCharge(row)
      if (!isClosed(charge.state)) continue
      const tagged: number[] = []
      for (const tag of countedTags(charge)) tagged.push((await rollups.knownKey(charge, tag)) ?? -1)
      for (const place of placesOf(charge, integer(row, 'key'), tagged)) {
        const into = place[0] === 'ever' ? ever : sums
        const id = place.join()
        into.set(id, addSums(into.get(id) ?? NO_SUMS, sumsOf(charge, rowToUsage(row))))
      }
    }
    const kept = await db.all(
      `${KEPT} WHERE tile IN ('day', 'quarter') AND start >= ? AND start < ?`,
      day,
      day + DAY_MS,
    )
    differing += differences(sums, kept)
    before = day
  }
}

/** How many rows are missing, too many, or say something else than the charges. */
function differences(expected: ReadonlyMap<string, SpendSums>, rows: readonly Row[]): number {
  const found = new Map(rows.map((row) => [placeOf(row), rowToSums(row)]))
  const wrong = [...expected].filter(([id, sums]) => !isDeepStrictEqual(found.get(id), sums))
  const tooMany = [...found.keys()].filter((id) => !expected.has(id))
  return wrong.length + tooMany.length
}

function placeOf(row: Row): string {
  const place = [text(row, 'tile'), integer(row, 'tagged'), text(row, 'state')]
  return [...place, integer(row, 'start'), integer(row, 'key')].join()
}
