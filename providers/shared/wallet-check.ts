/** Checks with its nodes whether a wallet can pay a quote. Without a node, or when it is silent, nothing is refused. */
import type { Asset } from '../../src/core/money/assets.ts'
import { TollwayError } from '../../src/core/errors.ts'
import { formatUnits } from '../../src/core/money/money.ts'
import { approveAdvice } from '../../src/core/payer/permit2.ts'
import type { Quote } from '../../src/core/policy/gate.ts'
import type { WalletFunds } from '../../src/io/chain/wallet-reader.ts'
import type { WalletWatch } from '../../src/io/chain/wallet-watch.ts'

/** What is needed besides the payment itself. */
export interface Readiness {
  /** Permit2's allowance is too low, and the seller accepts a signed one with the payment. */
  readonly sponsor: boolean
}

/**
 * Checks contract, balance and allowance.
 * @param times how many payments of the quote are wanted; several cannot carry their own allowance, because each would set it to
 * its own amount
 * @throws TollwayError `asset_not_deployed`, `insufficient_funds`
 */
export async function checkWallet(
  quote: Quote,
  watch: WalletWatch | undefined,
  times = 1n,
): Promise<Readiness> {
  const { asset, method } = quote
  const amount = quote.amount * times
  const needsAllowance = method === 'permit2'
  const suffices = ({ deployed, balance, allowance }: WalletFunds): boolean =>
    deployed && balance >= amount && (!needsAllowance || allowance >= amount)
  const funds = await watch?.funds(asset.address, suffices)
  if (!funds || suffices(funds)) return { sponsor: false }
  if (!funds.deployed) throw notDeployed(asset)
  if (funds.balance < amount) throw tooPoor(asset, amount, funds.balance)
  if (times === 1n && quote.sponsoring !== undefined && asset.domain !== undefined) return { sponsor: true }
  throw notAllowed(asset, amount, funds.allowance)
}

function notDeployed({ symbol, address, network }: Asset): TollwayError {
  return new TollwayError({
    code: 'asset_not_deployed',
    message: `There is no contract at ${address} on ${network}, where ${symbol} should be; nothing was signed.`,
    advice: ['Correct the address under assets, or the node under chains.'],
  })
}

function tooPoor(asset: Asset, amount: bigint, balance: bigint): TollwayError {
  const units = (value: bigint): string => `${formatUnits(value, asset.decimals)} ${asset.symbol}`
  return new TollwayError({
    code: 'insufficient_funds',
    message: `The wallet has ${units(balance)} left on ${asset.network}, but needs ${units(amount)}; nothing was signed.`,
    advice: ['Send the token to the paying address.'],
    details: { balance: units(balance), needed: units(amount), shortfall: units(amount - balance) },
  })
}

function notAllowed(asset: Asset, amount: bigint, allowance: bigint): TollwayError {
  return new TollwayError({
    code: 'insufficient_funds',
    message: `The seller is paid by Permit2, which may take ${allowance} units of ${asset.symbol} from the wallet, but ${amount} are needed; nothing was signed.`,
    advice: approveAdvice(asset, amount),
    details: { permit2_allowance: allowance.toString(), needed: amount.toString() },
  })
}
