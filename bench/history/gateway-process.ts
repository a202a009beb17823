/** A gateway on a ledger with a history. It measures how long its own event loop was held. */
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseConfig } from '../../src/app/config/load.ts'
import { createGateway } from '../../src/app/gateway/gateway.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { servePart } from '../child.ts'
import { HISTORY } from './generate.ts'
import { HistoryInput } from './result.ts'

const KEY_VARIABLE = 'TOLLWAY_BENCH_KEY'

await servePart(HistoryInput, async ({ ledger, directory }) => {
  process.env[KEY_VARIABLE] = localAccounts().buyer.privateKey
  const config = parseConfig(
    {
      listen: '127.0.0.1:0',
      store: `sqlite:${ledger}`,
      audit: { path: join(directory, 'audit.jsonl') },
      payers: { base: { kind: 'direct', key: `\${env:${KEY_VARIABLE}}`, networks: ['base-sepolia'] } },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: 'http://127.0.0.1:9/v1', payer: 'base' }],
      budgets: [{ name: HISTORY.budget, limit_usd: '1000000000', window: 'day' }],
      policy: { max_usd_per_request: '0.10' },
    },
    process.env,
  )
  const log = createWriteStream(join(directory, 'gateway.log'))
  const gateway = await createGateway(config, { writeLog: (line) => void log.write(line) })
  const { url } = await gateway.listen()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  return {
    facts: { url },
    figures: {
      /** Begins to watch the event loop: that takes two per cent of a core itself. */
      watch: () => {
        delay.reset()
        delay.enable()
        return Promise.resolve(0)
      },
      /** Ends watching. The longest hold meanwhile, milliseconds. */
      hold: () => {
        delay.disable()
        return Promise.resolve(delay.max / 1e6)
      },
    },
    async close() {
      await gateway.close()
      await new Promise((resolve) => log.end(resolve))
    },
  }
})
