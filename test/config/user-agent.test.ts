/** The User-Agent that sellers see: for every kind of payer, and a route's own before that of its payer. */
import { expect, it } from 'vitest'
import { load } from './config-file.ts'

const SELLER = 'https://seller.example.com/v1'

it.each<[string, string]>([
  ['direct', '{ kind: direct, key: "${env:KEY}", networks: [base], user_agent: mine/1 }'],
  ['solana', '{ kind: solana, key: "${env:KEY}", networks: [solana], user_agent: mine/1 }'],
  ['agentcash, wallet', '{ kind: agentcash, mode: wallet, user_agent: mine/1 }'],
  [
    'agentcash, mcp',
    '{ kind: agentcash, mode: mcp, networks: [base], binary: /opt/agentcash.js, user_agent: mine/1 }',
  ],
  [
    'agentcash, cli',
    '{ kind: agentcash, mode: cli, networks: [base], binary: /opt/agentcash.js, user_agent: mine/1 }',
  ],
  [
    'obol, sidecar',
    '{ kind: obol, mode: sidecar, url: "http://127.0.0.1:8404", shim: "127.0.0.1:8403", remote_model: m, networks: [base], user_agent: mine/1 }',
  ],
  ['obol, pool', '{ kind: obol, mode: pool, config: ./c, auths: ./a, state: ./s.json, user_agent: mine/1 }'],
])('is that of the payer, or the route: %s', (_kind, payer) => {
  const config = load(
    `payers: { p: ${payer} }
chains: { solana: { rpc: "http://127.0.0.1:8899" } }
model_list:
  - { model_name: own, model: m, api_base: "${SELLER}", payer: p, user_agent: route/2 }
  - { model_name: payers, model: m, api_base: "${SELLER}", payer: p }
`,
    { KEY: `0x${'1'.repeat(64)}` },
  )
  expect(config.routes.map(({ userAgent }) => userAgent)).toEqual(['route/2', 'mine/1'])
})
