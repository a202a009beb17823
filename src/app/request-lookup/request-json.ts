/** A request and its payment as JSON, for `GET /v1/tollway/requests/<id>`. */
import { takenOf, type Charge } from '../../core/charge/charge.ts'
import { formatUsd } from '../../core/money/money.ts'
import { chargeBasics } from '../spend-page/charge-json.ts'
import type { EndedRequest, KnownRequest } from './recent-requests.ts'

/**
 * Money as strings, times in RFC 3339, unknown values as `null`. The payment is that of the newest charge as it is in the ledger
 * now, later proofs included.
 */
export function requestJson(known: KnownRequest, charges: readonly Charge[]): object {
  const { ended } = known
  const newest = charges.toSorted((a, b) => a.reservedAt - b.reservedAt).at(-1)
  return {
    object: 'tollway.request',
    id: known.id,
    caller: known.caller,
    in_progress: ended === undefined && (newest?.state === 'held' || newest?.state === 'authorized'),
    ended_at: ended?.endedAt ?? null,
    method: ended?.method ?? null,
    endpoint: ended?.endpoint ?? null,
    model: ended?.model ?? newest?.model ?? null,
    route: ended?.route ?? newest?.route ?? null,
    status: ended?.status ?? null,
    outcome: ended?.outcome ?? null,
    code: ended?.code ?? null,
    dry_run: ended?.dryRun ?? false,
    truncated: ended?.truncated ?? false,
    usage: usageOf(ended),
    spent: spentOf(newest),
    state: newest?.state ?? 'none',
    cost_usd: costOf(newest),
    transaction: newest?.transaction ?? null,
    seller: { origin: newest?.seller ?? null, message: ended?.sellerMessage ?? null },
    charges: charges.map((charge) => ({ ...chargeBasics(charge), usd: costOf(charge) })),
  }
}

function usageOf(ended: EndedRequest | undefined): object | null {
  if (!ended || ended.inputTokens === null) return null
  return { input_tokens: ended.inputTokens, output_tokens: ended.outputTokens }
}

function spentOf(charge: Charge | undefined): 'no' | 'yes' | 'unknown' {
  if (charge?.state === 'settled') return 'yes'
  return charge?.state === 'authorized' || charge?.state === 'uncertain' ? 'unknown' : 'no'
}

/** What counts in the budgets: nothing before it is signed, and nothing once it is proven unspent. */
function costOf(charge: Charge | undefined): string | null {
  if (charge === undefined) return null
  if (spentOf(charge) === 'no') return '0'
  const { microUsd } = takenOf(charge)
  return microUsd === undefined ? null : formatUsd(microUsd)
}
