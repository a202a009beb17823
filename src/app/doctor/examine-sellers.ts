/** The unpaid price of each paid route. Nothing is signed. */
import { systemClock } from '../../core/clock.ts'
import { findAsset, findEvmNetwork, findNetwork, type Asset } from '../../core/money/assets.ts'
import { formatUsd, parseUsd } from '../../core/money/money.ts'
import { assetAdvice, networkAdvice, valueAdvice } from '../../core/policy/config-lines.ts'
import type { Offer } from '../../core/x402/x402.ts'
import type { Route } from '../../core/routing/route.ts'
import { probe, type Probed } from '../buying/probe.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { clockFinding, examineSellerClock } from './examine-clocks.ts'
import { findingsOf, type Finding } from './finding.ts'

type Config = Pick<ResolvedConfig, 'routes' | 'payers' | 'assets' | 'policy'>

const { ok, warning, problem, skipped } = findingsOf('sellers')

/** Asks each seller once per model. @param ask replaced in tests */
export async function examineSellers(
  config: Config,
  signal: AbortSignal,
  ask: typeof probe = probe,
): Promise<Finding[]> {
  const paid = config.routes.filter(({ payer }) => payer !== undefined)
  const found = await Promise.all(paid.map((route) => examine(route, config, signal, ask)))
  return found.flat()
}

async function examine(
  route: Route,
  config: Config,
  signal: AbortSignal,
  ask: typeof probe,
): Promise<Finding[]> {
  const { modelName, apiBase } = route
  const model = route.model ?? modelName
  if (model.includes('*'))
    return [
      skipped(`${modelName} has no single price. Ask for one: tollway probe ${apiBase} --model <name>.`),
      await examineSellerClock(new URL(apiBase).origin, () => systemClock.now()),
    ]
  const probed = await ask({ url: apiBase, method: undefined, data: undefined, model }, config.assets, signal)
  const place = `${modelName} at ${new URL(apiBase).host}`
  const fix = `Look at the answer with tollway probe ${apiBase} --model ${model}.`
  if (probed.error) return [problem(`${place}: ${probed.error.message}`, fix)]
  if (probed.status !== 402)
    return [warning(`${place} answered ${probed.status ?? 'nothing'} and asked for no payment.`, fix)]
  return [judge(place, probed, route, config), ...clockFinding(place, probed.clockSkewSeconds)]
}

function judge(place: string, { offers, rawOffers }: Probed, route: Route, config: Config): Finding {
  const payer = config.payers.get(route.payer ?? '')
  const networks = (payer?.networks ?? []).map((id) => findNetwork(id)?.alias ?? id)
  const payable = offers.filter(({ network }) => networks.includes(network))
  if (payable.length === 0)
    return problem(
      `${place} takes payments on ${names(offers.map(({ network }) => network))}; payer ${route.payer} pays on ${names(networks)}.`,
      networkFix(rawOffers, payer?.networks ?? [], config.assets),
    )
  const prices = payable.flatMap(({ usd }) => parseUsd(usd) ?? [])
  const cheapest = prices.toSorted((a, b) => (a < b ? -1 : 1))[0]
  const { maxMicroUsd } = config.policy
  if (cheapest === undefined)
    return warning(
      `${place} asks for a token without a value in USD.`,
      tokenFix(
        payable.flatMap(({ option }) => rawOffers[option - 1] ?? []),
        config.assets,
      ),
    )
  if (maxMicroUsd !== 'none' && cheapest > maxMicroUsd)
    return problem(
      `${place} asks $${formatUsd(cheapest)}, above the ceiling of $${formatUsd(maxMicroUsd)} per request.`,
      `Raise policy.max_usd_per_request if that price is right: policy: { max_usd_per_request: "${formatUsd(cheapest)}" }.`,
    )
  return ok(`${place} asks $${formatUsd(cheapest)} per request.`)
}

/** The lines to add for the first offer on a network that a payer can pay on; the seller may name others before it. */
function networkFix(offers: readonly Offer[], networks: readonly string[], assets: readonly Asset[]): string {
  const offer = offers.find(({ network }) => findNetwork(network) ?? findEvmNetwork(network)) ?? offers[0]
  return offer ? networkAdvice(offer, networks, assets).join(' ') : 'Use another seller.'
}

/** The lines to add for a token; one that is known and has no value comes first. */
function tokenFix(offers: readonly Offer[], assets: readonly Asset[]): string {
  for (const { network, asset } of offers) {
    const known = findAsset(assets, network, asset)
    if (known) return valueAdvice(known)
  }
  return offers.slice(0, 1).flatMap(assetAdvice).join(' ')
}

function names(list: readonly string[]): string {
  return [...new Set(list)].join(', ') || 'none'
}
