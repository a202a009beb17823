import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { agentcashProgram, type AgentcashProgramOptions } from '../../providers/agentcash/program.ts'
import { agentcashWallet } from '../../providers/agentcash/wallet.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { ConfigError } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import { AGENTCASH_STUB, agentcashHome, type AgentcashHome } from '../kit/agentcash-home.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { quoteOf } from '../kit/quotes.ts'
import { describeProvider } from './conformance.ts'

const never = new AbortController().signal
type Ends = (() => Promise<void>)[]
const cleanup: Ends = []
const atTheEnd: Ends = []
const undo = async (ends: Ends): Promise<void> => {
  for (const end of ends.splice(0).toReversed()) await end()
}

afterEach(() => undo(cleanup))
afterAll(() => undo(atTheEnd))

async function setUp(
  mode: 'mcp' | 'cli',
  options: Partial<AgentcashProgramOptions> = {},
  ends: Ends = cleanup,
): Promise<{ payer: Provider; home: AgentcashHome }> {
  const home = await agentcashHome(localAccounts().buyer)
  ends.push(() => home.close())
  const payer = await agentcashProgram({
    mode,
    binary: AGENTCASH_STUB,
    home: home.path,
    networks: ['base', 'base-sepolia'],
    concurrency: 64,
    ...options,
  })
  ends.push(() => payer.close())
  return { payer, home }
}

// A start is a process: one serves all tests of a mode.
describeProvider('agentcash mcp', async () => (await setUp('mcp', {}, atTheEnd)).payer, { shared: true })
describeProvider('agentcash cli', async () => (await setUp('cli', {}, atTheEnd)).payer, {
  shared: true,
  burst: 2,
})
describeProvider(
  'agentcash wallet',
  async () => {
    const home = await agentcashHome(localAccounts().buyer)
    atTheEnd.push(() => home.close())
    return await agentcashWallet({ wallet: home.wallet, networks: ['base-sepolia'] })
  },
  { shared: true },
)

describe.each(['mcp', 'cli'] as const)('AgentCash as a program (%s)', (mode) => {
  let payer: Provider
  let home: AgentcashHome
  let call: Awaited<ReturnType<AgentcashHome['calls']>>[number] | undefined
  const ends: Ends = []

  beforeAll(async () => {
    const env = { ...process.env, TOLLWAY_ADMIN_KEY: 'secret' }
    ;({ payer, home } = await setUp(mode, { env }, ends))
    await payer.authorize(quoteOf(2, { amount: '1001' }), 'chg_1', never)
    call = (await home.calls())[0]
  })
  afterAll(() => undo(ends))

  test('always receives protocol, network and the vetted amount as its ceiling', () => {
    if (mode === 'mcp') return expect(call?.argv).toEqual(['server'])
    const [, url] = call?.argv ?? []
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/pay\/[0-9a-f]{64}$/)
    expect(call?.argv.join(' ')).toBe(
      `fetch ${url} --method POST --body {} --payment-protocol x402 --payment-network base-sepolia --max-amount 0.001001 --timeout 3600000 --format json`,
    )
  })

  test('receives only PATH and its home from our environment', () => {
    expect(call?.env).toMatchObject({ HOME: home.path })
    const allowed = new Set('HOME PATH LANG TMPDIR USERPROFILE LOGNAME SHELL TERM USER'.split(' '))
    expect(Object.keys(call?.env ?? {}).filter((name) => !allowed.has(name))).toEqual([])
  })

  test('that has no money is insufficient_funds, and what else keeps it is signer_unavailable', async () => {
    const { address } = localAccounts().buyer
    await home.fail({ cause: 'insufficient_balance' })
    await expect(payer.authorize(quoteOf(), 'chg_2', never)).rejects.toMatchObject({
      code: 'insufficient_funds',
      message: expect.stringContaining(`The AgentCash wallet ${address} cannot cover the quote`),
      details: { payer_fault: 'insufficient_balance', wallet: address },
    })
    // A version that does not name its wallet: nobody else knows it, because only AgentCash reads the file.
    await home.fail({ cause: 'insufficient_balance', isNameless: true })
    await expect(payer.authorize(quoteOf(), 'chg_2b', never)).rejects.toMatchObject({
      code: 'insufficient_funds',
      message: expect.stringContaining('The AgentCash wallet cannot cover the quote'),
      details: { payer_fault: 'insufficient_balance' },
    })
    await home.fail({ cause: 'parse_payment_required' })
    await expect(payer.authorize(quoteOf(), 'chg_3', never)).rejects.toMatchObject({
      code: 'signer_unavailable',
      message: expect.stringContaining('it gave up (parse_payment_required)'),
    })
  })

  test('is given up after its time, and what it signs then is not used', async () => {
    const timers = new ManualTimers()
    const late = await setUp(mode, { timers, timeoutMs: 5000 })
    const authorizing = late.payer.authorize(quoteOf(), 'chg_1', never)
    authorizing.catch(() => undefined)
    await timers.fire(5000)
    await expect(authorizing).rejects.toThrow(/did not pay within 5000 ms/)
  })
})

describe('AgentCash as a server', () => {
  test('is one process for many payments, and when it dies the next one comes after pauses that double', async () => {
    const timers = new ManualTimers()
    const { payer, home } = await setUp('mcp', { timers })
    const pays = async (charge: string, pause?: number): Promise<unknown> => {
      const paying = payer.authorize(quoteOf(), charge, never)
      paying.catch(() => undefined)
      if (pause !== undefined) await timers.fire(pause)
      return await paying
    }
    await home.fail({ die: true })
    await expect(pays('chg_1')).rejects.toMatchObject({ code: 'signer_unavailable' })
    await expect(pays('chg_2', 500)).rejects.toMatchObject({ code: 'signer_unavailable' })
    await expect(pays('chg_3', 1000)).rejects.toMatchObject({ code: 'signer_unavailable' })
    await home.fail({})
    await expect(pays('chg_4', 2000)).resolves.toHaveProperty('kind', 'authorization')
    await Promise.all(Array.from({ length: 8 }, (_, index) => pays(`chg_${5 + index}`)))
    expect(await home.calls()).toHaveLength(4)
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

test('AgentCash is ready while its program is there, and is not started to find out', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tollway-agentcash-'))
  cleanup.push(async () => await rm(directory, { recursive: true, force: true }))
  const binary = join(directory, 'agentcash.mjs')
  await writeFile(binary, 'throw new Error("started")')
  const { payer } = await setUp('cli', { binary })
  await expect(payer.check?.()).resolves.toBeUndefined()
  await rm(binary)
  await expect(payer.check?.()).rejects.toMatchObject({ code: 'signer_unavailable' })
})
