/**
 * What goes wrong in the first minutes: each mistake is made, and docs/first-errors.md shows the message word for word. After a
 * change of wording: `npx vitest run test/cli/first-errors.test.ts -u`, then read the page.
 */
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { expect, it, onTestFinished, vi } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { configFile, temporaryDirectory } from '../config/config-file.ts'
import { freePort } from '../kit/free-port.ts'
import { asking, challengeV2, json, OFFER, type Answer } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { FakeTerminal } from './fake-terminal.ts'

/** Known to everyone, so that the page stays the same. */
const KEY = `0x${'1'.repeat(64)}`
const PAYER = { base: { kind: 'direct', key: '${file:./wallet.key}', networks: ['base-sepolia'] } }

/** Runs a command in a directory of its own and returns what a person reads, without what differs from run to run. */
async function said(
  args: readonly string[],
  text?: string,
  directory = temporaryDirectory(),
): Promise<string> {
  writeFileSync(join(directory, 'wallet.key'), KEY, { mode: 0o600 })
  const path = text === undefined ? join(directory, 'tollway.yaml') : configFile(text, directory)
  const terminal = new FakeTerminal({ HOME: directory })
  const code = await run([...args, '--config', path], terminal)
  expect(code).not.toBe(0)
  return plain(`${terminal.err}${terminal.out}`, directory)
}

function plain(text: string, directory: string): string {
  return text
    .replaceAll(`${directory}/`, '')
    .replaceAll(directory, '<directory>')
    .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:<port>')
    .replaceAll(/sport = :\d+/g, 'sport = :<port>')
    .replaceAll(/ \((?:node|MainThread), process \d+\)/g, '')
    .replaceAll(/kill \d+/g, 'kill <process>')
    .replaceAll(/chg_[A-Za-z0-9]+/g, 'chg_<id>')
    .replaceAll(/resets \d{4}-\S+Z/g, 'resets <midnight, UTC>')
    .trim()
    .replaceAll('\n', '<br>')
    .replaceAll('|', '\\|')
}

const check = async (settings: object | string): Promise<string> =>
  await said(
    ['check'],
    typeof settings === 'string' ? settings : stringify({ listen: '127.0.0.1:0', ...settings }),
  )

/** Pays a seller that answers so, or nobody at all. */
async function pay(answer: Answer | undefined, settings: object = {}): Promise<string> {
  const seller = answer && (await startScriptedSeller({ unpaid: answer }))
  onTestFinished(async () => await seller?.close())
  const url = seller?.apiBase ?? `http://127.0.0.1:${await freePort()}/v1`
  return await said(['pay', `${url}/chat/completions`], stringify({ payers: PAYER, ...settings }))
}

async function taken(header?: string): Promise<string> {
  const server = createServer((_request, response) => {
    if (header !== undefined) response.setHeader(header, 'no')
    response.end()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return await said(['serve'], stringify({ listen: `127.0.0.1:${port}` }))
}

async function wrongKey(content: string): Promise<string> {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'other.key'), content, { mode: 0o600 })
  const payers = { base: { ...PAYER.base, key: '${file:./other.key}' } }
  return await said(['check'], stringify({ listen: '127.0.0.1:0', payers }), directory)
}

/** What somebody does, what they read, and whether a beginner knows what to do next. */
const MISTAKES: Readonly<Record<string, readonly [string, () => Promise<string>, string][]>> = {
  Starting: [
    ['`tollway serve` without a configuration', () => said(['serve']), 'clear: one command to type'],
    [
      '`tollway serve` while another program has the address',
      () => taken(),
      'clear: two ways out; which program it is, `ss -ltnp` tells',
    ],
    [
      '`tollway serve` while the gateway of yesterday still runs',
      () => taken('x-tollway-spent'),
      'clear: the command to stop it, and that payments finish first',
    ],
    [
      'the ledger in a directory that does not exist',
      () => check({ store: 'sqlite:./data/tollway.db' }),
      'clear',
    ],
    [
      'listening for other machines without keys for callers',
      () => check({ listen: '0.0.0.0:8402' }),
      'clear: why it matters, and the line to write',
    ],
  ],
  Keys: [
    ['a key without `0x`', () => wrongKey(KEY.slice(2)), 'clear: names the very characters'],
    [
      'an address instead of a key',
      () => wrongKey(`0x${'ab'.repeat(20)}`),
      'clear: a beginner learns the difference',
    ],
    [
      'a recovery phrase instead of a key',
      () => wrongKey('test '.repeat(11) + 'junk'),
      'clear: says what to export',
    ],
    ['half a key', () => wrongKey(KEY.slice(0, 40)), 'clear'],
    [
      'a key written into the file itself',
      () => check({ payers: { base: { ...PAYER.base, key: `0x${'1'.repeat(64)}` } } }),
      'clear: also says that the key is burnt',
    ],
    [
      'a variable that is not set',
      () => check({ payers: { base: { ...PAYER.base, key: '${env:TOLLWAY_NO_SUCH_KEY}' } } }),
      'clear to whoever knows `export`',
    ],
    [
      'a key file that is not there',
      () => check({ payers: { base: { ...PAYER.base, key: '${file:./no.key}' } } }),
      'clear: where relative paths start is what one gets wrong',
    ],
  ],
  'The file': [
    ['a tab', () => check('payers:\n\tbase: {}\n'), 'clear'],
    [
      'a quote that is not closed',
      () => check('listen: "127.0.0.1:8402\nstore: memory\n'),
      'enough: the place may be a line too low, and it says so',
    ],
    [
      'a reference without quotes',
      () => check('payers: { base: { kind: direct, key: ${env:KEY} } }\n'),
      'clear: the line to write',
    ],
    ['a key twice', () => check('store: memory\nstore: memory\n'), 'clear'],
    ['a misspelt key', () => check({ bugdets: [] }), 'clear'],
    ['a list where settings belong', () => check('- listen\n'), 'clear: with an example'],
    [
      'an amount as a number',
      () => check({ budgets: [{ name: 'all', limit_usd: 5.1, window: 'day' }] }),
      'clear: why, and an example',
    ],
    [
      'a misspelt network',
      () => check({ payers: { base: { ...PAYER.base, networks: ['base-sepoila'] } } }),
      'clear',
    ],
    [
      'a misspelt payer',
      () =>
        check({
          payers: PAYER,
          model_list: [{ model_name: 'a', api_base: 'https://seller.example.com/v1', payer: 'bsae' }],
        }),
      'clear',
    ],
  ],
  Paying: [
    [
      'a seller that is down',
      () => pay(undefined),
      'clear: three things to check; the code at the end is for experts',
    ],
    [
      'an address that is not there',
      () => pay(json({ error: 'not found' }, {}, 404)),
      'clear: the likely cause comes first',
    ],
    [
      '`tollway probe` of a page that asks for no payment',
      () => free(),
      'clear since it says what to check; before, it only told a fact',
    ],
    [
      'a seller on another network',
      () => pay(challengeV2([{ ...OFFER, network: 'eip155:8453' }])),
      'clear: the list to write; a beginner must look up what eip155:8453 is (base, in the same line)',
    ],
    ['a price above the ceiling', () => pay(asking(500_000n)), 'clear: the line to write'],
    [
      'a budget that is too small',
      () => pay(asking(5000n), { budgets: [{ name: 'all', limit_usd: '0.001', window: 'day' }] }),
      'enough: which budget, and until when; raising `limit_usd` is left to the reader, on purpose',
    ],
    [
      'a wallet without money, as the seller tells it',
      () => noFunds(),
      'long, but the order is right: what it means, the address, the token, the network, what not to do',
    ],
    [
      'no wallet at all',
      () => said(['pay', 'http://127.0.0.1:9/v1'], stringify({ store: 'memory' })),
      'clear: the lines to write; `tollway init` would write them',
    ],
  ],
}

async function free(): Promise<string> {
  const seller = await startScriptedSeller({ unpaid: json({ hello: 'world' }) })
  onTestFinished(async () => await seller.close())
  return await said(['probe', `${seller.apiBase}/chat/completions`], stringify({ payers: PAYER }))
}

/** Without a node under `chains` nobody sees the empty wallet before the seller does. */
async function noFunds(): Promise<string> {
  const seller = await startScriptedSeller({
    paid: challengeV2([OFFER], { error: 'insufficient_funds' }),
  })
  onTestFinished(async () => await seller.close())
  return await said(['pay', `${seller.apiBase}/chat/completions`], stringify({ payers: PAYER }))
}

const HEAD = `# First errors

What goes wrong in the first minutes, and what Tollway says about it. Each line is tried by a test (\`test/cli/first-errors.test.ts\`), which also keeps
the messages on this page the ones you see; names of files and ports are shortened. Messages say what happened, what it means for the money where any is
involved, and what to do. None of them shows a key. The verdicts are those of a reader who did not write the messages: does a beginner know what to do next?

For everything else that can be wrong with an installation, \`tollway doctor\` lists findings with their fixes ([Doctor](doctor.md)).
`

it('each is told with what to do, as docs/first-errors.md shows it', { timeout: 240_000 }, async () => {
  vi.stubEnv('TOLLWAY_NO_SUCH_KEY', undefined)
  onTestFinished(() => void vi.unstubAllEnvs())
  let page = HEAD
  for (const [title, mistakes] of Object.entries(MISTAKES)) {
    page += `\n## ${title}\n\n| What somebody does | What Tollway says | Verdict |\n| --- | --- | --- |\n`
    for (const [what, make, verdict] of mistakes) page += `| ${what} | ${await make()} | ${verdict} |\n`
  }
  await expect(page).toMatchFileSnapshot('../../docs/first-errors.md')
})
