/** `serve --obol` without a ceiling of its own: the price of an upstream is in its file, and is matched to the last digit. */
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { obolConfig } from '../../src/app/cli/shared/obol-flags.ts'
import { asking } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { ask, errorOf, startGateway } from '../kit/gateway.ts'
import { buyerFiles, signAuths, upstreamFile } from '../kit/obol-pool.ts'

const payTo = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'

test('vouchers of five dollars each are paid with, and one digit more is refused', async () => {
  const price = 5_000_000n
  const seller = await startScriptedSeller({ unpaid: asking(price) })
  const dearer = await startScriptedSeller({ unpaid: asking(price + 1n) })
  const files = buyerFiles()
  const model = `m-${randomBytes(4).toString('hex')}`
  const root = (apiBase: string): string => apiBase.replace(/\/v1$/, '')
  files.write(
    'right',
    upstreamFile({ url: root(seller.apiBase), payTo, price, model }),
    await signAuths(2, { payTo, price }),
  )
  files.write(
    'dear',
    upstreamFile({ url: root(dearer.apiBase), payTo, price, model: 'dear' }),
    await signAuths(2, { payTo, price }),
  )
  const flags = { configDir: files.config, authsDir: files.auths, state: files.state, listen: '127.0.0.1:0' }
  const gateway = await startGateway(obolConfig(flags, {}, files.directory))
  try {
    expect((await ask(gateway.url, { model: `paid/${model}` })).status).toBe(200)
    expect(seller.payments).toHaveLength(1)
    const refused = await ask(gateway.url, { model: 'paid/dear' })
    expect((await errorOf(refused)).code).toBe('pool_terms_changed')
    expect(dearer.payments).toHaveLength(0)
  } finally {
    await gateway.close()
    await seller.close()
    await dearer.close()
    files.remove()
  }
})
