/** Commands on a Postgres ledger that a gateway has written. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { run } from '../kit/child.ts'
import { configFor, startPatientSeller, type PatientSeller } from '../kit/fragile-gateway.ts'
import { ask, startGateway, type TestGateway } from '../kit/gateway.ts'
import { freshLedger } from '../kit/postgres-stores.ts'
import { MAIN } from '../kit/program.ts'

let seller: PatientSeller
let tollway: TestGateway
let config: string
let store: string
beforeEach(async () => {
  seller = await startPatientSeller()
  store = freshLedger()
  tollway = await startGateway({ ...configFor(seller), store }, { payers: new Map([['base', cash()]]) })
  config = write(store)
})
afterEach(async () => {
  await tollway.close()
  await seller.close()
})

function write(at: string): string {
  const path = join(tollway.directory, 'tollway.yaml')
  writeFileSync(path, JSON.stringify({ ...configFor(seller), store: at, audit: { path: './audit.jsonl' } }))
  return path
}

const tollwayCommand = (...args: readonly string[]) =>
  run(process.execPath, [MAIN, ...args, '--config', config], { cwd: tollway.directory })

test('report, budgets, doctor, sellers and audit verify read what gateways wrote', async () => {
  for (let n = 0; n < 3; n += 1) {
    const answer = await ask(tollway.url, { model: 'paid/m', user: `u${n}` })
    expect(answer.status).toBe(200)
    await answer.text()
  }
  await expect.poll(() => tollway.gateway.parts.ledger.store.sum('settled')).toMatchObject({ count: 3 })
  await tollway.gateway.close()

  const report = await tollwayCommand('report', 'day', '--json')
  expect(report).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(report.stdout)).toMatchObject({ rows: [{ charges: 3 }] })
  const budgets = await tollwayCommand('budgets', '--json')
  expect(JSON.parse(budgets.stdout)).toMatchObject({ budgets: [{ budget: 'all', spent_usd: '0.003' }] })
  const doctor = await tollwayCommand('doctor')
  expect(doctor.stdout).toMatch(/The ledger postgres:\/\/127\.0\.0\.1:\d+\/postgres\?schema=t_\w+ opens/)
  expect(doctor.stdout).toMatch(/The sums that reports read are those of all 3 charges, to the atom/)
  const sellers = await tollwayCommand('sellers', 'list')
  expect(sellers).toMatchObject({ code: 0, stderr: '' })
  expect(sellers.stdout).toContain(seller.apiBase)
  const verified = await tollwayCommand('audit', 'verify')
  expect(verified).toMatchObject({ code: 0, stderr: '' })
  // It says so where the ledger has no entry of the file.
  expect(verified.stdout).toMatch(/^\S+ is intact: \d+ records[^\n]+\n$/)
})

test('commands say where there is no ledger yet, and what works on SQLite only', async () => {
  config = write(freshLedger())
  const none = await tollwayCommand('budgets')
  expect(none.code).not.toBe(0)
  expect(none.stderr).toMatch(
    /There is no ledger at postgres:\/\/127\.0\.0\.1:\d+\/postgres\?schema=t_\w+ yet/,
  )
  const backup = await tollwayCommand('backup', join(tollway.directory, 'copy'))
  expect(backup.code).not.toBe(0)
  expect(backup.stderr).toContain("Use your database's own backup")
})
