/** The real LiteLLM proxy: one worker on loopback, in a home of its own, with nothing but the gateways it is pointed at. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Child } from '../kit/child.ts'
import { parseSamples } from './samples.ts'

/** The proxy's master key: there is no database, so it has no other. */
export const MASTER_KEY = 'sk-litellm-master'

/** What keeps LiteLLM from asking anybody else. */
export const QUIET_LITELLM: Readonly<Record<string, string>> = {
  LITELLM_LOCAL_MODEL_COST_MAP: 'True',
  LITELLM_TELEMETRY: 'False',
  // Where no network namespace keeps it here, this does for all that goes by HTTP.
  HTTP_PROXY: 'http://127.0.0.1:9',
  HTTPS_PROXY: 'http://127.0.0.1:9',
  NO_PROXY: '127.0.0.1',
}

/** A started proxy. */
export interface LitellmProxy {
  /** Root address, without `/v1`. */
  readonly url: string
  /** Where its configuration lies. */
  readonly file: string
  /** Asks it as its users do, with the master key. */
  post(path: string, body: object, headers?: Readonly<Record<string, string>>): Promise<Response>
  /** Sum over the samples of a series of its `/metrics`, whose labels hold all of these. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
  close(): Promise<void>
}

/** The directory that `run.sh` made. */
export function environment(): string {
  const directory = process.env['PYTHON_ENVIRONMENT']
  if (directory === undefined) throw new Error('LiteLLM is not installed: run npm run test:litellm')
  return directory
}

/**
 * Starts the proxy and waits until it answers.
 * @param config its `config.yaml`; the master key and what keeps it to this machine are added
 * @param options.port a free one: gateways before it must know it before it starts
 * @param options.env what its configuration looks up in the environment
 */
export async function startLitellm(
  config: object,
  { port, env = {} }: { readonly port: number; readonly env?: Readonly<Record<string, string>> },
): Promise<LitellmProxy> {
  const home = mkdtempSync(join(tmpdir(), 'tollway-litellm-'))
  const file = join(home, 'config.yaml')
  const {
    litellm_settings: settings = {},
    general_settings: general = {},
    ...others
  } = config as { litellm_settings?: object; general_settings?: object }
  const own = {
    general_settings: { ...general, master_key: 'os.environ/LITELLM_MASTER_KEY' },
    litellm_settings: { telemetry: false, callbacks: ['prometheus'], ...settings },
  }
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ ...others, ...own }, undefined, 2))
  const address = ['--host', '127.0.0.1', '--port', String(port), '--num_workers', '1']
  const child = new Child(join(environment(), 'bin/litellm'), ['--config', file, ...address], {
    cwd: home,
    env: {
      PATH: process.env['PATH'],
      HOME: home,
      TMPDIR: home,
      LITELLM_MASTER_KEY: MASTER_KEY,
      ...QUIET_LITELLM,
      ...env,
    },
  })
  const url = `http://127.0.0.1:${port}`
  await answers(`${url}/health/readiness`, child)
  return {
    url,
    file,
    async post(path, body, headers = {}) {
      return await fetch(`${url}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${MASTER_KEY}`, 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      })
    },
    async metric(name, labels = {}) {
      const answer = await fetch(`${url}/metrics/`, { headers: { authorization: `Bearer ${MASTER_KEY}` } })
      return parseSamples(await answer.text())
        .filter((sample) => sample.name === name)
        .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
        .reduce((sum, { value }) => sum + value, 0)
    },
    async close() {
      child.kill('SIGTERM')
      await child.end()
      rmSync(home, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** @throws {Error} with everything the process said, when it ends before it answers */
export async function answers(url: string, child: Child): Promise<void> {
  let ended: string | undefined
  void child.end().then(({ stdout, stderr }) => (ended = `${stdout}${stderr}`))
  for (;;) {
    if (ended !== undefined) throw new Error(`LiteLLM ended at its start:\n${ended.slice(-4000)}`)
    const answer = await fetch(url).catch(() => undefined)
    await answer?.arrayBuffer()
    if (answer?.ok === true) return
    await pause(200)
  }
}
