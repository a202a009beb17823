/**
 * Obol's remote signer as its REST is documented, on a local key. An emulation: the real one is a Rust service with a
 * keystore, which cannot be built here; what it answers, and how it may misbehave, is what counts.
 */
import express from 'express'
import type { TypedDataDefinition } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { serveOnLoopback } from '../../src/io/transport/loopback.ts'

/** What {@link startRemoteSigner} can be told to do. */
export interface RemoteSignerLevers {
  /** `low`: v is 0 or 1. */
  v: 'low' | 'high'
  /** Answers with this instead of a signature. */
  answer: { status: number; body: unknown } | undefined
  /** Never answers requests to sign. */
  hang: boolean
  /** Signs another message than it was asked. */
  forge: boolean
  /** Answers only when so many requests wait. */
  together: number
}

/** A running signer. */
export interface RemoteSigner {
  readonly url: string
  readonly token: string
  readonly levers: RemoteSignerLevers
  /** Primary types it was asked to sign, oldest first. */
  readonly asked: string[]
  /** Called with every request to sign, before it is answered. */
  onSign?: (() => void) | undefined
  /** The most requests to sign that were open at once. */
  readonly widest: () => number
  close(): Promise<void>
}

export async function startRemoteSigner(
  keys: readonly `0x${string}`[],
  token = 'signer-token',
): Promise<RemoteSigner> {
  const accounts = keys.map((key) => privateKeyToAccount(key))
  const levers: RemoteSignerLevers = { v: 'high', answer: undefined, hang: false, forge: false, together: 1 }
  const asked: string[] = []
  let open = 0
  let waiting: (() => void)[] = []
  let widest = 0
  const app = express()
  app.use(express.json())
  app.use((request, response, next) => {
    if (request.get('authorization') === `Bearer ${token}`) next()
    else response.status(401).json({ error: 'unauthorized', code: 'UNAUTHORIZED' })
  })
  app.get(
    '/api/v1/keys',
    (_request, response) => void response.json({ keys: accounts.map(({ address }) => address) }),
  )
  app.post('/api/v1/sign/:address/typed-data', async (request, response) => {
    const account = accounts.find(({ address }) => address === request.params.address)
    if (!account) {
      response
        .status(404)
        .json({ error: 'no such key', code: 'SIGNER_NOT_FOUND', address: request.params.address })
      return
    }
    const typed = request.body as TypedDataDefinition & {
      primaryType: string
      domain: Record<string, unknown>
    }
    asked.push(typed.primaryType)
    signer.onSign?.()
    open += 1
    widest = Math.max(widest, open)
    response.once('close', () => {
      open -= 1
    })
    if (levers.hang) return
    const { promise, resolve } = Promise.withResolvers<void>()
    waiting.push(resolve)
    if (waiting.length >= levers.together) {
      for (const answer of waiting) answer()
      waiting = []
    }
    await promise
    if (levers.answer) {
      response.status(levers.answer.status).json(levers.answer.body)
      return
    }
    const domain = levers.forge ? { ...typed.domain, chainId: 1 } : typed.domain
    const signature = await account.signTypedData({ ...typed, domain })
    const v = Number.parseInt(signature.slice(130), 16)
    const low = `${signature.slice(0, 130)}${(v - 27).toString(16).padStart(2, '0')}`
    response.json({ signature: levers.v === 'low' ? low : signature })
  })
  app.post('/api/v1/sign/:address/message', async (request, response) => {
    const account = accounts.find(({ address }) => address === request.params.address)
    const { message } = request.body as { message: string }
    asked.push('message')
    if (levers.answer) {
      response.status(levers.answer.status).json(levers.answer.body)
      return
    }
    response.json({
      signature: await account?.signMessage({ message: levers.forge ? `${message}.` : message }),
    })
  })
  const server = await serveOnLoopback(app)
  const signer: RemoteSigner = {
    url: server.url,
    token,
    levers,
    asked,
    widest: () => widest,
    close: () => server.close(),
  }
  return signer
}
