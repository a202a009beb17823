/** What the MCP servers pay with, on a ledger of its own. */
import { withBuying, type BuyingContext } from '../../src/app/buying/buying-context.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { temporaryDirectory } from '../config/config-file.ts'

/** An open ledger and its payer `base`. */
export interface OpenBuying {
  readonly context: BuyingContext
  /** Of ledger and audit file. */
  readonly directory: string
  close(): Promise<void>
}

/** @param more of the configuration */
export async function openBuying(more: object = {}): Promise<OpenBuying> {
  const directory = temporaryDirectory()
  const config = parseConfig(
    {
      store: 'sqlite:./tollway.db',
      audit: { path: './audit.jsonl' },
      payers: { base: { kind: 'direct', key: '${env:KEY}', networks: ['base-sepolia'] } },
      ...more,
    },
    { KEY: localAccounts().buyer.privateKey },
    { directory },
  )
  const opened = Promise.withResolvers<BuyingContext>()
  const ended = Promise.withResolvers<void>()
  const using = withBuying(config, async (buying) => {
    opened.resolve(buying)
    await ended.promise
  })
  return {
    context: await opened.promise,
    directory,
    async close() {
      ended.resolve()
      await using
    },
  }
}
