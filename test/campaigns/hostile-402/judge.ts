/**
 * What may be signed, said a second time and in other words than the gate says it: the campaign holds the gate and every
 * payment that leaves against this.
 */
import { PAYEE, USDC } from './replies.ts'

/** The limits the campaign's policy sets. */
export const LIMITS = { mostAtomic: 100_000n, mostSeconds: 600, network: 'eip155:84532' } as const

/** Who may take a payment by Permit2: the two proxies of x402, by scheme. */
const PROXIES: ReadonlyMap<unknown, string> = new Map([
  ['exact', '0x402085c248eea27d92e8b30b2c58ed07f9e20001'],
  ['upto', '0x4020a4f3b7b90cca423b9fabcc0ce57c6c240002'],
])

/** What was agreed to, or signed. */
export interface Signable {
  readonly amount: bigint
  readonly payTo: string
  readonly asset: string
  readonly network: string
  readonly seconds: number
  /** Of a payment by Permit2: who may take it. */
  readonly spender?: string | undefined
  /** The offer it comes from, as the seller sent it. */
  readonly raw: Readonly<Record<string, unknown>>
}

/** Every rule that is broken, in words; none for what may be signed. */
export function faultsOf({ amount, payTo, asset, network, seconds, spender, raw }: Signable): string[] {
  const own = raw['amount'] ?? raw['maxAmountRequired']
  const faults: [boolean, string][] = [
    [amount <= 0n || amount > LIMITS.mostAtomic, `the amount ${amount} is out of bounds`],
    [own !== amount.toString(), `the amount ${amount} is not the one offered (${JSON.stringify(own)})`],
    [payTo.toLowerCase() !== PAYEE.toLowerCase(), `the payee is ${payTo}`],
    [String(raw['payTo']).toLowerCase() !== payTo.toLowerCase(), 'the payee is not the one offered'],
    [asset.toLowerCase() !== USDC.toLowerCase(), `the asset is ${asset}`],
    [network !== LIMITS.network, `the network is ${network}`],
    [!PROXIES.has(raw['scheme']), `the scheme is ${JSON.stringify(raw['scheme'])}`],
    [spender !== undefined && spender.toLowerCase() !== PROXIES.get(raw['scheme']), `${spender} may take it`],
    [
      !Number.isInteger(seconds) || seconds < 1 || seconds > LIMITS.mostSeconds,
      `it is valid for ${seconds} s`,
    ],
  ]
  return faults.filter(([broken]) => broken).map(([, words]) => words)
}
