/** `audit show`, `audit key`, and `audit verify --config`, on files a real ledger wrote. */
import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { openCommandLedger } from '../../src/app/operations/command-ledger.ts'
import { loadConfig, parseConfig } from '../../src/app/config/load.ts'
import { openParts } from '../../src/app/gateway/open-parts.ts'
import { auditTrail } from '../../src/app/spend-page/audit-trail.ts'
import { systemClock } from '../../src/core/clock.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { wanted } from '../ledger/kit.ts'
import { signed } from '../store/samples.ts'
import { FakeTerminal } from './fake-terminal.ts'

const TX = `0x${'ab'.repeat(32)}`
let directory: string
let publicKey: string

async function tollway(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const terminal = new FakeTerminal()
  const code = await run(args, terminal)
  return { code, out: terminal.out, err: terminal.err }
}

/** A ledger that reserved, signed and booked two payments, in files of at most 6 kB. */
beforeEach(async () => {
  directory = temporaryDirectory()
  const made = await tollway('audit', 'key', '--new', join(directory, 'key.pem'), '--json')
  publicKey = (JSON.parse(made.out) as { public_key: string }).public_key
  const text = `store: sqlite:./tollway.db
audit: { path: ./audit.jsonl, signing_key: "\${file:./key.pem}", rotate_bytes: 6kb }
`
  writeFileSync(join(directory, 'tollway.yaml'), text)
  const config = parseConfig(
    {
      store: 'sqlite:./tollway.db',
      audit: { path: './audit.jsonl', signing_key: '${file:./key.pem}', rotate_bytes: '6kb' },
    },
    {},
    { directory },
  )
  const parts = await openParts(config)
  const { ledger } = parts
  for (const n of [1, 2, 3, 4]) {
    const held = await ledger.reserve(wanted({ requestId: `req-${n}` }), [], false)
    const charge = await ledger.authorize(held, signed(n))
    if (n === 4) await ledger.uncertain(charge, 'timeout')
    else await ledger.settle(charge, 'receipt', n === 2 ? TX : undefined)
  }
  await parts.close()
})

const file = (name: string): string => join(directory, name)

describe('audit key', () => {
  test('makes a key nobody else may read, and never overwrites one', async () => {
    expect(statSync(file('key.pem')).mode & 0o777).toBe(0o600)
    const again = await tollway('audit', 'key', '--new', file('key.pem'))
    expect(again).toMatchObject({ code: 2, err: expect.stringContaining('already exists') })
    expect(await tollway('audit', 'key', '--config', file('tollway.yaml'))).toEqual({
      code: 0,
      out: `${publicKey}\n`,
      err: '',
    })
  })
})

describe('audit verify --config', () => {
  const verify = () => tollway('audit', 'verify', '--config', file('tollway.yaml'), '--json')

  test('proves all files as one chain, signed, against what the ledger noted', async () => {
    const { code, out } = await verify()
    expect(code).toBe(0)
    const verdict = JSON.parse(out) as { files: string[]; checkpoints: { keys: string[] }; ok: boolean }
    expect(verdict).toMatchObject({ ok: true, checkpoints: { keys: [publicKey] } })
    expect(verdict.files.length).toBeGreaterThan(1)
  })

  test('finds a tail that was cut off while the gateway was not running, and so does the next start', async () => {
    const text = readFileSync(file('audit.jsonl'), 'utf8').trimEnd().split('\n')
    truncateSync(file('audit.jsonl'), Buffer.byteLength(`${text.slice(0, -1).join('\n')}\n`))
    const { code, out } = await verify()
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({ ok: false, kind: 'truncated' })
    const told: string[] = []
    const log = { error: (_fields: object, words: string) => void told.push(words), warn: () => undefined }
    const config = parseConfig(
      { store: 'sqlite:./tollway.db', audit: { path: './audit.jsonl' } },
      {},
      { directory },
    )
    await (await openParts(config, { log })).close()
    expect(told).toEqual([expect.stringContaining('lacks records that the ledger knows of')])
    expect(readFileSync(file('audit.jsonl'), 'utf8')).toContain('"type":"audit.records_missing"')
  })

  test('finds a chain that was signed with another key', async () => {
    const verdict = await tollway('audit', 'verify', file('audit.jsonl'), '--public-key', '0'.repeat(64))
    expect(verdict).toMatchObject({ code: 1, err: expect.stringContaining('signed with another key') })
    expect(await tollway('audit', 'verify', file('audit.jsonl'), '--public-key', 'abc')).toMatchObject({
      code: 2,
    })
    expect(await tollway('audit', 'verify')).toMatchObject({ code: 2 })
  })
})

describe('what commands paid, in files of their own', () => {
  const own = (): string => file('audit.cli.jsonl')
  const config = ['--config', '']
  let charge: string

  /** As `tollway pay` does, beside the gateway's file. */
  beforeEach(async () => {
    config[1] = file('tollway.yaml')
    const ledger = await openCommandLedger(loadConfig(file('tollway.yaml'), {}), systemClock)
    const held = await ledger.reserve(wanted({ requestId: 'req-by-hand' }), [], false)
    const settled = await ledger.settle(await ledger.authorize(held, signed(9)), 'receipt', TX)
    await ledger.close()
    charge = settled.id
  })

  test("are proven with the gateway's, signed, each against its own note", async () => {
    const { code, out } = await tollway('audit', 'verify', ...config, '--json')
    expect(code).toBe(0)
    const { chains } = JSON.parse(out) as { chains: unknown[] }
    expect(chains).toMatchObject([
      { file: file('audit.jsonl'), ok: true, not_held_against_ledger: null },
      { file: own(), ok: true, checkpoints: { keys: [publicKey] }, not_held_against_ledger: null },
    ])
    expect(await tollway('audit', 'verify', own(), ...config)).toMatchObject({ code: 0, err: '' })
  })

  test('are followed from anywhere', async () => {
    const found = await tollway('audit', 'show', '--charge', charge, ...config, '--json')
    expect(found.code).toBe(0)
    expect(JSON.parse(found.out)).toMatchObject({
      records: [
        { type: 'charge.held' },
        { type: 'charge.authorized' },
        { type: 'charge.settled', file: own() },
      ],
    })
    const records = await auditTrail(file('audit.jsonl'), charge)
    expect(records.map(({ intact, record }) => [intact, record['type']])).toEqual([
      [true, 'charge.held'],
      [true, 'charge.authorized'],
      [true, 'charge.settled'],
    ])
  })

  test('are missed when their file is emptied, cut or removed', async () => {
    const lines = readFileSync(own(), 'utf8').split('\n')
    for (const left of ['', `${lines.slice(0, 3).join('\n')}\n`]) {
      writeFileSync(own(), left)
      const cut = await tollway('audit', 'verify', ...config)
      expect(cut).toMatchObject({ code: 1, err: expect.stringContaining('audit.cli.jsonl is damaged') })
    }
    rmSync(own())
    const gone = await tollway('audit', 'verify', ...config, '--json')
    expect(gone.code).toBe(1)
    expect(JSON.parse(gone.out)).toMatchObject({ ok: false, kind: 'truncated', file: own() })
  })
})

describe('a ledger that cannot be read', () => {
  test('is told, and the files are proven and followed all the same', async () => {
    const config = ['--config', file('tollway.yaml')]
    rmSync(file('tollway.db'))
    const { code, out } = await tollway('audit', 'verify', ...config)
    expect(code).toBe(0)
    expect(out).toContain('Not checked against a ledger: There is no ledger at')
    expect(await tollway('audit', 'show', '--request', 'req-1', ...config)).toMatchObject({ code: 0 })
    writeFileSync(file('memory.yaml'), 'store: memory\naudit: { path: ./audit.jsonl }\n')
    const memory = await tollway('audit', 'verify', '--config', file('memory.yaml'), '--json')
    expect(JSON.parse(memory.out)).toMatchObject({
      ok: true,
      not_held_against_ledger: expect.stringContaining('store: memory'),
    })
  })
})

describe('audit show', () => {
  let story: string[]
  beforeAll(() => {
    story = ['charge.held', 'charge.authorized', 'charge.settled']
  })
  const types = (out: string): string[] =>
    (JSON.parse(out) as { records: { type: string }[] }).records.map(({ type }) => type)

  test('follows a payment from its request, charge, nonce or transaction to all of them', async () => {
    const byRequest = await tollway('audit', 'show', '--request', 'req-2', file('audit.jsonl'), '--json')
    expect(byRequest.code).toBe(0)
    expect(types(byRequest.out)).toEqual(story)
    const [first] = (JSON.parse(byRequest.out) as { records: { charge: string }[] }).records
    for (const flags of [
      ['--charge', first?.charge ?? ''],
      ['--nonce', signed(2).nonce],
      ['--tx', TX.toUpperCase().replace('0X', '0x')],
    ]) {
      const found = await tollway('audit', 'show', ...flags, '--config', file('tollway.yaml'), '--json')
      expect(found.out).toBe(byRequest.out)
    }
    expect(byRequest.out).toContain(TX)
  })

  test('prints a table for people, and ends with 1 when there is nothing', async () => {
    const { code, out } = await tollway('audit', 'show', '--request', 'req-4', file('audit.jsonl'))
    expect(code).toBe(0)
    expect(out.split('\n')[0]).toMatch(/^SEQ +TIME +RECORD +REQUEST +CHARGE +FACTS$/)
    expect(out).toContain('charge.uncertain')
    expect(out).not.toContain('req-2')
    expect(await tollway('audit', 'show', '--tx', '0x00', file('audit.jsonl'))).toMatchObject({ code: 1 })
    expect(await tollway('audit', 'show', file('audit.jsonl'))).toMatchObject({ code: 2 })
  })
})
