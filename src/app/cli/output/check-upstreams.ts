/** The upstreams in x402-buyer's files, for `tollway check`. */
import { findNetwork } from '../../../core/money/assets.ts'
import type { FilesInspection } from '../../obol/inspect-files.ts'
import { renderTable } from './table.ts'

/** A table of the upstreams and a note for each problem; signatures are never shown. */
export function renderUpstreams({ upstreams, problems }: FilesInspection): string {
  const rows = upstreams.map((one) => [
    one.name,
    one.model,
    one.url,
    one.payer,
    findNetwork(one.network)?.alias ?? one.network,
    one.price_usd === null ? `${one.price} units of ${one.symbol}` : `$${one.price_usd} in ${one.symbol}`,
    String(one.ready),
    one.earliest_expiry ?? '-',
  ])
  const header = ['UPSTREAM', 'MODEL', 'URL', 'PAYER', 'NETWORK', 'PRICE', 'READY', 'FIRST EXPIRY']
  const table = rows.length === 0 ? 'No upstreams in the files.\n' : renderTable(header, rows)
  return `${table}${problems.map((problem) => `Note: ${problem}\n`).join('')}`
}
