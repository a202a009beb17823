import { afterEach, describe, expect, test } from 'vitest'
import { agentcashProgram, type AgentcashProgramOptions } from '../../providers/agentcash/program.ts'
import { localAccounts } from '../../src/app/sandbox/accounts.ts'
import { ConfigError } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/provider.ts'
import { AGENTCASH_STUB, agentcashHome, type AgentcashHome } from '../kit/agentcash-home.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { quoteOf } from '../kit/quotes.ts'
import { describeProvider } from './conformance.ts'

const never = new AbortController().signal
const cleanup: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const end of cleanup.splice(0).toReversed()) await end()
})

async function setUp(
  mode: 'mcp' | 'cli',
  options: Partial<AgentcashProgramOptions> = {},
): Promise<{ payer: Provider; home: AgentcashHome }> {
  const home = await agentcashHome(localAccounts().buyer)
  cleanup.push(() => home.close())
  const payer = await agentcashProgram({
    mode,
    binary: AGENTCASH_STUB,
    home: home.path,
    networks: ['base', 'base-sepolia'],
    concurrency: 64,
    ...options,
  })
  cleanup.push(() => payer.close())
  return { payer, home }
}

describeProvider('agentcash mcp', async () => (await setUp('mcp')).payer)
describeProvider('agentcash cli', async () => (await setUp('cli')).payer, { burst: 3 })

describe.each(['mcp', 'cli'] as const)('AgentCash as a program (%s)', (mode) => {
  test('that has no money is insufficient_funds, and what else keeps it is signer_unavailable', async () => {
    const { payer, home } = await setUp(mode)
    await home.fail({ cause: 'insufficient_balance' })
    await expect(payer.authorize(quoteOf(), 'chg_1', never)).rejects.toMatchObject({
      code: 'insufficient_funds',
      details: { payer_fault: 'insufficient_balance' },
    })
    await home.fail({ cause: 'parse_payment_required' })
    await expect(payer.authorize(quoteOf(), 'chg_1', never)).rejects.toMatchObject({
      code: 'signer_unavailable',
      message: expect.stringContaining('it gave up (parse_payment_required)'),
    })
  })

  test('is always told protocol, network and the vetted amount as its own ceiling', async () => {
    const { payer, home } = await setUp(mode)
    await payer.authorize(quoteOf(2, { amount: '1001' }), 'chg_1', never)
    const [call] = await home.calls()
    if (mode === 'cli') {
      const [, url] = call?.argv ?? []
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/pay\/[0-9a-f]{64}$/)
      expect(call?.argv.join(' ')).toBe(
        `fetch ${url} --method POST --body {} --payment-protocol x402 --payment-network base-sepolia --max-amount 0.001001 --timeout 3600000 --format json`,
      )
    } else expect(call?.argv).toEqual(['server'])
  })

  test('gets none of our environment but where things are', async () => {
    const { payer, home } = await setUp(mode, { env: { ...process.env, TOLLWAY_ADMIN_KEY: 'secret' } })
    await payer.authorize(quoteOf(), 'chg_1', never)
    const [call] = await home.calls()
    expect(call?.env).toMatchObject({ HOME: home.path })
    const allowed = new Set([
      'HOME',
      'PATH',
      'LANG',
      'TMPDIR',
      'USERPROFILE',
      'LOGNAME',
      'SHELL',
      'TERM',
      'USER',
    ])
    expect(Object.keys(call?.env ?? {}).filter((name) => !allowed.has(name))).toEqual([])
  })

  test('is given up after its time, and what it signs then is not used', async () => {
    const timers = new ManualTimers()
    const { payer } = await setUp(mode, { timers, timeoutMs: 5000 })
    const authorizing = payer.authorize(quoteOf(), 'chg_1', never)
    authorizing.catch(() => undefined)
    await timers.fire(5000)
    await expect(authorizing).rejects.toThrow(/did not pay within 5000 ms/)
  })
})

describe('AgentCash as a server', () => {
  test('is one process for many payments', async () => {
    const { payer, home } = await setUp('mcp')
    await Promise.all(Array.from({ length: 8 }, () => payer.authorize(quoteOf(), 'chg_1', never)))
    expect(await home.calls()).toHaveLength(1)
  })

  test('that dies fails the payment it was asked for, and the next one starts another after a pause', async () => {
    const timers = new ManualTimers()
    const { payer, home } = await setUp('mcp', { timers })
    await home.fail({ die: true })
    await expect(payer.authorize(quoteOf(), 'chg_1', never)).rejects.toMatchObject({
      code: 'signer_unavailable',
    })
    await home.fail({})
    const next = payer.authorize(quoteOf(), 'chg_2', never)
    await timers.fire(500)
    await expect(next).resolves.toHaveProperty('kind', 'authorization')
    expect(await home.calls()).toHaveLength(2)
  })
})

describe('the options of agentcash', () => {
  test.each([
    ['npx', '/usr/bin/npx', /binary is npx, which runs whatever version/],
    ['a bare name', 'agentcash', /binary agentcash is not a file/],
    ['a directory', '/usr/bin', /is not a file/],
  ])('refuse %s as the program', async (_what, binary, message) => {
    const starting = agentcashProgram({ mode: 'cli', binary })
    await expect(starting).rejects.toBeInstanceOf(ConfigError)
    await expect(starting).rejects.toThrow(message)
  })
})
