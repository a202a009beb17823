import { once } from 'node:events'
import { createServer, request as httpRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { afterEach, beforeEach, expect, test } from 'vitest'
import * as middleware from '../../middleware/index.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { openParts, type GatewayParts } from '../../src/app/gateway/open-parts.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import { cash } from '../../providers/cash.ts'
import { asking, json, receiptV2 } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where a request may be held while its client leaves. */
type Stage = 'before' | 'probe' | 'sign' | 'send'

let directory: string
let seller: ScriptedSeller
let parts: GatewayParts
let server: Server
let held: Stage | undefined
let reached: PromiseWithResolvers<void>
let proceed: PromiseWithResolvers<void>
/** Resolves when the unpaid request has ended one way or the other. */
let asked: PromiseWithResolvers<void>
/** Resolves when the client's connection is closed on our side. */
let gone: PromiseWithResolvers<void>

async function hold(stage: Stage): Promise<void> {
  if (held !== stage) return
  reached.resolve()
  await proceed.promise
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollway-leaving-'))
  reached = Promise.withResolvers()
  proceed = Promise.withResolvers()
  gone = Promise.withResolvers()
  asked = Promise.withResolvers()
  seller = await startScriptedSeller({
    unpaid: async () => {
      await hold('probe')
      return asking(1000n)
    },
    paid: async () => {
      await hold('send')
      return json({ ok: 1 }, receiptV2({ success: true }))
    },
  })
  const payer = cash()
  const slow: Provider = {
    ...payer,
    async authorize(quote, charge, signal) {
      await hold('sign')
      return await payer.authorize(quote, charge, signal)
    },
  }
  const config = {
    store: 'memory',
    audit: { path: join(directory, 'audit.jsonl') },
    payers: { base: { kind: 'direct', key: '${env:LEAVING_WALLET}', networks: ['base-sepolia'] } },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' }],
  }
  parts = await openParts(parseConfig(config, { LEAVING_WALLET: 'not read' }), {
    payers: new Map([['base', slow]]),
  })
  const app = express()
  app.use(middleware.readBody())
  app.use((_req, res, next) => {
    res.once('close', () => gone.resolve())
    // Another middleware that takes its time, as an own authentication would.
    hold('before').then(() => next(), next)
  })
  app.use(middleware.modelRouter(parts.modelRouter), middleware.budgetGuard(parts.budgetGuard))
  const { upstream } = parts
  const watched = {
    ...upstream,
    send: (request: Parameters<typeof upstream.send>[0]) =>
      upstream.send(request).finally(() => setImmediate(() => asked.resolve())),
  }
  app.use(middleware.paymentInterceptor({ ...parts.paymentInterceptor, upstream: watched }))
  app.use(middleware.sseRestreamer(parts.sseRestreamer))
  app.use(middleware.errorHandler())
  server = createServer(app)
  await once(server.listen(0, '127.0.0.1'), 'listening')
})

afterEach(async () => {
  proceed.resolve()
  server.closeAllConnections()
  server.close()
  await parts.close()
  await seller.close()
  await rm(directory, { recursive: true, force: true })
})

/** Sends a request, leaves when it has got to a stage, and lets it go on. */
async function leaveAt(stage: Stage): Promise<void> {
  held = stage
  const { port } = server.address() as AddressInfo
  const request = httpRequest({
    port,
    path: '/v1/chat/completions',
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  })
  request.on('error', () => undefined)
  request.end(JSON.stringify({ model: 'paid/m', messages: [] }))
  await reached.promise
  request.destroy()
  await gone.promise
  proceed.resolve()
}

test.each<Stage>(['before', 'probe'])(
  'spends and reserves nothing when the client leaves at the stage "%s"',
  async (stage) => {
    await leaveAt(stage)
    await asked.promise
    await parts.running.idle()
    expect(await parts.ledger.store.charges()).toEqual([])
    expect(seller.payments).toEqual([])
  },
)

test('releases the reservation and sends no signature when the client leaves during signing', async () => {
  await leaveAt('sign')
  await parts.running.idle()
  expect(await parts.ledger.store.charges()).toMatchObject([{ state: 'released', reason: 'client_left' }])
  expect(seller.payments).toEqual([])
})

test('finishes and records the paid call when the client leaves after the payment was sent', async () => {
  await leaveAt('send')
  await parts.running.idle()
  expect(await parts.ledger.store.charges()).toMatchObject([{ state: 'settled', proof: 'receipt' }])
})
