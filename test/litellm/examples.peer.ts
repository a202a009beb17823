/** The examples with LiteLLM, each started by its one command, with the real proxy and paid sellers on a local chain. */
import { rm } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startSandbox, type Sandbox } from '../../src/app/sandbox/sandbox.ts'
import { Child } from '../kit/child.ts'
import { examplesProject, RUN_EXAMPLES, sandboxVariables } from '../kit/examples.ts'
import { freePort } from '../kit/free-port.ts'
import { ask } from '../kit/gateway.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { completion } from '../kit/seller-answers.ts'
import { answers, environment, MASTER_KEY, QUIET_LITELLM } from './litellm-proxy.ts'

/** Both programs start within the test. */
const START_MS = 420_000

const KEY = { authorization: `Bearer ${MASTER_KEY}` }
const MODEL = 'paid/sandbox-small'

let sandbox: Sandbox
const directories: string[] = []

beforeAll(async () => {
  sandbox = await startSandbox({ port: 0, blockTimeSeconds: 0 })
})
afterAll(async () => {
  await sandbox?.close()
  for (const directory of directories) await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

interface Started {
  /** Root address of Tollway. */
  readonly tollway: string
  /** Root address of LiteLLM. */
  readonly litellm: string
  /** In place of the local model that LiteLLM serves. */
  readonly local: ScriptedSeller
  readonly child: Child
}

/** `node <example>/start.mjs`, on ports of its own. */
async function start(example: string): Promise<Started> {
  const local = await startScriptedSeller({ unpaid: completion({ id: 'local' }) })
  const [own, other] = [String(await freePort()), String(await freePort())]
  const directory = await examplesProject(directories, {
    '8402': own,
    '4000': other,
    'http://127.0.0.1:11434/v1': local.apiBase,
  })
  const child = new Child(process.execPath, ['--import', RUN_EXAMPLES, `${example}/start.mjs`], {
    cwd: directory,
    env: {
      ...process.env,
      ...sandboxVariables(sandbox),
      ...QUIET_LITELLM,
      LITELLM_KEY: MASTER_KEY,
      PATH: [join(environment(), 'bin'), process.env['PATH']].join(delimiter),
    },
  })
  onTestFinished(async () => {
    child.kill('SIGTERM')
    await child.end()
    await local.close()
  })
  const litellm = `http://127.0.0.1:${other}`
  await answers(`${litellm}/health/readiness`, child)
  return { tollway: `http://127.0.0.1:${own}`, litellm, local, child }
}

const paid = async (): Promise<number> =>
  (await sandbox.world.chain.transfers({ from: sandbox.world.chain.accounts.buyer.address })).length

test(
  'litellm-behind: LiteLLM serves the paid model by Tollway, and its own',
  { timeout: START_MS },
  async () => {
    const before = await paid()
    const { litellm, local } = await start('litellm-behind')
    const answer = await ask(litellm, { model: MODEL }, KEY)
    expect([answer.status, answer.headers.get('x-litellm-response-cost')]).toEqual([200, '0.001'])
    const stream = await ask(litellm, { model: MODEL, stream: true }, KEY)
    expect(await stream.text()).toMatch(/data: \[DONE\]\s*$/)
    expect(await paid()).toBe(before + 2)
    expect((await ask(litellm, { model: 'local' }, KEY)).status).toBe(200)
    expect(local.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
  },
)

test(
  'litellm-in-front: Tollway pays the paid model, and LiteLLM serves every other one',
  { timeout: START_MS },
  async () => {
    const before = await paid()
    const { tollway, local, child } = await start('litellm-in-front')
    const answer = await ask(tollway, { model: MODEL, stream: true })
    expect([answer.status, answer.headers.get('x-tollway-spent')]).toEqual([200, 'yes'])
    expect(await answer.text()).toMatch(/data: \[DONE\]\s*$/)
    const other = await ask(tollway, { model: 'local' })
    expect([other.status, other.headers.get('x-tollway-spent')]).toEqual([200, 'no'])
    expect(local.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
    expect(await paid()).toBe(before + 1)
    child.kill('SIGTERM')
    // The gateway ends with the program.
    expect((await child.end()).code).not.toBeNull()
  },
)
