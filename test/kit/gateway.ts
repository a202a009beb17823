import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import { parseConfig } from '../../src/app/config/load.ts'
import { createGateway, type Gateway, type GatewayOverrides } from '../../src/app/gateway/gateway.ts'
import { chainOf } from '../../src/io/audit/audit-rotate.ts'
import type { LocalChain } from '../../src/app/sandbox/chain/chain.ts'

/** A gateway under test, with its own store and audit file. */
export interface TestGateway {
  readonly gateway: Gateway
  readonly url: string
  /** Where `/metrics` is, the path included. */
  readonly metricsUrl: string
  readonly directory: string
  /** The audit file's records, with those of rotated files. */
  audit(): Promise<Record<string, unknown>[]>
  /** The value of one sample of `/metrics`, e.g. `tollway_requests_total{route="x"}`; labels in any order, absent is 0. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
  close(): Promise<void>
}

/** A payer entry whose key is the chain's buyer, each under a variable of its own: a signer takes its variable away. */
export function walletPayer(chain: LocalChain): object {
  const name = `TEST_WALLET_${randomUUID().replaceAll('-', '').toUpperCase()}`
  process.env[name] = chain.accounts.buyer.privateKey
  return { kind: 'direct', key: `\${env:${name}}`, networks: [chain.v1Network] }
}

/** Starts a gateway on a free port with a store and audit file of its own. `config` is the YAML's shape. */
export async function startGateway(config: object, overrides: GatewayOverrides = {}): Promise<TestGateway> {
  const directory = await mkdtemp(join(tmpdir(), 'tollway-test-'))
  const paths = {
    store: `sqlite:${join(directory, 'tollway.db')}`,
    audit: { path: join(directory, 'audit.jsonl') },
  }
  const resolved = parseConfig({ listen: '127.0.0.1:0', ...paths, ...config }, process.env)
  const gateway = await createGateway(resolved, {
    ...(overrides.writeLog ? {} : { log: pino({ level: 'silent' }) }),
    ...overrides,
  })
  const { url, metricsUrl } = await gateway.listen().catch(async (error: unknown) => {
    await gateway.close()
    throw error
  })
  return {
    gateway,
    url,
    metricsUrl,
    directory,
    async audit() {
      // The day may have changed since the start, and the file with it.
      const files = chainOf(resolved.audit.path)
      const text = (await Promise.all(files.map(async (file) => await readFile(file, 'utf8')))).join('')
      return text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    },
    async metric(name, labels = {}) {
      const text = await (await fetch(`${url}/metrics`)).text()
      const lines = text
        .split('\n')
        .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      const matching = lines.filter((line) =>
        Object.entries(labels).every(([key, value]) => line.includes(`${key}="${value}"`)),
      )
      return matching.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
    },
    async close() {
      await gateway.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Asks for a chat completion. */
export async function ask(
  url: string,
  body: object,
  headers: Record<string, string> = {},
): Promise<Response> {
  return await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'hello' }], ...body }),
  })
}

/** The error object of an answer. */
export async function errorOf(
  response: Response,
): Promise<{ message: string; type: string; code: string; param: string | null }> {
  const { error } = (await response.json()) as {
    error: { message: string; type: string; code: string; param: string | null }
  }
  return error
}
