// Several callers, whom the app knows by a header of its own, each with a budget.
import express from 'express'
import { tollway } from 'tollway'

const TEAMS = new Map([
  ['secret-of-search', 'search'],
  ['secret-of-support', 'support'],
])

const app = express()
app.use(
  tollway(
    {
      payers: { base: { kind: 'direct', key: '${env:TOLLWAY_WALLET_KEY}', networks: ['base-sepolia'] } },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: process.env.TOLLWAY_SELLER, payer: 'base' }],
      budgets: [
        { name: 'all', limit_usd: '5.00', window: 'day' },
        // One paid answer of the sandbox costs $0.001.
        { name: 'per-team', per: 'caller', limit_usd: '0.001', window: 'day' },
      ],
    },
    { caller: (req) => TEAMS.get(req.headers['x-team-secret']) },
  ),
)
app.listen(process.env.PORT ?? 8402, '127.0.0.1')
