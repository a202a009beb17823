/** The configuration of `tollway init --sandbox`: the sandbox's sellers at addresses that stay the same, paid with play money. */
import { stringify } from 'yaml'
import { ConfigError } from '../../core/errors.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/** TCP ports of the local chain and of the sellers. */
export interface WorldPorts {
  readonly chain: number
  readonly streaming: number
  readonly official: number
  readonly v1: number
}

/** Those next to the gateway's own. */
export const PLAY_PORTS: WorldPorts = { chain: 8411, streaming: 8412, official: 8413, v1: 8414 }

/** The file with the key of the play money. */
export const PLAY_KEY_FILE = 'play-money.key'

const NETWORK = 'base-sepolia'
const NETWORK_ID = 'eip155:84532'

/** YAML with comments; paths are relative to it. */
export function playConfig({ chain, streaming, official, v1 }: WorldPorts, listen: string): string {
  const at = (port: number): string => `http://127.0.0.1:${port}`
  const paid = (name: string, port: number): object => ({
    model_name: `${name}/*`,
    model: '*',
    api_base: `${at(port)}/v1`,
    payer: 'wallet',
  })
  const models = {
    model_list: [
      paid('paid', streaming),
      paid('official', official),
      paid('v1', v1),
      {
        model_name: 'free/*',
        model: '*',
        api_base: `${at(official)}/free/v1`,
        model_info: { usd_per_request: '0' },
      },
    ],
  }
  return `# Made by tollway init --sandbox. Everything is real except the money: start it with tollway sandbox --config tollway.yaml
listen: ${listen}
store: memory # the sandbox's chain begins anew each time, and so does the ledger

payers:
  wallet:
    kind: direct
    key: "\${file:./${PLAY_KEY_FILE}}" # published everywhere, and worth nothing on any other chain
    networks: [${NETWORK}]

chains: # the local chain; only the sandbox writes to it, so its blocks are final at once
  ${NETWORK}: { rpc: "${at(chain)}", finality: safe }
explorers: { ${NETWORK}: none }

# The sandbox's sellers. Change a port here, and the seller listens there.
${stringify(models)}
budgets: # all of them apply to every payment; try a smaller one
  - name: all
    limit_usd: "1.00" # money in quotes
    window: day

policy:
  max_usd_per_request: "0.10"
`
}

/**
 * Where chain and sellers must listen, read from the configuration that leads to them.
 * @throws ConfigError for one that is not of the sandbox
 */
export function playPorts({ chains, routes }: Pick<ResolvedConfig, 'chains' | 'routes'>): WorldPorts {
  const seller = (name: string): number =>
    portOf(routes.find(({ modelName }) => modelName === `${name}/*`)?.apiBase, `model_list: ${name}/*`)
  return {
    chain: portOf(chains.get(NETWORK_ID)?.rpc, `chains.${NETWORK}.rpc`),
    streaming: seller('paid'),
    official: seller('official'),
    v1: seller('v1'),
  }
}

function portOf(url: string | undefined, place: string): number {
  const { hostname, port } = url === undefined ? { hostname: '', port: '' } : new URL(url)
  if (hostname === '127.0.0.1' && port !== '') return Number(port)
  throw new ConfigError(
    `${place} is not an address of the sandbox, such as http://127.0.0.1:${PLAY_PORTS.streaming}/v1; nothing was started. tollway init --sandbox makes a configuration that is.`,
  )
}
