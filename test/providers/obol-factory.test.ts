/** `obol({ config, auths, ledger })`: a pool as a payer of single middlewares, with plain options. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  budgetGuard,
  modelRouter,
  openLedger,
  paymentInterceptor,
  readBody,
  sseRestreamer,
  type OpenedLedger,
} from '../../middleware/index.ts'
import { obol } from '../../providers/index.ts'
import { buyerFiles, signAuths, upstreamFile, type BuyerFiles } from '../kit/obol-pool.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { OFFER } from '../kit/seller-answers.ts'
import { codeOf, inExpress, post, serve, untyped } from '../middleware/harness.ts'

const PAY_TO = untyped<`0x${string}`>(OFFER.payTo)

let files: BuyerFiles
let seller: ScriptedSeller
let opened: OpenedLedger

beforeEach(async () => {
  files = buyerFiles()
  seller = await startScriptedSeller()
  opened = await openLedger({ store: 'memory' })
})
afterEach(async () => {
  await opened.close()
  await seller.close()
  files.remove()
})

test('pays with vouchers of the files until they are used up, without a key', async () => {
  const auths = await signAuths(2, { payTo: PAY_TO })
  files.write('qwen', upstreamFile({ url: seller.url, payTo: PAY_TO }), auths)
  const { ledger } = opened
  const { config, auths: directory } = files
  const payer = await obol({ config, auths: directory, ledger, reloadMs: 0 })
  const budgets = [{ name: 'day', limitUsd: '1.00', window: 'day' }]
  const routes = [{ modelName: 'paid/*', model: '*', apiBase: seller.apiBase, payer: 'obol' }]
  const port = await serve(
    inExpress(
      readBody(),
      modelRouter({ routes }),
      budgetGuard({ ledger, budgets }),
      paymentInterceptor({ payers: { obol: payer }, ledger, policy: { maxValiditySeconds: 7200 } }),
      sseRestreamer(),
    ),
  )
  const ask = async (seed: number) =>
    await post(port, '/v1/chat/completions', { model: 'paid/sandbox-small', seed, messages: [] })
  for (const seed of [1, 2]) {
    const answer = await ask(seed)
    expect([answer.status, answer.headers['x-tollway-spent']]).toEqual([200, 'yes'])
  }
  const third = await ask(3)
  expect([third.status, codeOf(third)]).toEqual([400, 'pool_exhausted'])
  expect(seller.payments).toHaveLength(2)
  await payer.close()
})

test('says what is wrong with its options and files', async () => {
  const { ledger } = opened
  await expect(obol(untyped({ config: './x' }))).rejects.toThrow(
    'ledger: give the ledger that openLedger() opens',
  )
  await expect(obol({ config: `${files.directory}/none`, ledger })).rejects.toThrow(
    'Correct config or auths.',
  )
  await expect(obol(untyped({ config: './x', ledger, auth: './y' }))).rejects.toThrow('Did you mean "auths"?')
})
