/** The pages for users of other programs: every line they are told to type is typed, and works. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
// As members: a package that others load replaces them on the object.
import process from 'node:process'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { freePort } from '../kit/free-port.ts'
import { blocksOf } from '../kit/markdown.ts'
import { signAuths, upstreamFile } from '../kit/obol-pool.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { FakeTerminal } from './fake-terminal.ts'

type Environment = Readonly<Record<string, string>>

const { buyer, seller: payee } = localAccounts()
const home = process.cwd()
let seller: ScriptedSeller
let directory = ''

beforeEach(async () => {
  seller = await startScriptedSeller()
  directory = temporaryDirectory()
  process.chdir(directory)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  process.chdir(home)
  await seller.close()
})

const textOf = (page: string): string => readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8')

/** The lines of a page's tables that begin with `tollway`, or with variables before it. */
const linesOf = (page: string): string[] => [
  ...new Set([...textOf(page).matchAll(/`((?:[A-Z_]+=\S+ )*tollway [^`]+)`/g)].map(([, line]) => line ?? '')),
]

/** Types a line. Its places are those of the test: the seller, the directory and a free port. */
async function type(line: string, env: Environment): Promise<string> {
  const words = line
    .replaceAll('https://seller.example.com/services/qwen', seller.url)
    .replaceAll(/\/(?:config|state)\//g, `${directory}/`)
    .replaceAll(/:(?:8402|4000)\b/g, ':0')
    .split(' ')
  const start = words.indexOf('tollway')
  const own = Object.fromEntries(words.slice(0, start).map((word) => word.split('=') as [string, string]))
  const args = words.slice(start + 1)
  const isBlockrun = args.includes('--blockrun')
  const port = isBlockrun ? { PORT: String(await freePort()) } : {}
  // Where a line leaves the address out, it is the default one, which another program may have.
  const isServing = args[0] === 'serve'
  if (isServing && !isBlockrun && !args.some((word) => word.startsWith('--listen'))) {
    args.push('--listen', '127.0.0.1:0')
  }
  vi.stubEnv('TOLLWAY_WALLET_KEY', buyer.privateKey)
  vi.stubEnv('X402_PRIVATE_KEY', buyer.privateKey)
  const terminal = new FakeTerminal({ TOLLWAY_WALLET_KEY: buyer.privateKey, ...env, ...own, ...port })
  const ended = run(args, terminal)
  if (isServing) {
    const ready = vi.waitFor(() => expect(terminal.out).toContain('is ready'), { timeout: 60_000 })
    await Promise.race([ended, ready])
    terminal.signal()
  }
  const code = await ended
  // A doctor may find something, and a balance needs a node: they say so.
  const isTelling = args[0] === 'doctor' || args[0] === 'balance'
  expect([
    line,
    isTelling ? code <= 1 : code,
    isTelling || terminal.err.replace(/^warning: .*\n/, ''),
  ]).toEqual([line, isTelling ? true : 0, isTelling ? true : ''])
  return terminal.out
}

/** Types the lines of a page one after the other. @returns what each said */
async function typeAll(page: string, env: Environment): Promise<ReadonlyMap<string, string>> {
  const said = new Map<string, string>()
  for (const line of linesOf(page)) said.set(line, await type(line, env))
  return said
}

describe('docs/from-x402-buyer.md', () => {
  beforeEach(async () => {
    const upstream = upstreamFile({
      url: 'https://s.test/services/qwen',
      payTo: payee.address,
      model: 'qwen',
    })
    const auths = await signAuths(1, { payTo: payee.address })
    for (const name of ['buyer-config', 'buyer-auths']) mkdirSync(name)
    writeFileSync('buyer-config/qwen.json', JSON.stringify(upstream))
    writeFileSync('buyer-auths/qwen.json', JSON.stringify(auths))
    writeFileSync('config.json', JSON.stringify({ upstreams: { qwen: upstream } }))
    writeFileSync('auths.json', JSON.stringify({ qwen: auths }))
  })

  it.each(linesOf('from-x402-buyer.md'))('%s', async (line) => {
    const isServing = line.includes(' serve ')
    if (line.startsWith('tollway check')) {
      const pool = { kind: 'obol', mode: 'pool', config: './buyer-config', auths: './buyer-auths' }
      writeFileSync('tollway.yaml', JSON.stringify({ payers: { obol: pool } }))
    }
    // What a line leaves out is a path of the original's image.
    const files =
      isServing && !/ --?config/.test(line) ? ' --config=/config/config.json --auths=/config/auths.json' : ''
    const state = isServing && !line.includes('-state') ? ' --state=/state/consumed.json' : ''
    const said = await type(`${line}${files}${state}`, { KUBERNETES_SERVICE_HOST: '10.96.0.1' })
    if (line.startsWith('tollway check')) expect(said).toContain('qwen')
    if (line.startsWith('tollway buy')) expect(said).toMatch(/Signed 10 of 10/)
  })
})

describe('docs/from-blockrun-proxy.md', () => {
  it('every line starts what it says', async () => {
    vi.stubEnv('HOME', directory)
    const said = await typeAll('from-blockrun-proxy.md', { X402_PRIVATE_KEY: buyer.privateKey })
    expect([...said.keys()]).toHaveLength(3)
    for (const [line, text] of said) {
      expect(text).toContain(
        line.includes('DRY_RUN') ? 'dry run:' : `live: ${buyer.address.toLowerCase()} pays`,
      )
    }
  })
})

describe('docs/from-litellm.md', () => {
  it("every line works with a LiteLLM's config.yaml", async () => {
    const litellm_params = {
      model: 'openai/gpt-4o',
      api_base: seller.apiBase,
      api_key: 'os.environ/OPENAI_API_KEY',
    }
    const file = {
      model_list: [{ model_name: 'gpt-4o', litellm_params }],
      router_settings: { num_retries: 2 },
    }
    writeFileSync('config.yaml', JSON.stringify(file))
    const paid = { model_name: 'paid/qwen', model: 'qwen', api_base: seller.apiBase, payer: 'base' }
    const base = { kind: 'direct', key: '${env:TOLLWAY_WALLET_KEY}', networks: ['base-sepolia'] }
    writeFileSync('tollway.yaml', JSON.stringify({ payers: { base }, model_list: [paid] }))
    const said = await typeAll('from-litellm.md', { OPENAI_API_KEY: 'sk-unused-key-of-a-test' })
    expect([...said.keys()]).toHaveLength(4)
    expect(said.get('tollway check --config config.yaml')).toContain('gpt-4o')
    expect(said.get('tollway init litellm --file config.yaml')).toContain('paid/qwen')
  })
})

describe('docs/from-clawrouter.md', () => {
  it('every line works with the configuration of the page', async () => {
    const written = blocksOf(textOf('from-clawrouter.md')).find(({ marker }) => marker === 'clawrouter')
    writeFileSync('tollway.yaml', written?.text.replace('https://blockrun.ai/api/v1', seller.apiBase) ?? '')
    const said = await typeAll('from-clawrouter.md', {})
    expect([...said.keys()]).toHaveLength(8)
    expect(said.get('tollway budgets')).toContain('daily')
  })
})
