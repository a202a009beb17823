/** Executes every block of docs/routing.md and docs/callers.md. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { blocksOf } from '../kit/markdown.ts'

const ENV = {
  TOLLWAY_WALLET_KEY: `0x${'11'.repeat(32)}`,
  OPENAI_API_KEY: 'sk-openai',
  LITELLM_MASTER_KEY: 'sk-master',
  OPENCLAW_KEY: 'key-of-openclaw',
}

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollway-routing-docs-'))
})
afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
})

async function write(page: string, marker: string): Promise<string> {
  const path = join(directory, `${marker}.yaml`)
  await writeFile(path, await block(page, marker))
  return path
}

async function block(page: string, marker: string): Promise<string> {
  const text = await readFile(join(import.meta.dirname, '../../docs', page), 'utf8')
  const found = blocksOf(text).find((candidate) => candidate.marker === marker)
  if (!found) throw new Error(`docs/${page} has no block marked <!-- ${marker} -->`)
  return found.text
}

async function tollway(...args: string[]): Promise<string> {
  const terminal = new FakeTerminal(ENV)
  expect([await run(args, terminal), terminal.err]).toEqual([0, ''])
  return terminal.out
}

test('the example of docs/routing.md is what the page says it is', async () => {
  const said = await tollway('check', '--config-only', '--config', await write('routing.md', 'routing'))
  for (const line of [
    'Of routes with the same name and order, the cheapest by last known price is tried first.',
    'fast is an alias for paid/qwen-turbo.',
    'When paid/* cannot be served: local-llama.',
    'local-llama at 127.0.0.1:11434: at most 2 requests at once; sent without store, service_tier.',
    'local-llama at 127.0.0.1:11435: only with x-tier: premium.',
  ])
    expect(said).toContain(line)
})

test("LiteLLM's file is taken, and what has no effect is named", async () => {
  const said = await tollway('check', '--config-only', '--config', await write('routing.md', 'litellm'))
  expect(said).toContain('gpt-4 is an alias for gpt-4o.')
  for (const line of [
    'model_list[0].litellm_params.rpm: this limit (600) is the budget litellm-1-requests here (600 requests in any minute for gpt-4o).',
    'model_list[2]: the model claude is skipped: the provider anthropic has an API of its own',
    'LiteLLM keys that Tollway ignores: guardrails.',
  ])
    expect(said).toContain(line)
})

test('the commands of docs/callers.md work in their order', async () => {
  const path = await write('callers.md', 'callers')
  const commands = (await block('callers.md', 'keys')).trim().split('\n')
  const outputs: string[] = []
  for (const line of commands) {
    const command = line.replace(/ +#.*$/, '')
    const [name, ...args] = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map((word) => word[1] ?? word[2] ?? '')
    expect(name).toBe('tollway')
    outputs.push(await tollway(...args, '--config', path))
  }
  expect(outputs[0]).toMatch(/^tw-/)
  expect(outputs[1]).toContain('30 requests/min')
  expect(outputs[2]).toBe('Changed what "ci" may do.\n')
  expect(outputs[3]).toBe('Revoked the key of "ci".\n')
})
