import type { Spend } from '../core/budget/budget.ts'
import type { Quote } from '../core/policy/gate.ts'
import type { Exchange } from '../core/request/exchange.ts'
import type { Candidate } from '../core/routing/route.ts'
import { publicName } from '../core/routing/catalogue.ts'
import type { Ledger } from '../io/ledger/ledger.ts'

export function termsOf(
  exchange: Exchange,
  quote: Quote,
  candidate: Candidate,
): Parameters<Ledger['reserve']>[0] {
  return {
    requestId: exchange.id,
    caller: exchange.caller.id,
    ...namesOf(exchange, candidate),
    model: exchange.request.model ?? '',
    remoteModel: candidate.remoteModel,
    route: candidate.route.modelName,
    payer: candidate.route.payer ?? '',
    seller: quote.origin,
    apiBase: candidate.route.apiBase,
    network: quote.asset.network,
    asset: quote.asset.address,
    symbol: quote.asset.symbol,
    decimals: quote.asset.decimals,
    payTo: quote.payTo,
    amount: quote.amount,
    microUsd: quote.microUsd,
  }
}

/** What budgets match a request by, beside what is stored with its charge. */
export function namesOf(
  { request, caller }: Exchange,
  { route, remoteModel }: Candidate,
): Pick<Spend, 'team' | 'model' | 'publicModel' | 'remoteModel'> {
  return {
    team: caller.team,
    model: request.model,
    publicModel: publicName(route, remoteModel),
    remoteModel,
  }
}
