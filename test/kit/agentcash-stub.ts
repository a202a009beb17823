/**
 * A stand-in for the agentcash program, so that its two modes run in every test run: same arguments, envelopes and tool,
 * paying with the wallet file under HOME. The real one is driven by test/peers. Faults come from the file `stub.json`
 * beside the wallet: `{ "cause": "insufficient_balance" }` refuses, `{ "die": true }` ends without a word.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, appendFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { TRANSFER_WITH_AUTHORIZATION } from '../../src/core/payer/typed-message.ts'

const home = join(process.env['HOME'] ?? '', '.agentcash')

interface Offer {
  network: string
  amount: string
  asset: Hex
  payTo: Hex
  maxTimeoutSeconds: number
  extra: { name: string; version: string }
}

interface Faults {
  readonly cause?: string
  readonly die?: boolean
  readonly isNameless?: boolean
}

function faults(): Faults {
  const path = join(home, 'stub.json')
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Faults) : {}
}

async function pay(url: string, maxAmount: number): Promise<{ cause: string } | { data: unknown }> {
  const { cause, die, isNameless } = faults()
  if (die === true) process.exit(7)
  if (cause !== undefined && cause !== 'insufficient_balance') return { cause }
  const wallet = JSON.parse(readFileSync(join(home, 'wallet.json'), 'utf8')) as { privateKey: Hex }
  const account = privateKeyToAccount(wallet.privateKey)
  // As the real one's: every request names the wallet, and the balance is looked up once the price is known.
  const headers: Record<string, string> = isNameless === true ? {} : { 'X-Wallet-Address': account.address }
  const unpaid = await fetch(url, { method: 'POST', headers, body: '{}' })
  if (cause !== undefined) return { cause }
  if (unpaid.status !== 402) return { cause: 'http' }
  const challenge = JSON.parse(
    Buffer.from(unpaid.headers.get('payment-required') ?? '', 'base64').toString(),
  ) as { accepts: Offer[]; resource: unknown }
  const [offer] = challenge.accepts
  if (!offer) return { cause: 'parse_payment_required' }
  if (Number(offer.amount) / 1e6 > maxAmount) return { cause: 'amount_exceeds_max_amount' }
  const now = Math.floor(Date.now() / 1000)
  const nonce = `0x${randomBytes(32).toString('hex')}` as const
  const [validAfter, validBefore] = [now - 600, now + offer.maxTimeoutSeconds]
  const signature = await account.signTypedData({
    domain: { ...offer.extra, chainId: Number(offer.network.split(':')[1]), verifyingContract: offer.asset },
    types: { TransferWithAuthorization: TRANSFER_WITH_AUTHORIZATION },
    primaryType: 'TransferWithAuthorization',
    message: {
      from: account.address,
      to: offer.payTo,
      value: BigInt(offer.amount),
      validAfter: BigInt(validAfter),
      validBefore: BigInt(validBefore),
      nonce,
    },
  })
  const authorization = {
    from: account.address,
    to: offer.payTo,
    value: offer.amount,
    validAfter: String(validAfter),
    validBefore: String(validBefore),
    nonce,
  }
  const payment = {
    x402Version: 2,
    payload: { authorization, signature },
    resource: challenge.resource,
    accepted: offer,
  }
  const header = Buffer.from(JSON.stringify(payment)).toString('base64')
  const paid = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'payment-signature': header },
    body: '{}',
  })
  const data: unknown = await paid.json()
  return paid.ok ? { data } : { cause: 'http' }
}

const [command, ...rest] = process.argv.slice(2).filter((argument) => argument !== '--dev')
appendFileSync(
  join(home, 'calls.log'),
  `${JSON.stringify({ argv: process.argv.slice(2), env: process.env })}\n`,
)
if (command === 'fetch') {
  const option = (name: string): string => rest[rest.indexOf(name) + 1] ?? ''
  if (option('--payment-protocol') !== 'x402') throw new Error('a stub of the safe way to call it')
  const result = await pay(rest[0] ?? '', Number(option('--max-amount')))
  if ('cause' in result) {
    console.log(JSON.stringify({ success: false, error: { code: 'GENERAL_ERROR', ...result } }))
    process.exit(1)
  }
  console.log(JSON.stringify({ success: true, data: result.data, metadata: { protocol: 'x402' } }))
} else {
  // Only here: a start for one payment has no need of it, and tests wait for every start.
  const { McpServer } = await import('@modelcontextprotocol/sdk/server/mcp.js')
  const { StdioServerTransport } = await import('@modelcontextprotocol/sdk/server/stdio.js')
  const { z } = await import('zod')
  const server = new McpServer({ name: 'agentcash', version: '0.14.4' })
  const inputSchema = {
    url: z.string(),
    method: z.string(),
    body: z.string(),
    timeout: z.number(),
    paymentProtocol: z.literal('x402'),
    paymentNetwork: z.string(),
    maxAmount: z.number(),
  }
  server.registerTool('fetch', { inputSchema }, async ({ url, maxAmount }) => {
    const result = await pay(url, maxAmount)
    const text = JSON.stringify(
      'cause' in result ? { ...result, message: 'x', surface: 'fetch' } : result.data,
    )
    return { content: [{ type: 'text', text }] }
  })
  await server.connect(new StdioServerTransport())
}
