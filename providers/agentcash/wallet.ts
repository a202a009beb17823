/** Pays with the AgentCash wallet directly, without AgentCash's program: exact quotes, receipts and real streaming. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../src/core/clock.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import { direct } from '../direct/direct.ts'

/** Options of {@link agentcashWallet}. */
export interface AgentcashWalletOptions {
  /** The wallet file, mode 0600; default `~/.agentcash/wallet.json`. */
  readonly wallet?: string | undefined
  /** Networks it may pay on; default Base, where AgentCash wallets are funded. */
  readonly networks?: readonly string[] | undefined
  /** JSON-RPC addresses by network: with a node, balance and contract are checked before anything is reserved. */
  readonly nodes?: Readonly<Record<string, string>> | undefined
  readonly clock?: Clock | undefined
}

/** Where AgentCash keeps its wallet. */
export function defaultAgentcashWallet(): string {
  return join(homedir(), '.agentcash', 'wallet.json')
}

/**
 * Starts the payer with its own signer thread, which alone reads the wallet.
 * @throws ConfigError for a mistake in the options, or a wallet that is missing, malformed or readable by others
 */
export async function agentcashWallet(options: AgentcashWalletOptions = {}): Promise<Provider> {
  const { wallet = defaultAgentcashWallet(), networks = ['base'], nodes = {}, clock } = options
  const payer = await direct({ key: { source: 'agentcash', path: wallet }, networks, nodes, clock })
  return {
    name: 'agentcash',
    address: payer.address,
    networks: payer.networks,
    supports: payer.supports.bind(payer),
    ...(payer.ready ? { ready: payer.ready.bind(payer) } : {}),
    ...(payer.balance ? { balance: payer.balance.bind(payer) } : {}),
    authorize: payer.authorize.bind(payer),
    signIn: payer.signIn,
    ...(payer.presign ? { presign: payer.presign.bind(payer) } : {}),
    ...(payer.check ? { check: payer.check.bind(payer) } : {}),
    closed: payer.closed.bind(payer),
    close: payer.close.bind(payer),
  }
}
