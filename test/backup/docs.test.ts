/** Every command of docs/backup.md, in its order, as it stands there. */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startPatientSeller } from '../kit/fragile-gateway.ts'
import { ask } from '../kit/gateway.ts'
import { blocksOf } from '../kit/markdown.ts'
import { readyUrl, servePlace } from '../kit/serve-process.ts'
import { Child } from '../kit/child.ts'
import { MAIN } from '../kit/program.ts'

const ROOT = join(import.meta.dirname, '../..')
const blocks = new Map(
  blocksOf(readFileSync(join(ROOT, 'docs/backup.md'), 'utf8')).map(({ marker, text }) => [marker, text]),
)

test('the page shows how to back up, to restore, and to adopt what was forgotten', () => {
  expect([...blocks.keys()]).toEqual(['backup', 'restore', 'adopt', 'start'])
})

test('rule 2: its commands back up under load and restore, and the budgets count every payment made since', async () => {
  const seller = await startPatientSeller()
  const place = servePlace(`
model_list: [{ model_name: "paid/*", model: "*", api_base: "${seller.apiBase}", payer: base }]
budgets: [{ name: all, limit_usd: "1.00", window: lifetime }]
`)
  mkdirSync(join(place.directory, 'backups'))
  const children: Child[] = []
  /** Runs a block as a shell would in the project's directory, with this source tree as the installed package. */
  const shell = (marker: string): Child => {
    const text = blocks.get(marker) ?? 'exit 1'
    // `exec`: the gateway takes the shell's place, so that it ends when the test ends it.
    const script = text
      .replace(/^npx tollway serve/m, 'exec npx tollway serve')
      .replaceAll('npx tollway', '"$NODE" "$MAIN"')
    const env = { ...process.env, ...place.env, NODE: process.execPath, MAIN }
    const child = new Child('bash', ['-euo', 'pipefail', '-c', script], { cwd: place.directory, env })
    children.push(child)
    return child
  }
  const pay = async (url: string): Promise<void> => {
    expect((await ask(url, { model: 'paid/m', user: randomUUID() })).status).toBe(200)
  }
  try {
    const first = place.start()
    children.push(first)
    const url = await readyUrl(first)
    await pay(url)
    const load = new AbortController()
    const loading = (async () => {
      while (!load.signal.aborted) await Promise.all([pay(url), pay(url), pay(url)])
    })()
    const backup = await shell('backup').end()
    expect(backup).toMatchObject({ code: 0, stderr: '' })
    load.abort()
    await loading
    const facts = JSON.parse(
      readFileSync(join(place.directory, 'backups/2026-11-21/backup.json'), 'utf8'),
    ) as {
      ledger: { charges: Record<string, number> }
    }
    first.kill('SIGTERM')
    await first.end()

    expect(await shell('restore').end()).toMatchObject({ code: 0, stderr: '' })
    expect(existsSync(join(place.directory, 'before-restore/tollway.db'))).toBe(true)
    // An old ledger is not taken for the truth.
    const refused = await shell('start').end()
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toMatch(/is older than the audit file .*records \d+ payments \(\$0\.\d+\)/)
    const adopted = await shell('adopt').end()
    expect(adopted).toMatchObject({ code: 0, stderr: '' })
    const second = shell('start')
    const restored = await readyUrl(second)
    const { budgets } = (await (await fetch(`${restored}/api/budgets`)).json()) as {
      budgets: { spent_usd: string; uncertain_usd: string }[]
    }
    const { settled = 0 } = facts.ledger.charges
    const { paid } = seller.counts()
    expect(settled).toBeLessThan(paid)
    const counted = budgets.map((budget) => Number(budget.spent_usd) + Number(budget.uncertain_usd))
    expect(counted).toEqual([expect.closeTo(paid / 1000, 6)])
  } finally {
    for (const child of children) {
      child.kill('SIGKILL')
      await child.end().catch(() => undefined)
    }
    await seller.close()
    place.remove()
  }
})
