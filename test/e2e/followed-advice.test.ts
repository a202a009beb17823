/** A refusal that says what to write or run is followed word for word, and the same request is answered. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { run } from '../../src/app/cli/run.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { followed, linesIn, type Written } from '../kit/follow-advice.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { offerV2 } from '../kit/quotes.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { challengeV2, completion, receiptV2 } from '../kit/seller-answers.ts'

const OTHER_PAYEE = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const THIRD_PAYEE = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'

let seller: ScriptedSeller
let tollway: TestGateway | undefined
let offer: object

beforeEach(async () => {
  offer = offerV2
  seller = await startScriptedSeller({
    unpaid: () => challengeV2([offer]),
    paid: () => completion({}, receiptV2({ success: true })),
  })
  process.env['FOLLOWED_WALLET'] = `0x${'11'.repeat(32)}`
})
afterEach(async () => {
  await close()
  await seller.close()
})

async function close(): Promise<void> {
  await tollway?.close()
  tollway = undefined
}

function configOf(route: object = {}, more: object = {}): Written {
  return {
    payers: { base: { kind: 'direct', key: '${env:FOLLOWED_WALLET}', networks: ['base-sepolia'] } },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base', ...route }],
    ...more,
  }
}

async function open(config: Written): Promise<TestGateway> {
  tollway = await startGateway(config, { payers: new Map([['base', cash()]]) })
  return tollway
}

let asked = 0
/** The message of a refusal with this code, of a request that nobody made before. */
async function refused({ url }: TestGateway, code: string, body: object = {}): Promise<string> {
  const answer = await ask(url, { model: 'paid/m', seed: (asked += 1), ...body })
  const error = await errorOf(answer)
  expect([answer.headers.get('x-tollway-spent'), error.code]).toEqual(['no', code])
  return error.message
}

async function isPaid({ url }: TestGateway): Promise<boolean> {
  const answer = await ask(url, { model: 'paid/m', seed: (asked += 1) })
  await answer.text()
  return answer.status === 200 && answer.headers.get('x-tollway-spent') === 'yes'
}

/** Runs a command that a message names, as it stands there. */
async function typed({ gateway, directory }: TestGateway, config: Written, command: string): Promise<number> {
  const { store, audit } = gateway.parts.config
  const file = join(directory, 'tollway.yaml')
  await writeFile(file, JSON.stringify({ ...config, store, audit: { path: audit.path } }))
  const [program, ...args] = command.split(' ')
  expect(program).toBe('tollway')
  return await run([...args, '--config', file], new FakeTerminal({ FOLLOWED_WALLET: `0x${'11'.repeat(32)}` }))
}

const commandsIn = (message: string): string[] =>
  [...message.matchAll(/`(tollway [^`]+)`/g)].map(([, command]) => command ?? '')

describe('a payee other than the pinned one', () => {
  test.each([
    ['the command for this payee', 0, [OTHER_PAYEE]],
    ['the command for every payee', 1, [OTHER_PAYEE, THIRD_PAYEE]],
  ])('is paid after %s', async (_what, which, payees) => {
    const config = configOf()
    const gateway = await open(config)
    expect(await isPaid(gateway)).toBe(true)
    offer = { ...offerV2, payTo: OTHER_PAYEE }
    const command = commandsIn(await refused(gateway, 'payee_not_allowed'))[which] ?? ''
    expect(await typed(gateway, config, command)).toBe(0)
    for (const payTo of payees) {
      offer = { ...offerV2, payTo }
      expect(await isPaid(gateway)).toBe(true)
    }
  })

  test('is paid after the line for the configuration', async () => {
    const config = configOf()
    const gateway = await open(config)
    expect(await isPaid(gateway)).toBe(true)
    offer = { ...offerV2, payTo: OTHER_PAYEE }
    const message = await refused(gateway, 'payee_not_allowed')
    const { store, audit } = gateway.gateway.parts.config
    await gateway.gateway.close()
    const changed = await startGateway(
      { ...followed(config, message), store, audit: { path: audit.path } },
      { payers: new Map([['base', cash()]]) },
    )
    expect(await isPaid(changed)).toBe(true)
    await changed.close()
  })
})

describe('a payee that the configuration does not list', () => {
  test.each([
    ['the line with this payee', 0, [OTHER_PAYEE, offerV2.payTo]],
    ['the line for every payee', 1, [OTHER_PAYEE, THIRD_PAYEE]],
  ])('is paid after %s', async (_what, which, payees) => {
    const listed = { sellers: { [seller.url]: { pay_to: [offerV2.payTo] } } }
    const config = configOf({}, { policy: listed })
    offer = { ...offerV2, payTo: OTHER_PAYEE }
    const message = await refused(await open(config), 'payee_not_allowed')
    await close()
    const line = linesIn(message)[which] ?? {}
    const gateway = await open({ ...config, ...line })
    for (const payTo of payees) {
      offer = { ...offerV2, payTo }
      expect(await isPaid(gateway)).toBe(true)
    }
  })
})

test('a price above what is pinned is paid after the command, and after it no higher one', async () => {
  const config = configOf({}, { policy: { max_price_change: '0' } })
  const gateway = await open(config)
  expect(await isPaid(gateway)).toBe(true)
  offer = { ...offerV2, amount: '1500' }
  const [command = ''] = commandsIn(await refused(gateway, 'price_unstable'))
  expect(await typed(gateway, config, command)).toBe(0)
  expect(await isPaid(gateway)).toBe(true)
  offer = { ...offerV2, amount: '1501' }
  await refused(gateway, 'price_unstable')
})

test('a price above the ceiling is paid after the line, and after it no higher one', async () => {
  const config = configOf()
  offer = { ...offerV2, amount: '100001' }
  const message = await refused(await open(config), 'price_above_limit')
  await close()
  const gateway = await open(followed(config, message))
  expect(await isPaid(gateway)).toBe(true)
  offer = { ...offerV2, amount: '100002' }
  await refused(gateway, 'price_above_limit')
})

test('a seller on a private network is paid after the line', async () => {
  const config = configOf({}, { policy: { block_private_networks: true } })
  const message = await refused(await open(config), 'host_not_allowed')
  await close()
  expect(await isPaid(await open(followed(config, message)))).toBe(true)
})

test.each(['/moved/v1', '/'])(
  'a seller that redirects to another place is paid after the api_base for it: %s',
  async (path) => {
    const there = `${seller.url}${path}`.replace(/\/$/, '')
    const moved = await startScriptedSeller({
      unpaid: () => ({ status: 308, headers: { location: `${there}/chat/completions` }, body: '' }),
    })
    const config = configOf({ api_base: moved.apiBase })
    const message = await refused(await open(config), 'seller_unavailable')
    await close()
    expect(linesIn(message)).toEqual([{ api_base: there }])
    expect(await isPaid(await open(followed(config, message)))).toBe(true)
    await moved.close()
  },
)

test('an endpoint that the route does not pay for is paid after the line, and those before it still are', async () => {
  const config = configOf({ paid_endpoints: ['/chat/completions'] })
  const embed = async ({ url }: TestGateway): Promise<Response> =>
    await fetch(`${url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'paid/m', input: `text ${(asked += 1)}` }),
    })
  const { message, code } = await errorOf(await embed(await open(config)))
  expect(code).toBe('endpoint_not_paid')
  await close()
  const gateway = await open(followed(config, message))
  const answer = await embed(gateway)
  expect([answer.status, answer.headers.get('x-tollway-spent')]).toEqual([200, 'yes'])
  expect(await isPaid(gateway)).toBe(true)
})

test('keys are made after the line that names their file', async () => {
  const config = configOf()
  const gateway = await open(config)
  const { store, audit } = gateway.gateway.parts.config
  const file = join(gateway.directory, 'tollway.yaml')
  const add = async (written: Written): Promise<{ code: number; terminal: FakeTerminal }> => {
    await writeFile(file, JSON.stringify({ ...written, store, audit: { path: `${audit.path}.cli` } }))
    const terminal = new FakeTerminal({ FOLLOWED_WALLET: `0x${'11'.repeat(32)}` })
    return { code: await run(['keys', 'add', 'openclaw', '--config', file], terminal), terminal }
  }
  const before = await add(config)
  expect(before.code).toBe(2)
  const after = await add(followed(config, before.terminal.err))
  expect([after.code, after.terminal.out]).toEqual([0, expect.stringMatching(/^tw-/)])
})
