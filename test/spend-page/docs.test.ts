/** The blocks of docs/dashboard.md, as they stand there, and what it says of the addresses. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { run } from '../kit/child.ts'
import { startGateway } from '../kit/gateway.ts'
import { blocksOf } from '../kit/markdown.ts'
import { seedCharge } from './seed.ts'

const page = await readFile(join(import.meta.dirname, '../../docs/dashboard.md'), 'utf8')
const block = (marker: string): string =>
  blocksOf(page).find((candidate) => candidate.marker === marker)?.text ?? 'exit 1'

test('its commands read the data of a gateway with its configuration', async () => {
  process.env['TOLLWAY_ADMIN_KEY'] = 'a-key-of-the-page'
  const tollway = await startGateway(parse(block('key')) as object)
  onTestFinished(() => tollway.close())
  const place = await mkdtemp(join(tmpdir(), 'tollway-dashboard-'))
  onTestFinished(() => rm(place, { recursive: true, force: true }))
  const reservedAt = Date.parse('2026-02-03T04:05:06.000Z')
  await seedCharge(tollway.gateway.parts.ledger, 1, 'uncertain', { reservedAt })
  const script = block('programs').replaceAll('http://127.0.0.1:8402', tollway.url)
  expect(script).not.toBe(block('programs'))
  const { code, stdout } = await run('bash', ['-euo', 'pipefail', '-c', script], { cwd: place })
  expect(code).toBe(0)
  expect(stdout).toContain('"state":"uncertain"')
  expect(stdout).toContain('"total_usd":"0.023"')
  expect(await readFile(join(place, 'charges.csv'), 'utf8')).toMatch(/^charge,time,.*\r\nchg_0+1,2026-02-03/)
})

test('it names every address there is', async () => {
  const source = await readFile(join(import.meta.dirname, '../../src/app/spend-page/api.ts'), 'utf8')
  const paths = [...source.matchAll(/'(\/api\/[a-z/]+)'/g)].map(([, path]) => path)
  expect(paths.length).toBeGreaterThan(7)
  for (const path of paths) expect(page).toContain(`\`${path}`)
})
