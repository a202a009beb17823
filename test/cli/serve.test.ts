import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { serve, type ServedGateway } from '../../src/app/cli/commands/serve.ts'
import { run } from '../../src/app/cli/run.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { configFile } from '../config/config-file.ts'
import { FakeTerminal } from './fake-terminal.ts'

const CONFIG = parseConfig({}, {})

/** A gateway that writes down what happens to it. */
function fakeGateway(story: string[], changes: Partial<ServedGateway> = {}): ServedGateway {
  return {
    listen: () => {
      story.push('listen')
      return Promise.resolve({ url: 'http://127.0.0.1:8402' })
    },
    close: () => {
      story.push('close')
      return Promise.resolve()
    },
    ...changes,
  }
}

const cannotListen = (): Promise<never> => Promise.reject(new Error('EADDRINUSE'))

/** Starts the fixture and waits for its line. */
async function start(mode: 'prompt' | 'hanging') {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('./serve-fixture.ts', import.meta.url)), mode],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })
  const line = async (): Promise<unknown> => ((await once(lines, 'line')) as unknown[])[0]
  expect(await line()).toBe('tollway is ready at http://127.0.0.1:1/v1')
  return { child, line, exit: once(child, 'exit') }
}

describe('serve', () => {
  it('tells load balancers first that it stops, and closes then', async () => {
    const terminal = new FakeTerminal()
    const story: string[] = []
    const gateway = fakeGateway(story, {
      drain: () => {
        story.push('drain')
        return Promise.resolve()
      },
    })
    const listen = async (): ReturnType<ServedGateway['listen']> => {
      const addresses = await gateway.listen()
      setImmediate(() => terminal.signal())
      return addresses
    }
    expect(await serve(CONFIG, () => Promise.resolve({ ...gateway, listen }), terminal)).toBe(0)
    expect(story).toEqual(['listen', 'drain', 'close'])
  })

  it('says the base URL in one line, closes, says so, and ends with 0 at the first signal', async () => {
    const terminal = new FakeTerminal()
    const story: string[] = []
    const listening = Promise.withResolvers<void>()
    const gateway = fakeGateway(story)
    const ended = serve(
      CONFIG,
      () =>
        Promise.resolve({
          ...gateway,
          listen: async () => {
            const address = await gateway.listen()
            listening.resolve()
            return address
          },
        }),
      terminal,
    )
    await listening.promise
    terminal.signal()
    expect(await ended).toBe(0)
    expect(story).toEqual(['listen', 'close'])
    expect(terminal.out).toBe(
      'tollway is ready at http://127.0.0.1:8402/v1\ntollway has stopped; every payment is recorded\n',
    )
    expect(terminal.exits).toEqual([])
    expect(terminal.listening).toBe(false)
  })

  it('tells a person at a terminal where everything is and which wallets pay', async () => {
    const terminal = Object.assign(new FakeTerminal(), { isInteractive: true })
    const listening = Promise.withResolvers<void>()
    const address = '0x209693bc6afc0c5328ba36faf03c514ef312287c'
    const payers = new Map([
      ['base', { address, networks: ['eip155:8453', 'eip155:84532'] }],
      ['pool', { address: undefined, networks: ['eip155:8453'] }],
    ])
    const ended = serve(
      CONFIG,
      () =>
        Promise.resolve({
          ...fakeGateway([]),
          parts: { payers },
          listen: () => {
            listening.resolve()
            return Promise.resolve({
              url: 'http://127.0.0.1:8402',
              metricsUrl: 'http://127.0.0.1:9402/metrics',
            })
          },
        }),
      terminal,
    )
    await listening.promise
    terminal.signal()
    expect(await ended).toBe(0)
    expect(terminal.out).toBe(`tollway is ready at http://127.0.0.1:8402/v1
  clients     http://127.0.0.1:8402/v1
  spend page  http://127.0.0.1:8402/dashboard
  metrics     http://127.0.0.1:9402/metrics
  payer base  ${address} on base, base-sepolia
tollway has stopped; every payment is recorded
`)
  })

  it('reads the configuration again at SIGHUP once the gateway is open, and goes on when that fails', async () => {
    const listeners = new Set<() => void>()
    const terminal = Object.assign(new FakeTerminal(), {
      onReloadSignal(listener: () => void) {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
    })
    const hangUp = (): void => listeners.forEach((listener) => listener())
    const story: string[] = []
    const listening = Promise.withResolvers<void>()
    const gateway = fakeGateway(story, {
      listen: () => {
        listening.resolve()
        return Promise.resolve({ url: 'http://127.0.0.1:8402' })
      },
      reload: (_config, cause) => {
        story.push(`reload by ${cause}`)
        return Promise.reject(new Error('a mistake'))
      },
    })
    const open = (): Promise<ServedGateway> => {
      hangUp()
      return Promise.resolve(gateway)
    }
    const ended = serve(CONFIG, open, terminal)
    await listening.promise
    hangUp()
    terminal.signal()
    expect(await ended).toBe(0)
    expect(story).toEqual(['reload by signal', 'close'])
    expect(listeners.size).toBe(0)
  })

  it('ends with 1 at once at the second signal, also while requests are still running', async () => {
    const terminal = new FakeTerminal()
    const closing = Promise.withResolvers<void>()
    const drained = Promise.withResolvers<void>()
    const close = (): Promise<void> => {
      closing.resolve()
      return drained.promise
    }
    const ended = serve(CONFIG, () => Promise.resolve(fakeGateway([], { close })), terminal)
    terminal.signal()
    await closing.promise
    expect(terminal.exits).toEqual([])
    terminal.signal()
    expect(terminal.exits).toEqual([1])
    drained.resolve()
    await ended
  })

  it('closes a gateway whose start was interrupted', async () => {
    const terminal = new FakeTerminal()
    const story: string[] = []
    const opening = Promise.withResolvers<ServedGateway>()
    const ended = serve(CONFIG, () => opening.promise, terminal)
    terminal.signal()
    opening.resolve(fakeGateway(story))
    expect(await ended).toBe(0)
    expect(story.at(-1)).toBe('close')
  })

  it('closes a gateway that cannot listen, and tells why', async () => {
    const terminal = new FakeTerminal()
    const story: string[] = []
    await expect(
      serve(CONFIG, () => Promise.resolve(fakeGateway(story, { listen: cannotListen })), terminal),
    ).rejects.toThrow('EADDRINUSE')
    expect(story).toEqual(['close'])
    expect(terminal.listening).toBe(false)
  })

  it('passes on why a gateway cannot be opened', async () => {
    const terminal = new FakeTerminal()
    await expect(serve(CONFIG, () => Promise.reject(new Error('no store')), terminal)).rejects.toThrow(
      'no store',
    )
    expect(terminal.listening).toBe(false)
  })

  it('refuses a bad configuration before anything is opened, naming the option at fault', async () => {
    const terminal = new FakeTerminal()
    const path = configFile('store: memory\n')
    expect(await run(['serve', '--config', path, '--listen', '0.0.0.0:1'], terminal)).toBe(2)
    expect(terminal.err).toBe(
      '--listen: is reachable from other machines, and no callers are set: anyone could spend. ' +
        'Add callers with keys, such as callers: [{ id: me, key: "${env:TOLLWAY_KEY}" }], or listen on 127.0.0.1.\n',
    )
  })
})

describe('a serving process', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`closes and ends with 0 at ${signal}`, async () => {
      const { child, line, exit } = await start('prompt')
      child.kill(signal)
      expect(await line()).toBe('closing')
      expect(await exit).toEqual([0, null])
    })
  }

  it('that cannot finish ends with 1 at the second signal', async () => {
    const { child, line, exit } = await start('hanging')
    child.kill('SIGTERM')
    expect(await line()).toBe('closing')
    child.kill('SIGINT')
    expect(await exit).toEqual([1, null])
  })
})
