import { challengeV2, decodeHeader, receiptV2, send, startHostileSeller } from './hostile-seller.ts'

/** A seller that takes every payment at its word. */
export interface BareSeller {
  readonly apiBase: string
  /** Nonces of the payments it was sent, in order, repetitions too. */
  readonly payments: readonly string[]
  /** How often it was asked without a payment. */
  readonly asked: () => number
  close(): Promise<void>
}

const OFFER = {
  scheme: 'exact',
  network: 'eip155:84532',
  asset: '0x036cbd53842c5426634e7929541ec2318f3dcf7e',
  payTo: '0x90F79bf6EB2c4f870365E785982E1f101E93b906',
  maxTimeoutSeconds: 60,
  extra: { name: 'USDC', version: '2' },
}

const ANSWER = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 0,
  model: 'bare',
  choices: [{ index: 0, message: { role: 'assistant', content: 'yes' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
})

/**
 * Starts a stand-in for a seller where the chain is not the subject: it offers one price, and answers a payment at once
 * with a receipt for a transaction that does not exist. Nothing is verified and nothing is settled.
 * @param amount of USDC on base-sepolia, smallest units
 */
export async function startBareSeller(amount = 1000n): Promise<BareSeller> {
  const payments: string[] = []
  let asked = 0
  const offer = challengeV2([{ ...OFFER, amount: amount.toString() }])
  const seller = await startHostileSeller(({ headers }, response) => {
    const header = headers['payment-signature']
    if (header === undefined) {
      asked += 1
      return send(response, offer)
    }
    payments.push(nonceOf(decodeHeader(header)))
    const transaction = `0x${payments.length.toString(16).padStart(64, '0')}`
    const receipt = receiptV2({ success: true, transaction, network: OFFER.network, payer: '' })
    send(response, { status: 200, headers: { 'content-type': 'application/json', ...receipt }, body: ANSWER })
  })
  return { apiBase: seller.apiBase, payments, asked: () => asked, close: () => seller.close() }
}

function nonceOf(payment: unknown): string {
  const { payload } = payment as { payload: { authorization: { nonce: string } } }
  return payload.authorization.nonce
}
