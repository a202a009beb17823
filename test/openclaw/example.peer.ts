/** The example with OpenClaw, started by its one command, with the real program and a paid seller on a local chain. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startSandbox, type Sandbox } from '../../src/app/sandbox/sandbox.ts'
import { Child } from '../kit/child.ts'
import { examplesProject, RUN_EXAMPLES, sandboxVariables } from '../kit/examples.ts'
import { freePort } from '../kit/free-port.ts'
import { offline } from './openclaw.ts'

let sandbox: Sandbox
const directories: string[] = []

beforeAll(async () => {
  sandbox = await startSandbox({ port: 0, blockTimeSeconds: 0 })
})
afterAll(async () => {
  await sandbox?.close()
  for (const directory of directories) await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

test('openclaw/start.mjs: a turn is paid, and both programs end', async () => {
  const { chain } = sandbox.world
  const from = chain.accounts.buyer.address
  const before = await chain.transfers({ from })
  const directory = await examplesProject(directories, { '8402': String(await freePort()) })
  const home = await mkdtemp(join(tmpdir(), 'tollway-openclaw-'))
  directories.push(home)
  const args = ['--import', RUN_EXAMPLES, 'openclaw/start.mjs', 'Say hello to the example.']
  const child = new Child(process.execPath, args, {
    cwd: directory,
    // Nothing of this process: OpenClaw prints nothing where it finds itself in a test.
    env: {
      ...sandboxVariables(sandbox),
      ...offline(home),
      PATH: [join(import.meta.dirname, 'node_modules/.bin'), process.env['PATH']].join(delimiter),
    },
  })
  onTestFinished(() => child.kill('SIGKILL'))
  const { code, stdout, stderr } = await child.end()
  expect([code, stdout + stderr]).toEqual([0, expect.stringContaining('"ok": true')])
  expect(stdout).toContain('hello to the example')
  expect((await chain.transfers({ from })).length).toBe(before.length + 1)
})
