/** Compares the sums with the charges that they are of, day by day, the newest first. */
import { isDeepStrictEqual } from 'node:util'
import {
  addSums,
  countedTags,
  isClosed,
  namesOf,
  NO_SUMS,
  sumsOf,
  type SpendSums,
} from '../../rules/rollup-rules.ts'
import type { Connection } from '../file/file.ts'
import { integer, rowToCharge, type Row } from '../../rows/rows.ts'
import { rowToSums, rowToUsage, SUM_COLUMNS } from '../../rows/rollup-rows.ts'
import { placesOf } from '../../rules/rollup-places.ts'
import { type Place } from '../../rules/rollup-places.ts'
import type { SumsComparison } from '../../ledger-reader.ts'

const DAY_MS = 86_400_000

/**
 * Called inside a transaction.
 * @param most whole days are read until so many charges were
 */
export function compareRollups(db: Connection, most: number): SumsComparison {
  const newest = db.prepare('SELECT max(reserved_at) AS at FROM charges WHERE reserved_at < ?')
  const inDay =
    db.prepare(`SELECT charges.*, input_tokens, output_tokens FROM charges INDEXED BY charges_by_time
    LEFT JOIN charge_usage ON charge_usage.charge = charges.id WHERE reserved_at >= ? AND reserved_at < ?`)
  const keyOfTag =
    db.prepare(`SELECT id FROM spend_keys WHERE (tag, route, model, remote_model, payer, seller, caller, network,
    symbol, decimals) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
  const kept = db.prepare(`SELECT tile, tagged, state, start, key, ${SUM_COLUMNS.join(', ')} FROM rollups
    WHERE tile = ? AND tagged = ? AND state = ? AND start >= ? AND start < ?`)
  const ever = new Map<string, SpendSums>()
  let [charges, unbuilt, differing] = [0, 0, 0]
  let before = Number.MAX_SAFE_INTEGER
  for (;;) {
    const at = newest.get(before)?.['at']
    if (typeof at !== 'number' || charges >= most) {
      const isWhole = typeof at !== 'number'
      if (isWhole) differing += differences(ever, [...kept.all('ever', 0, 'uncertain', 0, 1)])
      return { charges, isWhole, unbuilt, differing }
    }
    const day = Math.floor(at / DAY_MS) * DAY_MS
    const sums = new Map<string, SpendSums>()
    for (const row of inDay.iterate(day, day + DAY_MS)) {
      charges += 1
      const charge = rowToCharge(row)
      if (row['key'] === null) unbuilt += 1
      if (row['key'] === null || !isClosed(charge.state)) continue
      const names = namesOf(charge)
      const { route, model, remoteModel, payer, seller, caller, network, symbol, decimals } = names
      const tagged = countedTags(charge).map((tag) => {
        const values = [tag, route, model, remoteModel, payer, seller, caller, network, symbol, decimals]
        return Number(keyOfTag.get(...values)?.['id'] ?? -1)
      })
      for (const place of placesOf(charge, integer(row, 'key'), tagged)) {
        const into = place[0] === 'ever' ? ever : sums
        const id = place.join()
        into.set(id, addSums(into.get(id) ?? NO_SUMS, sumsOf(charge, rowToUsage(row))))
      }
    }
    const rows = ['day', 'quarter'].flatMap((tile) =>
      [0, 1].flatMap((isTagged) =>
        ['settled', 'uncertain', 'released'].flatMap((state) =>
          kept.all(tile, isTagged, state, day, day + DAY_MS),
        ),
      ),
    )
    differing += differences(sums, rows)
    before = day
  }
}

/** How many rows are missing, too many, or say something else than the charges. */
function differences(expected: ReadonlyMap<string, SpendSums>, rows: readonly Row[]): number {
  const found = new Map(rows.map((row) => [placeOf(row).join(), rowToSums(row)]))
  const wrong = [...expected].filter(([id, sums]) => !isDeepStrictEqual(found.get(id), sums))
  const tooMany = [...found.keys()].filter((id) => !expected.has(id))
  return wrong.length + tooMany.length
}

function placeOf(row: Row): Place {
  const { tile, tagged, state } = row
  return [String(tile), tagged === 1 ? 1 : 0, String(state), integer(row, 'start'), integer(row, 'key')]
}
