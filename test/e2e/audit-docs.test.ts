/** Every command of docs/audit.md, docs/report.md and docs/observability.md, as it stands there. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadConfig } from '../../src/app/config/load.ts'
import { openParts } from '../../src/app/gateway/open-parts.ts'
import { wanted } from '../ledger/kit.ts'
import { Child } from '../kit/child.ts'
import { blocksOf } from '../kit/markdown.ts'
import { startOtlpReceiver } from '../kit/otlp-receiver.ts'
import { readyUrl } from '../kit/serve-process.ts'
import { signed } from '../store/samples.ts'
import { MAIN } from '../kit/program.ts'

const ROOT = join(import.meta.dirname, '../..')
const TX = `0x${'ab'.repeat(32)}`
const children: Child[] = []
let directory: string
let publicKey: string

function block(page: string, marker: string): string {
  const found = blocksOf(readFileSync(join(ROOT, 'docs', page), 'utf8')).find((one) => one.marker === marker)
  if (!found) throw new Error(`docs/${page} has no block ${marker}`)
  return found.text
}

function shell(text: string, env: Readonly<Record<string, string>> = {}): Child {
  const script = text
    .replace(/npx tollway serve/, 'exec npx tollway serve')
    .replace(/^(\w+=\S+) exec /m, 'export $1; exec ')
    .replaceAll('npx tollway', '"$NODE" "$MAIN"')
  const child = new Child('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: directory,
    env: { ...process.env, NODE: process.execPath, MAIN, ...env },
  })
  children.push(child)
  return child
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollway-docs-'))
  const made = await shell(block('audit.md', 'key')).end()
  publicKey = /public key is ([0-9a-f]{64})\./.exec(made.stdout)?.[1] ?? ''
  const config = `listen: 127.0.0.1:0\n${block('audit.md', 'config')}${block('observability.md', 'config')}`
  writeFileSync(join(directory, 'tollway.yaml'), config)
  writeFileSync(join(directory, 'stricter.yaml'), 'policy: { max_usd_per_request: "0.0005" }\n')
  const parts = await openParts(loadConfig(join(directory, 'tollway.yaml'), {}))
  for (const [n, transaction] of [TX, undefined].entries()) {
    const held = await parts.ledger.reserve(wanted({ requestId: `req-${n}` }), [], false)
    await parts.ledger.settle(await parts.ledger.authorize(held, signed(n)), 'receipt', transaction)
  }
  await parts.close()
})

afterAll(async () => {
  for (const child of children) {
    child.kill('SIGKILL')
    await child.end()
  }
  rmSync(directory, { recursive: true })
})

test('the files are proven with the configuration, and without it by the public key', async () => {
  const [own, other] = await Promise.all([
    shell(block('audit.md', 'verify')).end(),
    shell(block('audit.md', 'offline'), { PUBLIC_KEY: publicKey }).end(),
  ])
  expect(own).toMatchObject({ code: 0, stdout: expect.stringContaining(`by key ${publicKey}`) })
  expect(JSON.parse(other.stdout)).toMatchObject({ ok: true, checkpoints: { keys: [publicKey] } })
})

test('a payment is followed from its request and from its transaction', async () => {
  const { code, stdout } = await shell(block('audit.md', 'show'), { REQUEST: 'req-0', TRANSACTION: TX }).end()
  expect(code).toBe(0)
  expect(stdout.split('charge.settled').length - 1).toBe(2)
})

test('reports are printed, also under another policy', async () => {
  const [plain, flags, policy] = await Promise.all([
    shell(block('report.md', 'report')).end(),
    shell(block('report.md', 'flags')).end(),
    shell(block('report.md', 'policy')).end(),
  ])
  expect(plain).toMatchObject({ code: 0, stderr: '' })
  expect(plain.stdout).toContain('SPENT USD')
  expect(plain.stdout).toContain('day,route,asset')
  expect(flags).toMatchObject({ code: 0, stderr: '' })
  expect(flags.stdout).toContain('"flagged"')
  expect(policy).toMatchObject({ code: 0, stderr: '' })
  expect(policy.stdout).toContain('"assumptions"')
})

test('a gateway logs at the level it is told, and sends its traces', async () => {
  const receiver = await startOtlpReceiver()
  try {
    const debugging = shell(block('observability.md', 'level'))
    const url = await readyUrl(debugging)
    await (await fetch(`${url}/health/live`)).text()
    debugging.kill('SIGTERM')
    expect((await debugging.end()).stderr).toContain('"endpoint":"/health/live"')
    const tracing = shell(block('observability.md', 'traces'), { COLLECTOR: receiver.url })
    await (await fetch(`${await readyUrl(tracing)}/v1/models`)).text()
    tracing.kill('SIGTERM')
    expect(await tracing.end()).toMatchObject({ code: 0 })
    expect(receiver.spans.map(({ name }) => name)).toEqual(['GET /models'])
  } finally {
    await receiver.close()
  }
})
