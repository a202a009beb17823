import type { World } from '../../src/app/sandbox/world.ts'
import { decodeHeader, encodeHeader, send } from './seller-answers.ts'
import { startScriptedSeller } from './scripted-seller.ts'
import { type ScriptedSeller } from './scripted-seller.ts'

interface Terms {
  scheme: string
  network: string
  amount: string
  asset: string
  payTo: string
}

const MATCHED = ['scheme', 'network', 'amount', 'asset', 'payTo'] as const

/**
 * Starts an emulator of Obol's seller (`x402-verifier`): offers of x402 v2 in header and body of the 402, payments read from
 * `X-PAYMENT` alone, `accepted` matched to the letter, and settled by the world's official facilitator on its chain.
 */
export async function startObolSeller(
  { chain, facilitator }: World,
  amount = 1000n,
): Promise<ScriptedSeller> {
  const { name, version, address } = chain.token
  const terms = {
    scheme: 'exact',
    network: chain.network,
    amount: amount.toString(),
    asset: address,
    payTo: chain.accounts.seller.address,
    maxTimeoutSeconds: 600,
    extra: { name, version, assetTransferMethod: 'eip3009' },
  }
  const offer = {
    x402Version: 2,
    error: 'Payment required for this resource',
    resource: { url: 'http://obol.test/v1', description: '', mimeType: 'application/json' },
    accepts: [terms],
    extensions: {},
  }
  const call = async (path: string, payment: unknown): Promise<Record<string, unknown>> => {
    const answer = await fetch(`${facilitator.url}/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ x402Version: 2, paymentPayload: payment, paymentRequirements: terms }),
    })
    return (await answer.json()) as Record<string, unknown>
  }
  const json = { 'content-type': 'application/json' }
  const seller = await startScriptedSeller(async ({ headers }, response) => {
    const header = headers['x-payment']
    const payment = header === undefined ? undefined : decodeHeader(header)
    const accepted = (payment as { accepted?: Terms } | undefined)?.accepted
    const matches = accepted !== undefined && MATCHED.every((key) => accepted[key] === terms[key])
    const isValid = matches && (await call('verify', payment))['isValid'] === true
    if (!isValid) {
      const required = { 'payment-required': encodeHeader(offer) }
      return send(response, { status: 402, headers: { ...json, ...required }, body: JSON.stringify(offer) })
    }
    const receipt = await call('settle', payment)
    const status = receipt['success'] === true ? 200 : 402
    const told = { ...json, 'x-payment-response': encodeHeader(receipt) }
    const answer = {
      id: 'x',
      object: 'chat.completion',
      choices: [{ message: { content: 'yes' } }],
      echo: header,
    }
    send(response, { status, headers: told, body: JSON.stringify(answer) })
  })
  return seller
}
