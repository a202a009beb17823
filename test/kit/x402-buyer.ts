import { randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Hex } from 'viem'
import type { PrivateKeyAccount } from 'viem/accounts'
import { serveOnLoopback } from '../../src/io/transport/loopback.ts'
import { TRANSFER_WITH_AUTHORIZATION } from '../../src/core/payer/typed-message.ts'

/** A pre-signed authorization in x402-buyer's flat EIP-3009 form. */
export interface FlatVoucher {
  signature: string
  from: string
  to: string
  value: string
  validAfter: string
  validBefore: string
  nonce: string
}

/** One upstream as x402-buyer is configured with it. */
export interface BuyerUpstream {
  url: string
  remoteModel: string
  network: string
  payTo: string
  asset: string
  /** Smallest units, compared as text. */
  price: string
}

/** A stand-in for a running x402-buyer with one upstream. */
export interface BuyerEmulator {
  readonly url: string
  upstream: BuyerUpstream
  /** The pool in memory, head first. */
  readonly pool: FlatVoucher[]
  /** Consume keys on disk. */
  readonly consumed: Set<string>
  /** Rebuilds the pool from its file, as its ticker does every 5 s. */
  reload(): void
  /** Requests it was sent, without their bodies. */
  readonly requests: { path: string; headers: IncomingHttpHeaders }[]
  close(): Promise<void>
}

/**
 * Emulates the wire behaviour of Obol's x402-buyer, because its Go code is not built here: an unpaid request first, the
 * offer from the 402's body only, exact match of the price, v2 envelope in `X-PAYMENT`, the outcome decided when the
 * answer's headers arrive. It has the faults of the original that matter to whoever stands behind it: (1) a reload brings
 * held vouchers back, (2) after a lost or refused reply the voucher goes back to the front, (3) expired vouchers stay in
 * the file and come back with each reload.
 * @param file what its auth file holds
 */
export async function startBuyerEmulator(
  upstream: BuyerUpstream,
  file: readonly FlatVoucher[],
): Promise<BuyerEmulator> {
  const consumed = new Set<string>()
  const requests: BuyerEmulator['requests'] = []
  let pool: FlatVoucher[] = [...file]
  const state = { upstream }

  const server = await serveOnLoopback((request, response) => {
    void (async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(Buffer.from(chunk))
      const { url: path = '', headers } = request
      requests.push({ path, headers })
      if (path === '/status') {
        const { url, remoteModel, network } = state.upstream
        const entry = { url, remote_model: remoteModel, public_model: `paid/${remoteModel}`, network }
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify({ remote: { ...entry, remaining: pool.length, spent: consumed.size } }))
        return
      }
      if (path !== '/v1/chat/completions') {
        response.writeHead(404).end('404 page not found\n')
        return
      }
      const body = JSON.parse(Buffer.concat(chunks).toString()) as { model: string }
      const model = body.model.replace(/^(?:paid\/|openai\/)+/, '')
      if (model !== state.upstream.remoteModel) {
        response.writeHead(404).end('no purchased upstream mapped for requested model\n')
        return
      }
      const left = new AbortController()
      response.once('close', () => left.abort())
      const answer = await forward(path, headers, { ...body, model }, left.signal)
      response.writeHead(answer.status, answer.headers).end(answer.body)
    })().catch(() => response.destroy())
  })

  async function forward(
    path: string,
    headers: IncomingHttpHeaders,
    body: object,
    signal: AbortSignal,
  ): Promise<{ status: number; headers: Record<string, string>; body: string }> {
    const send = async (more: Record<string, string>): Promise<Response> =>
      await fetch(`${state.upstream.url}${path}`, {
        method: 'POST',
        // All client headers go along, as Go's reverse proxy does it.
        headers: { ...forwarded(headers), ...more },
        body: JSON.stringify(body),
        redirect: 'manual',
        signal,
      })
    const gone = { status: 502, headers: {}, body: '' }
    let unpaid: Response
    try {
      unpaid = await send({})
    } catch {
      return gone
    }
    if (unpaid.status !== 402) return await passed(unpaid)
    const offer = (JSON.parse(await unpaid.text()) as { accepts: Record<string, string>[] }).accepts.find(
      fits,
    )
    if (!offer) return gone
    // Held: in memory only.
    const now = Math.floor(Date.now() / 1000)
    while (pool[0] && Number(pool[0].validBefore) <= now + 10) pool.shift()
    const voucher = pool.shift()
    if (!voucher) return gone
    const { signature, ...authorization } = voucher
    const payment = { x402Version: 2, payload: { signature, authorization }, accepted: offer }
    let paid: Response
    try {
      paid = await send({ 'x-payment': Buffer.from(JSON.stringify(payment)).toString('base64') })
    } catch {
      pool.unshift(voucher)
      return gone
    }
    if (paid.status >= 400) pool.unshift(voucher)
    else consumed.add(voucher.nonce)
    return await passed(paid)
  }

  function fits(offer: Record<string, string>): boolean {
    const { network, payTo, asset, price } = state.upstream
    return (
      offer['network'] === network &&
      offer['payTo']?.toLowerCase() === payTo.toLowerCase() &&
      offer['asset']?.toLowerCase() === asset.toLowerCase() &&
      (offer['amount'] ?? '') === price &&
      pool.length > 0
    )
  }

  return {
    url: server.url,
    get upstream() {
      return state.upstream
    },
    set upstream(next) {
      state.upstream = next
    },
    get pool() {
      return pool
    },
    consumed,
    requests,
    reload() {
      pool = file.filter(({ nonce }) => !consumed.has(nonce))
    },
    close: () => server.close(),
  }
}

function forwarded(headers: IncomingHttpHeaders): Record<string, string> {
  const out: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    const own = ['host', 'content-length', 'connection', 'transfer-encoding'].includes(name)
    if (typeof value === 'string' && !own) out[name] = value
  }
  return out
}

async function passed(
  answer: Response,
): Promise<{ status: number; headers: Record<string, string>; body: string }> {
  const body = await answer.text()
  const receipt = answer.headers.get('x-payment-response')
  return { status: answer.status, headers: receipt === null ? {} : { 'x-payment-response': receipt }, body }
}

/** Signs a flat voucher as `buy.py` does: valid from the beginning of time, for 30 days. */
export async function signVoucher(
  account: PrivateKeyAccount,
  upstream: Pick<BuyerUpstream, 'payTo' | 'asset' | 'price'>,
  domain: { name: string; version: string; chainId: number },
  validSeconds = 30 * 86_400,
): Promise<FlatVoucher> {
  const nonce = `0x${randomBytes(32).toString('hex')}` as const
  const validBefore = BigInt(Math.floor(Date.now() / 1000) + validSeconds)
  const signature = await account.signTypedData({
    domain: { ...domain, verifyingContract: upstream.asset.toLowerCase() as Hex },
    types: { TransferWithAuthorization: TRANSFER_WITH_AUTHORIZATION },
    primaryType: 'TransferWithAuthorization',
    message: {
      from: account.address,
      to: upstream.payTo.toLowerCase() as Hex,
      value: BigInt(upstream.price),
      validAfter: 0n,
      validBefore,
      nonce,
    },
  })
  return {
    signature,
    from: account.address,
    to: upstream.payTo,
    value: upstream.price,
    validAfter: '0',
    validBefore: validBefore.toString(),
    nonce,
  }
}
