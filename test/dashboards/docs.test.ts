/** The blocks of docs/dashboards.md, as they stand there. */
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { parseConfig } from '../../src/app/config/load.ts'
import { dashboardFiles } from '../../src/app/dashboards/files.ts'
import { ALERTS } from '../../src/app/dashboards/rules.ts'
import { run as runCommand } from '../../src/app/cli/run.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { run } from '../kit/child.ts'
import { blocksOf } from '../kit/markdown.ts'
import { promtool } from '../kit/promtool.ts'

const ROOT = join(import.meta.dirname, '../..')
const page = await readFile(join(ROOT, 'docs/dashboards.md'), 'utf8')
const block = (marker: string): string =>
  blocksOf(page).find((candidate) => candidate.marker === marker)?.text ?? 'exit 1'

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tollway-dashboards-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

test('the configuration of the page is one', () => {
  const config = parseConfig(parse(block('metrics')) as object, { METRICS_TOKEN: 'x' })
  expect(config.metrics.listen).toEqual({ host: '127.0.0.1', port: 9464 })
  expect(config.metrics.tokenDigest).toMatch(/^[0-9a-f]{64}$/)
})

test('Prometheus takes the scrape configuration of the page', async () => {
  const place = await directory()
  await writeFile(join(place, 'metrics-token'), 'x')
  await writeFile(join(place, 'prometheus.yml'), block('scrape'))
  expect(await promtool(['check', 'config', join(place, 'prometheus.yml')])).toMatchObject({ code: 0 })
})

test('its commands bring the rules to Prometheus', async () => {
  const place = await directory()
  await mkdir(join(place, 'node_modules'))
  await symlink(ROOT, join(place, 'node_modules/tollway'))
  const { code, stdout } = await run('bash', ['-euo', 'pipefail', '-c', block('prometheus')], { cwd: place })
  expect(stdout).toContain('2 rule files found')
  expect(code).toBe(0)
})

test('the page names every file of the directory that people use', () => {
  for (const name of dashboardFiles().keys()) {
    const folder = name.replace(/provisioning\/.*/, 'provisioning/')
    expect(page).toContain(folder)
  }
})

test('runbooks name commands that there are', async () => {
  const texts = ALERTS.flatMap(({ meaning, steps }) => [meaning, ...steps])
  const named = texts.flatMap((text) =>
    [...text.matchAll(/`tollway ([^`]+)`/g)].map(([, words = '']) => words),
  )
  expect(named.length).toBeGreaterThan(5)
  for (const words of new Set(named)) {
    // As it stands there, but for what people put in for themselves.
    const command = words.split(' ').filter((word) => !word.startsWith('<') && !word.startsWith('-'))
    const options = words.split(' ').filter((word) => word.startsWith('-'))
    const terminal = new FakeTerminal()
    expect(await runCommand([...command, '--help'], terminal), words).toBe(0)
    expect(terminal.out, words).toContain(`Usage: tollway ${command.join(' ')} `)
    for (const option of options) expect(terminal.out, words).toContain(option)
  }
})

test('every alert leads to its runbook', async () => {
  const runbooks = await readFile(join(ROOT, 'docs/alerts.md'), 'utf8')
  for (const { alert } of ALERTS) expect(runbooks).toContain(`\n## ${alert}\n`)
})
