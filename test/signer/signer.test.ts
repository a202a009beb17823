import { execFile } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { chmod, chown, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { SHARE_ENV, Worker } from 'node:worker_threads'
import { recoverTypedDataAddress } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { TRANSFER_WITH_AUTHORIZATION, type TypedAuthorization } from '../../src/core/payer/typed-message.ts'
import { ConfigError, TollwayError } from '../../src/core/errors.ts'
import { startSigner, type Signer } from '../../src/io/signer/signer.ts'
import type { SignerWorker, ThreadSignerOptions } from '../../src/io/signer/signer-thread.ts'
import { ManualTimers } from '../kit/manual-timers.ts'

const run = promisify(execFile)
const Hex = z.templateLiteral(['0x', z.string()])
const never = new AbortController().signal

let folder = ''
const signers: Signer[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollway-signer-'))
})
afterEach(async () => {
  for (const signer of signers.splice(0)) await signer.close()
  await rm(folder, { recursive: true, force: true })
})

async function start(options: ThreadSignerOptions): Promise<Signer> {
  const signer = await startSigner(options)
  signers.push(signer)
  return signer
}

async function keyFile(content: string, mode = 0o600): Promise<string> {
  const path = join(folder, `key-${mode.toString(8)}`)
  await writeFile(path, content)
  await chmod(path, mode)
  return path
}

function typedFrom(from: string): TypedAuthorization {
  return {
    kind: 'eip3009',
    domain: {
      name: 'USDC',
      version: '2',
      chainId: 84_532,
      verifyingContract: '0x036cbd53842c5426634e7929541ec2318f3dcf7e',
    },
    message: {
      from,
      to: '0x90f79bf6eb2c4f870365e785982e1f101e93b906',
      value: '1000',
      validAfter: '0',
      validBefore: '1795247742',
      nonce: `0x${'11'.repeat(32)}`,
    },
  }
}

async function failure(work: Promise<unknown>): Promise<Error> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof Error) return error
  throw new Error('it did not fail')
}

const workerFile = new URL('../../src/io/signer/signer.worker.ts', import.meta.url)

describe('a signer', () => {
  test('signs in its thread what viem signs for the same key, and knows its address', async () => {
    const key = generatePrivateKey()
    const account = privateKeyToAccount(key)
    const signer = await start({ key: { source: 'file', path: await keyFile(`${key}\n`) } })
    expect(signer.address).toBe(account.address.toLowerCase())
    const typed = typedFrom(signer.address)
    const signature = await signer.sign(typed, never)
    const parts = {
      domain: { ...typed.domain, verifyingContract: Hex.parse(typed.domain.verifyingContract) },
      types: { TransferWithAuthorization: TRANSFER_WITH_AUTHORIZATION },
      primaryType: 'TransferWithAuthorization' as const,
      message: {
        from: account.address,
        to: Hex.parse(typed.message.to),
        value: 1000n,
        validAfter: 0n,
        validBefore: 1_795_247_742n,
        nonce: Hex.parse(typed.message.nonce),
      },
    }
    expect(signature).toBe(await account.signTypedData(parts))
    expect(await recoverTypedDataAddress({ ...parts, signature })).toBe(account.address)
  })

  test('signs many at once, each with its own answer', async () => {
    const signer = await start({ key: { source: 'file', path: await keyFile(generatePrivateKey()) } })
    const typed = Array.from({ length: 50 }, (_, index) => {
      const one = typedFrom(signer.address)
      return { ...one, message: { ...one.message, value: String(index) } }
    })
    const together = await Promise.all(typed.map((one) => signer.sign(one, never)))
    expect(new Set(together).size).toBe(50)
    for (const index of [0, 25, 49]) {
      const one = typed[index]
      if (one) expect(await signer.sign(one, never)).toBe(together[index])
    }
  })

  describe('refuses to sign', () => {
    let signer: Signer
    beforeAll(async () => {
      const directory = await mkdtemp(join(tmpdir(), 'tollway-signer-'))
      const path = join(directory, 'key')
      await writeFile(path, generatePrivateKey(), { mode: 0o600 })
      signer = await startSigner({ key: { source: 'file', path } })
      await rm(directory, { recursive: true })
    })
    afterAll(async () => await signer?.close())

    test.each([
      ['another type of data', (typed: TypedAuthorization) => ({ ...typed, types: { Permit: [] } })],
      [
        'a message with a field more',
        (t: TypedAuthorization) => ({ ...t, message: { ...t.message, spender: '0x1' } }),
      ],
      [
        'an address of another key',
        (t: TypedAuthorization) => ({ ...t, message: { ...t.message, from: t.message.to } }),
      ],
      [
        'an amount that is not decimal',
        (t: TypedAuthorization) => ({ ...t, message: { ...t.message, value: '0x10' } }),
      ],
      [
        'an amount over 2^256-1',
        (t: TypedAuthorization) => ({ ...t, message: { ...t.message, value: '9'.repeat(78) } }),
      ],
      [
        'a domain without a contract',
        (t: TypedAuthorization) => ({ ...t, domain: { ...t.domain, verifyingContract: '' } }),
      ],
    ])('%s, and goes on signing', async (_what, change) => {
      const error = await failure(signer.sign(change(typedFrom(signer.address)), never))
      expect(error).toBeInstanceOf(TollwayError)
      expect(error.message).toMatch(/refused to sign/)
      await expect(signer.sign(typedFrom(signer.address), never)).resolves.toMatch(/^0x/)
    })
  })
})

describe('a key in an environment variable', () => {
  test('rule 8: is removed from the environment once the signer has it', async () => {
    const key = generatePrivateKey()
    vi.stubEnv('TEST_KEY_A', key)
    const signer = await start({ key: { source: 'env', name: 'TEST_KEY_A' } })
    expect(signer.address).toBe(privateKeyToAccount(key).address.toLowerCase())
    expect('TEST_KEY_A' in process.env).toBe(false)
  })

  test('serves one signer; the next gets an error that says so and what to do', async () => {
    vi.stubEnv('TEST_KEY_B', generatePrivateKey())
    const key = { source: 'env', name: 'TEST_KEY_B' } as const
    const together = await Promise.allSettled([start({ key }), start({ key })])
    expect(together.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    for (const error of [
      await failure(start({ key })),
      together[1]?.status === 'rejected' && together[1].reason,
    ]) {
      expect(error).toBeInstanceOf(ConfigError)
      expect(String(error)).toMatch(/TEST_KEY_B was already taken.*one payer.*own variable or a key file/)
    }
  })

  test('can be taken again after it was set again', async () => {
    const key = { source: 'env', name: 'TEST_KEY_C' } as const
    vi.stubEnv('TEST_KEY_C', generatePrivateKey())
    await start({ key })
    vi.stubEnv('TEST_KEY_C', generatePrivateKey())
    await expect(start({ key })).resolves.toHaveProperty('address')
  })

  test('says who took it, and whether that signer is still open', async () => {
    const key = { source: 'env', name: 'TEST_KEY_W' } as const
    vi.stubEnv('TEST_KEY_W', generatePrivateKey())
    const first = await start({ key })
    expect(String(await failure(start({ key })))).toMatch(
      new RegExp(`by the signer of ${first.address}`, 'i'),
    )
    expect(String(await failure(start({ key })))).toContain('which is still open')
    await first.close()
    expect(String(await failure(start({ key })))).toMatch(
      /which is closed.*set process\.env\.TEST_KEY_W again/,
    )
    const again = generatePrivateKey()
    vi.stubEnv('TEST_KEY_W', again)
    await expect(start({ key })).resolves.toHaveProperty('address')
  })

  test('that is not set is reported with the fix', async () => {
    const error = await failure(start({ key: { source: 'env', name: 'TEST_KEY_UNSET' } }))
    expect(error).toBeInstanceOf(ConfigError)
    expect(error.message).toMatch(/TEST_KEY_UNSET is not set\. Set it/)
  })

  test('rule 8: that is malformed is refused without being quoted, and is removed all the same', async () => {
    vi.stubEnv('TEST_KEY_D', 'deadbeefdeadbeef')
    const error = await failure(start({ key: { source: 'env', name: 'TEST_KEY_D' } }))
    expect(error).toBeInstanceOf(ConfigError)
    expect(error.message).toMatch(/0x and 64 hex digits/)
    expect(error.message).not.toContain('deadbeef')
    expect('TEST_KEY_D' in process.env).toBe(false)
  })

  test('rule 8: is not in the heap of the main thread, in any encoding', async () => {
    const key = generatePrivateKey()
    const bare = key.slice(2)
    const halves = [bare.slice(0, 32), bare.slice(32)]
    const spellings = [
      ...halves,
      ...halves.map((half) => half.toUpperCase()),
      Buffer.from(bare, 'hex').toString('base64').slice(0, 40),
      BigInt(key).toString(),
    ]
    const found = (text: string): string[] => spellings.filter((spelling) => text.includes(spelling))
    const look = async (mode: string): Promise<{ heap: string; output: string }> => {
      const file = join(folder, `${mode}.heapsnapshot`)
      const { stdout, stderr } = await run(
        process.execPath,
        [fileURLToPath(new URL('heap-child.ts', import.meta.url)), mode, file],
        { env: { PATH: process.env['PATH'], TEST_KEY: key } },
      )
      return { heap: await readFile(file, 'utf8'), output: `${stdout}${stderr}` }
    }
    const careful = await look('careful')
    expect(found(careful.heap)).toEqual([])
    expect(careful.heap.includes('canary-c0ffeec0ffeec')).toBe(true)
    expect(careful.output).toContain('"inEnvironment":false')
    expect(careful.output).toContain(privateKeyToAccount(key).address.toLowerCase())
    expect(found(careful.output)).toEqual([])
    // The control: where the main thread does read the key, this search finds it.
    const careless = await look('careless')
    expect(found(careless.heap)).toEqual(halves)
  })
})

describe('a key in a file', () => {
  test.each([
    ['0600', 0o600],
    ['0400', 0o400],
  ])('is taken with mode %s', async (_name, mode) => {
    const key = generatePrivateKey()
    const signer = await start({ key: { source: 'file', path: await keyFile(key, mode) } })
    expect(signer.address).toBe(privateKeyToAccount(key).address.toLowerCase())
  })

  test.each([
    ['0644', 0o644],
    ['0640', 0o640],
    ['0660', 0o660],
    ['0700', 0o700],
    ['0604', 0o604],
    ['1600', 0o1600],
  ])('is refused with mode %s, and the fix is named', async (_name, mode) => {
    const path = await keyFile(generatePrivateKey(), mode)
    const error = await failure(start({ key: { source: 'file', path } }))
    expect(error).toBeInstanceOf(ConfigError)
    expect(error.message).toContain(`chmod 600 ${path}`)
  })

  test('behind a symbolic link is checked at the target of the link', async () => {
    const link = join(folder, 'link')
    await symlink(await keyFile(generatePrivateKey(), 0o644), link)
    expect((await failure(start({ key: { source: 'file', path: link } }))).message).toContain('chmod 600')
    const good = join(folder, 'good')
    await symlink(await keyFile(generatePrivateKey()), good)
    await expect(start({ key: { source: 'file', path: good } })).resolves.toHaveProperty('address')
  })

  test('of another user is refused', async () => {
    const isRoot = process.getuid?.() === 0
    const path = isRoot ? await keyFile(generatePrivateKey()) : '/etc/passwd'
    if (isRoot) await chown(path, 65_534, 65_534)
    const { message } = await failure(start({ key: { source: 'file', path } }))
    expect(message).toContain(`belongs to user ${isRoot ? 65_534 : 0}`)
    expect(message).toContain('chown')
  })

  test.each([
    ['nothing', ''],
    ['no prefix', 'ab'.repeat(32)],
    ['too many digits', `0x${'ab'.repeat(33)}`],
    ['two lines', `0x${'ab'.repeat(32)}\n\n`],
    ['a JSON string', `"0x${'ab'.repeat(32)}"`],
    ['zero', `0x${'00'.repeat(32)}`],
    ['the group order', '0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141'],
  ])('holding %s is refused without being quoted', async (_what, content) => {
    const error = await failure(start({ key: { source: 'file', path: await keyFile(content) } }))
    expect(error).toBeInstanceOf(ConfigError)
    expect(error.message).toMatch(/key file .* (0x and 64 hex digits|Use another key)/)
    const digits = content.replace(/[^0-9a-f]/g, '')
    if (digits !== '') expect(error.message).not.toContain(digits.slice(0, 8))
    expect(error.cause).toBeUndefined()
  })

  test.each([
    ['does not exist', () => join(folder, 'missing'), /cannot be read \(ENOENT\)/],
    ['is a folder', () => folder, /not a regular file/],
  ])('that %s is named', async (_what, path, message) => {
    expect((await failure(start({ key: { source: 'file', path: path() } }))).message).toMatch(message)
  })

  test('that is too large is not read', async () => {
    const path = await keyFile('x'.repeat(5000))
    expect((await failure(start({ key: { source: 'file', path } }))).message).toMatch(/too large/)
  })
})

/** A worker that says only what a test has it say. */
class SilentWorker extends EventEmitter implements SignerWorker {
  readonly sent: unknown[] = []
  refs = 1
  terminated = false
  postMessage(message: unknown): void {
    this.sent.push(message)
  }
  ref(): void {
    this.refs = 1
  }
  unref(): void {
    this.refs = 0
  }
  terminate(): Promise<void> {
    this.terminated = true
    return Promise.resolve()
  }
}

const address = '0x90f79bf6eb2c4f870365e785982e1f101e93b906'

async function silent(): Promise<{ worker: SilentWorker; signer: Signer; timers: ManualTimers }> {
  const worker = new SilentWorker()
  const timers = new ManualTimers()
  const starting = start({ key: { source: 'file', path: 'x' }, timeoutMs: 500, timers, spawn: () => worker })
  worker.emit('message', { type: 'ready', address })
  return { worker, timers, signer: await starting }
}

async function expectUnavailable(work: Promise<unknown>, words: RegExp): Promise<void> {
  const error = await failure(work)
  expect(error).toMatchObject({ code: 'signer_unavailable', status: 503 })
  expect(error.message).toMatch(words)
}

describe('a signer that fails', () => {
  test('refuses open and later requests when its thread dies', async () => {
    const threads: Worker[] = []
    const path = await keyFile(generatePrivateKey())
    const signer = await start({
      key: { source: 'file', path },
      spawn: (key) => {
        const thread = new Worker(workerFile, { workerData: { key }, env: SHARE_ENV })
        threads.push(thread)
        return thread
      },
    })
    await signer.check()
    const pending = signer.sign(typedFrom(signer.address), never)
    const refused = expectUnavailable(pending, /has ended/)
    await threads[0]?.terminate()
    await refused
    await expectUnavailable(signer.check(), /has ended/)
    await expectUnavailable(signer.sign(typedFrom(signer.address), never), /has ended/)
  })

  test('rule 8: refuses when its thread throws, without repeating the thrown message', async () => {
    const { worker, signer } = await silent()
    const pending = expectUnavailable(
      signer.sign(typedFrom(address), never),
      /^The signer failed; nothing was paid\. Restart Tollway, so that its signer starts anew\.$/,
    )
    worker.emit('error', new Error('key 0xabc'))
    await pending
  })

  test.each([
    ['junk', 'x'],
    ['another shape', { type: 'signed', id: 'x', signatures: 1 }],
  ])('refuses when its thread says %s', async (_what, message) => {
    const { worker, signer } = await silent()
    const pending = expectUnavailable(signer.sign(typedFrom(address), never), /unreadable/)
    worker.emit('message', message)
    await pending
  })

  test('refuses after the time limit and still serves the next request', async () => {
    const { worker, signer, timers } = await silent()
    const late = expectUnavailable(signer.sign(typedFrom(address), never), /did not answer within 500 ms/)
    await timers.fire(500)
    await late
    const next = signer.sign(typedFrom(address), never)
    worker.emit('message', { type: 'signed', id: 0, signatures: ['0xlate'] })
    worker.emit('message', { type: 'signed', id: 1, signatures: ['0xgood'] })
    expect(await next).toBe('0xgood')
    expect(timers.size).toBe(0)
  })

  test('does not start when its thread stays silent, and ends the thread', async () => {
    const worker = new SilentWorker()
    const timers = new ManualTimers()
    const starting = startSigner({
      key: { source: 'file', path: 'x' },
      startTimeoutMs: 700,
      timers,
      spawn: () => worker,
    })
    const refused = expectUnavailable(starting, /did not start within 700 ms/)
    await timers.fire(700)
    await refused
    expect(worker.terminated).toBe(true)
  })

  test('stops waiting when the request is aborted, before or while it waits', async () => {
    const { worker, signer, timers } = await silent()
    await expect(signer.sign(typedFrom(address), AbortSignal.abort(new Error('left')))).rejects.toThrow(
      'left',
    )
    expect(worker.sent).toEqual([])
    const leaving = new AbortController()
    const pending = failure(signer.sign(typedFrom(address), leaving.signal))
    leaving.abort(new Error('left later'))
    expect((await pending).message).toBe('left later')
    expect(timers.size).toBe(0)
    expect(worker.refs).toBe(0)
  })

  test('refuses requests during and after closing', async () => {
    const { worker, signer } = await silent()
    const pending = expectUnavailable(signer.sign(typedFrom(address), never), /is closed/)
    expect(worker.refs).toBe(1)
    await signer.close()
    await pending
    await expectUnavailable(signer.sign(typedFrom(address), never), /is closed/)
    await expect(signer.close()).resolves.toBeUndefined()
  })
})
