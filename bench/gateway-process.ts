/** Tollway as it is run: every middleware, a policy, a budget, the ledger in SQLite, the audit file, metrics, a log. */
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseConfig } from '../src/app/config/load.ts'
import { createGateway } from '../src/app/gateway/gateway.ts'
import { localAccounts } from '../src/app/sandbox/chain/accounts.ts'
import { servePart } from './child.ts'
import { WorldFacts } from './facts.ts'
import { liveBytes } from './live-bytes.ts'
import { WORK_DIRECTORY } from './work-directory.ts'

const KEY_VARIABLE = 'TOLLWAY_BENCH_KEY'

await servePart(WorldFacts, async ({ seller, upstream }) => {
  const directory = await mkdtemp(WORK_DIRECTORY)
  process.env[KEY_VARIABLE] = localAccounts().buyer.privateKey
  const config = parseConfig(
    {
      listen: '127.0.0.1:0',
      store: `sqlite:${join(directory, 'tollway.db')}`,
      audit: { path: join(directory, 'audit.jsonl') },
      payers: { base: { kind: 'direct', key: `\${env:${KEY_VARIABLE}}`, networks: ['base-sepolia'] } },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: seller, payer: 'base' }],
      budgets: [{ name: 'all', limit_usd: '100.00', window: 'day' }],
      policy: { max_usd_per_request: '0.10' },
      upstream: { api_base: upstream },
    },
    process.env,
  )
  const log = createWriteStream(join(directory, 'gateway.log'))
  const gateway = await createGateway(config, { writeLog: (line) => void log.write(line) })
  const { url } = await gateway.listen()
  const { ledger } = gateway.parts
  return {
    facts: { url },
    figures: {
      live: () => Promise.resolve(liveBytes()),
      rss: () => Promise.resolve(process.memoryUsage.rss()),
      settled: async () => (await ledger.store.sum('settled')).count,
      open: async () => (await ledger.uncertainSum()).count,
    },
    async close() {
      await gateway.close()
      await new Promise((resolve) => log.end(resolve))
      await rm(directory, { recursive: true, force: true })
    },
  }
})
