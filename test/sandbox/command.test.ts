import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { MAIN } from '../kit/program.ts'

test('the sandbox tells where everything is, and Ctrl-C leaves nothing behind', async () => {
  const child = spawn(process.execPath, [MAIN, 'sandbox', '--json', '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit')
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  const facts = JSON.parse(line) as Record<'base_url' | 'dashboard' | 'metrics' | 'files', string> & {
    chain: { rpc: string }
  }
  expect(facts).toMatchObject({
    wallet: { usdc_atomic: '1000000000' },
    seller: { usdc_atomic: '0' },
    models: ['paid/sandbox-small', 'official/sandbox-small', 'v1/sandbox-small', 'free/sandbox-small'],
  })
  for (const url of [`${facts.base_url}/models`, facts.dashboard, facts.metrics])
    expect((await fetch(url)).status).toBe(200)
  expect(existsSync(facts.files)).toBe(true)

  child.kill('SIGINT')
  expect(await exit).toEqual([0, null])
  expect(existsSync(facts.files)).toBe(false)
  // The chain's process is gone with its listener.
  await expect(fetch(facts.chain.rpc, { method: 'POST', body: '{}' })).rejects.toThrow('fetch failed')
})
