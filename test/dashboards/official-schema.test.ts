/** The dashboards against the types that Grafana publishes (@grafana/schema, made from its own schema): checked by the compiler. */
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { DASHBOARDS, dashboardFiles } from '../../src/app/dashboards/files.ts'
import { run } from '../kit/child.ts'

const ROOT = join(import.meta.dirname, '../..')

/** JSON has no enums: their values stand for them. A key that the model does not have is an error, at any depth. */
const HEAD = `import type { Dashboard } from '@grafana/schema'
type Plain<T> = T extends string ? \`\${T}\`
  : T extends number | boolean | null | undefined ? T
  : T extends readonly (infer U)[] ? Plain<U>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T
export const dashboard: Plain<Dashboard> = `

/** What the compiler says about dashboards, by name. */
async function compile(dashboards: Readonly<Record<string, string>>): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'tollway-grafana-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  const files = Object.entries(dashboards).map(([name, json]) => {
    writeFileSync(join(directory, `${name}.ts`), `${HEAD}${json}`)
    return `${name}.ts`
  })
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2023']
  const { stdout, stderr } = await run(process.execPath, [compiler, ...options, ...files], { cwd: directory })
  return stdout + stderr
}

test('every dashboard is one to the types of Grafana itself', async () => {
  const files = dashboardFiles()
  const all = DASHBOARDS.map(({ uid }) => [uid, files.get(`grafana/${uid}.json`) ?? ''])
  expect(all.length).toBeGreaterThan(3)
  expect(await compile(Object.fromEntries(all))).toBe('')
})

test('a key that Grafana does not have, a value of another kind and a missing one are found', async () => {
  const [{ uid }] = DASHBOARDS
  const json = dashboardFiles().get(`grafana/${uid}.json`) ?? ''
  const said = await compile({
    misspelt: json.replace('"graphTooltip"', '"grafTooltip"'),
    elsewhere: json.replace(/"gridPos": \{\s*"x": 0/, '"gridPos": { "x": "left"'),
    without: json.replace('"keepTime": true,', ''),
  })
  expect(said).toMatch(/^misspelt\.ts.*grafTooltip/m)
  expect(said).toMatch(/^elsewhere\.ts/m)
  expect(said).toMatch(/^without\.ts.*keepTime/m)
})
