/** A disk that is nearly full: readiness falls and paid routes refuse while everything can still be written. */
import { expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { FreeSpace } from '../../src/io/files/free-space.ts'
import { configFor, startPatientSeller } from '../kit/fragile-gateway.ts'
import { ask, errorOf, startGateway } from '../kit/gateway.ts'

const MEBIBYTE = 1_048_576

test('rule 9: paid routes refuse before the disk is full, readiness and the log say so, and unpaid routes go on', async () => {
  let free = 64 * MEBIBYTE
  const seller = await startPatientSeller()
  const lines: string[] = []
  const tollway = await startGateway(
    { ...configFor(seller), log: { level: 'warn' } },
    {
      payers: new Map([['base', cash()]]),
      freeBytes: () => free,
      writeLog: (line) => lines.push(line),
    },
  )
  const ready = async (): Promise<unknown> => await (await fetch(`${tollway.url}/health/ready`)).json()
  try {
    expect((await ask(tollway.url, { model: 'paid/m', n: 1 })).status).toBe(200)
    expect(await ready()).toMatchObject({ status: 'ok', checks: { disk: 'ok' } })

    free -= 1
    const asked = seller.counts().asked
    const refused = await ask(tollway.url, { model: 'paid/m', n: 2 })
    expect([refused.status, refused.headers.get('x-tollway-spent')]).toEqual([503, 'no'])
    expect(await errorOf(refused)).toMatchObject({
      code: 'audit_unavailable',
      message: expect.stringContaining('has 63 MB left, less than audit.min_free (64 MB)'),
    })
    expect(seller.counts().asked).toBe(asked)
    expect(await ready()).toMatchObject({
      status: 'unavailable',
      reason: 'audit_unavailable',
      checks: { ledger: 'ok', disk: 'failed' },
    })
    expect((await fetch(`${tollway.url}/health/ready`)).status).toBe(503)
    expect((await ask(tollway.url, { model: 'free' })).status).toBe(200)
    expect(await tollway.metric('tollway_disk_free_bytes', { file: 'ledger' })).toBe(free)
    expect(lines.filter((line) => line.includes('min_free'))).toHaveLength(1)

    free += 1
    expect((await ask(tollway.url, { model: 'paid/m', n: 3 })).status).toBe(200)
    expect(await ready()).toMatchObject({ status: 'ok' })
    expect(lines.filter((line) => line.includes('enough free space again'))).toHaveLength(1)
  } finally {
    await tollway.close()
    await seller.close()
  }
})

test('rule 9: a payment in flight is recorded although the disk ran low meanwhile', async () => {
  let free = 64 * MEBIBYTE
  const seller = await startPatientSeller()
  const tollway = await startGateway(configFor(seller), {
    payers: new Map([['base', cash()]]),
    freeBytes: () => free,
  })
  try {
    const hold = seller.hold()
    const answer = ask(tollway.url, { model: 'paid/m', n: 1 })
    await hold.arrived
    free = 0
    hold.answer()
    expect((await answer).status).toBe(200)
    expect(await tollway.gateway.parts.ledger.store.charges()).toMatchObject([{ state: 'settled' }])
    const types = (await tollway.audit()).map(({ type }) => type)
    expect(types).toContain('charge.settled')
  } finally {
    await tollway.close()
    await seller.close()
  }
})

test('the disk of the ledger counts as well, and one that cannot be asked is judged by its writes', () => {
  const files = [
    { name: 'audit', directory: '/a', code: 'audit_unavailable' as const },
    { name: 'ledger', directory: '/l', code: 'store_unavailable' as const },
  ]
  const space = (sizes: Record<string, number>): FreeSpace =>
    new FreeSpace({
      files,
      minBytes: 10,
      freeBytes(directory) {
        const bytes = sizes[directory]
        if (bytes === undefined) throw new Error('EIO')
        return bytes
      },
    })
  expect(space({ '/a': 10, '/l': 9 }).look()).toMatchObject({ code: 'store_unavailable' })
  expect(space({ '/a': 10, '/l': 10 }).look()).toBeUndefined()
  expect(space({ '/l': 10 }).look()).toBeUndefined()
  expect(
    new FreeSpace({
      files: [{ name: 'audit', directory: '/', code: 'audit_unavailable' }],
      minBytes: 1,
    }).readings(),
  ).toEqual([{ name: 'audit', bytes: expect.any(Number) }])
})
