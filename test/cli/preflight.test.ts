/** What `serve` would refuse on this machine is found by `check`, and told at once by both. */
import { chmodSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { once } from 'node:events'
import { DatabaseSync } from 'node:sqlite'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { generatePrivateKey } from 'viem/accounts'
import { stringify } from 'yaml'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { wrongKeyAdvice } from '../../src/io/signer/wrong-key.ts'
import { openStore } from '../../src/io/ledger/open-store.ts'
import { takeLock } from '../../src/io/files/file-lock.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { ANSWER_MS, examineKeys } from '../../src/app/preflight/examine-keys.ts'
import { configFile, temporaryDirectory } from '../config/config-file.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { freePort } from '../kit/free-port.ts'
import { FakeTerminal } from './fake-terminal.ts'

let directory: string
beforeEach(() => {
  directory = temporaryDirectory()
})
afterEach(() => void vi.unstubAllEnvs())

const at = (name: string): string => join(directory, name)
const KEY = generatePrivateKey()

/** Writes a configuration with a free address, runs a command on it, and returns what it said about the start. */
async function refused(settings: object, command: string[] = ['check']): Promise<string[]> {
  const { listen = `127.0.0.1:${await freePort()}` } = settings as { listen?: string }
  const path = configFile(stringify({ listen, ...settings }), directory)
  const terminal = new FakeTerminal({ ...process.env, HOME: directory })
  const code = await run([...command, '--config', path], terminal)
  expect([code, terminal.out]).toEqual([2, ''])
  return terminal.err.trim().split('\n')
}

/** Runs `check` on a configuration that starts. */
async function passes(settings: object, ...more: string[]): Promise<FakeTerminal> {
  const listen = `127.0.0.1:${await freePort()}`
  const path = configFile(stringify({ listen, ...settings }), directory)
  const terminal = new FakeTerminal(process.env as Record<string, string>)
  expect([await run(['check', '--config', path, ...more], terminal), terminal.err]).toEqual([0, ''])
  return terminal
}

async function listening(answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

const direct = (key: string): object => ({ kind: 'direct', key, networks: ['base'] })

describe('a program that pays', () => {
  const sidecar = async (url: string): Promise<object> => ({
    payers: {
      obol: {
        kind: 'obol',
        mode: 'sidecar',
        url,
        remote_model: 'm',
        shim: `127.0.0.1:${await freePort()}`,
        networks: ['base-sepolia'],
      },
    },
  })

  it('that is not running is told with --online, and not asked without it', async () => {
    const settings = await sidecar(`http://127.0.0.1:${await freePort()}`)
    await passes(settings)
    expect((await refused(settings, ['check', '--online'])).join('\n')).toMatch(/payers\.obol: .*x402-buyer/)
  })

  it('that never answers is not waited for', async () => {
    const asked = Promise.withResolvers<void>()
    const url = `http://${await listening(() => asked.resolve())}`
    const config = parseConfig(await sidecar(url), {}, { directory })
    const timers = new ManualTimers()
    const faults = examineKeys(config, true, undefined, timers)
    await asked.promise
    await timers.fire(ANSWER_MS)
    expect(await faults).toMatchObject([
      { path: ['payers', 'obol'], message: expect.stringContaining('did not say within 20 s') },
    ])
  })
})

describe('a key', () => {
  it.each([
    ['without 0x', KEY.slice(2), 'put 0x in front'],
    ['that is an address', `0x${'ab'.repeat(20)}`, 'export the private key of that account'],
    ['that is empty', '\n', 'It is empty'],
  ])('%s is found, with its line and what to do, and never shown', async (_what, text, advice) => {
    writeFileSync(at('key'), text, { mode: 0o600 })
    const [only = '', ...more] = await refused({ payers: { base: direct('${file:./key}') } })
    expect(more).toEqual([])
    expect(only).toMatch(/^\S+tollway\.yaml:3:3 payers\.base: The key file \S+ does not hold a private key\./)
    expect(only).toContain(advice)
    if (text.trim() !== '') expect(only).not.toContain(text.slice(2, 12))
  })

  it('that others may read is found', async () => {
    writeFileSync(at('key'), KEY)
    chmodSync(at('key'), 0o644)
    expect((await refused({ payers: { base: direct('${file:./key}') } })).join()).toContain(
      `Run: chmod 600 ${at('key')}`,
    )
  })

  it('that two payers take from one variable is found, as in the gateway', async () => {
    vi.stubEnv('PREFLIGHT_KEY', KEY)
    const payers = { one: direct('${env:PREFLIGHT_KEY}'), two: direct('${env:PREFLIGHT_KEY}') }
    const path = configFile(stringify({ listen: '127.0.0.1:0', payers }), directory)
    // The environment of the process itself: a key is taken out of it, once.
    const terminal = Object.assign(new FakeTerminal(), { env: process.env })
    expect(await run(['check', '--config', path], terminal)).toBe(2)
    const only = terminal.err
    expect(only).toMatch(/payers\.two: The private key .* was already taken .* Use one payer for all routes/)
  })

  it('of a Solana payer that is an EVM key is found', async () => {
    writeFileSync(at('key'), KEY, { mode: 0o600 })
    const chains = { 'solana-devnet': { rpc: 'http://127.0.0.1:1' } }
    const payer = { kind: 'solana', key: '${file:./key}', networks: ['solana-devnet'] }
    expect((await refused({ payers: { sol: payer }, chains })).join()).toContain(
      'use a payer of kind: direct',
    )
  })

  it('of a remote signer is asked for with --online only', async () => {
    const payer = { kind: 'direct', signer: { url: 'http://127.0.0.1:1' }, networks: ['base'] }
    await passes({ payers: { remote: payer } })
    expect((await refused({ payers: { remote: payer } }, ['check', '--online'])).join()).toMatch(
      /payers\.remote: The remote signer/,
    )
  })

  it.each([
    ['0X', `0X${'ab'.repeat(32)}`, 'small x'],
    ['too short', '0xabcdef', 'not 64 of them'],
    ['in quotes', `"0x${'ab'.repeat(32)}"`, 'in quotes'],
    ['a recovery phrase', 'test '.repeat(12).trim(), 'recovery phrase'],
    ['a keystore', '{"version":3,"crypto":{}}', 'under keystore'],
    ['a list of Solana', '[1, 2, 3]', 'kind: solana'],
    ['base58 of Solana', '5'.repeat(88), 'kind: solana'],
    ['a PEM file', '-----BEGIN PRIVATE KEY-----', 'PEM'],
    ['the name of a variable', '$WALLET_KEY', 'name of a variable'],
    ['a space', `0x${'ab'.repeat(32)} `, 'spaces'],
    ['something else', 'xyzzy', ''],
  ])('that is %s is told by its form', (_what, text, advice) => {
    expect(wrongKeyAdvice(text)).toContain(advice)
    if (advice === '') expect(wrongKeyAdvice(text)).toBe('')
  })
})

describe('an address', () => {
  it('that another program has is found, with its process', async () => {
    const listen = await listening((_request, response) => void response.end('hello'))
    const [only = ''] = await refused({ listen })
    expect(only).toMatch(/:1:1 listen: 127\.0\.0\.1:\d+ is taken by another program/)
    if (process.platform === 'linux') expect(only).toContain(`process ${process.pid})`)
    expect(only).toContain('Stop it, or choose another address with listen')
  })

  it('where a gateway runs is only mentioned by check, and refused by serve with how to stop it', async () => {
    const listen = await listening((_request, response) => {
      response.setHeader('x-tollway-spent', 'no').end('{"status":"ok"}')
    })
    const { out } = await passes({ listen })
    expect(out).toContain(`Note: A Tollway gateway already runs at http://${listen}`)
    expect(JSON.parse((await passes({ listen }, '--json')).out)).toMatchObject({
      ok: true,
      running: [expect.stringContaining('already runs')],
    })
    const [only = ''] = await refused({ listen }, ['serve'])
    expect(only).toMatch(/listen: A Tollway gateway already runs at .* which lets running payments finish/)
  })

  it('of the metrics that is taken is found', async () => {
    const listen = await listening((_request, response) => void response.end())
    expect((await refused({ metrics: { listen } })).join()).toMatch(
      /metrics\.listen: 127\.0\.0\.1:\d+ is taken .* metrics\.listen in the configuration/,
    )
  })

  it('that this machine does not have is found', async () => {
    const callers = [{ id: 'a', key: '${env:PREFLIGHT_CALLER}' }]
    vi.stubEnv('PREFLIGHT_CALLER', 'caller-key-1234567')
    const metrics = { token: '${env:PREFLIGHT_CALLER}' }
    expect((await refused({ listen: '192.0.2.1:8402', callers, metrics })).join()).toContain(
      'this machine has no such address',
    )
  })
})

describe('a file', () => {
  it('whose directory is missing is found: ledger and audit file, both at once', async () => {
    const found = await refused({ store: 'sqlite:./no/t.db', audit: { path: './no/a.jsonl' } })
    expect(found).toHaveLength(2)
    expect(found[0]).toMatch(/:2:1 store: The ledger's directory \S+ does not exist\. Create it/)
    expect(found[1]).toMatch(/audit\.path: The audit file \S+ cannot be opened \(ENOENT\)/)
  })

  it('that is no ledger is found', async () => {
    writeFileSync(at('t.db'), 'text, and not a database at all')
    expect((await refused({ store: 'sqlite:./t.db' })).join()).toContain('is damaged or not a ledger')
    writeFileSync(at('t.db'), '')
    expect((await refused({ store: 'sqlite:./t.db' })).join()).toContain('is empty')
    new DatabaseSync(at('other.db')).exec('CREATE TABLE a (b)')
    expect((await refused({ store: 'sqlite:./other.db' })).join()).toContain('another program')
  })

  it('that is no audit file is found', async () => {
    writeFileSync(at('audit.jsonl'), 'not a record\n')
    expect((await refused({ store: 'memory' })).join()).toContain('Another program changed the file')
  })

  it('of the audit without its ledger is found', async () => {
    writeFileSync(at('audit.jsonl'), '')
    await passes({ store: 'sqlite:./t.db' })
    writeFileSync(at('audit.jsonl'), 'x')
    expect((await refused({ store: 'sqlite:./t.db' })).join()).toContain('would forget what was spent')
  })

  it('that a running gateway writes is only mentioned by check', async () => {
    const lock = takeLock(at('audit.jsonl.lock'), 'ins_other')
    if ('heldBy' in lock) throw new Error('the lock is taken')
    onTestFinished(() => lock.release())
    // Another connection of this process: locks of one process do not exclude each other on every system.
    const { out } = await passes({ store: 'memory' })
    expect(out).toContain('Note: The audit file')
    expect((await refused({ store: 'memory' }, ['serve'])).join()).toContain('Stop that gateway')
  })

  it('of caller keys that is damaged is found', async () => {
    writeFileSync(at('callers.json'), '{}')
    expect((await refused({ keys: { path: './callers.json' } })).join()).toMatch(
      /keys\.path: \S+ is not a keys file/,
    )
  })

  it('is neither made nor changed by looking', async () => {
    await (await openStore(`sqlite:${at('tollway.db')}`)).close()
    await passes({})
    expect(readdirSync(directory).toSorted()).toEqual(['tollway.db', 'tollway.yaml'])
  })
})

it('all of it is left alone with --config-only', async () => {
  const listen = await listening((_request, response) => void response.end())
  writeFileSync(at('tollway.db'), '')
  await passes({ listen, payers: { base: direct('${file:./tollway.yaml}') } }, '--config-only')
})

it('serve tells every reason at once, in the order of the file, before it opens anything', async () => {
  const listen = await listening((_request, response) => void response.end())
  const found = await refused({ listen, audit: { path: './no/a.jsonl' }, store: 'sqlite:./no/t.db' }, [
    'serve',
  ])
  expect(found.map((line) => /:(\d+):\d+ (\S+):/.exec(line)?.slice(1))).toEqual([
    ['1', 'listen'],
    ['3', 'audit.path'],
    ['4', 'store'],
  ])
  expect(readdirSync(directory)).toEqual(['tollway.yaml'])
})
