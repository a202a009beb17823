import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { localAccounts } from '../src/app/sandbox/chain/accounts.ts'
import { compose } from '../src/app/sandbox/model/model-text.ts'
import { startSandbox, type Sandbox } from '../src/app/sandbox/sandbox.ts'
import { Child, run } from './kit/child.ts'
import { ask } from './kit/gateway.ts'
import { blocksOf, substitute, type Block } from './kit/markdown.ts'
import { MAIN } from './kit/program.ts'

const ROOT = join(import.meta.dirname, '..')
const PRELOAD = new URL('kit/run-examples.ts', import.meta.url).href
const SELLER = 'https://seller.example.com/v1'
const QUESTION = 'Who pays for this answer?'
const env = { ...process.env, TOLLWAY_WALLET_KEY: localAccounts().buyer.privateKey }

/** Markers of README.md, each of which a test below, or `.ci/run`, executes. */
const EXECUTED = ['main', 'tests', 'config', 'commands', 'openai', 'express']

/** Markers of other pages, which tests of their own execute. */
const ELSEWHERE = new Map([
  ['docs/admin.md', ['add']],
  ['docs/agents.md', ['mcp', 'client', 'proxy', 'skill']],
  ['docs/catalogue.md', ['commands']],
  ['docs/from-clawrouter.md', ['clawrouter']],
  ['docs/install.md', ['tarball', 'npx', 'shell', 'update']],
  ['docs/quick-starts.md', ['operator', 'grafana', 'openclaw', 'developer']],
  ['docs/agentcash.md', ['payers', 'blockrun']],
  ['docs/obol-sidecar.md', ['sidecar']],
  ['docs/audit.md', ['key', 'config', 'verify', 'offline', 'show']],
  ['docs/backup.md', ['backup', 'restore', 'adopt', 'start']],
  ['docs/buying.md', ['config', 'commands', 'keyless', 'emit']],
  ['docs/budgets.md', ['budgets', 'look', 'overshoot']],
  ['docs/callers.md', ['callers', 'keys']],
  ['docs/clients.md', ['openclaw', 'entries', 'upstream']],
  ['docs/dashboard.md', ['key', 'programs']],
  ['docs/doctor.md', ['doctor']],
  ['docs/dashboards.md', ['metrics', 'scrape', 'prometheus']],
  ['docs/observability.md', ['config', 'level', 'traces']],
  ['docs/http.md', ['lookup']],
  ['docs/report.md', ['report', 'flags', 'policy']],
  ['docs/reconciliation.md', ['chains', 'reconcile']],
  ['docs/routing.md', ['routing', 'litellm']],
  ['docs/middlewares.md', ['parts']],
  ['docs/approvals.md', ['approvals']],
  ['docs/hooks.md', ['hooks']],
  ['docs/notify.md', ['notify', 'message', 'receiver']],
  ['docs/own-payers.md', ['payer', 'store']],
  ['docs/obol.md', ['serve', 'config']],
  ['docs/payers.md', ['direct', 'network']],
  ['docs/solana.md', ['solana']],
  ['docs/scale.md', ['store']],
  ['docs/sellers.md', ['payees', 'anypayee', 'trustany', 'sellers']],
  ['docs/streams.md', ['streams']],
])

const readme = await readFile(join(ROOT, 'README.md'), 'utf8')
const pages = new Map([['README.md', readme]])
for (const name of await readdir(join(ROOT, 'docs'))) {
  if (name.endsWith('.md')) pages.set(`docs/${name}`, await readFile(join(ROOT, 'docs', name), 'utf8'))
}

let directory: string
let sandbox: Sandbox

beforeAll(async () => {
  // A project as its user has it: tollway.yaml, and packages to import.
  directory = await mkdtemp(join(tmpdir(), 'tollway-readme-'))
  await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  await writeFile(join(directory, 'tollway.yaml'), block('config'))
  sandbox = await startSandbox({ port: 0, blockTimeSeconds: 0 })
})

afterAll(async () => {
  await sandbox?.close()
  await rm(directory, { recursive: true, force: true })
})

function block(marker: string): string {
  const found = blocksOf(readme).find((candidate) => candidate.marker === marker)
  if (!found) throw new Error(`README.md has no block marked <!-- ${marker} -->`)
  return found.text
}

/** Starts a process in the project, and sees to it that it does not outlive the test. */
function start(args: readonly string[]): Child {
  const child = new Child(process.execPath, args, { cwd: directory, env })
  onTestFinished(() => child.kill('SIGKILL'))
  return child
}

async function startModule(name: string, source: string): Promise<Child> {
  await writeFile(join(directory, name), source)
  return start(['--import', PRELOAD, name])
}

describe('every block is executed', () => {
  test.each([...pages])('%s', (name, page) => {
    const unmarked = blocksOf(page).filter(
      ({ marker, language }) => marker === undefined && language !== 'text',
    )
    expect(unmarked, 'mark it with <!-- name --> and execute it in this test').toEqual([])
    const markers = blocksOf(page).flatMap(({ marker }: Block) => marker ?? [])
    expect(markers).toEqual(name === 'README.md' ? EXECUTED : (ELSEWHERE.get(name) ?? []))
  })
})

test.each(['tests', 'main'])(
  '.ci/run takes the line marked %s from the README, whole, and runs it',
  async (marker) => {
    const script = await readFile(join(ROOT, '.ci/run'), 'utf8')
    const extract = /^line\(\) .*$/m.exec(script)?.[0]
    const { stdout, stderr } = await run('bash', ['-euo', 'pipefail', '-c', `${extract}\nline ${marker}`], {
      cwd: ROOT,
    })
    expect([stdout, stderr]).toEqual([block(marker), ''])
    const variable = new RegExp(`^(\\w+)=\\$\\(line ${marker}\\)$`, 'm').exec(script)?.[1]
    expect(script).toMatch(new RegExp(`^(?:out=\\$\\()?bash -euo pipefail -c "\\$${variable}"\\)?$`, 'm'))
  },
)

test('config and commands: check accepts the configuration, and serve serves it until SIGTERM', async () => {
  const commands = block('commands').trimEnd().split('\n')
  expect(commands).toHaveLength(2)
  for (const line of commands) {
    const isServe = line.includes(' serve ')
    // As it stands there, in the checkout; but for the file's place, and the port, which may be taken on this machine.
    const script = `exec ${substitute(line, 'tollway.yaml', join(directory, 'tollway.yaml'))}`
    const child = new Child('bash', ['-c', isServe ? `${script} --listen 127.0.0.1:0` : script], {
      cwd: ROOT,
      env,
      group: true,
    })
    onTestFinished(() => child.kill('SIGKILL'))
    if (isServe) {
      const [, url = ''] = await child.says(/tollway is ready at (http:\/\/127\.0\.0\.1:\d+)/)
      expect(await (await fetch(`${url}/v1/models`)).json()).toMatchObject({ data: [{ id: 'paid/*' }] })
      child.kill('SIGTERM')
    } else {
      await child.says(/tollway\.yaml is valid\.[^]*paid\/\*[^]*base-sepolia[^]*\$5\.00/)
    }
    // npm itself ends by the signal; the gateway, which had it too, says that it ended in order.
    const { code, stdout } = await child.end()
    if (isServe) expect(stdout).toContain('stopped')
    else expect(code).toBe(0)
  }
})

test('openai: the program prints what the model said, and that was paid for', async () => {
  const { chain } = sandbox.world
  const before = await chain.balanceOf(chain.accounts.seller.address)
  const source = substitute(block('openai'), 'http://127.0.0.1:8402', sandbox.url)
  const program = await startModule('openai.mjs', source)
  expect(await program.end()).toEqual({ code: 0, stdout: compose(QUESTION).pieces.join(''), stderr: '' })
  expect(await chain.balanceOf(chain.accounts.seller.address)).toBe(before + 1000n)
})

test('express: the app answers a paid, streamed call, and the payment is on the chain', async () => {
  const { chain, streamingSeller } = sandbox.world
  const before = (await chain.transfers()).length
  const app = await startModule(
    'express.mjs',
    substitute(substitute(block('express'), SELLER, streamingSeller.apiBase), '8402', '0'),
  )
  const [, port] = await app.says(/listening on port (\d+)/)
  const answer = await ask(`http://127.0.0.1:${port}`, { model: 'paid/sandbox-small', stream: true })
  expect(await answer.text()).toMatch(/^data: \{[^]*data: \[DONE\]\n\n$/)
  const transfers = (await chain.transfers()).slice(before)
  expect(transfers).toMatchObject([
    { value: 1000n, transaction: answer.headers.get('x-tollway-transaction') },
  ])
})

test('the example configuration passes check', async () => {
  const child = new Child(
    process.execPath,
    [MAIN, 'check', '--config', join(ROOT, 'examples/tollway.yaml')],
    {
      cwd: directory,
      env: { ...env, OPENAI_API_KEY: 'sk-test' },
    },
  )
  expect(await child.end()).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringContaining('is valid'),
  })
})
