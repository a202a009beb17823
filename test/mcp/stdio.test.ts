/** `tollway mcp` as a client starts it: a process that speaks on its standard streams. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { expect, it } from 'vitest'
import { temporaryDirectory } from '../config/config-file.ts'
import { createProgram } from '../../src/app/cli/run.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { MAIN } from '../kit/program.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'

it('serves its tools over standard input and output, with a wallet in a file, and ends with its client', async () => {
  const cwd = temporaryDirectory()
  writeFileSync(join(cwd, 'key'), localAccounts().buyer.privateKey, { mode: 0o600 })
  writeFileSync(
    join(cwd, 'tollway.yaml'),
    'payers: { base: { kind: direct, key: "${file:./key}", networks: [base-sepolia] } }\n',
  )
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [MAIN, 'mcp'],
    cwd,
    stderr: 'ignore',
  })
  const client = new Client({ name: 'test', version: '1' })
  const ended = new Promise<void>((resolve) => {
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK has no other way
    client.onclose = resolve
  })
  await client.connect(transport)
  const { tools } = await client.listTools()
  expect(tools.map(({ name }) => name)).toEqual([
    'agent_pay',
    'find_services',
    'show_service',
    'wallet_balance',
    'spend_status',
  ])
  const status = await client.callTool({ name: 'spend_status' })
  expect(status.structuredContent).toEqual({ ceiling_usd: '0.1', budgets: [], latest: [] })
  const wallet = await client.callTool({ name: 'wallet_balance' })
  expect(JSON.stringify(wallet.structuredContent)).toContain(localAccounts().buyer.address.toLowerCase())
  await client.close()
  await ended
})

it('has a page that names every code, and its commands are commands', () => {
  const page = readFileSync(new URL('../../docs/agents.md', import.meta.url), 'utf8')
  const source = ['agent-failure', 'agent-input', 'inspect-offers', 'approval', 'agent-pay', 'find-services']
    .map((name) => readFileSync(new URL(`../../src/app/mcp/${name}.ts`, import.meta.url), 'utf8'))
    .join('\n')
  const codes = [...source.matchAll(/(?:AgentFailure\(\s*|: )'([a-z_]+)'/g)].flatMap(([, code]) => code ?? [])
  expect(codes.length).toBeGreaterThan(20)
  for (const code of codes) expect(page).toContain(`\`${code}\``)
  const block = /<!-- client -->\n```json\n([^`]*)```/.exec(page)?.[1] ?? ''
  expect(JSON.parse(block)).toMatchObject({
    mcpServers: { tollway: { args: ['tollway', 'mcp'].concat(['--config', '/etc/tollway/tollway.yaml']) } },
  })
  const line = /<!-- mcp -->\n```sh\nnpx tollway (.*)\n/.exec(page)?.[1] ?? ''
  const known = createProgram({ terminal: new FakeTerminal(), end: () => undefined })
    .commands.find((one) => one.name() === 'mcp')
    ?.options.map(({ long }) => long)
  const proxied = /<!-- proxy -->\n```sh\n([^`]*)```/.exec(page)?.[1] ?? ''
  expect(proxied).toContain('npx tollway mcp --proxy')
  for (const option of `${line} ${proxied}`.split(/\s/).filter((word) => word.startsWith('--')))
    expect(known).toContain(option)
})
