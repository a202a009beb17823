/** `tollway sandbox --once`: makes one paid streaming call and explains each step. */
import { createParser } from 'eventsource-parser'
import { z } from 'zod'
import type { Charge } from '../../core/charge/charge.ts'
import { formatUsd } from '../../core/money/money.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { verifyAudit } from '../../io/audit/audit-verify.ts'
import { startSandbox, type Sandbox } from './sandbox.ts'
import { balances, modelIds, usdc } from './show.ts'

/** Options of {@link payOnce}. */
export interface PayOnceOptions {
  readonly port: number
  readonly blockTimeSeconds: number
  /** See `SandboxOptions.config`. */
  readonly config?: ResolvedConfig | undefined
  readonly json: boolean
  readonly stdout: (text: string) => void
  readonly signal: AbortSignal
}

const QUESTION = 'Who pays for this answer?'
const [MODEL] = modelIds

/**
 * Starts a sandbox, makes one paid streaming call and shows quote, payment, transaction, ledger line and balances.
 * @returns 0 if the call was paid, answered and recorded in the ledger; 1 otherwise
 */
export async function payOnce(options: PayOnceOptions): Promise<number> {
  const { json, stdout } = options
  const say = (text: string): void => {
    if (!json) stdout(text)
  }
  let quoted: bigint | undefined
  const sandbox = await startSandbox({
    port: options.port,
    blockTimeSeconds: options.blockTimeSeconds,
    config: options.config,
    observers: [
      (event) => {
        if (event.type === 'quoted') quoted = event.microUsd
      },
    ],
  })
  try {
    const before = await balances(sandbox.world)
    say(`Gateway      ${sandbox.url}/v1 (chain ${sandbox.world.chain.network}, no real money)\n`)
    const answer = await askAloud(sandbox, options.signal, say)
    const [charge] = await sandbox.gateway.parts.ledger.store.charges({ limit: 1 })
    const after = await balances(sandbox.world)
    const audit = await verifyAudit(sandbox.gateway.parts.config.audit.path)
    const paid =
      answer.status === 200 && charge?.state === 'settled' && after.seller - before.seller === charge.amount
    if (!charge || !paid || quoted === undefined || !audit.ok) {
      stdout(`\nThe call was not paid: status ${answer.status}, ${answer.text || 'no answer'}\n`)
      return 1
    }
    stdout(json ? `${JSON.stringify(asJson(sandbox, answer.text, charge, quoted, before, after))}\n` : '')
    say(summary(charge, quoted, before, after, audit.records))
    return 0
  } finally {
    await sandbox.close()
  }
}

/** Makes one paid streaming call and prints question and answer as they come. */
export async function askAloud(
  sandbox: Sandbox,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<{ readonly status: number; readonly text: string }> {
  say(`Ask          ${MODEL}: ${QUESTION}\nAnswer       `)
  return await ask(sandbox, signal, say)
}

/** Sends the request through the gateway and prints the text as it arrives. */
async function ask(
  sandbox: Sandbox,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`${sandbox.url}/v1/chat/completions`, {
    method: 'POST',
    signal,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: MODEL, stream: true, messages: [{ role: 'user', content: QUESTION }] }),
  })
  if (!response.ok || !response.body) return { status: response.status, text: await response.text() }
  let text = ''
  const parser = createParser({
    onEvent({ data }) {
      const content = data === '[DONE]' ? '' : contentOf(data)
      text += content
      say(content)
    },
  })
  const decoder = new TextDecoder()
  for await (const chunk of response.body) parser.feed(decoder.decode(chunk, { stream: true }))
  return { status: response.status, text }
}

const CHUNK = z.object({
  choices: z.array(z.object({ delta: z.object({ content: z.string().optional() }) })),
})

function contentOf(data: string): string {
  return CHUNK.safeParse(JSON.parse(data)).data?.choices[0]?.delta.content ?? ''
}

type Balances = Awaited<ReturnType<typeof balances>>

function summary(charge: Charge, quoted: bigint, before: Balances, after: Balances, records: number): string {
  const { authorization } = charge
  return `

Quote        ${usdc(charge.amount)} ${charge.symbol} ($${formatUsd(quoted)}) to ${charge.payTo} on ${charge.network}
Payment      EIP-3009 authorization from ${authorization?.from}, nonce ${authorization?.nonce}
Transaction  ${charge.transaction}
Ledger       ${charge.id} ${charge.state} (proof: ${charge.proof}) ${charge.amount} atomic units for ${charge.model}
Wallet       ${usdc(before.wallet)} -> ${usdc(after.wallet)} USDC
Seller       ${usdc(before.seller)} -> ${usdc(after.seller)} USDC
Audit        ${records} records, chain verified
`
}

function asJson(
  sandbox: Sandbox,
  answer: string,
  charge: Charge,
  quoted: bigint,
  before: Balances,
  after: Balances,
): Record<string, unknown> {
  return {
    model: MODEL,
    answer,
    quote_usd: formatUsd(quoted),
    charge: charge.id,
    state: charge.state,
    proof: charge.proof,
    amount_atomic: charge.amount.toString(),
    network: sandbox.world.chain.network,
    pay_to: charge.payTo,
    nonce: charge.authorization?.nonce,
    transaction: charge.transaction,
    wallet_atomic: { before: before.wallet.toString(), after: after.wallet.toString() },
    seller_atomic: { before: before.seller.toString(), after: after.seller.toString() },
  }
}
