/** `tollway check --online` compares clocks, and says what to do about one that is wrong. */
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { generatePrivateKey } from 'viem/accounts'
import { stringify } from 'yaml'
import { afterEach, describe, expect, it } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { examineClocks, examineSellerClock } from '../../src/app/doctor/examine-clocks.ts'
import { configFile, temporaryDirectory } from '../config/config-file.ts'
import { FakeTerminal } from './fake-terminal.ts'

const NOW = Date.parse('2026-03-01T12:00:00.500Z')
const ends: (() => unknown)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

/** A seller whose clock is ahead of ours, seconds; it counts what it is asked. */
async function sellerAhead(seconds: number): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.method ?? '')
    response.sendDate = false
    response.setHeader('date', new Date(Date.now() + seconds * 1000).toUTCString())
    response.writeHead(404).end()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  ends.push(
    () => server.close(),
    () => server.closeAllConnections(),
  )
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

async function check(apiBase: string, ...more: string[]): Promise<FakeTerminal> {
  const wallet = join(temporaryDirectory(), 'wallet')
  writeFileSync(wallet, generatePrivateKey(), { mode: 0o600 })
  const file = configFile(
    stringify({
      payers: { base: { kind: 'direct', key: `\${file:${wallet}}`, networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'paid/*', model: '*', api_base: `${apiBase}/v1`, payer: 'base' },
        { model_name: 'paid/other', api_base: `${apiBase}/v2`, payer: 'base' },
      ],
    }),
  )
  const terminal = new FakeTerminal()
  expect(await run(['check', '--config', file, ...more], terminal)).toBe(0)
  return terminal
}

describe('tollway check --online', () => {
  it.each([
    [600, 'behind'],
    [-7200, 'ahead of'],
  ])('warns of a clock that is off by %d s, asking each seller once', async (seconds, words) => {
    const seller = await sellerAhead(seconds)
    const { out } = await check(seller.url, '--online')
    expect(out).toMatch(
      new RegExp(
        `WARN  sellers  127\\.0\\.0\\.1:\\d+: this machine's clock is \\d+ s ${words} the seller's\\.`,
      ),
    )
    expect(out).toContain('timedatectl set-ntp true')
    expect(seller.asked).toEqual(['GET'])
    const json = JSON.parse((await check(seller.url, '--online', '--json')).out) as { clocks: unknown }
    expect(json.clocks).toMatchObject([
      { area: 'sellers', status: 'warning', fix: expect.stringContaining('clock') as unknown },
    ])
  })

  it('says that clocks agree, and sends nothing without --online', async () => {
    const seller = await sellerAhead(0)
    expect((await check(seller.url, '--online')).out).toContain('and of this machine agree.')
    expect((await check(seller.url)).out).not.toContain('clock')
    expect(seller.asked).toEqual(['GET'])
  })
})

describe("a seller's clock", () => {
  it.each([
    [{ status: 402, body: '', date: 'Sun, 01 Mar 2026 12:02:00 GMT' }, 'warning', '120 s behind'],
    [{ status: 500, body: '', date: 'Sun, 01 Mar 2026 11:00:00 GMT' }, 'warning', 'ahead of'],
    [{ status: 200, body: '', date: 'Sun, 01 Mar 2026 12:00:20 GMT' }, 'ok', 'agree'],
    [{ status: 200, body: '' }, 'skipped', 'names no date'],
    [{ status: 200, body: '', date: 'noon' }, 'skipped', 'names no date'],
    [{ failure: 'no connection' }, 'skipped', 'no connection'],
  ] as const)('is read from %j', async (got, status, words) => {
    const found = await examineSellerClock(
      'https://seller.test',
      () => NOW,
      async () => await Promise.resolve(got),
    )
    expect(found).toMatchObject({ status, text: expect.stringContaining(words) as unknown })
  })

  it('is read for sellers of paid routes only', async () => {
    const asked: string[] = []
    const route = (modelName: string, apiBase: string, payer: string | undefined) => ({
      modelName,
      apiBase,
      payer,
    })
    const routes = [
      route('a', 'https://paid.test/v1', 'base'),
      route('b', 'https://keyed.test/v1', undefined),
    ]
    await examineClocks(
      { routes: routes as never, chains: new Map() },
      () => NOW,
      async (url) => {
        asked.push(url)
        return await Promise.resolve({ failure: 'no connection' })
      },
    )
    expect(asked).toEqual(['https://paid.test'])
  })
})
