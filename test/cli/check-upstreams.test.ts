/** `tollway check` says what the upstreams in x402-buyer's files would do. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { buyerFiles, signAuths, upstreamFile, type BuyerFiles } from '../kit/obol-pool.ts'
import { tollway } from './tollway.ts'

const payTo = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
const url = 'https://seller.example.com/services/qwen'
const inAnHour = Math.floor(Date.now() / 1000) + 3600

let files: BuyerFiles
beforeEach(() => {
  files = buyerFiles()
  const { payer } = files
  writeFileSync(join(files.directory, 'tollway.yaml'), JSON.stringify({ payers: { obol: payer } }))
})
afterEach(() => files.remove())

const check = async (...args: string[]) =>
  await tollway(['check', '--config', join(files.directory, 'tollway.yaml'), ...args])

test('price, ready vouchers, first expiry and network of each, what is wrong, and no secret', async () => {
  const good = await signAuths(3, { payTo, validBefore: inAnHour })
  const [forged = {}] = await signAuths(1, { payTo, shape: 'flat' })
  const late = await signAuths(1, { payTo, validBefore: inAnHour + 60 })
  const old = await signAuths(1, { payTo, validBefore: 1_700_000_000 })
  const dear = await signAuths(2, { payTo, price: 7n })
  files.write('remote-qwen', upstreamFile({ url, payTo, model: 'qwen' }), [
    ...good,
    ...late,
    { ...forged, value: '999' },
    ...old,
    ...dear,
  ])
  files.write('moon', { ...upstreamFile({ url, payTo, model: 'moon' }), network: 'moon' }, [])
  writeFileSync(files.state, JSON.stringify({ consumed: { 'remote-qwen': [good[0]?.['id'], 'gone'] } }))
  const expiry = new Date(inAnHour * 1000).toISOString()
  const told = await check()
  expect([told.code, told.stderr]).toEqual([0, ''])
  expect(told.stdout).toContain(`
UPSTREAM     MODEL      URL                                       PAYER  NETWORK       PRICE           READY  FIRST EXPIRY
remote-qwen  paid/qwen  https://seller.example.com/services/qwen  obol   base-sepolia  $0.001 in USDC  3      ${expiry}
Note: upstream moon would not be served: its network "moon" is not known
Note: upstream remote-qwen: 1 voucher(s) not loaded: not signed by the payer that it names
Note: upstream remote-qwen: 1 voucher(s) not loaded: expired, or about to
Note: upstream remote-qwen: 2 voucher(s) not loaded: signed for another price, payee or asset than the configuration says
`)
  const json = await check('--json')
  expect(JSON.parse(json.stdout)).toMatchObject({
    ok: true,
    upstreams: [
      {
        payer: 'obol',
        name: 'remote-qwen',
        model: 'paid/qwen',
        url,
        network: 'eip155:84532',
        pay_to: payTo.toLowerCase(),
        method: 'eip3009',
        price: '1000',
        price_usd: '0.001',
        symbol: 'USDC',
        ready: 3,
        used: 2,
        earliest_expiry: expiry,
      },
    ],
    upstream_problems: expect.arrayContaining([expect.stringContaining('moon')]),
  })
  for (const auth of [...good, forged]) {
    const [signature = ''] = /0x[0-9a-f]{130}/.exec(JSON.stringify(auth)) ?? []
    expect(signature).not.toBe('')
    expect(told.stdout + json.stdout).not.toContain(signature)
  }
  // Looking locks nothing, so that it can be asked beside a gateway that runs.
  expect(existsSync(`${files.state}.lock`)).toBe(false)
})

test('files that cannot be read, and a state file that is something else, are told: the gateway would not start', async () => {
  writeFileSync(files.state, '[]')
  const shown = await check('--config-only')
  expect([shown.code, shown.stdout]).toEqual([
    0,
    expect.stringMatching(
      /No upstreams in the files\.\nNote: payers\.obol: The state file .* is not x402-buyer's .*The gateway would not start\.\n/,
    ),
  ])
  const refused = await check()
  expect([refused.code, refused.stderr]).toEqual([
    2,
    expect.stringMatching(/^\S+ payers\.obol: The state file .* is not x402-buyer's/),
  ])
  files.remove()
  files = buyerFiles()
  const payer = { ...files.payer, config: join(files.directory, 'nowhere') }
  writeFileSync(join(files.directory, 'tollway.yaml'), JSON.stringify({ payers: { obol: payer } }))
  expect((await check()).stderr).toMatch(/payers\.obol: .*nowhere cannot be read \(ENOENT\)/)
  expect((await check('--config-only')).stdout).toContain(
    'nowhere cannot be read (ENOENT). Check the path and its permissions. The gateway would not start.',
  )
})
