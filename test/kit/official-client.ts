import { ExactEvmScheme } from '@x402/evm/exact/client'
import { ExactEvmSchemeV1 } from '@x402/evm/exact/v1/client'
import { wrapFetchWithPayment, x402Client } from '@x402/fetch'
import { privateKeyToAccount } from 'viem/accounts'
import { z } from 'zod'
import type { LocalChain } from '../../src/app/sandbox/chain/chain.ts'

const V1Network = z.custom<`${string}:${string}`>((value) => typeof value === 'string')

/**
 * The official x402 client, paying as the chain's buyer (v2 and v1): what a user would have without Tollway.
 *
 * @param transport - What really sends; lets a test watch the two rounds.
 */
export function officialFetch(
  chain: Pick<LocalChain, 'accounts' | 'network' | 'v1Network'>,
  transport: typeof fetch = fetch,
): typeof fetch {
  const buyer = privateKeyToAccount(chain.accounts.buyer.privateKey)
  const client = new x402Client()
    .register(chain.network, new ExactEvmScheme(buyer))
    .registerV1(V1Network.parse(chain.v1Network), new ExactEvmSchemeV1(buyer))
  return wrapFetchWithPayment(transport, client)
}

/** A chat completion request, ready for fetch. */
export function chatRequest(question: string, extra: object = {}): RequestInit {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'sandbox-small',
      messages: [{ role: 'user', content: question }],
      ...extra,
    }),
  }
}
