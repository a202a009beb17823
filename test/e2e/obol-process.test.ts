/** `tollway serve --obol` as a process: x402-buyer's flags, and no key anywhere in it. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { ask, startGateway } from '../kit/gateway.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { Child } from '../kit/child.ts'
import { buyerFiles, signAuths, upstreamFile } from '../kit/obol-pool.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { json, OFFER } from '../kit/seller-answers.ts'
import { readyUrl } from '../kit/serve-process.ts'
import { run } from '../../src/app/cli/run.ts'
import { obolConfig, openListen } from '../../src/app/cli/shared/obol-flags.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { MAIN } from '../kit/program.ts'

const payTo = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'

const cleanup: (() => unknown)[] = []
/** What the sellers were told. */
const agents: string[] = []
afterEach(async () => {
  for (const end of cleanup.splice(0).toReversed()) await end()
})

/** Asks for 1000 units and accepts any payment: these tests are about who pays. */
async function startSeller(): Promise<string> {
  const accepts = [{ ...OFFER, maxTimeoutSeconds: 600 }]
  const seller = await startScriptedSeller(({ headers }) => {
    agents.push(headers['user-agent'] ?? '')
    const isPaid = headers['x-payment'] !== undefined
    return isPaid
      ? json({ id: 'c', choices: [{ message: { content: 'yes' } }] })
      : json({ x402Version: 2, accepts }, {}, 402)
  })
  cleanup.push(() => seller.close())
  return `${seller.url}/services/qwen`
}

/** strace passes no signals on: they are for the process under it. */
function nodeOf(child: Child): number {
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
  return Number(children.trim().split(' ', 1)[0])
}

function stop(child: Child): void {
  try {
    process.kill(nodeOf(child), 'SIGKILL')
  } catch {
    // It has ended.
  }
}

/** A process starts in an environment of its own: nothing of the test's is in it. */
function serve(directory: string, args: readonly string[], env: Record<string, string> = {}): Child {
  return serveAs(directory, ['--obol', ...args], env)
}

function serveAs(directory: string, args: readonly string[], env: Record<string, string> = {}): Child {
  return new Child(
    'strace',
    [
      '-f',
      '-qq',
      '-e',
      'trace=openat,open',
      '-o',
      join(directory, 'trace'),
      process.execPath,
      MAIN,
      'serve',
      ...args,
    ],
    { cwd: directory, env: { PATH: process.env['PATH'], NO_COLOR: '1', ...env } },
  )
}

/** Whatever reads or keeps a key. */
const KEY_PARTS = /signer\.worker|private-key\.ts|key-file\.ts|wallet\.json/

/** Neither in the environment, nor in a thread of its own. */
function holdsNoKey(child: Child): void {
  const pid = nodeOf(child)
  const key = localAccounts().buyer.privateKey.slice(2)
  const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
  expect(environment).not.toContain(key)
  const threads = readdirSync(`/proc/${pid}/task`).map((task) =>
    readFileSync(`/proc/${pid}/task/${task}/comm`, 'utf8').trim(),
  )
  expect(threads.filter((name) => /worker/i.test(name) && !/libuv|V8Worker/i.test(name))).toEqual([])
}

describe('tollway serve --obol', () => {
  test('pays with the flags of x402-buyer in a process that holds no key and starts no signer', async () => {
    const url = await startSeller()
    const files = buyerFiles()
    cleanup.push(() => files.remove())
    files.write('remote-qwen', upstreamFile({ url, payTo, model: 'qwen' }), await signAuths(2, { payTo }))
    const { config, auths, state, directory } = files
    const child = serve(
      directory,
      [
        `--config-dir=${config}`,
        `--auths-dir=${auths}`,
        `--state=${state}`,
        '--listen=127.0.0.1:0',
        '--reload-interval=1m30s',
      ],
      { OBOL_BUYER_USER_AGENT: 'obol-buy-x402/9' },
    )
    cleanup.push(() => stop(child))
    const gateway = await readyUrl(child)
    const answer = await ask(gateway, { model: 'openai/paid/qwen' })
    expect([answer.status, answer.headers.get('x-tollway-payer')]).toEqual([200, 'obol'])
    await answer.text()
    expect(new Set(agents)).toEqual(new Set(['obol-buy-x402/9']))
    holdsNoKey(child)
    process.kill(nodeOf(child), 'SIGTERM')
    expect((await child.end()).code).toBe(0)
    const opened = readFileSync(join(directory, 'trace'), 'utf8')
    expect(opened).toContain('consumed.json')
    expect(opened).toContain('remote-qwen.json')
    expect(opened).not.toMatch(KEY_PARTS)
    expect(JSON.parse(readFileSync(state, 'utf8'))).toMatchObject({
      consumed: { 'remote-qwen': [expect.any(String)] },
    })
  })

  test('listens on loopback alone, unless a key is asked for', async () => {
    const files = buyerFiles()
    cleanup.push(() => files.remove())
    writeFileSync(join(files.directory, 'config.json'), '{"upstreams": {}}')
    writeFileSync(join(files.directory, 'auths.json'), '{}')
    const flags = ['--config=config.json', '--auths=auths.json', '--state=consumed.json', '--listen=:0']
    const terminal = new FakeTerminal({})
    expect(await run(['serve', '--obol', ...flags], terminal)).toBe(2)
    expect(terminal.err).toContain('TOLLWAY_KEY')
    const child = serve(files.directory, flags, { TOLLWAY_KEY: 'a-key-of-sixteen' })
    cleanup.push(() => stop(child))
    const url = (await readyUrl(child)).replace('0.0.0.0', '127.0.0.1')
    expect((await ask(url, { model: 'paid/qwen' })).status).toBe(401)
    expect(await (await fetch(`${url}/healthz`)).text()).toBe('ok')
    // What was spent is for those who may spend.
    expect((await fetch(`${url}/metrics`)).status).toBe(401)
    const headers = { authorization: 'Bearer a-key-of-sixteen' }
    expect((await fetch(`${url}/metrics`, { headers })).status).toBe(200)
    process.kill(nodeOf(child), 'SIGTERM')
    expect((await child.end()).code).toBe(0)
  })

  test('in a pod it opens to the other pods where its flag says so, with a warning, and the controller uses its paths', async () => {
    const files = buyerFiles()
    cleanup.push(() => files.remove())
    const { config, auths, state } = files
    files.write('remote-qwen', upstreamFile({ url: 'https://s.test/x', payTo, model: 'qwen' }), [])
    const flags = [`--config-dir=${config}`, `--auths-dir=${auths}`, `--state=${state}`]
    const terminal = new FakeTerminal({ KUBERNETES_SERVICE_HOST: '10.96.0.1' })
    const ended = run(['serve', '--obol', ...flags, '--listen=:0'], terminal)
    await vi.waitFor(() => expect(terminal.out).toContain('is ready'), { timeout: 60_000 })
    expect(terminal.err).toMatch(/^warning: --listen :0 can be reached from other pods, and no key is set/)
    const port = Number(/0\.0\.0\.0:(\d+)/.exec(terminal.out)?.[1])
    // As another machine: by the name of the service, through a proxy.
    const go = { 'user-agent': 'Go-http-client/1.1', 'x-forwarded-for': '10.244.0.7' }
    const call = async (
      method: string,
      path: string,
      headers: Record<string, string> = {},
    ): Promise<string> =>
      await new Promise((resolve, reject) => {
        const host = 'x402-buyer.llm.svc.cluster.local:8402'
        const sent = request({ port, method, path, headers: { host, ...go, ...headers } }, (answer) => {
          text(answer).then((body) => resolve(`${answer.statusCode} ${body}`), reject)
        })
        sent.on('error', reject).end()
      })
    expect(await call('GET', '/healthz')).toBe('200 ok')
    expect(await call('GET', '/status')).toMatch(/^200 \{"remote-qwen":\{/)
    expect(await call('POST', '/admin/reload')).toMatch(/^200 \{"status":"reload triggered"/)
    expect(await call('POST', '/admin/remove?name=remote-qwen')).toBe(
      '200 {"status":"removed","name":"remote-qwen"}',
    )
    expect(await call('GET', '/metrics')).toMatch(/^200 [^]*obol_x402_buyer_/)
    // What spends is not for pages, and what configures is not for other machines.
    expect(await call('POST', '/admin/reload', { 'user-agent': 'Mozilla/5.0' })).toMatch(/^401 /)
    expect(await call('GET', '/dashboard')).toMatch(/^401 /)
    expect(await call('GET', '/admin/budgets')).toMatch(/^401 /)
    terminal.signal()
    expect(await ended).toBe(0)
  })

  test.each([
    ['outside a pod', {}, [':0']],
    ['in a pod without the flag', { KUBERNETES_SERVICE_HOST: '10.96.0.1' }, []],
  ])('%s no address is opened without a key', async (_where, env, listen) => {
    const flags = { configDir: 'c', authsDir: 'a', state: 's', listen: listen[0] }
    expect(openListen(flags, env)).toBeUndefined()
    if (listen[0] === undefined) expect(obolConfig(flags, env, '.')['listen']).toBe('127.0.0.1:8402')
    else expect(() => obolConfig(flags, env, '.')).toThrow('TOLLWAY_KEY')
  })

  test('a pool of what lies in the ledger holds no key either, and pays as the User-Agent it is told to', async () => {
    const url = await startSeller()
    const files = buyerFiles()
    cleanup.push(() => files.remove())
    files.write('remote-qwen', upstreamFile({ url, payTo, model: 'qwen' }), await signAuths(2, { payTo }))
    const store = `sqlite:${join(files.directory, 'ledger.db')}`
    // What `tollway buy` leaves there, on another machine perhaps.
    const before = await startGateway({ payers: { obol: files.payer }, store })
    await before.close()
    const payers = { obol: { kind: 'obol', mode: 'pool', user_agent: 'buyer/3' } }
    const config = join(files.directory, 'tollway.yaml')
    writeFileSync(config, JSON.stringify({ listen: '127.0.0.1:0', store, payers }))
    const child = serveAs(files.directory, ['--config', config])
    cleanup.push(() => stop(child))
    const answer = await ask(await readyUrl(child), { model: 'paid/qwen' })
    expect([answer.status, answer.headers.get('x-tollway-payer')]).toEqual([200, 'obol'])
    await answer.text()
    expect(agents).toContain('buyer/3')
    holdsNoKey(child)
    process.kill(nodeOf(child), 'SIGTERM')
    expect((await child.end()).code).toBe(0)
    const opened = readFileSync(join(files.directory, 'trace'), 'utf8')
    expect(opened).toContain('ledger.db')
    expect(opened).not.toMatch(KEY_PARTS)
  })

  test('says what is wrong with a duration', async () => {
    const terminal = new FakeTerminal({})
    expect(await run(['serve', '--obol', '--reload-interval=soon'], terminal)).toBe(2)
    expect(terminal.err).toContain('Write it as 5s, 1m30s or 0.')
  })
})
