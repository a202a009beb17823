/** A configuration for an application of one's own, which pays the sandbox's sellers with the sandbox's money. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { World } from './world.ts'

/** The variable that the configuration takes the wallet's key from. */
export const OWN_KEY_VARIABLE = 'TOLLWAY_WALLET_KEY'

/** The base URLs of the sellers. */
export function sellerAddresses(world: World): Record<'streaming' | 'official' | 'v1' | 'free', string> {
  return {
    streaming: world.streamingSeller.apiBase,
    official: world.seller.apiBase,
    v1: world.v1Seller.apiBase,
    free: `${world.seller.url}/free/v1`,
  }
}

/** A route to each seller, the paid ones through a payer. The free one has a price of zero, so that budgets know what it costs. */
export function sellerRoutes(world: World, payer: string): readonly object[] {
  const sellers = sellerAddresses(world)
  const paid = (name: string, apiBase: string): object => ({
    model_name: `${name}/*`,
    model: '*',
    api_base: apiBase,
    payer,
  })
  const free = { input_usd_per_token: '0', output_usd_per_token: '0' }
  return [
    paid('paid', sellers.streaming),
    paid('official', sellers.official),
    paid('v1', sellers.v1),
    { model_name: 'free/*', model: '*', api_base: sellers.free, model_info: free },
  ]
}

/** The configuration, in the shape of `tollway.yaml`. */
export function ownConfig(world: World): Record<string, unknown> {
  const { v1Network, rpcUrl } = world.chain
  return {
    payers: { base: { kind: 'direct', key: `\${env:${OWN_KEY_VARIABLE}}`, networks: [v1Network] } },
    model_list: sellerRoutes(world, 'base'),
    budgets: [{ name: 'all', limit_usd: '1.00', window: 'day' }],
    chains: { [v1Network]: { rpc: rpcUrl, finality: 'safe' } },
    explorers: { [v1Network]: 'none' },
  }
}

/** Writes the configuration into the sandbox's directory. @returns its path */
export async function writeOwnConfig(world: World, directory: string): Promise<string> {
  const path = join(directory, 'own-app.yaml')
  const head =
    `# Pays the sellers of this sandbox, as long as it runs. Export ${OWN_KEY_VARIABLE} as the sandbox prints it.\n` +
    '# Ledger and audit file are made in the directory that it is started in.\n'
  await writeFile(path, `${head}${stringify(ownConfig(world))}`)
  return path
}
