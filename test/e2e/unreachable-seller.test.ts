/** A seller that nobody answers at: the operator learns which host and why, the client does not. */
import { expect, onTestFinished, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { ask, startGateway } from '../kit/gateway.ts'

/** Reserved, and never listened at (RFC 6335). */
const DEAD = '127.0.0.1:1'

test.each([
  ['paid', { model_name: 'paid/*', model: '*', api_base: `http://${DEAD}/v1`, payer: 'base' }],
  ['keyed', { model_name: 'paid/*', model: '*', api_base: `http://${DEAD}/v1` }],
])(
  'seller_unavailable of a %s route names host and errno in log and audit file alone',
  async (_kind, route) => {
    process.env['UNREACHABLE_WALLET'] = localAccounts().buyer.privateKey
    let lines = ''
    const gateway = await startGateway(
      {
        payers: { base: { kind: 'direct', key: '${env:UNREACHABLE_WALLET}', networks: ['base-sepolia'] } },
        model_list: [route],
      },
      { payers: new Map([['base', cash()]]), writeLog: (line) => void (lines += line) },
    )
    onTestFinished(() => gateway.close())
    const answer = await ask(gateway.url, { model: 'paid/m' })
    const body = await answer.text()
    expect([answer.status, body]).toEqual([503, expect.stringContaining('"seller_unavailable"')])
    expect(`${body} ${JSON.stringify([...answer.headers])}`).not.toContain(DEAD)
    const record = (await gateway.audit()).find(({ type }) => type === 'request')
    expect(record?.['details']).toMatchObject({ host: DEAD, errno: 'ECONNREFUSED' })
    const line = lines.split('\n').find((each) => each.includes('ECONNREFUSED'))
    expect(line).toContain(DEAD)
  },
)
