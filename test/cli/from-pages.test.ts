/** The pages for users of other programs: every line they are told to type is typed, and works. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chdir, cwd } from 'node:process'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { signAuths, upstreamFile } from '../kit/obol-pool.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { FakeTerminal } from './fake-terminal.ts'

const home = cwd()
let seller: ScriptedSeller
let directory = ''

beforeEach(async () => {
  seller = await startScriptedSeller()
  directory = temporaryDirectory()
  chdir(directory)
})
afterEach(async () => {
  chdir(home)
  await seller.close()
})

/** The lines of a page: all that is in backticks or a code block and begins with `tollway`, or with variables before it. */
function linesOf(page: string): string[] {
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8')
  const inline = [...text.matchAll(/`((?:[A-Z_]+=\S+ )*tollway [^`]+)`/g)].map(([, line]) => line ?? '')
  const blocks = [...text.matchAll(/^((?:[A-Z_]+=\S+ )*tollway .+)$/gm)].map(([, line]) => line ?? '')
  return [...new Set([...inline, ...blocks])]
}

/** Types a line. Its places are those of the test: the seller, the directory and a free port. */
async function type(line: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const words = line
    .replaceAll('https://seller.example.com/services/qwen', seller.url)
    .replaceAll('https://seller.example.com', seller.url)
    .replaceAll(/\/(?:config|state)\//g, `${directory}/`)
    .replaceAll(':8402', ':0')
    .split(' ')
  const start = words.indexOf('tollway')
  const own = Object.fromEntries(words.slice(0, start).map((word) => word.split('=') as [string, string]))
  process.env['TOLLWAY_WALLET_KEY'] = localAccounts().buyer.privateKey
  const terminal = new FakeTerminal({ HOME: directory, TOLLWAY_WALLET_KEY: 'is set', ...env, ...own })
  const args = words.slice(start + 1)
  const ended = run(args, terminal)
  if (args[0] === 'serve') {
    await Promise.race([
      ended,
      vi.waitFor(() => expect(terminal.out).toContain('is ready'), { timeout: 60_000 }),
    ])
    terminal.signal()
  }
  expect([await ended, terminal.err.replace(/^warning: .*\n/, '')]).toEqual([0, ''])
  return `${terminal.out}${terminal.err}`
}

describe('docs/from-x402-buyer.md', () => {
  beforeEach(async () => {
    const payTo = localAccounts().seller.address
    const upstream = upstreamFile({ url: 'https://s.test/services/qwen', payTo, model: 'qwen' })
    const auths = await signAuths(1, { payTo })
    for (const name of ['buyer-config', 'buyer-auths']) mkdirSync(name)
    writeFileSync('buyer-config/qwen.json', JSON.stringify(upstream))
    writeFileSync('buyer-auths/qwen.json', JSON.stringify(auths))
    writeFileSync('config.json', JSON.stringify({ upstreams: { qwen: upstream } }))
    writeFileSync('auths.json', JSON.stringify({ qwen: auths }))
    const pool = { kind: 'obol', mode: 'pool', config: './buyer-config', auths: './buyer-auths' }
    writeFileSync(join(directory, 'checked.yaml'), JSON.stringify({ payers: { obol: pool } }))
  })

  it.each(linesOf('from-x402-buyer.md'))('%s', async (line) => {
    if (line.startsWith('tollway check')) writeFileSync('tollway.yaml', readFileSync('checked.yaml'))
    // Where only the interval is named, the files are those of the other lines.
    const files = ` --config-dir=/config/buyer-config --auths-dir=/config/buyer-auths --state=/state/consumed.json`
    const whole = line.startsWith('tollway serve') && !line.includes('--config') ? `${line}${files}` : line
    const placed =
      whole.includes('serve') && !whole.includes('--state') ? `${whole} --state=/state/s.json` : whole
    const listening =
      placed.includes('serve') && !placed.includes('--listen') ? `${placed} --listen=127.0.0.1:0` : placed
    const said = await type(listening, { KUBERNETES_SERVICE_HOST: '10.96.0.1' })
    if (line.startsWith('tollway check')) expect(said).toContain('qwen')
    if (line.startsWith('tollway buy')) expect(said).toMatch(/Signed 10 of 10/)
  })
})
