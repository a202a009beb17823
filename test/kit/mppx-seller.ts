/** A seller made with the official package of MPP (`mppx`): `evm`/`charge`, settled on the local chain. */
import type { IncomingHttpHeaders } from 'node:http'
import { evm } from 'mppx/evm/server'
import { Mppx } from 'mppx/server'
import { privateKeyToAccount } from 'viem/accounts'
import type { LocalChain } from '../../src/app/sandbox/chain/chain.ts'
import { connectLocal } from '../../src/app/sandbox/chain/levers.ts'
import { tokenAbi } from '../../src/app/sandbox/chain/token-artifact.ts'
import { serveOnLoopback } from '../../src/io/transport/loopback.ts'

/** A running seller. */
export interface MppxSeller {
  /** What a client is pointed at. */
  readonly apiBase: string
  /** The headers of every request, oldest first. */
  readonly requests: IncomingHttpHeaders[]
  /** Changes what happens from the next request on. */
  set(change: Partial<MppxSellerOptions>): void
  close(): Promise<void>
}

/** How it sells. */
export interface MppxSellerOptions {
  /** In USD; default `0.02`. */
  readonly amount: string
  /** Whether the same 402 offers x402 as well, as mppx does of its own accord; default false. */
  readonly withX402: boolean
  /** Whether a payment is brought to the chain; default true. */
  readonly settles: boolean
  /** What is taken out of what the package answers, or replaced. */
  readonly answer: (answer: Response, isPaid: boolean) => Response | 'cut'
  /** The body of a paid answer, and its media type. */
  readonly product: readonly [body: string, type: string]
}

const COMPLETION = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
})

/** Starts it. The payee is the chain's seller, and the facilitator's account pays the gas. */
export async function startMppxSeller(
  chain: LocalChain,
  options: Partial<MppxSellerOptions> = {},
): Promise<MppxSeller> {
  let set: MppxSellerOptions = {
    amount: '0.02',
    withX402: false,
    settles: true,
    answer: (answer) => answer,
    product: [COMPLETION, 'application/json'],
    ...options,
  }
  const { token, chainId, rpcUrl, accounts, network } = chain
  const account = privateKeyToAccount(accounts.facilitator.privateKey)
  const client = connectLocal({ rpcUrl, chainId, name: network, account })
  const mppx = Mppx.create({
    secretKey: 'the secret of this test, long enough for an HMAC',
    methods: [
      evm.charge({
        currency: token.address,
        chainId,
        decimals: token.decimals,
        recipient: accounts.seller.address,
        authorization: { name: token.name, version: token.version },
        async settle({ payload }) {
          if (!set.settles) return { reference: `0x${'0'.repeat(64)}` }
          const { from, to, value, validAfter, validBefore, nonce, signature } = payload
          const bounds = [BigInt(validAfter), BigInt(validBefore)] as const
          const reference = await client.writeContract({
            address: token.address,
            abi: tokenAbi,
            functionName: 'transferWithAuthorization',
            args: [hex(from), hex(to), BigInt(value), ...bounds, hex(nonce), hex(signature)],
          })
          const { status } = await client.waitForTransactionReceipt({ hash: reference })
          if (status !== 'success') throw new Error('the transfer was reverted')
          return { reference }
        },
      }),
    ],
  })
  const requests: IncomingHttpHeaders[] = []
  const server = await serveOnLoopback((incoming, response) => {
    const respond = async (): Promise<void> => {
      const chunks: Buffer[] = []
      for await (const chunk of incoming) chunks.push(Buffer.from(chunk))
      requests.push(incoming.headers)
      const headers = Object.entries(incoming.headers).flatMap(([name, value]): [string, string][] =>
        value === undefined || name === 'connection' ? [] : [[name, String(value)]],
      )
      const method = incoming.method ?? 'GET'
      const body = method === 'GET' ? null : Buffer.concat(chunks)
      const request = new Request(`${server.url}${incoming.url ?? ''}`, { method, headers, body })
      const { amount, withX402, product, answer } = set
      const result = await mppx.charge({ amount })(request)
      const [text, type] = product
      const isPaid = result.status !== 402
      const made = isPaid
        ? result.withReceipt(new Response(text, { headers: { 'content-type': type } }))
        : result.challenge
      const given = answer(made, isPaid)
      if (given === 'cut') return void response.destroy()
      const out = Object.fromEntries(given.headers)
      if (!withX402) delete out['payment-required']
      response.writeHead(given.status, out).end(Buffer.from(await given.arrayBuffer()))
    }
    respond().catch(() => response.writeHead(500).end('{"error":"internal"}'))
  })
  return {
    apiBase: `${server.url}/v1`,
    requests,
    set(change) {
      set = { ...set, ...change }
    },
    close: async () => await server.close(),
  }
}

function hex(text: string): `0x${string}` {
  if (!text.startsWith('0x')) throw new Error(`${text} is not hex`)
  return `0x${text.slice(2)}`
}
