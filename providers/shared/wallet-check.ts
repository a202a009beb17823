/** Checks with its nodes whether a wallet can pay a quote. Without a node, or when it is silent, nothing is refused. */
import { findNetwork, type Asset } from '../../src/core/money/assets.ts'
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
 * @throws TollwayError `asset_not_deployed`, `insufficient_funds`, `wallet_not_plain`
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
  if (!watch) return { sponsor: false }
  const [funds, code] = await Promise.all([watch.funds(asset.address, suffices), watch.code()])
  if (code !== undefined && code !== '0x') throw hasCode(watch.owner, asset, code)
  if (!funds || suffices(funds)) return { sponsor: false }
  if (!funds.deployed) throw notDeployed(asset)
  if (funds.balance < amount) throw tooPoor(watch.owner, asset, amount, funds.balance)
  if (times === 1n && quote.sponsoring !== undefined && asset.domain !== undefined) return { sponsor: true }
  throw notAllowed(watch.owner, asset, amount, funds.allowance)
}

function notDeployed({ symbol, address, network }: Asset): TollwayError {
  return new TollwayError({
    code: 'asset_not_deployed',
    message: `There is no contract at ${address} on ${network}, where ${symbol} should be; nothing was signed.`,
    advice: ['Correct the address under assets, or the node under chains.'],
  })
}

/** The code at an address that delegated it (EIP-7702): this prefix, then the address of the code. */
const DELEGATION = /^0xef0100([0-9a-f]{40})$/

/** Tokens ask such a wallet's code whether a signature is valid (ERC-1271), and most code says no to a bare key's. */
function hasCode(owner: string, { network }: Asset, code: string): TollwayError {
  const target = DELEGATION.exec(code)?.[1]
  const where = nameOf(network)
  return new TollwayError({
    code: 'wallet_not_plain',
    message:
      target === undefined
        ? `The paying wallet ${owner} is a contract on ${where}: tokens do not take the signature of a key for it; nothing was signed.`
        : `The paying wallet ${owner} has delegated its code to 0x${target} on ${where} (EIP-7702): tokens ask that code about signatures, and refuse those of the key; nothing was signed.`,
    advice: [
      target === undefined
        ? 'Pay from a wallet with a key of its own.'
        : 'Pay from another wallet, or end the delegation: an EIP-7702 transaction that delegates to the zero address.',
    ],
    details: { wallet: owner },
  })
}

function nameOf(network: string): string {
  return findNetwork(network)?.alias ?? network
}

function tooPoor(owner: string, asset: Asset, amount: bigint, balance: bigint): TollwayError {
  const units = (value: bigint): string => `${formatUnits(value, asset.decimals)} ${asset.symbol}`
  return new TollwayError({
    code: 'insufficient_funds',
    message: `The paying wallet ${owner} holds ${units(balance)} on ${nameOf(asset.network)}, and ${units(amount)} are needed; nothing was signed.`,
    advice: [`Send ${asset.symbol} on ${nameOf(asset.network)} to ${owner}.`],
    details: {
      wallet: owner,
      balance: units(balance),
      needed: units(amount),
      shortfall: units(amount - balance),
    },
  })
}

function notAllowed(owner: string, asset: Asset, amount: bigint, allowance: bigint): TollwayError {
  return new TollwayError({
    code: 'insufficient_funds',
    message: `The seller is paid by Permit2, which may take ${allowance} units of ${asset.symbol} from the wallet, but ${amount} are needed; nothing was signed. The paying wallet is ${owner}.`,
    advice: approveAdvice(asset, amount),
    details: { wallet: owner, permit2_allowance: allowance.toString(), needed: amount.toString() },
  })
}
