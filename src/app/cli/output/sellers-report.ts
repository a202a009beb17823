/** Pinned payees and prices, for people and as JSON. */
import { ANY_PAYEE } from '../../../core/policy/payees.ts'
import { findNetwork } from '../../../core/money/assets.ts'
import { formatUnits } from '../../../core/money/money.ts'
import type { KnownPrice } from '../../../io/store/contracts/sellers.ts'
import { tokenOf, type KnownSellers, type SellersConfig } from '../../operations/seller-pins.ts'
import { renderTable } from './table.ts'

/** Pins and last prices as tables. */
export function renderSellers(known: KnownSellers, config: SellersConfig): string {
  const { payTo } = config.policy
  const configured = [...payTo].map(
    ([origin, payees]) =>
      `${origin} (policy.sellers): ${payees === ANY_PAYEE ? 'any payee' : payees.join(', ')}\n`,
  )
  if (known.pins.length + known.prices.length + configured.length === 0) {
    return 'No seller is pinned yet: the first settled payment to a seller pins it.\n'
  }
  return [
    ...(configured.length === 0 ? [] : [configured.join('')]),
    ...(known.pins.length === 0 ? [] : [pinTable(known, config)]),
    ...(known.prices.length === 0 ? [] : [priceTable(known.prices, config)]),
  ].join('\n')
}

/** The result of `tollway sellers trust`. */
export function renderTrusted(changed: KnownSellers, config: SellersConfig): string {
  const overruled = changed.pins.find(({ apiBase }) => config.policy.payTo.has(new URL(apiBase).origin))
  const note =
    overruled === undefined
      ? ''
      : '\nNote: policy.sellers lists the payees of this seller and takes precedence over pins.\n'
  return `Trusted from the next payment on.\n\n${renderSellers(changed, { ...config, policy: { ...config.policy, payTo: new Map() } })}${note}`
}

function pinTable({ pins }: KnownSellers, config: SellersConfig): string {
  const rows = pins.map((pin) => [
    pin.apiBase,
    aliasOf(pin.network),
    tokenOf(config, pin).symbol,
    pin.payTo,
    new Date(pin.pinnedAt).toISOString().slice(0, 16),
  ])
  return renderTable(['SELLER', 'NETWORK', 'TOKEN', 'PAYEE', 'SINCE (UTC)'], rows)
}

function priceTable(prices: readonly KnownPrice[], config: SellersConfig): string {
  const rows = prices.map((price) => {
    const { symbol, decimals } = tokenOf(config, price)
    const units = (amount: bigint): string => formatUnits(amount, decimals)
    const { apiBase, endpoint, model } = price
    return [
      apiBase,
      endpoint,
      model,
      `${units(price.pinned)} ${symbol}`,
      units(price.last),
      units(price.first),
    ]
  })
  return renderTable(['SELLER', 'PATH', 'MODEL', 'PINNED PRICE', 'LAST', 'FIRST'], rows)
}

function aliasOf(id: string): string {
  return findNetwork(id)?.alias ?? id
}
