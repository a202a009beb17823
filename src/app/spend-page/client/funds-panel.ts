/// <reference lib="dom" />
/** Wallets and voucher pools: the funds available for payments. */
import type { FundsView } from './data.ts'
import { find, make } from './dom.ts'
import { host, shorten, usd } from './format.ts'

/** Shows the funds, or explains what would be shown if they were monitored. */
export function showFunds({ wallets, pools }: FundsView): void {
  find('funds', HTMLElement).replaceChildren(
    ...(wallets === null || wallets.length === 0
      ? [
          make(
            'p',
            { class: 'empty' },
            'No wallet to show. The balance of each payer with an address of its own is shown here, read from the nodes under chains.',
          ),
        ]
      : wallets.map(walletNode)),
    ...(pools === null || pools.length === 0
      ? [
          make(
            'p',
            { class: 'empty' },
            'No voucher pools. Payments signed in advance are counted here, with the amount they could take.',
          ),
        ]
      : pools.map(poolNode)),
  )
}

function walletNode({
  payer,
  network_name: network,
  address,
  asset,
  usd: value,
}: NonNullable<FundsView['wallets']>[number]): HTMLElement {
  const balance = value === null ? (asset === null ? 'no node to ask' : 'not readable') : usd(value)
  return make(
    'div',
    { class: 'fund' },
    make(
      'p',
      { class: 'fund-head' },
      make('strong', {}, payer),
      make('span', { class: 'soft' }, asset === null ? network : `${asset} on ${network}`),
      make('span', { class: value === null ? 'number soft' : 'number' }, balance),
    ),
    address === null ? undefined : make('p', { class: 'soft hash', title: address }, shorten(address, 10, 8)),
  )
}

function poolNode({
  payer,
  pool,
  seller,
  vouchers,
  exposure_usd: exposure,
}: NonNullable<FundsView['pools']>[number]): HTMLElement {
  const counts = Object.entries(vouchers).filter(([state, number]) => number > 0 || state === 'ready')
  return make(
    'div',
    { class: 'fund' },
    make(
      'p',
      { class: 'fund-head' },
      make('strong', {}, `${payer}: ${pool}`),
      make('span', { class: 'soft' }, host(seller)),
      make('span', { class: 'number' }, `${usd(exposure)} exposed`),
    ),
    make(
      'p',
      { class: 'soft budget-foot' },
      ...counts.map(([state, number]) => make('span', {}, `${number} ${state}`)),
    ),
  )
}
