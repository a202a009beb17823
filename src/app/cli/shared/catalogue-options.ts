/** What the commands on the catalogue share: the index, the reader of addresses, and the options of both. */
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { ConfigError } from '../../../core/errors.ts'
import type { CatalogueContext } from '../../catalogue/catalogue.ts'
import type { ChainReader } from '../../../io/chain/chain.ts'
import { interruptible } from './buying-options.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from './options.ts'
import type { Terminal } from './terminal.ts'

/** Options of every command on the catalogue. */
export interface CatalogueOptions {
  readonly config: string
  readonly json: boolean
  readonly index?: string
  readonly allowPrivate: boolean
  readonly ipfsGateway?: string
}

/** The index's file, beside the configuration. */
const INDEX_NAME = 'tollway-catalog.db'

/** Adds `--index`, `--allow-private`, `--config` and `--json`. */
export function withCatalogue(command: Command): Command {
  return command
    .option(
      '--index <file>',
      `the index of catalogues; ${INDEX_NAME} beside the configuration file if not given`,
    )
    .option('--ipfs-gateway <url>', 'reads ipfs: addresses of agents; TOLLWAY_IPFS_GATEWAY if not given')
    .option('--allow-private', 'also read addresses on this machine and its network (for trials)', false)
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--json', 'print JSON', false)
}

/** Opens the index and the reader for a command, and closes them afterwards. Ctrl-C ends reading. */
export async function withIndex<T>(
  terminal: Terminal,
  options: CatalogueOptions,
  use: (context: CatalogueContext, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { CatalogueIndex } = await import('../../../io/catalogue/catalogue-index.ts')
  const { documentReader } = await import('../../catalogue/fetch-document.ts')
  const { systemClock } = await import('../../../core/clock.ts')
  const index = new CatalogueIndex(indexFile(options))
  const reader = documentReader(options.allowPrivate)
  try {
    const agents = {
      openChain: (network: string) => openNode(network, options, terminal),
      ipfsGateway: options.ipfsGateway ?? terminal.env['TOLLWAY_IPFS_GATEWAY'],
    }
    return await interruptible(
      terminal,
      (signal) => use({ index, reader, clock: systemClock, agents }, signal),
      {
        message: 'Stopped. What was read before is kept.',
      },
    )
  } finally {
    await reader.close()
    index.close()
  }
}

/** Where the index is. */
export function indexFile({ index, config }: Pick<CatalogueOptions, 'index' | 'config'>): string {
  return index ?? join(dirname(config), INDEX_NAME)
}

/** Opens the node of a network, as the configuration names it. The configuration is read when a registry needs it. */
async function openNode(
  network: string,
  { config }: CatalogueOptions,
  { env }: Terminal,
): Promise<ChainReader> {
  const { loadConfigForReading } = await import('../../config/load.ts')
  const { loadCommandConfig } = await import('../../config/command-config.ts')
  const { openChain } = await import('../../../io/chain/chain.ts')
  const { findNetwork } = await import('../../../core/money/assets.ts')
  const chain = loadCommandConfig(config, env, loadConfigForReading).chains.get(network)
  if (chain) return openChain({ network, rpc: chain.rpc, finality: chain.finality })
  const name = findNetwork(network)?.alias ?? network
  throw new ConfigError(
    `No node is configured for ${name}, and the registry's events are read from one. Write chains: { ${name}: { rpc: "https://…" } }.`,
  )
}
