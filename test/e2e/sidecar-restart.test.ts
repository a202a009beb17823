/** A running x402-buyer that offers a payment again which was sent by a process that is gone. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/accounts.ts'
import { startBareSeller } from '../kit/bare-seller.ts'
import { freePort } from '../kit/free-port.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { signVoucher, startBuyerEmulator } from '../kit/x402-buyer.ts'

test('a used payment is never sent again: the buyer lets go of it, and the next one pays the same request', async () => {
  const account = privateKeyToAccount(localAccounts().buyer.privateKey)
  const port = await freePort()
  const seller = await startBareSeller(1000n)
  const upstream = {
    url: `http://127.0.0.1:${port}`,
    remoteModel: 'q',
    network: 'eip155:84532',
    payTo: '0x90F79bf6EB2c4f870365E785982E1f101E93b906',
    asset: '0x036cbd53842c5426634e7929541ec2318f3dcf7e',
    price: '1000',
  }
  const domain = { name: 'USDC', version: '2', chainId: 84_532 }
  const file = [await signVoucher(account, upstream, domain), await signVoucher(account, upstream, domain)]
  const buyer = await startBuyerEmulator(upstream, file)
  const directory = mkdtempSync(join(tmpdir(), 'tollway-sidecar-'))
  const start = async (): Promise<TestGateway> =>
    await startGateway({
      store: `sqlite:${join(directory, 'tollway.db')}`,
      payers: {
        obol: {
          kind: 'obol',
          mode: 'sidecar',
          url: buyer.url,
          remote_model: 'q',
          shim: `127.0.0.1:${port}`,
          networks: ['base-sepolia'],
        },
      },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'obol' }],
    })
  const first = await start()
  expect((await ask(first.url, { model: 'paid/q', seed: 1 })).status).toBe(200)
  await first.close()
  // The buyer died too, before it wrote what was used.
  buyer.consumed.clear()
  buyer.reload()

  const second = await start()
  try {
    expect((await ask(second.url, { model: 'paid/q', seed: 2 })).status).toBe(200)
    expect(new Set(seller.payments).size).toBe(2)
    expect(seller.payments).toHaveLength(2)
    expect(buyer.consumed.size).toBe(2)
    const refused = await ask(second.url, { model: 'paid/q', seed: 3 })
    expect(await errorOf(refused)).toMatchObject({ code: 'pool_exhausted' })
    expect(refused.headers.get('x-tollway-spent')).toBe('no')
  } finally {
    await second.close()
    await buyer.close()
    await seller.close()
    rmSync(directory, { recursive: true })
  }
})
